"""The results of the coordinator's own: what it settles without a lookup goes through its store like all else.

So a replay of the store, at a restart or for a dump, always says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whoismesh.addresses import Range
from whoismesh.compounds import ABANDONED, ADOPTED, DELEGATED, Result
from whoismesh.ledger.losses import LOSSES_TO_GIVE_UP
from whoismesh.packing import pack
from whoismesh.registries import REGISTRIES

#: Ranges that the prior calls free in one result: 34 bytes each at the most.
FREE_A_RESULT = 1_000


class OwnResults:
    """Makes them, with the numbers of one origin."""

    def __init__(self, origin: int) -> None:
        self._origin = origin
        self._sequence = 0

    def make(
        self, status: str, where: Range, registry: str = REGISTRIES[0], reason: str = "", payload: bytes = b""
    ) -> Result:
        """Return the next one, about a range; the address asked is its first."""
        self._sequence += 1
        asked = Range(where.family, where.first, where.first)
        return Result(self._origin, self._sequence, registry, status, asked, where, None, reason, payload)

    def abandoned(self, registry: str, asked: Range) -> Result:
        """Return what gives a block up that workers died over again and again."""
        reason = f"given up: {LOSSES_TO_GIVE_UP} workers or more were lost while they asked {registry} about it"
        return self.make(ABANDONED, asked, registry, reason)

    def adopted(self, origin: int, number: int, registry: str, block: Range) -> Result:
        """Return what gives a block a number in the accepted log whose finder is gone with its result."""
        return self.make(ADOPTED, block, registry, f"told by origin {origin} as number {number} and never delivered")

    def delegated(self, free: Iterable[tuple[str, str, Range]]) -> Iterator[Result]:
        """Yield what settles (registry, status, range) of published statistics; each payload holds ranges of a kind."""
        kinds: dict[str, list[Range]] = {}
        for registry, status, part in free:
            kinds.setdefault(f"{status} by the statistics of {registry}", []).append(part)
        for reason, parts in kinds.items():
            for at in range(0, len(parts), FREE_A_RESULT):
                some = parts[at : at + FREE_A_RESULT]
                first = Range(some[0].family, some[0].first, some[0].first)
                payload = pack([[each.first_bytes, each.last_bytes] for each in some])
                yield self.make(DELEGATED, first, reason=reason, payload=payload)
