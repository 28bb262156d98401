"""The import of bulk files into a ledger: read in a thread of its own, taken in as fast as the disk takes it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from whoismesh.bulk.files import FileReport, read_files
from whoismesh.errors import TryAgainError
from whoismesh.ledger import Ledger
from whoismesh.ledger.events import Import, Imported, ImportOver, Note
from whoismesh.notify import Notifier
from whoismesh.storage import disk_error

#: A step of an import may take so many watchdog periods where a commit may take one: SQLite sorts millions of ranges.
PERIODS = 10.0


async def import_files(
    files: Sequence[Path],
    state: Path,
    ledger: Ledger,
    notifier: Notifier,
    *,
    room: Callable[[], Awaitable[bool]],
    on_event: Callable[[Import | Imported | ImportOver], None],
    on_note: Callable[[Note], None],
) -> None:
    """Let the engine take in what the files hold, until all is read or `room` says no: it waits for the disk.

    Raises TryAgainError and StateError.
    """
    loop = asyncio.get_running_loop()
    steps = read_files(files, ledger.coverage.space, state, ledger.bulk.imported)
    executor = ThreadPoolExecutor(1, "bulk")
    try:
        while True:
            with notifier.expecting("reading bulk files", PERIODS):
                step = await loop.run_in_executor(executor, next, steps, None)
            if step is None:
                break
            if not await room():
                return
            networks = tuple((each.registry, each.range, each.payload) for each in step.networks)
            on_event(Import(networks, step.progress))
            if step.done is not None:
                _tell(step.done, on_note)
                if step.done.whole:
                    on_event(Imported(step.done.digest, step.done.to_map()))
        on_event(ImportOver())
    except sqlite3.Error as error:
        raise disk_error(state, "bulk files cannot be imported", error) from None
    except OSError as error:
        raise TryAgainError(f"crawl.bulk: {error.filename}: cannot be read: {error.strerror}") from None
    finally:
        await loop.run_in_executor(executor, steps.close)
        executor.shutdown(wait=False)


def _tell(report: FileReport, on_note: Callable[[Note], None]) -> None:
    for problem in report.problems:
        on_note(Note("bulk_malformed", {"where": problem}, "warning"))
    on_note(Note("bulk_read", report.to_map()))
