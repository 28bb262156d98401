"""What tasks on EC2 do on the hosts by ssh.

Workers that came are brought in, those that go are drained, a builder gets the programs; results are not thrown
away unasked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whoismesh import keys
from whoismesh.errors import UnavailableError, UsageError, WhoismeshError
from whoismesh.fleet import deploy as deploying
from whoismesh.fleet import services
from whoismesh.fleet.desired import change, desired_state
from whoismesh.fleet.ec2.inventory import KNOWN_HOSTS
from whoismesh.fleet.hosts import FleetHost
from whoismesh.fleet.outcomes import FAILED, Outcome
from whoismesh.fleet.run import Run
from whoismesh.fleet.ssh import Access, Connection
from whoismesh.fleet.there import as_root, ask
from whoismesh.fleet.wheels import make_wheelhouse


def bring_in(run: Run, new: frozenset[str], *, python: str, quiet: bool) -> list[Outcome]:
    """Deploy to new workers, and to the coordinator, who must know their keys; then start the new ones."""
    chosen = tuple(host for host in run.hosts if host.coordinates or host.instance in new)
    deployed = deploying.deploy(replace(run, chosen=chosen), None, python=python, install=False, quiet=quiet)
    failed = {each.host for each in deployed if each.state == FAILED}
    start = tuple(host for host in chosen if not host.coordinates and host.name not in failed)
    started = {each.host: each for each in services.start(replace(run, chosen=start), quiet=quiet)}
    return [started.get(each.host, each) for each in deployed]


def drain(run: Run, names: Sequence[str], *, quiet: bool) -> list[Outcome]:
    """Stop workers, which deliver what they have and give their leases back."""
    return services.stop(replace(run, chosen=tuple(host for host in run.hosts if host.name in names)), quiet=quiet)


def revoke(run: Run, names: Sequence[str], *, python: str, quiet: bool) -> list[Outcome]:
    """Take the keys of hosts that are gone off the list, here and at the coordinator."""
    folder = run.folder / "keys"
    revoked = 0
    for name in names:
        if (folder / keys.ALLOWED / f"{name}.key").exists():
            keys.revoke_host(folder, name)
            revoked += 1
    if not revoked:
        return []
    left = tuple(host for host in run.hosts if host.name not in names)
    coordinators = tuple(host for host in left if host.coordinates)
    told = replace(run, hosts=left, chosen=coordinators)
    return deploying.deploy(told, None, python=python, install=False, quiet=quiet)


def at_stake(run: Run) -> str:
    """Return why ending the coordinator would lose results; empty where there are none, or they are home."""
    if not any(host.coordinates for host in run.hosts):
        return ""
    try:
        with run.connect(run.coordinator) as connection:
            told = ask(connection, {"do": "status"})
    except UsageError:
        raise
    except WhoismeshError as error:
        return f"the coordinator cannot be asked whether its results were pulled: {error}"
    return "its complete results were not pulled" if told["state"] and not told["pulled"] else ""


def install_programs(host: FleetHost, access: Access, folder: Path) -> str:
    """Give a builder the programs and the daemons' user, and no key or setting; return the version.

    What makes it this machine and no other is taken away: logs, machine id, host keys and whom it lets in.
    """
    wheelhouse = make_wheelhouse(folder / "wheels", lambda line: None)
    desired = desired_state(wheelhouse, b"", address="", coordinator="", coordinator_keys=None, worker_keys=None)
    known = (folder / "bake" / KNOWN_HOSTS,)
    with Connection(host, replace(access, known_hosts=known)) as connection:
        question = desired.question()
        found = ask(connection, question)
        if unfit := wheelhouse.unfit(found["facts"]):
            raise UnavailableError(f"{host.name}: {unfit}")
        to_do = change(desired, question, found)
        if to_do is not None:
            sent = (chunk for each in to_do.files for chunk in each.chunks())
            ask(connection, to_do.request, sent, timeout_s=deploying.APPLY_S)
        done = connection.run(as_root(_FORGET), timeout_s=60)
        if done.code != 0:
            raise UnavailableError(f"{host.name}: cannot be cleaned: {done.errors[-300:]}")
    return wheelhouse.digest


_FORGET = (
    "cloud-init clean --logs --machine-id && rm -f /etc/ssh/ssh_host_* /root/.ssh/authorized_keys "
    "/home/*/.ssh/authorized_keys && sync"
)
