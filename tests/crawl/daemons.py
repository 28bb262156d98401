"""Daemons started one by one, as on separate hosts."""

import asyncio
import itertools
import os
import signal
import socket
import sqlite3
import sys
import time
from pathlib import Path

from whoismesh.dump import open_dump, statistics
from whoismesh.practice.compare import compare

BIN = Path(sys.executable).parent
DEADLINE_S = 120
SPACE = ("193.104.0.0/15", "196.0.0.0/12", "216.0.0.0/11", "202.128.0.0/11")


class Daemon:
    """A daemon started by its installed script; `endpoint` is what it said when it was ready, if it ever was."""

    def __init__(self, process, endpoint, log):
        self.process = process
        self.endpoint = endpoint
        self.log = log

    @classmethod
    async def start(cls, lab, command, name, *arguments, state=None, **environment):
        """`command` is a script of ours or a list; `name` that of its log and, in the lab's folder, its state."""
        ready, ready_write = os.pipe()
        log = lab.folder / f"{name}.log"
        command = [str(BIN / command)] if isinstance(command, str) else [str(each) for each in command]
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *command, *map(str, arguments), "--state", str(state or name), "--ready-fd", str(ready_write),
                cwd=lab.folder, pass_fds=[ready_write], stdin=asyncio.subprocess.DEVNULL, stderr=file,
                env=os.environ | environment,
            )  # fmt: skip
        lab.processes.append(process)
        os.close(ready_write)
        async with asyncio.timeout(DEADLINE_S):
            endpoint = await asyncio.to_thread(os.read, ready, 200)
        os.close(ready)
        return cls(process, endpoint.decode().strip(), log)

    async def ends(self):
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def says(self, event):
        """Wait until an event is in its log."""
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.to_thread(self._read_until, event)

    def _read_until(self, event):
        with self.log.open() as log:
            deadline = time.monotonic() + DEADLINE_S
            while f'"event": "{event}"' not in log.readline():
                assert time.monotonic() < deadline

    @property
    def error(self):
        """The one line that it said beside its log."""
        lines = [line for line in self.log.read_text().splitlines() if not line.startswith("{")]
        assert len(lines) == 1, lines
        return lines[0]

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.send(signal.SIGKILL)


def kept_port():
    """Return the first of four free ports in a row that nobody is given by chance: a coordinator comes back to them.

    They lie below what the kernel gives to outgoing connections; each of the processes that run tests has its own part.
    """
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    while True:
        first = 20_000 + 1_500 * part + 4 * ((os.getpid() + next(_turn)) % 375)
        if all(map(_is_free, range(first, first + 4))):
            return first


def _is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


_turn = itertools.count()


async def coordinator(lab, config, listen=None, keys=None, **more):
    listen = listen or f"tcp://127.0.0.1:{kept_port()}"
    options = ["--config", config, "--listen", listen, "--exit-when-done", *(["--keys", keys] if keys else [])]
    return await Daemon.start(lab, "whoismesh-coord", "coord", *options, **more)


async def worker(lab, config, name, endpoint, *more, **others):
    return await Daemon.start(lab, "whoismesh-worker", name, "--config", config, "--coord", endpoint, *more, **others)


def spooled(folder):
    """Return how many results of a worker are not acknowledged."""
    with sqlite3.connect(f"file:{folder / 'spool.sqlite'}?mode=ro", uri=True) as database:
        found = database.execute("SELECT count(*) FROM results").fetchone()[0]
    database.close()
    return found


async def dumped(lab, table, state="coord"):
    """Check that a coordinator's state holds all that is in the table, once; return the statistics of its dump."""
    dump = lab.folder / "out.msgpack"
    assert (await lab.run("dump", "--state", state, dump)).code == 0
    assert compare(dump, table).equal
    with open_dump(dump) as records:
        found = statistics(records)
    assert found.complete
    assert found.settled == found.space
    return found
