"""Judge the mesh from outside, as Maelstrom does: real processes, a bad network, a nemesis, and Jepsen's set-full.

    PYTHONPATH=. python tests/maelstrom/judge.py --nodes 25 --seconds 60 --latency-ms 100 --loss 0.1 --nemesis all

Clients add and read whole numbers at random nodes. The nemesis cuts the network in two, kills nodes (which start again
from their disk a while later) and makes them stand still. Then all heals, every node is read until all show the same or
the patience ends, and the history is judged. The exit code is 0 only for a history that is valid.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from network import Network, NoReplyError, Weather
from set_full import Operation, check

NEMESES = ("partition", "kill", "pause")
#: A client waits this long for an answer, seconds; an add that is not answered by then may have happened or not.
PATIENCE_S = 1.0
#: What the nemesis does, and the quiet after it, last this long on average, in shares of a run.
TROUBLE = 0.15
#: A network that does nothing to anybody.
CALM = Weather()
#: Between two rounds of final reads, seconds.
FINAL_S = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to whom. `rate` is operations a second of all clients; `healing_s` how long reads may differ."""

    nodes: int = 5
    seconds: float = 10.0
    rate: float = 50.0
    clients: int = 5
    weather: Weather = CALM
    nemesis: tuple[str, ...] = ()
    heal: bool = True
    healing_s: float = 30.0
    seed: int = 0


