"""Real crawls for tests: practice registries in the test's own event loop, daemons as processes.

The helpers beside these tests are plain modules; importlib mode leaves the search path alone.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from whoismesh.addresses import parse_space
from whoismesh.practice.journal import Request
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import AllocationTable, packaged

sys.path.insert(0, str(Path(__file__).parent))

#: No crawl of these tests may take longer than this, seconds.
DEADLINE_S = 120


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that a failed command says, without progress lines."""
        lines = [line for line in self.err.splitlines() if line.startswith("whoismesh")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@dataclass
class Lab:
    """A folder, practice registries, and commands run against them."""

    folder: Path
    table: AllocationTable
    practice: PracticeRegistries = field(init=False)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    _waiting: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    def on_request(self, _: Request) -> None:
        for count, event in self._waiting:
            if len(self.practice.requests) >= count:
                event.set()

    async def requests(self, count: int) -> None:
        """Wait until the registries have seen so many requests."""
        event = asyncio.Event()
        self._waiting.append((count, event))
        if len(self.practice.requests) < count:
            async with asyncio.timeout(DEADLINE_S):
                await event.wait()

    def config(
        self, *space: str, change: Callable[[str], str] = lambda text: text, name: str = "practice.toml"
    ) -> Path:
        path = self.folder / name
        path.write_text(change(self.practice.config_text(parse_space(space) if space else None)))
        return path

    async def start(self, *arguments: str | Path, **environment: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "whoismesh",
            *map(str, arguments),
            cwd=self.folder,
            env=os.environ | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    async def end(self, process: asyncio.subprocess.Process) -> Ended:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def run(self, *arguments: str | Path, **environment: str) -> Ended:
        return await self.end(await self.start(*arguments, **environment))

    def asked(self) -> list[str]:
        return [request.address for request in self.practice.requests]

    def questions(self) -> Counter[tuple[str, str]]:
        """How often each registry was asked about each address."""
        return Counter((request.registry, request.address) for request in self.practice.requests)


@pytest.fixture(scope="session")
def table() -> AllocationTable:
    return AllocationTable.load(packaged())


@pytest.fixture
def in_lab(tmp_path: Path, table: AllocationTable) -> Callable[..., Any]:
    """Run a coroutine function with a Lab; the rest goes to PracticeRegistries, or to `servers` in their place."""

    def runner(test: Callable[[Lab], Coroutine[Any, Any, None]], **practice: Any) -> None:
        async def whole() -> None:
            lab = Lab(tmp_path, practice.pop("table", table))
            servers = practice.pop("servers", PracticeRegistries)
            lab.practice = servers(lab.table, on_request=lab.on_request, **practice)
            async with lab.practice:
                try:
                    await test(lab)
                finally:
                    for process in lab.processes:
                        if process.returncode is None:
                            process.send_signal(signal.SIGKILL)
                            await process.wait()

        asyncio.run(whole())

    return runner


@pytest.fixture(scope="session")
def fsync_killer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the library that kills a daemon at an fsync; return its path."""
    library = tmp_path_factory.mktemp("preload") / "fsync_killer.so"
    built = subprocess.run(
        ["gcc", "-shared", "-fPIC", "-o", library, Path(__file__).parent / "fsync_killer.c", "-ldl"],
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return str(library)
