"""Team Cymru's bulk WHOIS: from addresses to the query, and from the answer's bytes to the AS that announces each.

The format, as its netcat interface has it (https://www.team-cymru.com/ip-asn-mapping)::

    begin                                   Bulk mode; whois.cymru.com [2026-07-11 17:51:43 +0000]
    verbose                                 15169   | 8.8.8.8   | 8.8.8.0/24 | US | arin | 1992-12-01 | GOOGLE, US
    8.8.8.8                         ->      NA      | 10.0.0.1  | NA         |    | other |           | NA
    10.0.0.1
    end

An address that several AS announce, or several prefixes hold, has a row for each. Addresses come back in any spelling
and order. The end of the connection is the end of the answer, so an address without a row has no answer, which is not
the same as `NA`: nobody announces it. `Error: no ASN or IP match on line 3.` is what it says of a line that is no
address: of ours that is no answer either. What comes is hostile until checked, and nothing here raises.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from whoismesh.addresses import Range, format_address
from whoismesh.answers.ranges import read_address, read_range
from whoismesh.answers.text import MAX_BODY_BYTES

#: AS numbers are of 32 bits (RFC 6793); 0 is nobody's (RFC 7607).
MAX_ASN = 2**32 - 1

#: Rows of a verbose answer are about 130 bytes: longer lines than this are none.
_MAX_LINE_BYTES = 1_000
#: AS numbers of one row, where a prefix has several origins.
_MAX_ORIGINS = 16
_NONE = b"NA"


class Origin(NamedTuple):
    """Who announces an address: the AS number and the BGP prefix as a CIDR, both None where nobody does."""

    asn: int | None
    cidr: str | None


NOBODY = Origin(None, None)

#: (family, integer)
Address = tuple[int, int]


def bulk_query(addresses: Iterable[Address]) -> bytes:
    r"""Return what to send for these addresses.

    >>> bulk_query([(4, 0x08080808)])
    b'begin\nverbose\n8.8.8.8\nend\n'
    """
    lines = ["begin", "verbose", *(format_address(*address) for address in addresses), "end"]
    return "".join(f"{line}\n" for line in lines).encode()


def read_bulk(body: bytes, asked: Collection[Address]) -> dict[Address, Origin]:
    """Return the origin of each asked address that the answer tells of, `NOBODY` for those that are not announced.

    Of several rows of one address the longest prefix counts, of several AS of that prefix the one with the lowest
    number: which of them is "the" origin nobody can tell, so the choice is one that does not change from day to day.
    """
    wanted = frozenset(asked)
    best: dict[Address, tuple[int, int, str]] = {}
    nobody: set[Address] = set()
    lines = body[:MAX_BODY_BYTES].split(b"\n")
    # A last line without its end may be half a row: 193.0.0.0/2 instead of /21.
    for line in lines[:-1]:
        if len(line) > _MAX_LINE_BYTES:
            continue
        columns = [column.strip() for column in line.split(b"|")]
        if len(columns) < 3:
            continue
        address = read_address(columns[1].decode("ascii", "replace"))
        if address is None or address not in wanted:
            continue
        if columns[0] == _NONE:
            nobody.add(address)
            continue
        asn, prefix = _asn(columns[0]), read_range(columns[2].decode("ascii", "replace"))
        if asn is None or prefix is None or not prefix.is_cidr() or not prefix.holds(*address) or _is_all(prefix):
            continue
        found = (prefix.size, asn, str(prefix))
        best[address] = min(found, best.get(address, found))
    origins = {address: Origin(asn, cidr) for address, (_, asn, cidr) in best.items()}
    return dict.fromkeys(nobody, NOBODY) | origins


def _asn(column: bytes) -> int | None:
    """Return the lowest AS number of a column that holds one or, where a prefix has several origins, more."""
    numbers = column.split()[:_MAX_ORIGINS]
    if not numbers or not all(number.isdigit() and len(number) <= 10 for number in numbers):
        return None
    lowest = min(map(int, numbers))
    return lowest if lowest > 0 and max(map(int, numbers)) <= MAX_ASN else None


def _is_all(prefix: Range) -> bool:
    """Tell whether a prefix is a default route, which says nothing of an address."""
    return prefix.first == 0 and prefix.size >> 32 >= 1
