"""What carries gossip between processes: PUB/SUB that loses, connections that break, a cut that heals.

A frame is encoded once, to know its size, and handed on as it was: `messages` has its own tests. What is late on
PUB/SUB also overtakes; an exchange's connection keeps the order, takes time for what is big, and breaks for good.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from whoismesh.gossip.events import Exchanged
from whoismesh.messages import Discovered, Members, encode
from whoismesh.simulation.clock import Clock
from whoismesh.simulation.gossip.measures import Traffic
from whoismesh.simulation.gossip.plan import Plan
from whoismesh.simulation.gossip.table import opened

if TYPE_CHECKING:
    from whoismesh.simulation.gossip.process import Process

#: The coordinator's host; those of nodes are numbered from 0.
COORDINATOR = -1
#: Frames over PUB/SUB arrive in slots of this length, seconds: a slot is one event of the clock, whatever it holds.
SLOT_S = 0.001
#: A subscription works so long after it was asked for, seconds: connecting, and the slow joiner.
SUBSCRIBING_S = 0.1
#: What one exchange's connection carries, bytes a second (100 Mbit/s).
LINK_BYTES_S = 12_500_000


@dataclass(slots=True, eq=False)
class Exchange:
    """The exchange that a process has open: with the process that listens at a host (None: coordinator, or nobody)."""

    number: int
    asker: Process
    host: int
    peer: Process | None
    is_broken: bool = False
    there_free_at: float = 0.0
    back_free_at: float = 0.0


class Links:
    """All links of a fleet."""

    def __init__(self, clock: Clock, random: Random, plan: Plan, traffic: Traffic) -> None:
        self.loss = plan.loss
        self.broken = plan.broken
        self.traffic = traffic
        self._is_on = plan.latency_layer
        self._clock = clock
        self._random = random.random
        self._least, self._span = plan.delay[0], plan.delay[1] - plan.delay[0]
        self._side: frozenset[int] = frozenset()
        #: By publishing host: who listens, and since when.
        self._listeners: defaultdict[int, dict[Process, float]] = defaultdict(dict)
        self._slots: dict[int, list[tuple[Process, Process | None, Discovered | Members]]] = {}

    def cut(self, side: frozenset[int]) -> None:
        """Cut these hosts off from all others; none heals it."""
        self._side = side

    def passes(self, one: int, other: int) -> bool:
        """Tell whether these hosts reach each other."""
        return not self._side or (one in self._side) == (other in self._side)

    def takes(self) -> float:
        """Return how long a message is under way."""
        return self._least + self._span * self._random()

    # -- PUB/SUB ------------------------------------------------------------------------------------------------

    def listen(self, process: Process, hosts: frozenset[int]) -> None:
        """Have a process listen to these hosts and no others."""
        for host in process.listens_to - hosts:
            self._listeners[host].pop(process, None)
        for host in hosts - process.listens_to:
            self._listeners[host][process] = self._clock.now + SUBSCRIBING_S
        process.listens_to = hosts

    def publish(self, host: int, sender: Process | None, message: Discovered | Members, kind: str) -> None:
        """Tell all who listen to a host; for the coordinator's everybody does, at once."""
        frame = encode(message)
        self._clock.note(frame)
        if isinstance(message, Discovered):
            message = opened(message)
        now, loss, random, least, span = self._clock.now, self.loss, self._random, self._least, self._span
        side, slots, is_inside = self._side, self._slots, host in self._side
        receivers = 0
        for process, since in self._listeners[host].items() if self._is_on else ():
            if since > now:
                continue
            receivers += 1
            if (loss and random() < loss) or (side and (process.host in side) != is_inside):
                continue
            slot = int((now + least + span * random()) / SLOT_S) + 1
            due = slots.get(slot)
            if due is None:
                due = slots[slot] = []
                self._clock.at(slot * SLOT_S, self._deliver, slot)
            due.append((process, sender, message))
        self.traffic.sent(kind, message, len(frame), receivers)

    def _deliver(self, slot: int) -> None:
        for process, sender, message in self._slots.pop(slot):
            process.heard(message, sender)

    # -- exchanges ----------------------------------------------------------------------------------------------

    def _arrives_at(self, exchange: Exchange, message: Exchanged, free_at: float, kind: str) -> float | None:
        """Return when a message arrives over an exchange's connection, None if it is lost with it."""
        frame = encode(message)
        self._clock.note(frame)
        self.traffic.sent(kind, message, len(frame))
        if self.broken and self._random() < self.broken:
            exchange.is_broken = True
        if exchange.is_broken or not self.passes(exchange.asker.host, exchange.host):
            return None
        return max(self._clock.now + self.takes(), free_at) + len(frame) / LINK_BYTES_S

    def say(self, exchange: Exchange, message: Exchanged) -> float | None:
        """Send from the one who opened an exchange; return when it arrives."""
        when = self._arrives_at(exchange, message, exchange.there_free_at, _kind(message))
        exchange.there_free_at = when or 0.0
        return when

    def reply(self, exchange: Exchange, message: Exchanged) -> float | None:
        """Send to the one who opened an exchange; return when it arrives."""
        when = self._arrives_at(exchange, message, exchange.back_free_at, _kind(message))
        exchange.back_free_at = when or 0.0
        return when


def _kind(message: Exchanged) -> str:
    return f"exchange_{type(message).__name__.lower()}"
