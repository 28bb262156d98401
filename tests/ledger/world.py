"""A whole mesh on a virtual clock: one ledger, some lanes, registries, and a network that loses and delays messages.

Everything is decided by the seed. The shells' duties are done here in the smallest way: a disk is a list, a spool a
dict, the network a heap of deliveries. Frames are really packed and unpacked, so the wire format is in the loop.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from whoismesh.addresses import Range, format_address, parse_address
from whoismesh.answers import Reply
from whoismesh.blocks import Blocks
from whoismesh.lanes import Lanes
from whoismesh.lanes import events as lane_events
from whoismesh.lanes.lane import Lane
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger import events as ledger_events
from whoismesh.messages import Discovered, Leases, Message, Metrics, Result, Results, decode, encode
from whoismesh.practice.rdap_answers import answer, limited
from whoismesh.practice.table import AllocationTable, Row
from whoismesh.practice.verdicts import judge
from whoismesh.registries import REGISTRIES

CRAWL = b"a crawl's id: 16"
URLS = {registry: f"http://{registry}.test/" for registry in REGISTRIES}
BASES = {url: registry for registry, url in URLS.items()}
START = 1_000.0


@dataclass
class Plan:
    """What a world is made of. Times are in seconds; `loss` is the share of lost results and gossip."""

    space: Sequence[Range]
    table: AllocationTable
    workers: int = 2
    seed: int = 1
    rate: float = float("inf")
    host_rate: float = float("inf")
    connections: int = 2
    loss: float = 0.0
    delay: tuple[float, float] = (0.001, 0.02)
    answer: tuple[float, float] = (0.05, 0.2)
    commit: tuple[float, float] = (0.002, 0.02)
    audit: Callable[[World], None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One lookup as the registry saw it."""

    at: float
    worker: int
    registry: str
    family: int
    address: int


@dataclass
class Node:
    """A worker process."""

    number: int
    lanes: Lanes
    spool: dict[tuple[int, int], Result] = field(default_factory=dict)
    alive: bool = True
    joined: bool = False
    listens_to: tuple[str, ...] = ()
    tick_at: float = 0.0
    stopped: str | None = None

    @property
    def sender(self) -> bytes:
        return f"node {self.number}".encode()


