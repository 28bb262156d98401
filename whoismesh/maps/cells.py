"""What each cell of a grid shows: a value for each, as runs along the curve. Pure.

A cell shows what most of its addresses are; of two values with as many, the one that comes first. So a picture of any
size is made in one pass over sorted stretches, and what is kept are runs of cells, not networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from whoismesh.hilbert import Grid

Value = TypeVar("Value", bound=Hashable)


class Run(NamedTuple, Generic[Value]):
    """Cells `first` to `last` along the curve and what they all show."""

    first: int
    last: int
    value: Value


class Cells(Generic[Value]):
    """The cells of a grid, filled in the order of addresses; what is passed over gets the value `gap`.

    `addresses` counts those of the grid's block by value, whether a cell shows them or not.
    """

    def __init__(self, grid: Grid, gap: Value) -> None:
        self.addresses: Counter[Value] = Counter()
        self.runs: list[Run[Value]] = []
        self._first, self._end = grid.block.first, grid.block.last + 1
        self._bits, self._gap = grid.cell_bits, gap
        self._reached = 0  # counted from the block's first address
        self._mixed: dict[Value, int] = {}  # addresses of the cell that is begun

    def add(self, first: int, last: int, value: Value) -> None:
        """Give addresses a value; what lies beyond the block is left out. Raises ValueError if they come late."""
        begin, end = max(first, self._first) - self._first, min(last + 1, self._end) - self._first
        if begin >= end:
            return
        if begin < self._reached:
            raise ValueError("stretches come in order and share no address")
        if begin > self._reached:
            self._put(self._reached, begin, self._gap)
        self._put(begin, end, value)

    def close(self) -> None:
        """Fill the rest with the gap's value."""
        if self._reached < self._end - self._first:
            self._put(self._reached, self._end - self._first, self._gap)

    def _put(self, begin: int, end: int, value: Value) -> None:
        self._reached = end
        self.addresses[value] += end - begin
        bits, mixed = self._bits, self._mixed
        if mixed:
            cell = (begin - 1) >> bits
            cell_end = (cell + 1) << bits
            mixed[value] = mixed.get(value, 0) + min(end, cell_end) - begin
            if end < cell_end:
                return
            self._show(cell, cell, max(mixed, key=mixed.__getitem__))
            mixed.clear()
            begin = cell_end
        after = end >> bits
        if after > begin >> bits:
            self._show(begin >> bits, after - 1, value)
            begin = after << bits
        if begin < end:
            mixed[value] = end - begin

    def _show(self, first: int, last: int, value: Value) -> None:
        if self.runs and self.runs[-1].value == value:
            first = self.runs.pop().first
        self.runs.append(Run(first, last, value))
