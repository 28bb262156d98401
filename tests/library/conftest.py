"""A real mesh on loopback for the library's tests: practice registries here, coordinator and workers as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from whoismesh.addresses import Range, parse_space
from whoismesh.children import Child
from whoismesh.practice.faults import Weather
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.store import LedgerStore

#: Nothing in these tests takes longer, seconds.
DEADLINE_S = 120
#: Small enough for a second, with networks of several sizes: 216 of them.
SPACE = "193.104.0.0/16"


@dataclass
class Field:
    """A folder with one coordinator's state, and the processes that were started in it."""

    folder: Path
    practice: PracticeRegistries
    children: list[Child] = field(default_factory=list)
    programs: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def _start(self, name: str, module: str, *arguments: str) -> Child:
        config = self.folder / "practice.toml"
        if not config.exists():
            config.write_text(self.practice.config_text(parse_space([SPACE])))
        state = str(self.folder / name)
        child = Child(
            name, module, ["--config", str(config), "--state", state, *arguments], os.environ,
            self.folder / f"{name}.log",
        )  # fmt: skip
        self.children.append(child)
        await child.start()
        assert child.endpoint, (self.folder / f"{name}.log").read_text()
        return child

    async def coordinator(self, listen: str = "tcp://127.0.0.1:0", *more: str, state: str = "coord") -> Child:
        return await self._start(state, "whoismesh.coordinator", "--listen", listen, *more)

    async def worker(self, coordinator: Child, name: str = "worker") -> Child:
        return await self._start(name, "whoismesh.worker", "--coord", coordinator.endpoint)

    async def end(self, child: Child, number: int = signal.SIGKILL) -> int:
        child.signal(number)
        self.children.remove(child)
        async with asyncio.timeout(DEADLINE_S):
            return await child.wait()

    async def program(self, *arguments: str | Path) -> asyncio.subprocess.Process:
        """Start a program with this Python."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, *map(str, arguments), cwd=self.folder, stdin=pipe, stdout=pipe, stderr=pipe
        )
        self.programs.append(process)
        return process

    def networks(self, state: str = "coord") -> set[tuple[str, Range]]:
        """Return what the coordinator has on disk."""
        store = LedgerStore.read(self.folder / state)
        try:
            return {(each.registry, each.range) for each in store.results() if each.status == "network"}
        finally:
            store.close()


@pytest.fixture(scope="session")
def table() -> AllocationTable:
    return AllocationTable.load(packaged())


@pytest.fixture
def in_field(tmp_path: Path, table: AllocationTable) -> Callable[..., None]:
    """Run a coroutine function with a Field; every process of it is gone afterwards."""

    def run(test: Callable[[Field], Coroutine[Any, Any, None]], latency_s: float = 0.0) -> None:
        async def whole() -> None:
            async with PracticeRegistries(table, weather=Weather(latency_s)) as practice:
                here = Field(tmp_path, practice)
                try:
                    async with asyncio.timeout(DEADLINE_S):
                        await test(here)
                finally:
                    for program in here.programs:
                        if program.returncode is None:
                            program.kill()
                        await program.communicate()
                    for child in here.children:
                        child.signal(signal.SIGKILL)
                        await child.wait()

        asyncio.run(whole())

    return run
