"""`whoismesh simulate`."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

from whoismesh.command import EXIT_CODES
from whoismesh.errors import UsageError
from whoismesh.simulation.run import Report, Trial, play_all
from whoismesh.simulation.summary import broken, faults_of, summary

#: Flag, default, the most it may be, and what it sets.
INTENSITIES = (
    ("loss", 0.05, 0.9, "share of gossip and results lost (as many reordered, half as many repeated, half late)"),
    ("crash", 0.2, 60.0, "kills of each worker a minute; the coordinator's are eight times as often"),
    ("partition", 4.0, 600.0, "cuts of the network a minute"),
    ("pause", 6.0, 600.0, "processes that stand still for a while, a minute"),
    ("trouble", 6.0, 600.0, "spells a minute of registries that limit, ban, fail or are out of reach"),
)
#: Counts shown to people, as (name, what it is called).
SHOWN = (
    ("lost", "messages lost"),
    ("repeated", "messages repeated"),
    ("late", "messages late"),
    ("workers_killed", "workers killed"),
    ("hosts_lost", "hosts lost"),
    ("coordinator_killed", "coordinators killed"),
    ("pauses", "pauses"),
    ("bans", "hosts banned"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--workers", type=int, default=50, metavar="N", help="workers of a world (default: 50)")
    parser.add_argument("--networks", type=int, default=2_000, metavar="N", help="networks to find (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the first seed (default: 1)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many seeds (default: 1)")
    for name, default, most, what in INTENSITIES:
        parser.add_argument(
            f"--{name}", type=float, default=default, metavar="X", help=f"{what}; 0 to {most:g} (default: {default:g})"
        )
    parser.add_argument(
        "--lasting", type=float, default=60.0, metavar="S", help="virtual seconds until everything heals (default: 60)"
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one for each processor)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.epilog = (
        "Plays whole crawls on a virtual clock with everything that can go wrong, and checks what must always hold.\n"
        "A seed decides everything: a failed one is printed with the command that repeats it.\n"
        f"example: whoismesh simulate --seeds 20 --workers 10 --networks 300\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Play the seeds and print what they came to; 1 if an invariant broke."""
    trial = _trial(args)
    jobs = args.jobs or os.cpu_count() or 1
    seeds = range(args.seed, args.seed + args.seeds)
    reports = []
    for report in _shown(play_all(trial, seeds, jobs), len(seeds), quiet=args.quiet):
        reports.append(report)
        if not report.well and not args.json:
            _print_broken(broken(trial, report))
    found = summary(trial, reports)
    if args.json:
        print(json.dumps(found))
    else:
        _print_summary(found)
    return 1 if found["broken"] else 0


def _trial(args: argparse.Namespace) -> Trial:
    """Return what to play. Raises UsageError."""
    limits = [("workers", 1, 1_000), ("networks", 1, 100_000), ("seed", 0, 2**63), ("seeds", 1, 1_000_000)]
    limits += [("jobs", 1, 1_024)] if args.jobs is not None else []
    for name, least, most in limits:
        if not least <= getattr(args, name) <= most:
            raise UsageError(f"--{name} {getattr(args, name)}: expected {least} to {most}")
    for name, low, high in (*((name, 0.0, high) for name, _, high, _ in INTENSITIES), ("lasting", 1.0, 86_400.0)):
        value = getattr(args, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise UsageError(f"--{name} {value:g}: expected {low:g} to {high:g}")
    faults = faults_of(args.loss, args.crash, args.partition, args.pause, args.trouble, args.lasting)
    return Trial(args.workers, args.networks, faults)


def _shown(reports: Iterator[Report], count: int, *, quiet: bool) -> Iterator[Report]:
    """Pass reports on, and tell a terminal how far it is."""
    show = not quiet and sys.stderr is not None and sys.stderr.isatty()
    failed = 0
    for number, report in enumerate(reports, 1):
        failed += not report.well
        if show:
            print(f"\r{number:,} of {count:,} seeds, {failed} failed", end="", file=sys.stderr, flush=True)
        yield report
    if show:
        print(file=sys.stderr)


def _print_broken(row: dict[str, Any]) -> None:
    print(f"seed {row['seed']}: {row['invariant']} broke at {row['at_s']:.3f} s")
    print(f"  expected  {row['expected']}")
    print(f"  found     {row['found']}")
    print(f"  replay    {row['replay']}", flush=True)


def _print_summary(found: dict[str, Any]) -> None:
    failed = len(found["broken"])
    print(
        f"{found['seeds']:,} seeds, {found['workers']} workers, {found['networks']:,} networks: "
        f"{'no invariant broken' if not failed else f'{failed} failed'}"
        f" in {found['steps']:,} steps and {found['audits']:,} audits"
    )
    print(f"{'':<22} {'mean':>10} {'worst':>10} {'seed':>8}")
    for name, row in found["costs"].items():
        label = name.replace("_", " ").replace(" s", ", s") if name.endswith("_s") else name.replace("_", " ")
        print(f"{label:<22} {row['mean']:>10.3f} {row['worst']:>10.3f} {row['seed']:>8}")
    print(", ".join(f"{found['counts'].get(name, 0):,} {what}" for name, what in SHOWN))
    if found["seeds"] == 1:
        ((_, trace),) = found["traces"].items()
        print(f"trace {trace}")
