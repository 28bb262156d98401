"""A daemon on a host of the lab."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waiting import wait_until

if TYPE_CHECKING:
    from host import Host

#: systemd's exit status where there is no program to run (systemd.exec(5)).
NO_PROGRAM = 203
#: Time for systemd to clear away what has ended.
STOP_S = 5.0


class Service:
    """A daemon as a transient unit of its host's systemd; its output is in a file there."""

    def __init__(self, host: Host, name: str, number: int, command: list[str]) -> None:
        """Start it and wait until it runs its program. Raises RuntimeError if it cannot be started.

        `number` tells the services of a host apart; those of one name write to one log.
        """
        self.host = host
        self.name = name
        self._unit = f"{name}-{number}"
        self._ended = f"/run/{self._unit}.ended"
        self._log = f"/var/log/{name}.log"
        self._log_from = self.log.stat().st_size if self.log.exists() else 0
        try:
            host.run(
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={self._unit}",
                "--property=Type=exec",
                "--property=WorkingDirectory=/root",
                f"--property=StandardOutput=append:{self._log}",
                f"--property=StandardError=append:{self._log}",
                f"--property=ExecStopPost=/bin/sh -c 'echo $EXIT_CODE $EXIT_STATUS > {self._ended}.part'",
                f"--property=ExecStopPost=/bin/mv {self._ended}.part {self._ended}",
                *command,
            )
        except RuntimeError:
            # One that fails at once is no failed start to us; only one whose program there was none to run.
            with contextlib.suppress(TimeoutError):
                if self.ends(STOP_S) != f"exited {NO_PROGRAM}":
                    return
            raise

    @property
    def log(self) -> Path:
        """Where the machine sees its output, while the host runs."""
        return self.host.path(self._log)

    @property
    def _ended_path(self) -> Path:
        return self.host.path(self._ended)

    def output(self) -> str:
        """Return what it has said so far, to its last whole line."""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().rpartition(b"\n")[0].decode()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what it has logged so far."""
        for line in self.output().splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def says(self, event: str, deadline_s: float) -> dict[str, Any]:
        """Wait for an event in its log; return the first. Raises TimeoutError, or RuntimeError if it ends before."""

        def look() -> dict[str, Any] | None:
            ended = self._ended_path.exists()
            found = next((each for each in self.events() if each["event"] == event), None)
            if found is None and ended:
                raise RuntimeError(f"{self.name} ended without {event}: {self.output()[-2000:]}")
            return found

        return wait_until(look, f"{event} of {self.name}", deadline_s)

    def kill(self, signal: str = "KILL") -> None:
        """Send it a signal."""
        self.host.run("systemctl", "kill", f"--signal={signal}", self._unit)

    def ends(self, deadline_s: float) -> str:
        """Wait for its end; return how: "exited 0", "killed KILL". Raises TimeoutError."""
        wait_until(self._ended_path.exists, f"end of {self.name}", deadline_s)
        return self._ended_path.read_text().strip()
