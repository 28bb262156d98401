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

#: The heap is made anew when it is this many times longer than the set, and longer than that anyway.
MOST_OUTDATED, LEAST_HEAP = 4, 256


class Pool(RangeSet):
    """A set of addresses with its ranges in order: IPv4 before IPv6, then the widest first, then by address."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []
        super().__init__()

    def add(self, added: Range) -> None:
        """Add a range, merging it with what it touches or overlaps."""
        super().add(added)
        self._push(added.family, added.first)

    def remove(self, removed: Range) -> None:
        """Take a range out; what is not in the set is ignored."""
        if self.meets(removed):
            super().remove(removed)
            self._push(removed.family, removed.first - 1)
            self._push(removed.family, removed.last + 1)

    def widest(self) -> Generator[Range, None, None]:
        """Yield the ranges in order. Close the generator before the set is changed."""
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

    def _push(self, family: int, address: int) -> None:
        run = self.run_at(family, address)
        if run is not None:
            heapq.heappush(self._heap, _entry(run))
            if len(self._heap) > max(LEAST_HEAP, MOST_OUTDATED * len(self)):
                self._heap = sorted(_entry(each) for each in self)


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
            each, _ = self.aims.get(part.family, place)
            heapq.heappush(self._left, (each.family, -each.size, place))

    def take_aims(self, most: int) -> list[Aim]:
        """Take up to about so many aims out of the pool; of each what is left of it, which may be several parts."""
        taken: list[Aim] = []
        while self._left and len(taken) < most:
            family, _, place = heapq.heappop(self._left)
            aim = self.aims.get(family, place)
            for part in self.present(aim.range):
                self.remove(part)
                taken.append(Aim(part, aim.rows))
        return taken

    @property
    def aims_left(self) -> int:
        """About how many aims are in the pool: some may be settled."""
        return len(self._left)


def _entry(found: Range) -> tuple[int, int, int]:
    return found.family, -found.size, found.first
