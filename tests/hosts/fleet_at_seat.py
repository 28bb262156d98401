"""A fleet of hosts of the lab, led by `fab` as an operator at the lab's seat would."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host import PROJECT
from lab import SEAT_ADDRESS, HostLab
from programs import ENVIRONMENT

from whoismesh.practice.table import AllocationTable, packaged

BIN = Path(sys.executable).parent
#: One task, seconds: deploy to five hosts at once takes 20 s on two cores.
TASK_S = 120
#: Pythons that units can see; where the system's is another one, the one that runs the tests is put at /opt.
SYSTEM_PYTHON = Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
OWN_PYTHON = Path("/opt/python/bin") / SYSTEM_PYTHON.name


@dataclass(frozen=True)
class Done:
    """How a task ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.output)

    @property
    def states(self) -> dict[str, str]:
        """The state of each host of a task with --json."""
        return {each["host"]: each["state"] for each in self.json}


def wheelhouse(shared: Path) -> Path:
    """Return a folder with the wheelhouse, made once for all tests: at a seat there is no package index."""
    with open(shared / "fleet.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(
            [BIN / "fab", "-r", PROJECT, "wheels"], cwd=shared, check=True, capture_output=True, env=ENVIRONMENT
        )
    return shared / "fleet" / "whoismesh" / "wheels"


class Fleet:
    """An operator's folder at the seat, and practice registries there."""

    def __init__(self, lab: HostLab, folder: Path, wheels: Path, *, first_bytes: tuple[int, ...], latency_s: float):
        """Serve the registries and make a configuration that points there."""
        self.lab = lab
        self.folder = folder
        self.table = AllocationTable.load(packaged())
        shutil.copytree(wheels, folder / "fleet" / "whoismesh" / "wheels")
        space = [str(each) for each in self.table.space() if each.first >> 24 in first_bytes]
        options = ["--host", SEAT_ADDRESS, "--config-out", folder / "practice.toml", "--latency", str(latency_s)]
        options += ["--log", folder / "requests.csv", "--space", *space]
        with open(folder / "practice.log", "wb") as log:
            practice = lab.start(BIN / "whoismesh", "practice", *options, stdout=subprocess.PIPE, stderr=log)
        assert practice.stdout is not None
        assert practice.stdout.readline(), (folder / "practice.log").read_text()
        self.config = folder / "practice.toml"
        self.config.write_text(self.config.read_text().replace("connections = 16", "connections = 2"))
        if not SYSTEM_PYTHON.exists():
            for name in lab.names:
                lab[name].run("mkdir", "-p", "/opt/python")
                lab[name].run("mount", "--bind", sys.base_prefix, "/opt/python")
        self.python = () if SYSTEM_PYTHON.exists() else ("--python", OWN_PYTHON)

    def command(
        self, *words: str | Path, hosts: tuple[str, ...], config: Path | None = None, give_up_s: int = 10
    ) -> list[str]:
        """Return a call of fab at the seat, for hosts of the lab."""
        fab = [BIN / "fab", "-r", PROJECT, "-S", config or self.lab.ssh_config, "-t", give_up_s]
        fab += ["-H", ",".join(hosts)] if hosts else []
        return [*self.lab.into_seat, *map(str, fab), *map(str, words)]

    def fab(self, *words: str | Path, hosts: tuple[str, ...], config: Path | None = None, give_up_s: int = 10) -> Done:
        """Run a task to its end."""
        command = self.command(*words, hosts=hosts, config=config, give_up_s=give_up_s)
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=TASK_S, env=ENVIRONMENT, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        took_s = time.monotonic() - began
        print(f"--- fab {' '.join(map(str, words))}: {done.returncode}, {took_s:.1f} s\n{done.stdout}{done.stderr}")
        return Done(done.returncode, done.stdout, done.stderr)

    def deploy(self, *words: str | Path, hosts: tuple[str, ...]) -> Done:
        """Deploy, with a Python that units can see."""
        return self.fab("deploy", *self.python, *words, hosts=hosts)

    def begin(self, *words: str | Path, hosts: tuple[str, ...], output: Path | None = None) -> subprocess.Popen[str]:
        """Start a task that goes on meanwhile; its output can be read from it at its end, or from a file."""
        with contextlib.ExitStack() as stack:
            stdout = subprocess.PIPE if output is None else stack.enter_context(open(output, "wb"))
            return subprocess.Popen(
                self.command(*words, hosts=hosts),
                cwd=self.folder,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                env=ENVIRONMENT,
            )

    def shown(self, host: str, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.lab[host].run("systemctl", "show", unit, f"--property={name}", "--value").strip()

    def asked(self) -> int:
        """Return how many requests the registries have had."""
        path = self.folder / "requests.csv"
        return len(path.read_text().splitlines()) if path.exists() else 0
