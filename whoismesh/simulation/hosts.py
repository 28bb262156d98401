"""The workers of a simulated world: what the worker daemon does around its engine, with a dict for a spool.

A process that starts again on its host finds the spool there. A process that stands still (SIGSTOP, a machine that
sleeps) gets all its events at once when it goes on. Every process has a monotonic clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whoismesh.blocks import Blocks
from whoismesh.compounds import Result
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Close,
    Exchanged,
    Found,
    Heard,
    Listen,
    Open,
    Publish,
    Reply,
    Say,
)
from whoismesh.lanes import Lanes
from whoismesh.lanes.events import (
    Ask,
    Broken,
    Drain,
    Event,
    Forget,
    Instruction,
    Joined,
    Keep,
    Note,
    Received,
    Recovered,
    Replied,
    Resend,
    Send,
    Stop,
    Tick,
)
from whoismesh.lanes.lane import Lane
from whoismesh.messages import Discovered, Members, Message, Metrics, Results, Welcome, decode, encode
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.network import COORDINATOR, Connection
from whoismesh.simulation.plan import FLUSH_S, RESULTS_A_MESSAGE
from whoismesh.simulation.registries import BASES

if TYPE_CHECKING:
    from whoismesh.simulation.world import World

#: Processes' clocks differ by up to this, seconds.
CLOCKS_APART_S = 1e6
#: A process looks in at least this often (worker.LONGEST_SLEEP_S), seconds: longer silence is a pause.
LONGEST_SLEEP_S = 0.5
#: A tick is never sooner than this, seconds.
SOONEST_S = 0.001


@dataclass(slots=True)
class Exchange:
    """The exchange that a process has open: with which process (None: the coordinator's), and both ways of it."""

    number: int
    peer: Node | None
    there: Connection
    back: Connection


class Node:
    """One worker process. `spool` is its host's disk; `stopped` is how it ended by itself ("" where all went well)."""

    def __init__(self, world: World, number: int, host: int, spool: dict[tuple[int, int], Result]) -> None:
        plan = world.plan
        self.number = number
        self.host = host
        self.spool = spool
        self.alive = True
        self.joined = False
        self.stopped: str | None = None
        self.born_at = world.clock.now
        self.died_at: float | None = None
        self.listens_to: frozenset[str] = frozenset()
        self.kept: list[Keep] = []
        self.paused = False
        #: Its host will be lost at the worst moment: when it has told the mesh, and the coordinator has nothing yet.
        self.doomed = False
        self.link = 0
        self.up = Connection(host, COORDINATOR)
        self.down = Connection(COORDINATOR, host)
        self.exchange: Exchange | None = None
        lanes = {}
        for registry in REGISTRIES:
            host_rate = float("inf") if registry in plan.unlimited else plan.host_rate
            lanes[registry] = Lane(registry, ("rdap",), host_rate, plan.connections)
        self.address = f"gossip {number}"
        self.lanes = Lanes(lanes, BASES, f"host{host}:{number}", world.random.random, self.address)
        self._world = world
        self._clock = world.clock
        self._offset = world.random.uniform(0, CLOCKS_APART_S) if plan.faults.any else 0.0
        self._held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._flushing = False
        self._tick_at = 0.0

    @property
    def sender(self) -> bytes:
        """The routing id by which the coordinator knows the connection as it is now."""
        return f"node {self.number}.{self.link}".encode()

    @property
    def time(self) -> float:
        """What this process's clock says, seconds."""
        return self._clock.now + self._offset

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._schedule(self._clock.now + self._world.random.uniform(*self._world.plan.delay))
        if self.spool:
            self.event(Recovered(tuple(self.spool)))

    def die(self) -> None:
        """End without a word: what was not spooled yet is gone."""
        self.alive = False
        self.died_at = self._clock.now
        if self in self._world.living:
            self._world.living.remove(self)
        self.kept.clear()
        self._held.clear()

    def pause(self) -> None:
        """Stand still."""
        self.paused = True

    def resume(self) -> None:
        """Go on, with all that came meanwhile."""
        self.paused = False
        held, self._held = self._held, []
        for act, args in held:
            act(*args)
        self.event(Tick())

    def _stands_still(self, act: Callable[..., None], *args: Any) -> bool:
        """Tell whether the process stands still; then this is for when it goes on: sockets have buffers."""
        if self.paused:
            self._held.append((act, args))
        return self.paused

    def break_connections(self) -> None:
        """Lose what is under way to and from the coordinator; the next message comes over a new connection."""
        self.link += 1
        for each in (self.up, self.down):
            each.epoch += 1
        if self.exchange is not None and self.exchange.peer is None:
            self.exchange = None

    def drain(self) -> None:
        """Tell it to stop."""
        self.event(Drain())

    # -- events in ----------------------------------------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Let the engine take an event in, and carry out what it says."""
        if not self.alive or self._stands_still(self.event, event):
            return
        self._carry_out_all(self.lanes.handle(event, self._clock.now + self._offset))

    def _carry_out_all(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            self._carry_out(instruction)
        self._world.checks.lanes_step(self)
        if self.alive:
            now = self._clock.now
            wake_at = min(self.lanes.wake_at(self.time) - self._offset, now + LONGEST_SLEEP_S)
            self._schedule(max(wake_at, now + SOONEST_S))

    def _schedule(self, when: float) -> None:
        if self._tick_at and self._clock.now < self._tick_at <= when:
            return
        self._tick_at = when
        self._clock.at(when, self._tick, when)

    def _tick(self, when: float) -> None:
        if self._tick_at == when and self.alive:
            self._tick_at = 0.0
            self.event(Tick())

    def arrived(self, message: Message, told: dict[str, float] | None = None) -> None:
        """Take in what came from the coordinator; `told` are the waits it knew of when it sent a revocation."""
        if not self.alive or self._stands_still(self.arrived, message, told):
            return
        checks = self._world.checks
        if isinstance(message, Welcome):
            checks.welcomed(self)
        self.event(Received(message))
        if told is not None and self.alive:
            checks.revoked(self, told)

    def heard(self, message: Discovered | Members, on_feed: bool) -> None:
        """Take in gossip. It is most of what happens, and most of it changes nothing but the replica."""
        if not self.joined or not self.alive or self._stands_still(self.heard, message, on_feed):
            return
        out = self.lanes.handle(Heard(message, on_feed), self._clock.now + self._offset)
        if out or self.lanes.gossip.wake_at - self._offset < self._tick_at:
            self._carry_out_all(out)

    def asked(self, sender: bytes, message: Exchanged) -> None:
        """Take in what another says in an exchange that it began."""
        self.event(Asked(sender, message))

    def answered(self, number: int, message: Exchanged) -> None:
        """Take in an answer of an exchange of this process's own."""
        self.event(Answered(number, message))

    def _done(self, event: Replied | Broken) -> None:
        if not self.alive or self._stands_still(self._done, event):
            return
        self.event(event)
        if isinstance(event, Replied):
            self._world.checks.replied(self, event.reply)

    # -- instructions out ---------------------------------------------------------------------------------------

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Ask():
                self._world.checks.ask(self, instruction)
                self._world.registries.ask(instruction, self.number, self.host, self._done)
            case Keep():
                self.kept.append(instruction)
                if not self._flushing:
                    self._flushing = True
                    self._clock.after(FLUSH_S, self._flush)
            case Send(Metrics() as message):
                self._cast(encode(message))
            case Send(message):
                frame = encode(message)
                self._clock.note(frame)
                self._send(self.up, self._world.coordinator.received, decode(frame))
            case Publish(message):
                self._world.gossip(self, encode(message))
            case Listen(gossip):
                self.listens_to = frozenset(gossip)
            case Open(number, gossip):
                peer = self._world.node_at(gossip) if gossip else None
                host = COORDINATOR if peer is None else peer.host
                self.exchange = Exchange(number, peer, Connection(self.host, host), Connection(host, self.host))
            case Say(message):
                self._say(message)
            case Reply(to, message):
                self._world.reply(to, message)
            case Close():
                self.exchange = None
            case Forget(origin, runs):
                self._forget(origin, runs)
            case Resend():
                self.flush()
                self._push(tuple(self.spool.values()))
            case Joined():
                self.joined = True
            case Stop(error):
                self.flush()
                self.stopped = error
                self.die()
                self._world.checks.stopped(self)
            case Note(name):
                self._world.counts[f"note_{name}"] += 1

    def _say(self, message: Exchanged) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        frame = encode(message)
        self._clock.note(frame)
        said: Any = decode(frame)
        to = self._world.coordinator.asked if exchange.peer is None else exchange.peer.asked
        self._world.network.send(exchange.there, to, f"{self.number} {exchange.number}".encode(), said)

    def _send(self, connection: Connection, act: Callable[..., None], *args: Any) -> None:
        self._world.network.send(connection, act, self, self.link, *args)

    def _forget(self, origin: int, runs: tuple[tuple[int, int], ...]) -> None:
        for first, last in runs:
            for sequence in range(first, last + 1):
                if self.spool.pop((origin, sequence), None) is not None:
                    self._world.checks.forgot(self, origin, sequence)

    def _flush(self) -> None:
        if self.alive and not self._stands_still(self._flush):
            self.flush()

    def flush(self) -> None:
        """Spool what has gathered, then push it to the coordinator and tell the mesh."""
        self._flushing = False
        kept, self.kept = self.kept, []
        if not kept:
            return
        for each in kept:
            self.spool[each.result.origin, each.result.sequence] = each.result
        self._push(tuple(each.result for each in kept))
        if self.alive:
            self.event(Found(kept[0].result.sequence, Blocks.of(each.block for each in kept)))
        if self.doomed and any(each.block is not None for each in kept):
            self._world.lose_orphans_of(self)

    def _push(self, results: tuple[Result, ...]) -> None:
        if self.joined:
            for at in range(0, len(results), RESULTS_A_MESSAGE):
                self._cast(encode(Results(self.lanes.crawl, results[at : at + RESULTS_A_MESSAGE])))

    def _cast(self, frame: bytes) -> None:
        if self.joined:
            self._clock.note(frame)
            message: Any = decode(frame)
            self._world.network.cast("push", self.host, COORDINATOR, self._pushed, self.link, message)

    def _pushed(self, link: int, message: Results | Metrics) -> None:
        if link == self.link:
            self._world.coordinator.collected(message)
        else:
            self._world.counts["lost_with_a_connection"] += 1
