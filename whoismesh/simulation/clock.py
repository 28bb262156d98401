"""Virtual time: a heap of what happens when, and a hash of all that happened."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from hashlib import blake2b
from struct import pack
from typing import Any

#: Where virtual time starts, seconds: not at 0, so that "never" and "at the start" differ.
START = 1_000.0


class Clock:
    """The one clock of a world. `trace` names the run: two runs with the same trace did the same at the same times."""

    def __init__(self) -> None:
        self.now = START
        self.steps = 0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._hash = blake2b(digest_size=16)

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        """Do something at a point in time; what is due at one time happens in the order in which it was planned."""
        self._count += 1
        heapq.heappush(self._queue, (when if when > self.now else self.now, self._count, act, args))

    def after(self, delay_s: float, act: Callable[..., None], *args: Any) -> None:
        """Do something in a while."""
        self.at(self.now + delay_s, act, *args)

    @property
    def next_at(self) -> float | None:
        """When the next thing happens, or None if nothing is planned."""
        return self._queue[0][0] if self._queue else None

    def step(self) -> None:
        """Let the next thing happen."""
        self.now, number, act, args = heapq.heappop(self._queue)
        self.steps += 1
        self._hash.update(pack("<dQ", self.now, number))
        act(*args)

    def note(self, frame: bytes) -> None:
        """Make a frame a part of the trace."""
        self._hash.update(frame)

    @property
    def trace(self) -> str:
        """The hash of all that happened so far, in hexadecimal."""
        return self._hash.copy().hexdigest()
