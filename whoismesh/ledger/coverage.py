"""Which addresses of the space are settled, and how: the coverage of a crawl.

Every address of the space is in exactly one of `held` (a network), `unallocated`, `failed`, `reserved`, or it is not
settled; `delegated` is the part of `unallocated` that was settled by published files. A network outranks "unallocated"
and "failed": an answer that names a holder is believed over one that knew of none. Where small registrations turn up,
free blocks around that were closed at a glance are opened again (`grain`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whoismesh import iana
from whoismesh.addresses import BITS, Range
from whoismesh.grain import FINE_BLOCK_LENGTH, FINEST_GRAIN, Grain, smallest_block
from whoismesh.rangesets import RangeSet

#: Free blocks that were closed at a glance are kept by the prefix of so many bits around them, to be found again.
CELL_LENGTH = {4: 16, 6: 24}
#: Prefix length of what is never opened again: nothing seen near it makes it smaller.
FINEST = {4: FINE_BLOCK_LENGTH, 6: FINEST_GRAIN}


class Coverage:
    """The settled part of a space, by kind. Starts with special-purpose space settled as reserved."""

    __slots__ = ("_at_a_glance", "_grain", "delegated", "failed", "held", "reserved", "settled", "space", "unallocated")

    def __init__(self, space: Iterable[Range]) -> None:
        self.space = RangeSet(space)
        self.held = RangeSet()
        self.unallocated = RangeSet()
        self.delegated = RangeSet()
        self.failed = RangeSet()
        self.reserved = RangeSet()
        for each in self.space:
            for part, registry in iana.by_registry(each):
                if registry is None:
                    self.reserved.add(part)
        self.settled = self.reserved.copy()
        self._grain = Grain()
        #: By cell, of each address asked in it: the length of the prefix that was closed around it.
        self._at_a_glance: dict[Range, dict[int, int]] = {}

    def settle_network(self, found: Range) -> list[Range]:
        """Settle a network; return its parts in the space, without what is reserved."""
        if not self.space.covers(found):
            parts = [gap for part in self.space.present(found) for gap in self.reserved.missing(part)]
        elif self.settled.add(found) == found.last - found.first + 1:  # all of it is new, as most networks are
            self.held.add(found)
            return [found]
        else:
            parts = self.reserved.missing(found)
        for part in parts:
            self.held.add(part)
            self.unallocated.remove(part)
            self.delegated.remove(part)
            self.failed.remove(part)
            self.settled.add(part)
        return parts

    def reopen_around(self, found: Range) -> list[Range]:
        """Open again what was closed at a glance in neighbourhoods that a network shows to be finely registered.

        Return what is unsettled now and was not before.
        """
        reopened = []
        for neighbourhood, length in self._grain.note(found):
            for cell, asked in self._glances(neighbourhood):
                before = cell[asked.first]
                if before >= length:
                    continue
                cell[asked.first] = length
                looked_at = Range.of_prefix(asked.family, asked.first, length)
                closed = Range.of_prefix(asked.family, asked.first, before).overlap(neighbourhood)
                kept = RangeSet([looked_at])
                for part in self.unallocated.present(closed) if closed is not None else ():
                    reopened += [each for free in self.delegated.missing(part) for each in kept.missing(free)]
        for part in reopened:
            self.unallocated.remove(part)
            self.settled.remove(part)
        return reopened

    def settle_empty(self, asked: Range) -> list[Range]:
        """Settle the block around an address that no registry knows; return what was not settled before."""
        block = self._grain.empty_block(asked, self.held)
        length = BITS[asked.family] + 1 - block.size.bit_length()
        if length < FINEST[asked.family]:
            cell = Range.of_prefix(asked.family, asked.first, CELL_LENGTH[asked.family])
            self._at_a_glance.setdefault(cell, {})[asked.first] = length
        return self._settle(self.unallocated, block)

    def _glances(self, neighbourhood: Range) -> Iterator[tuple[dict[int, int], Range]]:
        """Yield (cell, address) for what was closed at a glance around addresses in a neighbourhood."""
        family, first, last = neighbourhood
        step = 1 << BITS[family] - CELL_LENGTH[family]
        for at in range(first & -step, last + 1, step):
            cell = self._at_a_glance.get(Range(family, at, at + step - 1), {})
            yield from ((cell, Range(family, each, each)) for each in cell if first <= each <= last)

    def settle_delegated(self, free: Range) -> list[Range]:
        """Settle what the prior calls free; return what was not settled before."""
        parts = self._settle(self.unallocated, free)
        for part in parts:
            self.delegated.add(part)
        return parts

    def settle_failed(self, asked: Range) -> list[Range]:
        """Settle the block around an address that could not be looked up; return what was not settled before."""
        block = self._grain.empty_block(asked, self.held)
        return self._settle(self.failed, min(block, smallest_block(asked), key=lambda each: each.size))

    def reopen_failed(self) -> list[Range]:
        """Open again what could not be looked up; return it."""
        reopened = list(self.failed)
        for part in reopened:
            self.failed.remove(part)
            self.settled.remove(part)
        return reopened

    def _settle(self, kind: RangeSet, block: Range) -> list[Range]:
        open_parts = [gap for part in self.space.present(block) for gap in self.settled.missing(part)]
        for part in open_parts:
            kind.add(part)
            self.settled.add(part)
        return open_parts

    def unsettled(self, within: Range) -> list[Range]:
        """Return the parts of a range that lie in the space and are not settled."""
        return [gap for part in self.space.present(within) for gap in self.settled.missing(part)]

    def gap_at(self, family: int, address: int) -> Range | None:
        """Return the widest unsettled range of the space around an address, or None if it is settled or outside."""
        around = self.space.run_at(family, address)
        gap = self.settled.gap_at(family, address)
        return around.overlap(gap) if around and gap else None

    @property
    def complete(self) -> bool:
        """Tell whether no address of the space is left."""
        return self.settled.size == self.space.size
