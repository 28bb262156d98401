"""`whoismesh crawl`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from whoismesh import crawl as crawling
from whoismesh.cli.stats import print_statistics
from whoismesh.command import EXIT_CODES, depth_argument
from whoismesh.dump import open_dump, statistics
from whoismesh.dump_writer import write_dump
from whoismesh.errors import ConfigError, UsageError
from whoismesh.logs import LEVELS
from whoismesh.progress import Progress, duration
from whoismesh.registries import REGISTRIES
from whoismesh.settings import load
from whoismesh.store import LedgerStore


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "space", nargs="*", metavar="SPACE", help='CIDR, FIRST-LAST range, "ipv4" or "ipv6" (default: from --config)'
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); WHOISMESH_* variables go over it")
    parser.add_argument(
        "--contact", default="", metavar="MAIL", help="how the registries can reach you; the real ones need it"
    )
    depth_argument(parser)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="worker processes (default: 2)")
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("whoismesh-state"),
        metavar="DIR",
        help="kept between runs (default: whoismesh-state)",
    )
    parser.add_argument(
        "--dump",
        type=Path,
        default=Path("results.msgpack"),
        metavar="FILE",
        help="what comes out (default: results.msgpack)",
    )
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed in earlier runs")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="what goes into the logs under --state")
    parser.epilog = (
        "Run again with the same --state it goes on where it stopped.\n"
        f"example: whoismesh crawl 193.0.0.0/21 --contact noc@example.org\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Crawl, write the dump, print what was found; 0 when all is settled, 1 when some of it failed."""
    if not 1 <= args.workers <= 256:
        raise UsageError(f"--workers {args.workers}: expected 1 to 256")
    _check_settings(args)
    started = time.monotonic()
    with Progress(quiet=args.quiet) as progress:
        plan = crawling.CrawlPlan(
            config=args.config,
            state=args.state,
            workers=args.workers,
            environment=crawling.child_environment(args.space, args.contact, args.depth),
            log_level=args.log_level,
            retry_failed=args.retry_failed,
            on_status=progress.status,
            on_event=progress.event,
        )
        code = asyncio.run(crawling.crawl(plan))
    seconds = crawling.seconds_since(started)
    write_dump(args.state, args.dump)
    with open_dump(args.dump) as dump:
        found = statistics(dump)
    work = _work(args.state)
    if args.json:
        print(json.dumps(found.to_map() | work | {"seconds": seconds}))
    else:
        print_statistics(found)
        each = f"{work['lookups'] / found.networks:.3f} lookups a network" if found.networks else "no network"
        print(f"{work['lookups']:,} lookups, {work['hits']:,} hits, {work['duplicates']:,} duplicates: {each}")
        print(f"{duration(seconds)}; the dump is {args.dump}")
    return code


def _check_settings(args: argparse.Namespace) -> None:
    """Report what is wrong with the settings before anything starts: what stood on the command line as usage."""
    flags = {"space": args.space, "contact": args.contact, "depth": args.depth}
    try:
        load(args.config, os.environ, flags)
    except ConfigError as error:
        if args.space and all("space: " in problem for problem in error.problems):
            raise UsageError("; ".join(problem.partition("space: ")[2] for problem in error.problems)) from None
        raise


def _work(state: Path) -> dict[str, Any]:
    """Return what the crawl cost, all its runs together."""
    store = LedgerStore.read(state)
    try:
        counters = store.counters().values()
        return {
            "lookups": int(sum(each.get("lookups", 0) for each in counters)),
            "hits": int(sum(each.get("hits", 0) for each in counters)),
            "duplicates": store.count_duplicates(),
            "compared": int(sum(each.get(f"compared_{name}", 0) for each in counters for name in REGISTRIES)),
        }
    finally:
        store.close()
