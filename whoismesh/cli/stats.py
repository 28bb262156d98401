"""`whoismesh stats`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from whoismesh.command import EXIT_CODES, told
from whoismesh.dump import Statistics, open_dump, statistics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a dump")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = f"example: whoismesh stats results.msgpack\n{EXIT_CODES}"


def run(args: argparse.Namespace) -> int:
    """Print the counts; 1 if the file is cut short or damaged."""
    with open_dump(args.file) as dump:
        found = statistics(dump)
    if args.json:
        print(json.dumps(found.to_map()))
    else:
        print_statistics(found)
    return told(found.problem)


def print_statistics(found: Statistics) -> None:
    """Print the counts for people."""
    share = found.settled / found.space if found.space else 1.0
    state = "complete" if found.complete else "not complete"
    print(f"{found.networks:,} networks hold {found.addresses:,} addresses")
    if found.announced:
        print(f"{found.announced:,} of them are announced by a known AS")
    print(f"{found.settled:,} of {found.space:,} addresses of the space are settled ({share:.2%}, {state}):")
    for name in ("held", "unallocated", "reserved", "failed"):
        print(f"  {name:<12} {getattr(found, name):>16,}")
    print(f"{'registry':<14} {'networks':>10} {'addresses':>16}")
    for registry, row in found.by_registry.items():
        print(f"{registry:<14} {row['networks']:>10,} {row['addresses']:>16,}")
    if found.disagreements:
        print(f"RDAP and port 43 disagree on {found.disagreements:,} networks, in these fields:")
        for registry, row in found.by_registry.items():
            counts = ", ".join(f"{name} {count:,}" for name, count in row["disagreements"].items() if count)
            if counts:
                print(f"  {registry:<12} {counts}")
