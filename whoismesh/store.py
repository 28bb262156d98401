"""The coordinator's store: every accepted result, in the order of arrival, in one SQLite file.

One transaction and one fsync a batch (group commit); the row number is the order in which the ledger replays. The
payload is kept as it came: the coordinator never unpacks a network.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from whoismesh.addresses import Range
from whoismesh.checks import CRAWL_ID_BYTES
from whoismesh.compounds import DISAGREEMENT, IMPORTED, ORIGINS, OWN_STATUSES, RECORDS_ONLY, RETRY, Result
from whoismesh.depth import ALLOCATIONS
from whoismesh.errors import StateError
from whoismesh.origins import read_origins
from whoismesh.packing import unpack
from whoismesh.registries import REGISTRIES
from whoismesh.storage import open_database, transaction

FILE = "ledger.sqlite"
VERSION = 2
#: Origins reserved at one start. Numbers are small and never reused; unused ones are lost, which costs nothing.
ORIGINS_A_START = 10_000

SCHEMA = """
CREATE TABLE crawl (id BLOB NOT NULL, space TEXT NOT NULL, started_at REAL NOT NULL,
                    epoch INTEGER NOT NULL, origins INTEGER NOT NULL, attempts INTEGER NOT NULL,
                    depth TEXT NOT NULL);
CREATE TABLE results (number INTEGER PRIMARY KEY, origin INTEGER NOT NULL, sequence INTEGER NOT NULL,
                      registry TEXT NOT NULL, status TEXT NOT NULL, asked BLOB NOT NULL,
                      first BLOB NOT NULL, last BLOB NOT NULL, elsewhere TEXT, reason TEXT NOT NULL, payload BLOB NOT
                      NULL);
