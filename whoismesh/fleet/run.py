"""A run: a fleet with a name, its hosts, how they are reached, and a folder here with what is to be kept of it.

fleet/NAME/keys/            the keys of all hosts (`whoismesh keys`): the secrets of this fleet
fleet/NAME/crawl.toml       the configuration that was deployed last
fleet/NAME/known_hosts      host keys, where they are known from elsewhere (instances of EC2)
fleet/NAME/wheels/          wheelhouses
fleet/NAME/failed-TASK.json which hosts a task failed on
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whoismesh.errors import UsageError
from whoismesh.fleet.each import AT_ONCE, on_each
from whoismesh.fleet.ec2 import inventory
from whoismesh.fleet.hosts import FleetHost, given_hosts
from whoismesh.fleet.outcomes import FAILED, Outcome, as_json, failed_before, keep_failed, table
from whoismesh.fleet.ssh import Access, Connection, hosts_given, known_hosts_files

#: Runs lie here, in the folder in which fab is called.
FOLDERS = Path("fleet")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Run:
    """A run's hosts, the coordinator's first; `chosen` are those that a task is about."""

    name: str
    folder: Path
    hosts: tuple[FleetHost, ...]
    chosen: tuple[FleetHost, ...]
    access: Access
    at_once: int = AT_ONCE

    @property
    def coordinator(self) -> FleetHost:
        """The host that coordinates. Raises UsageError if there is none."""
        for host in self.hosts:
            if host.coordinates:
                return host
        raise UsageError(f"run {self.name}: none of its hosts coordinates; name one with -H and --coordinator")

    def connect(self, host: FleetHost) -> Connection:
        """Return a connection to a host, to be opened by `with`."""
        return Connection(host, self.access)

    def on_each(
        self, hosts: Sequence[FleetHost], work: Callable[[FleetHost], tuple[str, str]], *, quiet: bool = False
    ) -> list[Outcome]:
        """Work on hosts at once, and tell each outcome on standard error when it is there, if somebody looks."""

        def told(outcome: Outcome) -> None:
            if sys.stderr.isatty() and not quiet:
                say(f"{outcome.host}: {outcome.state} {outcome.detail}")

        return on_each(hosts, work, told, self.at_once)

    def report(self, task: str, outcomes: Sequence[Outcome], *, json: bool) -> int:
        """Show what came of each host, keep which failed, and return the exit code."""
        keep_failed(self._failed(task), outcomes)
        print(as_json(outcomes) if json else table(outcomes, width()), flush=True)
        return 1 if any(each.state == FAILED for each in outcomes) else 0

    def only_failed(self, task: str) -> Run:
        """Return the run with only those hosts chosen on which the task failed the last time."""
        failed = failed_before(self._failed(task))
        return replace(self, chosen=tuple(host for host in self.chosen if host.name in failed))

    def _failed(self, task: str) -> Path:
        return self.folder / f"failed-{task}.json"


def find_run(
    context: Any,
    name: str,
    *,
    coordinator: str | None = None,
    known_hosts: str | None = None,
    at_once: int = AT_ONCE,
) -> Run:
    """Return a run with the hosts that `-H` names, or those of EC2 with its tag. Raises UsageError, ConfigError."""
    if not _NAME.match(name):
        raise UsageError(f"--run {name!r} is no name; expected letters, digits and . _ -, 63 at most")
    if at_once < 1:
        raise UsageError(f"--at-once {at_once}: expected 1 at least")
    folder = FOLDERS / name
    given = hosts_given(context)
    hosts = given_hosts(given, coordinator) if given else _tagged(name, folder, coordinator)
    files = known_hosts_files(Path(known_hosts) if known_hosts else None, folder, context.config)
    return Run(name, folder, hosts, hosts, Access(context.config, files), at_once)


def _tagged(name: str, folder: Path, coordinator: str | None) -> tuple[FleetHost, ...]:
    if coordinator is not None:
        raise UsageError("--coordinator goes with -H; on EC2 the tags say who coordinates")
    hosts = inventory.find(name, folder)
    if not hosts:
        raise UsageError(f"run {name}: no instance carries its tag; name hosts with -H, or launch some with `fab up`")
    return tuple(sorted(hosts, key=lambda host: not host.coordinates))


def width() -> int:
    """Return how wide a table may be: a terminal's width, and no limit where a program reads."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 10_000


def say(line: str) -> None:
    """Tell a person how far things are."""
    print(line, file=sys.stderr, flush=True)
