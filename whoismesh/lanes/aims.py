"""What of a lane's leases the prior takes for one network each, and where it is to be asked about.

An aim is asked about at its first open address, once for each row that it was put together from: an answer that names
less than the aim leaves the rest for the next question. What is open after that is a gap like any other. Two aims are
asked about at the same time also where they touch, because the prior says that they are two networks.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence

from whoismesh.addresses import Range
from whoismesh.prior import Aim
from whoismesh.rangesets import RangeSet


class LaneAims:
    """The aims in which something is open. `open_space` is the lane's, and changes under this object."""

    def __init__(self, open_space: RangeSet) -> None:
        self._open = open_space
        self._ordered: list[Range] = []
        self._questions: dict[Range, int] = {}
        self._heap: list[tuple[int, int, Range]] = []

    def add(self, aims: Iterable[Aim]) -> None:
        """Take in the aims of a lease whose ranges are open by now, as far as they are not known."""
        for where, rows in aims:
            if where not in self._questions and rows and self._open.meets(where):
                insort(self._ordered, where)
                self._questions[where] = rows
                heapq.heappush(self._heap, (where.family, -where.size, where))

    def at(self, family: int, address: int) -> Range | None:
        """Return the aim that holds an address, or None."""
        index = bisect_right(self._ordered, (family, address, float("inf"))) - 1
        if index >= 0 and self._ordered[index].holds(family, address):
            return self._ordered[index]
        return None

    def closed(self, block: Range) -> None:
        """Forget the aims in which nothing is open any more, now that a block was closed."""
        for aim in self._meeting(block):
            if not self._open.meets(aim):
                del self._ordered[bisect_left(self._ordered, aim)]
                self._questions.pop(aim, None)

    def wrong(self, family: int, address: int) -> None:
        """Note that nobody holds an address: what is open of its aim is a gap from now on."""
        aim = self.at(family, address)
        if aim is not None:
            self._questions.pop(aim, None)

    def next_address(self, asking: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
        """Return (family, address) in the largest aim that is to be asked about and in which nothing is being asked."""
        busy = []
        found = None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            aim = entry[2]
            if aim not in self._questions:
                continue
            if any(aim.holds(*each) for each in asking):
                busy.append(entry)
                continue
            parts = self._open.present(aim)
            if not parts:
                del self._questions[aim]  # another one lies over it, which no coordinator says
                continue
            self._questions[aim] -= 1
            if self._questions[aim]:
                busy.append(entry)
            else:
                del self._questions[aim]
            found = aim.family, parts[0].first
        for entry in busy:
            heapq.heappush(self._heap, entry)
        return found

    def parts(self, gap: Range) -> list[Range]:
        """Return a gap cut where aims begin and end."""
        cut = []
        first = gap.first
        for aim in self._meeting(gap):
            if aim.first > first:
                cut.append(Range(gap.family, first, aim.first - 1))
            cut.append(Range(gap.family, max(first, aim.first), min(aim.last, gap.last)))
            first = aim.last + 1
        if first <= gap.last:
            cut.append(Range(gap.family, first, gap.last))
        return cut

    def _meeting(self, block: Range) -> list[Range]:
        """Return the aims that have an address in common with a range, in order."""
        index = bisect_right(self._ordered, (block.family, block.first, float("inf"))) - 1
        index = max(index, 0)
        found = []
        for aim in self._ordered[index:]:
            if (aim.family, aim.first) > (block.family, block.last):
                break
            if aim.overlap(block) is not None:
                found.append(aim)
        return found

    def __len__(self) -> int:
        """Count of the aims that are to be asked about."""
        return len(self._questions)
