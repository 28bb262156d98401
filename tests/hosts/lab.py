"""Throwaway Linux hosts on one machine: each has its own network namespace, root file system, systemd and sshd.

    with HostLab("coord", "one", "two") as lab:
        one = lab["one"]
        print(one.run("hostname"), lab.ssh("one", "uptime"))
        one.impair(loss=0.2, delay_s=0.1)

The lab has a network of its own, in a namespace: what the machine's network and firewall are like does not matter, and
two labs never meet. The lab's *seat* is a place in that network with the machine's own files, at SEAT_ADDRESS. All that
makes up a lab are processes, which the kernel ends when their maker ends, and a folder and control groups, which the
next lab removes should their maker have been killed.

By hand: `python tests/hosts/lab.py NAME...` makes hosts and tells how to get in.
"""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from host import BRIDGE, NETWORK, PREFIX_LENGTH, Host
from leftovers import FOLDERS, PREFIX, cgroup_here, remove, sweep
from programs import BOUND_TO_US, COMMAND_S, ENVIRONMENT, make_key, output

SEAT_ADDRESS = f"{NETWORK}.1"
#: The first host's last byte.
FIRST_HOST = 11

SEAT = """
set -e
ip link set lo up
# The loose end of a cable is an interface of this namespace: it must neither answer for the seat nor speak for itself.
echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
[ ! -e /proc/sys/net/ipv6 ] || echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
# By default a bridge has the hardware address of one of its ports, and that port unplugged would still reach the seat.
ip link add "$1" address 02:00:00:00:00:01 type bridge
ip addr add "$2" dev "$1"
ip link set "$1" gso_max_segs 1
ip link set "$1" up
echo up
exec sleep infinity
"""


class HostLab:
    """Some hosts, a network between them, and a seat in it. Booted by `with`, gone after it."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._hosts: dict[str, Host] = {}
        self._addresses: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        sweep()
        self.folder = Path(tempfile.mkdtemp(dir=FOLDERS, prefix=PREFIX))
        self._lock = open(self.folder / "lock", "wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self.cgroup = cgroup_here() / self.folder.name
            (self.folder / "cgroup").write_text(str(self.cgroup))
            self.cgroup.mkdir()
            self._take_seat()
            self.key = self.folder / "id_ed25519"
            make_key(self.key)
            # Started here, one after the other, and waited for afterwards: the kernel ends a process with the *thread*
            # that started it (PR_SET_PDEATHSIG), so this is no work for threads.
            self._hosts = {
                name: Host(self, name, f"{NETWORK}.{FIRST_HOST + number}") for number, name in enumerate(self._names)
            }
            self._write_ssh_files()
            for host in self._hosts.values():
                host.wait_for_boot()
            for host in self._hosts.values():
                self._addresses[host.name] = host.address
            self._write_names()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all hosts."""
        return tuple(self._hosts)

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def close(self) -> None:
        """Power everything off and remove what there was."""
        for host in self._hosts.values():
            host.power_off()
        for process in reversed(self._processes):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()
        remove(self.folder)
        self._lock.close()

    # -- the seat -----------------------------------------------------------------------------------------------

    def _take_seat(self) -> None:
        process = subprocess.Popen(
            [*BOUND_TO_US, "unshare", "--net", "sh", "-c", SEAT, "seat", BRIDGE, f"{SEAT_ADDRESS}/{PREFIX_LENGTH}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        self._processes.append(process)
        assert process.stdout is not None
        if process.stdout.readline() != b"up\n":
            raise RuntimeError("the lab's network could not be made; see above")
        self.seat = process.pid

    @property
    def into_seat(self) -> list[str]:
        """What to put before a command so that it runs in the lab's network, with the machine's own files."""
        return ["nsenter", f"--net=/proc/{self.seat}/ns/net", "--"]

    def run(self, *command: str | Path, timeout_s: float = COMMAND_S) -> str:
        """Run a command at the seat to its end; return what it printed. Raises RuntimeError."""
        return output([*self.into_seat, *map(str, command)], timeout_s)

    def start(
        self, *command: str | Path, stdout: int | IO[bytes] = subprocess.DEVNULL, stderr: IO[bytes] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command at the seat; it ends with the lab."""
        process = subprocess.Popen(
            [*BOUND_TO_US, *self.into_seat, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=ENVIRONMENT,
        )
        self._processes.append(process)
        return process

    # -- names and ssh ------------------------------------------------------------------------------------------

    def point(self, name: str, host: str) -> None:
        """Give a name to a host: all hosts resolve it to that one from now on."""
        self._addresses[name] = self[host].address
        self._write_names()

    def _write_names(self) -> None:
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in self._addresses.items())]
        for host in self._hosts.values():
            if host.running:
                host.write("/etc/hosts", "\n".join(lines) + "\n")

    def _write_ssh_files(self) -> None:
        self.known_hosts, self.ssh_config = self.folder / "known_hosts", self.folder / "ssh_config"
        self.known_hosts.write_text(
            "".join(f"{host.name},{host.address} {host.public_key}\n" for host in self._hosts.values())
        )
        self.ssh_config.write_text(
            "".join(f"Host {host.name}\n  HostName {host.address}\n" for host in self._hosts.values())
            + "Host *\n  User root\n  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking yes\n"
            + f"  IdentityFile {self.key}\n  UserKnownHostsFile {self.known_hosts}\n"
        )

    def ssh(self, host: str, *command: str, timeout_s: float = COMMAND_S) -> str:
        """Run a command on a host through its sshd, from the seat. Raises RuntimeError."""
        return self.run("ssh", "-F", self.ssh_config, host, shlex.join(command), timeout_s=timeout_s)


def main(names: Sequence[str]) -> None:
    """Make hosts and keep them until Ctrl-C."""
    with HostLab(*(names or ["one"])) as lab:
        print(f"Enter the lab's network:  {shlex.join(lab.into_seat)} bash")
        print(f"and there, for example:   ssh -F {lab.ssh_config} {next(iter(names or ['one']))}")
        print("Ctrl-C ends the lab.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
