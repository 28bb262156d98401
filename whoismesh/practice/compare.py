"""Compare a dump with the allocation table that practice registries answered from.

    python -m whoismesh.practice.compare results.msgpack [TABLE] [--levels N]

Exit code 0 if the dump's networks are the table's allocated and assigned rows that touch its space, and those of so
many levels that lie in them, each once with its registry, and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whoismesh.addresses import Range
from whoismesh.command import EXIT_CODES, run_command
from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.rangesets import RangeSet


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a dump and a table differ: (registry, range) of each network."""

    found: int
    missing: list[tuple[str, Range]]
    repeated: list[tuple[str, Range]]
    unexpected: list[tuple[str, Range]]

    @property
    def equal(self) -> bool:
        """Tell whether there is no difference."""
        return not (self.missing or self.repeated or self.unexpected)


def compare(dump_path: Path, table: AllocationTable) -> Comparison:
    """Compare the networks of a dump with a table's. Raises DumpError if the dump cannot be read to its end."""
    with open_dump(dump_path) as dump:
        space = RangeSet(dump.space)
        found = Counter((each.registry, each.range) for each in dump if isinstance(each, Network))
    expected = {
        (row.registry, row.range)
        for row in (*table.rows(), *table.deeper())
        if row.status in ("allocated", "assigned") and space.meets(row.range)
    }
    return Comparison(
        found=len(found.keys() & expected),
        missing=sorted(expected - found.keys(), key=lambda each: each[1]),
        repeated=[each for each, times in found.items() if times > 1],
        unexpected=sorted(found.keys() - expected, key=lambda each: each[1]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m whoismesh.practice.compare",
        description="Compare a dump with the allocation table that practice registries answered from.",
        epilog=f"example: python -m whoismesh.practice.compare results.msgpack\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dump", type=Path, metavar="DUMP", help="what a crawl of practice registries found")
    parser.add_argument("table", type=Path, nargs="?", metavar="TABLE", help="their table (default: the packaged one)")

    parser.add_argument(
        "--levels", type=int, default=1, metavar="N", help="levels of the table that the dump should hold (default: 1)"
    )

    def run(args: argparse.Namespace) -> int:
        result = compare(args.dump, AllocationTable.load(args.table or packaged(), args.levels))
        print(
            f"{result.found:,} networks of the table found, {len(result.missing):,} missing, "
            f"{len(result.repeated):,} more than once, {len(result.unexpected):,} that are not in it"
        )
        for name in ("missing", "repeated", "unexpected"):
            for registry, where in getattr(result, name)[:5]:
                print(f"  {name}: {registry} {where}")
        return 0 if result.equal else 1

    return run_command(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
