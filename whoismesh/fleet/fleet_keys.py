"""The keys with which the hosts of a run take part in its mesh: made here, and taken to the hosts by `deploy`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whoismesh import keys
from whoismesh.errors import UsageError
from whoismesh.fleet.hosts import FleetHost


class FleetKeys:
    """The keys of a run, made when they are first needed."""

    def __init__(self, folder: Path, hosts: Sequence[FleetHost]) -> None:
        """Make those that are missing. Raises ConfigError."""
        self.folder = folder
        self._refused: dict[str, str] = {}
        if not (folder / keys.OWN).exists():
            keys.make_coordinator(folder)
        for host in hosts:
            if not host.works or (folder / keys.HOSTS / host.name).is_dir():
                continue
            if (folder / keys.REVOKED / f"{host.name}.key").exists():
                self._refused[host.name] = (
                    f"its key was revoked; to let it in again: whoismesh keys add --keys {folder} {host.name}"
                )
                continue
            try:
                keys.add_host(folder, host.name)
            except UsageError as error:
                self._refused[host.name] = str(error)

    def of(self, host: FleetHost) -> Path | None:
        """Return the folder with a worker's keys; None if it is none. Raises UsageError if it may not have any."""
        if host.name in self._refused:
            raise UsageError(self._refused[host.name])
        return self.folder / keys.HOSTS / host.name if host.works else None
