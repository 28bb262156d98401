"""One host of the lab: its boot, its inside, its cable and its power."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from programs import BOUND_TO_US, COMMAND_S, ENVIRONMENT, PATH, make_key, output
from service import Service
from waiting import wait_until

if TYPE_CHECKING:
    from lab import HostLab

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
BRIDGE = "lab"
NETWORK, PREFIX_LENGTH = "10.78.0", 24
#: A host boots in one or two seconds on a quiet machine.
BOOT_S = 90.0


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
        self.public_key = make_key(self.folder / "ssh_host_ed25519_key")
        os.mkfifo(self.folder / "up")
        # Open for both: reading waits for the host, not for somebody who opens the other end.
        self._up = os.open(self.folder / "up", os.O_RDWR | os.O_NONBLOCK)
        (lab.cgroup / name).mkdir()
        with open(self.folder / "boot.log", "wb") as log:
            self._process = subprocess.Popen(
                [*BOUND_TO_US, HERE / "boot"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    "PATH": PATH,
                    "NAME": name,
                    "ADDRESS": f"{address}/{PREFIX_LENGTH}",
                    "PORT": self._plugged,
                    "BRIDGE": BRIDGE,
                    "SEAT": str(lab.seat),
                    "CGROUP": str(lab.cgroup / name),
                    "FOLDER": str(self.folder),
                    "SHOW": "\n".join(hidden_folders()),
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
            last = subprocess.run(journal, capture_output=True, text=True, env=ENVIRONMENT).stdout if journal else ""
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
        """Run a command as root to its end; return what it printed. Raises RuntimeError."""
        return output(self._inside(*command), timeout_s)

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

    @property
    def ended(self) -> bool:
        """Tell whether it went down by itself."""
        return self._process.poll() is not None

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


def hidden_folders() -> list[str]:
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
