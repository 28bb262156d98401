"""The road of results from the worker's spool to the coordinator: what waits for it, and what it took.

A result leaves the spool when the coordinator has it on disk, and not when the socket took it. What the socket does
not take stays on the worker's disk and is read from there, a message at a time, when there is room: a slow coordinator
slows its workers, and none of them grows.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import zmq

from whoismesh.compounds import Result
from whoismesh.errors import StateError, WhoismeshError
from whoismesh.messages import Message, Results, encode
from whoismesh.sockets import RESULT_BYTES, Inbox
from whoismesh.spool import Key, Spool
from whoismesh.storage import disk_error

#: Results of one message, however small they are.
RESULTS_A_MESSAGE = 500
#: What the socket took is taken for lost after this, seconds (a connection that breaks takes its queue with it); the
#: time doubles up to the second with each repetition until all is acknowledged, so that a coordinator that is slow, and
#: not away, is not fed the same again and again.
FIRST_PATIENCE_S, LONGEST_PATIENCE_S = 4.0, 60.0
#: Bytes of a result beside its payload and reason.
FIELDS_BYTES = 200


def weight(result: Result) -> int:
    """Return about how many bytes a result takes on the wire and in memory."""
    return len(result.payload) + 4 * len(result.reason) + FIELDS_BYTES


class Outbox:
    """Keeps results and sends them. `on_error` hears of a disk that does not do."""

    def __init__(
        self,
        spool: Spool,
        folder: Path,
        on_error: Callable[[WhoismeshError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spool = spool
        self._folder = folder
        self._on_error = on_error
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Key, None] = dict.fromkeys(spool.keys())
        self._taken: dict[Key, float] = {}
        self._patience_s = FIRST_PATIENCE_S
        self._crawl = b""
        self._link: Inbox | None = None
        self._scheduled = False

    def open(self, crawl: bytes, socket: zmq.Socket[bytes]) -> None:
        """Send to that socket from now on: all that is not acknowledged, for what the one before took may be gone."""
        self.close()
        self._crawl = crawl
        self._link = Inbox(socket, lambda frames: None, self._send_waiting)
        self._waiting = dict.fromkeys(self._taken) | self._waiting
        self._taken.clear()
        self._patience_s = FIRST_PATIENCE_S
        self._schedule()

    def keep(self, results: list[Result]) -> bool:
        """Keep results on disk and send them; return whether they were kept."""
        if not self._on_disk(lambda: self._spool.add(results), "results cannot be kept"):
            return False
        nothing_before = not self._waiting
        self._waiting.update(dict.fromkeys((each.origin, each.sequence) for each in results))
        if nothing_before:
            while results and (sent := self._send(results)):
                results = results[sent:]
        return True

    def forget(self, origin: int, runs: Iterable[tuple[int, int]]) -> None:
        """Drop what the coordinator has: runs of (first, last) sequence numbers of one origin."""
        runs = tuple(runs)
        self._on_disk(lambda: self._spool.forget(origin, runs), "results cannot be dropped")
        for first, last in runs:
            # A run may name any numbers, so the shorter of it and what is here is gone through.
            if last - first < len(self._waiting) + len(self._taken):
                keys = [(origin, sequence) for sequence in range(first, last + 1)]
            else:
                keys = [key for key in (*self._waiting, *self._taken) if key[0] == origin and first <= key[1] <= last]
            for key in keys:
                self._waiting.pop(key, None)
                self._taken.pop(key, None)
        if not self._taken:
            self._patience_s = FIRST_PATIENCE_S

    def send_again(self) -> None:
        """Send again what was taken long ago and is not acknowledged."""
        before = self._clock() - self._patience_s
        late = [key for key, taken_at in self._taken.items() if taken_at <= before]
        if late:
            self._patience_s = min(2 * self._patience_s, LONGEST_PATIENCE_S)
            for key in late:
                del self._taken[key]
            self._waiting = dict.fromkeys(late) | self._waiting
            self._schedule()

    def tell(self, message: Message) -> None:
        """Send what may be lost, now or not at all."""
        if self._link is not None:
            self._link.send(encode(message))

    def close(self) -> None:
        """Close the link; what is not acknowledged stays in the spool."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._send_waiting)

    def _send_waiting(self) -> None:
        """Send one message of what waits; the next one when others had their turn."""
        self._scheduled = False
        if self._link is None or not self._waiting:
            return
        piece: list[Result] = []
        if self._on_disk(lambda: piece.extend(self._read()), "results cannot be read") and self._send(piece):
            self._schedule()

    def _read(self) -> list[Result]:
        piece: list[Result] = []
        left = RESULT_BYTES
        for key in list(islice(self._waiting, RESULTS_A_MESSAGE)):
            result = self._spool.get(key)
            if result is None:
                del self._waiting[key]
                continue
            piece.append(result)
            left -= weight(result)
            if left <= 0:
                break
        return piece

    def _send(self, results: list[Result]) -> int:
        """Send one message of the first of them; return how many were taken."""
        piece: list[Result] = []
        left = RESULT_BYTES
        for result in results[:RESULTS_A_MESSAGE]:
            left -= weight(result)
            if piece and left < 0:
                break
            piece.append(result)
        if self._link is None or not piece or not self._link.send(encode(Results(self._crawl, tuple(piece)))):
            return 0
        now = self._clock()
        for each in piece:
            self._waiting.pop((each.origin, each.sequence), None)
            self._taken[each.origin, each.sequence] = now
        return len(piece)

    def _on_disk(self, act: Callable[[], None], problem: str) -> bool:
        try:
            act()
        except sqlite3.Error as error:
            self._on_error(disk_error(self._folder, problem, error))
            return False
        except StateError as error:
            self._on_error(error)
            return False
        return True
