"""What Team Cymru told, as it lies in a result: the payload of those whose status is `origins`.

It is msgpack: a list of [first, last, asn, asn_cidr], the network's addresses as bytes, the last two nil where nobody
announces its first address.
"""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh.addresses import Range
from whoismesh.answers.cymru import MAX_ASN, Origin
from whoismesh.packing import NotPackedError, pack, unpack

#: A row of the payload.
Row = tuple[bytes, bytes, int | None, str | None]

#: The longest IPv6 CIDR as text.
_MAX_CIDR = 43


def pack_origins(records: Iterable[tuple[Range, Origin]]) -> bytes:
    """Return the payload for these networks."""
    return pack([[each.first_bytes, each.last_bytes, origin.asn, origin.cidr] for each, origin in records])


def read_origins(payload: bytes) -> list[Row]:
    """Return the rows of a payload that are rows: it is what a worker sent. Nothing raises."""
    try:
        rows = unpack(payload)
    except NotPackedError:
        return []
    return [(row[0], row[1], row[2], row[3]) for row in rows if _is_row(row)] if isinstance(rows, list) else []


def _is_row(row: object) -> bool:
    match row:
        case [bytes(first), bytes(last), None, None]:
            return len(first) == len(last) in (4, 16) and first <= last
        case [bytes(first), bytes(last), int(asn), str(cidr)]:
            return (
                len(first) == len(last) in (4, 16) and first <= last and 0 < asn <= MAX_ASN and len(cidr) <= _MAX_CIDR
            )
    return False
