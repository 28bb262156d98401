"""The worker's spool: results that the coordinator has not acknowledged, in one SQLite file.

It survives the process, so that what was looked up is delivered by the next one. It need not survive a power cut: a
result lost with its host costs one repeated lookup (the ledger finds the hole).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from whoismesh.compounds import Result
from whoismesh.errors import MessageError, StateError
from whoismesh.messages import Results, decode, encode
from whoismesh.storage import open_database, transaction

#: Names a result for ever: its origin and sequence number.
Key = tuple[int, int]

FILE = "spool.sqlite"
VERSION = 1

SCHEMA = """
CREATE TABLE crawl (id BLOB NOT NULL);
CREATE TABLE results (origin INTEGER NOT NULL, sequence INTEGER NOT NULL, frame BLOB NOT NULL,
                      PRIMARY KEY (origin, sequence)) WITHOUT ROWID
"""


class Spool:
    """The file of one worker."""

    def __init__(self, folder: Path) -> None:
        """Open or make the spool of a state folder. Raises StateError."""
        self._path = folder / FILE
        self._database = open_database(self._path, VERSION, SCHEMA, durable=False)

    def belong_to(self, crawl: bytes) -> None:
        """Tie the spool to a crawl. Raises StateError if it holds results of another one."""
        row = self._database.execute("SELECT id FROM crawl").fetchone()
        if row is not None and row[0] != crawl:
            held = self._database.execute("SELECT count(*) FROM results").fetchone()[0]
            if held:
                raise StateError(
                    f"{self._path}: holds {held} results of another crawl that were never delivered; start that "
                    "crawl's coordinator to deliver them, or give another --state"
                )
        if row is None or row[0] != crawl:
            with transaction(self._database):
                self._database.execute("DELETE FROM crawl")
                self._database.execute("INSERT INTO crawl VALUES (?)", (crawl,))

    def add(self, results: Iterable[Result]) -> None:
        """Keep results until they are acknowledged. Raises sqlite3.Error; then none is kept."""
        rows = [(result.origin, result.sequence, encode(Results(b"", (result,)))) for result in results]
        with transaction(self._database):
            # Not "OR IGNORE", which swallows more than a repetition.
            self._database.executemany("INSERT INTO results VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)

    def forget(self, origin: int, runs: Iterable[tuple[int, int]]) -> None:
        """Drop acknowledged results: runs of (first, last) sequence numbers of one origin."""
        with transaction(self._database):
            self._database.executemany(
                "DELETE FROM results WHERE origin = ? AND sequence BETWEEN ? AND ?",
                [(origin, first, last) for first, last in runs],
            )

    def keys(self) -> tuple[Key, ...]:
        """Return (origin, sequence) of all that is not acknowledged."""
        return tuple(self._database.execute("SELECT origin, sequence FROM results ORDER BY origin, sequence"))

    def get(self, key: Key) -> Result | None:
        """Return one result that is not acknowledged. Raises StateError if its row is damaged."""
        row = self._database.execute("SELECT frame FROM results WHERE origin = ? AND sequence = ?", key).fetchone()
        if row is None:
            return None
        try:
            message = decode(row[0])
            if not isinstance(message, Results) or len(message.results) != 1:
                raise MessageError("holds no result where there was one")
        except MessageError as error:
            raise StateError(f"{self._path}: is damaged ({error}); remove it, its lookups are repeated") from None
        return message.results[0]

    def close(self) -> None:
        """Close the file."""
        try:
            self._database.close()
        except sqlite3.Error as error:
            raise StateError(f"{self._path}: {error}") from None
