"""A port 43 that lags behind: for a share of the networks it tells how they were registered before (pure).

RDAP tells how they are now, so both protocols' answers differ. Which networks, and in what, follows from the seed and
the network, whichever address of it is asked about.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from whoismesh.addresses import Range
from whoismesh.errors import UsageError
from whoismesh.practice.row import Row


class Before(StrEnum):
    """In what a network was another one."""

    HOLDER = "holder"  #: it was somebody else's
    RANGE = "range"  #: it ended sooner


@dataclass(frozen=True, slots=True)
class Outdated:
    """For which part of the networks (0 to 1) port 43 lags behind. Raises UsageError for an impossible share."""

    share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UsageError(f"share of outdated networks {self.share} is impossible; expected 0 to 1")

    def of(self, row: Row) -> Before | None:
        """Return in what port 43's record of a network is outdated, or None.

        >>> Outdated(share=1.0, seed=7).of(Row(Range.parse("193.0.0.0/21"), "ripencc", "NL", "assigned", "", "", "x"))
        <Before.RANGE: 'range'>
        """
        if not self.share:
            return None
        digest = blake2b(f"outdated|{self.seed}|{row.range}".encode(), digest_size=16).digest()
        whether, which = (int.from_bytes(digest[at : at + 8]) / 2**64 for at in (0, 8))
        if whether >= self.share:
            return None
        return Before.HOLDER if which < 0.5 or row.range.size == 1 else Before.RANGE

    def row(self, row: Row, asked: Range) -> Row:
        """Return a network as port 43 has it; it holds what was asked in any case."""
        family, first, last = row.range
        match self.of(row):
            case Before.HOLDER:
                return row._replace(name=f"Former holder, before {row.name}")
            case Before.RANGE:
                return row._replace(range=Range(family, first, max(asked.last, first + (last - first) // 2)))
        return row
