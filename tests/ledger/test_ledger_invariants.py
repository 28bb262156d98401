"""What must hold of the ledger after any event, in any order; random lists of events look for a way around it."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.answers.outcome import Status
from whoismesh.compounds import LeaseGrant, Result
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.events import Collected, Instruction, Received, Send, Store, Stored, Tick
from whoismesh.ledger.leases import AWAIT_S, LEASE_TTL_S
from whoismesh.messages import (
    Acknowledge,
    Join,
    LeaseRequest,
    Leases,
    Leave,
    Renew,
    Results,
    Return,
    Signal,
    Welcome,
    Yield,
)
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.audits import audit_ledger, unsettled_space

CRAWL = b"0123456789abcdef"
#: Two registries, a reserved hole (203.0.113.0/24) and a few /32s of IPv6.
SPACE = [Range.parse(each) for each in ("193.0.0.0/20", "203.0.112.0/21", "2001:600::/30")]
WORKERS = 3


class Mesh:
    """A ledger with fake workers that do as they are told by random numbers; all that is stored is kept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.epoch = 0
        self.disk: list[Result] = []
        self.storing: list[tuple[Result, ...]] = []
        self.sent: list[Result] = []
        self.acknowledged: set[tuple[int, int]] = set()
        self.sequence = 0
        self.origins: dict[int, int] = {}
        self.grants: dict[int, dict[int, LeaseGrant]] = {worker: {} for worker in range(WORKERS)}
        self.start()

    def start(self) -> None:
        """Start a coordinator from the disk; what it was storing is lost."""
        self.epoch += 1
        self.storing = []
        budgets = {registry: Budget(math.inf, math.inf) for registry in REGISTRIES}
        origins = range(self.epoch * 100, self.epoch * 100 + 100)
        self.ledger = Ledger(CRAWL, SPACE, budgets, epoch=self.epoch, origins=origins)
        for result in self.disk:
            self.ledger.replay(result)
        self.check()

    def check(self) -> None:
        """Check what must hold after every event."""
        audit_ledger(self.ledger)
        on_disk = {(each.origin, each.sequence) for each in self.disk}
        assert self.acknowledged <= on_disk
        assert self.ledger.counters["results"] == len(self.disk)

    def handle(self, event: Received | Collected | Stored | Tick) -> list[Instruction]:
        """Hand an event over and take in what comes of it."""
        out = self.ledger.handle(event, self.now)
        for each in out:
            match each:
                case Store(results):
                    self.storing.append(results)
                case Send(to, Leases(grants=grants)):
                    self.grants[int(to)].update({grant.lease: grant for grant in grants})
                case Send(to, Welcome(origin=origin)):
                    self.origins[int(to)] = origin
                case Send(_, Acknowledge(origin=origin, runs=runs)):
                    self.acknowledged |= {(origin, each) for first, last in runs for each in range(first, last + 1)}
        self.check()
        return out

    def wait(self, seconds: float) -> None:
        """Let time go by under a shell that ticks: a ledger that was not run takes nobody for late."""
        self.now += seconds
        if self.ledger._handled_at is not None:
            self.ledger._handled_at = max(self.ledger._handled_at, self.now - 0.25)
        self.handle(Tick())

    def step(self, kind: str, worker: int, pick: int, status: str, size: int) -> None:
        """Let one thing happen."""
        sender = str(worker).encode()
        origin = self.origins.get(worker, 0)
        held = list(self.grants[worker].values())
        match kind:
            case "join":
                self.handle(Received(sender, Join(CRAWL, "host", "", origin, tuple(held))))
            case "wish":
                self.handle(Received(sender, LeaseRequest(CRAWL, origin, {REGISTRIES[pick % 5]: float(size)})))
            case "renew":
                self.handle(Received(sender, Renew(CRAWL, origin, dict.fromkeys(self.grants[worker], 1))))
            case "return" if held:
                grant = held[pick % len(held)]
                del self.grants[worker][grant.lease]
                unasked = tuple(_part(each, pick, size) for each in grant.ranges if pick % 3)
                self.handle(Received(sender, Return(CRAWL, origin, grant.lease, unasked)))
            case "yield" if held:
                grant = held[pick % len(held)]
                given = tuple(_part(each, pick, size) for each in grant.ranges if pick % 3)
                self.handle(Received(sender, Yield(CRAWL, origin, grant.lease, given)))
            case "leave":
                self.grants[worker].clear()
                self.handle(Received(sender, Leave(CRAWL, origin, "host", {})))
            case "result" if held:
                grant = held[pick % len(held)]
                self.sequence += 1
                result = self.result(origin, grant, pick, status, size)
                self.sent.append(result)
                self.handle(Collected(Results(CRAWL, (result,))))
            case "stray" if len(self.ledger.desk.errands):
                # Somebody who was thought dead, or asked the same by chance.
                asked = list(self.ledger.desk.errands)[pick % len(self.ledger.desk.errands)].asked
                grant = LeaseGrant(0, REGISTRIES[pick % 5], (asked,), True, False)
                self.sequence += 1
                self.sent.append(self.result(origin, grant, 0, status, size))
                self.handle(Collected(Results(CRAWL, (self.sent[-1],))))
            case "repeat" if self.sent:
                self.handle(Collected(Results(CRAWL, tuple(self.sent[pick % len(self.sent) :][:3]))))
            case "stored" if self.storing:
                results = self.storing.pop(0)
                self.disk.extend(results)
                self.handle(Stored(results))
            case "signal":
                signal = ("limited", "banned", "unreachable", "answered")[pick % 4]
                self.handle(Received(sender, Signal(CRAWL, origin, REGISTRIES[pick % 5], signal, float(size), "")))
            case "tick":
                seconds = (0.1, 1.0, 6.0, 30.0)[pick % 4]
                if size % 3:
                    self.wait(seconds)
                else:  # a process that was stopped for so long
                    self.now += seconds
                    self.handle(Tick())
            case "restart":
                self.start()

    def result(self, origin: int, grant: LeaseGrant, pick: int, status: str, size: int) -> Result:
        """Return what an answer to some address of a lease may say."""
        where = grant.ranges[pick % len(grant.ranges)]
        at = where.first + pick % where.size
        asked = Range(where.family, at, at)
        elsewhere = REGISTRIES[size % 5] if status == Status.ELSEWHERE and size % 3 else None
        found = asked
        if status == Status.NETWORK:
            unit = 24 if where.family == 4 else 32
            found = Range.of_prefix(where.family, at, unit - size % 6)
            if found.contains(Range.parse("203.0.113.0/24")) or not size % 5:
                found = Range.of_prefix(where.family, at, unit + size % 4)
        return Result(origin, self.sequence, grant.registry, status, asked, found, elsewhere, "", b"")


