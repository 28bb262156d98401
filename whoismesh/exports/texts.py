"""CSV (RFC 4180, with the line ends of Unix) and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from whoismesh.exports.rows import TEXT_COLUMNS, row
from whoismesh.networks import Record

_NAMES = [column.name for column in TEXT_COLUMNS]


def write_csv(records: Iterable[Record], file: TextIO) -> None:
    """Write a line with the columns' names and a line for each record; lists are JSON, and nothing is nothing."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_NAMES)
    for record in records:
        writer.writerow([_cell(value) for value in row(record, TEXT_COLUMNS)])


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def write_jsonl(records: Iterable[Record], file: TextIO) -> None:
    """Write a JSON map for each record, a line each; all columns are in each of them."""
    for record in records:
        file.write(f"{json.dumps(dict(zip(_NAMES, row(record, TEXT_COLUMNS), strict=True)))}\n")
