"""Where the benchmarks have the real IPv4 table from: it is too large for the repository.

It is a CSV with the columns of `whoismesh.practice.table` (level 1: the registries' statistics of October 2018, 196,333
rows; level 2: routing data of June 2026, 390,270 rows), named by BENCH_TABLE or lying in the checkout's root.
"""

from __future__ import annotations

import os
from pathlib import Path

from whoismesh.addresses import Range
from whoismesh.practice.table import AllocationTable

NAME = "ipv4-blocks.csv.gz"
ROOT = Path(__file__).parent.parent.parent


def whole_table() -> Path:
    """Return where the table is; ends the program with one line if it is nowhere."""
    named = os.environ.get("BENCH_TABLE")
    path = Path(named) if named else ROOT / NAME
    if not path.is_file():
        raise SystemExit(f"bin/bench: {path}: no such file; set BENCH_TABLE to the IPv4 table {NAME}")
    return path


def ipv4_table() -> AllocationTable:
    """Return the table: level 1 as rows, level 2 as what is routed."""
    return AllocationTable.load(whole_table())


def real_ranges(table: AllocationTable) -> list[Range]:
    """Return all different ranges that somebody registered or routes, those of level 1 first, in order."""
    registered = [row.range for row in table.rows() if row.registry != "iana"]
    return list(dict.fromkeys([*registered, *(each.range for each in table.routed)]))
