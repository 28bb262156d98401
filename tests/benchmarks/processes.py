"""A crawl of practice registries as separate processes, and what each of them cost.

Coordinator and workers are started as hosts start them, and each one's processor time is what the kernel says when it
has ended. What a process takes until it is ready (Python, imports) is not counted: it does not grow with the crawl.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from whoismesh.addresses import Range
from whoismesh.store import LedgerStore

#: The kernel's unit of processor time, seconds.
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Crawled:
    """One crawl: when it ended, its requests (`Practice.asked`), and processor seconds by process."""

    ended: float
    requests: list[tuple[float, str, str]]
    practice_cpu_s: float
    coordinator_cpu_s: float
    workers_cpu_s: float
    counters: Counter[str]
    state: Path

    @property
    def wall_s(self) -> float:
        """Seconds from the first request to the coordinator's end."""
        return self.ended - self.requests[0][0]

    @property
    def cpu_s(self) -> float:
        """Processor seconds of coordinator and workers."""
        return self.coordinator_cpu_s + self.workers_cpu_s


class Practice:
    """Practice registries in a process of their own; `config` and `prior` are the files that they wrote."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self.config, self.prior, self.log = folder / "practice.toml", folder / "delegated", folder / "requests.csv"

    @property
    def cpu_s(self) -> float:
        """Processor seconds until now."""
        return cpu_s(self._process.pid)

    def config_of(self, space: Iterable[Range]) -> str:
        """Return the config (TOML) of a crawl of that space."""
        listed = json.dumps([str(each) for each in space])
        return re.sub(r"(?m)^space = .*$", f"space = {listed}", self.config.read_text())

    def asked(self) -> Iterator[tuple[float, str, str]]:
        """Yield (monotonic time, registry, kind of answer) of the requests so far, in order."""
        for line in self.log.read_text().splitlines():
            moment, registry, _, _, kind = line.split(",")
            yield float(moment), registry, kind


@contextmanager
def practicing(table: Path | None, *options: str) -> Iterator[Practice]:
    """Serve practice registries of a table (default: the packaged one)."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        command = ["whoismesh", "practice", "--config-out", str(folder / "practice.toml"), *options]
        command += ["--prior-out", str(folder / "delegated"), "--log", str(folder / "requests.csv")]
        served = Daemon(stack, folder / "practice.log", *command, *(["--table", str(table)] if table else []))
        served.is_ready()
        yield Practice(served.process, folder)


@contextmanager
def crawled(practice: Practice, config: str, workers: int, *, prior: bool) -> Iterator[Crawled]:
    """Run a crawl of that config (TOML) by so many workers; its state lasts as long as the context.

    With a `prior` it is the one that the practice registries publish. Raises RuntimeError for a crawl that has failed.
    """
    more = ("--prior", str(practice.prior)) if prior else ()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "crawl.toml").write_text(config)
        common = ["--config", str(folder / "crawl.toml"), "--log-level", "warning", "--state"]
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        practice_s = practice.cpu_s

        def daemon(state: str, *command: str) -> Daemon:
            return Daemon(stack, folder / f"{state}.log", *command, *common, str(folder / state))

        # The workers first, and all at once: a small crawl is over before the last of them is there.
        ours = [daemon(f"worker-{number}", "whoismesh.worker", "--coord", endpoint) for number in range(1, workers + 1)]
        for each in ours:
            each.is_ready()
        coordinator = daemon("coordinator", "whoismesh.coordinator", "--listen", endpoint, "--exit-when-done", *more)
        coordinator.is_ready()
        began = time.monotonic()
        coordinator.ends()
        ended = time.monotonic()
        for each in ours:
            each.ends()
        if coordinator.exit_code:
            raise RuntimeError(f"the crawl ended with {coordinator.exit_code}")
        store = LedgerStore.read(folder / "coordinator")
        counters: Counter[str] = Counter()
        for each in store.counters().values():
            counters.update({name: int(count) for name, count in each.items()})
        counters["duplicates"] = store.count_duplicates()
        counters["networks"] = sum(1 for _ in store.networks())
        store.close()
        requests = [each for each in practice.asked() if each[0] > began]
        yield Crawled(
            ended,
            requests,
            practice.cpu_s - practice_s,
            coordinator.cpu_s,
            sum(each.cpu_s for each in ours),
            counters,
            folder / "coordinator",
        )


class Daemon:
    """A process of ours that says when it is ready; at the end of the stack it is gone. What it logs is a file."""

    def __init__(self, stack: ExitStack, log: Path, *command: str) -> None:
        self._log = log
        ready, ready_write = os.pipe()
        self._ready = stack.enter_context(os.fdopen(ready))
        self._before_s = 0.0
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "--ready-fd", str(ready_write)],
                pass_fds=[ready_write], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        os.close(ready_write)
        stack.callback(self._kill)

    def is_ready(self) -> str:
        """Wait until it says so; return what it says. Raises RuntimeError if it ends instead."""
        line = self._ready.readline().strip()
        if not line:
            raise RuntimeError(f"{self._log.stem} ended before it was ready: {self._log.read_text()[-500:]}")
        self._before_s = cpu_s(self.process.pid)
        return line

    def ends(self) -> None:
        """Wait for its end; take down what it has used."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.exit_code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_s = usage.ru_utime + usage.ru_stime - self._before_s

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """Return the first of four free ports in a row, below what the kernel gives to outgoing connections."""
    for first in range(21_000, 32_000, 4):
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
            try:
                for offset, each in enumerate(sockets):
                    each.bind(("127.0.0.1", first + offset))
            except OSError:
                continue
            return first
    raise RuntimeError("no four free ports in a row from 21000 to 32000")


def cpu_s(process: int) -> float:
    """Return what a running process has taken of the processor, seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory_mb(process: int, name: str = "VmRSS") -> float:
    """Return a figure of a running process's memory (/proc/PID/status), MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6