def _part(where: Range, pick: int, size: int) -> Range:
    first = where.first + pick % where.size
    return Range(where.family, first, min(where.last, first + 64 * size))


KINDS = (
    *("join", "wish", "wish", "wish", "renew", "return", "result", "result", "result", "result", "stored", "stored"),
    *("stray", "stray", "repeat", "tick", "tick", "leave", "signal", "yield"),
)
STATUSES = (*(["network"] * 3), "unallocated", "elsewhere", "elsewhere", "failed", "malformed", "truncated", "pool")


def steps(*kinds: str) -> st.SearchStrategy[list[tuple[str, int, int, str, int]]]:
    step = st.tuples(
        st.sampled_from(kinds),
        st.integers(0, WORKERS - 1),
        st.integers(0, 2**32),
        st.sampled_from(STATUSES),
        st.integers(0, 40),
    )
    return st.lists(step, min_size=5, max_size=80)


@given(steps(*KINDS, "restart"))
@settings(max_examples=150)
def test_after_any_event_every_address_is_in_exactly_one_place(
    events: list[tuple[str, int, int, str, int]],
) -> None:
    mesh = Mesh()
    for worker in range(WORKERS):
        mesh.step("join", worker, 0, "", 0)
    for event in events:
        mesh.step(*event)


@pytest.mark.slow
@given(steps(*KINDS, "restart"))
@settings(max_examples=60)
def test_when_every_worker_has_gone_all_that_is_unsettled_can_be_leased_and_settled(
    events: list[tuple[str, int, int, str, int]],
) -> None:
    mesh = Mesh()
    for worker in range(WORKERS):
        mesh.step("join", worker, 0, "", 0)
    for event in events:
        mesh.step(*event)
    while mesh.storing:
        mesh.step("stored", 0, 0, "", 0)
    mesh.wait(LEASE_TTL_S + 1)
    mesh.wait(AWAIT_S + 1_000.0)
    assert not mesh.ledger.workers
    assert not mesh.ledger.desk.leases
    assert not mesh.ledger.desk.awaited
    for each in mesh.grants.values():
        each.clear()
    mesh.step("join", 0, 0, "", 0)
    rounds = 0
    while not mesh.ledger.coverage.complete:
        rounds += 1
        assert rounds < 300, f"a livelock: {unsettled_space(mesh.ledger)} {list(mesh.ledger.desk.errands)}"
        for registry in range(5):
            mesh.step("wish", 0, registry, "", 0)
        assert mesh.grants[0], f"nothing to lease of {unsettled_space(mesh.ledger)}"
        for grant in list(mesh.grants[0].values()):
            for where in grant.ranges:
                mesh.sequence += 1
                asked = Range(where.family, where.first, where.first)
                found = Result(mesh.origins[0], mesh.sequence, grant.registry, "network", asked, where, None, "", b"")
                mesh.handle(Collected(Results(CRAWL, (found,))))
            while mesh.storing:
                mesh.step("stored", 0, 0, "", 0)
            del mesh.grants[0][grant.lease]
            mesh.handle(Received(b"0", Return(CRAWL, mesh.origins[0], grant.lease, ())))
        mesh.now += 1.0
        mesh.step("renew", 0, 0, "", 0)
        mesh.handle(Tick())
    assert mesh.ledger.finished is not None
    assert mesh.ledger.finished.complete


