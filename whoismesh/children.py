"""The processes of a local crawl: one coordinator, some workers, watched and started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

from whoismesh.errors import UnavailableError

#: A child that does not say it is ready within this has failed, seconds. A large ledger takes some seconds to read.
READY_S = 120.0
#: Deaths of one child within this time after which starting it again makes no sense.
DEATHS, DEATHS_WITHIN_S = 5, 10.0
#: After a polite end children get this long before they are killed, seconds.
STOP_S = 25.0
#: Read at once from a child's standard error: what a pipe holds.
PIPE_BYTES = 65_536


class Child:
    """One daemon as a child process. Its log lines go to a file; the last other line (an error) is `said`.

    The child holds the read end of a pipe of ours (its lifeline): should we die, however hard, it stops.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: list[str],
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        self.name = name
        self.endpoint = ""
        self.said = ""
        self._module = module
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline = -1
        self._pump: asyncio.Task[None] | None = None

    async def start(self, extra: list[str] | None = None) -> None:
        """Start it and wait until it is ready; `endpoint` is the line it then says, empty if it ended instead.

        Raises UnavailableError if it does neither.
        """
        ready_read, ready_write = os.pipe()
        lifeline_read, self._lifeline = os.pipe()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *self._arguments,
            *(extra or []),
            "--ready-fd",
            str(ready_write),
            "--lifeline-fd",
            str(lifeline_read),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
            pass_fds=(ready_write, lifeline_read),
            start_new_session=True,
        )
        os.close(ready_write)
        os.close(lifeline_read)
        self._pump = asyncio.create_task(self._read_errors(self._process))
        try:
            async with asyncio.timeout(READY_S):
                self.endpoint = (await _read_line(ready_read)).strip()
        except TimeoutError:
            self._process.kill()
            raise UnavailableError(f"{self.name} was not ready after {READY_S:.0f} s; see {self._log}") from None

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        with _Log(self._log) as log:
            rest = b""
            # Not by readline, which raises on a long line: a pipe that nobody reads stops the child.
            while data := await process.stderr.read(PIPE_BYTES):
                log.write(data)
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[-PIPE_BYTES:]
                for line in lines:
                    if line and not line.startswith(b"{"):
                        self.said = line.decode("utf-8", "replace").rstrip()

    async def wait(self) -> int:
        """Wait for its end; return the exit code (negative: the signal that killed it)."""
        assert self._process is not None
        code = await self._process.wait()
        if self._pump is not None:
            await self._pump
        os.close(self._lifeline)
        return code

    def may_start_again(self) -> bool:
        """Note a death; tell whether it is worth another start."""
        self._deaths.append(time.monotonic())
        return len(self._deaths) < DEATHS or self._deaths[-1] - self._deaths[0] > DEATHS_WITHIN_S

    def signal(self, number: int) -> None:
        """Send a signal, if it is running."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def stop(self, *, at_once: bool = False) -> None:
        """End it politely (`at_once`: without a drain), then hard."""
        if self._process is None or self._process.returncode is not None:
            return
        self.signal(signal.SIGTERM)
        if at_once:
            self.signal(signal.SIGINT)  # the second signal; two of one kind may arrive as one
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class _Log:
    """A log file that a full or read-only disk makes shorter, and that never stops a crawl."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by __exit__

    def write(self, data: bytes) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


async def _read_line(descriptor: int) -> str:
    """Return the line that comes through a pipe, or what came before it was closed."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[str] = loop.create_future()
    got = bytearray()

    def readable() -> None:
        data = os.read(descriptor, 4096)
        got.extend(data)
        if (not data or b"\n" in data) and not done.done():
            done.set_result(got.decode("utf-8", "replace"))

    loop.add_reader(descriptor, readable)
    try:
        return await done
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