CREATE TABLE counters (origin INTEGER PRIMARY KEY, host TEXT NOT NULL, counters TEXT NOT NULL)
"""

_COLUMNS = "origin, sequence, registry, status, asked, first, last, elsewhere, reason, payload"
#: SQLite takes 32,766 values a statement (SQLITE_MAX_VARIABLE_NUMBER), and a row has ten.
ROWS_A_STATEMENT = 500


def _insert_statement(rows: int) -> str:
    marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO results ({_COLUMNS}) VALUES {marks}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class CrawlRecord:
    """What the store says of its crawl. `epoch` counts the coordinator's starts, `origins` are those of this one.

    `attempts` is after how many failures an address counts as failed: results alone do not tell. `depth` is the
    setting of that name, which no crawl changes on its way.
    """

    id: bytes
    space: tuple[Range, ...]
    started_at: float
    epoch: int
    attempts: int
    depth: str
    origins: range


class LedgerStore:
    """The file. Use `open` to write, `read` for a look at a crawl that may be running."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    @classmethod
    def open(cls, folder: Path) -> LedgerStore:
        """Open or make the store of a state folder. Raises StateError."""
        return cls(open_database(folder / FILE, VERSION, SCHEMA, durable=True), folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> LedgerStore:
        """Open an existing store for reading only. Raises StateError."""
        return cls(open_database(folder / FILE, VERSION, SCHEMA, durable=True, read_only=True), folder / FILE)

    def begin(
        self, space: tuple[Range, ...], attempts: int = 3, *, depth: str = ALLOCATIONS, retry_failed: bool = False
    ) -> CrawlRecord:
        """Note a start of the coordinator: a new crawl, or the next epoch of the one in the file.

        With `retry_failed` everything that has failed so far is to be tried again. Raises StateError if the file holds
        a crawl of another space or depth.
        """
        space_text = json.dumps([str(each) for each in space])
        with transaction(self._database):
            row = self._database.execute("SELECT id, space, epoch, origins, depth FROM crawl").fetchone()
            if row is None:
                row = (os.urandom(CRAWL_ID_BYTES), space_text, 0, 1, depth)
                self._database.execute(
                    "INSERT INTO crawl VALUES (?, ?, ?, 0, 1, 0, ?)", (row[0], row[1], time.time(), depth)
                )
            elif row[1] != space_text:
                raise StateError(
                    f"{self._path}: holds a crawl of {', '.join(json.loads(row[1]))}, not of "
                    f"{', '.join(map(str, space))}; give the same space or another --state"
                )
            if row[4] != depth:
                # What was settled as one network would not be looked into any more.
                raise StateError(
                    f"{self._path}: holds a crawl of depth {row[4]}, not {depth}; give the same or another --state"
                )
            next_origin = row[3] + ORIGINS_A_START
            values = (row[2] + 1, next_origin, attempts)
            self._database.execute("UPDATE crawl SET epoch = ?, origins = ?, attempts = ?", values)
            if retry_failed:
                # As a result of the coordinator's own, so that a replay meets it at its place in the order.
                nowhere = Range(4, 0, 0)
                self._insert([Result(row[3], 0, REGISTRIES[0], RETRY, nowhere, nowhere, None, "", b"")])
        return self.crawl(origins=range(row[3], next_origin))

    def crawl(self, origins: range = range(0)) -> CrawlRecord:
        """Return what the store says of its crawl. Raises StateError if it holds none."""
        row = self._database.execute("SELECT id, space, started_at, epoch, attempts, depth FROM crawl").fetchone()
        if row is None:
            raise StateError(f"{self._path}: holds no crawl yet; run one with this --state first")
        return CrawlRecord(row[0], tuple(map(Range.parse, json.loads(row[1]))), row[2], row[3], row[4], row[5], origins)

    def append(self, results: Iterable[Result], counters: Mapping[int, tuple[str, Mapping[str, float]]]) -> None:
        """Store results and the newest counters of origins in one transaction. Raises sqlite3.Error; then none are."""
        with transaction(self._database):
            self._insert(results)
            self._database.executemany(
                "INSERT OR REPLACE INTO counters VALUES (?, ?, ?)",
                [(origin, host, json.dumps(dict(numbers))) for origin, (host, numbers) in counters.items()],
            )

    def _insert(self, results: Iterable[Result]) -> None:
        rows = [
            (
                origin, sequence, registry, status, asked.first_bytes, where.first_bytes, where.last_bytes,
                elsewhere, reason, payload,
            )
            for origin, sequence, registry, status, asked, where, elsewhere, reason, payload in results
        ]  # fmt: skip
        # Many rows a statement: each statement lets go of the interpreter once, and a busy main thread gives it back
        # only after sys.getswitchinterval(), 5 ms. A row a statement took 8.7 ms a row then.
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            piece = rows[start : start + ROWS_A_STATEMENT]
            self._database.execute(_insert_statement(len(piece)), list(chain.from_iterable(piece)))

    def results(self) -> Iterator[Result]:
        """Yield all results in the order in which they were stored."""
        for row in self._database.execute(f"SELECT {_COLUMNS} FROM results ORDER BY number"):  # noqa: S608
            asked = Range.from_bytes(row[4], row[4])
            yield Result(
                row[0], row[1], row[2], row[3], asked, Range.from_bytes(row[5], row[6]), row[7], row[8], row[9]
            )

    def networks(self) -> Iterator[tuple[Range, str, bytes]]:
        """Yield (range, registry, payload) of all networks, those in others included, sorted by family and addresses.

        Of equal ranges it is the newest; an answer that does not hold the address asked is none. SQLite sorts, so
        memory stays bounded whatever the size.
        """
        query = (
            "SELECT first, last, registry, payload FROM results WHERE number IN (SELECT max(number) FROM results "
            "WHERE status IN ('network', 'bulk', 'assignment') "
            "AND length(asked) = length(first) AND asked BETWEEN first AND last "
            "GROUP BY first, last) ORDER BY length(first), first, last"
        )
        for first, last, registry, payload in self._database.execute(query):
            yield Range.from_bytes(first, last), registry, payload

    def imported(self) -> list[dict[str, Any]]:
        """Return what is known of each bulk file that was read to its end (ledger.bulk)."""
        query = "SELECT payload FROM results WHERE status = ? ORDER BY number"
        return [unpack(payload) for (payload,) in self._database.execute(query, (IMPORTED,))]

    def gather_origins(self) -> None:
        """Make what Team Cymru told of each network a table that this connection sees alone; the newest counts.

        It lies in a temporary file, so memory stays bounded. What a damaged worker sent instead is left out.
        """
        self._database.execute("DROP TABLE IF EXISTS temp.origins")
        self._database.execute(
            "CREATE TEMP TABLE origins (first BLOB NOT NULL, last BLOB NOT NULL, asn INTEGER, cidr TEXT, "
            "PRIMARY KEY (first, last)) WITHOUT ROWID"
        )
        query = "SELECT payload FROM results WHERE status = ? ORDER BY number"
        for (payload,) in self._database.execute(query, (ORIGINS,)):
            self._database.executemany("INSERT OR REPLACE INTO temp.origins VALUES (?, ?, ?, ?)", read_origins(payload))

    def origins(self) -> Iterator[tuple[Range, int | None, str | None]]:
        """Yield (range, asn, asn_cidr) of what `gather_origins` gathered, sorted as `networks` are."""
        query = "SELECT first, last, asn, cidr FROM temp.origins ORDER BY length(first), first, last"
        for first, last, asn, cidr in self._database.execute(query):
            yield Range.from_bytes(first, last), asn, cidr

    def disagreements(self) -> Iterator[tuple[Range, tuple[str, ...], bytes]]:
        """Yield (range of the network, fields, payload of the other record), the newest of each network, sorted so."""
        query = (
            "SELECT first, last, reason, payload FROM results WHERE number IN (SELECT max(number) FROM results "
            "WHERE status = ? GROUP BY first, last) ORDER BY length(first), first, last"
        )
        for first, last, reason, payload in self._database.execute(query, (DISAGREEMENT,)):
            yield Range.from_bytes(first, last), tuple(reason.split(", ")), payload

    def counters(self) -> dict[int, dict[str, float]]:
        """Return the newest counters of every origin.

        A process that was killed took its last second of counting with it: it made at least as many lookups as there
        are results of it.
        """
        rows = self._database.execute("SELECT origin, counters FROM counters")
        found: dict[int, dict[str, float]] = {origin: json.loads(text) for origin, text in rows}
        none = (*OWN_STATUSES, *RECORDS_ONLY)
        marks = ", ".join("?" * len(none))
        asked = f"SELECT origin, count(*) FROM results WHERE status NOT IN ({marks}) GROUP BY origin"  # noqa: S608
        for origin, count in self._database.execute(asked, none):
            counters = found.setdefault(origin, {})
            counters["lookups"] = max(float(count), counters.get("lookups", 0.0))
        return found

    def count_missing_origins(self) -> int:
        """Return how many networks Team Cymru was not asked about, or did not answer for; after `gather_origins`."""
        query = (
            "SELECT count(*) FROM (SELECT DISTINCT first, last FROM results WHERE status = 'network') AS found "
            "WHERE NOT EXISTS (SELECT 1 FROM temp.origins WHERE first = found.first AND last = found.last)"
        )
        return int(self._database.execute(query).fetchone()[0])

    def count_duplicates(self) -> int:
        """Return how many answers told of a network that another answer had told of already."""
        query = "SELECT count(*) - count(DISTINCT hex(first) || hex(last)) FROM results WHERE status = 'network'"
        return int(self._database.execute(query).fetchone()[0])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads inside see the file as it is now, also while a crawl writes to it."""
        self._database.execute("BEGIN")
        try:
            self._database.execute("SELECT count(*) FROM crawl").fetchone()  # the first read is what holds it fast
            yield
        finally:
            self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        self._database.close()
