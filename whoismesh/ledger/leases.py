"""What is not settled: pending, leased, awaited or parked behind a question to another registry.

Every unsettled address of the space is in exactly one of these places, and in one registry's only (`Desk.places`
lists them all):

    pending    may be leased; `suspect` is pending whose block gossip may know although its result never arrived
    leased     lent to one worker until its deadline
    awaited    its worker says that it is done; the result should be on its way
    parked     around an address that is asked about elsewhere first (its errand)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.grain import BLOCK_SIZE
from whoismesh.ledger.errands import Errand, Errands
from whoismesh.ledger.losses import LOSSES_TO_GIVE_UP, Losses
from whoismesh.ledger.pool import AimedPool, Pool
from whoismesh.prior import Aim, Aims
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

#: A lease that is not renewed for this long returns what is unsettled. Ten heartbeats (RENEW_S).
LEASE_TTL_S = 20.0
#: How long the results of a returned lease may take to arrive before its gaps are suspect.
AWAIT_S = 10.0
#: Errands of one lease.
ERRANDS_A_LEASE = 32
#: Smallest piece cut from a pending range, addresses by family: what a "not found" closes.
SMALLEST_PIECE = BLOCK_SIZE
#: Pending ranges gathered into one lease where each is smaller than what the worker can do.
RANGES_A_LEASE = 256
#: A lease is not split before it had this long to get going, nor again before the answer and its effect are in.
SPLIT_AFTER_S, SPLIT_AGAIN_S = 1.0, 2.0
#: What an errand parks of pending space, prefix length: after a restart the gap around it may be a whole /8, and that
#: must not wait for one answer.
PARKED_LENGTH = {4: 16, 6: 32}


@dataclass(slots=True)
class Lease:
    """Ranges lent to one worker. `errands` tells that they are single addresses first in line.

    `size` is how many addresses it had when it was granted, `gaps` how many gaps its worker said are left.
    """

    number: int
    origin: int
    registry: str
    ranges: RangeSet
    deadline: float
    errands: bool = False
    verify: bool = False
    granted_at: float = 0.0
    size: int = 0
    gaps: int | None = None
    split_at: float = -math.inf


@dataclass(slots=True)
class Awaited:
    """A lease that is over, and how long its results are waited for."""

    until: float
    lease: Lease


@dataclass(frozen=True, slots=True)
class Taken:
    """What is to be lent: suspect ranges to `verify`, and `alone` what its worker may hold nothing else beside.

    `aims` are the parts that the prior takes for one network each, in the order in which they are to be asked about.
    """

    ranges: RangeSet
    verify: bool
    alone: bool
    aims: tuple[Aim, ...]


class Desk:
    """The unsettled part of a space and who works on it."""

    def __init__(self, unsettled: Callable[[Range], list[Range]], aims: Mapping[str, Aims]) -> None:
        """`unsettled` tells what of a range lies in the space and is not settled (Coverage.unsettled).

        `aims` are the prior's, by registry.
        """
        self.pending = {registry: AimedPool(aims[registry]) for registry in REGISTRIES}
        self.suspect = {registry: Pool() for registry in REGISTRIES}
        self._pools = (*self.pending.values(), *self.suspect.values())
        self.leases: dict[int, Lease] = {}
        self.awaited: list[Awaited] = []
        self.errands = Errands()
        self.losses = Losses()
        self._doomed: dict[Range, Errand] = {}
        self._unsettled = unsettled

    # -- settling and errands -----------------------------------------------------------------------------------

    def settle(self, part: Range) -> None:
        """Take a settled range out of pending and end its errands; what was parked behind them is pending again."""
        left = part.size
        for pool in self._pools:
            left -= pool.remove(part)
            if not left:
                break
        self.losses.settle(part)
        for errand in self.errands.within(part):
            self.errands.end(errand)
            for place, parked in errand.parked:
                self._put(parked, place)

    def send_on_errand(self, errand: Errand, registry: str, gap: Range, home: str) -> None:
        """Have one address asked at `registry` and park the gap around it, as far as it was pending or leased."""
        self.errands.queue(errand, registry)
        self.park(errand, gap, home)

    def park(self, errand: Errand, gap: Range, home: str) -> None:
        """Move what lies around an errand's address within `gap` from the place that holds it behind the errand."""
        family, address = errand.asked.family, errand.asked.first
        for ranges, place, within in self._places_of(home, errand.asked):
            run = ranges.run_at(family, address)
            part = run.overlap(gap) if run is not None else None
            part = part.overlap(within) if part is not None else None
            if part is not None:
                ranges.remove(part)
                errand.parked.append((place, part))
                return

    def _places_of(self, home: str, asked: Range) -> Iterator[tuple[RangeSet, Pool, Range]]:
        """Yield (where a registry's addresses may be, where they go back to, what may be parked of them)."""
        pending, suspect = self.pending[home], self.suspect[home]
        everything = Range(asked.family, 0, MAX_ADDRESS[asked.family])
        for lease in self._of(home, self.leases.values()):
            yield lease.ranges, suspect if lease.verify else pending, everything
        near = Range.of_prefix(asked.family, asked.first, PARKED_LENGTH[asked.family])
        yield pending, pending, near
        yield suspect, suspect, near
        for lease in self._of(home, (awaited.lease for awaited in self.awaited)):
            yield lease.ranges, suspect, everything

    def _of(self, registry: str, leases: Iterable[Lease]) -> Iterator[Lease]:
        return (lease for lease in leases if lease.registry == registry and not lease.errands)

    def _put(self, ranges: Range, place: Pool) -> None:
        for part in self._unsettled(ranges):
            if isinstance(place, AimedPool):
                place.put_back(part)
            else:
                place.add(part)

    def rehome(self, errand: Errand, registry: str) -> None:
        """Let what is parked behind an errand be pending at another registry when it ends."""
        errand.parked = [(self.pending[registry], part) for _, part in errand.parked]

    # -- leases -------------------------------------------------------------------------------------------------

    def due_errands(self, registry: str, now: float, avoid: Callable[[Errand], bool]) -> list[Errand]:
        """Return errands of a registry that nobody works on and whose time has come, without those to `avoid`."""
        return self.errands.due(registry, now, ERRANDS_A_LEASE, avoid)

    def lend(self, lease: Lease, errands: Iterable[Errand] = ()) -> None:
        """Note a new lease; its errands leave the line."""
        self.leases[lease.number] = lease
        for errand in errands:
            self.errands.lend(errand, lease.number)

    def waiting(self, registry: str, family: int) -> int:
        """Count the addresses that may be leased."""
        return self.pending[registry].size_of(family) + self.suspect[registry].size_of(family)

    def anything(self, registry: str, now: float) -> bool:
        """Tell whether anything of a registry may be leased now."""
        return bool(self.pending[registry] or self.suspect[registry] or self.errands.due(registry, now, 1))

    def take_pending(
        self, registry: str, most: dict[int, tuple[int, int]], most_aims: int, idle: Callable[[], bool]
    ) -> Taken | None:
        """Take up to `most_aims` of the prior's aims out of pending, or else about `most` addresses (by family).

        `most` has two numbers: of pending space, and of suspect space.

        None if there is nothing. From a range wider than that, an aligned piece near its middle: so leases of one time
        lie far apart, and their edges are where networks tend to end. What was lost with worker after worker goes
        alone, and only to who is `idle`.
        """
        aims = self.pending[registry].take_aims(most_aims)
        if aims:
            return Taken(RangeSet(aim.range for aim in aims), False, False, tuple(aim for aim in aims if aim.rows))
        for source, verify in ((self.pending[registry], False), (self.suspect[registry], True)):
            if source:
                taken = RangeSet()
                alone = False
                left = {family: each[verify] for family, each in most.items()}
                with closing(source.widest()) as widest:
                    for each in islice(widest, RANGES_A_LEASE):
                        piece = _cut(each, left[each.family]) if not taken else each
                        if taken and piece.size > left[each.family]:
                            break
                        if verify and (worst := self.losses.worst(piece)) is not None:
                            if taken or not idle():
                                continue
                            taken.add(_halve(worst[1]))
                            alone = True
                            break
                        taken.add(piece)
                        left[each.family] -= piece.size
                        if left[each.family] <= 0 or piece != each:
                            break
                for each in taken:
                    source.remove(each)
                if taken:
                    aims = self.pending[registry].aims.inside(taken)
                    return Taken(taken, verify, alone, tuple(aims))
        return None

    def slowest(self, registry: str, now: float, least: Mapping[int, int]) -> Lease | None:
        """Return the lease of a registry that will take longest by its own pace and may be split, or None.

        It has at least so many addresses of a family left.
        """
        slowest, longest_s = None, 0.0
        for lease in self._of(registry, self.leases.values()):
            age_s = now - lease.granted_at
            if age_s < SPLIT_AFTER_S or now - lease.split_at < SPLIT_AGAIN_S or lease.gaps == 0:
                continue
            parts = [part for each in lease.ranges for part in self._unsettled(each)]
            left = sum(part.size for part in parts)
            left_s = math.inf if left >= lease.size else age_s * left / (lease.size - left)
            if parts and left >= least[parts[0].family] and left_s > longest_s:
                slowest, longest_s = lease, left_s
        return slowest

    def take_out(self, lease: Lease, given: Iterable[Range]) -> None:
        """Take ranges out of a lease whose worker gives them back and keeps the rest: they may be leased at once."""
        place = self.suspect if lease.verify else self.pending
        for each in given:
            for part in lease.ranges.present(each):
                lease.ranges.remove(part)
                lease.size -= part.size
                self._put_back(lease, part, place[lease.registry])

    def end_lease(self, lease: Lease, unasked: Iterable[Range], now: float, *, lost: bool = False) -> None:
        """End a lease that its worker gave back: `unasked` may be leased at once, the rest is awaited.

        `lost` tells that it did not give it back but was lost with it.
        """
        del self.leases[lease.number]
        self.take_out(lease, unasked)
        if lost:
            self._note_loss(lease)
        if any(self._unsettled(each) for each in lease.ranges):
            self.awaited.append(Awaited(now + AWAIT_S, lease))

    def expire(self, now: float) -> list[Lease]:
        """End leases that nobody renewed and waits that are over; what they hold is suspect. Return the leases."""
        expired = [lease for lease in self.leases.values() if lease.deadline <= now]
        over = [awaited.lease for awaited in self.awaited if awaited.until <= now]
        if over:
            self.awaited = [awaited for awaited in self.awaited if awaited.until > now]
        for lease in expired:
            del self.leases[lease.number]
            self._note_loss(lease)
        for lease in expired + over:
            for each in lease.ranges:
                self._put_back(lease, each, self.suspect[lease.registry])
        return expired

    def postpone(self, by_s: float) -> None:
        """Move all deadlines: for so long nobody could be heard, so nobody was late."""
        for lease in self.leases.values():
            lease.deadline += by_s
        for awaited in self.awaited:
            awaited.until += by_s

    def hopeless(self) -> Iterator[tuple[str, Range]]:
        """Yield (registry, address) for what is to be given up: workers were lost with it too often, one by one."""
        for asked, errand in self._doomed.items():
            if self.errands.get(asked) is errand:
                yield errand.registry, asked
        self._doomed.clear()
        for each in self.losses.to_give_up() or ():
            if each.size <= SMALLEST_PIECE[each.family]:
                for registry, suspect in self.suspect.items():
                    for part in suspect.present(each):
                        yield registry, Range(part.family, part.first, part.first)

    def _note_loss(self, lease: Lease) -> None:
        if not lease.errands:
            for part in (part for each in lease.ranges for part in self._unsettled(each)):
                self.losses.note(part)
            return
        for errand in (errand for each in lease.ranges for errand in self.errands.within(each)):
            if errand.lease == lease.number:
                errand.losses += 1
                if errand.losses >= LOSSES_TO_GIVE_UP:
                    self._doomed[errand.asked] = errand

    def _put_back(self, lease: Lease, ranges: Range, place: Pool) -> None:
        if not lease.errands:
            self._put(ranges, place)
            return
        for errand in self.errands.within(ranges):
            if errand.lease == lease.number:
                errand.suspect = place is self.suspect[lease.registry]
                self.errands.queue(errand, errand.registry)

    def places(self) -> Iterator[tuple[str, Range]]:
        """Yield (place, range) for all that is unsettled, for audits; settled parts may still be in leases."""
        for registry in REGISTRIES:
            yield from ((f"pending {registry}", each) for each in self.pending[registry])
            yield from ((f"suspect {registry}", each) for each in self.suspect[registry])
        for lease in self.leases.values():
            if not lease.errands:
                yield from ((f"lease {lease.number}", each) for each in lease.ranges)
        for awaited in self.awaited:
            if not awaited.lease.errands:
                yield from ((f"awaited {awaited.lease.number}", each) for each in awaited.lease.ranges)
        for errand in self.errands:
            yield from (("parked", each) for _, each in errand.parked)


def _halve(run: Range) -> Range:
    """Return the lower half of a range, or all of it where it is as small as can be."""
    if run.size <= SMALLEST_PIECE[run.family]:
        return run
    return Range(run.family, run.first, run.first + max(run.size // 2, SMALLEST_PIECE[run.family]) - 1)


def _cut(wide: Range, most: int) -> Range:
    """Return an aligned piece of at most `most` addresses near the middle of a range, or all of it."""
    most = max(most, SMALLEST_PIECE[wide.family])
    if wide.size <= most:
        return wide
    size = 1 << (most.bit_length() - 1)
    first = (wide.first + wide.size // 2) & -size
    return Range(wide.family, max(first, wide.first), min(first + size - 1, wide.last))
