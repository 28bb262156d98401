"""A simulated fleet: its processes, its coordinator, the links between them, and what happens to it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from whoismesh.gossip import guard
from whoismesh.gossip.events import Exchanged
from whoismesh.ledger.engine import RENEW_S
from whoismesh.messages import Members, encode
from whoismesh.simulation.broken import InvariantError
from whoismesh.simulation.clock import START, Clock
from whoismesh.simulation.gossip.coordinator import Coordinator
from whoismesh.simulation.gossip.links import COORDINATOR, Exchange, Links
from whoismesh.simulation.gossip.measures import Spread, Traffic
from whoismesh.simulation.gossip.plan import AWAY, BACK, Plan
from whoismesh.simulation.gossip.process import Process
from whoismesh.simulation.gossip.table import Catalogue

CRAWL = b"a crawl's id: 16"
#: A host that crashed is down so long, seconds.
DOWN_S = (0.5, 10.0)
#: So many of the hosts that crash have lost their disk when they are back.
DISK_LOST = 0.5
#: Of the hosts a cut takes so many, drawn evenly.
CUT_SHARE = (0.1, 0.5)
#: Shares of entries without a block, and of blocks that a second node finds too.
VOID_SHARE, TWICE_SHARE = 0.1, 0.02
#: All have joined, and listen, when the first block is found, seconds.
SETTLE_S = 1.0


class Mesh:
    """One fleet of a plan. `living` are the processes by host; faults begin with `unleash` and end with `heal`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.crawl = CRAWL
        self.renew_s = RENEW_S
        self.clock = Clock()
        self.random = Random(f"gossip {plan.seed}")
        self.catalogue = Catalogue(plan.blocks, self.random)
        self.traffic = Traffic()
        self.spread = Spread(plan.blocks)
        self.links = Links(self.clock, self.random, plan, self.traffic)
        self.coordinator = Coordinator(self)
        self.living: dict[int, Process] = {}
        self.crashes = 0
        self.cut_from = self.cut_until = START
        self._spools: dict[int, dict[tuple[int, int], int | None]] = {}
        self._processes = 0
        self._askers: dict[bytes, Exchange] = {}
        self._down: set[int] = set()
        self._healed = False

    # -- hosts and processes ------------------------------------------------------------------------------------

    def address_of(self, host: int) -> str:
        """Return the gossip address of a host's processes: each start has the same."""
        return f"tcp://10.{host >> 16}.{host >> 8 & 255}.{host & 255}:7711"

    def host_at(self, address: str) -> int:
        """Return the host of a gossip address."""
        a, b, c = address.removeprefix("tcp://10.").removesuffix(":7711").split(".")
        return int(a) << 16 | int(b) << 8 | int(c)

    def size_of(self, message: Members) -> int:
        """Return the size of a frame, bytes."""
        return len(encode(message))

    def start_process(self, host: int) -> Process:
        """Start a process on a host; it joins when the coordinator takes it in."""
        self._processes += 1
        process = Process(self, self._processes, host, self._spools.setdefault(host, {}))
        self.living[host] = process
        return process

    @property
    def live(self) -> list[Process]:
        """The processes that are members."""
        return [process for process in self.living.values() if process.joined]

    @property
    def starts(self) -> int:
        """How many processes have been started."""
        return self._processes

    def begin(self) -> None:
        """Have all hosts join at once, and hear of each other before anything is found."""
        self.coordinator.begin()
        fleet = [self.start_process(host) for host in range(self.plan.nodes)]
        for process in fleet:
            self.coordinator.starts += 1
            self.coordinator.enrol(process, self.coordinator.starts)
        for origin, process in enumerate(fleet, 1):
            process.welcome(origin, self.coordinator.members)
        self.run(SETTLE_S)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.clock.now + seconds
        while (at := self.clock.next_at) is not None and at <= end:
            self.clock.step()
        self.clock.now = end

    # -- the ways between them ----------------------------------------------------------------------------------

    def to_coordinator(self, process: Process, act: Callable[..., None], *args: Any) -> None:
        """Do something at the coordinator when a message of a process arrives there."""
        if self.links.passes(process.host, COORDINATOR):
            self.clock.after(self.links.takes(), self._at_coordinator, act, args)

    def _at_coordinator(self, act: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not self.coordinator.is_away:
            act(*args)

    def from_coordinator(self, process: Process, act: Callable[..., None], *args: Any) -> None:
        """Do something at a process when a message of the coordinator arrives there."""
        if self.links.passes(process.host, COORDINATOR):
            self.clock.after(self.links.takes(), act, *args)

    def open(self, process: Process, number: int, address: str) -> None:
        """Open an exchange with whoever listens at an address (empty: the coordinator's)."""
        if process.exchange is not None:
            self._askers.pop(_sender(process.exchange), None)
        host = self.host_at(address) if address else COORDINATOR
        exchange = Exchange(number, process, host, self.living.get(host))
        process.exchange = exchange
        self._askers[_sender(exchange)] = exchange

    def say(self, exchange: Exchange, message: Exchanged) -> None:
        """Send to the partner of an exchange."""
        when = self.links.say(exchange, message)
        if when is None:
            return
        if exchange.host == COORDINATOR:
            self.clock.at(when, self.coordinator.asked, _sender(exchange), message)
        elif exchange.peer is not None:
            self.clock.at(when + exchange.peer.slow_s, exchange.peer.asked, _sender(exchange), message)

    def reply(self, to: bytes, message: Exchanged, late_s: float) -> None:
        """Answer in an exchange: what is for one that is over is dropped, as a ROUTER does."""
        exchange = self._askers.get(to)
        if exchange is not None:
            when = self.links.reply(exchange, message)
            if when is not None:
                self.clock.at(when + late_s, exchange.asker.answered, exchange, message)

    # -- what happens -------------------------------------------------------------------------------------------

    def unleash(self) -> None:
        """Plan the finds and the faults."""
        plan, random, clock = self.plan, self.random, self.clock
        begin = clock.now
        for host in random.sample(range(plan.nodes), int(plan.dead * plan.nodes)):
            self.kill(host)
        if plan.coordinator == AWAY:
            self.coordinator.leave()
        elif plan.coordinator == BACK:
            clock.at(begin + plan.lasting_s / 4, self.coordinator.leave)
            clock.at(begin + plan.lasting_s * 3 / 4, self.coordinator.begin)
        at = 0
        while at < plan.blocks:
            size = min(plan.blocks - at, random.randint(1, 2 * plan.burst - 1))
            clock.at(begin + random.random() * plan.lasting_s, self._find, list(range(at, at + size)))
            at += size
        when = begin
        while plan.crash and (when := when + random.expovariate(plan.crash * plan.nodes / 60)) < begin + plan.lasting_s:
            clock.at(when, self._crash)
        if plan.cut_s:
            side = random.sample(range(plan.nodes), int(random.uniform(*CUT_SHARE) * plan.nodes))
            self.cut_from = begin + plan.lasting_s / 4
            self.cut_until = min(self.cut_from + plan.cut_s, begin + plan.lasting_s)
            clock.at(self.cut_from, self.links.cut, frozenset(side))
            clock.at(self.cut_until, self.links.cut, frozenset())

    def _find(self, numbers: list[int]) -> None:
        live = self.live
        if not live:
            self.clock.after(1.0, self._find, numbers)
            return
        entries: list[int | None] = []
        for number in numbers:
            entries += [None] * (self.random.random() < VOID_SHARE) + [number]
        self.random.choice(live).find(entries)
        twice = [number for number in numbers if self.random.random() < TWICE_SHARE]
        if twice:
            self.random.choice(live).find(list(twice))

    def kill(self, host: int) -> None:
        """End the process of a host, if one runs."""
        process = self.living.pop(host, None)
        if process is not None:
            process.die()
            if process.exchange is not None:
                self._askers.pop(_sender(process.exchange), None)

    def _crash(self) -> None:
        if not self._healed and self.living:
            host = self.random.choice(list(self.living))
            self.crashes += 1
            self.kill(host)
            if self.random.random() < DISK_LOST:
                self._spools.pop(host, None)
            self._down.add(host)
            self.clock.after(self.random.uniform(*DOWN_S), self._come_back, host)

    def _come_back(self, host: int) -> None:
        self._down.discard(host)
        if host not in self.living:
            self.start_process(host).start()

    def heal(self) -> None:
        """Add no fault any more."""
        self._healed = True
        self.links.loss = self.links.broken = 0.0
        self.links.cut(frozenset())

    # -- what must hold -----------------------------------------------------------------------------------------

    @property
    def differs(self) -> str:
        """What is not the same in all live replicas yet, "" if nothing."""
        live = self.live
        if not self.coordinator.is_away and (self._down or len(live) < len(self.living)):
            return "the hosts that are up and those that were"
        if not live:
            return ""
        first = live[0]
        for process in live:
            if process.table.held != first.table.held:
                return (
                    f"the blocks of hosts {first.host} ({len(first.table)}) and {process.host} ({len(process.table)})"
                )
        have = self._have(first)
        if not self.coordinator.is_away and any(process.spool for process in live):
            return "what the coordinator has on disk and what it should have"
        if not self.coordinator.is_away and first.gossip.replica.accepted < len(self.coordinator.log):
            return f"the accepted logs of the coordinator and host {first.host}"
        for process in live:
            if self._have(process) != have:
                return f"the digests of hosts {first.host} and {process.host}"
            if process.gossip.peers.version != first.gossip.peers.version:
                return f"the lists of members of hosts {first.host} and {process.host}"
        return ""

    def _have(self, process: Process) -> tuple[int, dict[int, int]]:
        logs = process.gossip.replica.logs
        logs.trim(self.clock.now)
        accepted, tails = logs.have()
        return accepted, dict(tails)

    def check(self) -> None:
        """Check what must hold when all replicas are alike. Raises InvariantError."""
        on_disk = {found for process in self.live for found in process.spool.values() if found is not None}
        if not self.coordinator.is_away:
            on_disk |= {self.catalogue.index[block.range] for block in self.coordinator.log if block is not None}
        for process in self.live:
            log = process.gossip.replica.logs.accepted_log
            number = 0
            while blocks := log.after(number):
                mine = self.coordinator.log.after(number)
                if len(mine) < len(blocks) or mine.packed[: len(blocks.packed)] != blocks.packed:
                    raise InvariantError("accepted-log", "a prefix of the coordinator's", f"host {process.host}")
                number += len(blocks)
            refused = process.gossip.replica.guard.by_reason()
            refused.pop(guard.NOT_GIVEN, None)  # the list of members was behind: what is refused so comes again
            if refused:
                raise InvariantError("nothing-refused", "true entries to be taken in", dict(refused))
        missing = [number for number in sorted(on_disk) if self.live and not self.live[0].table.held[number]]
        if missing:
            raise InvariantError("nothing-lost", "all that is on a disk to be in the replicas", missing[:10])


def _sender(exchange: Exchange) -> bytes:
    return b"%d %d" % (exchange.asker.number, exchange.number)
