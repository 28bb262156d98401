"""Writing a dump's bytes: header, records, footer with counts and digest. What goes in is the caller's business."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import whoismesh
from whoismesh.dump import FORMAT, VERSION, footer_of
from whoismesh.output_files import appearing
from whoismesh.packing import pack


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


def write_records(path: Path, header: Mapping[str, Any], records: Iterable[tuple[str, bytes]]) -> Counter[str]:
    """Write a dump of (kind, packed record), which come sorted. Return how many of each kind there are.

    The file appears whole or not at all. Raises DumpError or TryAgainError if it cannot be written.
    """
    digest = hashlib.sha256()
    counts: Counter[str] = Counter()
    with appearing(path) as temporary, open(temporary, "wb") as file:
        packed = pack(header)
        digest.update(packed)
        file.write(packed)
        for kind, record in records:
            counts[kind] += 1
            digest.update(record)
            file.write(record)
        file.write(pack(footer_of(counts, digest.hexdigest())))
    return counts
