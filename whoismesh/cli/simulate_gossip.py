"""`whoismesh simulate-gossip`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from typing import Any

from whoismesh.command import EXIT_CODES
from whoismesh.errors import UsageError
from whoismesh.simulation.gossip.plan import COORDINATORS, HERE, Plan
from whoismesh.simulation.gossip.run import Report, play

#: Flag, default, least and most, what it sets.
NUMBERS: tuple[tuple[str, type, float, float, float, str], ...] = (
    ("nodes", int, 1_000, 2, 10_000, "hosts of the fleet"),
    ("blocks", int, 20_000, 1, 1_000_000, "blocks to find"),
    ("burst", int, 10, 1, 500, "blocks that one node finds at a time, on the mean"),
    ("loss", float, 0.1, 0.0, 0.9, "share of PUB/SUB frames lost, on each link"),
    ("broken", float, 0.01, 0.0, 0.9, "share of an exchange's messages at which its connection breaks"),
    ("crash", float, 0.01, 0.0, 60.0, "crashes of each host a minute; it comes back as a new process"),
    ("cut", float, 20.0, 0.0, 3_600.0, "seconds for which a part of the hosts is cut off; 0: never"),
    ("dead", float, 0.0, 0.0, 0.9, "share of hosts that die for good when all have joined"),
    ("lasting", float, 60.0, 1.0, 86_400.0, "virtual seconds until everything heals"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    for name, kind, default, least, most, what in NUMBERS:
        help_text = f"{what}; {least:g} to {most:g} (default: {default:g})"
        parser.add_argument(f"--{name}", type=kind, default=kind(default), metavar="X", help=help_text)
    parser.add_argument(
        "--coordinator",
        choices=COORDINATORS,
        default=HERE,
        help="here, away once all have joined, or back as a new process after half of the time (default: here)",
    )
    parser.add_argument(
        "--latency-layer", choices=("on", "off"), default="on", help="off: no PUB/SUB, exchanges alone (default: on)"
    )
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the first seed (default: 1)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many seeds (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON, a line each")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.epilog = (
        "Plays a fleet's gossip alone on a virtual clock, then heals it: all replicas must become alike in time.\n"
        "A seed decides everything: a failed one is printed with the command that repeats it.\n"
        f"example: whoismesh simulate-gossip --nodes 100 --blocks 2000\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Play the seeds and print what they came to; 1 if an invariant broke."""
    limits = [(name, least, most) for name, _, _, least, most, _ in NUMBERS]
    for name, least, most in (*limits, ("seed", 0, 2.0**63), ("seeds", 1, 1_000_000)):
        value = getattr(args, name)
        if not (math.isfinite(value) and least <= value <= most):
            raise UsageError(f"--{name} {value}: expected {least:g} to {most:g}")
    failed = 0
    for seed in range(args.seed, args.seed + args.seeds):
        plan = _plan(args, seed)
        report = play(plan, _progress(seed, quiet=args.quiet))
        failed += not report.well
        if args.json:
            print(json.dumps(report.to_map() | {"replay": replay_command(plan)}), flush=True)
        else:
            _print_report(plan, report)
    return 1 if failed else 0


def _plan(args: argparse.Namespace, seed: int) -> Plan:
    return Plan(
        nodes=args.nodes,
        blocks=args.blocks,
        seed=seed,
        burst=args.burst,
        loss=args.loss,
        broken=args.broken,
        crash=args.crash,
        cut_s=args.cut,
        dead=args.dead,
        lasting_s=args.lasting,
        coordinator=args.coordinator,
        latency_layer=args.latency_layer == "on",
    )


def replay_command(plan: Plan) -> str:
    """Return the command that plays a fleet again, exactly."""
    values = {"cut": plan.cut_s, "lasting": plan.lasting_s}
    flags = " ".join(f"--{name} {values.get(name, getattr(plan, name, None))!r}" for name, *_ in NUMBERS)
    layer = "on" if plan.latency_layer else "off"
    return (
        f"whoismesh simulate-gossip --seed {plan.seed} {flags} --coordinator {plan.coordinator} --latency-layer {layer}"
    )


def _progress(seed: int, *, quiet: bool) -> Callable[[float], None]:
    show = not quiet and sys.stderr is not None and sys.stderr.isatty()

    def on_progress(share: float) -> None:
        if show:
            end = "\n" if share >= 1 else ""
            print(f"\rseed {seed}: {share:4.0%} of the faults' time", end=end, file=sys.stderr, flush=True)

    return on_progress


def _print_report(plan: Plan, report: Report) -> None:
    if report.well:
        print(f"seed {report.seed}: all {report.live:,} live replicas alike {report.healed_s:.2f} s after the faults")
    else:
        print(f"seed {report.seed}: {report.invariant} broke at {report.virtual_s:.2f} s")
        print(f"  expected  {report.expected}")
        print(f"  found     {report.found}")
        print(f"  replay    {replay_command(plan)}")
    print(
        f"  {report.nodes:,} hosts, {report.starts:,} process starts, {report.crashes:,} crashes, "
        f"{report.known:,} of {report.blocks:,} blocks, {report.adopted:,} adopted"
    )
    print(f"  {'seconds to':<16} {'median':>8} {'99 %':>8} {'most':>8}")
    for name, spots in (("99 % of nodes", report.nearly_s), ("all nodes", report.all_s)):
        print(f"  {name:<16} {spots[0]:>8.2f} {spots[1]:>8.2f} {spots[2]:>8.2f}")
    print(f"  {report.rounds:.1f} rounds at most, {report.allowed_rounds:.1f} allowed")
    print(
        f"  a block and node: {report.bytes_a_block_and_node:.1f} bytes, {report.frames_a_block_and_node:.3f} frames; "
        f"largest digest {report.largest_digest_bytes:,} bytes, largest frame {report.largest_frame_bytes:,}"
    )
    _print_shares("bytes by kind", report.bytes)
    _print_shares("heard of by hops", report.ways)
    print(f"  {report.virtual_s:.1f} virtual seconds, {report.steps:,} steps, {report.cpu_s:.1f} s of CPU", end="")
    print(f", trace {report.trace}", flush=True)


def _print_shares(what: str, counts: dict[str, Any]) -> None:
    total = sum(counts.values()) or 1
    shares = sorted(counts.items(), key=lambda item: -item[1])
    print(f"  {what}: " + ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in shares if count))
