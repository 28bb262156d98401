"""The worker's engine.

Rules of this file:
- A result goes into the spool first and stays there until the coordinator has it on disk.
- A block that any node discovered closes gaps at once; whether its result ever arrives is the ledger's care.
- Without the coordinator the worker goes on with its leases; it asks for nothing new and forgets nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping

from whoismesh.addresses import Range
from whoismesh.compounds import LeaseGrant
from whoismesh.gossip import Gossip
from whoismesh.gossip import events as gossip
from whoismesh.gossip.peers import Peers
from whoismesh.lanes.coordinator_clock import CoordinatorClock
from whoismesh.lanes.descents import Descents
from whoismesh.lanes.events import (
    Ask,
    Broken,
    Drain,
    Ended,
    Event,
    Forget,
    Instruction,
    Joined,
    OriginsBroken,
    OriginsReplied,
    Received,
    Recovered,
    Replied,
    Resend,
    Rest,
    Send,
    Stop,
    Tick,
)
from whoismesh.lanes.findings import RESEND_S, Findings
from whoismesh.lanes.lane import Lane
from whoismesh.lanes.membership import Membership
from whoismesh.lanes.origins import Origins
from whoismesh.lanes.outcomes import Outcomes
from whoismesh.messages import (
    Acknowledge,
    Join,
    LeaseRequest,
    Leases,
    Leave,
    Members,
    Message,
    Metrics,
    PermitRequest,
    Permits,
    Refused,
    Renew,
    Renewed,
    Resting,
    Return,
    Signal,
    Split,
    Welcome,
    Yield,
)
from whoismesh.origins import pack_origins
from whoismesh.registries import ORIGINS_BUDGET

#: Results in the spool beyond which nothing more is asked: a slow coordinator slows its workers.
MOST_UNACKNOWLEDGED = 20_000
#: How long a drain may take before the worker leaves with results still in its spool, seconds.
DRAIN_S = 20.0
#: Counters go out this often, seconds.
METRICS_S = 1.0


class Lanes:
    """The engine of one worker process.

    `lanes` are its registries, `bases` maps servers to registries (answers.understand), `host` names the process,
    `draw` returns a number in [0, 1) (gossip meets peers by chance), `listen` is the address of its gossip PUB socket,
    `peers` its view of the mesh; `origins` (most networks of a batch, seconds that an end waits for it) is given where
    Team Cymru is to be asked who announces what is found. `assignments` are the prefix lengths of the smallest ones by
    family where networks are descended into, else None.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        bases: Mapping[str, str],
        host: str,
        draw: Callable[[], float],
        listen: str = "",
        peers: Peers | None = None,
        origins: tuple[int, float] | None = None,
        assignments: Mapping[int, int] | None = None,
    ) -> None:
        self.lanes = lanes
        self.gossip = Gossip(draw, peers)
        self.replica = self.gossip.replica
        self.counters: Counter[str] = Counter()
        self.origin = 0
        self.crawl = b""
        self.done = False
        #: Why no new lease is taken; empty where they are.
        self.resting = ""
        self.findings = Findings()
        self._listen = listen
        self._origins = Origins(*origins, self.counters) if origins is not None else None
        shared = lanes, bases, self.gossip, self.findings, self.counters, self._origins
        self._descents = Descents(assignments, *shared) if assignments else None
        self._outcomes = Outcomes(*shared, self._descents)
        self._host = host
        self._lookup_number = 0
        self._membership = Membership()
        self._clock = CoordinatorClock()
        for lane in lanes.values():
            lane.clock = self._clock
        if self._origins is not None:
            self._origins.clock = self._clock
        self._metrics_at = 0.0
        self._recover_until = 0.0
        self._drain_until: float | None = None
        self._stopped = False
        # When lanes are due, kept until something but gossip has happened; None: to be asked again.
        self._lanes_wake_at: float | None = None

    # -- the way in ---------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take in one event at a point of the monotonic clock; return what to do, in order."""
        if self._stopped:
            return []
        if self._membership.look_in(now):
            self.counters["pauses"] += 1
        out: list[Instruction] = []
        match event:
            case Received(message):
                out += self._received(message, now)
            case gossip.Heard() | gossip.Asked() | gossip.Answered() | gossip.Found():
                hits = self.counters["hits"]
                out += self._gossip(event, now)
                if hits == self.counters["hits"]:
                    return out  # most gossip touches no gap of ours, and there is most of it in a large mesh
            case Replied() | Broken():
                out += self._outcomes.ended(event, now)
            case Ended(lookups):
                out += [instruction for each in lookups for instruction in self._outcomes.ended(each, now)]
            case OriginsReplied() | OriginsBroken():
                out += self._told_origins(event, now)
            case Recovered(keys):
                self.findings.recover(keys)
            case Rest(reason):
                out += self._rest(reason)
            case Drain():
                self._drain(now)
            case Tick():
                pass
        out += self._advance(now)
        self._lanes_wake_at = None
        return out

    @property
    def draining(self) -> bool:
        """Tell whether the worker is on its way out."""
        return self._drain_until is not None

    def wake_at(self, now: float) -> float:
        """When a Tick is due at the latest."""
        member = self._membership
        times = [min(member.renew_at, self._metrics_at) if member.joined else member.join_at, self.gossip.wake_at]
        if self._may_ask and now < member.unsure_until:
            times.append(member.unsure_until)
        elif self._may_ask:
            if self._lanes_wake_at is None:
                wakes = (lane.wake_at(now) for lane in self.lanes.values())
                self._lanes_wake_at = min((wake for wake in wakes if wake is not None), default=math.inf)
            times.append(self._lanes_wake_at)
        if self._drain_until is not None:
            times.append(self._drain_until)
        if self._origins is not None and member.joined:
            times.append(self._origins.wake_at(now))
        return min(times)

    # -- the coordinator ----------------------------------------------------------------------------------------

    def _received(self, message: Message, now: float) -> list[Instruction]:
        if isinstance(message, Refused):
            return self._refused(message, now)
        if isinstance(message, Welcome):
            return self._welcome(message, now)
        if message.crawl != self.crawl:
            self.counters["messages_of_another_crawl"] += 1
            return []
        match message:
            case Leases(grants=grants):
                return [instruction for grant in grants for instruction in self._leased(grant, now)]
            case Renewed():
                return self._renewed(message, now)
            case Permits():
                return self._permitted(message, now)
            case Acknowledge(origin=origin, runs=runs):
                self.findings.acknowledged(origin, runs)
                if self._descents is not None:
                    self._descents.acknowledged()
                return [Forget(origin, runs)]
            case Members():
                return self._gossip(gossip.Heard(message, on_feed=True), now)
            case Split(lease=number):
                return [Send(Yield(self.crawl, self.origin, number, self._split(number)))]
            case _:
                self.counters["messages_unexpected"] += 1
        return []

    def _permitted(self, message: Permits, now: float) -> list[Instruction]:
        self._clock.heard(message.clock_s, now)
        if message.registry == ORIGINS_BUDGET:
            if self._origins is not None:
                self._origins.permit(message.clock_s + delay_s for delay_s in message.delays_s)
            return []
        lane = self.lanes[message.registry]
        if message.delays_s:
            lane.permit(message.clock_s + delay_s for delay_s in message.delays_s)
            return []
        lane.revoke_permits()
        # Not for ourselves, who get no permits: a coordinator that starts anew is told of it.
        lane.limited_until = max(lane.limited_until, now + message.wait_s)
        return self._outcomes.keep_known(lane, now)

    def _leased(self, grant: LeaseGrant, now: float) -> list[Instruction]:
        lane = self.lanes[grant.registry]
        lane.wished = False
        if self.resting or lane.closed or now < lane.paused_until:
            # Wished for before the registry was out of reach or this host told to stop; somebody else can have it.
            return [Send(Return(self.crawl, self.origin, grant.lease, grant.ranges))]
        self.counters["leases"] += 1
        self.counters["hits"] += lane.add_lease(grant, self.replica.table.coverage)
        return []

    def _join(self, now: float) -> list[Instruction]:
        self._membership.ask_to_join(now)
        held = tuple(lease.grant for lane in self.lanes.values() for lease in lane.leases.values())
        return [Send(Join(self.crawl, self._host, self._listen, self.origin, held))]

    def _refused(self, message: Refused, now: float) -> list[Instruction]:
        if message.final:
            self._stopped = True
            return [Stop(message.reason)]
        return self._join(now) if self._membership.joined else []

    def _welcome(self, message: Welcome, now: float) -> list[Instruction]:
        if self.crawl and message.crawl != self.crawl:
            self._stopped = True
            return [Stop("this worker's state is of another crawl; give it another --state folder")]
        self.crawl, self.origin = message.crawl, message.origin
        self._membership.taken_in(now, message.renew_s)
        self.gossip.join(message.crawl, message.origin, now)
        self._recover_until = now + RESEND_S
        self._clock.reset()
        self._clock.heard(message.clock_s, now)
        for registry, lane in self.lanes.items():
            lane.wished = False
            lane.forget_permits()
            lane.unlimited = registry in message.unlimited
        if self._origins is not None:
            self._origins.forget_permits(unlimited=ORIGINS_BUDGET in message.unlimited)
        joined = Joined(message.crawl, message.origin, message.results, message.feed, message.exchange)
        out: list[Instruction] = [joined]
        if self.resting:
            out.append(Send(Resting(self.crawl, self.origin, self.resting)))
        for lane in self.lanes.values():
            # A coordinator that restarted does not know what a registry told us before.
            if lane.limited_until > now:
                left_s = lane.limited_until - now
                out.append(Send(Signal(self.crawl, self.origin, lane.registry, "limited", left_s, "told before")))
        if self.findings.unacknowledged:
            out.append(self._resend(now))
        return out

    def _renewed(self, message: Renewed, now: float) -> list[Instruction]:
        for number in message.gone:
            for lane in self.lanes.values():
                lane.drop_lease(number)
        self._membership.renewed()
        self._clock.heard(message.clock_s, now, message.asked_s)
        if not self._clock.is_known:
            self._membership.renew_at = now
        self.done = message.done
        return []

    def _split(self, number: int) -> tuple[Range, ...]:
        for lane in self.lanes.values():
            if number in lane.leases:
                return lane.give_back_half(number)
        return ()

    def _resend(self, now: float) -> Resend:
        self.findings.sent(now)
        self.counters["resends"] += 1
        return Resend()

    def _rest(self, reason: str) -> list[Instruction]:
        if self.resting:
            return []
        self.resting = reason
        return [Send(Resting(self.crawl, self.origin, reason))] if self._membership.joined else []

    def _drain(self, now: float) -> None:
        if self._drain_until is not None:
            return
        self._drain_until = now + DRAIN_S
        for lane in self.lanes.values():
            lane.closed = True

    # -- discoveries --------------------------------------------------------------------------------------------

    def _gossip(self, event: gossip.Event, now: float) -> list[Instruction]:
        """Take gossip in; what it has learned closes gaps of ours."""
        out: list[Instruction] = []
        for instruction in self.gossip.handle(event, now):
            if isinstance(instruction, gossip.Learned):
                for block in instruction.blocks:
                    self.counters["hits"] += sum(lane.close(block.range) for lane in self.lanes.values())
            else:
                out.append(instruction)
        return out

    # -- what to do now -----------------------------------------------------------------------------------------

    def _advance(self, now: float) -> list[Instruction]:
        if self._stopped:
            return []
        # With or without a coordinator.
        out = self._gossip(gossip.Tick(), now) if now >= self.gossip.wake_at else []
        if self._descents is not None:
            out += self._descents.finish(now)
        if self._drain_until is not None:
            for lane in self.lanes.values():
                out += self._outcomes.give_back(lane, now, wait=True)
        over = self.done and self._has_origins(now) and not self.findings.unacknowledged
        drained = self._drain_until is not None and (self._is_drained(now) or now >= self._drain_until)
        if over or drained:
            self._stopped = True
            return [*out, self._leave(), Stop()]
        member = self._membership
        if not member.joined:
            return out + self._join(now) if now >= member.join_at else out
        if self._drain_until is None:
            if now >= member.unsure_until:
                out += self._hand_back_spent()  # before anything is asked in what an answer has left
                out += self._ask(now)
            out += self._hand_back_spent()
            out += self._hand_back(now)
            out += self._wish(now)
        if self._origins is not None:
            out += self._ask_origins(self._origins, now)
        if now >= member.renew_at:
            member.renewing(now)
            held = {
                number: lane.gaps_of(lease) for lane in self.lanes.values() for number, lease in lane.leases.items()
            }
            out.append(Send(Renew(self.crawl, self.origin, held, now)))
            if self.findings.overdue(now):
                out.append(self._resend(now))
        if now >= self._metrics_at:
            out.append(self._metrics(now))
        return out

    def _is_drained(self, now: float) -> bool:
        """Tell whether nothing is on its way any more, or nothing can be delivered for want of a coordinator."""
        if not self.origin:
            return True
        asking = any(lane.lookups for lane in self.lanes.values())
        return not asking and self._has_origins(now) and not self.findings.unacknowledged

    @property
    def _may_ask(self) -> bool:
        busy = self._drain_until is not None or len(self.findings.unacknowledged) >= MOST_UNACKNOWLEDGED
        return self._membership.joined and not busy

    def _ask(self, now: float) -> list[Instruction]:
        out: list[Instruction] = []
        if not self._may_ask:
            return out
        for lane in self.lanes.values():
            while (lookup := lane.next_lookup(self._lookup_number + 1, now)) is not None:
                self._lookup_number += 1
                self.counters["lookups"] += 1
                self.counters[f"lookups_{lane.registry}"] += 1
                protocol = lane.protocols[lookup.protocol]
                ask = Ask(
                    lookup.number, lane.registry, protocol, lookup.family, lookup.address, lookup.url, lookup.question
                )
                out.append(ask)
        return out

    def _hand_back_spent(self) -> list[Instruction]:
        return [
            Send(Yield(self.crawl, self.origin, number, ranges))
            for lane in self.lanes.values()
            for number, ranges in lane.give_back_spent()
        ]

    def _hand_back(self, now: float) -> list[Instruction]:
        return [
            Send(Return(self.crawl, self.origin, number, ()))
            for lane in self.lanes.values()
            for number in lane.finished_leases()
        ]

    def _wish(self, now: float) -> list[Instruction]:
        out: list[Instruction] = []
        recovering = self.findings.recovered and now < self._recover_until
        wants = {}
        for registry, lane in self.lanes.items():
            if lane.hungry(now) and not recovering and not self.resting:
                lane.wished = True
                wants[registry] = lane.pace(now)
            permits = lane.permits_to_request(now)
            if permits is not None:
                out.append(Send(PermitRequest(self.crawl, self.origin, registry, permits)))
        if wants:
            out.append(Send(LeaseRequest(self.crawl, self.origin, wants)))
        return out

    def _ask_origins(self, origins: Origins, now: float) -> list[Instruction]:
        """Have Team Cymru asked who announces what was found in leases that are over."""
        out: list[Instruction] = []
        for lane in self.lanes.values():
            origins.leases_ended(lane.registry, lane.leases_ended)
        if origins.wants_permit(now):
            out.append(Send(PermitRequest(self.crawl, self.origin, ORIGINS_BUDGET, 1)))
        batch = origins.ask(now)
        return out if batch is None else [*out, batch]

    def _told_origins(self, event: OriginsReplied | OriginsBroken, now: float) -> list[Instruction]:
        if self._origins is None:
            return []
        if isinstance(event, OriginsBroken):
            return [*self._origins.failed(event.batch, event.reason, now)]
        results, notes = self._origins.answered(event.batch, event.body, now)
        kept = [
            self.findings.keep_origins(self.origin, records[0][0], pack_origins(records), now) for records in results
        ]
        return [*kept, *notes]

    def _has_origins(self, now: float) -> bool:
        """Tell, when nothing more will be found, whether there is no batch to wait for."""
        if self._origins is None:
            return True
        self._origins.end(now, drain=self._drain_until is not None)
        return self._origins.over(now)

    def _metrics(self, now: float) -> Send:
        self._metrics_at = now + METRICS_S
        return Send(Metrics(self.crawl, self.origin, self._host, self.totals()))

    def _leave(self) -> Send:
        return Send(Leave(self.crawl, self.origin, self._host, self.totals()))

    def totals(self) -> dict[str, float]:
        """Return the counters as Metrics tell them."""
        counters = {name: float(count) for name, count in (self.counters + self.gossip.totals()).items()}
        counters["unacknowledged"] = float(len(self.findings.unacknowledged))
        counters["known_blocks"] = float(len(self.replica.table))
        counters["leases_held"] = float(sum(len(lane.leases) for lane in self.lanes.values()))
        for registry, lane in self.lanes.items():
            counters[f"gaps_{registry}"] = float(len(lane.open))
            counters[f"asking_{registry}"] = float(len(lane.lookups))
        return counters
