"""What the map shows, a row a block, packed as the page takes it. Pure.

Rows are only added, so a page that has N of them asks for what comes after N: for one that comes late, was asleep or is
slow it is the same question. A row is 16 bytes, little-endian:

    uint32  first    IPv4: the address; IPv6: its first 32 bits, so an IPv6 row covers whole /32s
    uint32  last     likewise
    uint32  at       when it was looked up, seconds since 1970; 0 if not known
    uint8   registry (its place in registries.REGISTRIES), plus 128 for IPv6
    uint8   kind     0 network, 1 unallocated, 2 failed
    2 bytes country  ISO 3166-1 alpha-2; zero if not known

Of what was not found only the address asked is known: its row is the /24 (IPv6: the /32) around it, the most that an
answer closes in IPv4.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from whoismesh.addresses import Range
from whoismesh.answers.outcome import Status
from whoismesh.compounds import Result
from whoismesh.history import KnownBlock
from whoismesh.networks import Network
from whoismesh.registries import REGISTRIES

ROW = struct.Struct("<IIIBB2s")
#: Rows kept: 16 MB here and in every page. All of IPv4 was some 600,000 networks in 2018.
MOST_ROWS = 1_000_000
#: Rows of one answer: a MiB.
ROWS_A_PIECE = 65_536
#: Results of a search.
MOST_FOUND = 50
NETWORK, UNALLOCATED, FAILED = range(3)
_KINDS = {Status.UNALLOCATED: UNALLOCATED, Status.FAILED: FAILED, Status.MALFORMED: FAILED}
_COUNTRY = re.compile(r"[A-Za-z]{2}\Z")


@dataclass(frozen=True, slots=True)
class Label:
    """What is told of a network beside its row."""

    name: str = ""
    holder: str = ""
    handle: str = ""
    country: str = ""


class Rows:
    """The rows. `dropped` counts those beyond `most`."""

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._packed = bytearray()
        # Of each block in the order of discovery. One text each: they are as many as networks.
        self._labels: list[str] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._packed) // ROW.size

    def after(self, number: int) -> bytes:
        """Return the rows after the first `number` of them, a piece at the most."""
        return bytes(self._packed[number * ROW.size : (number + ROWS_A_PIECE) * ROW.size])

    def add_block(self, block: KnownBlock, details: Network | None) -> None:
        """Add the next block in the order of discovery."""
        label, at, country = "", 0.0, ""
        if details is not None:
            country = details.country or ""
            country = country.upper() if _COUNTRY.match(country) else ""
            holder = details.holder.name or details.holder.handle or ""
            texts = (details.name or "", holder, details.handle or "", country)
            label, at = "\n".join(each.replace("\n", " ") for each in texts), details.fetched_at
        # Once the map is full what is new has no name, either.
        self._labels.append(label if len(self) < self._most else "")
        self._add(block.range, block.registry, NETWORK, at, country)

    def add_result(self, result: Result, at: float) -> None:
        """Add a result that is no network, if the map shows it."""
        kind = next((kind for status, kind in _KINDS.items() if status == result.status), None)
        if kind is not None:
            length = 24 if result.asked.family == 4 else 32
            around = Range.of_prefix(result.asked.family, result.asked.first, length)
            self._add(around, result.registry, kind, at, "")

    def _add(self, block: Range, registry: str, kind: int, at: float, country: str) -> None:
        if len(self) >= self._most:
            self.dropped += 1
            return
        first, last, six = block.first, block.last, 0
        if block.family == 6:
            first, last, six = first >> 96, last >> 96, 128
        when = int(at) if 0 <= at < 2**32 else 0
        self._packed += ROW.pack(first, last, when, REGISTRIES.index(registry) | six, kind, country.encode())

    def label(self, place: int) -> Label:
        """Return what is told of the block with that place in the order of discovery; nothing where it came late."""
        text = self._labels[place] if place < len(self._labels) else ""
        return Label(*text.split("\n")) if text else Label()

    def search(self, text: str) -> Iterator[int]:
        """Yield the places of blocks whose name, holder or handle has this text in it; capitals count like others."""
        wanted = text.casefold()
        for place, label in enumerate(self._labels):
            if wanted in label.casefold():
                yield place


def found(place: int, block: KnownBlock, label: Label) -> dict[str, Any]:
    """Return a block for the page."""
    six = block.range.family == 6
    return {
        "place": place,
        "range": str(block.range),
        "family": block.range.family,
        "first": block.range.first >> 96 if six else block.range.first,
        "last": block.range.last >> 96 if six else block.range.last,
        "registry": block.registry,
        "name": label.name,
        "holder": label.holder,
        "handle": label.handle,
        "country": label.country,
    }
