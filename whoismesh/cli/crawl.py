"""`whoismesh crawl`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whoismesh import crawl as crawling
from whoismesh.cli.stats import print_statistics
from whoismesh.command import (
    ASN_HELP,
    BULK_HELP,
    EXIT_CODES,
    depth_argument,
    prior_arguments,
    prior_flags,
    since_arguments,
    since_flags,
)
from whoismesh.dump import open_dump, statistics
from whoismesh.dump_writer import write_dump
from whoismesh.errors import ConfigError, UsageError
from whoismesh.ledger.bulk import reports
from whoismesh.logs import LEVELS
from whoismesh.prior_files import check_prior
from whoismesh.progress import Progress, duration
from whoismesh.refresh_files import check_older
from whoismesh.registries import REGISTRIES
from whoismesh.settings import Settings, load
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
    prior_arguments(parser)
    parser.add_argument("--bulk", nargs="+", action="extend", default=[], metavar="FILE", help=BULK_HELP)
    since_arguments(parser)
    parser.add_argument("--asn", action="store_true", default=None, help=ASN_HELP)
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
        "Run again with the same --state it goes on where it stopped; give --prior again, or lookups are not aimed.\n"
        "example: whoismesh crawl 193.0.0.0/21 --contact noc@example.org\n"
        "         whoismesh crawl 193.0.0.0/21 --contact noc@example.org --since january.msgpack --older-than 30d "
        f"--state february\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Crawl, write the dump, print what was found; 0 when all is settled, 1 when some of it failed."""
    if not 1 <= args.workers <= 256:
        raise UsageError(f"--workers {args.workers}: expected 1 to 256")
    flags = {
        "space": args.space,
        "contact": args.contact,
        "depth": args.depth,
        "asn": args.asn,
        "bulk": args.bulk,
        **prior_flags(args),
        **since_flags(args),
    }
    settings = _settings(args, flags)
    started = time.monotonic()
    with Progress(quiet=args.quiet) as progress:
        plan = crawling.CrawlPlan(
            config=args.config,
            state=args.state,
            workers=args.workers,
            environment=crawling.child_environment(flags),
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
    work = _work(args.state, asn=settings.asn)
    if args.json:
        print(json.dumps(found.to_map() | work | {"seconds": seconds}))
    else:
        print_statistics(found)
        each = f"{work['lookups'] / found.networks:.3f} lookups a network" if found.networks else "no network"
        print(f"{work['lookups']:,} lookups, {work['hits']:,} hits, {work['duplicates']:,} duplicates: {each}")
        for line in reports(work["imported"]):
            print(line)
        if "origins" in work:
            origins = work["origins"]
            told = f"{origins['batches']:,} batches asked who announces them"
            print(f"{told}, {origins['missing']:,} networks without an answer")
        if not settings.prior and any(each.family == 6 for each in settings.space):
            print("IPv6 was asked about where blocks begin: what lies between is not seen; --prior tells of it")
        print(f"{duration(seconds)}; the dump is {args.dump}")
    return code


def _settings(args: argparse.Namespace, flags: Mapping[str, Any]) -> Settings:
    """Return the settings, or report what is wrong with them: what stood on the command line as usage."""
    try:
        settings = load(args.config, os.environ, flags)
    except ConfigError as error:
        if args.space and all("space: " in problem for problem in error.problems):
            raise UsageError("; ".join(problem.partition("space: ")[2] for problem in error.problems)) from None
        raise
    check_prior(settings.prior)
    check_older(settings.since, settings.depth)
    return settings


def _work(state: Path, *, asn: bool) -> dict[str, Any]:
    """Return what the crawl cost, all its runs together."""
    store = LedgerStore.read(state)
    try:
        counters: Counter[str] = Counter()
        for each in store.counters().values():
            counters.update({name: int(count) for name, count in each.items()})
        found: dict[str, Any] = {name: counters[name] for name in ("lookups", "hits")}
        found["duplicates"] = store.count_duplicates()
        found["compared"] = sum(counters[f"compared_{name}"] for name in REGISTRIES)
        found["imported"] = store.imported()
        if asn:
            with store.snapshot():
                store.gather_origins()
                missing = store.count_missing_origins()
            batches, failures = counters["origin_batches"], counters["origin_failures"]
            found["origins"] = {"batches": batches, "failures": failures, "missing": missing}
        return found
    finally:
        store.close()
