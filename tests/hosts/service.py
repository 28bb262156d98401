"""A daemon on a host of the lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waiting import wait_until

if TYPE_CHECKING:
    from lab import Host


class Service:
    """A daemon as a transient unit of its host's systemd; its output is in a file there."""

    def __init__(self, host: Host, name: str, command: list[str]) -> None:
        """Start it and wait until it runs its program. Raises RuntimeError if it cannot be started."""
        self.host = host
        self.name = name
        self._ended = f"/run/{name}.ended"
        self._log = f"/var/log/{name}.log"
        self._ended_path.unlink(missing_ok=True)
        host.run(
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={name}",
            "--property=Type=exec",
            "--property=WorkingDirectory=/root",
            f"--property=StandardOutput=append:{self._log}",
            f"--property=StandardError=append:{self._log}",
            f"--property=ExecStopPost=/bin/sh -c 'echo $EXIT_CODE $EXIT_STATUS > {self._ended}.part'",
            f"--property=ExecStopPost=/bin/mv {self._ended}.part {self._ended}",
            *command,
        )

    @property
    def log(self) -> Path:
        """Where the machine sees its output, while the host runs."""
        return self.host.path(self._log)

    @property
    def _ended_path(self) -> Path:
        return self.host.path(self._ended)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what it has logged so far."""
        for line in self.log.read_text().splitlines():
            if line.startswith("{"):
                yield json.loads(line)

    def says(self, event: str, deadline_s: float) -> dict[str, Any]:
        """Wait for an event in its log; return the first. Raises TimeoutError, or RuntimeError if it ends before."""

        def look() -> dict[str, Any] | None:
            ended = self._ended_path.exists()
            found = next((each for each in self.events() if each["event"] == event), None)
            if found is None and ended:
                raise RuntimeError(f"{self.name} ended without {event}: {self.log.read_text()[-2000:]}")
            return found

        return wait_until(look, f"{event} of {self.name}", deadline_s)

    def kill(self, signal: str = "KILL") -> None:
        """Send it a signal."""
        self.host.run("systemctl", "kill", f"--signal={signal}", self.name)

    def ends(self, deadline_s: float) -> str:
        """Wait for its end; return how: "exited 0", "killed KILL". Raises TimeoutError."""
        wait_until(self._ended_path.exists, f"end of {self.name}", deadline_s)
        return self._ended_path.read_text().strip()
