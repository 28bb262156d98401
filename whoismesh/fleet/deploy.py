"""`fab deploy`: every host gets what it has to have, and what runs with other inputs than these is started again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from whoismesh.bulk.files import check_files
from whoismesh.errors import ConfigError, UnavailableError, WhoismeshError
from whoismesh.fleet.desired import Change, change, desired_state
from whoismesh.fleet.fleet_keys import FleetKeys
from whoismesh.fleet.hosts import FleetHost
from whoismesh.fleet.on_host import COORDINATOR_UNIT, WORKER_UNIT
from whoismesh.fleet.outcomes import CHANGED, UNCHANGED, Outcome
from whoismesh.fleet.run import Run, say
from whoismesh.fleet.ssh import Connection
from whoismesh.fleet.there import as_root, ask
from whoismesh.fleet.wheels import Wheelhouse, make_wheelhouse, package
from whoismesh.prior_files import check_prior
from whoismesh.settings import load

#: Files on their way, the virtual environment and restarts take this long at most, seconds.
APPLY_S, APT_S = 1200, 600
#: How a unit is called in tables.
ROLES = {COORDINATOR_UNIT: "coordinator", WORKER_UNIT: "worker"}


@dataclass(frozen=True, slots=True)
class Crawl:
    """A configuration that was checked, and the files that it names."""

    config: bytes
    prior: tuple[Path, ...]
    bulk: tuple[Path, ...]


def take_config(given: Path | None, kept: Path) -> Crawl:
    """Check a configuration and keep a copy; without one take the copy. Raises ConfigError with every problem.

    WHOISMESH_* variables of this shell count for nothing: what the fleet does is in the file.
    """
    path = given or kept
    if given is None and not kept.is_file():
        raise ConfigError(f"--config FILE is missing: {kept} has no configuration of an earlier deploy")
    settings = load(path, {})
    # The copy lies elsewhere, and names files from here as the original did.
    check_prior(settings.prior)
    check_files(settings.bulk)
    names = [each.name for each in (*settings.prior, *settings.bulk)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{path}: two files are called {', '.join(twice)}; they are to lie in one folder on the host")
    config = path.read_bytes()
    if given is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_name(f".{kept.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(config)
        part.replace(kept)
    return Crawl(config, settings.prior, settings.bulk)


class CoordinatorAddress:
    """Where the mesh reaches the coordinator's host: asked once, by whoever needs it first."""

    def __init__(self, run: Run, python: str) -> None:
        self._run = run
        self._python = python
        self._lock = threading.Lock()
        self._found: str | WhoismeshError = ""

    def get(self) -> str:
        """Return it. Raises UnavailableError if it cannot be known."""
        host = self._run.coordinator
        with self._lock:
            if not self._found:
                try:
                    with self._run.connect(host) as connection:
                        self._found = mesh_address(host, connection, self._python)
                except WhoismeshError as error:
                    self._found = error
        if isinstance(self._found, WhoismeshError):
            raise UnavailableError(f"the coordinator's address is not known: {self._found}")
        return self._found


def mesh_address(host: FleetHost, connection: Connection, python: str) -> str:
    """Return where the mesh reaches a host: as its entry says, else the address of its own that ssh reached."""
    if host.mesh_address:
        return host.mesh_address
    address = str(ask(connection, {"do": "status"}, python=python)["address"])
    if not address:
        raise UnavailableError("sshd does not tell at which address it was reached (SSH_CONNECTION)")
    return address


def deploy(run: Run, config: Path | None, *, python: str, install: bool, quiet: bool) -> list[Outcome]:
    """Deploy to the chosen hosts; return what came of each. Raises ConfigError where nothing could begin."""
    crawl = take_config(config, run.folder / "crawl.toml")
    fleet_keys = FleetKeys(run.folder / "keys", run.hosts)
    wheelhouse = make_wheelhouse(run.folder / "wheels", (lambda line: None) if quiet else say)
    coordinator = CoordinatorAddress(run, python)

    def work(host: FleetHost) -> tuple[str, str]:
        worker_keys = fleet_keys.of(host)
        with run.connect(host) as connection:
            if install:
                _install_python(connection, wheelhouse)
            address = mesh_address(host, connection, python)
            desired = desired_state(
                wheelhouse,
                crawl.config,
                address=address,
                coordinator=address if host.coordinates else coordinator.get(),
                instance=bool(host.instance),
                coordinator_keys=fleet_keys.folder if host.coordinates else None,
                worker_keys=worker_keys,
                prior=crawl.prior,
                bulk=crawl.bulk,
            )
            question = desired.question()
            found = ask(connection, question, python=python)
            unfit = wheelhouse.unfit(found["facts"])
            if unfit:
                raise UnavailableError(unfit)
            to_do = change(desired, question, found)
            if to_do is None:
                return UNCHANGED, f"version {desired.digest}"
            done = ask(connection, to_do.request, _bytes(to_do), python=python, timeout_s=APPLY_S)
        restarted = [ROLES[unit] for unit in done["restarted"]]
        return CHANGED, to_do.told + (f"; restarted the {' and the '.join(restarted)}" if restarted else "")

    return run.on_each(run.chosen, work, quiet=quiet)


def _bytes(to_do: Change) -> Iterator[bytes]:
    # The user first: files may be its own. `on_host.apply` reads them in this order.
    for each in to_do.files:
        yield from each.chunks()


def _install_python(connection: Connection, wheelhouse: Wheelhouse) -> None:
    named = package(wheelhouse.python)
    program = named.split()[0]
    script = (
        f"command -v {program} > /dev/null && {program} -c 'import venv, ssl, sqlite3' 2> /dev/null && exit 0; "
        "command -v apt-get > /dev/null || { echo 'has no apt-get' >&2; exit 69; }; "
        "export DEBIAN_FRONTEND=noninteractive; "
        f"{{ apt-get -qq update && apt-get -qq install -y --no-install-recommends {named}; }} > /dev/null"
    )
    said = connection.run(as_root(script), timeout_s=APT_S)
    if said.code != 0:
        last = said.errors.splitlines()[-1][:300] if said.errors else f"ended with {said.code}"
        raise UnavailableError(f"{named} cannot be installed: {last}")
