"""Bulk files as the registries publish them, made from a table: what RIPE NCC, APNIC and AFRINIC would have in theirs.

RIPE NCC and APNIC split theirs by class, AFRINIC has one of all classes. Beside the registrations there are the things
that real files hold: the whole address space as an object, pools, objects over foreign space, stubs of what was
transferred, assignments inside of allocations, and now and then an object that is broken. Objects come in no order.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from whoismesh import iana
from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.errors import UnavailableError
from whoismesh.practice import names, rpsl_answers, whois_answers
from whoismesh.practice.names import WORDS
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable
from whoismesh.practice.verdicts import judge
from whoismesh.practice.whois_queries import Query

#: File names by registry and class; one of all classes has the class "".
FILES = {
    "ripencc": {"inetnum": "ripe.db.inetnum.gz", "inet6num": "ripe.db.inet6num.gz"},
    "apnic": {"inetnum": "apnic.db.inetnum.gz", "inet6num": "apnic.db.inet6num.gz"},
    "afrinic": {"": "afrinic.db.gz"},
}

#: One registration in so many has assignments in it, one object in so many is broken.
_ASSIGNED_EVERY, _BROKEN_EVERY = 3, 500

_HEAD = "#\n# The contents of this file are made up from an allocation table, for practice.\n#\n"
_BROKEN = (
    "inetnum:        193.0.0.300 - 193.0.1.2\nnetname:        NO-RANGE\nsource:         {source}\n",
    "inetnum:        193.0.9.0 - 193.0.1.0\nnetname:        BACKWARDS\nsource:         {source}\n",
    "inetnum:        24.0.0.0 - 193.255.255.255\nnetname:        TOO-WIDE\nstatus:         ALLOCATED PA\n"
    "source:         {source}\n",
)


def write_bulk_files(table: AllocationTable, folder: Path) -> list[Path]:
    """Write the files of all three; return those that have anything in them. Raises UnavailableError."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for registry, files in FILES.items():
            objects = sorted(_objects(table, registry), key=lambda text: blake2b(text.encode(), digest_size=8).digest())
            for word, name in files.items():
                texts = [text for text in objects if not word or text.startswith(f"{word}:")]
                if not texts:
                    continue
                data = "\n".join((_HEAD, *texts)).encode(whois_answers.CHARSETS[registry], "replace")
                path = folder / name
                path.write_bytes(gzip.compress(data, 6, mtime=0))
                written.append(path)
    except OSError as error:
        raise UnavailableError(f"cannot write bulk files to {folder}: {error.strerror}") from error
    return written


def _objects(table: AllocationTable, registry: str) -> Iterator[str]:
    source = WORDS[registry].source
    for family in {row.range.family for row in table.rows()}:
        whole = Range(family, 0, MAX_ADDRESS[family])
        yield _object(whole, "IANA-BLK", "The whole address space", "ALLOCATED UNSPECIFIED", source)
    for block, home in iana.delegations():
        if home == registry:
            yield _object(block, f"EU-ZZ-{block.first >> 24}", "A pool", "ALLOCATED UNSPECIFIED", source)
    broken = 0
    for number, row in enumerate(table.rows()):
        if not row.held:
            continue
        foreign = row.registry != registry
        delegation = next(iter(iana.by_registry(row.range)))[1]
        if foreign and delegation != registry:
            continue
        # What port 43 answers: the registration with its organisation and route, or a stub over foreign space.
        verdict = judge(table, registry, Range(row.range.family, row.range.first, row.range.first))
        lines = rpsl_answers.answer(registry, verdict, Query(verdict.asked, unfiltered=True))
        yield from _blocks("\n".join(lines))
        if not foreign and number % _ASSIGNED_EVERY == 0:
            yield from _assignments(row, source)
        if number % _BROKEN_EVERY == 0:
            yield _BROKEN[broken % len(_BROKEN)].format(source=source)
            broken += 1


def _blocks(answer: str) -> Iterator[str]:
    """Yield the objects of an answer, without its comments."""
    for block in answer.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith("%")]
        if lines:
            yield "\n".join((*lines, ""))


def _assignments(row: Row, source: str) -> Iterator[str]:
    """Yield what a holder assigned out of its allocation: a part, and a part of that part."""
    found = row.range
    for _ in range(2):
        if found.size < 16:
            return
        found = Range(found.family, found.first, found.first + found.size // 4 - 1)
        yield _object(found, f"CUSTOMER-{names.netname(row)}", "A customer", "ASSIGNED PA", source)


def _object(found: Range, name: str, description: str, status: str, source: str) -> str:
    word = "inetnum" if found.family == 4 else "inet6num"
    fields = (
        (word, names.range_handle(found)),
        ("netname", name),
        ("descr", description),
        ("country", "EU"),
        ("status", status),
        ("mnt-by", f"{source}-PRACTICE-MNT"),
        ("source", source),
    )
    return "\n".join((*names.attributes(fields), ""))
