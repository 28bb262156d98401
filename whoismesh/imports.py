"""What a coordinator reads before anything is lent: bulk files, and an older dump after them, for it is older."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from whoismesh.bulk.files import Step, check_files, read_files
from whoismesh.rangesets import RangeSet
from whoismesh.refresh_files import check_older, read_older
from whoismesh.settings import Settings


def check_imports(settings: Settings) -> None:
    """See that all that is to be read can be. Raises ConfigError."""
    check_files(settings.bulk)
    check_older(settings.since, settings.depth)


def has_imports(settings: Settings) -> bool:
    """Tell whether there is anything to read."""
    return bool(settings.bulk) or settings.since is not None


def read_imports(
    settings: Settings, space: RangeSet, state: Path, imported: Mapping[str, object], began_at: float
) -> Generator[Step]:
    """Read all of it, but what is in `imported`; `began_at` is when the crawl began.

    Raises ConfigError if the older dump is damaged, OSError, sqlite3.Error.
    """
    yield from read_files(settings.bulk, space, state, imported)
    if settings.since is not None:
        yield from read_older(settings.since, space, imported, settings.prior, began_at, settings.older_than_s)
