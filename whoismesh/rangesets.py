"""Sets of addresses kept as merged ranges: coverage, what is missing from it, the next gap.

Rules of this file: ranges of one set never touch or overlap (touching ones are merged), so a set has one
representation. Two sorted lists a family; a change costs a bisection and one list splice.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from whoismesh.addresses import MAX_ADDRESS, Range


class RangeSet:
    """A mutable set of addresses of both families.

    >>> covered = RangeSet([Range.parse("10.0.0.0/9")])
    >>> covered.missing(Range.parse("10.0.0.0/8"))
    [Range(family=4, first=176160768, last=184549375)]
    """

    __slots__ = ("_firsts", "_lasts", "_sizes")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: dict[int, list[int]] = {4: [], 6: []}
        self._lasts: dict[int, list[int]] = {4: [], 6: []}
        self._sizes = {4: 0, 6: 0}
        for each in ranges:
            self.add(each)

    def add(self, added: Range) -> None:
        """Add a range, merging it with what it touches or overlaps."""
        family, first, last = added
        firsts, lasts = self._firsts[family], self._lasts[family]
        low = bisect_left(lasts, first - 1)
        high = bisect_right(firsts, last + 1, low)
        gone = 0
        for index in range(low, high):
            gone += lasts[index] - firsts[index] + 1
        if low < high:
            first, last = min(first, firsts[low]), max(last, lasts[high - 1])
        firsts[low:high] = [first]
        lasts[low:high] = [last]
        self._sizes[family] += last - first + 1 - gone

    def remove(self, removed: Range) -> None:
        """Take a range out; what is not in the set is ignored."""
        family, first, last = removed
        firsts, lasts = self._firsts[family], self._lasts[family]
        low = bisect_left(lasts, first)
        high = bisect_right(firsts, last, low)
        if low == high:
            return
        gone = 0
        for index in range(low, high):
            gone += lasts[index] - firsts[index] + 1
        kept = []
        if firsts[low] < first:
            kept.append((firsts[low], first - 1))
        if lasts[high - 1] > last:
            kept.append((last + 1, lasts[high - 1]))
        firsts[low:high] = [piece[0] for piece in kept]
        lasts[low:high] = [piece[1] for piece in kept]
        self._sizes[family] += sum(piece[1] - piece[0] + 1 for piece in kept) - gone

    def present(self, within: Range) -> list[Range]:
        """Return the parts of `within` that are in the set, in order."""
        family, first, last = within
        firsts, lasts = self._firsts[family], self._lasts[family]
        found = []
        index = bisect_left(lasts, first)
        while index < len(firsts) and firsts[index] <= last:
            found.append(Range(family, max(first, firsts[index]), min(last, lasts[index])))
            index += 1
        return found

    def missing(self, within: Range) -> list[Range]:
        """Return the parts of `within` that are not in the set (its gaps), in order."""
        family, first, last = within
        firsts, lasts = self._firsts[family], self._lasts[family]
        found = []
        index = bisect_left(lasts, first)
        while first <= last:
            if index == len(firsts) or firsts[index] > last:
                found.append(Range(family, first, last))
                break
            if firsts[index] > first:
                found.append(Range(family, first, firsts[index] - 1))
            first = lasts[index] + 1
            index += 1
        return found

    def holds(self, family: int, address: int) -> bool:
        """Tell whether one address is in the set."""
        index = bisect_left(self._lasts[family], address)
        return index < len(self._firsts[family]) and self._firsts[family][index] <= address

    def covers(self, within: Range) -> bool:
        """Tell whether all of `within` is in the set."""
        index = bisect_left(self._lasts[within.family], within.last)
        return index < len(self._firsts[within.family]) and self._firsts[within.family][index] <= within.first

    def meets(self, other: Range) -> bool:
        """Tell whether any address of `other` is in the set."""
        index = bisect_left(self._lasts[other.family], other.first)
        return index < len(self._firsts[other.family]) and self._firsts[other.family][index] <= other.last

    def run_at(self, family: int, address: int) -> Range | None:
        """Return the whole merged range of the set that holds the address, or None."""
        index = bisect_left(self._lasts[family], address)
        if index < len(self._firsts[family]) and self._firsts[family][index] <= address:
            return Range(family, self._firsts[family][index], self._lasts[family][index])
        return None

    def gap_at(self, family: int, address: int) -> Range | None:
        """Return the whole gap of the set that holds the address, or None if the address is in the set."""
        index = bisect_left(self._lasts[family], address)
        firsts, lasts = self._firsts[family], self._lasts[family]
        if index < len(firsts) and firsts[index] <= address:
            return None
        first = lasts[index - 1] + 1 if index else 0
        last = firsts[index] - 1 if index < len(firsts) else MAX_ADDRESS[family]
        return Range(family, first, last)

    def next_gap(self, family: int, address: int) -> int | None:
        """Return the first address at or after `address` that is not in the set, or None past the family's end."""
        index = bisect_left(self._lasts[family], address)
        if index < len(self._firsts[family]) and self._firsts[family][index] <= address:
            address = self._lasts[family][index] + 1
        return address if address <= MAX_ADDRESS[family] else None

    @property
    def size(self) -> int:
        """Count of addresses of both families."""
        return self._sizes[4] + self._sizes[6]

    def size_of(self, family: int) -> int:
        """Count of addresses of one family."""
        return self._sizes[family]

    def copy(self) -> RangeSet:
        """Return a set of its own with the same addresses."""
        twin = RangeSet()
        twin._firsts = {family: list(firsts) for family, firsts in self._firsts.items()}
        twin._lasts = {family: list(lasts) for family, lasts in self._lasts.items()}
        twin._sizes = dict(self._sizes)
        return twin

    def __iter__(self) -> Iterator[Range]:
        for family in (4, 6):
            for first, last in zip(self._firsts[family], self._lasts[family], strict=True):
                yield Range(family, first, last)

    def __len__(self) -> int:
        """Count of merged ranges, not of addresses (see `size`)."""
        return len(self._firsts[4]) + len(self._firsts[6])

    def __bool__(self) -> bool:
        return bool(self._firsts[4] or self._firsts[6])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet([{', '.join(map(str, self))}])"
