"""Writing a dump from a coordinator's state: networks from the store, everything else from the ledger's coverage.

Apart from `dump`, because reading one needs neither the ledger nor what understands the registries' answers.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.answers.cymru import NOBODY, Origin
from whoismesh.dump_file import header_of, write_records
from whoismesh.errors import DumpError
from whoismesh.ledger import Ledger
from whoismesh.networks import COMPARED_FIELDS, Network, Unheld
from whoismesh.packing import NotPackedError, pack, unpack
from whoismesh.storage import disk_error
from whoismesh.store import LedgerStore


def write_dump(state: Path, path: Path, compress: str | None = None) -> None:
    """Write the dump of a coordinator's state folder, whether the crawl is running or not.

    `compress` is None or "zstd". The file appears whole or not at all. Raises StateError for the state, DumpError if
    the file cannot be written, TryAgainError if a disk is full, UnavailableError if a package is missing.
    """
    store = LedgerStore.read(state)
    try:
        with store.snapshot():
            write_records(path, *_records(store), compress)
    except sqlite3.Error as error:
        raise disk_error(state, "cannot be read", error) from None
    finally:
        store.close()


def _records(store: LedgerStore) -> tuple[dict[str, Any], Iterator[tuple[str, bytes]]]:
    """Return the header and all records between it and the footer, as (kind, packed)."""
    crawl = store.crawl()
    ledger = Ledger(crawl.id, crawl.space, {}, attempts=crawl.attempts)
    for result in store.results():
        ledger.replay(result)
    coverage = ledger.coverage
    unheld = heapq.merge(
        (
            Unheld("unallocated", part, "no registry knows a registration")
            for each in coverage.unallocated
            for part in coverage.delegated.missing(each)
        ),
        (
            Unheld("unallocated", part, reason, "delegated")
            for each, reason in sorted(ledger.account.delegated)
            for part in coverage.delegated.present(each)
        ),
        (Unheld("reserved", each, "special-purpose, or given to no registry by IANA") for each in coverage.reserved),
        _failed(ledger),
        key=lambda record: record.range,
    )
    store.gather_origins()
    disagreements = _Disagreements(store)
    networks = (
        (where, "network", disagreements.beside(where, _network_record(where, registry, payload, origin)))
        for where, registry, payload, origin in _with_origins(store)
        # The ledger has settled nothing by those that cannot be true. What lies in a network, and beyond the space of
        # the crawl, was not asked for.
        if iana.is_plausible(where) and coverage.space.meets(where)
    )
    records = heapq.merge(
        networks,
        ((record.range, record.kind, pack(record.to_map())) for record in unheld),
        key=lambda record: record[0],
    )
    header = header_of(
        map(str, crawl.space),
        complete=coverage.complete,
        crawl=crawl.id,
        depth=crawl.depth,
        started_at=crawl.started_at,
    )
    return header, ((kind, record) for _, kind, record in records)


def _with_origins(store: LedgerStore) -> Iterator[tuple[Range, str, bytes, Origin]]:
    """Yield (range, registry, payload, origin) of all networks: both come sorted, so one look ahead is enough."""
    origins = store.origins()
    ahead = next(origins, None)
    for where, registry, payload in store.networks():
        while ahead is not None and ahead[0] < where:
            ahead = next(origins, None)
        told = ahead is not None and ahead[0] == where
        yield where, registry, payload, Origin(*ahead[1:]) if told and ahead is not None else NOBODY


def _network_record(where: Range, registry: str, payload: bytes, origin: Origin) -> bytes:
    """Return the payload of a network if it is its record, with who announces it.

    The coordinator does not look into payloads; where a damaged host sent another thing, what is known without it
    stands in, so that one record cannot make a dump unreadable.
    """
    with contextlib.suppress(NotPackedError, DumpError):
        record = unpack(payload)
        if Network.from_map(record).range == where and record.get("kind") == "network":
            if origin is NOBODY:
                return payload
            return pack(record | {"asn": origin.asn, "asn_cidr": origin.cidr})
    return pack(Network(registry, where, asn=origin.asn, asn_cidr=origin.cidr).to_map())


class _Disagreements:
    """What the other protocol said, put beside the networks: both come sorted, and one record is held at a time."""

    def __init__(self, store: LedgerStore) -> None:
        self._coming = store.disagreements()
        self._next = next(self._coming, None)

    def beside(self, where: Range, record: bytes) -> bytes:
        """Return a network's record with the other one in it, if there is one. To be called in the networks' order."""
        while self._next is not None and self._next[0] < where:
            self._next = next(self._coming, None)  # of a network whose result is still on its way
        if self._next is None or self._next[0] != where:
            return record
        fields = [field for field in COMPARED_FIELDS if field in self._next[1]]
        with contextlib.suppress(NotPackedError, DumpError):
            also = replace(Network.from_map(unpack(self._next[2])), also=None, differs=())
            values = unpack(record)
            if fields and also.source != values.get("source", "rdap"):
                return pack({**values, "also": also.to_map(), "differs": fields})
        return record


def _failed(ledger: Ledger) -> Iterator[Unheld]:
    """Yield failed ranges, each with the reason of the first lookup in it that failed."""
    reasons = sorted(ledger.failures)
    for each in ledger.coverage.failed:
        index = bisect_left(reasons, (Range(each.family, each.first, each.first), ""))
        inside = index < len(reasons) and each.contains(reasons[index][0])
        yield Unheld("failed", each, reasons[index][1] if inside else "could not be looked up")
