"""Reading the prior's files, plain or gzipped, line by line; what is wrong with any of them is told at once."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from whoismesh.addresses import Range
from whoismesh.delegated import Delegation, Problems, read
from whoismesh.errors import ConfigError
from whoismesh.prior import Prior, prior_of
from whoismesh.rangesets import RangeSet


def load_prior(paths: Iterable[str | Path], space: Iterable[Range], *, settles: bool = True) -> Prior:
    """Read delegated files. Without `settles` what they call free is asked about like all else.

    Raises ConfigError with every problem, up to MAX_PROBLEMS, each with its file and line.
    """
    problems = Problems()
    prior = prior_of((row for path in paths for row in _rows(path, problems)), RangeSet(space))
    problems.raise_any()
    return prior if settles else replace(prior, free={})


def prior_rows(paths: Iterable[str | Path], space: RangeSet) -> list[Delegation]:
    """Return the rows of delegated files that meet a space. Raises ConfigError as `load_prior` does."""
    problems = Problems()
    rows = [row for path in paths for row in _rows(path, problems) if space.meets(row.range)]
    problems.raise_any()
    return rows


def check_prior(paths: Iterable[str | Path]) -> None:
    """Read delegated files only to see what is wrong with them. Raises ConfigError as `load_prior` does."""
    problems = Problems()
    for path in paths:
        for _ in _rows(path, problems):
            pass
    problems.raise_any()


def _rows(path: str | Path, problems: Problems) -> Iterator[Delegation]:
    problems.file = str(path)
    found = False
    try:
        with open(path, "rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"  # RFC 1952 section 2.3.1: what every gzip member begins with
            plain: Any = gzip.GzipFile(fileobj=file) if packed else file
            with io.TextIOWrapper(plain, encoding="utf-8") as lines:
                for row in read(lines, problems):
                    found = True
                    yield row
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no delegated statistics file: not UTF-8 text ({error.reason})") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:  # the last is a NUL in the name
        raise ConfigError(f"{path}: the prior cannot be read: {_said(error)}") from None
    if not found:
        problems.add(1, "expected a delegated-extended statistics file, found no row of addresses")


def _said(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
