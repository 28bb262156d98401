"""What servers need of a dump, and nothing else: the records around a range, and of when they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from whoismesh.addresses import Range
from whoismesh.dump import open_dump
from whoismesh.index import Index, open_index
from whoismesh.networks import Record
from whoismesh.serving.instants import instant


class Snapshot(Protocol):
    """A snapshot that can be asked. `written_at` is the text of its time, RFC 3339; `name` is what it is called."""

    name: str
    written_at: str

    def around(self, wanted: Range) -> list[Record]:
        """Return the records that hold a whole range, the most specific first. Raises DumpError."""
        ...


class IndexedSnapshot:
    """A dump that is asked by its index, mapped into memory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the dump; make its index first where there is none. Raises DumpError."""
        with open_dump(path) as dump:
            self.written_at = instant(dump.header.get("written_at"))
        self.name = Path(path).name
        self._index: Index = open_index(path)
        if len(self._index):
            self._index.record(0)  # from now on the file is open, and may be replaced

    @property
    def problem(self) -> str:
        """What is wrong with the dump, or ""."""
        return self._index.problem

    def around(self, wanted: Range) -> list[Record]:
        """Return the records that hold a whole range, the most specific first. Raises DumpError."""
        around = self._index.around(wanted.family, wanted.first)
        return [record for record in map(self._index.record, around) if record.range.contains(wanted)]

    def close(self) -> None:
        """Close the files."""
        self._index.close()
