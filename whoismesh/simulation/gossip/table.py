"""Blocks for a fleet to find, and replicas' tables that share what is the same in all of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from random import Random

from whoismesh import iana
from whoismesh.addresses import BITS, Range
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip import guard
from whoismesh.messages import Discovered

#: Share of IPv6, and the prefix lengths that are drawn.
V6_SHARE = 0.1
LENGTHS = {4: (20, 22, 23, 24, 24, 24), 6: (32, 32, 40, 48)}


class Catalogue:
    """All blocks that there are to find, numbered from 0."""

    def __init__(self, count: int, random: Random) -> None:
        homes = {family: [each for each in iana.runs() if each[0].family == family] for family in (4, 6)}
        self.blocks: list[Block] = []
        self.index: dict[Range, int] = {}
        while len(self.blocks) < count:
            family = 6 if random.random() < V6_SHARE else 4
            home, registry = random.choice(homes[family])
            where = random.randrange(home.first, home.last + 1)
            found = Range.of_prefix(family, where >> 8 << 8, min(random.choice(LENGTHS[family]), BITS[family]))
            if found not in self.index and guard.why_not(found) is None:
                self.index[found] = len(self.blocks)
                self.blocks.append(Block(registry, found))

    def __len__(self) -> int:
        return len(self.blocks)


class LightTable:
    """One replica's table (`gossip.replica.Table`): an array over the catalogue instead of a trie.

    `held` is 1 for each block that is here, by the catalogue's numbers.
    """

    __slots__ = ("_index", "_numbers", "count", "held")

    def __init__(self, catalogue: Catalogue) -> None:
        self._index = catalogue.index
        self._numbers = array("I", bytes(4 * len(catalogue)))
        self.held = bytearray(len(catalogue))
        self.count = 0

    def append(self, block: Range, value: str) -> int:
        """Add a block; return its number."""
        at = self._index[block]
        if not self.held[at]:
            self.held[at] = 1
            self._numbers[at] = self.count
            self.count += 1
        return self._numbers[at]

    def number_of(self, block: Range) -> int | None:
        """Return its number in the order of adding."""
        at = self._index.get(block)
        return self._numbers[at] if at is not None and self.held[at] else None

    def __len__(self) -> int:
        return self.count


class OpenedBlocks(Blocks):
    """Blocks that are unpacked once, for all processes of a simulation that take them in."""

    __slots__ = ("_entries",)

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(blocks.packed, len(blocks))
        self._entries = tuple(blocks)

    def __iter__(self) -> Iterator[Block | None]:
        return iter(self._entries)


def opened(message: Discovered) -> Discovered:
    """Return the same message with its blocks unpacked once."""
    if all(isinstance(run.blocks, OpenedBlocks) for run in message.runs):
        return message
    runs = (Run(run.origin, run.first, run.sealed, OpenedBlocks(run.blocks)) for run in message.runs)
    return Discovered(message.crawl, tuple(runs))
