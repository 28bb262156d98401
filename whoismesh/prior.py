"""The prior: what registries publish about whom they gave space to, used to aim lookups. Pure: rows to aims.

Rules of this file:
- A row that somebody holds is a hint: its first address is asked before anything else. Where the file is old or wrong
that costs lookups and no exactness.
- A row that nobody holds says so itself: it is believed, and no question is asked. Held by one file and free by
another, a block is asked about.
- Rows next to each other of one registry, opaque id and date are very likely one network (ARIN cuts an organisation's
range into CIDR rows), so they are one aim.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from whoismesh.addresses import Range
from whoismesh.columns import COLUMN, SEARCH
from whoismesh.delegated import HELD, Delegation
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

#: Rows that are joined into one aim at most: what fits a count of 16 bits. The longest real one of 2018 has 72.
MOST_ROWS = 65_535


class Aim(NamedTuple):
    """A range that the prior takes for one network. It was put together from so many `rows`.

    So many questions it is worth, each at the first address that is open then; what is left after them is a gap.
    """

    range: Range
    rows: int


class Aims:
    """Aims of one registry, disjoint and in order, kept as columns: 10 bytes each for IPv4, 34 for IPv6."""

    __slots__ = ("_firsts", "_lasts", "_rows")

    def __init__(self, aims: Iterable[Aim] = ()) -> None:
        self._firsts = {family: column() for family, column in COLUMN.items()}
        self._lasts = {family: column() for family, column in COLUMN.items()}
        self._rows = {family: array("H") for family in COLUMN}
        for (family, first, last), rows in aims:
            self._firsts[family].append(first)
            self._lasts[family].append(last)
            self._rows[family].append(rows)

    def get(self, family: int, index: int) -> Aim:
        """Return one by its place among those of its family."""
        where = Range(family, self._firsts[family][index], self._lasts[family][index])
        return Aim(where, self._rows[family][index])

    def at(self, family: int, address: int) -> Aim | None:
        """Return the aim that holds an address, or None."""
        return next(self.meeting(Range(family, address, address)), None)

    def meeting(self, part: Range) -> Iterator[Aim]:
        """Yield the aims that have an address in common with a range, in order."""
        for index in self.places(part):
            yield self.get(part.family, index)

    def places(self, part: Range) -> range:
        """Return the places, among those of its family, of the aims that have an address in common with a range."""
        search = SEARCH[part.family]
        begin = search(self._lasts[part.family], part.first)
        return range(begin, search(self._firsts[part.family], part.last + 1))

    def inside(self, ranges: Iterable[Range]) -> list[Aim]:
        """Return what of the aims lies in ranges, the largest first."""
        found = [
            Aim(common, aim.rows)
            for each in ranges
            for aim in self.meeting(each)
            if (common := aim.range.overlap(each)) is not None
        ]
        return sorted(found, key=lambda aim: (aim.range.family, -aim.range.size, aim.range.first))

    def __iter__(self) -> Iterator[Aim]:
        for family, firsts in self._firsts.items():
            for index in range(len(firsts)):
                yield self.get(family, index)

    def __len__(self) -> int:
        return sum(map(len, self._firsts.values()))


@dataclass(frozen=True, slots=True)
class Prior:
    """What published files say of a space.

    `aims` has those of each registry, `free` what nobody holds, by what the files call it: (registry, status).
    """

    aims: dict[str, Aims] = field(default_factory=lambda: {registry: Aims() for registry in REGISTRIES})
    free: dict[tuple[str, str], RangeSet] = field(default_factory=dict)


def prior_of(rows: Iterable[Delegation], space: RangeSet) -> Prior:
    """Return the prior that rows make for a space; rows outside it are passed over.

    Where held rows overlap, the first (the widest of those that begin together) has what they share.
    """
    held: list[Delegation] = []
    free: dict[tuple[str, str], list[Range]] = {}
    for row in rows:
        if not space.meets(row.range):
            continue
        if row.held:
            held.append(row)
        elif row.status not in HELD:  # IANA's own are special-purpose space
            free.setdefault((row.registry, row.status), []).append(row.range)
    held.sort(key=lambda row: (row.range.family, row.range.first, -row.range.last))
    joined: dict[str, list[Aim]] = {registry: [] for registry in REGISTRIES}
    taken: list[Range] = []
    before: Delegation | None = None
    for row in held:
        part = _beyond(taken, row.range)
        if part is None:
            continue
        aims = joined[row.registry]
        if before is not None and part == row.range and _continues(before, row) and aims[-1].rows < MOST_ROWS:
            aims[-1] = Aim(Range(part.family, aims[-1].range.first, part.last), aims[-1].rows + 1)
        else:
            aims.append(Aim(part, 1))
        taken.append(part)
        before = row if part == row.range else None
    asked = RangeSet(_merged(taken))
    unasked: dict[tuple[str, str], RangeSet] = {}
    for kind, ranges in free.items():
        # Held by one file, free by another: not free. Free by two, it is so by the first.
        unasked[kind] = RangeSet(part for each in _merged(sorted(ranges)) for part in asked.missing(each))
        for each in unasked[kind]:
            asked.add(each)
    return Prior({registry: Aims(aims) for registry, aims in joined.items()}, unasked)


def _beyond(before: list[Range], where: Range) -> Range | None:
    """Return what of a range lies beyond those before it, which are in order, or None."""
    if not before or before[-1].family != where.family or before[-1].last < where.first:
        return where
    first = before[-1].last + 1
    return Range(where.family, first, where.last) if first <= where.last else None


def _merged(ranges: Iterable[Range]) -> Iterator[Range]:
    """Yield sorted ranges merged: sets are quick with few of them, and most of hundreds of thousands touch."""
    run: Range | None = None
    for each in ranges:
        if run is not None and run.family == each.family and each.first <= run.last + 1:
            run = Range(run.family, run.first, max(run.last, each.last))
            continue
        if run is not None:
            yield run
        run = each
    if run is not None:
        yield run


def _continues(before: Delegation, row: Delegation) -> bool:
    """Tell whether two rows next to each other are one network, as far as the file tells."""
    return (
        before.holder != ""
        and (before.registry, before.holder, before.date) == (row.registry, row.holder, row.date)
        and before.range.family == row.range.family
        and before.range.last + 1 == row.range.first
    )
