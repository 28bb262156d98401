"""One registry at one worker: its gaps, what to ask next, and the pace.

Rules of this file:
- Coarse to fine: the largest gap first, at its middle (IPv6: where its widest block begins). Large networks are most of
the space, and an answer closes the whole range.
- What the prior aims at comes first (`aims`), and an aim that a gap holds is a gap of its own.
- A lease is good for so many questions; then what is untouched of it goes back, for there may be larger gaps elsewhere.
- One lookup a gap: two addresses of one gap may lie in one network, two gaps never do.
- A lookup needs a free connection, the host's own pace and, unless the registry is unlimited, a permit whose time has
come.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from whoismesh.addresses import Range
from whoismesh.answers import Answer
from whoismesh.answers.disagreement import Claim
from whoismesh.compounds import LeaseGrant
from whoismesh.grain import BLOCK_SIZE
from whoismesh.lanes.aims import LaneAims
from whoismesh.lanes.coordinator_clock import CoordinatorClock
from whoismesh.lanes.descent import Question
from whoismesh.ledger.budgets import BORNE_LATENESS_S, DEALT_SHARE, MOST_REQUESTED
from whoismesh.networks import Network
from whoismesh.rangesets import RangeSet

#: A permit that could not be used for so long has lapsed: late lookups must not bunch up with punctual ones. Of the
#: lateness that a budget bears go off what the way to the registry varies by and what the coordinator's time is unsure
#: by. Where nothing is left (the coordinator is far away) a permit has to be usable all the same.
LAPSE_S, VARYING_WAY_S, SHORTEST_LAPSE_S = 0.025, 0.008, 0.005
#: Lookups whose permits are asked for in advance, in seconds of what this host can do.
AHEAD_S = 1.0
#: More gaps than this many for each connection, and no new lease is asked for.
GAPS_A_CONNECTION = 2
#: A second lease is asked for while the first is worked off; more would be hoarding, with nothing left for a worker
#: that joins.
LEASES_AT_ONCE = 2
#: After a registry could not be reached, the wait doubles from the first to the second, seconds.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
#: Pace is measured over at most this many answers, of at most the last so many seconds.
PACE_ANSWERS, PACE_S = 200, 60.0
#: Weight of the newest lookup in the mean time of a lookup.
NEWEST_WEIGHT = 0.1


@dataclass(slots=True)
class Lookup:
    """One question on its way: where it stands in the order of protocols, and how often it was tried.

    `part` is the network of an answer that was cut short. `claims` is what each protocol has said, `known` the answer
    that settles the question whatever the other protocol, which is asked for comparison, says now. `question` is set
    where it is one of the descent of that number, and `address` then the first of its range.
    """

    number: int
    registry: str
    family: int
    address: int
    protocol: int = 0
    url: str | None = None
    hops: tuple[str, ...] = ()
    tries: int = 0
    not_before: float = 0.0
    asked_at: float = 0.0
    part: Network | None = None
    claims: dict[str, Claim] = field(default_factory=dict)
    known: Answer | None = None
    question: Question | None = None
    descent: int = 0

    @property
    def asked(self) -> Range:
        """The address as a range."""
        return Range(self.family, self.address, self.address)


@dataclass(slots=True)
class HeldLease:
    """A lease of ours. `left` are the ranges in which there may still be a gap, `questions` how many it is good for."""

    grant: LeaseGrant
    ranges: RangeSet
    left: list[Range]
    questions: float


class Lane:
    """The worker's state for one registry."""

    def __init__(
        self, registry: str, protocols: tuple[str, ...], host_rate: float, connections: int, compare: float = 0.0
    ) -> None:
        self.registry = registry
        self.protocols = protocols
        self.connections = connections
        self.compare = compare
        self.open = RangeSet()
        #: Gaps in networks that are being descended into: not asked about, and not through with either.
        self.held = RangeSet()
        self.aims = LaneAims(self.open)
        self.leases: dict[int, HeldLease] = {}
        self.lookups: dict[int, Lookup] = {}
        self.again: list[Lookup] = []
        self.unlimited = False
        self.closed = False
        self.wished = False
        self.leases_ended = 0
        self.wanted = 0
        self.paused_until = 0.0
        self.limited_until = 0.0
        self.pauses = 0
        self.failing: set[tuple[int, int]] = set()
        #: What permits are timed by; the engine has one for all lanes.
        self.clock = CoordinatorClock()
        self._permits: deque[float] = deque()
        #: The gaps in which nothing is being asked, and outdated entries. Others come back with the answer.
        self._heap: list[tuple[int, int, int, int]] = []
        #: Whether anything has changed since leases were last looked through: for what is to go back, for their end.
        self._look_for_spent = self._look_for_ended = True
        self._host_gap_s = 1 / (host_rate * DEALT_SHARE)
        self._host_free_at = 0.0
        self._answered: deque[float] = deque(maxlen=PACE_ANSWERS)
        self._networks = 0
        self._lookup_s = 0.0

    # -- gaps ---------------------------------------------------------------------------------------------------

    def add_lease(self, grant: LeaseGrant, known: RangeSet) -> int:
        """Take a lease in; open what of it is not known. Return how many of its ranges were known, at least in part."""
        if grant.lease in self.leases:
            return 0
        hits = 0
        for each in grant.ranges:
            self._take_over(each)
            gaps = [each] if grant.verify else known.missing(each)
            hits += gaps != [each]
            for gap in gaps:
                self.open.add(gap)
                self._push(self.open.run_at(gap.family, gap.first))
                if grant.first_in_line:
                    self.again.append(Lookup(0, self.registry, gap.family, gap.first))
        self.aims.add(grant.aims)
        self._look_for_spent = self._look_for_ended = True
        self.leases[grant.lease] = HeldLease(
            grant, RangeSet(grant.ranges), list(grant.ranges), grant.questions or math.inf
        )
        return hits

    def _take_over(self, lent: Range) -> None:
        """Let a range that is lent anew be no other lease's any more.

        What an answer had pointed elsewhere with comes back so, and the lease that it was in would give it back.
        """
        for lease in self.leases.values():
            if lease.ranges.meets(lent):
                lease.ranges.remove(lent)
                lease.left = list(lease.ranges)
                self._look_for_ended = True

    def close(self, block: Range) -> bool:
        """Take a block out of the gaps; return whether it touched any."""
        was_held = self.held.meets(block)
        if was_held:
            self.held.remove(block)
            self._look_for_ended = True
        if not self.open.meets(block):
            return was_held
        self._look_for_spent = self._look_for_ended = True
        before = self.open.run_at(block.family, block.first - 1) if block.first else None
        after = self.open.run_at(block.family, block.last + 1)
        self.open.remove(block)
        if before is not None:
            self._push(self.open.run_at(block.family, block.first - 1))
        if after is not None:
            self._push(self.open.run_at(block.family, block.last + 1))
        self.aims.closed(block)
        return True

    def hold(self, network: Range) -> None:
        """Ask no more about the gaps in a network until they are closed or released: it is being descended into."""
        gaps = self.open.present(network) + self.held.present(network)
        self.close(network)
        for gap in gaps:
            self.held.add(gap)

    def release(self, block: Range) -> None:
        """Make the held parts of a block gaps again."""
        for part in self.held.present(block):
            self.held.remove(part)
            self.open.add(part)
            self._push(self.open.run_at(part.family, part.first))
            self._look_for_spent = True

    def give_up(self, lookup: Lookup) -> None:
        """Close the gap around an address, as far as its lease reaches: the coordinator decides what becomes of it."""
        gap = self.gap_around(lookup)
        for lease in self.leases.values():
            leased = lease.ranges.run_at(lookup.family, lookup.address)
            if gap is not None and leased is not None:
                common = gap.overlap(leased)
                if common is not None:
                    self.close(common)
                    return
        self.close(lookup.asked)

    def gap_around(self, lookup: Lookup) -> Range | None:
        """Return what an answer to a lookup may close: the gap around it, and of an aim no more than that."""
        gap = self.open.run_at(lookup.family, lookup.address)
        aim = self.aims.at(lookup.family, lookup.address)
        return gap if gap is None or aim is None else gap.overlap(aim)

    def _push(self, gap: Range | None) -> None:
        if gap is not None:
            heapq.heappush(self._heap, (-gap.size, gap.family, gap.first, gap.last))

    def _pop_gap(self, addresses: list[tuple[int, int]]) -> Range | None:
        """Return the largest gap in which nothing is being asked, or None."""
        while self._heap:
            gap = Range(*heapq.heappop(self._heap)[1:])
            if self.open.run_at(gap.family, gap.first) == gap and not any(gap.holds(*each) for each in addresses):
                return gap
        return None

    # -- the next question --------------------------------------------------------------------------------------

    def next_lookup(self, number: int, now: float) -> Lookup | None:
        """Return the next question if one may be asked now, and count it as being asked."""
        if self.closed or now < self.paused_until or len(self.lookups) >= self.connections:
            return None
        if not self._may_ask(now):
            return None
        lookup = self._waiting(now) or self._new()
        if lookup is None:
            return None
        for lease in self.leases.values() if lookup.question is None else ():
            if lease.ranges.holds(lookup.family, lookup.address):
                lease.questions -= 1
                self._look_for_spent |= lease.questions <= 0
        lookup.number, lookup.asked_at = number, now
        if not self.unlimited:
            self._permits.popleft()
        self._host_free_at = max(self._host_free_at, now) + self._host_gap_s
        self.lookups[lookup.number] = lookup
        return lookup

    def _may_ask(self, now: float) -> bool:
        if self._permits:
            lapsed = now - self._lapse_s - self.clock.here(0.0)
            while self._permits and self._permits[0] < lapsed:
                self._permits.popleft()
        if now < self._host_free_at - LAPSE_S:
            return False
        return self.unlimited or bool(self._permits and self.clock.here(self._permits[0]) <= now)

    @property
    def _lapse_s(self) -> float:
        return max(SHORTEST_LAPSE_S, min(LAPSE_S, BORNE_LATENESS_S - VARYING_WAY_S - self.clock.unsure_s))

    def _waiting(self, now: float) -> Lookup | None:
        self.again = [each for each in self.again if each.question or self.open.holds(each.family, each.address)]
        for index, lookup in enumerate(self.again):
            if lookup.not_before <= now and not self._is_asked_around(lookup):
                return self.again.pop(index)
        return None

    def _is_asked_around(self, lookup: Lookup) -> bool:
        """Tell whether an answer about the same gap is on its way: it may settle this question too."""
        gap = self.gap_around(lookup)
        return gap is not None and any(gap.holds(each.family, each.address) for each in self.lookups.values())

    def _new(self) -> Lookup | None:
        if not self._heap and not self.aims:
            return None
        asking = [(each.family, each.address) for each in (*self.lookups.values(), *self.again)]
        aimed = self.aims.next_address(asking)
        if aimed is not None:
            return Lookup(0, self.registry, *aimed)
        gap = self._pop_gap(asking)
        if gap is None:
            return None
        return Lookup(0, self.registry, gap.family, _middle(gap) if gap.family == 4 else _roundest(gap))

    def take_lookup(self, number: int, now: float) -> Lookup | None:
        """Return a question whose answer came, or None if it is not one of ours; its connection is free again."""
        lookup = self.lookups.pop(number, None)
        if lookup is not None:
            self._look_for_spent = True
            self._push(self.open.run_at(lookup.family, lookup.address))
            self._lookup_s += NEWEST_WEIGHT * (now - lookup.asked_at - self._lookup_s)
        return lookup

    def answered(self, now: float) -> None:
        """Note an answer, of whatever kind: the registry is there."""
        self._answered.append(now)
        self.failing.clear()
        self.pauses = 0

    def is_to_compare(self, lookup: Lookup, now: float) -> bool:
        """Tell whether a network that was found is of the share that the next protocol is asked about too."""
        if lookup.protocol or len(self.protocols) < 2 or self.closed or now < self.paused_until:
            return False
        self._networks += 1
        return int(self._networks * self.compare) > int((self._networks - 1) * self.compare)

    def pause(self, now: float) -> float:
        """Wait longer each time; return the wait in seconds."""
        wait_s: float = min(FIRST_PAUSE_S * 2**self.pauses, LONGEST_PAUSE_S)
        self.pauses += 1
        self.paused_until = max(self.paused_until, now + wait_s)
        return wait_s

    # -- permits and leases -------------------------------------------------------------------------------------

    def permit(self, times_s: Iterable[float]) -> None:
        """Take permits in, for these times of the coordinator's clock. They end an unlimited registry's freedom."""
        self.unlimited = False
        before = len(self._permits)
        self._permits.extend(times_s)
        self.wanted = max(0, self.wanted - len(self._permits) + before)

    def revoke_permits(self) -> None:
        """Drop the permits, and an unlimited registry's freedom: somebody was told to slow down."""
        self.unlimited = False
        self.forget_permits()

    def forget_permits(self) -> None:
        """Drop the permits and the wish for more: whoever gave them counts anew."""
        self._permits.clear()
        self.wanted = 0

    def permits_to_request(self, now: float) -> int | None:
        """Return how many permits to ask for now (0 takes the wish back), or None if the last wish still stands."""
        if self.unlimited or not self.clock.is_known:
            return None
        # A gap in which something is being asked may split in two or close: a permit for it would often lapse.
        questions = sum(each.question is not None for each in self.again)
        usable = min(self._askable + questions, self._most_ahead)
        if self.closed or now < self.paused_until:
            usable = 0
        missing = usable - len(self._permits)
        if usable > 0 and (missing <= 0 or missing < 2 * self.wanted):
            return None
        if usable <= 0 and not self.wanted:
            return None
        self.wanted = max(missing, 0)
        return self.wanted

    @property
    def _askable(self) -> int:
        """About how many questions there are beside those on their way: a gap may hold many aims.

        One that is to be asked again is asked, whatever its lease is good for: its gap does not go back.
        """
        good_for = sum(max(0, lease.questions) for lease in self.leases.values())
        good_for += sum(each.question is None for each in self.again)
        return int(min(good_for, max(len(self.open) - self._in_gaps, len(self.aims))))

    @property
    def _in_gaps(self) -> int:
        """How many of the questions on their way are about gaps."""
        return sum(each.question is None for each in self.lookups.values())

    @property
    def _most_ahead(self) -> int:
        """How many lookups this host can do in the time that permits are asked for ahead: one not used is lost."""
        gap_s = max(self._host_gap_s, self._lookup_s / self.connections)
        if gap_s * MOST_REQUESTED <= AHEAD_S:
            return MOST_REQUESTED
        return min(math.ceil(AHEAD_S / gap_s) + self.connections, MOST_REQUESTED)

    def hungry(self, now: float) -> bool:
        """Tell whether another lease is wanted."""
        if self.closed or self.wished or not self.connections:
            return False
        if now < self.paused_until or len(self.leases) >= LEASES_AT_ONCE:
            return False
        return self._askable + self._in_gaps <= self.connections * GAPS_A_CONNECTION

    def finished_leases(self) -> Iterator[int]:
        """Yield (and drop) leases in which no gap is left."""
        if not self._look_for_ended:
            return
        self._look_for_ended = False
        for number, lease in list(self.leases.items()):
            while lease.left and not (self.open.meets(lease.left[-1]) or self.held.meets(lease.left[-1])):
                lease.left.pop()
            if not lease.left:
                del self.leases[number]
                self.leases_ended += 1
                yield number

    def drop_lease(self, number: int) -> None:
        """Forget a lease that is not ours any more, with its gaps."""
        lease = self.leases.pop(number, None)
        if lease is not None:
            self.leases_ended += 1
            kept = RangeSet(each for other in self.leases.values() for each in other.ranges)
            for each in lease.ranges:
                for part in kept.missing(each):
                    self.close(part)

    def gaps_of(self, lease: HeldLease) -> int:
        """Count the gaps that are left in a lease."""
        return sum(len(self.open.present(each)) + len(self.held.present(each)) for each in lease.ranges)

    def give_back_half(self, number: int) -> tuple[Range, ...]:
        """Take the upper half of what is untouched out of a lease and return it: few seams, and none in a lookup."""
        lease = self.leases.get(number)
        if lease is None:
            return ()
        untouched = self._untouched(lease)
        half = sum(gap.size for gap in untouched) // 2
        passed, given = 0, []
        for gap in untouched:
            if passed >= half:
                given.append(gap)
            elif (
                passed + gap.size > half
                and gap.size > BLOCK_SIZE[gap.family]
                and self.aims.at(gap.family, gap.first) is None
            ):  # a smaller one, and an aim, goes whole or not at all
                middle = _middle(gap)
                if middle > gap.first:
                    given.append(Range(gap.family, middle, gap.last))
            passed += gap.size
        self._let_go(lease, given)
        return tuple(given)

    def give_back_spent(self) -> Iterator[tuple[int, tuple[Range, ...]]]:
        """Take what is untouched out of leases that had their questions; yield (lease, ranges)."""
        if not self._look_for_spent:
            return
        self._look_for_spent = False
        for number, lease in self.leases.items():
            if lease.questions > 0:
                continue
            # It gets no new gaps, and is looked through with each answer until it is over.
            lease.ranges = RangeSet(
                part for each in lease.ranges for part in (*self.open.present(each), *self.held.present(each))
            )
            given = self._untouched(lease)
            if given:
                self._let_go(lease, given)
                yield number, tuple(RangeSet(given))

    def _untouched(self, lease: HeldLease) -> list[Range]:
        """Return the gaps of a lease in which nothing is being asked, nor will be asked again."""
        waiting = [(each.family, each.address) for each in self.again]
        return [gap for gap in self.unasked(lease) if not any(gap.holds(*address) for address in waiting)]

    def _let_go(self, lease: HeldLease, given: Iterable[Range]) -> None:
        for each in given:
            lease.ranges.remove(each)
            self.close(each)
        kept = tuple(aim for aim in lease.grant.aims if lease.ranges.meets(aim.range))
        lease.grant = replace(lease.grant, ranges=tuple(lease.ranges), aims=kept)

    def unasked(self, lease: HeldLease) -> tuple[Range, ...]:
        """Return the gaps of a lease in which nothing is being asked, cut where aims begin and end."""
        asking = [(each.family, each.address) for each in self.lookups.values()]
        gaps = [part for each in lease.ranges for gap in self.open.present(each) for part in self.aims.parts(gap)]
        return tuple(gap for gap in gaps if not any(gap.holds(*address) for address in asking))

    def pace(self, now: float) -> float:
        """Return answers a second of late, 0 if not known."""
        while self._answered and self._answered[0] < now - PACE_S:
            self._answered.popleft()
        if len(self._answered) < 2:
            return 0.0
        return len(self._answered) / max(now - self._answered[0], 0.001)

    def wake_at(self, now: float) -> float | None:
        """When the next question may be asked, or None if that depends on something else."""
        if self.closed or len(self.lookups) >= self.connections:
            return None
        if now < self.paused_until:
            return self.paused_until
        if not self.open and not any(each.question for each in self.again):
            return None
        at = max(now, self._host_free_at - LAPSE_S)
        if not self.unlimited:
            ahead_s, usable_from = self.clock.here(0.0), at - self._lapse_s
            at = max(at, next((time + ahead_s for time in self._permits if time + ahead_s >= usable_from), math.inf))
        if at <= now:
            # Nothing more can be asked at this very moment; what waits is a retry.
            at = min((each.not_before for each in self.again if each.not_before > now), default=math.inf)
        return at if at < math.inf else None


def _roundest(gap: Range) -> int:
    """Return the address of a gap at which the widest block begins: that is where IPv6 is given out (`grain`)."""
    if not gap.first:
        return 0
    return gap.last & -(1 << (((gap.first - 1) ^ gap.last).bit_length() - 1))


def _middle(gap: Range) -> int:
    """Return an address near the middle of a gap, on the widest boundary there is."""
    size = gap.size
    aligned = (gap.first + size // 2) & -(1 << max(0, size.bit_length() - 2))
    return aligned if aligned >= gap.first else gap.first + size // 2
