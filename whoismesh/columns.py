"""Many addresses in little memory: columns of integers without an object for each.

An IPv4 address takes 4 bytes, an IPv6 address 16, beside 40 and 56 in a list. A column reads like a list of integers;
`search` is `bisect_left` for it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any, overload

_LOW = (1 << 64) - 1


class WideColumn:
    """Integers of 128 bits: one array for their upper halves, one for their lower."""

    __slots__ = ("_highs", "_lows")

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._highs, self._lows = array("Q"), array("Q")
        for each in numbers:
            self.append(each)

    def append(self, number: int) -> None:
        """Add one at the end. Raises OverflowError if it has more than 128 bits."""
        self._highs.append(number >> 64)
        self._lows.append(number & _LOW)

    def search(self, number: int) -> int:
        """Return where the number is or belongs; the column is in ascending order."""
        high = number >> 64
        index = bisect_left(self._highs, high)
        if index == len(self._highs) or self._highs[index] != high:
            return index
        return bisect_left(self._lows, number & _LOW, index, bisect_right(self._highs, high, index))

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> WideColumn: ...
    def __getitem__(self, key: int | slice) -> int | WideColumn:
        if isinstance(key, slice):
            part = WideColumn()
            part._highs, part._lows = self._highs[key], self._lows[key]
            return part
        return self._highs[key] << 64 | self._lows[key]

    def insert(self, index: int, number: int) -> None:
        """Put one before the one at `index`."""
        self._highs.insert(index, number >> 64)
        self._lows.insert(index, number & _LOW)

    def __setitem__(self, index: int, number: int) -> None:
        self._highs[index], self._lows[index] = number >> 64, number & _LOW

    def __delitem__(self, part: slice) -> None:
        del self._highs[part], self._lows[part]

    def __len__(self) -> int:
        return len(self._highs)


def narrow_column(numbers: Iterable[int] = ()) -> array[int]:
    """Return a column of integers of 32 bits."""
    return array("I", numbers)


#: The column of a family's addresses, and how to search it.
COLUMN: dict[int, Callable[..., Any]] = {4: narrow_column, 6: WideColumn}
SEARCH: dict[int, Callable[[Any, int], int]] = {4: bisect_left, 6: WideColumn.search}
