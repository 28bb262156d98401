"""Rows that lie in one another: which holds an address most closely, what is around a range and what is below it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from whoismesh.addresses import Range
from whoismesh.errors import ConfigError
from whoismesh.practice.row import Row


class NestedRows:
    """Rows of one family in the order of their first addresses, the wider before the narrower.

    Any two of them are disjoint, or one lies in the other. Raises ConfigError where two overlap in another way, or have
    one range.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = sorted(rows, key=lambda row: (row.range.first, -row.range.last))
        self._firsts = [row.range.first for row in self._rows]
        #: The index of the row that each lies in most closely, -1 for none.
        self._around: list[int] = []
        open_rows: list[int] = []
        for index, row in enumerate(self._rows):
            while open_rows and self._rows[open_rows[-1]].range.last < row.range.first:
                open_rows.pop()
            if open_rows:
                before = self._rows[open_rows[-1]].range
                if before == row.range or not before.contains(row.range):
                    raise ConfigError(f"rows overlap: {before} and {row.range}; let one lie in the other")
            self._around.append(open_rows[-1] if open_rows else -1)
            open_rows.append(index)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def around(self, wanted: Range) -> list[Row]:
        """Return the rows that hold a whole range, the narrowest first; one of just this range is among them."""
        index = bisect_right(self._firsts, wanted.first) - 1
        found = []
        while index >= 0:
            if self._rows[index].range.contains(wanted):
                found.append(self._rows[index])
            index = self._around[index]
        return found

    def below(self, wanted: Range) -> Iterator[Row]:
        """Yield the rows that lie in a range, in order, but one of just this range."""
        for index in range(bisect_left(self._firsts, wanted.first), len(self._rows)):
            row = self._rows[index]
            if row.range.first > wanted.last:
                return
            if wanted.contains(row.range) and row.range != wanted:
                yield row

    def children(self, wanted: Range) -> Iterator[Row]:
        """Yield the rows below a range that lie in no other row below it."""
        reached = -1
        for row in self.below(wanted):
            if row.range.first > reached:
                reached = row.range.last
                yield row
