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
import ipaddress
import os
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from service import Service
from waiting import wait_until

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
#: Where labs have their folders, one for each, `whoismesh-lab-` and some letters.
FOLDERS, PREFIX = Path("/run"), "whoismesh-lab-"
BRIDGE = "lab"
NETWORK, PREFIX_LENGTH = "10.78.0", 24
SEAT_ADDRESS = f"{NETWORK}.1"
#: The first host's last byte.
FIRST_HOST = 11
#: A host boots in one or two seconds on a quiet machine.
BOOT_S = 90.0
COMMAND_S = 60.0

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
            self.cgroup = _cgroup_here() / self.folder.name
            (self.folder / "cgroup").write_text(str(self.cgroup))
            self.cgroup.mkdir()
            self._take_seat()
            self.key = self.folder / "id_ed25519"
            _make_key(self.key)
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
        _remove(self.folder)
        self._lock.close()

    # -- the seat -----------------------------------------------------------------------------------------------

    def _take_seat(self) -> None:
        process = subprocess.Popen(
            [*_BOUND_TO_US, "unshare", "--net", "sh", "-c", SEAT, "seat", BRIDGE, f"{SEAT_ADDRESS}/{PREFIX_LENGTH}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
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
        """Run a command at the seat to its end; return what it printed. Raises CalledProcessError."""
        return _output([*self.into_seat, *map(str, command)], timeout_s)

    def start(
        self, *command: str | Path, stdout: int | IO[bytes] = subprocess.DEVNULL, stderr: IO[bytes] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command at the seat; it ends with the lab."""
        process = subprocess.Popen(
            [*_BOUND_TO_US, *self.into_seat, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
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
        """Run a command on a host through its sshd, from the seat. Raises CalledProcessError."""
        return self.run("ssh", "-F", self.ssh_config, host, shlex.join(command), timeout_s=timeout_s)


class Host:
    """One host. Made by a HostLab."""

    def __init__(self, lab: HostLab, name: str, address: str) -> None:
        """Start to boot it."""
        self.lab = lab
        self.name = name
        self.address = address
        self.folder = lab.folder / name
        self.folder.mkdir()
        self.running = True
        self._port = address.rpartition(".")[2]
        self._plugged = f"port{self._port}"
        self._wire: subprocess.Popen[bytes] | None = None
        self._started = 0
        self.public_key = _make_key(self.folder / "ssh_host_ed25519_key")
        os.mkfifo(self.folder / "up")
        # Open for both: reading waits for the host, not for somebody who opens the other end.
        self._up = os.open(self.folder / "up", os.O_RDWR | os.O_NONBLOCK)
        (lab.cgroup / name).mkdir()
        with open(self.folder / "boot.log", "wb") as log:
            self._process = subprocess.Popen(
                [*_BOUND_TO_US, HERE / "boot"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    "PATH": _PATH,
                    "NAME": name,
                    "ADDRESS": f"{address}/{PREFIX_LENGTH}",
                    "PORT": self._plugged,
                    "BRIDGE": BRIDGE,
                    "SEAT": str(lab.seat),
                    "CGROUP": str(lab.cgroup / name),
                    "FOLDER": str(self.folder),
                    "SHOW": "\n".join(_hidden_folders()),
                },
            )

    def wait_for_boot(self) -> None:
        """Wait until sshd is up. Raises RuntimeError with what is known of why it is not."""

        def is_up() -> bool:
            with contextlib.suppress(BlockingIOError):
                return bool(os.read(self._up, 100))
            return self._process.poll() is not None

        try:
            wait_until(is_up, f"boot of {self.name}", BOOT_S)
            if self._process.returncode is not None:
                raise RuntimeError(f"{self.name} did not boot: {(self.folder / 'boot.log').read_text()}")
        except TimeoutError as error:
            journal = self._inside("journalctl", "--no-pager", "-n", "50") if (self.folder / "init").exists() else []
            last = subprocess.run(journal, capture_output=True, text=True).stdout if journal else ""
            raise RuntimeError(f"{error}: {(self.folder / 'boot.log').read_text()}{last}") from None

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def init(self) -> int:
        """The machine's number for the host's first process."""
        return int((self.folder / "init").read_text())

    def _inside(self, *command: str) -> list[str]:
        into = [f"--{each}" for each in ("mount", "pid", "net", "uts", "ipc", "cgroup", "root", "wd")]
        return ["nsenter", f"--target={self.init}", *into, "--", *command]

    def path(self, inside: str) -> Path:
        """Return where the machine sees a file of this host, while the host runs."""
        return Path(f"/proc/{self.init}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str) -> None:
        """Put a file there; a reader sees the old one or the new one."""
        path = self.path(inside)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text)
        part.chmod(0o644)
        part.replace(path)

    def run(self, *command: str, timeout_s: float = COMMAND_S) -> str:
        """Run a command as root to its end; return what it printed. Raises CalledProcessError."""
        return _output(self._inside(*command), timeout_s)

    def start(self, name: str, *command: str | Path) -> Service:
        """Start a daemon, as a transient unit of the host's systemd."""
        self._started += 1
        return Service(self, name, self._started, [str(each) for each in command])

    # -- its cable and its power --------------------------------------------------------------------------------

    def partition(self) -> None:
        """Cut the host off: nothing comes through, and nobody is told."""
        self.lab.run("ip", "link", "set", self._plugged, "nomaster")

    def expect_silence_of(self, other: Host) -> None:
        """Let nobody tell this host that the other one is gone, should it be: as with a router between them."""
        hardware = other.run("cat", "/sys/class/net/eth0/address").strip()
        self.run("ip", "neigh", "replace", other.address, "lladdr", hardware, "nud", "permanent", "dev", "eth0")

    def knocks_at(self, other: Host) -> bool:
        """Tell whether something here is waiting for a connection to another host to be made."""
        # Addresses are in the machine's byte order there; SYN_SENT is state 2 (linux/tcp_states.h).
        number = int.from_bytes(ipaddress.ip_address(other.address).packed, sys.byteorder)
        rows = [
            line.split()
            for name in ("tcp", "tcp6")
            for line in self.path(f"/proc/1/net/{name}").read_text().splitlines()
        ]
        return any(f"{number:08X}:" in row[2] and row[3] == "02" for row in rows)

    def heal(self) -> None:
        """End a partition."""
        self.lab.run("ip", "link", "set", self._plugged, "master", BRIDGE)

    def impair(self, loss: float, delay_s: float) -> None:
        """Make the cable a bad one: each packet is lost with that chance and late by that much, either way."""
        assert self._wire is None, "mend it first"
        port, inner, outer = self._plugged, f"inner{self._port}", f"outer{self._port}"
        self.lab.run("ip", "link", "add", inner, "type", "veth", "peer", "name", outer)
        for each in (inner, outer):
            self.lab.run("ip", "link", "set", each, "gso_max_segs", "1", "up")
        arguments = (port, inner, str(loss), str(delay_s), self.name)
        self._wire = self.lab.start(sys.executable, HERE / "wire.py", *arguments, stdout=subprocess.PIPE)
        assert self._wire.stdout is not None
        if self._wire.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the bad cable of {self.name} did not start")
        self.partition()
        self._plugged = outer
        self.heal()

    def mend(self) -> None:
        """Make the cable a good one again."""
        assert self._wire is not None, "it is good"
        self._wire.kill()
        self._wire.wait()
        self._wire = None
        self.lab.run("ip", "link", "delete", self._plugged)
        self._plugged = f"port{self._port}"
        self.heal()

    def power_off(self) -> None:
        """Switch the host off at once: it is not asked, says goodbye to nobody, and its disk is lost."""
        if not self.running:
            return
        self.running = False
        with contextlib.suppress(RuntimeError):  # it was not there yet
            # The cable first: the kernel closes a killed process's connections, which a dead host could not.
            self.partition()
        if self._process.poll() is None and (self.folder / "init").exists():
            # The host's first process; the kernel ends all others with it. Its parent, ours, waits for that.
            os.kill(self.init, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        os.close(self._up)


# -- what is left of labs whose maker was killed ----------------------------------------------------------------------


def sweep() -> None:
    """Remove what labs have left whose maker is gone."""
    for folder in FOLDERS.glob(f"{PREFIX}*"):
        try:
            with open(folder / "lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
        except FileNotFoundError:
            continue  # just being made, or just removed
        except BlockingIOError:
            continue  # its maker lives


def _remove(folder: Path) -> None:
    """Remove a lab's control groups, with what runs in them, and its folder."""
    with contextlib.suppress(FileNotFoundError):
        cgroup = Path((folder / "cgroup").read_text())
        groups = sorted((each for each in cgroup.rglob("*") if each.is_dir()), reverse=True) if cgroup.exists() else []

        def empty() -> bool:
            left = [int(pid) for each in (*groups, cgroup) for pid in (each / "cgroup.procs").read_text().split()]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        if cgroup.exists():
            wait_until(empty, f"end of all processes of {cgroup}", COMMAND_S)
            for each in (*groups, cgroup):
                each.rmdir()
    shutil.rmtree(folder)


def _cgroup_here() -> Path:
    """Return the control group of this process (version 2)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            mounted = Path(fields[4])
            own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::")
            here = mounted / own.lstrip("/")
            return here if here.exists() else mounted
    raise RuntimeError("no control groups of version 2 are mounted")


# -- small parts ------------------------------------------------------------------------------------------------------

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Before a command: the kernel kills it when we are gone, however hard we went.
_BOUND_TO_US = ("setpriv", "--pdeathsig", "KILL", "--")


def _output(command: Sequence[str], timeout_s: float) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _make_key(path: Path) -> str:
    """Make an ssh key; return its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


def _hidden_folders() -> list[str]:
    """Return the folders that daemons need and a host would not see: a host's root is the machine's root file system
    without what is mounted on it, and with its own /tmp, /run and /dev."""
    wanted = [PROJECT, Path(sys.base_prefix), Path(sys.prefix), Path(sysconfig.get_path("purelib"))]
    root = Path("/").stat().st_dev
    own = [Path("/tmp"), Path("/run"), Path("/dev")]
    return [
        str(each)
        for each in dict.fromkeys(wanted)
        if each.stat().st_dev != root or any(each.is_relative_to(top) for top in own)
    ]


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
