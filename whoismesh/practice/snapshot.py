"""Turn an allocation table into a dump: what a crawl of registries that answer from it would find at once.

    python -m whoismesh.practice.snapshot TABLE -o results.msgpack [--levels N] [--no-names]

Delegation files name no holders; a table lends them the names of those who announce their space. Two tables of which
only one has names are compared by `--no-names`.
"""

from __future__ import annotations

import argparse
import sys
from calendar import timegm
from collections.abc import Iterator, Sequence
from heapq import merge
from pathlib import Path
from time import strptime

from whoismesh.command import EXIT_CODES, run_command
from whoismesh.depth import ALLOCATIONS, ASSIGNMENTS
from whoismesh.dump_file import header_of, packed, write_records
from whoismesh.networks import Holder, Network, Record, Unheld
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable


def records(table: AllocationTable, server: str, *, names: bool = True) -> Iterator[Record]:
    """Yield what a table tells as a dump has it, in order. `server` is the file's name; its newest row dates it."""
    fetched_at = date_of(table)
    for row in merge(table.rows(), table.deeper(), key=lambda row: row.range):
        if row.held:
            yield _network(row, server, fetched_at, names=names)
        else:
            kind = "reserved" if row.status == "reserved" else "unallocated"
            yield Unheld(kind, row.range, f"{row.registry}: {row.status}", "delegated")


def date_of(table: AllocationTable) -> float:
    """Return the date of a table's newest row, in seconds since 1970, or 0."""
    newest = max((row.date for row in table.rows()), default="")
    return float(timegm(strptime(newest, "%Y%m%d"))) if newest else 0.0


def _network(row: Row, server: str, fetched_at: float, *, names: bool) -> Network:
    name = row.name if names else None
    return Network(
        registry=row.registry,
        range=row.range,
        name=name,
        type=row.status,
        country=row.country or None,
        holder=Holder(row.holder or None, name),
        registered=f"{row.date[:4]}-{row.date[4:6]}-{row.date[6:]}T00:00:00Z" if row.date else None,
        source="bulk",
        server=server,
        fetched_at=fetched_at,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the dump; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m whoismesh.practice.snapshot",
        description="Turn an allocation table, or a registry's statistics file, into a dump.",
        epilog=f"example: python -m whoismesh.practice.snapshot table.csv.gz -o results.msgpack\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, metavar="TABLE", help="a CSV table or a delegated file, may be gzipped")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the dump to write")
    parser.add_argument(
        "--levels", type=int, default=1, metavar="N", help="so many levels of the table: with 2, networks in networks"
    )
    parser.add_argument("--no-names", action="store_true", help="holders by their ids alone")

    def run(args: argparse.Namespace) -> int:
        table = AllocationTable.load(args.table, args.levels)
        header = header_of(
            map(str, table.space()),
            complete=True,
            depth=ASSIGNMENTS if args.levels > 1 else ALLOCATIONS,
            written_at=date_of(table),
        )
        found = records(table, args.table.name, names=not args.no_names)
        counts = write_records(args.out, header, map(packed, found))
        print(f"{counts['network']:,} networks, {counts.total() - counts['network']:,} ranges that nobody holds")
        return 0

    return run_command(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
