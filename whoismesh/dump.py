"""The dump: a snapshot as a msgpack stream, read back without loading it whole. `dump_writer` writes it.

The first record is the header, the last the footer with counts and a digest; between them one map a record, sorted
by family and first address. A file cut short is readable to its last whole record.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whoismesh.addresses import Range
from whoismesh.compression import ZSTD_MAGIC, Decompressed
from whoismesh.errors import AddressError, DumpError
from whoismesh.networks import COMPARED_FIELDS, UNHELD_KINDS, Network, Record, Unheld
from whoismesh.packing import CutShortError, NotPackedError, Readable, pack, unpack_stream
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES
from whoismesh.segments import range_of, segments

FORMAT = "whoismesh-dump"
VERSION = 1


def footer_of(counts: Counter[str], sha256: str) -> dict[str, Any]:
    """Return the last record: how many of each kind there are, and the digest of all before it."""
    return {"kind": "footer", "records": counts.total(), "counts": dict(counts), "sha256": sha256}


# -- reading ------------------------------------------------------------------------------------------------------


class Dump:
    """An open dump, plain or compressed. Iterate over it for its records, in order.

    `header` and, after the last record, `footer` are maps.

    Iteration raises DumpError after the last whole record if the file is cut short, damaged or does not match its
    footer; `whole_records` leaves it at a `problem`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.footer: Mapping[str, Any] | None = None
        self.problem = ""
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise DumpError(f"{self.path}: cannot be read: {error.strerror}") from None
        try:
            self.compressed = self._file.read(len(ZSTD_MAGIC)) == ZSTD_MAGIC
            self.header = self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _stream(self) -> Readable:
        """Return the dump's bytes from the beginning, plain."""
        self._file.seek(0)
        return Decompressed(self._file) if self.compressed else self._file

    def _read_header(self) -> Mapping[str, Any]:
        try:
            header, _ = next(unpack_stream(self._stream(), 4096))
        except (NotPackedError, CutShortError, StopIteration):
            header = None
        if not isinstance(header, dict) or header.get("format") != FORMAT:
            raise DumpError(f"{self.path}: is no whoismesh dump; expected a file that `whoismesh dump` wrote")
        if header.get("version") != VERSION:
            raise DumpError(
                f"{self.path}: is a dump of version {header.get('version')}, this program reads {VERSION}; "
                "use another version of whoismesh"
            )
        return header

    @property
    def space(self) -> tuple[Range, ...]:
        """The space that was crawled. Raises DumpError if the header has none."""
        try:
            return tuple(Range.parse(text) for text in self.header["space"])
        except (KeyError, TypeError, AttributeError, AddressError):
            raise DumpError(f"{self.path}: its header names no space") from None

    def __iter__(self) -> Iterator[Record]:
        for record, _, _ in self.located():
            yield record

    def located(self) -> Iterator[tuple[Record, int, int]]:
        """Yield (record, where its bytes begin, where they end) of all records; raises DumpError as iteration does.

        The places are those of the plain bytes, also in a compressed dump.
        """
        self.footer = None
        hashed = _HashedFile(self._stream())
        count = -1
        begins = 0
        counts: Counter[str] = Counter()
        try:
            for record, ends in unpack_stream(hashed):
                count += 1
                hashed.last_begins = begins
                begins, began = ends, begins
                if count == 0:
                    continue
                if self.footer is not None or not isinstance(record, dict):
                    raise DumpError(f"{self.path}: is damaged after {count - 1} records")
                if record.get("kind") == "footer":
                    self.footer = record
                    continue
                found = read_record(record, self.path)
                counts[record["kind"]] += 1
                yield found, began, ends
        except CutShortError:
            raise DumpError(self._cut_short(count)) from None
        except NotPackedError:
            raise DumpError(f"{self.path}: is damaged after {max(count, 0)} records") from None
        if self.footer is None:
            raise DumpError(self._cut_short(count))
        if pack(self.footer) != pack(footer_of(counts, hashed.digest())):
            raise DumpError(f"{self.path}: does not match its footer: it was changed; write it again from the state")

    def whole_records(self) -> Iterator[Record]:
        """Yield the records as far as they can be read; `problem` says afterwards what is wrong with the file."""
        self.problem = ""
        try:
            yield from self
        except DumpError as error:
            self.problem = str(error)

    def _cut_short(self, count: int) -> str:
        return (
            f"{self.path}: is cut short after {max(count, 0)} whole records; "
            "write it again with `whoismesh dump --state DIR FILE`"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Dump:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_record(record: Any, path: str | os.PathLike[str]) -> Record:
    """Return the record that a map of a dump is. Raises DumpError that names the dump."""
    try:
        kind = record.get("kind")
        if kind == "network":
            return Network.from_map(record)
        if kind in UNHELD_KINDS:
            where = Range.from_bytes(record["first"], record["last"])
            return Unheld(kind, where, str(record.get("reason", "")), str(record.get("source", "")))
    except DumpError as error:
        raise DumpError(f"{path}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DumpError(f"{path}: a record is not one: {error!r}") from None
    raise DumpError(f"{path}: has a record of unknown kind {kind!r}")


class _HashedFile:
    """A file that hashes what is read, up to where the last record begins (a footer is not part of its own digest)."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._pending = b""
        self._hashed = 0
        self.last_begins = 0

    def read(self, size: int) -> bytes:
        self._catch_up()
        chunk = self._file.read(size)
        self._pending += chunk
        return chunk

    def _catch_up(self) -> None:
        sure = self.last_begins - self._hashed
        self._hash.update(self._pending[:sure])
        self._pending = self._pending[sure:]
        self._hashed += sure

    def digest(self) -> str:
        self._catch_up()
        return self._hash.hexdigest()


def open_dump(path: str | os.PathLike[str]) -> Dump:
    """Open a dump for reading. Raises DumpError if it is none.

    >>> with open_dump("results.msgpack") as dump:       # doctest: +SKIP
    ...     for record in dump:
    ...         print(record.range, getattr(record, "name", None))
    """
    return Dump(path)


# -- what is in it ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Statistics:
    """What a dump holds. Addresses are counted once, by what answers for them; v4 and v6 together.

    `addresses` are those of all networks, also beyond the space; `held` those of the space. `announced` counts the
    networks whose origin AS is known, `disagreements` those of which the other protocol says something else; a
    registry's row counts the fields. `problem` says what is wrong with the file, if anything.
    """

    space: int = 0
    networks: int = 0
    announced: int = 0
    addresses: int = 0
    held: int = 0
    unallocated: int = 0
    reserved: int = 0
    failed: int = 0
    disagreements: int = 0
    complete: bool = False
    by_registry: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {registry: _empty_row() for registry in REGISTRIES}
    )
    problem: str = ""

    @property
    def settled(self) -> int:
        """Addresses of the space that are accounted for."""
        return self.held + self.unallocated + self.reserved + self.failed

    def to_map(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "networks": self.networks,
            "announced": self.announced,
            "addresses": self.addresses,
            "space": self.space,
            "settled": self.settled,
            "held": self.held,
            "unallocated": self.unallocated,
            "reserved": self.reserved,
            "failed": self.failed,
            "disagreements": self.disagreements,
            "complete": self.complete,
            "by_registry": self.by_registry,
        }


def _empty_row() -> dict[str, Any]:
    return {"networks": 0, "addresses": 0, "disagreements": dict.fromkeys(COMPARED_FIELDS, 0)}


def statistics(dump: Dump) -> Statistics:
    """Count what is in a dump, in one pass. A file that is cut short is counted as far as it is whole (`problem`)."""
    found = Statistics(complete=bool(dump.header.get("complete")))
    space = RangeSet(dump.space)
    found.space = space.size
    reached: dict[tuple[str, int], int] = {}

    def counted() -> Iterator[Record]:
        for record in dump.whole_records():
            if isinstance(record, Network):
                found.networks += 1
                found.announced += record.asn is not None
                found.disagreements += record.also is not None
                row = found.by_registry.setdefault(record.registry, _empty_row())
                row["networks"] += 1
                for each in record.differs:
                    row["disagreements"][each] = row["disagreements"].get(each, 0) + 1
                # The part beyond all earlier ones of the registry: records come sorted by first address.
                family, first, last = record.range
                beyond = max(first, reached.get((record.registry, family), -1) + 1)
                if beyond <= last:
                    reached[record.registry, family] = last
                    row["addresses"] += last - beyond + 1
            yield record

    try:
        for first, last, over in segments(counted()):
            part = range_of(first, last)
            if any(isinstance(each, Network) for each in over):
                found.addresses += part.size
            if isinstance(over[0], Network):
                found.held += sum(each.size for each in space.present(part))
            else:
                setattr(found, over[0].kind, getattr(found, over[0].kind) + part.size)
    except ValueError as error:
        dump.problem = f"{dump.path}: is not in order: {error}; write it again from the state"
    found.problem = dump.problem
    found.complete = found.complete and not dump.problem
    return found
