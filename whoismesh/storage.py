"""SQLite files as coordinator and worker keep them: opened safely, marked as ours, locked, and clear when damaged."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from whoismesh.errors import StateError, TryAgainError, WhoismeshError

#: "PRAGMA application_id": the letters WMSH, so that a foreign SQLite file is told from ours.
APPLICATION_ID = 0x574D5348
#: SQLite takes a file of a few bytes for an empty one and writes over it; this is its header.
SMALLEST_BYTES = 100
#: How long another process may still hold the state folder (it may be ending), seconds.
LOCK_WAIT_S = 10.0
#: How long a statement waits for another process that writes (a dump during a crawl), milliseconds.
BUSY_MS = 10_000
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
#: What a full or failing disk says: SQLite takes "no space" at some moments (its shared memory) for an I/O error.
_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def open_database(
    path: Path, version: int, schema: str, *, durable: bool, read_only: bool = False
) -> sqlite3.Connection:
    """Open or make a database. Raises StateError or TryAgainError, and changes no file that it raises for.

    StateError is for what is damaged, foreign, newer or not ours to write, TryAgainError for a full or failing disk.

    `durable` files lose nothing to a power cut (synchronous=FULL); the others nothing to a killed process.
    """
    if read_only and not path.exists():
        raise StateError(f"{path} does not exist; give the --state folder of a crawl")
    if path.is_file() and 0 < path.stat().st_size < SMALLEST_BYTES:
        raise StateError(f"{path}: is no whoismesh state file; restore it from a copy or give another --state")
    uri = f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    if read_only and not os.access(path.parent, os.W_OK):
        uri += _for_a_disk_that_is_read_only(path)
    try:
        database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _cannot_open(path, error) from None
    try:
        _check(database, path, version, schema, read_only=read_only)
        if not read_only:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
    except sqlite3.DatabaseError as error:
        database.close()
        raise _cannot_open(path, error) from None
    except StateError:
        database.close()
        raise
    return database


def _for_a_disk_that_is_read_only(path: Path) -> str:
    """Return how to read a file beside which SQLite can make none: it cannot change, so it needs no shared memory."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        raise StateError(
            f"{path}: lies on a disk that cannot be written and was not closed; "
            "copy the folder to another and give that --state"
        )
    return "&immutable=1"


def disk_error(where: Path, problem: str, error: sqlite3.Error) -> WhoismeshError:
    """Return what to tell of a state file that cannot be written or read any more."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return StateError(f"{where}: {problem}: {error}; restore it from a copy or give another --state")
    return TryAgainError(
        f"{where}: {problem}: {error}; make room or mend the disk and run the same command again: "
        "nothing that was acknowledged is lost"
    )


def _cannot_open(path: Path, error: sqlite3.Error) -> WhoismeshError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK:
        return TryAgainError(
            f"{path}: cannot be opened: {error}; make room or mend the disk and run the same command again"
        )
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return StateError(
            f"{path}: is no whoismesh state file or is damaged ({error}); "
            "restore it from a copy or give another --state"
        )
    return StateError(f"{path}: cannot be opened: {error}; check the folder's rights, its space and who else uses it")


def _check(database: sqlite3.Connection, path: Path, version: int, schema: str, *, read_only: bool) -> None:
    database.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    application = database.execute("PRAGMA application_id").fetchone()[0]
    found = database.execute("PRAGMA user_version").fetchone()[0]
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == 0 and not tables and not read_only:
        with transaction(database):
            for statement in schema.split(";"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={version}")
        return
    if application != APPLICATION_ID:
        raise StateError(f"{path}: is a file of another program; give another --state folder")
    if found != version:
        raise StateError(
            f"{path}: was written by another version of whoismesh (format {found}, this one reads {version}); "
            "use that version or give another --state folder"
        )
    damage = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage == "ok" and _ends_inside_a_page(database, path):
        damage = "cut short"
    if damage != "ok":
        damage = " ".join(damage.split())
        raise StateError(f"{path}: is damaged ({damage}); restore it from a copy or give another --state")


def _ends_inside_a_page(database: sqlite3.Connection, path: Path) -> bool:
    """Tell whether the file lost its end, which SQLite reads as zeros; not while a log beside it can mend that."""
    beside = (Path(f"{path}{suffix}") for suffix in ("-wal", "-journal"))
    if any(each.exists() and each.stat().st_size for each in beside):
        return False
    return path.stat().st_size % int(database.execute("PRAGMA page_size").fetchone()[0]) != 0


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Keep all changes made inside, or none if anything is raised."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # A full disk ends a transaction by itself; a COMMIT that fails may leave it open.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def make_folder(folder: Path) -> None:
    """Make a state folder if need be. Raises StateError if that cannot be, TryAgainError for a full disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from None


def is_full(error: OSError) -> bool:
    """Tell whether an error means that the disk, or this user's part of it, is full."""
    return error.errno in _NO_SPACE


def _unusable(folder: Path, error: OSError) -> WhoismeshError:
    reason = f"{folder}: cannot be used as a state folder: {error.strerror}"
    if is_full(error):
        return TryAgainError(f"{reason}; make room and run the same command again")
    return StateError(f"{reason}; mend that or give another --state")


def lock_folder(folder: Path) -> IO[bytes]:
    """Make a state folder if need be and take it for this process; keep the file returned open.

    Raises TryAgainError if another process has it or the disk is full, StateError if it cannot be written.
    """
    make_folder(folder)
    try:
        file = open(folder / "lock", "a+b")  # noqa: SIM115 - stays open as long as the process has the folder
    except OSError as error:
        raise _unusable(folder, error) from None
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.read(20).decode("ascii", "replace").strip() or "another process"
                file.close()
                raise TryAgainError(f"{folder}: in use by process {holder}; stop it or give another --state") from None
            time.sleep(0.05)
            continue
        with contextlib.suppress(OSError):  # a full disk; who has the folder is a courtesy, the lock is what counts
            os.truncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        return file
