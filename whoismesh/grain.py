"""How finely a space is registered, and so how much a "not found" says.

Nothing in an answer tells how far the emptiness reaches. Registries allocate no less than a /24 today (IPv4), so a
"not found" closes that. But in the 1990s RIPE NCC assigned single blocks down to a /29, next to space that is free
now: in the tables of 2018 39 /24s are shared in that way, all within 193/8 to 195/8. So where a smaller registration
has been seen, the neighbourhood is looked at more closely.
"""

from __future__ import annotations

from whoismesh.addresses import BITS, Range
from whoismesh.rangesets import RangeSet

#: What a "not found" closes: the smallest block a registry allocates. IPv4: a /24, the smallest that is routed and that
#: registries' policies allow; IPv6: a /32, the smallest allocation to a provider.
BLOCK_LENGTH = {4: 24, 6: 32}
#: The same in addresses.
BLOCK_SIZE = {family: 1 << (BITS[family] - length) for family, length in BLOCK_LENGTH.items()}
#: What it closes in a block in which a network lies. IPv4: the smallest registration there is; IPv6: half of the block
#: (an assignment may be a /48, and there are 65,536 of them).
SHARED_BLOCK_LENGTH = {4: 29, 6: 33}
#: What it closes in a neighbourhood where a registration smaller than a block has been seen, and how far that reaches.
#: Four lookups instead of one for each free /24 of such a /16 (402 in the tables of 2018) find what
#: is in 35 of the 39 shared ones.
FINE_BLOCK_LENGTH, NEIGHBOURHOOD_LENGTH = 26, 16


class Grain:
    """What has been seen of small registrations."""

    __slots__ = ("_fine",)

    def __init__(self) -> None:
        # Neighbourhoods by the bits that they share: a replica of millions of blocks has most of the 65,536.
        self._fine: set[int] = set()

    def note(self, network: Range) -> list[Range]:
        """Take in a network; return the neighbourhoods that turn out to be finely registered by it."""
        if network.family != 4 or not (network.first | network.last + 1) & 255:
            return []  # most networks: they end where a /24 ends
        news = []
        for edge in (network.first, network.last + 1):
            if edge % 256:
                neighbourhood = edge >> 32 - NEIGHBOURHOOD_LENGTH
                if neighbourhood not in self._fine:
                    self._fine.add(neighbourhood)
                    news.append(neighbourhood_of(Range(4, edge, edge)))
        return news

    def block(self, asked: Range) -> Range:
        """Return the smallest block that is allocated, around an address."""
        return Range.of_prefix(asked.family, asked.first, BLOCK_LENGTH[asked.family])

    def empty_block(self, asked: Range, held: RangeSet) -> Range:
        """Return the block that a "not found" for an address closes.

        No known network lies in it, but where one holds the address itself: then it is the address alone.
        """
        family = asked.family
        block = self.block(asked)
        if held.meets(block):
            length = SHARED_BLOCK_LENGTH[family]
        elif family == 4 and asked.first >> 32 - NEIGHBOURHOOD_LENGTH in self._fine:
            length = FINE_BLOCK_LENGTH
        else:
            return block
        block = Range.of_prefix(family, asked.first, length)
        while held.meets(block) and block != asked:
            length += 1
            block = Range.of_prefix(family, asked.first, length)
        return block


def fine_block(asked: Range) -> Range:
    """Return what a "not found" for an IPv4 address closes in a finely registered neighbourhood."""
    return Range.of_prefix(4, asked.first, FINE_BLOCK_LENGTH)


def neighbourhood_of(asked: Range) -> Range:
    """Return the neighbourhood of an IPv4 address."""
    return Range.of_prefix(4, asked.first, NEIGHBOURHOOD_LENGTH)
