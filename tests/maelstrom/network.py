"""Maelstrom's network, played: nodes as real processes, and their messages carried late, lost or cut off.

Only what goes between nodes is late or lost; clients reach a node that runs at once, as in Maelstrom.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NODE = Path(__file__).with_name("mesh_node.py")
#: The longest line that a node writes: a frame of 256 KiB in base64, and room.
MOST_LINE_BYTES = 4 * 1024 * 1024
#: How long a node may take to come up, seconds: 25 of them share two cores.
START_S = 60.0


class NoReplyError(Exception):
    """A request was not answered in time: whether it had an effect nobody knows."""


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to messages between nodes: mean delay (exponential), and the share that is lost."""

    latency_s: float = 0.0
    loss: float = 0.0


class Network:
    """The nodes, the links between them, and the clients' requests. `spool` is the folder that stands for all disks."""

    def __init__(self, node_ids: list[str], weather: Weather, chance: random.Random, spool: Path) -> None:
        self.node_ids = node_ids
        self.weather = weather
        self.counters: Counter[str] = Counter()
        #: Which part of a partition a node is in.
        self.part: dict[str, int] = {}
        self._chance = chance
        self._spool = spool
        self._processes: dict[str, Process] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._requests: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._message_id = 0

    # -- nodes --------------------------------------------------------------------------------------------------

    async def start(self, node: str) -> None:
        """Start a node's process and tell it who it is."""
        self._processes[node] = process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(NODE),
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "WHOISMESH_JUDGE_SPOOL": str(self._spool)},
            limit=MOST_LINE_BYTES,
        )
        self._readers[node] = asyncio.create_task(self._read(node, process))
        await self.ask(node, {"type": "init", "node_id": node, "node_ids": self.node_ids}, START_S)

    def running(self) -> list[str]:
        """Return the nodes whose process runs."""
        return [node for node, process in self._processes.items() if process.returncode is None]

    async def kill(self, node: str) -> None:
        """Kill a node's process, with all that it had to say."""
        process = self._processes[node]
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await self._readers[node]

    def pause(self, node: str) -> None:
        """Make a node stand still."""
        self._processes[node].send_signal(signal.SIGSTOP)

    def resume(self, node: str) -> None:
        """Let a node go on."""
        self._processes[node].send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """End all processes."""
        for node in self.running():
            await self.kill(node)

    # -- messages -----------------------------------------------------------------------------------------------

    async def ask(self, node: str, body: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a client's request; return the body of the answer. Raises NoReplyError."""
        self._message_id += 1
        number = self._message_id
        self._requests[number] = answer = asyncio.get_running_loop().create_future()
        try:
            self._write({"src": "c1", "dest": node, "body": {**body, "msg_id": number}})
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise NoReplyError(node) from None
        finally:
            del self._requests[number]

    async def _read(self, node: str, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if not line.endswith(b"\n"):
                return  # cut short by its death
            message = json.loads(line)
            if message["dest"] in self._processes:
                self._carry(message, len(line))
            else:
                answer = self._requests.get(message["body"]["in_reply_to"])
                if answer is not None and not answer.done():
                    answer.set_result(message["body"])

    def _carry(self, message: dict[str, Any], size: int) -> None:
        self.counters["messages"] += 1
        self.counters["bytes"] += size
        if self._chance.random() < self.weather.loss:
            self.counters["lost"] += 1
            return
        if not self._linked(message):
            return
        delay_s = self._chance.expovariate(1 / self.weather.latency_s) if self.weather.latency_s else 0.0
        asyncio.get_running_loop().call_later(delay_s, self._deliver, message)

    def _deliver(self, message: dict[str, Any]) -> None:
        if self._linked(message):
            self._write(message)

    def _linked(self, message: dict[str, Any]) -> bool:
        linked = self.part.get(message["src"], 0) == self.part.get(message["dest"], 0)
        if not linked:
            self.counters["cut off"] += 1
        return linked

    def _write(self, message: Mapping[str, Any]) -> None:
        process = self._processes[message["dest"]]
        if process.returncode is None and process.stdin is not None and not process.stdin.is_closing():
            process.stdin.write(json.dumps(message).encode() + b"\n")
