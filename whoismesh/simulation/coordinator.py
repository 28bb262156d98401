"""The coordinator of a simulated world: what the daemon does around its engine, with a list for a disk.

Results gather while a commit runs and are stored in one go, as the daemon does. A kill takes what was not committed
yet; it may also come between the commit and the acknowledgements, or between these and the feed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whoismesh.compounds import Result
from whoismesh.gossip.events import Exchanged
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.events import (
    Asked,
    Collected,
    Event,
    Finish,
    Instruction,
    Note,
    Publish,
    Received,
    Reply,
    Send,
    Store,
    Stored,
    Tick,
)
from whoismesh.messages import Acknowledge, Leases, Message, Metrics, Permits, Results, Signal, Welcome, decode, encode
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.hosts import CLOCKS_APART_S, SOONEST_S, Node
from whoismesh.simulation.network import COORDINATOR

if TYPE_CHECKING:
    from whoismesh.simulation.world import World

CRAWL = b"a crawl's id: 16"
#: Origins of one start (store.ORIGINS_A_START would do; a world is small).
ORIGINS_A_START = 10_000
#: The process looks in at least this often (coordinator.LONGEST_SLEEP_S), seconds.
LONGEST_SLEEP_S = 0.25
#: The moments at which a coordinator may be killed.
MOMENTS = ("at once", "while it commits", "before it acknowledges", "before it tells the mesh")


class Coordinator:
    """The host of the coordinator. `disk` is what is committed, in order; `ledger` is None while nothing runs."""

    def __init__(self, world: World) -> None:
        self.disk: list[Result] = []
        self.ledger: Ledger | None = None
        self.finished: Finish | None = None
        self.gave_up = 0
        self.paused = False
        self.started_at = self.resumed_at = 0.0
        #: Until when each registry told this process to wait, by the world's clock.
        self.told: dict[str, float] = {}
        self.doom = ""
        self._world = world
        self._clock = world.clock
        self._epoch = 0
        self._offset = 0.0
        self._held: list[Event] = []
        self._waiting: list[tuple[Node, int, Event]] = []
        self._gathered: list[Result] = []
        self._committing = False
        self._tick_at = float("inf")
        self._sent: tuple[Message | None, Message | None] = (None, None)

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process from what is on disk."""
        world, plan = self._world, self._world.plan
        self._epoch += 1
        if plan.faults.any:
            self._offset = world.random.uniform(0, CLOCKS_APART_S)
        budgets = {
            registry: Budget(float("inf"), float("inf"))
            if registry in plan.unlimited
            else Budget(plan.rate, plan.host_rate)
            for registry in REGISTRIES
        }
        origins = range(self._epoch * ORIGINS_A_START, (self._epoch + 1) * ORIGINS_A_START)
        ledger = Ledger(
            *(CRAWL, plan.space, budgets),
            epoch=self._epoch,
            origins=origins,
            attempts=plan.attempts,
            prior=plan.prior,
        )
        for result in self.disk:
            ledger.replay(result)
        free = tuple(ledger.delegated())
        world.checks.commit(free)
        self.disk.extend(free)
        for result in free:
            ledger.replay(result)
        self.ledger = ledger
        self.started_at = self._clock.now
        self.told = {}
        self._tick_at = float("inf")
        world.checks.started(ledger)
        self.event(Tick())
        waiting, self._waiting = self._waiting, []
        for node, link, event in waiting:
            if node.link == link and node.alive:
                self.event(event)

    def kill(self) -> None:
        """End the process: what is not on disk is gone, and so is what was under way."""
        self.ledger = None
        self.doom = ""
        self.paused = False
        self._held.clear()
        self._gathered.clear()
        self._committing = False
        for node in self._world.nodes:
            node.break_connections()

    def pause(self) -> None:
        """Stand still."""
        self.paused = self.ledger is not None

    def resume(self) -> None:
        """Go on, with all that came meanwhile."""
        self.paused = False
        self.resumed_at = self._clock.now
        held, self._held = self._held, []
        for event in held:
            self.event(event)
        self.event(Tick())

    # -- events in ----------------------------------------------------------------------------------------------

    def received(self, node: Node, link: int, message: Message) -> None:
        """Take in a message over the lease channel."""
        if self.ledger is None:
            # The worker's socket keeps it until there is somebody to connect to.
            self._waiting.append((node, link, Received(node.sender, message)))
            return
        self.event(Received(f"node {node.number}.{link}".encode(), message))

    def asked(self, sender: bytes, message: Exchanged) -> None:
        """Take in what a worker says in an exchange."""
        self.event(Asked(sender, message))

    def collected(self, message: Results | Metrics) -> None:
        """Take in results or counters."""
        self.event(Collected(message))

    def event(self, event: Event) -> None:
        """Let the engine take an event in, and carry out what it says."""
        ledger = self.ledger
        if ledger is None:
            return
        if self.paused:
            self._held.append(event)
            return
        before = ledger.coverage.settled.size
        out = ledger.handle(event, self._clock.now + self._offset)
        if isinstance(event, Received) and isinstance(event.message, Signal):
            self._note_wait(ledger, event.message, out)
        for instruction in out:
            if self.doom == MOMENTS[3] and isinstance(event, Stored) and isinstance(instruction, Publish):
                self._world.kill_coordinator(MOMENTS[3])
                return
            self._carry_out(instruction)
        self._world.checks.ledger_step(ledger, event, before)
        wake_at = min(ledger.wake_at - self._offset, self._clock.now + LONGEST_SLEEP_S)
        wake_at = max(wake_at, self._clock.now + SOONEST_S)
        if wake_at < self._tick_at:
            self._tick_at = wake_at
            self._clock.at(wake_at, self._tick, ledger)

    def _tick(self, ledger: Ledger) -> None:
        if ledger is self.ledger and self._clock.now >= self._tick_at:
            self._tick_at = float("inf")
            self.event(Tick())

    def _note_wait(self, ledger: Ledger, message: Signal, out: list[Instruction]) -> None:
        """Keep until when the fleet has to wait, if the engine took the signal from one of its workers."""
        if message.kind == "limited" and message.wait_s is not None and message.origin in ledger.workers:
            until = self._clock.now + message.wait_s
            self.told[message.registry] = max(self.told.get(message.registry, 0.0), until)

    # -- instructions out ---------------------------------------------------------------------------------------

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Send(to, message):
                self._send(to, message)
            case Reply(to, message):
                self._world.reply(to, message)
            case Publish(message):
                frame = encode(message)
                self._clock.note(frame)
                told: Any = decode(frame)
                network = self._world.network
                for node in self._world.living:
                    if node.joined:
                        network.cast("feed", COORDINATOR, node.host, node.heard, told, True)
            case Store(results):
                self._gathered.extend(results)
                if not self._committing:
                    self._commit_soon()
            case Note(name):
                self._world.counts[f"note_{name}"] += 1
            case Finish(complete):
                self.gave_up += not complete
                self.finished = instruction
                if complete:
                    self._clock.after(0.0, self._world.heal)

    def _send(self, to: bytes, message: Message) -> None:
        if isinstance(message, Acknowledge):
            self._world.checks.acknowledged(message)
        if message is not self._sent[0]:
            # What goes to all (members, revocations) is packed and read once.
            frame = encode(message)
            self._sent = message, decode(frame)
            self._clock.note(frame)
        read = self._sent[1]
        node = self._world.node_of(to)
        if node is None:
            return  # a ROUTER drops what is for a connection that is no more
        told = None
        if isinstance(message, Leases):
            self._world.leases[node.number] += len(message.grants)
        elif isinstance(message, Welcome) or (isinstance(message, Permits) and not message.delays_s):
            told = (
                dict(self.told)
                if isinstance(message, Welcome)
                else {message.registry: self.told.get(message.registry, 0.0)}
            )
        self._world.network.send(node.down, node.arrived, read, told)

    # -- commits ------------------------------------------------------------------------------------------------

    def _commit_soon(self) -> None:
        self._committing = True
        results, self._gathered = tuple(self._gathered), []
        takes = self._world.random.uniform(*self._world.plan.commit)
        if self.doom == MOMENTS[1]:
            self._clock.after(takes / 2, self._die_committing, self.ledger)
        self._clock.after(takes, self._commit, self.ledger, results)

    def _die_committing(self, ledger: Ledger) -> None:
        if ledger is self.ledger:
            self._world.kill_coordinator(MOMENTS[1])

    def _commit(self, ledger: Ledger, results: tuple[Result, ...]) -> None:
        if ledger is not self.ledger:
            return
        self._world.checks.commit(results)
        self.disk.extend(results)
        if self.doom == MOMENTS[2]:
            self._world.kill_coordinator(MOMENTS[2])
            return
        self._committing = False
        self.event(Stored(results))
        if self._gathered and not self._committing and ledger is self.ledger:
            self._commit_soon()
