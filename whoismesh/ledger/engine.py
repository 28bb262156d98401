"""The coordinator's engine.

Rules of this file:
- Nothing is settled, acknowledged or told on before it is stored: results go out as `Store` and come back as `Stored`.
- A worker's word settles nothing: leases end by results, by return or by time, and what is unsettled then goes to
somebody.
- `replay` and `Stored` settle by the same code, so a restart ends in the same state.
- Time is the caller's monotonic clock; nothing a peer says is a point in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from whoismesh.addresses import Range
from whoismesh.answers.outcome import Status
from whoismesh.ledger.account import Account
from whoismesh.ledger.budgets import Budget
from whoismesh.ledger.events import (
    Collected,
    Event,
    Finish,
    Instruction,
    Note,
    Publish,
    Received,
    RepairAsked,
    Send,
    SendRepair,
    Store,
    StoreCounters,
    Stored,
    Tick,
)
from whoismesh.ledger.health import Health
from whoismesh.ledger.intake import Intake, runs
from whoismesh.ledger.leases import LEASE_TTL_S, SMALLEST_PIECE, Lease
from whoismesh.messages import (
    Acknowledge,
    Discovered,
    Join,
    LeaseGrant,
    LeaseRequest,
    Leases,
    Leave,
    Members,
    Message,
    Metrics,
    Peer,
    PermitRequest,
    Permits,
    Refused,
    Renew,
    Renewed,
    Result,
    Results,
    Return,
    Signal,
    Welcome,
)
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

#: Workers renew this often, seconds.
RENEW_S = 2.0
#: Housekeeping (expiry, waits, delayed errands) is done this often, seconds.
HOUSEKEEPING_S = 0.25
#: Lookups that a worker's first lease is meant for, until its pace is known.
FIRST_LOOKUPS = 64.0


@dataclass(slots=True)
class Worker:
    """A member of the mesh, as the coordinator sees it."""

    origin: int
    sender: bytes
    host: str
    gossip: str
    seen_at: float


class Ledger:
    """The engine. `origins` are the numbers this run may give out, `epoch` counts the coordinator's starts.

    `ports` are those of PULL, PUB and gossip ROUTER, told to workers. `lease_s` is how long a lease should keep a
    worker busy, `attempts` after how many failed lookups (each with its own retries on some host) an address is
    settled as failed, `give_up_s` how long to try a registry that was never reached.
    """

    def __init__(
        self,
        crawl: bytes,
        space: Iterable[Range],
        budgets: Mapping[str, Budget],
        *,
        epoch: int = 1,
        origins: range = range(1, 1_000),
        ports: tuple[int, int, int] = (0, 0, 0),
        lease_s: float = 60.0,
        attempts: int = 3,
        give_up_s: float = 20.0,
    ) -> None:
        self.crawl = crawl
        self.account = Account(space, attempts)
        self.coverage = self.account.coverage
        self.desk = self.account.desk
        self.log = self.account.log
        self.networks = self.account.networks
        self.failures = self.account.failures
        self.counters = self.account.counters
        self.budgets = budgets
        self.health = {registry: Health(give_up_s) for registry in REGISTRIES}
        self.workers: dict[int, Worker] = {}
        self.metrics: dict[int, Mapping[str, float]] = {}
        self.finished: Finish | None = None
        self._epoch = epoch
        self._origins = iter(origins)
        self._ports = ports
        self._lease_s = lease_s
        self._lease_number = epoch << 32
        self._intake = Intake()
        self._senders: dict[bytes, int] = {}
        self._hungry: dict[str, dict[int, float]] = {registry: {} for registry in REGISTRIES}
        self._housekeeping_at = 0.0
        self._begun = False

    # -- the way in ---------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take in one event at a point of the monotonic clock; return what to do, in order."""
        if not self._begun:
            self._begin(now)
        match event:
            case Received(sender, message):
                out = self._received(sender, message, now)
            case Collected(message):
                out = self._collected(message, now)
            case Stored(results):
                out = self._stored(results, now)
            case RepairAsked(sender, request):
                blocks = self.log.after(request.after) if request.crawl == self.crawl else ()
                out = [SendRepair(sender, Discovered(self.crawl, 0, request.after + 1, blocks))] if blocks else []
            case Tick():
                out = self._tick(now)
        return out + self._serve(now)

    @property
    def wake_at(self) -> float:
        """When a Tick is due at the latest."""
        wakes = [budget.wake_at for budget in self.budgets.values()]
        return min([self._housekeeping_at, *(wake for wake in wakes if wake is not None)])

    def replay(self, result: Result) -> None:
        """Take in a result from disk when starting, in the order in which it was stored."""
        self._intake.stored(result)
        self.account.settle(result, 0.0)

    def _begin(self, now: float) -> None:
        self._begun = True
        if self._epoch > 1:
            for budget in self.budgets.values():
                budget.resume(now)

    def _received(self, sender: bytes, message: Message, now: float) -> list[Instruction]:
        if isinstance(message, Join):
            return self._join(sender, message, now)
        if message.crawl != self.crawl:
            return [Send(sender, Refused(self.crawl, "this coordinator runs another crawl", True))]
        origin = self._senders.get(sender)
        worker = self.workers.get(origin) if origin is not None else None
        if worker is None or getattr(message, "origin", None) != origin:
            return [Send(sender, Refused(self.crawl, "not known here, join again", False))]
        worker.seen_at = now
        match message:
            case Renew():
                return [Send(sender, self._renew(message, now))]
            case LeaseRequest(wants=wants):
                for registry, pace in wants.items():
                    self._hungry[registry][worker.origin] = pace
                return []
            case Return(lease=number, unasked=unasked):
                lease = self.desk.leases.get(number)
                if lease is not None and lease.origin == worker.origin:
                    self.desk.end_lease(lease, unasked, now)
                return []
            case PermitRequest(registry=registry, count=count):
                self.budgets[registry].request(worker.origin, count, worker.host.rpartition(":")[0])
                return self._deal(registry, now)
            case Signal():
                return self._signal(message, worker, now)
            case Leave(host=host, counters=counters):
                self.metrics[worker.origin] = counters
                return [StoreCounters(worker.origin, host, counters), *self._lose(worker, now, "worker_left")]
        self.counters["messages_unexpected"] += 1
        return []

    def _collected(self, message: Results | Metrics, now: float) -> list[Instruction]:
        if message.crawl != self.crawl:
            self.counters["messages_of_another_crawl"] += 1
            return []
        if isinstance(message, Metrics):
            if message.origin not in self.workers:
                return []  # overtaken by its Leave, whose counters are newer
            self.metrics[message.origin] = message.counters
            return [StoreCounters(message.origin, message.host, message.counters)]
        fresh, known = self._intake.sift(message.results)
        self.counters["results_repeated"] += len(known)
        out: list[Instruction] = self._acknowledge(known)
        if fresh:
            out.append(Store(tuple(fresh)))
        return out

    # -- members ------------------------------------------------------------------------------------------------

    def _join(self, sender: bytes, message: Join, now: float) -> list[Instruction]:
        if message.crawl not in (b"", self.crawl):
            return [Send(sender, Refused(self.crawl, "this coordinator runs another crawl", True))]
        known = self.workers.get(self._senders.get(sender, 0))
        origin = message.origin or (known.origin if known else next(self._origins, 0))
        if not origin:
            return [Send(sender, Refused(self.crawl, "no origin left for now, join again later", False))]
        before = self.workers.get(origin)
        if before is not None and before.sender != sender:
            self._senders.pop(before.sender, None)
        self.workers[origin] = Worker(origin, sender, message.host, message.gossip, now)
        self._senders[sender] = origin
        for grant in message.leases:
            self._adopt(origin, grant, now)
        peers = self._peers()
        unlimited = tuple(registry for registry, budget in self.budgets.items() if budget.unlimited)
        welcome = Welcome(self.crawl, origin, *self._ports, RENEW_S, peers, unlimited)
        out: list[Instruction] = [Send(sender, welcome)]
        if before is None:
            out.append(Note("worker_joined", {"origin": origin, "host": message.host}))
        return out + self._tell_members(except_for=origin)

    def _adopt(self, origin: int, grant: LeaseGrant, now: float) -> None:
        """Give a lease back to the worker that holds it, as far as it is still free (the coordinator restarted)."""
        lease = self.desk.leases.get(grant.lease)
        if lease is not None:
            lease.origin, lease.deadline = origin, now + LEASE_TTL_S
            return
        if grant.first_in_line:
            return
        taken = RangeSet()
        for each in grant.ranges:
            for place in (self.desk.pending[grant.registry], self.desk.suspect[grant.registry]):
                for part in place.present(each):
                    place.remove(part)
                    taken.add(part)
        if taken:
            self.desk.lend(Lease(grant.lease, origin, grant.registry, taken, now + LEASE_TTL_S, verify=grant.verify))

    def _peers(self) -> tuple[Peer, ...]:
        return tuple(Peer(worker.origin, worker.gossip) for worker in self.workers.values() if worker.gossip)

    def _tell_members(self, except_for: int = 0) -> list[Instruction]:
        members = Members(self.crawl, self._peers())
        return [Send(worker.sender, members) for worker in self.workers.values() if worker.origin != except_for]

    def _lose(self, worker: Worker, now: float, how: str) -> list[Instruction]:
        del self.workers[worker.origin]
        self._senders.pop(worker.sender, None)
        for registry in REGISTRIES:
            self._hungry[registry].pop(worker.origin, None)
            self.budgets[registry].forget(worker.origin)
        for lease in [each for each in self.desk.leases.values() if each.origin == worker.origin]:
            self.desk.end_lease(lease, (), now)
        level = "info" if how == "worker_left" else "warning"
        note = Note(how, {"origin": worker.origin, "host": worker.host}, level)
        return [note, *self._tell_members()]

    def _renew(self, message: Renew, now: float) -> Renewed:
        gone = []
        for number in message.leases:
            lease = self.desk.leases.get(number)
            if lease is None or lease.origin != message.origin:
                gone.append(number)
            else:
                lease.deadline = now + LEASE_TTL_S
        return Renewed(self.crawl, tuple(gone), len(self.log), self.coverage.complete)

    # -- settling -----------------------------------------------------------------------------------------------

    def _stored(self, results: tuple[Result, ...], now: float) -> list[Instruction]:
        accepted = len(self.log)
        for result in results:
            self._intake.stored(result)
            if result.status not in (Status.FAILED, Status.MALFORMED):
                self.health[result.registry].reached(now)
            self.account.settle(result, now)
        out = self._acknowledge(results)
        blocks = self.log.after(accepted)
        if blocks:
            out.append(Publish(Discovered(self.crawl, 0, accepted + 1, blocks)))
        return out + self._finish(now)

    def _acknowledge(self, results: Iterable[Result]) -> list[Instruction]:
        by_origin: dict[int, list[int]] = {}
        for result in results:
            by_origin.setdefault(result.origin, []).append(result.sequence)
        return [
            Send(sender, Acknowledge(self.crawl, origin, runs(sequences)))
            for origin, sequences in by_origin.items()
            for sender in self._listeners(origin)
        ]

    def _listeners(self, origin: int) -> list[bytes]:
        """Return who is told of an origin's results: its process, or all once that is gone (one has its spool)."""
        worker = self.workers.get(origin)
        return [worker.sender] if worker else [each.sender for each in self.workers.values()]

    # -- leases and budgets -------------------------------------------------------------------------------------

    def _serve(self, now: float) -> list[Instruction]:
        """Grant leases to whoever waits for one, as long as there is something."""
        out: list[Instruction] = []
        for registry, hungry in self._hungry.items():
            while hungry:
                origin, pace = next(iter(hungry.items()))
                grants = self._grants(registry, origin, pace, now)
                if not grants:
                    break
                del hungry[origin]
                out.append(Send(self.workers[origin].sender, Leases(self.crawl, grants)))
        return out

    def _grants(self, registry: str, origin: int, pace: float, now: float) -> tuple[LeaseGrant, ...]:
        errands = self.desk.due_errands(registry, now)
        grants = []
        if errands:
            lease = self._new_lease(origin, registry, RangeSet(errand.asked for errand in errands), now)
            lease.errands, lease.verify = True, any(errand.suspect for errand in errands)
            self.desk.lend(lease, errands)
            singles = tuple(errand.asked for errand in errands)
            grants.append(LeaseGrant(lease.number, registry, singles, True, lease.verify))
        taken = self.desk.take_pending(registry, self._most(registry, pace))
        if taken is not None:
            ranges, verify = taken
            lease = self._new_lease(origin, registry, ranges, now)
            lease.verify = verify
            self.desk.lend(lease)
            grants.append(LeaseGrant(lease.number, registry, tuple(ranges), False, verify))
        return tuple(grants)

    def _new_lease(self, origin: int, registry: str, ranges: RangeSet, now: float) -> Lease:
        self._lease_number += 1
        return Lease(self._lease_number, origin, registry, ranges, now + LEASE_TTL_S)

    def _most(self, registry: str, pace: float) -> dict[int, int]:
        """Return how many addresses a lease should hold, by family: its time's worth, at most a fair share."""
        budget = self.budgets[registry]
        lookups = max(1.0, min(pace * self._lease_s or FIRST_LOOKUPS, budget.rate * self._lease_s, 1e6))
        most = {}
        for family, smallest in SMALLEST_PIECE.items():
            worth = int(lookups) * self.account.mean_closed(registry, family)
            share = self.desk.waiting(registry, family) // (4 * max(2, len(self.workers)))
            most[family] = max(smallest, min(worth, share))
        return most

    def _deal(self, registry: str, now: float) -> list[Instruction]:
        dealt = self.budgets[registry].deal(now)
        return [
            Send(self.workers[origin].sender, Permits(self.crawl, registry, tuple(delays)))
            for origin, delays in dealt.items()
            if origin in self.workers
        ]

    def _signal(self, message: Signal, worker: Worker, now: float) -> list[Instruction]:
        registry, health = message.registry, self.health[message.registry]
        fields = {"registry": registry, "host": worker.host, "reason": message.reason}
        match message.kind:
            case "limited":
                budget = self.budgets[registry]
                revoked = budget.outstanding(now)
                news = budget.limit(now, message.wait_s, health.pace(now))
                health.reached(now)
                out: list[Instruction] = []
                if news:
                    out.append(Note("registry_limited", fields | {"rate": budget.rate}, "warning"))
                if news or revoked:
                    revoke = Permits(self.crawl, registry, ())
                    out += [Send(each.sender, revoke) for each in self.workers.values()]
                return out
            case "answered":
                health.reached(now)
                return []
            case "banned" | "unreachable":
                if message.kind == "banned":
                    self._hungry[registry].pop(worker.origin, None)
                if health.trouble(now, message.reason, banned=message.kind == "banned"):
                    return [Note(f"registry_{message.kind}", fields, "warning")]
                return []
        self.counters["messages_unexpected"] += 1
        return []

    # -- time ---------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> list[Instruction]:
        out = [instruction for registry in REGISTRIES for instruction in self._deal(registry, now)]
        if now < self._housekeeping_at:
            return out
        self._housekeeping_at = now + HOUSEKEEPING_S
        out += [
            Note("lease_expired", {"lease": lease.number, "origin": lease.origin}, "warning")
            for lease in self.desk.expire(now)
        ]
        for worker in [each for each in self.workers.values() if now - each.seen_at > LEASE_TTL_S]:
            out += self._lose(worker, now, "worker_lost")
        return out + self._finish(now)

    def _finish(self, now: float) -> list[Instruction]:
        if self.coverage.complete:
            if self.finished is not None and self.finished.complete:
                return []
            self.finished = Finish(True)
            done = Renewed(self.crawl, (), len(self.log), True)
            return [self.finished, *(Send(worker.sender, done) for worker in self.workers.values())]
        if self.finished is not None or not any(health.is_away(now) for health in self.health.values()):
            return []
        waiting = self.waiting_registries()
        if waiting and all(self.health[registry].is_away(now) for registry in waiting):
            reasons = "; ".join(f"{registry}: {self.health[registry].reason}" for registry in sorted(waiting))
            self.finished = Finish(False, reasons)
            return [self.finished]
        return []

    def waiting_registries(self) -> set[str]:
        """Return the registries that something unsettled waits for."""
        waiting = {lease.registry for lease in self.desk.leases.values()}
        waiting |= {awaited.lease.registry for awaited in self.desk.awaited}
        waiting |= {errand.registry for errand in self.desk.errands}
        return waiting | {each for each in REGISTRIES if self.desk.pending[each] or self.desk.suspect[each]}
