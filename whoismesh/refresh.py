"""What of an older dump a crawl takes over instead of asking again. Pure: sorted records in, what is kept out.

Rules of this file:
- Networks in one another, or overlapping, are a family. One is taken over whole or not at all: an answer closes a whole
network, so what lies in a kept one could not be asked about any more. A descent finds a family at one time, so its
networks are of about one age.
- Old is what was fetched too long ago, or at a time not told. What nobody held is asked about again: that is where new
networks turn up.
- Published statistics say that a network has changed where they call any of it free, name another registry, have it
registered since, or cut across it. That a holder sold it without a new date they do not tell.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.delegated import HELD, Delegation
from whoismesh.networks import Network, Record
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

#: The clocks of two hosts may differ by so much, seconds; what is fetched later than that has no true time.
CLOCKS_APART_S = 86_400.0


class Left(StrEnum):
    """Why a network of an older dump is not taken over."""

    OLD = "old"  #: fetched too long ago
    CHANGED = "changed"  #: the prior says so
    RELATED = "related"  #: it lies in one that is old or has changed, or around it
    OUTSIDE = "outside"  #: not in the space of the crawl
    MALFORMED = "malformed"  #: cannot be true


class Kept(NamedTuple):
    """A network to take over, which settles its range, and those that lie in it."""

    network: Network
    inside: tuple[Network, ...]


def kept(
    records: Iterable[Record], space: RangeSet, why_left: Callable[[Network], Left | None], left: Counter[str]
) -> Iterator[Kept]:
    """Yield what is taken over: the families of which nothing is left out. What is left out is counted by its reason.

    Records come sorted, as a dump has them.
    """
    family: list[Network] = []
    reached = (0, -1)
    for record in records:
        if not isinstance(record, Network):
            continue
        reason = _unfit(record, space)
        if reason is not None:
            left[reason] += 1
            continue
        where = record.range
        if family and (where.family, where.first) > reached:
            yield from _of_family(family, why_left, left)
            family = []
        reached = max(reached, (where.family, where.last))
        family.append(record)
    yield from _of_family(family, why_left, left)


def _unfit(record: Network, space: RangeSet) -> Left | None:
    if not space.meets(record.range):
        return Left.OUTSIDE
    fits = record.registry in REGISTRIES and iana.is_plausible(record.range)
    return None if fits else Left.MALFORMED


def _of_family(family: list[Network], why_left: Callable[[Network], Left | None], left: Counter[str]) -> Iterator[Kept]:
    reasons = list(map(why_left, family))
    if any(reasons):
        left.update(reason or Left.RELATED for reason in reasons)
        return
    found: dict[Range, tuple[Network, list[Network]]] = {}
    for record in sorted(family, key=lambda each: (-each.range.size, each.range.first)):
        around = next((each for each in found if each.contains(record.range)), None)
        if around is None:
            found[record.range] = record, []
        else:
            found[around][1].append(record)
    for network, inside in found.values():
        yield Kept(network, tuple(inside))


class Freshness:
    """Tells what is old or has changed, at a point in time (seconds since 1970), by age and by published statistics.

    Of the statistics' rows, held and free, `latest` keeps what it needs; they may overlap.
    """

    def __init__(self, now: float, older_than_s: float, latest: Iterable[Delegation] = ()) -> None:
        self._oldest, self._newest = max(now - older_than_s, 0.0), now + CLOCKS_APART_S
        self._rows: dict[int, list[Delegation]] = {4: [], 6: []}
        for row in latest:
            if row.registry != "iana":
                self._rows[row.range.family].append(row)
        self._lasts: dict[int, list[int]] = {}
        for family, rows in self._rows.items():
            rows.sort(key=lambda row: row.range)
            # The farthest end so far: sorted, and no row before the one that is found reaches an address.
            farthest = -1
            self._lasts[family] = [farthest := max(farthest, row.range.last) for row in rows]

    def why_left(self, record: Network) -> Left | None:
        """Return why a network is not taken over, or None."""
        if not (self._oldest <= record.fetched_at <= self._newest and record.fetched_at > 0):
            return Left.OLD
        day = datetime.fromtimestamp(record.fetched_at, UTC).strftime("%Y%m%d")
        if any(_contradicts(row, record, day) for row in self._meeting(record.range)):
            return Left.CHANGED
        return None

    def _meeting(self, where: Range) -> Iterator[Delegation]:
        rows = self._rows[where.family]
        for index in range(bisect_left(self._lasts[where.family], where.first), len(rows)):
            row = rows[index]
            if row.range.first > where.last:
                return
            if row.range.last >= where.first:
                yield row


def _contradicts(row: Delegation, record: Network, day: str) -> bool:
    """Tell whether a row says that a network fetched on a day (YYYYMMDD) is another one by now."""
    if row.status not in HELD or row.registry != record.registry:
        return True
    if row.date and row.date >= day:
        return True
    return not (row.range.contains(record.range) or record.range.contains(row.range))
