"""The coordinator's engine.

Rules of this file:
- Nothing is settled, acknowledged or told on before it is stored: results go out as `Store` and come back as `Stored`.
- A worker's word settles nothing: leases end by results, by return or by time, and what is unsettled then goes to
somebody.
- `replay` and `Stored` settle by the same code, so a restart ends in the same state.
- Time is the caller's monotonic clock; nothing a peer says is a point in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from whoismesh.addresses import Range
from whoismesh.answers.outcome import Status
from whoismesh.compounds import ORIGINS, OWN_STATUSES, Result, Run
from whoismesh.gossip.events import Exchanged
from whoismesh.ledger.account import Account
from whoismesh.ledger.budgets import Budget
from whoismesh.ledger.events import (
    Asked,
    Collected,
    Event,
    Finish,
    Import,
    Imported,
    ImportOver,
    Instruction,
    Note,
    Publish,
    Received,
    Reply,
    Send,
    Store,
    StoreCounters,
    Stored,
    Tick,
)
from whoismesh.ledger.health import Health
from whoismesh.ledger.hearsay import Hearsay
from whoismesh.ledger.intake import Intake, runs
from whoismesh.ledger.leases import LEASE_TTL_S
from whoismesh.ledger.lending import Lending, Worker
from whoismesh.ledger.own_results import OwnResults
from whoismesh.ledger.roster import Roster
from whoismesh.messages import (
    Acknowledge,
    Discovered,
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
    Results,
    Return,
    Sent,
    Signal,
    Split,
    Welcome,
    Yield,
)
from whoismesh.prior import Prior
from whoismesh.registries import REGISTRIES

#: Statuses of results that no registry was reached for.
_NO_ANSWER = frozenset((Status.FAILED, Status.MALFORMED, ORIGINS, *OWN_STATUSES))

#: Workers renew this often, seconds.
RENEW_S = 2.0
#: Housekeeping (expiry, waits, delayed errands) is done this often, seconds.
HOUSEKEEPING_S = 0.25
#: No event for this long means that this process was not run (stopped, its host asleep); a shell ticks every 0.25 s.
PAUSE_S = 2.0
#: Origins of which it is remembered to whose key they were given; the longest ago is forgotten first.
MOST_KEYS = 100_000
#: After a restart nothing is lent for so long: workers that hold leases come back within it (sockets.RECONNECT_MOST_MS
#: and a round trip) and keep them.
ADOPTION_S = 3.0


class Ledger:
    """The engine. `origins` are the numbers this run may give out, the first to itself; `epoch` counts the starts.

    `ports` are those of PULL, PUB and gossip ROUTER, told to workers. `lease_s` is how long a lease should keep a
    worker busy, `attempts` after how many failed lookups (each with its own retries on some host) an address is
    settled as failed, `give_up_s` how long to try a registry that was never reached,
    `most_members` how many workers are taken in, `prior` what published files say (a hint, but for `delegated`).
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
        most_members: int = 1_000,
        prior: Prior | None = None,
    ) -> None:
        self.crawl = crawl
        self.account = Account(space, attempts, prior)
        self.coverage = self.account.coverage
        self.bulk = self.account.bulk
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
        self._most_members = most_members
        self._epoch = epoch
        self._origins = iter(origins)
        self._own = OwnResults(next(self._origins, 0))
        self._giving_up: set[Range] = set()
        self._ports = ports
        self._intake = Intake()
        self._hearsay = Hearsay(self.log, self._intake.is_stored)
        self._roster = Roster(crawl, epoch)
        self._senders: dict[bytes, int] = {}
        #: To whose key each origin was given, by this start of the coordinator.
        self._keys: dict[int, str] = {}
        self._lending = Lending(self.account, budgets, self.workers, count((epoch << 32) + 1), lease_s)
        self._housekeeping_at = 0.0
        self._handled_at: float | None = None
        self._adopting_until = 0.0

    # -- the way in ---------------------------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take in one event at a point of the monotonic clock; return what to do, in order."""
        self._notice_time(now)
        match event:
            case Received(sender, message, key):
                out = self._received(sender, message, key, now)
            case Collected(message, key):
                out = self._collected(message, key, now)
            case Stored(results):
                out = self._stored(results, now)
            case Asked(sender, message):
                out = self._asked(sender, message, now)
            case Import() | Imported() | ImportOver():
                out = self._import(event)
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

    def delegated(self) -> list[Result]:
        """Return what settles all that the prior calls free and is not settled yet.

        To be stored and replayed before the first event.
        """
        return list(self._own.delegated(self.account.free()))

    def _notice_time(self, now: float) -> None:
        """Begin, or make up for a time in which nobody could be heard: what is late then is late by our own fault."""
        if self._handled_at is None:
            if self._epoch > 1:
                self._adopting_until = now + ADOPTION_S
                for budget in self.budgets.values():
                    budget.resume(now)
        elif now - self._handled_at > PAUSE_S:
            pause_s = now - self._handled_at
            self.counters["pauses"] += 1
            self.desk.postpone(pause_s)
            for worker in self.workers.values():
                worker.seen_at += pause_s
            for health in self.health.values():
                health.postpone(pause_s)
        self._handled_at = now

    def _received(self, sender: bytes, message: Message, key: str, now: float) -> list[Instruction]:
        if isinstance(message, Join):
            return self._join(sender, message, key, now)
        if message.crawl != self.crawl:
            return [Send(sender, Refused(self.crawl, "this coordinator runs another crawl", True))]
        origin = self._senders.get(sender)
        worker = self.workers.get(origin) if origin is not None else None
        if worker is None or getattr(message, "origin", None) != origin or worker.key != key:
            return [Send(sender, Refused(self.crawl, "not known here, join again", False))]
        worker.seen_at = now
        match message:
            case Renew():
                return [Send(sender, self._renew(message, now))]
            case LeaseRequest(wants=wants):
                for registry, pace in wants.items():
                    self._lending.wish(worker.origin, registry, pace)
                return []
            case Return(lease=number, unasked=unasked):
                lease = self.desk.leases.get(number)
                if lease is not None and lease.origin == worker.origin:
                    self.desk.end_lease(lease, unasked, now)
                return []
            case Yield(lease=number, ranges=ranges):
                lease = self.desk.leases.get(number)
                if lease is not None and lease.origin == worker.origin:
                    self.desk.take_out(lease, ranges)
                return []
            case PermitRequest(registry=registry, count=count):
                if registry not in self.budgets:
                    return []  # origins, which only some crawls ask for
                self.budgets[registry].request(worker.origin, count, worker.host.rpartition(":")[0])
                return self._deal(registry, now)
            case Signal():
                return self._signal(message, worker, now)
            case Resting(reason=reason):
                return self._rest(worker, reason)
            case Leave(host=host, counters=counters):
                self.metrics[worker.origin] = counters
                return [StoreCounters(worker.origin, host, counters), *self._lose(worker, now, "worker_left")]
        self.counters["messages_unexpected"] += 1
        return []

    def _collected(self, message: Results | Metrics, key: str, now: float) -> list[Instruction]:
        if message.crawl != self.crawl:
            self.counters["messages_of_another_crawl"] += 1
            return []
        origins = (each.origin for each in message.results) if isinstance(message, Results) else (message.origin,)
        if any(self._keys.get(origin, key) != key for origin in origins):
            self.counters["messages_of_another_key"] += 1
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

    def _join(self, sender: bytes, message: Join, key: str, now: float) -> list[Instruction]:
        if message.crawl not in (b"", self.crawl):
            return [Send(sender, Refused(self.crawl, "this coordinator runs another crawl", True))]
        known = self.workers.get(self._senders.get(sender, 0))
        if known is None and message.origin not in self.workers and len(self.workers) >= self._most_members:
            reason = f"there are {self._most_members} workers already (mesh.most_members)"
            return [Send(sender, Refused(self.crawl, reason, False))]
        origin = message.origin or (known.origin if known else next(self._origins, 0))
        if not origin:
            return [Send(sender, Refused(self.crawl, "no origin left for now, join again later", False))]
        if self._keys.setdefault(origin, key) != key:
            self.counters["messages_of_another_key"] += 1
            return [Send(sender, Refused(self.crawl, f"origin {origin} was given to another key", True))]
        if len(self._keys) > MOST_KEYS:
            del self._keys[next(iter(self._keys))]
        before = self.workers.get(origin)
        if before is not None and before.sender != sender:
            self._senders.pop(before.sender, None)
        self.workers[origin] = Worker(origin, sender, message.host, message.gossip, now, key=key)
        self._senders[sender] = origin
        for grant in message.leases:
            self._lending.adopt(origin, grant, now)
        announced = {grant.lease for grant in message.leases}
        for lease in [each for each in self.desk.leases.values() if each.origin == origin]:
            if lease.number not in announced:
                # Given back over a connection that broke, or lent over one.
                self.desk.end_lease(lease, (), now)
        unlimited = tuple(registry for registry, budget in self.budgets.items() if budget.unlimited)
        welcome = Welcome(self.crawl, origin, *self._ports, RENEW_S, unlimited, now)
        # All others hear of it before it can tell them anything.
        out: list[Instruction] = [Publish(self._roster.joined(self.workers[origin]))]
        out += [Send(sender, welcome), Send(sender, self._roster.whole())]
        if before is None:
            out.append(Note("worker_joined", {"origin": origin, "host": message.host}))
        return out

    def _rest(self, worker: Worker, reason: str) -> list[Instruction]:
        if worker.resting:
            return []
        self._lending.rest(worker)
        return [Note("worker_resting", {"origin": worker.origin, "host": worker.host, "reason": reason}, "warning")]

    def _lose(self, worker: Worker, now: float, how: str) -> list[Instruction]:
        del self.workers[worker.origin]
        self._senders.pop(worker.sender, None)
        self._lending.forget_all(worker.origin)
        for budget in self.budgets.values():
            budget.forget(worker.origin)
        for lease in [each for each in self.desk.leases.values() if each.origin == worker.origin]:
            self.desk.end_lease(lease, (), now, lost=how == "worker_lost")
        level = "info" if how == "worker_left" else "warning"
        note = Note(how, {"origin": worker.origin, "host": worker.host}, level)
        return [note, Publish(self._roster.left(worker.origin))]

    def _renew(self, message: Renew, now: float) -> Renewed:
        gone = []
        for number, gaps in message.leases.items():
            lease = self.desk.leases.get(number)
            if lease is None or lease.origin != message.origin:
                gone.append(number)
            else:
                lease.deadline, lease.gaps = now + LEASE_TTL_S, gaps
        return Renewed(self.crawl, tuple(gone), self.coverage.complete, now, message.asked_s)

    # -- settling -----------------------------------------------------------------------------------------------

    def _stored(self, results: tuple[Result, ...], now: float) -> list[Instruction]:
        accepted = len(self.log)
        for registry, answers in Counter(each.registry for each in results if each.status not in _NO_ANSWER).items():
            self.health[registry].reached(now, answers)
        for result in results:
            self._intake.stored(result)
            self.account.settle(result, now)
        out = self._acknowledge(results)
        out += [Publish(piece) for piece in self._pieces(accepted, len(self.log))]
        return out + self._finish(now)

    def _asked(self, sender: bytes, message: Exchanged, now: float) -> list[Instruction]:
        if message.crawl != self.crawl:
            self.counters["messages_of_another_crawl"] += 1
            return []
        if isinstance(message, Members | Sent):
            self.counters["messages_unexpected"] += 1  # who is a member it knows best itself
            return []
        return [Reply(sender, each) for each in self._hearsay.answer(message, self._roster.whole(), now)]

    def _adopt(self, now: float) -> list[Instruction]:
        """Have what gossip knows, and whoever found it will not deliver, stored for a number in the accepted log."""
        found = [self._own.adopted(*each) for each in self._hearsay.orphans(self.workers, now)]
        self.counters["blocks_adopted"] += len(found)
        return [Store((each,)) for each in found]

    def _pieces(self, after: int, end: int) -> Iterator[Discovered]:
        """Yield the accepted log after a number, piece by piece."""
        while after < end:
            blocks = self.log.after(after)
            yield Discovered(self.crawl, (Run(0, after + 1, None, blocks),))
            after += len(blocks)

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
        """Grant leases to whoever waits for one; where nothing is left, have the slowest lease split."""
        out: list[Instruction] = []
        if now < self._adopting_until or self.bulk.running:
            return out
        for worker, grants in self._lending.serve(now):
            out.append(Send(worker.sender, Leases(self.crawl, grants)))
        for worker, lease in self._lending.split(now):
            self.counters["splits"] += 1
            out.append(Send(worker.sender, Split(self.crawl, lease.number)))
        return out

    def _deal(self, registry: str, now: float) -> list[Instruction]:
        dealt = self.budgets[registry].deal(now)
        return [
            Send(self.workers[origin].sender, Permits(self.crawl, registry, now, tuple(delays), 0.0))
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
                    revoke = Permits(self.crawl, registry, now, (), budget.waits_s(now))
                    out += [Send(each.sender, revoke) for each in self.workers.values()]
                return out
            case "answered":
                health.reached(now)
                return []
            case "banned" | "unreachable":
                if message.kind == "banned":
                    self._lending.forget(worker.origin, registry)
                if health.trouble(now, message.reason, banned=message.kind == "banned"):
                    return [Note(f"registry_{message.kind}", fields, "warning")]
                return []
        self.counters["messages_unexpected"] += 1
        return []

    # -- time ---------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> list[Instruction]:
        out = [instruction for name in self.budgets for instruction in self._deal(name, now)]
        if now < self._housekeeping_at:
            return out
        self._housekeeping_at = now + HOUSEKEEPING_S
        out += [
            Note("lease_expired", {"lease": lease.number, "origin": lease.origin}, "warning")
            for lease in self.desk.expire(now)
        ]
        out += self._give_up()
        out += self._adopt(now)
        for worker in [each for each in self.workers.values() if now - each.seen_at > LEASE_TTL_S]:
            out += self._lose(worker, now, "worker_lost")
        if self._lending.nobody_takes() and not self.coverage.complete:
            out.append(Note("all_workers_rest", {"workers": len(self.workers)}, "warning"))
        return out + self._finish(now)

    def _give_up(self) -> list[Instruction]:
        """Have what workers died over again and again stored as failed."""
        found = []
        for registry, asked in self.desk.hopeless():
            if asked not in self._giving_up:
                self._giving_up.add(asked)
                found.append(self._own.abandoned(registry, asked))
        if not found:
            return []
        notes = [Note("block_abandoned", {"registry": each.registry, "at": str(each.asked)}, "error") for each in found]
        return [Store(tuple(found)), *notes]

    def _import(self, event: Import | Imported | ImportOver) -> list[Instruction]:
        """Have what bulk files hold stored, before anything is lent."""
        match event:
            case Import():
                found = self.bulk.results(event, self._own)
            case Imported():
                found = [self.bulk.result_of_file(event, self._own)]
            case ImportOver():
                self.bulk.over()
                found = []
        return [Store(tuple(found))] if found else []

    def _finish(self, now: float) -> list[Instruction]:
        if self.bulk.running:
            return []
        if self.coverage.complete:
            if self.finished is not None and self.finished.complete:
                return []
            self.finished = Finish(True)
            done = Renewed(self.crawl, (), True, now)
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
