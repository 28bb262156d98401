"""One dump of two. Pure: two sorted streams of records in, one out.

What wins where both tell something:

1. Of records of one range the newer one, and of equally old ones that of the second dump. What both have is in once.
2. A record is left out if newer records of the other dump answer for all of its addresses: what has been split, joined
   or given back since is not kept beside what it has become. But a dump of depth `allocations` does not look into
   networks, so its wider records say nothing against a network that lies in another one in its own dump.
3. Everything else is in.

A network is as old as its `fetched_at`, what nobody holds as its dump's `written_at`; what failed is older than
anything.
So a dump merged with itself is itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from whoismesh.addresses import Range
from whoismesh.depth import ASSIGNMENTS
from whoismesh.networks import Network, Record
from whoismesh.segments import overlaid, place, segments


class Side(NamedTuple):
    """One of the dumps: its records in order, and what its header says."""

    records: Iterable[Record]
    written_at: float
    depth: str


@dataclass(slots=True, eq=False)
class _Entry:
    """A record on its way. `fate` is None until it is known whether it is kept."""

    record: Record
    range: Range
    at: float
    last: int
    fate: bool | None = None


def merged(first: Side, second: Side) -> Iterator[Record]:
    """Yield the records of both in order, without those that are superseded.

    What is held meanwhile are the records under one whose fate is not known yet: at worst all that lies in a network.
    Raises ValueError if records are not in order.
    """
    waiting: tuple[deque[_Entry], deque[_Entry]] = (deque(), deque())
    sides = (first, second)

    def entries(number: int) -> Iterator[_Entry]:
        side = sides[number]
        for record in side.records:
            entry = _Entry(record, record.range, _time(record, side), place(record.range.family, record.range.last))
            waiting[number].append(entry)
            yield entry

    for begins, ends, *over in overlaid(segments(entries(0)), segments(entries(1))):
        for number in (0, 1):
            mine, others = over[number], over[1 - number]
            for entry in mine:
                if entry.fate is None:
                    entry.fate = _fate(entry, mine, others, sides[1 - number], second_side=number == 1)
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


def _decided(waiting: tuple[deque[_Entry], deque[_Entry]], reached: int | None) -> Iterator[Record]:
    """Yield what is kept of both queues, in order, as far as it is decided and nothing earlier can come any more."""
    while True:
        heads = [queue[0] for queue in waiting if queue]
        if not heads:
            return
        entry = min(heads, key=lambda each: each.range)
        if entry.fate is None or (reached is not None and place(entry.range.family, entry.range.first) > reached):
            return
        queue = waiting[0] if waiting[0] and waiting[0][0] is entry else waiting[1]
        queue.popleft()
        if entry.fate:
            yield entry.record
