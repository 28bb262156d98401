"""`whoismesh dashboard`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from whoismesh import process
from whoismesh.cli.follow import coordinator_arguments
from whoismesh.command import EXIT_CODES
from whoismesh.dashboard.server import Dashboard
from whoismesh.dashboard.server import run as serve
from whoismesh.sockets import is_loopback, parse_endpoint

_OPEN = "anybody who reaches this address can see the crawl: nothing is asked for"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    coordinator_arguments(parser)
    parser.add_argument(
        "--listen", default="127.0.0.1:8080", metavar="HOST:PORT", help="where to serve (default: 127.0.0.1:8080)"
    )
    process.add_arguments(parser)
    parser.epilog = (
        f"example: whoismesh dashboard --coord tcp://10.0.0.5:7700, then open http://127.0.0.1:8080/\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or a signal."""
    host, port = parse_endpoint(f"tcp://{args.listen}", what="--listen")

    async def serving() -> None:
        stop = asyncio.Event()
        process.on_signals(stop.set, stop.set)
        process.on_parent_death(args.lifeline_fd, stop.set)

        def ready(url: str) -> None:
            print(f"dashboard ready: {url}", file=sys.stderr, flush=True)
            if not is_loopback(host):
                print(f"whoismesh dashboard: {_OPEN}; put it behind a proxy that does", file=sys.stderr, flush=True)
            process.tell_ready(args.ready_fd, url)

        await serve(Dashboard(args.coord, args.keys, host, port), ready, stop)

    asyncio.run(serving())
    return 0
