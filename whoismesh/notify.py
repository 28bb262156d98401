"""Telling the service manager how this daemon is: the datagrams of sd_notify(3).

Started by anything else, a daemon finds no NOTIFY_SOCKET and tells nobody. Sending never blocks, and what goes wrong
with it is logged once: a daemon works as well without being watched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

#: What a service manager tells a daemon by its environment: meant for that process alone, and not for its children.
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
#: A line goes out this often at most, seconds: each makes the service manager tell all who watch it.
STATUS_S = 2.0
#: A datagram may have 4,096 bytes (systemd's NOTIFY_BUFFER_MAX); a line is cut to so many characters.
MOST_STATUS = 500
#: WATCHDOG=1 is sent this many times in the period after which silence counts as hung. Two are asked for
#: (sd_watchdog_enabled(3)); a beat waits for the next turn of the loop, so twice that.
BEATS = 4


class Notifier:
    """The way to the service manager that started this process, if one did.

    It takes VARIABLES out of `environment`.
    """

    def __init__(
        self,
        log: FilteringBoundLogger,
        environment: MutableMapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._clock = clock
        self._address, watchdog_us, pid = (environment.pop(name, "") for name in VARIABLES)
        #: Silence of so many seconds counts as hung; 0 if nobody watches.
        self.watchdog_s = 0.0
        if self._address and watchdog_us.isascii() and watchdog_us.isdecimal() and pid in ("", str(os.getpid())):
            self.watchdog_s = int(watchdog_us) / 1e6
        self._beat_at = clock()
        self._told = ""
        self._told_at = -STATUS_S
        self._stopping = False
        self._failed = False
        self._jobs: dict[object, tuple[str, float]] = {}
        self._hung = ""

    def ready(self, line: str) -> None:
        """Say that the start is over: whoever waited for this daemon goes on."""
        self._told = line
        self._send("READY=1", _status(line))

    def starting(self, line: str, extend_s: float) -> None:
        """Say what the start is at, and that it may take so many seconds from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(extend_s * 1e6)}", _status(line))

    def status(self, line: str) -> None:
        """Say in a line how it goes: at most every STATUS_S seconds, and only what is new."""
        now = self._clock()
        if line != self._told and now - self._told_at >= STATUS_S and not self._stopping:
            self._told, self._told_at = line, now
            self._send(_status(line))

    def stopping(self, line: str) -> None:
        """Say, once, that the end has begun."""
        if not self._stopping:
            self._stopping = True
            self._send("STOPPING=1", _status(line))

    def beat(self) -> None:
        """Say WATCHDOG=1 if it is due and no job hangs. To be called where the loop has just done work."""
        now = self._clock()
        if not self.watchdog_s or now - self._beat_at < self.watchdog_s / BEATS or self._is_hung(now):
            return
        if self._send("WATCHDOG=1"):
            self._beat_at = now

    @contextlib.contextmanager
    def expecting(self, job: str, periods: float = 1.0) -> Iterator[None]:
        """Do a job of another thread in this block: not over after so many watchdog periods, it stops the beats."""
        token = object()
        self._jobs[token] = job, self._clock() + periods * self.watchdog_s
        try:
            yield
        finally:
            del self._jobs[token]

    def _is_hung(self, now: float) -> bool:
        hung = next((job for job, until in self._jobs.values() if now >= until), "")
        if hung and not self._hung:
            self._log.error("job_hung", job=hung, watchdog_s=self.watchdog_s)
        self._hung = hung
        return bool(hung)

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            if self._address[0] not in "/@":
                raise OSError(f"{self._address}: expected a path or @NAME")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as speaker:
                # Each time anew: the manager's socket may have been replaced.
                address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
                speaker.sendto("\n".join(lines).encode("utf-8", "replace"), address)
        except (OSError, ValueError) as error:
            if not self._failed:
                self._log.warning("service_manager_not_told", socket=self._address, reason=str(error))
            self._failed = True
            return False
        self._failed = False
        return True


def _status(line: str) -> str:
    return "STATUS=" + " ".join(line.split())[:MOST_STATUS]
