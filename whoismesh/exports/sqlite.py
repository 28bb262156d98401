"""A SQLite database with one table, `records`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from whoismesh.exports.rows import COLUMNS, row
from whoismesh.networks import Record

_TYPES = {"text": "TEXT", "texts": "TEXT", "int": "INTEGER", "float": "REAL", "blob": "BLOB"}


def write_sqlite(records: Iterable[Record], path: Path) -> None:
    """Write a new database. Lists are JSON texts; an index finds what begins before an address."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # Nobody else sees the file before it is whole.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        columns = ", ".join(f"{column.name} {_TYPES[column.type]}" for column in COLUMNS)
        connection.execute(f"CREATE TABLE records ({columns})")
        connection.execute("BEGIN")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO records VALUES ({marks})", (_cells(row(record)) for record in records))  # noqa: S608
        connection.execute("COMMIT")
        connection.execute("CREATE INDEX records_first ON records (first_bin)")
        connection.execute("CREATE INDEX records_holder ON records (holder_handle)")


def _cells(values: list[Any]) -> list[Any]:
    return [json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value for value in values]
