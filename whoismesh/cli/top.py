"""`whoismesh top`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from whoismesh.cli.follow import coordinator_arguments
from whoismesh.command import EXIT_CODES
from whoismesh.mesh import Mesh
from whoismesh.messages import Feed, Message, Metrics
from whoismesh.overview import Overview
from whoismesh.top import render

#: The picture is made anew this often, seconds.
REFRESH_S = 0.5
#: Without a terminal: workers tell their counters once a second, and a rate takes two of them.
ONE_LOOK_S = 2.5
#: Discoveries of late.
MOST_LATEST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    coordinator_arguments(parser)
    parser.epilog = (
        "q or Ctrl-C ends it. Where standard output is no terminal it prints the state once.\n"
        f"example: whoismesh top --coord tcp://10.0.0.5:7700\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Show until q or Ctrl-C, or once."""
    return asyncio.run(_Top(args).run())


class _Top:
    def __init__(self, args: argparse.Namespace) -> None:
        self._mesh = Mesh(args.coord, keys=args.keys, observe=self._observe, also=(Metrics,))
        self._overview = Overview()
        self._latest: deque[str] = deque(maxlen=MOST_LATEST)
        self._known = 0

    async def run(self) -> int:
        console = Console()
        async with self._mesh as mesh:
            if not console.is_terminal:
                await asyncio.sleep(ONE_LOOK_S)
                self._look()
                console.print(render(self._overview, self._latest, console, mesh.silent_s))
                return 0
            over = asyncio.Event()
            with _keys(over), Live(console=console, screen=True, auto_refresh=False) as live:
                while not over.is_set():
                    self._look()
                    live.update(render(self._overview, self._latest, console, mesh.silent_s), refresh=True)
                    if mesh.failure is not None:
                        raise mesh.failure
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_S):
                            await over.wait()
        return 0

    def _look(self) -> None:
        """Take up the last discoveries."""
        start = max(self._known, len(self._mesh) - MOST_LATEST)
        self._latest.extend(str(self._mesh.block_at(place)) for place in range(start, len(self._mesh)))
        self._known = len(self._mesh)

    def _observe(self, message: Message) -> None:
        now = time.monotonic()
        match message:
            case Metrics():
                self._overview.heard_metrics(message, now)
            case Feed(topic=topic, payload=payload):
                with contextlib.suppress(ValueError, RecursionError):
                    told = json.loads(payload)
                    if topic == "status":
                        self._overview.heard_status(told, now)
                    else:
                        self._overview.heard_event(told, now)


@contextlib.contextmanager
def _keys(over: asyncio.Event) -> Iterator[None]:
    """Let q end it, where keys can be read one by one."""
    if not sys.stdin.isatty():
        yield
        return
    descriptor, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(descriptor)

    def pressed() -> None:
        keys = os.read(descriptor, 100)
        if not keys or set(keys) & set(b"qQ\x03"):
            over.set()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
