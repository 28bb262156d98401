"""What bulk files and an older dump bring to a crawl: networks that need no lookup, stored by results of our own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from whoismesh.addresses import Range
from whoismesh.compounds import ASSIGNMENT, BULK, IMPORTED, Result
from whoismesh.ledger.coverage import Coverage
from whoismesh.ledger.events import Import, Imported
from whoismesh.ledger.own_results import OwnResults
from whoismesh.packing import NotPackedError, pack, unpack


class Bulk:
    """The import, as the ledger sees it.

    From `begin` on until all is read and stored (`running`) nothing is lent: what the files hold must not be asked.
    `progress` is what is told to those who watch, `imported` what is known of each file by its digest.
    """

    def __init__(self, coverage: Coverage) -> None:
        self.running = False
        self.progress: Mapping[str, Any] | None = None
        self.imported: dict[str, dict[str, Any]] = {}
        self._coverage = coverage
        self._known = 0
        self._under_way = 0
        self._read = True

    def begin(self) -> None:
        """Wait for bulk files: they are about to be read."""
        self.running, self._read = True, False

    def over(self) -> None:
        """Note that all is read."""
        self._read, self.progress = True, None
        self.running = self._under_way > 0

    def settled(self) -> None:
        """Note that a network of ours is stored, and settled."""
        self._under_way = max(0, self._under_way - 1)
        self.running = self.running and not (self._read and self._under_way == 0)

    def results(self, event: Import, own: OwnResults) -> list[Result]:
        """Return results for the networks that hold anything that no network holds yet.

        So a file that is read again, whole or from where a crash left it, brings nothing twice.
        """
        self.progress = event.progress
        found = []
        for registry, where, payload in event.networks:
            inside = event.inside.get(where, ())
            if self._is_held(where):
                self._known += 1 + len(inside)
                continue
            self._under_way += 1
            # Those inside come first: what is settled is whole, as after a descent.
            found += [own.make(ASSIGNMENT, part, name, payload=record) for name, part, record in inside]
            found.append(own.make(BULK, where, registry, payload=payload))
        return found

    def _is_held(self, where: Range) -> bool:
        parts = [gap for part in self._coverage.space.present(where) for gap in self._coverage.reserved.missing(part)]
        return not any(self._coverage.held.missing(part) for part in parts)

    def result_of_file(self, event: Imported, own: OwnResults) -> Result:
        """Return the result that says that a file was read to its end."""
        known, self._known = self._known, 0
        told = event.report | {"digest": event.digest, "known": known}
        return own.make(IMPORTED, Range(4, 0, 0), payload=pack(told))

    def stored(self, result: Result) -> None:
        """Note that a file was read."""
        try:
            told = unpack(result.payload)
        except NotPackedError:
            return  # a damaged row: the file is read once more, and brings nothing
        self.imported[str(told.get("digest", ""))] = told


def reports(imported: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for people of each file that was read."""
    lines = []
    for told in imported:
        skipped = dict(told.get("skipped", {})) | {"known": told.get("known", 0)}
        taken = told.get("taken", 0) - told.get("known", 0)
        why = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in skipped.items() if count)
        lines.append(
            f"{told.get('file')}: {taken:,} networks of {told.get('objects', 0):,} objects"
            + (f" ({why})" if why else "")
        )
    return lines
