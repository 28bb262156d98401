"""Reading bulk files, plain or gzip, in two passes: first which registrations are the outermost, then what they are.

What comes out is steps of about half a second, so that whoever drives this can say how far it is, or stop.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from whoismesh.addresses import Range
from whoismesh.bulk.reading import Skipped, candidate_of, network_of, organisation_of
from whoismesh.bulk.selection import Selection
from whoismesh.bulk.splitting import Splitter
from whoismesh.errors import ConfigError
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.rangesets import RangeSet

#: Read at once from a file, bytes of text: some thousand objects.
_PIECE_BYTES = 1 << 20
#: Networks of one step: a few transactions of the store.
_MOST_NETWORKS = 1_000
#: Malformed objects of one file that are told with their lines; the rest is counted.
MOST_PROBLEMS = 20
#: What every gzip member begins with (RFC 1952 section 2.3.1).
_GZIP = b"\x1f\x8b"
_GZIP_MEMBER = 16 + zlib.MAX_WBITS
#: Packed bytes taken at once: so many are lost before a damage. What they hold is unpacked a piece at a time.
_PACKED_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class BulkNetwork:
    """A network as it goes into the store: `payload` is its packed record. `inside` are those that lie in it."""

    registry: str
    range: Range
    payload: bytes
    inside: tuple[BulkNetwork, ...] = ()


@dataclass(slots=True)
class FileReport:
    """What a file held. `digest` names its content, `problems` are lines for people: FILE:LINE: what is wrong."""

    path: Path
    digest: str
    objects: int = 0
    taken: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    whole: bool = True

    def to_map(self) -> dict[str, object]:
        """Return the counts as plain values."""
        skipped = {str(why): count for why, count in sorted(self.skipped.items())}
        return {"file": _name(self.path), "objects": self.objects, "taken": self.taken, "skipped": skipped}


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: the `share` of the file in this pass (0 to 1), networks found, and a file's report at its end."""

    path: Path
    reading: bool
    share: float
    objects: int
    networks: tuple[BulkNetwork, ...] = ()
    done: FileReport | None = None

    @property
    def progress(self) -> dict[str, object]:
        """The same for those who watch."""
        return {
            "file": _name(self.path),
            "reading": self.reading,
            "share": round(self.share, 3),
            "objects": self.objects,
        }


def check_files(paths: Sequence[Path]) -> None:
    """See that the files can be read. Raises ConfigError with all that cannot."""
    problems = []
    for path in paths:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                problems.append(f"crawl.bulk: {path}: is no regular file: expected one that can be read twice")
                continue
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:
            problems.append(f"crawl.bulk: {path}: cannot be read: {error.strerror}")
    if problems:
        raise ConfigError(*problems)


def read_files(
    paths: Sequence[Path], space: RangeSet, scratch: Path, imported: Mapping[str, object]
) -> Generator[Step]:
    """Read bulk files into networks that meet a space; a file whose digest is in `imported` was read before.

    `scratch` is a folder with room for some 50 bytes a registration; sorting needs as much in SQLite's temporary one.
    Raises OSError, sqlite3.Error.
    """
    by_digest: dict[str, Path] = {}
    for path in paths:
        by_digest.setdefault(digest_of(path), path)
    reports = [FileReport(path, digest) for digest, path in by_digest.items() if digest not in imported]
    if not reports:
        return
    selection = Selection(scratch)
    try:
        ends: list[int] = []
        for report in reports:
            begin = ends[-1] if ends else 0
            yield from _first_pass(report, space, selection, begin)
            ends.append(begin + report.objects)
        for report, skipped in zip(reports, selection.choose(ends), strict=True):
            report.skipped.update(skipped)
        yield from _second_pass(reports, space, selection)
    finally:
        selection.close()


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file as it lies on the disk."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_pass(report: FileReport, space: RangeSet, selection: Selection, begin: int) -> Iterator[Step]:
    """Note every registration of a file; its objects are numbered from the one after `begin`."""
    path = report.path
    for share, objects in _objects(report):
        for line, data in objects:
            report.objects += 1
            if data is None:
                _malformed(report, line, "expected an object, got one without end")
                continue
            found = candidate_of(data, space)
            if isinstance(found, tuple):
                selection.add(begin + report.objects, *found)
            elif found is None:
                report.skipped[Skipped.COMMENT] += 1
            elif found.why is Skipped.OTHER_CLASS and (organisation := organisation_of(data)) is not None:
                selection.add_organisation(organisation.handle, organisation.name)
                report.skipped[found.why] += 1
            elif found.why is Skipped.MALFORMED:
                _malformed(report, line, found.reason)
            else:
                report.skipped[found.why] += 1
        yield Step(path, True, share, report.objects)


