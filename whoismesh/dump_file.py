"""Writing a dump's bytes: header, records, footer with counts and digest. What goes in is the caller's business."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import whoismesh
from whoismesh.compression import compressed
from whoismesh.dump import FORMAT, VERSION, footer_of
from whoismesh.networks import Record
from whoismesh.output_files import appearing
from whoismesh.packing import pack

#: How a dump may be compressed.
COMPRESSIONS = ("zstd",)


def header_of(space: Iterable[str], *, complete: bool, **more: Any) -> dict[str, Any]:
    """Return the first record of a dump that this program writes now; `more` are other keys of it."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "program": f"whoismesh {whoismesh.__version__}",
        "space": list(space),
        "written_at": time.time(),
        "complete": complete,
        **more,
    }


def write_records(
    path: Path, header: Mapping[str, Any], records: Iterable[tuple[str, bytes]], compress: str | None = None
) -> Counter[str]:
    """Write a dump of (kind, packed record), which come sorted. Return how many of each kind there are.

    `compress` is None or one of COMPRESSIONS; counts and digest are of the plain bytes. The file appears whole or not
    at all. Raises DumpError or TryAgainError if it cannot be written, UnavailableError without the package for it.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    with appearing(path) as temporary, open(temporary, "wb") as raw:
        file = compressed(raw) if compress else raw
        first = pack(header)
        digest.update(first)
        file.write(first)
        for kind, record in records:
            counts[kind] += 1
            digest.update(record)
            file.write(record)
        file.write(pack(footer_of(counts, digest.hexdigest())))
        if compress:
            file.close()
    return counts


def packed(record: Record) -> tuple[str, bytes]:
    """Return a record as `write_records` takes it."""
    values = record.to_map()
    return values["kind"], pack(values)
