"""Making the index of a dump, in one pass over it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from whoismesh.addresses import Range
from whoismesh.dump import Dump, open_dump
from whoismesh.dump_file import packed
from whoismesh.errors import DumpError
from whoismesh.index_layout import HEADER_BYTES, MAGIC, NONE, TABLES
from whoismesh.one_line import one_line
from whoismesh.output_files import appearing
from whoismesh.packing import pack
from whoismesh.segments import IPV6_PLACE, segments

_LOW = (1 << 64) - 1
#: Chains are remembered, so that equal ones are kept once, until there are so many.
_REMEMBERED = 65_536


class _Numbered(NamedTuple):
    """A record's range and its number."""

    range: Range
    number: int


def build(dump: str | os.PathLike[str], path: str | None, mark: bytes) -> IO[bytes]:
    """Make the index of a dump in a file, or in one without a name; return it open.

    `mark` is the fingerprint of the dump. A dump that is cut short or damaged gets no file of its own: its index tells
    of what can be read, and what is wrong. Raises DumpError for a file that is no dump, or records out of order.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    try:
        with open_dump(dump) as opened:
            problem = _write(opened, file, mark)
        if path is None or problem:
            return file
        with appearing(Path(path)) as temporary, open(temporary, "wb") as kept:
            file.seek(0)
            shutil.copyfileobj(file, kept)
    except BaseException:
        file.close()
        raise
    file.close()
    return open(path, "rb")


def _write(dump: Dump, file: IO[bytes], mark: bytes) -> str:
    """Write an index; return what is wrong with the dump."""
    file.write(bytes(HEADER_BYTES))
    tables: dict[str, array[int]] = {name: array(code) for name, code in TABLES.items()}
    at: dict[str, tuple[int, int]] = {}
    ends = tables["line_ends"], tables["record_ends"]
    problem = ""
    # In a compressed dump no record can be read by itself, so the index has them all.
    copies = tempfile.TemporaryFile() if dump.compressed else None  # noqa: SIM115 - closed below

    def numbered() -> Iterator[_Numbered]:
        nonlocal problem
        size, after = HEADER_BYTES, 0
        try:
            for number, (record, begins, ends_at) in enumerate(dump.located()):
                after = ends_at
                line = one_line(record).encode("utf-8", "replace")
                file.write(line)
                if copies is not None:
                    begins = copies.tell()
                    copies.write(packed(record)[1])
                    after = copies.tell()
                ends[0].append(size)
                ends[1].append(begins)
                size += len(line)
                yield _Numbered(record.range, number)
        except DumpError as error:
            problem = str(error)
        ends[0].append(size)
        ends[1].append(after)

    try:
        _cut(numbered(), tables)
        at["lines"] = HEADER_BYTES, file.tell()
        begins = file.tell()
        if copies is not None:
            copies.seek(0)
            shutil.copyfileobj(copies, file)
        at["records"] = begins, file.tell()
    except ValueError as error:
        raise DumpError(f"{dump.path}: is not in order: {error}; write it again from the state") from None
    finally:
        if copies is not None:
            copies.close()
    for name, table in tables.items():
        if name not in at:
            file.write(bytes(-file.tell() % 8))
            begins = file.tell()
            table.tofile(file)
            at[name] = begins, file.tell()
    header: dict[str, Any] = {
        "fingerprint": mark,
        "byte_order": sys.byteorder,
        "problem": problem,
        "bytes": file.tell(),
        "tables": at,
    }
    first = pack(header)
    file.seek(0)
    file.write(MAGIC + len(first).to_bytes(4) + first)
    file.flush()
    return problem


def _cut(records: Iterator[_Numbered], tables: dict[str, array[int]]) -> None:
    """Fill the tables of stretches and chains."""
    first_4, chain_4, answer_4 = tables["first_4"], tables["chain_4"], tables["answer_4"]
    high_6, low_6, chain_6, answer_6 = tables["high_6"], tables["low_6"], tables["chain_6"], tables["answer_6"]
    chain_record, chain_around = tables["chain_record"], tables["chain_around"]
    known: dict[tuple[int, int], int] = {}

    def chain_of(over: tuple[_Numbered, ...]) -> int:
        chain = NONE
        for each in reversed(over):
            found = known.get((each.number, chain))
            if found is None:
                found = len(chain_record)
                known[each.number, chain] = found
                chain_record.append(each.number)
                chain_around.append(chain)
            chain = found
        return chain

    def begin(place: int, chain: int) -> None:
        answer = NONE if chain == NONE else chain_record[chain]
        if place < IPV6_PLACE:
            first_4.append(place)
            chain_4.append(chain)
            answer_4.append(answer)
        else:
            high_6.append((place - IPV6_PLACE) >> 64)
            low_6.append((place - IPV6_PLACE) & _LOW)
            chain_6.append(chain)
            answer_6.append(answer)

    reached = 0
    for first, last, over in segments(records):
        if reached < IPV6_PLACE <= first:
            if reached < 1 << 32:
                begin(reached, NONE)
            reached = IPV6_PLACE
        if first > reached:
            begin(reached, NONE)
        begin(first, chain_of(over))
        if len(known) > _REMEMBERED:
            known.clear()
        reached = last + 1
    if reached < 1 << 32:
        begin(reached, NONE)
    if reached < 2 * IPV6_PLACE:
        begin(max(reached, IPV6_PLACE), NONE)
