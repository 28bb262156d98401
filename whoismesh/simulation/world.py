"""A whole mesh on a virtual clock: one ledger, many lanes, registries, and a network that loses and delays messages.

Everything is decided by the seed: engines have no randomness of their own, and all of the world's comes from one
source. Frames are really packed and unpacked, once for all who receive them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from whoismesh.compounds import Result
from whoismesh.gossip.events import Exchanged
from whoismesh.ledger import Ledger
from whoismesh.ledger.events import Finish
from whoismesh.messages import decode, encode
from whoismesh.simulation.clock import START, Clock
from whoismesh.simulation.coordinator import Coordinator
from whoismesh.simulation.faults import Nemesis
from whoismesh.simulation.hosts import Node
from whoismesh.simulation.invariants import Checks
from whoismesh.simulation.network import Network
from whoismesh.simulation.plan import Plan
from whoismesh.simulation.registries import Asked, Registries

#: After all has healed, replicas are compared this often, seconds.
CONVERGE_S = 5.0


class World:
    """Everything that runs. `run` goes on until the crawl is over and the workers have left."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(plan.seed)
        self.clock = Clock()
        self.counts: Counter[str] = Counter()
        self.leases: Counter[int] = Counter()
        self.completed_at: float | None = None
        self.healed_at = START if not plan.faults.any else float("inf")
        self.nodes: list[Node] = []
        self.living: list[Node] = []
        self.spools: dict[int, dict[tuple[int, int], Result]] = {}
        self.checks = Checks(self)
        self.network = Network(self.clock, self.random, plan, self.counts)
        self.registries = Registries(self.clock, self.random, plan, self.counts)
        self.coordinator = Coordinator(self)
        self._nemesis = Nemesis(self)
        self._hosts = 0
        self.start_coordinator()
        for _ in range(plan.workers):
            self.start_worker()
        if plan.audit_s:
            self.clock.after(plan.audit_s, self._audit)
        if plan.faults.any:
            self._nemesis.start()
            self.clock.after(plan.faults.lasting_s, self.heal)
        elif plan.faults.loss == 0:
            self._converge()

    @property
    def now(self) -> float:
        """The virtual time, seconds."""
        return self.clock.now

    @property
    def ledger(self) -> Ledger | None:
        """The coordinator's engine, None while none runs."""
        return self.coordinator.ledger

    @property
    def disk(self) -> list[Result]:
        """What the coordinator committed, in order."""
        return self.coordinator.disk

    @property
    def finished(self) -> Finish | None:
        """How the crawl ended, None while it goes on."""
        return self.coordinator.finished

    @property
    def complete(self) -> bool:
        """Tell whether every address is settled."""
        return self.finished is not None and self.finished.complete

    @property
    def asked(self) -> list[Asked]:
        """All lookups so far."""
        return self.registries.asked

    def after(self, delay_s: float, act: Callable[[], Any]) -> None:
        """Do something in a while."""
        self.clock.after(delay_s, act)

    def run(self, limit_s: float = 3_600.0) -> None:
        """Run until nobody is left, or for so long. Raises InvariantError."""
        clock = self.clock
        end = clock.now + limit_s
        while (at := clock.next_at) is not None and at <= end:
            if self.coordinator.finished is not None and not self.living:
                return
            clock.step()
        clock.now = max(clock.now, min(end, clock.now))

    def _audit(self) -> None:
        self.checks.audit()
        self.clock.after(self.plan.audit_s, self._audit)

    def _converge(self) -> None:
        self.checks.converge()
        self.clock.after(CONVERGE_S, self._converge)

    def heal(self) -> None:
        """End all faults, and see that enough runs to finish: what fails to from now on is the engines' fault."""
        if self.healed_at < float("inf"):
            return
        self.healed_at = self.network.heal()
        self._nemesis.heal()
        self.registries.heal()
        self.coordinator.doom = ""
        if self.coordinator.ledger is None:
            self.coordinator.start()
        if self.coordinator.paused:
            self.coordinator.resume()
        for node in list(self.living):
            node.doomed = False
            if node.paused:
                node.resume()
        banned = set().union(*(watch.banned for watch in self.registries.watches.values()))
        well = sum(node.host not in banned for node in self.living)
        for _ in range(well, max(1, self.plan.workers // 2)):
            self.start_worker()
        self.clock.at(self.healed_at, self._converge)

    # -- the coordinator ----------------------------------------------------------------------------------------

    def start_coordinator(self) -> None:
        """Start a coordinator from what is on disk."""
        if self.coordinator.ledger is not None:
            self.coordinator.kill()
        self.coordinator.start()

    def stop_coordinator(self) -> None:
        """Kill it: what is not on disk is gone."""
        self.coordinator.kill()

    def restart_coordinator(self, down_s: float = 1.0) -> None:
        """Kill it and start another after a while."""
        self.stop_coordinator()
        self.clock.after(down_s, self._start_if_down)

    def kill_coordinator(self, moment: str) -> None:
        """Kill it at one of coordinator.MOMENTS."""
        self.counts["coordinator_killed"] += 1
        self.counts[f"coordinator_killed_{moment.replace(' ', '_')}"] += 1
        self.restart_coordinator(self._nemesis.coordinator_down_s())

    def _start_if_down(self) -> None:
        if self.coordinator.ledger is None:
            self.coordinator.start()

    def node_of(self, sender: bytes) -> Node | None:
        """Return the process behind a routing id, None if that connection is no more."""
        number, link = sender.removeprefix(b"node ").split(b".")
        node = self.nodes[int(number)]
        return node if node.alive and node.link == int(link) else None

    # -- workers ------------------------------------------------------------------------------------------------

    def start_worker(self, spool: dict[tuple[int, int], Result] | None = None, host: int | None = None) -> Node:
        """Start a worker process, on a host that had one or on a new one, perhaps with what another left."""
        if host is None:
            host, self._hosts = self._hosts, self._hosts + 1
            self.spools[host] = dict(spool or {})
        node = Node(self, len(self.nodes), host, self.spools[host])
        self.nodes.append(node)
        self.living.append(node)
        node.start()
        return node

    def crash_worker(self, number: int) -> Node:
        """Kill a worker process. Its spool stays on its disk."""
        self.nodes[number].die()
        return self.nodes[number]

    def lose_disk(self, host: int) -> None:
        """Destroy a host's disk: what is in its spool is gone."""
        self.counts["results_lost_with_a_disk"] += len(self.spools.pop(host, ()))

    def lose_orphans_of(self, node: Node) -> None:
        """Lose a host that has told the mesh what it found and had no time to deliver it."""
        self.counts["hosts_lost_with_orphans"] += 1
        self._nemesis.lose(node)

    def drain_worker(self, number: int) -> None:
        """Tell a worker to stop."""
        self.nodes[number].drain()

    def gossip(self, source: Node, frame: bytes) -> None:
        """Carry a worker's news to whoever listens to it."""
        self.clock.note(frame)
        message: Any = decode(frame)  # once for all who hear it
        name, cast = source.address, self.network.cast
        for node in self.living:
            if name in node.listens_to:
                cast("news", source.host, node.host, node.heard, message, False)

    def node_at(self, gossip: str) -> Node:
        """Return the process with that gossip address, dead or alive."""
        return self.nodes[int(gossip.removeprefix("gossip "))]

    def reply(self, to: bytes, message: Exchanged) -> None:
        """Carry an answer back to whoever asked, if it still waits for it."""
        number, exchange_number = map(int, to.split())
        node = self.nodes[number]
        exchange = node.exchange
        if exchange is not None and exchange.number == exchange_number:
            frame = encode(message)
            self.clock.note(frame)
            self.network.send(exchange.back, node.answered, exchange_number, decode(frame))
