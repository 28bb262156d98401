"""The network between the hosts: connections that keep the order, channels that lose and repeat, cuts that heal.

A connection (DEALER/ROUTER) is late and keeps the order; what is under way when it breaks is lost. A channel
(PUB/SUB, PUSH/PULL) also loses, repeats and reorders. A cut stops what goes from one side to the other until it heals:
connections deliver afterwards, channels lose half of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from whoismesh.simulation.clock import Clock
from whoismesh.simulation.plan import Plan

#: The coordinator's host; workers' hosts are numbered from 0.
COORDINATOR = -1
#: Of what a channel was to carry during a cut, so much is lost; the rest comes late.
LOST_IN_A_CUT = 0.5


@dataclass(slots=True, eq=False)
class Connection:
    """One direction of a connection between two hosts."""

    source: int
    target: int
    epoch: int = 0
    free_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Cut:
    """No message passes from one side to the other until then (and back, if `both_ways`)."""

    side: frozenset[int]
    both_ways: bool
    until: float

    def stops(self, source: int, target: int) -> bool:
        """Tell whether a message between these hosts is stopped."""
        if source in self.side:
            return target not in self.side
        return self.both_ways and target in self.side


class Network:
    """All links. `counts` is where faults are counted."""

    def __init__(self, clock: Clock, random: Random, plan: Plan, counts: Counter[str]) -> None:
        self.faults = plan.faults
        self._clock = clock
        self._random = random
        self._delay = plan.delay
        self._counts = counts
        self._cuts: list[Cut] = []
        self._free_at: dict[tuple[str, int, int], float] = {}
        self._healed = False

    def heal(self) -> float:
        """Add no fault any more; return when the last cut is over and everything arrives, once, in order and soon."""
        self._healed = True
        return max([self._clock.now, *(each.until for each in self._cuts)])

    def cut(self, side: Iterable[int], *, both_ways: bool, lasts_s: float) -> None:
        """Cut hosts off from all others."""
        self._counts["cuts_both_ways" if both_ways else "cuts_one_way"] += 1
        self._cuts = [each for each in self._cuts if each.until > self._clock.now]
        self._cuts.append(Cut(frozenset(side), both_ways, self._clock.now + lasts_s))

    def is_cut(self, source: int, target: int) -> bool:
        """Tell whether no message passes now."""
        return self._passes_at(source, target) > self._clock.now

    def _passes_at(self, source: int, target: int) -> float:
        now = self._clock.now
        until = now
        for each in self._cuts:
            if each.until > until and each.stops(source, target):
                until = each.until
        return until

    def _takes(self) -> float:
        taken: float = self._random.uniform(*self._delay)
        if not self._healed and self.faults.tail and self._random.random() < self.faults.tail:
            self._counts["late"] += 1
            taken += self._random.expovariate(1 / self.faults.tail_s)
        return taken

    # -- connections --------------------------------------------------------------------------------------------

    def send(self, connection: Connection, act: Callable[..., None], *args: Any) -> None:
        """Deliver over a connection."""
        leaves = self._clock.now
        if self._cuts:
            leaves = self._passes_at(connection.source, connection.target)
            self._counts["held_by_a_cut"] += leaves > self._clock.now
        when = max(leaves + self._takes(), connection.free_at)
        connection.free_at = when
        self._clock.at(when, self._arrive, connection, connection.epoch, act, args)

    def _arrive(self, connection: Connection, epoch: int, act: Callable[..., None], args: tuple[Any, ...]) -> None:
        if connection.epoch == epoch:
            act(*args)
        else:
            self._counts["lost_with_a_connection"] += 1

    # -- channels -----------------------------------------------------------------------------------------------

    def cast(self, channel: str, source: int, target: int, act: Callable[..., None], *args: Any) -> None:
        """Deliver over a channel that may lose, repeat and reorder."""
        random, faults = self._random, self.faults
        leaves = self._clock.now
        if self._cuts:
            leaves = self._passes_at(source, target)
            if leaves > self._clock.now and random.random() < LOST_IN_A_CUT:
                self._counts["lost_in_a_cut"] += 1
                return
        if self._healed:
            self._deliver(channel, source, target, leaves, False, act, args)
            return
        if faults.loss and random.random() < faults.loss:
            self._counts["lost"] += 1
            return
        overtakes = bool(faults.reorder) and random.random() < faults.reorder
        self._deliver(channel, source, target, leaves, overtakes, act, args)
        if faults.repeat and random.random() < faults.repeat:
            self._counts["repeated"] += 1
            self._deliver(channel, source, target, leaves, False, act, args)

    def _deliver(
        self,
        channel: str,
        source: int,
        target: int,
        leaves: float,
        overtakes: bool,
        act: Callable[..., None],
        args: tuple[Any, ...],
    ) -> None:
        key = (channel, source, target)
        when = leaves + self._takes()
        free_at = self._free_at.get(key, 0.0)
        if overtakes:
            self._counts["reordered"] += free_at > when
        elif free_at > when:
            when = free_at
        else:
            self._free_at[key] = when
        self._clock.at(when, act, *args)