class World:
    """Everything that runs. `run` goes on until the crawl is over and the workers have left."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = START
        self.random = Random(plan.seed)
        self.asked: list[Asked] = []
        self.leases: Counter[int] = Counter()
        self.lost = 0
        self.disk: list[Result] = []
        self.finished: ledger_events.Finish | None = None
        self.ill: Callable[[Asked], Reply | None] = lambda asked: None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._free_at: dict[object, float] = {}
        self._epoch = 0
        self._ledger_tick_at = 0.0
        self.ledger: Ledger | None = None
        self.nodes: list[Node] = []
        self.start_coordinator()
        for _ in range(plan.workers):
            self.start_worker()

    # -- time ---------------------------------------------------------------------------------------------------

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something at a point in time."""
        self._count += 1
        heapq.heappush(self._queue, (max(when, self.now), self._count, act))

    def after(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something in a while."""
        self.at(self.now + delay_s, act)

    def run(self, limit_s: float = 3_600.0) -> None:
        """Run until nobody is left, or for so long."""
        end = self.now + limit_s
        while self._queue and self._queue[0][0] <= end:
            if self.finished is not None and not any(node.alive for node in self.nodes):
                return
            self.now, _, act = heapq.heappop(self._queue)
            act()
        self.now = max(self.now, min(end, self.now))

    def _between(self, span: tuple[float, float]) -> float:
        return self.random.uniform(*span)

    def _carry(self, link: object, act: Callable[[], None]) -> None:
        """Deliver over a link that keeps the order."""
        when = max(self.now + self._between(self.plan.delay), self._free_at.get(link, 0.0))
        self._free_at[link] = when
        self.at(when, act)

    def _loses(self) -> bool:
        lost = self.random.random() < self.plan.loss
        self.lost += lost
        return lost

    # -- the coordinator ----------------------------------------------------------------------------------------

    def start_coordinator(self) -> None:
        """Start a coordinator from what is on disk."""
        self._epoch += 1
        budgets = {registry: Budget(self.plan.rate, self.plan.host_rate) for registry in REGISTRIES}
        origins = range(self._epoch * 1_000, (self._epoch + 1) * 1_000)
        self.ledger = Ledger(CRAWL, self.plan.space, budgets, epoch=self._epoch, origins=origins)
        for result in self.disk:
            self.ledger.replay(result)
        self._ledger_tick_at = float("inf")
        self._ledger_event(ledger_events.Tick())

    def stop_coordinator(self) -> None:
        """Kill it: what is not on disk is gone."""
        self.ledger = None

    def restart_coordinator(self, down_s: float = 1.0) -> None:
        """Kill it and start another after a while."""
        self.stop_coordinator()
        self.after(down_s, self.start_coordinator)

    def _ledger_event(self, event: ledger_events.Event) -> None:
        ledger = self.ledger
        if ledger is None:
            return
        for instruction in ledger.handle(event, self.now):
            self._do_for_ledger(ledger, instruction)
        if self.plan.audit is not None:
            self.plan.audit(self)
        wake_at = max(ledger.wake_at, self.now + 0.001)
        if wake_at < self._ledger_tick_at:
            self._ledger_tick_at = wake_at
            self.at(wake_at, lambda: self._ledger_tick(ledger))

    def _ledger_tick(self, ledger: Ledger) -> None:
        if ledger is self.ledger and self.now >= self._ledger_tick_at:
            self._ledger_tick_at = float("inf")
            self._ledger_event(ledger_events.Tick())

    def _do_for_ledger(self, ledger: Ledger, instruction: ledger_events.Instruction) -> None:
        match instruction:
            case ledger_events.Send(to, message):
                self._to_worker(to, message)
            case ledger_events.SendRepair(to, message):
                self._to_worker(to, message)
            case ledger_events.Publish(message):
                frame = encode(message)
                for node in self.nodes:
                    if not self._loses():
                        self._carry(("feed", node.number), lambda node=node: self._heard(node, frame))
            case ledger_events.Store(results):
                self.after(self._between(self.plan.commit), lambda: self._commit(ledger, results))
            case ledger_events.Finish():
                self.finished = instruction

    def _commit(self, ledger: Ledger, results: tuple[Result, ...]) -> None:
        if ledger is self.ledger:
            self.disk.extend(results)
            self._ledger_event(ledger_events.Stored(results))

    def _to_worker(self, to: bytes, message: Message) -> None:
        frame = encode(message)
        for node in self.nodes:
            if node.sender == to:
                if isinstance(message, Leases):
                    self.leases[node.number] += len(message.grants)
                self._carry(("down", node.number), lambda node=node: self._arrived(node, frame))

    def _arrived(self, node: Node, frame: bytes) -> None:
        message = decode(frame)
        event = lane_events.Heard(message) if isinstance(message, Discovered) else lane_events.Received(message)
        self._lanes_event(node, event)

    def _heard(self, node: Node, frame: bytes) -> None:
        if node.joined:
            message = decode(frame)
            assert isinstance(message, Discovered)
            self._lanes_event(node, lane_events.Heard(message))

    # -- workers ------------------------------------------------------------------------------------------------

    def start_worker(self, spool: dict[tuple[int, int], Result] | None = None) -> Node:
        """Start a worker process, perhaps with what an earlier one left in its spool."""
        plan = self.plan
        lanes = {registry: Lane(registry, ("rdap",), plan.host_rate, plan.connections) for registry in REGISTRIES}
        node = Node(len(self.nodes), Lanes(lanes, BASES, f"host{len(self.nodes)}"), dict(spool or {}))
        node.lanes.gossip = f"gossip {node.number}"
        self.nodes.append(node)
        self._schedule(node, self.now + self._between(plan.delay))
        if node.spool:
            self._lanes_event(node, lane_events.Recovered(tuple(node.spool)))
        return node

    def crash_worker(self, number: int) -> Node:
        """Kill a worker process. Its spool stays on its disk."""
        self.nodes[number].alive = False
        return self.nodes[number]

    def drain_worker(self, number: int) -> None:
        """Tell a worker to stop."""
        self._lanes_event(self.nodes[number], lane_events.Drain())

    def _schedule(self, node: Node, when: float) -> None:
        if node.tick_at and self.now < node.tick_at <= when:
            return
        node.tick_at = when
        self.at(when, lambda: self._tick(node, when))

    def _tick(self, node: Node, when: float) -> None:
        if node.tick_at == when:
            node.tick_at = 0.0
            self._lanes_event(node, lane_events.Tick())

    def _lanes_event(self, node: Node, event: lane_events.Event) -> None:
        if not node.alive:
            return
        for instruction in node.lanes.handle(event, self.now):
            self._do_for_worker(node, instruction)
        if self.plan.audit is not None:
            self.plan.audit(self)
        if node.alive:
            self._schedule(node, max(node.lanes.wake_at(self.now), self.now + 0.001))

    def _do_for_worker(self, node: Node, instruction: lane_events.Instruction) -> None:
        match instruction:
            case lane_events.Ask():
                self._ask(node, instruction)
            case lane_events.Keep(result, block, news):
                node.spool[result.origin, result.sequence] = result
                self._push(node, (result,))
                if block is not None:
                    self._gossip(node, encode(Discovered(CRAWL, node.lanes.origin, news, Blocks.of((block,)))))
            case lane_events.Send(Metrics() as message):
                self._carry(("push", node.number), lambda: self._collected(encode(message)))
            case lane_events.Send(message):
                frame = encode(message)
                self._carry(("up", node.number), lambda: self._received(node, frame))
            case lane_events.Repair(message):
                frame = encode(message)
                self._carry(("repair", node.number), lambda: self._repair(node, frame))
            case lane_events.Forget(origin, runs):
                for first, last in runs:
                    for sequence in range(first, last + 1):
                        node.spool.pop((origin, sequence), None)
            case lane_events.Resend():
                self._push(node, tuple(node.spool.values()))
            case lane_events.Connect(gossip):
                node.listens_to = gossip
            case lane_events.Joined():
                node.joined = True
            case lane_events.Stop(error):
                node.alive, node.stopped = False, error

    def _received(self, node: Node, frame: bytes) -> None:
        self._ledger_event(ledger_events.Received(node.sender, decode(frame)))

    def _repair(self, node: Node, frame: bytes) -> None:
        message: Any = decode(frame)
        self._ledger_event(ledger_events.RepairAsked(node.sender, message))

    def _push(self, node: Node, results: tuple[Result, ...]) -> None:
        if node.joined and results and not self._loses():
            frame = encode(Results(CRAWL, results))
            self._carry(("push", node.number), lambda: self._collected(frame))

    def _collected(self, frame: bytes) -> None:
        message: Any = decode(frame)
        self._ledger_event(ledger_events.Collected(message))

    def _gossip(self, node: Node, frame: bytes) -> None:
        for other in self.nodes:
            if node.lanes.gossip in other.listens_to and not self._loses():
                self._carry((node.number, other.number), lambda other=other: self._heard(other, frame))

    # -- registries ---------------------------------------------------------------------------------------------

    def _ask(self, node: Node, ask: lane_events.Ask) -> None:
        asked = Asked(self.now, node.number, ask.registry, ask.family, ask.address)
        self.asked.append(asked)
        reply = self.ill(asked) or self.reply(asked)
        self.after(
            self._between(self.plan.answer),
            lambda: self._lanes_event(node, lane_events.Replied(ask.lookup, reply)),
        )

    def reply(self, asked: Asked) -> Reply:
        """Return what a registry says that is well."""
        single = Range(asked.family, asked.address, asked.address)
        text = format_address(asked.family, asked.address)
        return self._packed(asked, answer(asked.registry, judge(self.plan.table, asked.registry, single), text, URLS))

    def slow_down(self, asked: Asked, wait_s: int) -> Reply:
        """Return what a registry says that is asked too fast."""
        return self._packed(asked, limited(asked.registry, "192.0.2.1", wait_s))

    def _packed(self, asked: Asked, said: Any) -> Reply:
        body = said.body.encode() if isinstance(said.body, str) else json.dumps(said.body or {}).encode()
        headers = {name.lower(): value for name, value in said.headers.items()}
        return Reply(
            asked.registry, "rdap", asked.family, asked.address, body, URLS[asked.registry], 0.0, said.status, headers
        )


# -- tables --------------------------------------------------------------------------------------------------------


def row(where: str | Range, registry: str, *, held: bool = True) -> Row:
    """Return a row of the table: a registration, or with `held=False` space that a registry has not given out."""
    found = Range.parse(where) if isinstance(where, str) else where
    return Row(
        found, registry, "NL", "allocated" if held else "available", "20200101", f"o{found.first:x}", f"N{found}"
    )


#: A /14 of each registry's own space, in the order of REGISTRIES.
HOMES = {
    "arin": "8.0.0.0/14",
    "ripencc": "193.0.0.0/14",
    "apnic": "202.0.0.0/14",
    "lacnic": "200.0.0.0/14",
    "afrinic": "41.0.0.0/14",
}


def random_table(
    seed: int, registries: Iterable[str] = REGISTRIES, *, length: int = 16, transferred: float = 0.1, free: float = 0.15
) -> tuple[list[Range], AllocationTable]:
    """Return (space, table): for each registry a block of that length, cut into networks of whole /24s.

    Many are not CIDRs; some have moved to another registry, some space is free.
    """
    random = Random(seed)
    space, rows = [], []
    for home in registries:
        _, first = parse_address(HOMES[home].partition("/")[0])
        block = Range.of_prefix(4, first, length)
        space.append(block)
        at = block.first >> 8
        end = (block.last + 1) >> 8
        while at < end:
            count = min(end - at, random.choice((1, 1, 1, 2, 3, 4, 8, 16, 29)))
            owner = random.choice(REGISTRIES) if random.random() < transferred else home
            where = Range(4, at << 8, ((at + count) << 8) - 1)
            rows.append(row(where, owner, held=random.random() >= free))
            at += count
    return space, AllocationTable(rows)
