"""What gossip is not believed, and how much of it there was.

A block counts as a hit only if it can be true: it is canonical (`blocks` sees to that), lies in the space that IANA
gave to registries, and is no wider than the joined space of one. A network that moved to another registry still lies in
the space of the first, so the registry that is named is not compared. Who sent it cannot be told without keys; that
nobody else speaks for the coordinator or for oneself, and no origin that was never given out, can.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from whoismesh import iana
from whoismesh.addresses import Range

#: Origins that are told apart in the counts; beyond, a forger could fill the memory with names.
MOST_ORIGINS = 1_000
#: Why entries and runs are refused.
RESERVED, NOT_DELEGATED, TOO_WIDE = "reserved", "not_delegated", "too_wide"
MALFORMED, NOT_GIVEN, NOT_THE_COORDINATOR, NOT_MINE = "malformed", "not_given", "not_the_coordinator", "not_mine"
TOO_MANY = "too_many"


@lru_cache(maxsize=4_096)  # the coordinator asks again and again about what waits
def why_not(block: Range) -> str | None:
    """Return why a block cannot be one network, None if it can."""
    if iana.is_plausible(block):
        return None
    special = iana.special_purpose()
    if special.meets(block):
        return RESERVED if special.covers(block) else TOO_WIDE
    home = iana.run_of(block.family, block.first)
    return NOT_DELEGATED if home is None else TOO_WIDE


class Guard:
    """What was refused: `refused` counts entries (of a run that is refused whole, all of its) by origin and reason."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[int, str]] = Counter()
        self._origins: set[int] = set()

    def refuse(self, origin: int, reason: str, entries: int = 1) -> None:
        """Count what is not believed. Origins beyond MOST_ORIGINS are counted together, as -1."""
        if origin not in self._origins:
            if len(self._origins) >= MOST_ORIGINS:
                origin = -1
            else:
                self._origins.add(origin)
        self.refused[origin, reason] += entries

    def by_reason(self) -> Counter[str]:
        """Return the counts by reason."""
        found: Counter[str] = Counter()
        for (_, reason), count in self.refused.items():
            found[reason] += count
        return found
