"""`whoismesh export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from whoismesh.command import EXIT_CODES, told
from whoismesh.dump import open_dump
from whoismesh.errors import DumpError, UsageError
from whoismesh.networks import Network, Record
from whoismesh.output_files import appearing

#: Formats that are text and may go to standard output, and those that are a file.
TEXTS = ("csv", "jsonl")
FORMATS = (*TEXTS, "parquet", "mmdb", "sqlite")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a dump")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format; parquet needs whoismesh[export]")
    parser.add_argument(
        "-o", "--out", metavar="OUT", help="the file to write; - is standard output (the default of csv and jsonl)"
    )
    parser.add_argument("--networks-only", action="store_true", help="leave out ranges that nobody holds")
    parser.epilog = (
        "docs/export.md has the columns, and examples for DuckDB, SQLite and GeoIP programs.\n"
        f"example: whoismesh export results.msgpack --to mmdb -o whois.mmdb\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Write the table or database; 1 if the dump is cut short or damaged (what can be read of it is written)."""
    out = args.out or "-"
    if out == "-" and args.to not in TEXTS:
        raise UsageError(f"--to {args.to}: expected -o FILE; only {' and '.join(TEXTS)} go to standard output")
    with open_dump(args.file) as dump:
        records: Iterable[Record] = dump.whole_records()
        if args.networks_only:
            records = (record for record in records if isinstance(record, Network))
        if out == "-":
            sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
            _writer(args.to)(records, sys.stdout)
        else:
            with appearing(Path(out)) as temporary:
                _write(args.to, records, temporary, dump.header.get("written_at"), args.file)
    return told(dump.problem)


def _writer(name: str, module: str = "texts") -> Any:
    """Return the function that writes a format: its module is imported only now."""
    return getattr(import_module(f"whoismesh.exports.{module}"), f"write_{name}")


def _write(name: str, records: Iterable[Record], path: Path, written_at: object, dump: Path) -> None:
    if name in TEXTS:
        with open(path, "w", encoding="utf-8", newline="") as file:
            _writer(name)(records, file)
    elif name == "mmdb":
        try:
            _writer(name, name)(records, path, float(written_at) if isinstance(written_at, int | float) else 0.0)
        except ValueError as error:
            raise DumpError(f"{dump}: is not in order: {error}; write it again from the state") from None
    else:
        _writer(name, name)(records, path)