@given(steps(*KINDS))
@settings(max_examples=60)
def test_a_replay_ends_where_the_living_ledger_was(events: list[tuple[str, int, int, str, int]]) -> None:
    mesh = Mesh()
    for worker in range(WORKERS):
        mesh.step("join", worker, 0, "", 0)
    for event in events:
        mesh.step(*event)
    lived = mesh.ledger
    mesh.start()
    for kind in ("held", "unallocated", "failed", "reserved", "settled"):
        assert getattr(mesh.ledger.coverage, kind) == getattr(lived.coverage, kind)
    assert mesh.ledger.networks == lived.networks
    assert mesh.ledger.failures == lived.failures
    assert mesh.ledger.counters["duplicates"] == lived.counters["duplicates"]
    assert unsettled_space(mesh.ledger) == unsettled_space(lived)
    assert {(each.asked, each.registry, each.path, each.failures) for each in mesh.ledger.desk.errands} == {
        (each.asked, each.registry, each.path, each.failures) for each in lived.desk.errands
    }
    assert mesh.ledger.log.after(0) == lived.log.after(0)


def _blocks() -> list[Result]:
    """Networks and free blocks that make up 193.0.0.0/18, none sharing a /24."""
    found, at = [], Range.parse("193.0.0.0/18").first
    for sequence, count in enumerate((1, 3, 4, 2, 6, 1, 1, 8, 5, 16, 1, 16), 1):
        where = Range(4, at, at + count * 256 - 1)
        asked = Range(4, at + 7, at + 7)
        if count == 1:
            found.append(Result(sequence % 3 + 1, sequence, "ripencc", "unallocated", asked, asked, None, "", b""))
        else:
            found.append(Result(sequence % 3 + 1, sequence, "ripencc", "network", asked, where, None, "", b""))
        at = where.last + 1
    return found


@given(st.permutations(_blocks()), st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=30))
@settings(max_examples=100)
def test_any_order_loss_and_repetition_of_results_ends_in_the_same_coverage(
    order: list[Result], noise: list[tuple[int, bool]]
) -> None:
    budgets = {registry: Budget(math.inf, math.inf) for registry in REGISTRIES}
    ledger = Ledger(CRAWL, [Range.parse("193.0.0.0/18")], budgets)
    spool = {(each.origin, each.sequence): each for each in order}
    first_time = [each for index, each in enumerate(order) if (index, True) not in noise]
    for each in [*first_time, *(order[index] for index, _ in noise)]:
        for out in ledger.handle(Collected(Results(CRAWL, (each,))), 1.0):
            if isinstance(out, Store):
                ledger.handle(Stored(out.results), 1.0)
    for each in spool.values():  # redelivery of whatever was lost
        for out in ledger.handle(Collected(Results(CRAWL, (each,))), 2.0):
            if isinstance(out, Store):
                ledger.handle(Stored(out.results), 2.0)
    networks = [each.range for each in order if each.status == Status.NETWORK]
    assert ledger.coverage.held == RangeSet(networks)
    assert ledger.coverage.unallocated == RangeSet(
        Range.of_prefix(4, each.asked.first, 24) for each in order if each.status != Status.NETWORK
    )
    assert ledger.coverage.complete
    assert sum(ledger.networks.values()) == len(networks)
    assert ledger.counters["results"] == len(order)


# -- budgets -------------------------------------------------------------------------------------------------------


def most_within(slots: list[float], window_s: float) -> int:
    """Return the most slots in any window of that length (its end not included)."""
    slots = sorted(slots)
    low = most = 0
    for high, at in enumerate(slots):
        while at - slots[low] >= window_s - 1e-9:
            low += 1
        most = max(most, high - low + 1)
    return most


