"""Run benchmarks, print their figures beside floor or peer and goal, and hold them to what is recorded.

The suite is hit, ingest, lookup, crawl, budget, order and gossip. The other files here are studies with options of
their own: one at a time, `bin/bench watch --pace 20000`. So are those of the suite that have some: `bin/bench gossip
--nodes 16`.

--check compares each figure that has a floor in floors.json (a ratio of one run, or a count that no machine changes)
and ends with 1 where one is worse by more than its margin. --record writes the floors anew, margins kept.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from figures import MORE, Figure, as_json, is_within, machine, table

FOLDER = Path(__file__).parent
FLOORS = FOLDER / "floors.json"
SUITE = ("hit", "ingest", "lookup", "crawl", "budget", "order", "gossip")
#: What these files share.
SHARED = ("figures", "made_up", "processes", "real_table", "suite")
STUDIES = tuple(sorted({each.stem for each in FOLDER.glob("*.py")} - {*SUITE, *SHARED}))
#: What the suite itself takes.
OPTIONS = ("--json", "--check", "--record", "--help")
#: A figure may be worse than its floor by this part before --check says so, where floors.json has no other margin.
MARGIN = 0.25


def misses(name: str, figures: list[Figure], floors: dict[str, Any]) -> list[str]:
    """Return a line for each figure that is worse than its floor by more than the margin, or is not there any more."""
    found = {each.name: each for each in figures}
    lines = []
    for figure, floor in floors.get(name, {}).items():
        if figure not in found:
            lines.append(f"{name}: {figure!r} has a floor and was not measured")
            continue
        each, margin = found[figure], floor.get("margin", MARGIN)
        bound = floor["floor"] * (1 - margin if each.better == MORE else 1 + margin)
        if not is_within(each.judged, bound, each.better):
            sign = "<" if each.better == MORE else ">"
            lines.append(
                f"{name}: {figure}: {each.judged:.4g} {sign} {bound:.4g} (floor {floor['floor']:.4g}, margin {margin})"
            )
    return lines


def record(name: str, figures: list[Figure], floors: dict[str, Any]) -> None:
    """Take the figures that have a floor, a ratio or a margin as the floors of now; a margin in there is kept."""
    before = floors.setdefault(name, {})
    for each in figures:
        if each.name in before or each.ratio is not None or each.margin is not None:
            margin = {} if each.margin is None else {"margin": each.margin}
            before[each.name] = margin | before.get(each.name, {}) | {"floor": float(f"{each.judged:.3g}")}


def _is_study(arguments: list[str]) -> bool:
    """Tell whether a study is asked for, or one of the suite with options of its own."""
    if len(arguments) > 1 and arguments[0] in SUITE:
        return arguments[1].startswith("--") and not any(each.startswith(arguments[1]) for each in OPTIONS)
    return bool(arguments) and arguments[0] in STUDIES


def main(arguments: list[str]) -> int:
    """Run what is named; return the exit code."""
    if _is_study(arguments):
        study = importlib.import_module(arguments[0])
        sys.argv = [f"bin/bench {arguments[0]}", *arguments[1:]]
        study.main()
        return 0
    parser = argparse.ArgumentParser(
        prog="bin/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: bin/bench hit --json hit.json",
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{', '.join(SUITE)} (default: all), or one of {', '.join(STUDIES)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine there")
    parser.add_argument("--check", action="store_true", help="compare with floors.json; those with a floor if no NAME")
    parser.add_argument("--record", action="store_true", help="write floors.json anew from this run")
    args = parser.parse_args(arguments)
    for name in args.names:
        if name not in SUITE:
            parser.error(f"{name!r}: expected some of {', '.join(SUITE)}, or one of {', '.join(STUDIES)} alone")
    floors = json.loads(FLOORS.read_text()) if FLOORS.exists() else {}
    names = args.names or [each for each in SUITE if not args.check or each in floors]
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    measured: dict[str, list[Figure]] = {}
    missed = []
    for name in names:
        module = importlib.import_module(name)
        print(f"{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        measured[name] = module.measure()
        print(table(measured[name]), flush=True)
        missed += misses(name, measured[name], floors) if args.check else []
        if args.record:
            record(name, measured[name], floors)
    if args.json:
        args.json.write_text(as_json(measured))
    if args.record:
        FLOORS.write_text(json.dumps(floors, indent=1) + "\n")
    for line in missed:
        print(f"bin/bench: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
