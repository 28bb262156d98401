"""One dump of two. Pure: two sorted streams of records in, one out.

What wins where both tell something:

1. Of records of one range the newer one, and of equally old ones that of the second dump. What both have is in once.
2. A record is left out if newer records of the other dump answer for all of its addresses: what has been split, joined
   or given back since is not kept beside what it has become. But a dump of depth `allocations` does not look into
   networks, so its wider records say nothing against a network that lies in another one in its own dump.
3. Of a range that nobody holds only the parts stay for which rule 2 would not leave it out: it is no registration.
4. Everything else is in.

A network is as old as its `fetched_at`, what nobody holds as its dump's `written_at`; what failed is older than
anything.
So a dump merged with itself is itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import NamedTuple

from whoismesh.addresses import Range
from whoismesh.depth import ASSIGNMENTS
from whoismesh.networks import Network, Record
from whoismesh.segments import overlaid, place, range_of, segments


class Side(NamedTuple):
    """One of the dumps: its records in order, and what its header says."""

    records: Iterable[Record]
    written_at: float
    depth: str


@dataclass(slots=True, eq=False)
class _Entry:
    """A record on its way. `fate` is None until it is known whether it is kept.

    Of a range that nobody holds, `parts` are the stretches (first and last place) that are kept.
    """

    record: Record
    range: Range
    at: float
    last: int
    fate: bool | None = None
    parts: list[tuple[int, int]] = field(default_factory=list)

    def __lt__(self, other: _Entry) -> bool:
        return self.range < other.range

    def keep_part(self, first: int, last: int) -> None:
        """Keep a stretch, which follows those that are kept already."""
        if self.parts and self.parts[-1][1] + 1 == first:
            self.parts[-1] = self.parts[-1][0], last
        else:
            self.parts.append((first, last))


def merged(first: Side, second: Side) -> Iterator[Record]:
    """Yield the records of both in order, without those that are superseded.

    What is held meanwhile are the records under one whose fate is not known yet: at worst all that lies in a network.
    Raises ValueError if records are not in order.
    """
    waiting: list[_Entry] = []  # a heap, by range
    sides = (first, second)

    def entries(number: int) -> Iterator[_Entry]:
        side = sides[number]
        for record in side.records:
            entry = _Entry(record, record.range, _time(record, side), place(record.range.family, record.range.last))
            heappush(waiting, entry)
            yield entry

    for begins, ends, *over in overlaid(segments(entries(0)), segments(entries(1))):
        for number in (0, 1):
            mine, others = over[number], over[1 - number]
            for entry in mine:
                if entry.fate is None:
                    fate = _fate(entry, mine, others, sides[1 - number], second_side=number == 1)
                    if fate and not isinstance(entry.record, Network) and entry.range not in (e.range for e in others):
                        entry.keep_part(begins, ends)
                        fate = None
                    entry.fate = fate
                    if entry.fate is None and entry.last <= ends:
                        entry.fate = False
        yield from _decided(waiting, begins)
    yield from _decided(waiting, None)


def _time(record: Record, side: Side) -> float:
    if isinstance(record, Network):
        return record.fetched_at
    return side.written_at if record.kind != "failed" else float("-inf")


def _fate(
    entry: _Entry, mine: tuple[_Entry, ...], others: tuple[_Entry, ...], other: Side, *, second_side: bool
) -> bool | None:
    """Return whether an entry is kept, by one stretch of it; None if something newer answers there."""
    equals = [each.at for each in others if each.range == entry.range]
    if any(each.record == entry.record for each in others):
        return second_side
    if equals:
        return entry.at > max(equals) or (second_side and entry.at == max(equals))
    if not others or others[0].at <= entry.at:
        return True
    answer = others[0]
    nested = len(mine) > 1 and mine[-1] is not entry
    wider = answer.range.contains(entry.range)
    return True if nested and wider and other.depth != ASSIGNMENTS else None


def _decided(waiting: list[_Entry], reached: int | None) -> Iterator[Record]:
    """Yield what is kept, in order, as far as it is decided and nothing earlier can come any more."""
    while waiting and (entry := waiting[0]).fate is not None:
        if reached is not None and place(entry.range.family, entry.range.first) > reached:
            return
        heappop(waiting)
        if entry.fate:
            yield entry.record
        # The parts begin later than the whole, so they take their turn among what waits.
        for first, last in entry.parts:
            part = range_of(first, last)
            if part == entry.range:
                yield entry.record
            else:
                heappush(waiting, _Entry(replace(entry.record, range=part), part, entry.at, last, fate=True))
