"""What gossip costs and how fast it is: frames and bytes by kind, and when each block was known to how many."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from whoismesh.messages import Digest, Message

if TYPE_CHECKING:
    from whoismesh.simulation.gossip.process import Process

#: How a process came to know a block, beside the count of hops over PUB/SUB (0: it found it itself).
BY_FEED, BY_EXCHANGE, MOST_HOPS = 254, 253, 252
#: "Nearly all": the share of the live nodes that is timed beside all of them.
NEARLY = 0.99


class Traffic:
    """Frames and bytes that were sent, one for each receiver, by kind."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.largest_digest_bytes = 0
        self.largest_frame_bytes = 0

    def sent(self, kind: str, message: Message, size: int, receivers: int = 1) -> None:
        """Count a frame."""
        self.frames[kind] += receivers
        self.bytes[kind] += size * receivers
        if size > self.largest_frame_bytes:
            self.largest_frame_bytes = size
        if size > self.largest_digest_bytes and isinstance(message, Digest):
            self.largest_digest_bytes = size


class Spread:
    """When each block was found, when nearly all live nodes had it, and when all had."""

    def __init__(self, blocks: int) -> None:
        self.found_at = array("d", [-1.0]) * blocks
        self.nearly_at = array("d", [-1.0]) * blocks
        self.all_at = array("d", [-1.0]) * blocks
        self.known = array("I", bytes(4 * blocks))
        self.ways: Counter[int] = Counter()
        self.live = 0
        self._spreading: set[int] = set()

    def found(self, number: int, now: float) -> None:
        """Note that somebody has found a block first."""
        if self.found_at[number] < 0:
            self.found_at[number] = now
            self._spreading.add(number)

    def learned(self, numbers: Iterable[int], now: float) -> None:
        """Note that one more live node has these blocks."""
        known, nearly, live = self.known, NEARLY * self.live, self.live
        for number in numbers:
            known[number] += 1
            if known[number] >= nearly:
                self._reached(number, now, all_have=known[number] >= live)

    def _reached(self, number: int, now: float, *, all_have: bool) -> None:
        if self.nearly_at[number] < 0:
            self.nearly_at[number] = now
        if all_have and self.all_at[number] < 0:
            self.all_at[number] = now
            self._spreading.discard(number)

    def came(self, process: Process, now: float) -> None:
        """Count one more live node, with what it knows."""
        self.live += 1
        for number, held in enumerate(process.table.held):
            if held:
                self.known[number] += 1
        self._look(now)

    def went(self, process: Process, now: float) -> None:
        """Note that a live node is gone, with what it knew."""
        self.live -= 1
        for number, held in enumerate(process.table.held):
            if held:
                self.known[number] -= 1
        self._look(now)

    def _look(self, now: float) -> None:
        """Note what the change of the count of live nodes makes known to all of them."""
        for number in sorted(self._spreading):
            if self.live and self.known[number] >= NEARLY * self.live:
                self._reached(number, now, all_have=self.known[number] >= self.live)

    @property
    def everywhere(self) -> bool:
        """Tell whether every block that is known to anybody has been everywhere."""
        return not any(self.known[number] for number in self._spreading)

    def lags(self, reached_at: Sequence[float], held_up: tuple[float, float]) -> list[float]:
        """Return how long each block took, seconds, sorted; what a cut from..until held up counts from its end."""
        since, until = held_up
        found = []
        for begun, reached in zip(self.found_at, reached_at, strict=True):
            if begun >= 0 and reached >= 0:
                begun = max(begun, until) if begun < until and reached >= until and reached > since else begun
                found.append(reached - begun)
        return sorted(found)
