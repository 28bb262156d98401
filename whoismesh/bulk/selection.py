"""Which of millions of registrations are the outermost, found in a scratch file, so that memory stays bounded.

Two registrations of one registry nest where one holds the other: then the inner one is its holder's own assignment.
Those of two registries do not: what was transferred out of a block is registered for itself. Where assignments are
wanted too, `Selection._outermost` is where they are told apart.
"""

from __future__ import annotations

import contextlib
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from whoismesh.addresses import Range
from whoismesh.bulk.reading import Skipped

#: Rows written at once.
_BATCH = 10_000
#: SQLite's cache for the scratch file, KiB.
_CACHE_KIB = 32 * 1024


class Selection:
    """The candidates by their numbers, in the order of the files, and the names of organisations. `close` it."""

    def __init__(self, folder: Path) -> None:
        """Make the scratch file; it has no name, so that no crash leaves it behind. Raises sqlite3.Error, OSError."""
        path = folder / "bulk-scratch.sqlite"
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # What is sorted beyond the cache goes to SQLite's temporary folder (TMPDIR, else /var/tmp).
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}", "temp_store=FILE"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(
            "CREATE TABLE candidates (registry TEXT NOT NULL, first BLOB NOT NULL, last BLOB NOT NULL, "
            "number INTEGER NOT NULL)"
        )
        self._database.execute("CREATE TABLE outermost (number INTEGER PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("CREATE TABLE organisations (handle TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID")
        path.unlink()
        self._waiting: list[tuple[str, bytes, bytes, int]] = []
        self._ends: Sequence[int] = ()

    def add(self, number: int, registry: str, found: Range) -> None:
        """Note a candidate."""
        self._waiting.append((registry, found.first_bytes, found.last_bytes, number))
        if len(self._waiting) >= _BATCH:
            self._flush()

    def add_organisation(self, handle: str, name: str) -> None:
        """Note what an organisation is called."""
        self._database.execute("INSERT OR REPLACE INTO organisations VALUES (?, ?)", (handle, name))

    def name_of(self, handle: str) -> str | None:
        """Return what an organisation is called, None if no file told."""
        row = self._database.execute("SELECT name FROM organisations WHERE handle = ?", (handle,)).fetchone()
        return row[0] if row else None

    def choose(self, ends: Sequence[int]) -> list[Counter[Skipped]]:
        """Find the outermost candidates; return why the others are none, for each file.

        `ends` are the last numbers of the files, in order.
        """
        self._flush()
        self._ends = ends
        skipped: list[Counter[Skipped]] = [Counter() for _ in ends]
        with self._together():
            for chosen in _batches(self._outermost(skipped)):
                self._database.executemany("INSERT INTO outermost VALUES (?)", chosen)
        self._database.execute("DELETE FROM candidates")
        return skipped

    def _outermost(self, skipped: list[Counter[Skipped]]) -> Iterator[tuple[int]]:
        """Yield the numbers of those that lie in no other: sorted so that what holds a range comes before it."""
        query = (
            "SELECT registry, first, last, number FROM candidates "
            "ORDER BY registry, length(first), first, last DESC, number"
        )
        before: tuple[str, int, bytes] | None = None
        last_range: tuple[str, bytes, bytes] | None = None
        for registry, first, last, number in self._database.execute(query):
            if last_range == (registry, first, last):
                skipped[bisect_left(self._ends, number)][Skipped.REPEATED] += 1
            elif before is not None and before[:2] == (registry, len(first)) and last <= before[2]:
                skipped[bisect_left(self._ends, number)][Skipped.NESTED] += 1
            else:
                before = (registry, len(first), last)
                yield (number,)
            last_range = (registry, first, last)

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the chosen, in order."""
        for (number,) in self._database.execute("SELECT number FROM outermost ORDER BY number"):
            yield number

    def close(self) -> None:
        """Drop the scratch file."""
        self._database.close()

    def _flush(self) -> None:
        with self._together():
            self._database.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?)", self._waiting)
        self._waiting.clear()

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        self._database.execute("BEGIN")
        yield
        self._database.execute("COMMIT")


def _batches(numbers: Iterable[tuple[int]]) -> Iterator[list[tuple[int]]]:
    batch: list[tuple[int]] = []
    for each in numbers:
        batch.append(each)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    yield batch