def _second_pass(reports: Sequence[FileReport], space: RangeSet, selection: Selection) -> Iterator[Step]:
    """Yield the chosen networks of all files."""
    numbers = selection.numbers()
    wanted = next(numbers, 0)
    number = 0
    for report in reports:
        path, modified_at = report.path, report.path.stat().st_mtime
        networks: deque[BulkNetwork] = deque()
        again = FileReport(path, report.digest)  # what is wrong with the file was told in the first pass
        for share, objects in _objects(again):
            for _, data in objects:
                number += 1
                if number != wanted:
                    continue
                wanted = next(numbers, 0)
                found = (
                    network_of(data, space, _name(path), modified_at, selection.name_of) if data is not None else None
                )
                if isinstance(found, Network):
                    report.taken += 1
                    networks.append(BulkNetwork(found.registry, found.range, pack(found.shortened().to_map())))
                elif found is not None:
                    report.skipped[found.why] += 1  # it only seemed to be one
            while len(networks) >= _MOST_NETWORKS:
                some = tuple(networks.popleft() for _ in range(_MOST_NETWORKS))
                yield Step(path, False, share, report.objects, some)
        yield Step(path, False, 1.0, report.objects, tuple(networks), report)


def _name(path: Path) -> str:
    """Return a file's name as a record can have it: it may be of bytes that are no text."""
    return path.name.encode("utf-8", "replace").decode("utf-8")


def _malformed(report: FileReport, line: int, reason: str) -> None:
    report.skipped[Skipped.MALFORMED] += 1
    if len(report.problems) < MOST_PROBLEMS:
        report.problems.append(f"{report.path}:{line}: {reason}")


def _objects(report: FileReport) -> Iterator[tuple[float, Iterator[tuple[int, bytes | None]]]]:
    """Yield (share of the file, objects in the next piece of it); a file that ends early is read as far as it goes."""
    size = max(1, report.path.stat().st_size)
    splitter = Splitter()
    with open(report.path, "rb") as file:
        try:
            for piece in _pieces(file):
                yield file.tell() / size, splitter.feed(piece)
        except (EOFError, zlib.error) as error:
            report.whole = False
            report.problems.append(f"{report.path}:{splitter.line}: the rest cannot be unpacked: {error}")
            return
        yield 1.0, splitter.end()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the text of a file. Raises EOFError, zlib.error where gzip ends early, after all that came before.

    (The gzip module keeps back what it has unpacked before an error.)
    """
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(0)
    if not packed:
        while piece := file.read(_PIECE_BYTES):
            yield piece
        return
    member = zlib.decompressobj(_GZIP_MEMBER)
    while data := file.read(_PACKED_BYTES):
        while data:
            if member.eof:
                member = zlib.decompressobj(_GZIP_MEMBER)
            yield member.decompress(data, _PIECE_BYTES)
            # Behind the last member there may be zeros (RFC 1952 knows no padding, tapes and gzip do).
            data = member.unused_data.lstrip(b"\0") if member.eof else member.unconsumed_tail
    if not member.eof:
        raise EOFError("it ends early")
