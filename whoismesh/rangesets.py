"""Sets of addresses kept as merged ranges: coverage, what is missing from it, the next gap.

Rules of this file: ranges of one set never touch or overlap (touching ones are merged), so a set has one
representation. A family's ranges lie in order in pieces of bounded length, each two columns: first addresses and last
addresses. So a range of IPv4 takes 8 bytes and one of IPv6 32, and a change costs two bisections and the splice of
one piece, however many ranges there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.columns import COLUMN, SEARCH

#: Most ranges in a piece; a fuller one is cut in two. Measured with 200,000 ranges: from 64 to 1,024 changes and
#: questions take the same time. Long pieces are slow to splice, short ones cost memory.
PIECE_RANGES = 512


class _Runs:
    """The merged ranges of one family. `tops` has the last address of each piece; no piece is empty."""

    __slots__ = ("column", "firsts", "lasts", "search", "size", "tops")

    def __init__(self, family: int) -> None:
        self.column, self.search = COLUMN[family], SEARCH[family]
        self.tops: list[int] = []
        self.firsts: list[Any] = []
        self.lasts: list[Any] = []
        self.size = 0

    def at(self, address: int) -> tuple[int, int] | None:
        """Return the first range that ends at or after the address."""
        piece = bisect_left(self.tops, address)
        if piece == len(self.tops):
            return None
        lasts = self.lasts[piece]
        index = self.search(lasts, address)
        return self.firsts[piece][index], lasts[index]

    def since(self, address: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges in order from the first one that ends at or after the address."""
        piece = bisect_left(self.tops, address)
        start = self.search(self.lasts[piece], address) if piece < len(self.tops) else 0
        for at in range(piece, len(self.tops)):
            firsts, lasts = self.firsts[at], self.lasts[at]
            for index in range(start, len(firsts)):
                yield firsts[index], lasts[index]
            start = 0

    def end_before(self, address: int) -> int:
        """Return the last address of the last range that ends before the address, or -1."""
        piece = bisect_left(self.tops, address)
        index = self.search(self.lasts[piece], address) if piece < len(self.tops) else 0
        if index:
            return int(self.lasts[piece][index - 1])
        return self.tops[piece - 1] if piece else -1

    def add(self, first: int, last: int) -> int:
        """Add a range, merging it with what it touches or overlaps. Return how many addresses are new."""
        if not self.tops:
            self.tops, self.size = [last], last - first + 1
            self.firsts, self.lasts = [self.column([first])], [self.column([last])]
            return self.size
        low, index, high, end = self._between(first - 1, last + 1)
        if low == high and index == end:
            self._insert(low, index, first, last)
            return last - first + 1
        had = self.size
        first, last = min(first, self.firsts[low][index]), max(last, self.lasts[high][end - 1])
        self._delete(low, index + 1, high, end)
        firsts, lasts = self.firsts[low], self.lasts[low]
        self.size += (last - lasts[index]) + (firsts[index] - first)
        firsts[index], lasts[index] = first, last
        if index == len(lasts) - 1:
            self.tops[low] = last
        return self.size - had

    def remove(self, first: int, last: int) -> int:
        """Take a range out; what is not there is ignored. Return how many addresses went."""
        tops = self.tops
        low = bisect_left(tops, first)
        if low == len(tops):
            return 0
        index = self.search(self.lasts[low], first)
        before, after = self.firsts[low][index], self.lasts[low][index]
        if before > last:
            return 0
        had = self.size
        if after < last:  # it is not all in one range
            low, index, high, end = self._between(first, last)
            after = self.lasts[high][end - 1]
            self._delete(low, index + 1, high, end)
            self.size -= self.lasts[low][index] - before + 1
        else:
            self.size -= after - before + 1
        # One range of the piece is left of what the two meet; it becomes what of it lies before or after, or goes.
        if before < first:
            self._put(low, index, before, first - 1)
            if after > last:
                self._insert(low, index + 1, last + 1, after)
        elif after > last:
            self._put(low, index, last + 1, after)
        else:
            del self.firsts[low][index : index + 1], self.lasts[low][index : index + 1]
            if not self.lasts[low]:
                del self.firsts[low], self.lasts[low], tops[low]
            else:
                tops[low] = self.lasts[low][-1]
        return had - self.size

    def _put(self, piece: int, index: int, first: int, last: int) -> None:
        """Put a range in the place of one whose addresses are not counted any more."""
        firsts, lasts = self.firsts[piece], self.lasts[piece]
        firsts[index], lasts[index] = first, last
        self.size += last - first + 1
        if index == len(lasts) - 1:
            self.tops[piece] = last

    def _between(self, first: int, last: int) -> tuple[int, int, int, int]:
        """Return where the ranges are that meet first to last.

        That is piece and index of the first of them, then piece of the last one and the index after it; if there are
        none, both are where they would be.
        """
        tops = self.tops
        low = bisect_left(tops, first)
        if low == len(tops):
            end = len(self.lasts[-1])
            return low - 1, end, low - 1, end
        index = self.search(self.lasts[low], first)
        if last <= tops[low]:
            if self.firsts[low][index] > last:
                return low, index, low, index
            return low, index, low, self.search(self.firsts[low], last + 1)
        high = min(bisect_left(tops, last, low), len(tops) - 1)
        end = self.search(self.firsts[high], last + 1)
        if high > low and end == 0:
            high -= 1
            end = len(self.firsts[high])
        return low, index, high, end

    def _insert(self, piece: int, index: int, first: int, last: int) -> None:
        """Put a range in, and cut the piece in two if it has become too long."""
        firsts, lasts = self.firsts[piece], self.lasts[piece]
        firsts.insert(index, first)
        lasts.insert(index, last)
        self.size += last - first + 1
        if len(lasts) > PIECE_RANGES:
            half = len(lasts) // 2
            self.firsts[piece : piece + 1] = firsts[:half], firsts[half:]
            self.lasts[piece : piece + 1] = lasts[:half], lasts[half:]
            self.tops[piece : piece + 1] = lasts[half - 1], lasts[-1]
        elif index == len(lasts) - 1:
            self.tops[piece] = last

    def _delete(self, low: int, index: int, high: int, end: int) -> None:
        """Take out the ranges from `index` of piece `low` to before `end` of piece `high`."""
        if low == high and index == end:
            return
        for piece in range(low, high + 1):
            part = slice(index if piece == low else 0, end if piece == high else None)
            firsts, lasts = self.firsts[piece][part], self.lasts[piece][part]
            self.size -= sum(lasts) - sum(firsts) + len(firsts)
        if low < high:
            del self.firsts[high][:end], self.lasts[high][:end]
            gone = slice(low + 1, high if self.lasts[high] else high + 1)
            del self.firsts[gone], self.lasts[gone], self.tops[gone]
            end = len(self.lasts[low])
        del self.firsts[low][index:end], self.lasts[low][index:end]
        if self.lasts[low]:
            self.tops[low] = self.lasts[low][-1]

    def take_over(self, other: _Runs) -> None:
        """Become what the other is, in columns of its own."""
        self.tops, self.size = other.tops[:], other.size
        self.firsts, self.lasts = [each[:] for each in other.firsts], [each[:] for each in other.lasts]

    def __len__(self) -> int:
        return sum(map(len, self.firsts))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for firsts, lasts in zip(self.firsts, self.lasts, strict=True):
            yield from zip(firsts, lasts, strict=True)