def assert_paced(slots: list[float], rate: float) -> None:
    """No second has more than the rate; below one a second, no time of one lookup has two."""
    if math.isfinite(rate):
        assert most_within(slots, max(1.0, 1 / rate)) <= math.ceil(rate)


rates = st.one_of(st.floats(0.1, 500.0), st.sampled_from([0.1, 0.15, 0.5, 1.0, 2.0, 10.0, 17.0, 100.0, 500.0]))
asks = st.lists(
    st.tuples(st.floats(0.0, 3.0), st.integers(0, 4), st.integers(0, 300), st.sampled_from(["ask", "ask", "go"])),
    min_size=1,
    max_size=60,
)


@given(rates, st.one_of(rates, st.just(math.inf)), asks, st.one_of(st.none(), st.integers(0, 59)))
@example(1.0, 1.0, [(0.0, 0, 300, "ask")] * 60, None)
@example(1.0 / 3, math.inf, [(1.0, 0, 300, "ask"), (1.0, 1, 3, "ask")] * 30, 7)
@settings(max_examples=150)
def test_no_window_has_more_slots_than_the_rate_allows(
    rate: float, host_rate: float, events: list[tuple[float, int, int, str]], limit_at: int | None
) -> None:
    budget = Budget(rate, host_rate)
    now = 50.0
    slots: dict[int, list[float]] = {}
    for number, (wait_s, origin, count, kind) in enumerate(events):
        until = now + wait_s
        while budget.wake_at is not None and budget.wake_at <= until:
            now = max(now, budget.wake_at)
            dealt = budget.deal(now)
            assert dealt, "woken for nothing"
            for each, delays in dealt.items():
                slots.setdefault(each, []).extend(now + delay for delay in delays)
        now = until
        if number == limit_at:
            budget.limit(now, 40.0, 1.0)
            slots = {each: [at for at in kept if at <= now] for each, kept in slots.items()}
            told_at = now
        elif kind == "ask":
            budget.request(origin, count)
            for each, delays in budget.deal(now).items():
                slots.setdefault(each, []).extend(now + delay for delay in delays)
    everything = [at for kept in slots.values() for at in kept]
    assert_paced(everything, rate)
    for kept in slots.values():
        assert_paced(kept, host_rate)
    if limit_at is not None and limit_at < len(events):
        assert not [at for at in everything if told_at < at < told_at + 40.0]
        assert_paced([at for at in everything if at > told_at], rate / 2)


@pytest.mark.parametrize("rate", [0.15, 1.0, 3.7, 20.0, 500.0])
@pytest.mark.parametrize("workers", [1, 7])
def test_with_steady_demand_at_least_nine_tenths_of_the_rate_are_dealt(rate: float, workers: int) -> None:
    budget = Budget(rate, math.inf)
    now, dealt = 0.0, [0] * workers
    seconds = max(60.0, 40 / rate)
    while now < seconds:
        for origin in range(workers):
            budget.request(origin, 1_000)
        for origin, delays in budget.deal(now).items():
            dealt[origin] += sum(now + delay < seconds for delay in delays)
        assert budget.wake_at is not None
        now = max(now + 0.001, budget.wake_at)
    assert 0.9 * rate * seconds <= sum(dealt) <= rate * seconds
    assert max(dealt) - min(dealt) <= 1


def test_quiet_raises_a_halved_rate_step_by_step_to_what_was_set() -> None:
    budget = Budget(8.0, 8.0)
    budget.limit(0.0, None, 0.0)
    assert budget.limit(6.0, None, 0.0)
    assert not budget.limit(8.0, None, 0.0), "one overload, many messengers"
    assert budget.rate == 2.0
    seen = []
    for minute in range(10, 120, 10):
        budget.request(1, 1)
        budget.deal(6.0 + minute * 60.0)
        seen.append(round(budget.rate, 1))
    assert seen == [2.8, 3.6, 4.4, 5.2, 6.0, 6.8, 7.6, 8.0, 8.0, 8.0, 8.0]


def test_limits_never_stop_a_registry_for_good() -> None:
    budget = Budget(8.0, 8.0)
    for number in range(100):
        budget.limit(number * 10.0, math.inf, 0.0)
    assert budget.rate == 8.0 / 64
    budget.request(1, 1)
    assert budget.wake_at is not None
    assert budget.wake_at < 1_000.0 + 24 * 3600


def test_workers_of_one_host_share_its_rate() -> None:
    budget = Budget(100.0, 10.0)
    times: list[float] = []
    for step in range(40):
        now = step / 4
        for origin in (1, 2, 3):
            budget.request(origin, 50, "one.example.net")
        times += [now + delay for delays in budget.deal(now).values() for delay in delays]
    assert_paced(sorted(times), 10.0)
    assert len(times) >= 90
