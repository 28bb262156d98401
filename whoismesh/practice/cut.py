"""Cut the packaged table out of a whole allocation table: `python -m whoismesh.practice.cut TABLE OUT`.

TABLE is a CSV of all IPv4 space with the columns of `table.CSV_COLUMNS`; OUT gets the level-1 rows of `SLICES`, each
held row with the name that level 2 lends it. The same table gives the same file, byte for byte, with any zlib that
compresses alike: the gzip header carries no time and no file name.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.errors import ConfigError, WhoismeshError
from whoismesh.practice.row import Row
from whoismesh.practice.table import CSV_COLUMNS, AllocationTable, neutral_name

#: What is cut, chosen by these rules: rows of all five registries; no row crosses an edge; no special-purpose space;
#: few unallocated /24s (each costs a lookup of its own), and none of them shared with a smaller registration.
SLICES = (
    "24.192.0.0/10",  # ARIN, some transferred out
    "46.128.0.0/9",  # RIPE NCC
    "61.0.0.0/9",  # APNIC
    "64.128.0.0/9",  # ARIN
    "67.0.0.0/9",  # ARIN
    "102.160.0.0/12",  # AFRINIC
    "116.0.0.0/9",  # APNIC
    "119.0.0.0/9",  # APNIC
    "130.128.0.0/9",  # ARIN's by IANA, two thirds transferred early to RIPE NCC and APNIC; ranges that are no CIDR
    "145.0.0.0/9",  # RIPE NCC; ranges that are no CIDR
    "164.128.0.0/9",  # ARIN's by IANA, of all five registries today
    "177.96.0.0/11",  # LACNIC
    "181.128.0.0/10",  # LACNIC
    "190.128.0.0/9",  # LACNIC
    "191.192.0.0/10",  # LACNIC
    "193.104.0.0/14",  # RIPE NCC: many a /24, and gaps between them
    "195.128.0.0/12",  # RIPE NCC
    "196.0.0.0/12",  # AFRINIC: ranges that are no CIDR, blocks of all the others
    "201.128.0.0/12",  # LACNIC
    "202.128.0.0/9",  # APNIC
    "209.0.0.0/9",  # ARIN
    "216.0.0.0/9",  # ARIN
    "217.0.0.0/9",  # RIPE NCC, some transferred to AFRINIC
)


def cut(table: AllocationTable, slices: Sequence[Range]) -> list[Row]:
    """Return the rows inside the slices, in order. Raises ConfigError for a slice that breaks the rules above."""
    rows: list[Row] = []
    for piece in sorted(slices):
        if iana.special_purpose().meets(piece):
            raise ConfigError(f"slice {piece} holds special-purpose space")
        inside = list(table.rows(piece))
        crossing = [row for row in inside if not piece.contains(row.range)]
        if crossing:
            raise ConfigError(f"slice {piece} cuts through {crossing[0].range}")
        rows += inside
    return rows


def write(rows: Sequence[Row], out: Path) -> None:
    """Write rows as a gzipped CSV table, always the same bytes. Names that only say the holder's id are left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        name = "" if not row.held or row.name == neutral_name(row.holder, row.range) else row.name
        writer.writerow(
            (
                row.range.first,
                row.range.last,
                1,
                row.registry,
                row.country,
                0,
                name,
                row.status,
                row.date,
                row.holder,
            )
        )
    out.write_bytes(gzip.compress(text.getvalue().encode("utf-8"), compresslevel=9, mtime=0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m whoismesh.practice.cut", description=__doc__.split("\n")[0])
    parser.add_argument("table", metavar="TABLE", help="allocation table of all IPv4 space (CSV, may be gzipped)")
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write, a gzipped CSV table")
    options = parser.parse_args(arguments)
    try:
        rows = cut(AllocationTable.load(options.table), [Range.parse(text) for text in SLICES])
        write(rows, options.out)
    except (WhoismeshError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, WhoismeshError) else 1
    print(f"{len(rows)} rows, {sum(row.held for row in rows)} networks, {options.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