class Judge:
    """One run."""

    def __init__(self, plan: Plan, spool: Path) -> None:
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._history: list[Operation] = []
        self._elements = count()
        self._faults: list[str] = []
        node_ids = [f"n{number}" for number in range(1, plan.nodes + 1)]
        self._network = Network(node_ids, plan.weather, random.Random(plan.seed), spool)

    async def run(self) -> dict[str, Any]:
        """Return the verdict, with what the network and the nemesis did."""
        network, plan = self._network, self._plan
        try:
            await asyncio.gather(*map(network.start, network.node_ids))
            until = time.monotonic() + plan.seconds
            async with asyncio.TaskGroup() as group:
                for number in range(plan.clients):
                    group.create_task(self._client(number, until))
                if plan.nemesis:
                    group.create_task(self._nemesis(until))
            if plan.heal:
                network.part.clear()
            alike = await self._read_all(time.monotonic() + plan.healing_s)
        finally:
            await network.close()
        operations = sum(each.kind == "invoke" for each in self._history)
        return {
            **check(self._history),
            "alike": alike,
            "operations": operations,
            "not-answered": sum(each.kind == "info" for each in self._history),
            "faults": self._faults,
            "network": dict(network.counters),
            "messages-per-operation": round(network.counters["messages"] / max(1, operations), 1),
        }

    # -- clients ------------------------------------------------------------------------------------------------

    async def _client(self, number: int, until: float) -> None:
        while (now := time.monotonic()) < until:
            pause_s = self._chance.expovariate(self._plan.rate / self._plan.clients)
            await asyncio.sleep(min(pause_s, until - now))
            node = self._chance.choice(self._network.node_ids)
            if self._chance.random() < 0.5:
                await self._do(number, node, "add", next(self._elements))
            else:
                await self._do(number, node, "read")

    async def _do(self, process: int, node: str, what: str, element: int | None = None) -> list[int] | None:
        """Do one operation; return what a read showed, None if nothing came."""
        self._note(process, "invoke", what, element)
        request = {"type": what} if element is None else {"type": what, "element": element}
        try:
            answer = await self._network.ask(node, request, PATIENCE_S)
        except NoReplyError:
            self._note(process, "info" if what == "add" else "fail", what, element)
            return None
        if answer["type"] != f"{what}_ok":
            raise RuntimeError(f"{node}: {answer}")
        value = answer["value"] if what == "read" else element
        self._note(process, "ok", what, value)
        return value if what == "read" else None

    def _note(self, process: int, kind: str, what: str, value: Any) -> None:
        self._history.append(Operation(time.monotonic_ns(), process, kind, what, value))

    async def _read_all(self, until: float) -> bool:
        """Read every node until all show the same; return whether they came to."""
        while True:
            seen = [await self._do(0, node, "read") for node in self._network.node_ids]
            if None not in seen and len({frozenset(each) for each in seen if each is not None}) == 1:
                return True
            if time.monotonic() > until:
                return False
            await asyncio.sleep(FINAL_S)

    # -- the nemesis --------------------------------------------------------------------------------------------

    async def _nemesis(self, until: float) -> None:
        mean_s = TROUBLE * self._plan.seconds
        for kind in self._kinds():
            await self._wait(mean_s / 3, until)
            if time.monotonic() >= until:
                return
            begun = time.monotonic()
            some = self._some()
            await self._begin(kind, some)
            if not self._plan.heal:
                return  # once: a second partition could make whole what the first has cut
            await self._wait(mean_s, until)
            await self._end(kind, some)
            self._faults.append(f"{kind} of {' '.join(some)} for {time.monotonic() - begun:.1f} s")

    def _kinds(self) -> Any:
        """Yield kinds of trouble without end: each once in a while, in any order."""
        while True:
            kinds = list(self._plan.nemesis)
            self._chance.shuffle(kinds)
            yield from kinds

    def _some(self) -> list[str]:
        """Return fewer than half of the nodes, but one at least."""
        most = max(1, (self._plan.nodes - 1) // 2)
        return sorted(self._chance.sample(self._network.node_ids, self._chance.randint(1, most)))

    async def _wait(self, mean_s: float, until: float) -> None:
        wait_s = self._chance.uniform(0.5, 1.5) * mean_s
        await asyncio.sleep(max(0.0, min(wait_s, until - time.monotonic())))

    async def _begin(self, kind: str, some: Sequence[str]) -> None:
        match kind:
            case "partition":
                self._network.part.update(dict.fromkeys(some, 1))
            case "kill":
                await asyncio.gather(*map(self._network.kill, some))
            case "pause":
                for node in some:
                    self._network.pause(node)

    async def _end(self, kind: str, some: Sequence[str]) -> None:
        match kind:
            case "partition":
                self._network.part.clear()
            case "kill":
                await asyncio.gather(*map(self._network.start, some))
            case "pause":
                for node in some:
                    self._network.resume(node)


def judge(plan: Plan) -> dict[str, Any]:
    """Carry a plan out; return the verdict."""
    with tempfile.TemporaryDirectory() as spool:
        return asyncio.run(Judge(plan, Path(spool)).run())


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=Plan.nodes)
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="of adds and reads")
    parser.add_argument("--rate", type=float, default=Plan.rate, help="operations a second, all clients together")
    parser.add_argument("--clients", type=int, default=Plan.clients)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="mean delay of a message between nodes")
    parser.add_argument("--loss", type=float, default=0.0, help="share of messages between nodes that are lost")
    parser.add_argument("--nemesis", default="", help="of partition, kill and pause, with commas between; or all")
    parser.add_argument("--seed", type=int, default=0, help="of what is chosen; processes' time is their own")
    args = parser.parse_args(arguments)
    nemesis = NEMESES if args.nemesis == "all" else tuple(filter(None, args.nemesis.split(",")))
    if unknown := set(nemesis) - set(NEMESES):
        parser.error(f"--nemesis: no {', '.join(sorted(unknown))}; there is {', '.join(NEMESES)}")
    weather = Weather(args.latency_ms / 1000, args.loss)
    plan = Plan(args.nodes, args.seconds, args.rate, args.clients, weather, nemesis, seed=args.seed)
    verdict = judge(plan)
    print(json.dumps(verdict, indent=2))
    return 0 if verdict["valid?"] is True else 1


if __name__ == "__main__":
    sys.exit(main())
