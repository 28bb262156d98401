"""Reading an older dump for what a crawl takes over, in the steps in which bulk files are read."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from whoismesh.bulk.files import BulkNetwork, FileReport, Step
from whoismesh.depth import ALLOCATIONS
from whoismesh.dump import Dump, open_dump
from whoismesh.errors import ConfigError, DumpError
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.prior_files import prior_rows
from whoismesh.rangesets import RangeSet
from whoismesh.refresh import Freshness, kept

#: Networks of one step, those in others counted: a few transactions of the store.
_MOST_NETWORKS = 1_000
#: Records that are only counted in one step: about a second.
_RECORDS_AT_ONCE = 20_000


def check_older(path: Path | None, depth: str) -> None:
    """See that a file is a dump of a crawl of that depth. Raises ConfigError."""
    if path is None:
        return
    try:
        with open_dump(path) as dump:
            found = dump.header.get("depth", ALLOCATIONS)
    except DumpError as error:
        raise ConfigError(f"crawl.since: {error}") from None
    if found != depth:
        raise ConfigError(
            f"crawl.since: {path}: was crawled with depth {found}, and this crawl has {depth}: "
            f"set crawl.depth to {found}, or crawl without it"
        )


def read_older(
    path: Path,
    space: RangeSet,
    imported: Mapping[str, object],
    prior: Iterable[Path],
    now: float,
    older_than_s: float,
) -> Generator[Step]:
    """Read the networks of a dump that need not be asked about; one that was read to its end before is not read again.

    `now` is when the crawl began: ages are those of that time. Raises ConfigError if the dump is cut short or damaged.
    """
    with open_dump(path) as dump:
        size = 0
        try:
            for size, _ in enumerate(dump, 1):
                if size % _RECORDS_AT_ONCE == 0:
                    yield Step(path, True, 0.0, size)
        except DumpError as error:
            raise ConfigError(f"crawl.since: {error}") from None  # before anything of it is taken
        assert dump.footer is not None
        report = FileReport(path, f"{dump.footer['sha256']} of at most {older_than_s:g} s")
        if report.digest in imported:
            return
        records = _Counted(dump)
        freshness = Freshness(now, older_than_s, prior_rows(prior, space))
        waiting: list[BulkNetwork] = []
        count = 0
        for network, inside in kept(records, space, freshness.why_left, report.skipped):
            waiting.append(replace(_given(network), inside=tuple(map(_given, inside))))
            report.taken += 1 + len(inside)
            report.objects = records.networks
            count += 1 + len(inside)
            if count >= _MOST_NETWORKS:
                yield Step(path, False, records.seen / size, report.objects, tuple(waiting))
                waiting, count = [], 0
        report.objects = records.networks
        yield Step(path, False, 1.0, report.objects, tuple(waiting), report)


class _Counted:
    """A dump's records, counted while they pass by."""

    def __init__(self, dump: Dump) -> None:
        self._dump = dump
        self.seen = self.networks = 0

    def __iter__(self) -> Generator[Network]:
        for record in self._dump:
            self.seen += 1
            if isinstance(record, Network):
                self.networks += 1
                yield record


def _given(record: Network) -> BulkNetwork:
    """Return a record as it goes into the store: as it was, with its time and source, and of sensible length."""
    also = record.also.shortened() if record.also is not None else None
    payload = pack(replace(record.shortened(), also=also).to_map())
    return BulkNetwork(record.registry, record.range, payload)
