from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from whoismesh import storage
from whoismesh.errors import StateError, TryAgainError
from whoismesh.storage import lock_folder, open_database, transaction

SCHEMA = "CREATE TABLE things (name TEXT NOT NULL); CREATE INDEX by_name ON things (name)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "things.sqlite"


def fill(path: Path, rows: int = 2_000) -> None:
    database = open_database(path, 1, SCHEMA, durable=False)
    with transaction(database):
        database.executemany("INSERT INTO things VALUES (?)", [(f"thing number {n}",) for n in range(rows)])
    database.close()


def names(path: Path, *, read_only: bool = False) -> list[str]:
    database = open_database(path, 1, SCHEMA, durable=False, read_only=read_only)
    found = [name for (name,) in database.execute("SELECT name FROM things ORDER BY rowid")]
    database.close()
    return found


def refused(path: Path, expected: str, *, read_only: bool = False) -> None:
    """Check that a file is refused in one line that names it and the way out, and is left as it was."""
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StateError) as caught:
        open_database(path, 1, SCHEMA, durable=True, read_only=read_only)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert "give another" in message or "give the --state" in message or "check" in message
    assert caught.value.exit_code == 78
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize("name", ["plain", "with space", "50% off?", "a#b", "naïve-Ü", "%20", "semi;colon&mode=ro"])
def test_a_new_file_is_made_wherever_it_is_to_be(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    fill(folder / "things.sqlite", 3)
    assert names(folder / "things.sqlite") == ["thing number 0", "thing number 1", "thing number 2"]
    assert [each.name for each in folder.iterdir()] == ["things.sqlite"]


def test_a_file_is_marked_as_ours_and_written_through_a_log(path: Path) -> None:
    database = open_database(path, 1, SCHEMA, durable=True)
    pragmas = {name: database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    database.close()
    assert path.read_bytes()[68:72] == b"WMSH"
    lazy = open_database(path, 1, SCHEMA, durable=False)
    assert lazy.execute("PRAGMA synchronous").fetchone()[0] == 1
    lazy.close()


def test_an_empty_file_becomes_ours(path: Path) -> None:
    path.touch()
    fill(path, 1)
    assert len(names(path)) == 1


def test_a_file_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    refused(path, "is a file of another program")
    refused(path, "is a file of another program", read_only=True)


def test_a_marked_file_of_another_program_is_refused(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA application_id=42")
    other.close()
    refused(path, "is a file of another program")


def test_a_text_file_is_refused(path: Path) -> None:
    path.write_text("shopping list\n" * 100)
    refused(path, "is no whoismesh state file or is damaged")
    refused(path, "is no whoismesh state file or is damaged", read_only=True)


def test_a_file_of_another_version_is_refused(path: Path) -> None:
    open_database(path, 2, SCHEMA, durable=False).close()
    refused(path, "was written by another version of whoismesh (format 2, this one reads 1)")
    refused(path, "(format 2, this one reads 1)", read_only=True)


def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(path: Path) -> None:
    fill(path)
    whole = path.read_bytes()
    page = 4096
    assert len(whole) > 20 * page
    cuts = [1, 15, 16, 99, 100, 512, page - 1, page, page + 1, *range(2 * page, len(whole), 3 * page), len(whole) - 1]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        refused(path, f"{path}: is ")


def test_a_file_with_a_page_overwritten_is_refused(path: Path) -> None:
    fill(path)
    whole = bytearray(path.read_bytes())
    whole[3 * 4096 : 4 * 4096] = os.urandom(4096)
    path.write_bytes(whole)
    refused(path, "is damaged")


def test_only_an_existing_file_is_opened_for_reading(path: Path) -> None:
    refused(path, "does not exist; give the --state folder of a crawl", read_only=True)
    assert list(path.parent.iterdir()) == []
    path.touch()
    refused(path, "is a file of another program", read_only=True)


def test_a_reader_changes_nothing(path: Path) -> None:
    fill(path, 3)
    database = open_database(path, 1, SCHEMA, durable=False, read_only=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM things")
    database.close()
    assert len(names(path, read_only=True)) == 3


def test_a_file_where_none_can_be_is_named_with_the_reason(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere" / "things.sqlite", "cannot be opened")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateError, match=r"folder: cannot be opened: unable to open database file; check"):
        open_database(tmp_path / "folder", 1, SCHEMA, durable=True)


def test_a_file_that_another_process_locks_is_not_called_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 1)
    monkeypatch.setattr(storage, "BUSY_MS", 0)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateError, match=r"cannot be opened: database is locked; check"):
        open_database(path, 1, SCHEMA, durable=True)
    holder.close()
    assert len(names(path)) == 1


def test_a_transaction_is_kept_whole_or_not_at_all(path: Path) -> None:
    database = open_database(path, 1, SCHEMA, durable=False)

    def insert(*names: str | None, error: BaseException | None = None) -> None:
        with transaction(database):
            database.executemany("INSERT INTO things VALUES (?)", [(name,) for name in names])
            if error is not None:
                raise error

    with pytest.raises(sqlite3.IntegrityError):
        insert("a", None)
    with pytest.raises(KeyboardInterrupt):
        insert("b", error=KeyboardInterrupt())
    with transaction(database):
        database.execute("INSERT INTO things VALUES ('c')")
    database.close()
    assert names(path) == ["c"]


def test_the_error_is_told_and_not_that_nothing_could_be_taken_back(path: Path) -> None:
    # SQLite ends a transaction by itself when the disk is full.
    database = open_database(path, 1, SCHEMA, durable=False)

    def fill_the_disk() -> None:
        with transaction(database):
            database.execute("ROLLBACK")
            raise sqlite3.OperationalError("disk is full")

    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        fill_the_disk()
    with transaction(database):
        database.execute("INSERT INTO things VALUES ('c')")
    database.close()


def test_a_commit_that_fails_leaves_no_transaction_open(path: Path) -> None:
    schema = (
        "CREATE TABLE parents (name TEXT PRIMARY KEY);"
        "CREATE TABLE things (name TEXT REFERENCES parents (name) DEFERRABLE INITIALLY DEFERRED)"
    )
    database = open_database(path, 1, schema, durable=False)
    database.execute("PRAGMA foreign_keys=ON")
    with pytest.raises(sqlite3.IntegrityError), transaction(database):
        database.execute("INSERT INTO things VALUES ('orphan')")
    with transaction(database):
        database.execute("INSERT INTO parents VALUES ('orphan')")
    database.close()
    assert names(path) == []


def lock_in_another_process(folder: Path) -> subprocess.Popen[str]:
    """Start a process that locks the folder until its standard input ends; wait until it has it."""
    script = (
        "import sys; from pathlib import Path; from whoismesh.storage import lock_folder\n"
        "file = lock_folder(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_folder_has_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "LOCK_WAIT_S", 0.0)
    folder = tmp_path / "deep" / "state"
    with lock_in_another_process(folder) as other:
        with pytest.raises(TryAgainError) as caught:
            lock_folder(folder)
        assert str(caught.value) == f"{folder}: in use by process {other.pid}; stop it or give another --state"
        assert caught.value.exit_code == 75
        other.kill()
        other.wait()
        # A lock dies with its process, however it ended, and nothing needs tidying up.
        mine = lock_folder(folder)
        assert (folder / "lock").read_text() == str(os.getpid())
        mine.close()


def test_a_folder_that_is_let_go_while_waiting_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lock_folder(tmp_path)
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: first.close())
    lock_folder(tmp_path).close()
    assert first.closed


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(StateError, match="cannot be used as a state folder"):
            lock_folder(folder)
