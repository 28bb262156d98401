"""What was asked of the practice registries: counts, requests, and a log file for whoever checks them later."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from whoismesh.errors import UnavailableError

#: A line reaches the file at the latest so many seconds after its request.
FLUSH_S = 0.2

_UNSAFE = re.compile(r"[^\x21-\x2b\x2d-\x7e]")


class Request(NamedTuple):
    """One request: monotonic time in seconds, who was asked how, what (as text), and what came of it.

    `kind` is a `verdicts.Kind` or `fault:` and a `faults.Fault`. The server of origins is the registry "cymru":
    `address` is the first of a query, `kind` "single" or `bulk:` and how many there were.
    """

    time: float
    registry: str
    protocol: str
    address: str
    kind: str


class Journal:
    """Counts requests; keeps them if `keep`; appends `time,registry,protocol,address,kind` to `path` if given.

    `on_request` hears of each.
    """

    def __init__(
        self, path: Path | None = None, keep: bool = True, on_request: Callable[[Request], None] | None = None
    ) -> None:
        """Open the log for appending. Raises UnavailableError if it cannot be opened."""
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.requests: list[Request] = []
        self._keep = keep
        self._on_request = on_request
        self._file: IO[str] | None = None
        self._waiting: asyncio.TimerHandle | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="ascii")
            except OSError as error:
                raise UnavailableError(f"cannot write the request log {path}: {error.strerror}") from error

    def add(self, time: float, registry: str, protocol: str, address: str, kind: str) -> None:
        """Note a request; in a running loop, which flushes the file in a moment."""
        self.counts[registry, protocol, kind] += 1
        request = Request(time, registry, protocol, address, kind)
        if self._keep:
            self.requests.append(request)
        if self._on_request is not None:
            self._on_request(request)
        if self._file is not None:
            # A question that is no address may hold anything; a line of the log may not.
            self._file.write(f"{time:.6f},{registry},{protocol},{_UNSAFE.sub('?', address)[:80]},{kind}\n")
            if self._waiting is None:
                self._waiting = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def close(self) -> None:
        """Write what is buffered and close the file."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _flush(self) -> None:
        self._waiting = None
        if self._file is not None:
            self._file.flush()