class RangeSet:
    """A mutable set of addresses of both families.

    >>> covered = RangeSet([Range.parse("10.0.0.0/9")])
    >>> covered.missing(Range.parse("10.0.0.0/8"))
    [Range(family=4, first=176160768, last=184549375)]
    """

    __slots__ = ("_runs",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._runs = {4: _Runs(4), 6: _Runs(6)}
        for each in ranges:
            self.add(each)

    def add(self, added: Range) -> int:
        """Add a range, merging it with what it touches or overlaps. Return how many addresses are new."""
        family, first, last = added
        return self._runs[family].add(first, last)

    def remove(self, removed: Range) -> int:
        """Take a range out; what is not in the set is ignored. Return how many addresses went."""
        family, first, last = removed
        return self._runs[family].remove(first, last)

    def present(self, within: Range) -> list[Range]:
        """Return the parts of `within` that are in the set, in order."""
        family, first, last = within
        found = []
        for run_first, run_last in self._runs[family].since(first):
            if run_first > last:
                break
            found.append(Range(family, max(first, run_first), min(last, run_last)))
        return found

    def missing(self, within: Range) -> list[Range]:
        """Return the parts of `within` that are not in the set (its gaps), in order."""
        family, first, last = within
        found = []
        for run_first, run_last in self._runs[family].since(first):
            if run_first > last:
                break
            if run_first > first:
                found.append(Range(family, first, run_first - 1))
            first = run_last + 1
        if first <= last:
            found.append(Range(family, first, last))
        return found

    def holds(self, family: int, address: int) -> bool:
        """Tell whether one address is in the set."""
        runs = self._runs[family]
        piece = bisect_left(runs.tops, address)
        if piece == len(runs.tops):
            return False
        return bool(runs.firsts[piece][runs.search(runs.lasts[piece], address)] <= address)

    def covers(self, within: Range) -> bool:
        """Tell whether all of `within` is in the set."""
        run = self._runs[within.family].at(within.last)
        return run is not None and run[0] <= within.first

    def meets(self, other: Range) -> bool:
        """Tell whether any address of `other` is in the set."""
        run = self._runs[other.family].at(other.first)
        return run is not None and run[0] <= other.last

    def run_at(self, family: int, address: int) -> Range | None:
        """Return the whole merged range of the set that holds the address, or None."""
        run = self._runs[family].at(address)
        return Range(family, *run) if run is not None and run[0] <= address else None

    def gap_at(self, family: int, address: int) -> Range | None:
        """Return the whole gap of the set that holds the address, or None if the address is in the set."""
        runs = self._runs[family]
        run = runs.at(address)
        if run is None:
            return Range(family, runs.end_before(address) + 1, MAX_ADDRESS[family])
        return Range(family, runs.end_before(address) + 1, run[0] - 1) if run[0] > address else None

    def next_gap(self, family: int, address: int) -> int | None:
        """Return the first address at or after `address` that is not in the set, or None past the family's end."""
        runs = self._runs[family]
        piece = bisect_left(runs.tops, address)
        if piece < len(runs.tops):
            lasts = runs.lasts[piece]
            index = runs.search(lasts, address)
            if runs.firsts[piece][index] <= address:
                address = lasts[index] + 1
        return address if address <= MAX_ADDRESS[family] else None

    @property
    def size(self) -> int:
        """Count of addresses of both families."""
        return self._runs[4].size + self._runs[6].size

    def size_of(self, family: int) -> int:
        """Count of addresses of one family."""
        return self._runs[family].size

    def copy(self) -> RangeSet:
        """Return a set of its own with the same addresses."""
        twin = RangeSet()
        for family, runs in self._runs.items():
            twin._runs[family].take_over(runs)
        return twin

    def __iter__(self) -> Iterator[Range]:
        for family, runs in self._runs.items():
            for first, last in runs:
                yield Range(family, first, last)

    def __len__(self) -> int:
        """Count of merged ranges, not of addresses (see `size`)."""
        return len(self._runs[4]) + len(self._runs[6])

    def __bool__(self) -> bool:
        return bool(self._runs[4].tops or self._runs[6].tops)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self.size == other.size and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet([{', '.join(map(str, self))}])"
