"""How finely a space is registered, and so how much a "not found" says.

Nothing in an answer tells how far the emptiness reaches, and no question finds a registration that it does not hit. So
what a "not found" closes is a trade: smaller blocks cost lookups, wider ones miss what lies in them.

IPv4: registries allocate no less than a /24 today, so a "not found" closes that. But in the 1990s RIPE NCC assigned
single blocks down to a /29, next to space that is free now: in the tables of 2018 39 /24s are shared in that way, all
within 193/8 to 195/8. So where a smaller registration has been seen, the neighbourhood is looked at more closely.

IPv6: no block is the smallest. Registries allocate sparsely: they halve their block again and again and give out where
halves begin, so that each holder can grow. What lies at the beginning of a block tells a lot of it, so that is where a
gap is asked about. A "not found" closes SPARSE_LENGTH more bits than IANA's block around it has. Where a registration
begins in the middle of such a block, the neighbourhood is looked at as finely as that one lies. docs/performance.md has
what each way costs and misses; who wants it exact gives a prior.
"""

from __future__ import annotations

from whoismesh import iana
from whoismesh.addresses import BITS, Range
from whoismesh.rangesets import RangeSet

#: The smallest block that registries allocate to those who pass it on, prefix length: what leases, losses and failures
#: are measured in. IPv4: also the smallest that is routed; IPv6: the smallest allocation to a provider.
BLOCK_LENGTH = {4: 24, 6: 32}
#: The same in addresses.
BLOCK_SIZE = {family: 1 << (BITS[family] - length) for family, length in BLOCK_LENGTH.items()}
#: IPv4: what a "not found" closes in a block in which a network lies: the smallest registration there is.
SHARED_BLOCK_LENGTH = 29
#: IPv4: what it closes in a neighbourhood where a registration smaller than a block has been seen, and how far that
#: reaches. Four lookups instead of one for each free /24 of such a /16 (402 in the tables of 2018) find what is in 35
#: of the 39 shared ones.
FINE_BLOCK_LENGTH, NEIGHBOURHOOD_LENGTH = 26, 16
#: IPv6: how many bits longer than IANA's block what a "not found" closes is, and its limits: a /12 is looked at in
#: /24s, a /23 in /32s. In the table of 2018 that finds 40,152 of 41,372 registrations with 248,000 lookups; /32s
#: everywhere would take 7,300,000.
SPARSE_LENGTH, WIDEST_SPARSE, FINEST_SPARSE = 9, 24, 32
#: IPv6: a registration that begins where a prefix of n bits does makes n bits the grain of the n - 4 bits around it; 8
#: instead of 4 would find 544 more with 54,000 lookups more. No finer than a /48, the smallest assignment.
NEARBY_BITS, FINEST_GRAIN = 4, 48


class Grain:
    """What has been seen of small registrations."""

    __slots__ = ("_fine", "_lengths")

    def __init__(self) -> None:
        # Neighbourhoods by the bits that they share: a replica of millions of blocks has most of IPv4's 65,536. IPv6's
        # by the length of the grain besides.
        self._fine: set[int] = set()
        self._lengths: dict[int, set[int]] = {}

    def note(self, network: Range) -> list[tuple[Range, int]]:
        """Take in a network; return (neighbourhood, prefix length) where a "not found" closes less now."""
        if network.family == 6:
            return self._note_sparse(network.first)
        if not (network.first | network.last + 1) & 255:
            return []  # most networks: they end where a /24 ends
        news = []
        for edge in (network.first, network.last + 1):
            if edge % 256:
                neighbourhood = edge >> 32 - NEIGHBOURHOOD_LENGTH
                if neighbourhood not in self._fine:
                    self._fine.add(neighbourhood)
                    news.append((Range.of_prefix(4, edge, NEIGHBOURHOOD_LENGTH), FINE_BLOCK_LENGTH))
        return news

    def _note_sparse(self, first: int) -> list[tuple[Range, int]]:
        grain = _begins(first)
        if grain <= _sparse_length(first):
            return []
        near = grain - NEARBY_BITS
        seen = self._lengths.setdefault(grain, set())
        if first >> 128 - near in seen:
            return []
        seen.add(first >> 128 - near)
        return [(Range.of_prefix(6, first, near), grain)]

    def length(self, asked: Range) -> int:
        """Return the prefix length of what a "not found" for an address closes where no network is near."""
        if asked.family == 4:
            return FINE_BLOCK_LENGTH if asked.first >> 32 - NEIGHBOURHOOD_LENGTH in self._fine else BLOCK_LENGTH[4]
        fine = (grain for grain, seen in self._lengths.items() if asked.first >> 128 - grain + NEARBY_BITS in seen)
        return max(_begins(asked.first), _sparse_length(asked.first), *fine)

    def empty_block(self, asked: Range, held: RangeSet) -> Range:
        """Return the block that a "not found" for an address closes.

        No known network lies in it, but where one holds the address itself: then it is the address alone.
        """
        family = asked.family
        length = self.length(asked)
        if family == 4 and held.meets(Range.of_prefix(4, asked.first, BLOCK_LENGTH[4])):
            length = SHARED_BLOCK_LENGTH
        block = Range.of_prefix(family, asked.first, length)
        while held.meets(block) and block != asked:
            length += 1
            block = Range.of_prefix(family, asked.first, length)
        return block


def smallest_block(asked: Range) -> Range:
    """Return the smallest block that is allocated to those who pass it on, around an address."""
    return Range.of_prefix(asked.family, asked.first, BLOCK_LENGTH[asked.family])


def _begins(address: int) -> int:
    """Return the length of the shortest IPv6 prefix that begins at an address, FINEST_GRAIN at most.

    An address tells nothing of what lies before it.
    """
    return min(129 - (address & -address).bit_length(), FINEST_GRAIN)


def _sparse_length(address: int) -> int:
    """Return the prefix length of what a "not found" closes in IPv6 space of which nothing is known."""
    block = iana.block_of(6, address)
    length = FINEST_SPARSE if block is None else 129 - block.size.bit_length() + SPARSE_LENGTH
    return min(FINEST_SPARSE, max(WIDEST_SPARSE, length))
