"""Who announces what, for the practice server of origins (pure).

A table's level-2 rows say so: each names the AS of a range. A table without any (delegated files, the packaged one)
gets AS numbers made up from its holders, always the same: private ones of 32 bits (RFC 6996), one for each holder. Of
ten blocks one is not announced, one has two origins, and one lies in a shorter prefix that another AS announces.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from typing import NamedTuple

from whoismesh.addresses import BITS, Range
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable

#: RFC 6996: AS numbers for private use.
PRIVATE_ASNS = range(4_200_000_000, 4_294_967_295)


class Announcement(NamedTuple):
    """A BGP prefix and the AS that announces it."""

    prefix: Range
    asn: int


class Announcements:
    """What a table's blocks are announced as."""

    def __init__(self, table: AllocationTable) -> None:
        self._table = table
        self._routed = sorted(table.routed)
        self._firsts = [(each.range.family, each.range.first) for each in self._routed]

    def of(self, family: int, address: int) -> list[Announcement]:
        """Return the announcements that hold an address, the best one first (answers.cymru says which that is)."""
        if self._routed:
            index = bisect_right(self._firsts, (family, address)) - 1
            found = self._routed[index] if index >= 0 else None
            if found is None or not found.range.holds(family, address):
                return []
            return [Announcement(_prefix_of(found.range, address), found.asn)]
        row = self._table.find(family, address)
        return _made_up(row, address) if row is not None and row.held else []


def _made_up(row: Row, address: int) -> list[Announcement]:
    digest = blake2b(f"{row.registry} {row.range}".encode(), digest_size=8).digest()
    asn = _asn_of(row.holder or str(row.range))
    prefix = _prefix_of(row.range, address)
    match digest[0] % 10:
        case 0:
            return []
        case 1:
            both = sorted((asn, _asn_of(f"second {row.range}")))
            return [Announcement(prefix, each) for each in both]
        case 2:
            length = BITS[prefix.family] + 1 - prefix.size.bit_length()
            shorter = Range.of_prefix(prefix.family, prefix.first, length - 1)
            return [Announcement(prefix, asn), Announcement(shorter, _asn_of(f"shorter {row.range}"))]
    return [Announcement(prefix, asn)]


def _asn_of(holder: str) -> int:
    return PRIVATE_ASNS[int.from_bytes(blake2b(holder.encode(), digest_size=8).digest()) % len(PRIVATE_ASNS)]


def _prefix_of(found: Range, address: int) -> Range:
    """Return the CIDR, of those that make up a range, that holds an address."""
    return next(
        prefix
        for first, length in found.prefixes()
        if (prefix := Range.of_prefix(found.family, first, length)).holds(found.family, address)
    )
