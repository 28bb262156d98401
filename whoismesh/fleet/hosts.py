"""The hosts of a fleet: what each is called, how it is reached, and what it does there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from whoismesh.errors import UsageError

COORDINATOR, WORKER = "coordinator", "worker"

#: A name or an address, with a user before it and a port behind it where they are needed, as `fab -H` takes it.
_HOST = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?\Z"
)


@dataclass(frozen=True, slots=True)
class FleetHost:
    """One host. `name` is unique in the fleet, and goes into key files and tables: an instance's id, or what was given.

    `address` is what ssh connects to, `mesh_address` what the others of the mesh do. `user` and `port` are None where
    ssh's own configuration tells.
    """

    name: str
    address: str
    roles: frozenset[str]
    mesh_address: str = ""
    user: str | None = None
    port: int | None = None
    #: Of an instance of EC2: its id, type and zone.
    instance: str = ""
    instance_type: str = ""
    zone: str = ""

    @property
    def reached_by_mesh(self) -> str:
        """The address at which the mesh reaches it."""
        return self.mesh_address or self.address

    @property
    def coordinates(self) -> bool:
        """Tell whether it runs the coordinator."""
        return COORDINATOR in self.roles

    @property
    def works(self) -> bool:
        """Tell whether it runs a worker."""
        return WORKER in self.roles


def given_hosts(texts: Iterable[str], coordinator: str | None = None) -> tuple[FleetHost, ...]:
    """Return the hosts that `-H` names. The first one coordinates, or the one named; a single one works as well.

    Raises UsageError.
    """
    hosts = [_parse(text.strip()) for text in texts]
    if not hosts:
        raise UsageError("-H names no host; expected -H one,two or -H user@one:2222")
    names = [host.name for host in hosts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"-H names {', '.join(twice)} twice")
    first = coordinator or names[0]
    if first not in names:
        raise UsageError(f"{first}: is none of the hosts; expected one of {', '.join(names)}")
    if len(hosts) == 1:
        return (replace(hosts[0], roles=frozenset({COORDINATOR, WORKER})),)
    return tuple(
        replace(host, roles=frozenset({COORDINATOR if host.name == first else WORKER}))
        for host in sorted(hosts, key=lambda host: host.name != first)
    )


def _parse(text: str) -> FleetHost:
    match = _HOST.match(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 0 < port < 65536):
        raise UsageError(f"{text!r} is no host; expected HOST, USER@HOST, HOST:PORT or [IPV6]:PORT")
    address = match["host"] or match["ipv6"]
    # Names go into names of files.
    return FleetHost(address.replace(":", "-"), address, frozenset(), user=match["user"], port=port)
