"""Looking addresses up in a dump of any size at once: its index, mapped into memory and never loaded whole.

The index of `results.msgpack` is `results.msgpack.index`. It holds the size of its dump and a digest of its ends (the
footer there has the digest of all of it), so one that is not of this very dump is never used.

Imports are few on purpose: a lookup is a process of its own, and most of its time is starting. What makes an index, and
what reads a record into an object, comes in when it is needed.
"""

from __future__ import annotations

import mmap
import os
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.errors import DumpError
from whoismesh.index_layout import HEADER_BYTES, MAGIC, NONE, TABLES
from whoismesh.packing import NotPackedError, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from whoismesh.networks import Record

#: Dumps up to so many bytes (some 2,000 networks) get no file beside them: they are read in 50 ms.
SMALL_BYTES = 1024 * 1024
#: So much of each end of a dump goes into its fingerprint.
_END_BYTES = 4096
_LOW = (1 << 64) - 1


class StaleIndexError(DumpError):
    """An index is of another dump, or was made by another version or another kind of machine."""


def index_path(dump: str | os.PathLike[str]) -> str:
    """Return where the index of a dump lies."""
    return f"{os.fspath(dump)}.index"


def fingerprint(dump: str | os.PathLike[str]) -> bytes:
    """Return what tells a dump from every other one: its size and its two ends. Raises DumpError."""
    try:
        with open(dump, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            begins = file.read(_END_BYTES)
            file.seek(max(0, size - _END_BYTES))
            return size.to_bytes(8) + begins + file.read(_END_BYTES)
    except OSError as error:
        raise DumpError(f"{os.fspath(dump)}: cannot be read: {error.strerror}") from None


def open_index(dump: str | os.PathLike[str], on_building: Callable[[str], None] | None = None) -> Index:
    """Open the index of a dump; make it first where there is none, or an old one.

    It is kept beside the dump where that is larger than SMALL_BYTES, whole, and its folder can be written to; else it
    is made for this one time. `on_building` is told where it will be, or "" for nowhere. Raises DumpError.
    """
    mark = fingerprint(dump)
    path = index_path(dump)
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by Index
    except OSError:
        pass
    else:
        try:
            return Index(file, dump, mark)
        except StaleIndexError:
            file.close()
    from whoismesh import index_writer

    kept = int.from_bytes(mark[:8]) > SMALL_BYTES and os.access(path.rpartition("/")[0] or ".", os.W_OK)
    if on_building is not None:
        on_building(path if kept else "")
    return Index(index_writer.build(dump, path if kept else None, mark), dump, mark)


class Index:
    """An open index. Records are numbered in the order of the dump.

    `problem` says what is wrong with the dump, if anything: then the index tells of what can be read.

    >>> index = open_index("results.msgpack")       # doctest: +SKIP
    >>> index.line(index.find(4, 0xC0000201))       # doctest: +SKIP
    """

    def __init__(self, file: IO[bytes], dump: str | os.PathLike[str], mark: bytes) -> None:
        """Map an index file. Raises StaleIndexError where it is not the one of a dump with that fingerprint."""
        self._dump = os.fspath(dump)
        self._file = file
        self._dump_file: IO[bytes] | None = None
        header, self._map = _header(file)
        if header.get("fingerprint") != mark or header.get("byte_order") != sys.byteorder:
            raise StaleIndexError(f"{self._dump}: its index is of another dump")
        self.problem = str(header.get("problem", ""))
        whole = memoryview(self._map)
        try:
            tables = {name: whole[slice(*header["tables"][name])].cast(code) for name, code in TABLES.items()}  # type: ignore[call-overload]
        except (KeyError, TypeError, ValueError):
            raise StaleIndexError(f"{self._dump}: its index is damaged") from None
        self._tables = tables
        self._line_ends = tables["line_ends"]
        self._chain_record, self._chain_around = tables["chain_record"], tables["chain_around"]
        self._first_4, self._chain_4 = tables["first_4"], tables["chain_4"]
        self._high_6, self._low_6, self._chain_6 = tables["high_6"], tables["low_6"], tables["chain_6"]

    def __len__(self) -> int:
        """Count of records."""
        return len(self._line_ends) - 1

    def find(self, family: int, address: int) -> int | None:
        """Return the number of the most specific record that holds an address, or None."""
        chain = self._chain(family, self._at(family, address))
        return None if chain == NONE else self._chain_record[chain]

    def around(self, family: int, address: int) -> list[int]:
        """Return the numbers of all records that hold an address, the most specific first."""
        found = []
        chain = self._chain(family, self._at(family, address))
        while chain != NONE:
            found.append(self._chain_record[chain])
            chain = self._chain_around[chain]
        return found

    def holders(self, wanted: Range) -> list[int]:
        """Return the numbers of all records that hold a whole range, the most specific first."""
        found = self.around(wanted.family, wanted.first)
        return [each for each in found if self.record(each).range.contains(wanted)]

    def parts(self, wanted: Range) -> Iterator[tuple[Range, int | None]]:
        """Yield the stretches of a range, in order, each with the number of the record that answers there, or None."""
        family, first, last = wanted
        at = self._at(family, first)
        count = len(self._chain_4 if family == 4 else self._chain_6)
        begins, answers = first, self._answer(family, at)
        while at + 1 < count and (following := self._first(family, at + 1)) <= last:
            at += 1
            answer = self._answer(family, at)
            if answer != answers:
                yield Range(family, begins, following - 1), answers
                begins, answers = following, answer
        yield Range(family, begins, last), answers

    def line(self, number: int) -> bytes:
        """Return a record in one line of UTF-8."""
        return self._map[self._line_ends[number] : self._line_ends[number + 1]]

    def record(self, number: int) -> Record:
        """Return a record. Raises DumpError."""
        from whoismesh.dump import read_record

        return read_record(self.values(number), self._dump)

    def values(self, number: int) -> Any:
        """Return the map that a record is in the dump; it was one when the index was made. Raises DumpError."""
        ends = self._tables["record_ends"]
        begins, after = ends[number], ends[number + 1]
        try:
            if len(self._tables["records"]):
                return unpack(self._tables["records"][begins:after])
            if self._dump_file is None:
                self._dump_file = open(self._dump, "rb")  # noqa: SIM115 - closed by close()
            return unpack(os.pread(self._dump_file.fileno(), after - begins, begins))
        except OSError as error:
            raise DumpError(f"{self._dump}: cannot be read: {error.strerror}") from None
        except NotPackedError:
            raise DumpError(f"{self._dump}: is damaged at byte {begins}; write it again from the state") from None

    def copied(self, *names: str) -> list[array[int]]:
        """Return copies of tables, which a loop over a million addresses reads faster than where they lie.

        `line_ends` says where lines lie in `mapped`.
        """
        found = []
        for name in names:
            table = array(TABLES[name])
            table.frombytes(self._tables[name].cast("B"))
            found.append(table)
        return found

    @property
    def mapped(self) -> mmap.mmap:
        """The bytes of the index."""
        return self._map

    def _at(self, family: int, address: int) -> int:
        """Return the number of the stretch that an address lies in."""
        if not 0 <= address <= MAX_ADDRESS[family]:
            raise ValueError(f"{address} is no address of IPv{family}")
        if family == 4:
            return bisect_right(self._first_4, address) - 1
        high, low = address >> 64, address & _LOW
        end = bisect_right(self._high_6, high)
        begin = bisect_left(self._high_6, high, 0, end)
        return bisect_right(self._low_6, low, begin, end) - 1

    def _chain(self, family: int, at: int) -> int:
        return int(self._chain_4[at] if family == 4 else self._chain_6[at])

    def _answer(self, family: int, at: int) -> int | None:
        chain = self._chain(family, at)
        return None if chain == NONE else int(self._chain_record[chain])

    def _first(self, family: int, at: int) -> int:
        return int(self._first_4[at]) if family == 4 else int(self._high_6[at]) << 64 | int(self._low_6[at])

    def close(self) -> None:
        """Close the files; what was mapped goes with the last use of it."""
        self._file.close()
        if self._dump_file is not None:
            self._dump_file.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _header(file: IO[bytes]) -> tuple[dict[str, Any], mmap.mmap]:
    """Return header and mapping of an index file. Raises StaleIndexError if it is none of this version."""
    try:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if mapped[: len(MAGIC)] == MAGIC:
            size = int.from_bytes(mapped[len(MAGIC) : len(MAGIC) + 4])
            header = unpack(mapped[len(MAGIC) + 4 : len(MAGIC) + 4 + min(size, HEADER_BYTES)])
            if isinstance(header, dict) and header.get("bytes") == len(mapped):
                return header, mapped
    except (OSError, ValueError):  # it is empty, or no file
        pass
    raise StaleIndexError("no index")
