"""What must hold of a worker after any event, in any order; random lists of events look for a way around it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import replies
from hypothesis import given, settings
from hypothesis import strategies as st
from replies import BASES, URLS

from whoismesh.addresses import Range
from whoismesh.answers import Reply
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import DISAGREEMENT, LeaseGrant, Run
from whoismesh.gossip import events as gossip
from whoismesh.lanes import Lanes
from whoismesh.lanes.events import (
    Ask,
    Broken,
    Drain,
    Event,
    Instruction,
    Keep,
    Received,
    Replied,
    Send,
    Stop,
    Tick,
)
from whoismesh.lanes.lane import Lane
from whoismesh.messages import Acknowledge, Discovered, Leases, Permits, Refused, Renewed, Return, Welcome
from whoismesh.rangesets import RangeSet
from whoismesh.simulation.audits import audit_ask, audit_lanes
from whoismesh.simulation.plan import Faults, Plan
from whoismesh.simulation.registries import Asked
from whoismesh.simulation.tables import random_table
from whoismesh.simulation.world import World

CRAWL = b"0123456789abcdef"
BASE = Range.parse("193.0.0.0/18")


class Host:
    """A worker under random treatment. Every question is judged at the moment at which it is asked."""

    def __init__(self, unlimited: tuple[str, ...], connections: int, host_rate: float, compare: float = 0.0) -> None:
        protocols = ("rdap", "whois")
        lanes = {
            registry: Lane(registry, protocols, host_rate, connections, compare) for registry in ("ripencc", "arin")
        }
        self.lanes = Lanes(lanes, BASES, "host", lambda: 0.5)
        self.unlimited = unlimited
        self.now = 100.0
        self.number = 0
        self.news = 0
        self.waiting: dict[int, Ask] = {}
        self.kept: list[tuple[int, int]] = []
        self.times: dict[str, list[float]] = {registry: [] for registry in lanes}
        self.host_rate = host_rate
        self.permits: dict[str, list[float]] = {registry: [] for registry in lanes}
        self.leased: dict[int, LeaseGrant] = {}
        self.stopped = False
        #: Of a disagreement that was kept: the network that has to follow.
        self.beside: tuple[Range, Range] | None = None

    def do(self, event: Event) -> None:
        """Hand an event over and check all that follows."""
        known = RangeSet(self.lanes.replica.table.coverage)
        out = self.lanes.handle(event, self.now)
        audit_lanes(self.lanes)
        for each in out:
            self.check(each, known)
        assert self.beside is None
        for lane in self.lanes.lanes.values():
            known_too = [each for each in lane.again if each.known is not None]
            assert not known_too or (self.now >= lane.paused_until and not lane.closed), "a network that is kept back"
        self.stopped = self.stopped or any(isinstance(each, Stop) for each in out)
        if not self.stopped:
            assert self.lanes.wake_at(self.now) > self.now, "it would spin"
        else:
            assert not [each for each in out if isinstance(each, Ask)]

    def check(self, instruction: Instruction, known: RangeSet) -> None:
        """Check one instruction."""
        match instruction:
            case Ask(number, registry, _, family, address):
                lane = self.lanes.lanes[registry]
                audit_ask(lane, number)
                assert self.lanes._membership.joined
                assert not lane.closed
                assert not self.lanes.draining
                assert self.now >= lane.paused_until
                assert number not in self.waiting
                holding = [
                    grant
                    for grant in self.leased.values()
                    if grant.registry == registry and any(each.holds(family, address) for each in grant.ranges)
                ]
                assert holding, "outside the leases"
                if not any(grant.verify for grant in holding):
                    assert not self.lanes.replica.table.coverage.holds(family, address), "known"
                self.waiting[number] = instruction
                self.times[registry].append(self.now)
                if not lane.unlimited:
                    usable = [at for at in self.permits[registry] if at <= self.now <= at + 0.05]
                    assert usable, "without a permit"
                    self.permits[registry].remove(usable[0])
                if math.isfinite(self.host_rate):
                    within = sum(at > self.now - max(1.0, 1 / self.host_rate) + 0.05 for at in self.times[registry])
                    assert within <= math.ceil(self.host_rate)
            case Keep(result):
                assert (result.origin, result.sequence) not in self.kept
                own = ("network", "unallocated", "elsewhere", "failed", "malformed", "pool", DISAGREEMENT)
                assert result.status in own
                if self.beside is not None:
                    assert (result.status, result.range, result.asked) == ("network", *self.beside), "its network"
                self.beside = (result.range, result.asked) if result.status == DISAGREEMENT else None
                self.kept.append((result.origin, result.sequence))
            case Send(Return(lease=lease)):
                assert lease in self.leased
                del self.leased[lease]

    def step(self, kind: str, pick: int, size: int) -> None:
        """Let one thing happen."""
        registry = ("ripencc", "arin")[pick % 5 == 0]
        first = BASE.first + (pick % BASE.size) // 64 * 64
        where = Range(4, first, min(BASE.last, first + 64 * (size + 1) - 1))
        match kind:
            case "tick":
                self.now += (0.01, 0.2, 1.0, 3.0)[pick % 4]
                self.do(Tick())
            case "wake":
                self.now = max(self.now + 0.001, self.lanes.wake_at(self.now))
                self.do(Tick())
            case "welcome":
                for each in self.permits.values():
                    each.clear()
                self.do(Received(Welcome(CRAWL, 7, 1, 2, 3, 2.0, self.unlimited, self.now)))
            case "refused":
                self.do(Received(Refused(CRAWL, "", False)))
            case "lease":
                self.number += 1
                first_in_line = size % 7 == 0
                ranges = (Range(4, where.first, where.first),) if first_in_line else (where,)
                grant = LeaseGrant(self.number, registry, ranges, first_in_line, pick % 3 == 0)
                self.leased[self.number] = grant
                self.do(Received(Leases(CRAWL, (grant,))))
            case "gone" if self.leased:
                number = sorted(self.leased)[pick % len(self.leased)]
                if self.lanes._membership.joined:
                    del self.leased[number]
                    self.do(Received(Renewed(CRAWL, (number,), False, self.now)))
            case "permits":
                delays = tuple(sorted(0.02 * ((pick >> each) % 50) for each in range(size % 8)))
                if not delays:
                    self.permits[registry].clear()
                self.permits[registry] += [self.now + each for each in delays]
                self.do(Received(Permits(CRAWL, registry, self.now, delays, 0.0)))
            case "heard":
                self.news += 1
                run = Run(0, self.news, None, Blocks.of((Block("ripencc", where),)))
                self.do(gossip.Heard(Discovered(CRAWL, (run,)), True))
            case "answer" if self.waiting:
                number = sorted(self.waiting)[pick % len(self.waiting)]
                ask = self.waiting.pop(number)
                if size % 9 == 8:
                    self.do(Broken(number, "cut", bool(pick % 2)))
                else:
                    self.do(Replied(number, self.reply(ask, pick, size)))
            case "acknowledged":
                self.do(Received(Acknowledge(CRAWL, 7, ((1, size),))))
            case "drain" if pick % 4 == 0:
                self.do(Drain())

    def reply(self, ask: Ask, pick: int, size: int) -> Reply:
        """Return some answer."""
        network = replies.inetnum if ask.protocol == "whois" else replies.network
        kinds: tuple[Callable[[Ask], Reply], ...] = (
            lambda ask: network(ask, Range.of_prefix(4, ask.address, 20 + size % 12)),
            lambda ask: network(ask, Range.of_prefix(4, ask.address, 20 + pick % 12)),
            replies.not_found,
            replies.not_found,
            replies.broken,
            replies.garbage,
            lambda ask: replies.slow_down(ask, str(size) if pick % 2 else None),
            lambda ask: replies.moved(ask, f"{URLS['apnic']}ip/x"),
            lambda ask: replies.moved(ask, f"{URLS[ask.registry]}{pick % 3}"),
            lambda ask: replies.whois(ask, "%ERROR:201: access denied for 192.0.2.1\n% blocked permanently"),
        )
        # A ban ends a lane for good: rarely.
        return kinds[pick % (len(kinds) - (size != 3))](ask)


KINDS = (
    *("tick", "wake", "wake", "wake", "lease", "lease", "permits", "permits", "heard", "gone", "acknowledged"),
    *("answer", "answer", "answer", "answer", "answer", "refused", "welcome", "welcome", "drain"),
)
steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2**31), st.integers(0, 40)), min_size=10, max_size=120
)


@given(
    steps,
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([math.inf, 0.5, 3.0, 20.0]),
    st.sampled_from([0.0, 0.4, 1.0]),
)
@settings(max_examples=150)
def test_whatever_happens_only_what_may_be_asked_is_asked(
    events: list[tuple[str, int, int]], unlimited: bool, connections: int, host_rate: float, compare: float
) -> None:
    host = Host(("ripencc", "arin") if unlimited else (), connections, host_rate, compare)
    host.do(Tick())
    host.step("welcome", 0, 0)
    for event in events:
        if host.stopped:
            break
        host.step(*event)


@pytest.mark.slow
@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_a_worker_never_waits_for_ever_while_there_is_work_and_a_coordinator(seed: int) -> None:
    """Random worlds with troubled registries end complete, and nobody is asked about what a worker knows."""
    space, table = random_table(seed, ["ripencc", "lacnic"], length=18)
    world = World(
        Plan(
            space,
            table,
            workers=1 + seed % 4,
            seed=seed,
            rate=(math.inf, 40.0)[seed % 2],
            host_rate=(math.inf, 15.0)[seed % 3 == 0],
            faults=Faults(loss=(0.0, 0.3)[seed % 5 == 0]),
            connections=1 + seed % 3,
        )
    )

    def ill(asked: Asked) -> Reply | None:
        node = world.nodes[asked.worker]
        lane = node.lanes.lanes[asked.registry]
        verifying = any(
            lease.grant.verify and lease.ranges.holds(asked.family, asked.address) for lease in lane.leases.values()
        )
        assert verifying or not node.lanes.replica.table.coverage.holds(asked.family, asked.address)
        if world.random.random() < 0.05:
            status = world.random.choice((500, 200, 404))
            return Reply(asked.registry, "rdap", asked.family, asked.address, b"{", "", 0.0, status)
        return None

    world.registries.ill = ill
    world.run()
    assert world.finished is not None
    assert world.finished.complete
    assert {node.stopped for node in world.nodes} == {""}
