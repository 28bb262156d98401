"""A node of a simulated fleet: what a worker's daemon does around its gossip engine, with a dict for a spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whoismesh.blocks import Blocks
from whoismesh.gossip import Gossip
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Close,
    Event,
    Exchanged,
    Found,
    Heard,
    Instruction,
    Learned,
    Listen,
    Open,
    Publish,
    Reply,
    Say,
    Tick,
)
from whoismesh.gossip.peers import Peers
from whoismesh.messages import Discovered, Members
from whoismesh.simulation.clock import START
from whoismesh.simulation.gossip.links import COORDINATOR, Exchange
from whoismesh.simulation.gossip.measures import BY_EXCHANGE, BY_FEED, MOST_HOPS
from whoismesh.simulation.gossip.table import LightTable

if TYPE_CHECKING:
    from whoismesh.simulation.gossip.mesh import Mesh

#: Nobody has answered: join again after this, seconds.
JOIN_S = 1.0
#: Results that were not acknowledged are sent again this often, seconds.
RESEND_S = 5.0
#: A process that joins counts as one that should know each new block after so long, seconds: before that it is still
#: catching up with the past.
CATCH_UP_S = 10.0
NEVER = float("inf")


class Process:
    """One start of a node. `spool` is its host's disk: (origin, number) to the catalogue's number, None for no block.

    `counts` tells whether it is one of those that a block has to reach. `hops` says of each block how it came here
    (see `measures`). `deaf` is the share of PUB/SUB that it misses beside what the links lose, `slow_s` how late it
    takes up what others ask of it.
    """

    def __init__(self, mesh: Mesh, number: int, host: int, spool: dict[tuple[int, int], int | None]) -> None:
        self.number = number
        self.host = host
        self.spool = spool
        self.alive = True
        self.joined = self.counts = False
        self.deaf = self.slow_s = 0.0
        self.is_stalled = False
        self.listens_to: frozenset[int] = frozenset()
        self.table = LightTable(mesh.catalogue)
        self.hops = bytearray(len(mesh.catalogue))
        self.gossip = Gossip(mesh.random.random, Peers(), self.table)
        self.exchange: Exchange | None = None
        self.last = 0
        self._mesh = mesh
        self._tick_at = NEVER

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask the coordinator to be taken in, until it is."""
        if self.alive and not self.joined:
            self._mesh.to_coordinator(self, self._mesh.coordinator.join, self)
            self._mesh.clock.after(JOIN_S, self.start)

    def welcome(self, origin: int, members: Members) -> None:
        """Be a member; `members` follows the Welcome at once."""
        if not self.alive:
            return
        if not self.joined:
            self.joined = True
            self._mesh.clock.after(CATCH_UP_S if self._mesh.clock.now > START else 0.0, self._count)
            self.gossip.join(self._mesh.crawl, origin, self._mesh.clock.now)
            self._mesh.links.listen(self, frozenset((COORDINATOR,)))
            self._mesh.clock.after(self._mesh.random.random(), self._renew)
            self._resend()
        self.event(Heard(members, True))

    def die(self) -> None:
        """End without a word."""
        self.alive = False
        self._mesh.links.listen(self, frozenset())
        if self.counts:
            self._mesh.spread.went(self, self._mesh.clock.now)

    def _count(self) -> None:
        if self.alive:
            self.counts = True
            self._mesh.spread.came(self, self._mesh.clock.now)

    def _renew(self) -> None:
        if self.alive:
            if not self.is_stalled:
                self._mesh.to_coordinator(self, self._mesh.coordinator.renew, self)
            self._mesh.clock.after(self._mesh.renew_s, self._renew)

    def _resend(self) -> None:
        if self.alive:
            if self.spool and not self.is_stalled:
                self._push(dict(self.spool))
            self._mesh.clock.after(RESEND_S, self._resend)

    # -- events in ----------------------------------------------------------------------------------------------

    def find(self, numbers: list[int | None]) -> None:
        """Find blocks: spool them, push them to the coordinator, tell the mesh."""
        mesh, now = self._mesh, self._mesh.clock.now
        blocks = [None if number is None else mesh.catalogue.blocks[number] for number in numbers]
        for number, block in zip(numbers, blocks, strict=True):
            if number is not None and block is not None:
                mesh.spread.found(number, now)
                if self.gossip.learn(block):
                    self._note([number], 0)
        first = self.last + 1
        self.last += len(numbers)
        results = {(self.gossip.origin, first + at): number for at, number in enumerate(numbers)}
        self.spool.update(results)
        self._push(results)
        self.event(Found(first, Blocks.of(blocks)))

    def _push(self, results: dict[tuple[int, int], int | None]) -> None:
        self._mesh.to_coordinator(self, self._mesh.coordinator.collected, self, results)

    def acknowledged(self, keys: list[tuple[int, int]]) -> None:
        """Forget results that are on the coordinator's disk."""
        if self.alive:
            for key in keys:
                self.spool.pop(key, None)

    def heard(self, message: Discovered | Members, sender: Process | None) -> None:
        """Take in what came over PUB/SUB, on the coordinator's feed without a sender. It is most of what happens."""
        if not self.alive or self.is_stalled or (self.deaf and self._mesh.random.random() < self.deaf):
            return
        out = self.gossip.handle(Heard(message, sender is None), self._mesh.clock.now)
        if out:
            self._carry_out(out, sender, BY_FEED)
        self._schedule()

    def asked(self, sender: bytes, message: Exchanged) -> None:
        """Take in what another says in an exchange that it began."""
        self.event(Asked(sender, message))

    def answered(self, exchange: Exchange, message: Exchanged) -> None:
        """Take in an answer of an exchange of this process's own."""
        if exchange is self.exchange:
            self.event(Answered(exchange.number, message))

    def event(self, event: Event) -> None:
        """Let the engine take an event in, and carry out what it says."""
        if self.alive and self.joined and not self.is_stalled:
            self._carry_out(self.gossip.handle(event, self._mesh.clock.now), None, BY_EXCHANGE)
            self._schedule()

    def resume(self) -> None:
        """Go on after standing still: what came over PUB/SUB meanwhile has overrun its buffers."""
        self.is_stalled = False
        self.event(Tick())

    def _schedule(self) -> None:
        wake_at = self.gossip.wake_at
        if wake_at < self._tick_at:
            self._tick_at = wake_at
            self._mesh.clock.at(wake_at, self._tick, wake_at)

    def _tick(self, when: float) -> None:
        if when == self._tick_at:
            self._tick_at = NEVER
            self.event(Tick())

    # -- instructions out ---------------------------------------------------------------------------------------

    def _carry_out(self, instructions: list[Instruction], sender: Process | None, way: int) -> None:
        mesh = self._mesh
        for instruction in instructions:
            match instruction:
                case Learned(blocks):
                    index = mesh.catalogue.index
                    numbers = [index[block.range] for block in blocks]
                    if sender is None:
                        self._note(numbers, way)
                    else:
                        for number in numbers:
                            before = sender.hops[number]
                            self._note([number], before + 1 if before < MOST_HOPS else 1)
                case Publish(message):
                    kind = "own" if message.runs[0].origin == self.gossip.origin else "relayed"
                    mesh.links.publish(self.host, self, message, kind)
                case Listen(addresses):
                    hosts = frozenset(mesh.host_at(address) for address in addresses)
                    mesh.links.listen(self, hosts | {COORDINATOR})
                case Open(number, address):
                    mesh.open(self, number, address)
                case Say(message):
                    if self.exchange is not None:
                        mesh.say(self.exchange, message)
                case Reply(to, message):
                    mesh.reply(to, message, self.slow_s)
                case Close():
                    self.exchange = None

    def _note(self, numbers: list[int], way: int) -> None:
        for number in numbers:
            self.hops[number] = way
        self._mesh.spread.ways[way] += len(numbers)
        if self.counts:
            self._mesh.spread.learned(numbers, self._mesh.clock.now)
