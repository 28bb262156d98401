"""`whoismesh follow`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import select
import sys
import time
from pathlib import Path
from typing import Any

from whoismesh.command import EXIT_CODES
from whoismesh.following import TOPICS, Details, Numbers, metrics_line, network_line, other_lines
from whoismesh.history import KnownBlock
from whoismesh.mesh import Mesh, Stream
from whoismesh.messages import Feed, Message, Metrics, Results

#: How often it looks whether somebody still reads, and whether the coordinator is heard, seconds.
LOOK_S = 0.5
#: A coordinator tells its status twice a second; after this silence it is said to be away, seconds.
SILENT_S = 3.0
_NO_PAST = {
    "metrics": "the first line of each worker counts since its start; lines before now are not kept",
    "events": "events are not kept; they are followed from now on",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("topic", choices=TOPICS, help="what to follow")
    coordinator_arguments(parser)
    parser.add_argument(
        "--from-beginning",
        action="store_true",
        help="first all networks that were accepted before: which, and without the details, which the coordinator "
        "tells once (`whoismesh dump` has them all)",
    )
    parser.add_argument("--json", action="store_true", help="lines are always JSON; for the habit")
    parser.epilog = (
        "It ends when the crawl is complete. A coordinator that goes away is waited for.\n"
        "example: whoismesh follow results --coord tcp://10.0.0.5:7700 --from-beginning | jq .holder.name\n"
        f"{EXIT_CODES}"
    )


def coordinator_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --coord and --keys, as all commands have them that watch a crawl."""
    parser.add_argument("--coord", required=True, metavar="tcp://HOST:PORT", help="the coordinator's first port")
    parser.add_argument("--keys", type=Path, metavar="FOLDER", help="keys of this listener, made by `whoismesh keys`")


def run(args: argparse.Namespace) -> int:
    """Print lines until the crawl is complete, nobody reads any more, or Ctrl-C."""
    return asyncio.run(_Follower(args).run())


class _Follower:
    def __init__(self, args: argparse.Namespace) -> None:
        self._topic: str = args.topic
        self._from_beginning: bool = args.from_beginning
        kinds: dict[str, tuple[type[Message], ...]] = {"results": (Results,), "metrics": (Metrics,)}
        self._mesh = Mesh(args.coord, keys=args.keys, observe=self._observe, also=kinds.get(self._topic, ()))
        self._details = Details()
        self._events = Numbers()
        self._ready: list[dict[str, Any]] = []
        self._is_silent = False
        # A pipe that nobody reads any more is noticed also while there is nothing to write.
        self._output = select.poll()
        self._output.register(sys.stdout, 0)

    async def run(self) -> int:
        if self._from_beginning and self._topic in _NO_PAST:
            _say(_NO_PAST[self._topic])
        async with self._mesh as mesh:
            blocks = await self._blocks(mesh) if self._topic == "results" else None
            while True:
                found = blocks.at_hand() if blocks is not None else []
                lines, self._ready = self._ready, []
                for line in [*(network_line(each, self._details.of(each)) for each in found), *lines]:
                    print(json.dumps(line, ensure_ascii=False))
                sys.stdout.flush()
                if found:
                    await asyncio.sleep(0)
                    continue
                if mesh.failure is not None:
                    raise mesh.failure
                if self._is_over(mesh):
                    return 0
                self._look(mesh)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await mesh.news()

    async def _blocks(self, mesh: Mesh) -> Stream[KnownBlock]:
        if not self._from_beginning:
            await mesh.caught_up()
        return mesh.discoveries(known=self._from_beginning)

    def _observe(self, message: Message) -> None:
        match message:
            case Results(results=results):
                for each in self._details.heard(results):
                    self._ready.extend(other_lines(each))
            case Metrics():
                self._ready.append(metrics_line(message, time.time()))
            case Feed(topic="event", payload=payload) if self._topic == "events":
                with contextlib.suppress(ValueError, RecursionError):
                    event = json.loads(payload)
                    if isinstance(event, dict):
                        if missed := self._events.heard(event.get("number")):
                            _say(f"{missed} events were missed: this reader is too slow, or was away")
                        self._ready.append(event)

    def _is_over(self, mesh: Mesh) -> bool:
        if not mesh.complete or self._ready:
            return False
        return self._topic == "results" or not mesh.members or mesh.silent_s > SILENT_S

    def _look(self, mesh: Mesh) -> None:
        """Notice who is gone: the reader (raises BrokenPipeError), or the coordinator."""
        if any(event & (select.POLLERR | select.POLLNVAL) for _, event in self._output.poll(0)):
            raise BrokenPipeError
        if self._is_silent != (mesh.silent_s > SILENT_S):
            self._is_silent = not self._is_silent
            if self._is_silent:
                _say(f"{mesh.endpoint} says nothing any more; waiting for it to come back")
            else:
                _say(f"{mesh.endpoint} is back")


def _say(text: str) -> None:
    print(f"whoismesh follow: {text}", file=sys.stderr, flush=True)
