"""Addresses that may be leased, the widest range first.

A set of ranges that also knows their order by size: thousands of leases are cut from it, and looking through all of it
for each would make the coordinator the bottleneck of a large mesh. The heap holds outdated entries beside the true
ones; they are dropped when they come up, or all at once when they are most of it.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Generator

from whoismesh.addresses import Range
from whoismesh.prior import Aim, Aims
from whoismesh.rangesets import RangeSet

#: The heap is made anew when it is about this many times longer than the set, and longer than that anyway.
MOST_OUTDATED, LEAST_HEAP = 4, 256
#: After so many changes between two looks the heap is made anew.
MOST_TOUCHED = 1_000


class Pool(RangeSet):
    """A set of addresses with its ranges in order: IPv4 before IPv6, then the widest first, then by address."""

    __slots__ = ("_heap", "_touched")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []
        # Where the set has changed since the heap was last looked at: results come by the thousand between leases.
        self._touched: list[Range] = []
        super().__init__()

    def add(self, added: Range) -> int:
        """Add a range, merging it with what it touches or overlaps. Return how many addresses are new."""
        self._touch(added)
        return super().add(added)

    def remove(self, removed: Range) -> int:
        """Take a range out; what is not in the set is ignored. Return how many addresses went."""
        family, first, last = removed
        gone = self._runs[family].remove(first, last)  # not by super(): ten pools are asked for each result
        if gone:
            self._touch(removed)
        return gone

    def widest(self) -> Generator[Range, None, None]:
        """Yield the ranges in order. Close the generator before the set is changed."""
        self._order()
        seen: list[tuple[int, int, int]] = []
        try:
            while self._heap:
                entry = heapq.heappop(self._heap)
                found = self.run_at(entry[0], entry[2])
                if found is None or (seen and entry == seen[-1]) or _entry(found) != entry:
                    continue
                seen.append(entry)
                yield found
        finally:
            for entry in seen:
                heapq.heappush(self._heap, entry)

    def _touch(self, changed: Range) -> None:
        if len(self._touched) < MOST_TOUCHED:
            self._touched.append(changed)

    def _order(self) -> None:
        """Bring the heap up to date: what lies at and beside the places that have changed."""
        touched, self._touched = self._touched, []
        if len(touched) == MOST_TOUCHED or len(self._heap) + len(touched) > max(LEAST_HEAP, MOST_OUTDATED * len(self)):
            self._heap = sorted(_entry(each) for each in self)
            return
        for family, first, last in touched:
            for address in (first - 1, first, last + 1):
                run = self.run_at(family, address)
                if run is not None:
                    heapq.heappush(self._heap, _entry(run))


class AimedPool(Pool):
    """A pool that knows what the prior takes for one network, and gives these parts away first, the largest first."""

    __slots__ = ("_left", "aims")

    def __init__(self, aims: Aims) -> None:
        self.aims = aims
        places = Counter[int]()
        self._left = []
        for each, _ in aims:
            self._left.append((each.family, -each.size, places[each.family]))
            places[each.family] += 1
        heapq.heapify(self._left)
        super().__init__()

    def put_back(self, part: Range) -> None:
        """Add a range that was in the pool before; its aims are open again, as far as it has them."""
        self.add(part)
        for place in self.aims.places(part):
            common = self.aims.get(part.family, place).range.overlap(part)
            if common is not None:
                heapq.heappush(self._left, (part.family, -common.size, place))

    def take_aims(self, most: int) -> list[Aim]:
        """Take up to about so many aims out of the pool, those of which most is left first.

        Of one that an answer has cut, which so was no network, take what is left as gaps: no questions are due to it.
        """
        taken: list[Aim] = []
        while self._left and len(taken) < most:
            family, _, place = heapq.heappop(self._left)
            aim = self.aims.get(family, place)
            for part in self.present(aim.range):
                self.remove(part)
                taken.append(aim if part == aim.range else Aim(part, 0))
        return taken

    @property
    def aims_left(self) -> int:
        """About how many aims are in the pool: some may be settled."""
        return len(self._left)


def _entry(found: Range) -> tuple[int, int, int]:
    return found.family, -found.size, found.first
