"""`fab pull`: the dump comes home, whole and verified."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from whoismesh.dump import open_dump, statistics
from whoismesh.errors import DumpError, TryAgainError, UnavailableError
from whoismesh.fleet.on_host import DUMP_S
from whoismesh.fleet.run import Run
from whoismesh.fleet.there import ask, ask_for_bytes
from whoismesh.storage import is_full

#: Writing the dump and its way here, seconds.
PULL_S = DUMP_S + 7200


@dataclass(frozen=True, slots=True)
class Pulled:
    """A dump that came home: `settled` of `space` addresses are accounted for."""

    file: str
    complete: bool
    networks: int
    settled: int
    space: int
    bytes: int
    seconds: float


def pull(run: Run, target: Path) -> Pulled:
    """Fetch the dump of the coordinator's host. Raises UnavailableError, DumpError, TryAgainError if the disk is full.

    The file is there whole and verified by its footer, or as it was before.
    """
    began = time.monotonic()
    part = target.with_name(f"{target.name}.part")
    try:
        with run.connect(run.coordinator) as connection:
            with open(part, "wb") as file:
                size = ask_for_bytes(connection, {"do": "dump"}, file.write, timeout_s=PULL_S)["size"]
                os.fsync(file.fileno())
                came = file.tell()
            if came != size:
                raise UnavailableError(f"{came} bytes of {size} came: the connection was lost; run it again")
            with open_dump(part) as dump:
                found, crawl = statistics(dump), dump.header.get("crawl")
            if found.problem:
                raise DumpError(found.problem)
            part.replace(target)
            if found.complete:
                note = {"crawl": str(crawl), "bytes": size}
                ask(connection, {"do": "pulled", "note": note})
    except OSError as error:
        if is_full(error):
            raise TryAgainError(f"{target}: {error.strerror}; make room and run it again") from None
        raise UnavailableError(f"{error.filename or target}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    seconds = time.monotonic() - began
    return Pulled(str(target), found.complete, found.networks, found.settled, found.space, size, seconds)


def told(pulled: Pulled) -> str:
    """Return what came, in a line."""
    share = 100 * pulled.settled / pulled.space if pulled.space else 100.0
    state = "complete" if pulled.complete else f"not complete yet: {share:.1f} % of the space is settled"
    return f"{pulled.file}: {pulled.networks} networks, {state} ({pulled.bytes:,} bytes in {pulled.seconds:.1f} s)"
