"""Errands: single addresses to be asked at another registry because an answer pointed there, or again after a failure.

An errand waits in its registry's line, first come first served, or is lent to a worker as part of a lease. What lay
around its address is parked with it: the answer is likely to settle that too.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from whoismesh.addresses import Range
from whoismesh.ledger.losses import LOSSES_TO_HALVE
from whoismesh.ledger.pool import Pool
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

#: A line is looked through for so many times what is wanted of it: where all of it is to be avoided, that ends.
LOOKED_THROUGH = 8


def _none(_: Errand) -> bool:
    return False


@dataclass(slots=True)
class Errand:
    """One address to be asked at `registry`, not before a time; `path` are the registries that pointed on, in order.

    `guessed` tells that nobody named this registry. `failures` counts the lookups that failed, `failed_at` has the
    origins they failed at, `losses` counts the workers that were lost while it was lent to them. `lease` is the lease
    it is lent in, if any. `suspect` tells that a lease of it ended without a result, so a block that gossip knows there
    may be an orphan. `parked` are ranges with the set they go back to when the errand ends.
    """

    asked: Range
    registry: str
    path: tuple[str, ...] = ()
    guessed: bool = False
    failures: int = 0
    failed_at: set[int] = field(default_factory=set)
    losses: int = 0
    not_before: float = 0.0
    lease: int | None = None
    suspect: bool = False
    parked: list[tuple[Pool, Range]] = field(default_factory=list)
    turn: int = 0


class Errands:
    """All errands of a crawl by address, and each registry's line of those that nobody works on."""

    def __init__(self) -> None:
        self._errands: dict[Range, Errand] = {}
        self._addresses = RangeSet()
        self._ready: dict[str, dict[Range, Errand]] = {registry: {} for registry in REGISTRIES}
        self._later: dict[str, list[tuple[float, int, Range]]] = {registry: [] for registry in REGISTRIES}
        self._turn = 0

    def get(self, asked: Range) -> Errand | None:
        """Return the errand for an address, or None."""
        return self._errands.get(asked)

    def within(self, part: Range) -> list[Errand]:
        """Return the errands whose addresses lie in a range."""
        if not self._errands:
            return []
        return [
            self._errands[Range(run.family, address, address)]
            for run in self._addresses.present(part)
            for address in range(run.first, run.last + 1)
        ]

    def queue(self, errand: Errand, registry: str) -> None:
        """Put an errand at the end of a registry's line; it leaves whatever line or lease it was in."""
        if errand.asked not in self._errands:
            self._errands[errand.asked] = errand
            self._addresses.add(errand.asked)
        self._ready[errand.registry].pop(errand.asked, None)
        self._turn += 1
        errand.registry, errand.lease, errand.turn = registry, None, self._turn
        heapq.heappush(self._later[registry], (errand.not_before, errand.turn, errand.asked))

    def due(self, registry: str, now: float, most: int, avoid: Callable[[Errand], bool] = _none) -> list[Errand]:
        """Return up to `most` errands of a registry that nobody works on and whose time has come, in order.

        Those to `avoid` stay in line. One that workers were lost with again and again comes alone: it may be why.
        """
        ready, later = self._ready[registry], self._later[registry]
        while later and later[0][0] <= now:
            _, turn, asked = heapq.heappop(later)
            errand = self._errands.get(asked)
            if errand is not None and errand.turn == turn:
                ready[asked] = errand
        found: list[Errand] = []
        for errand in islice(ready.values(), LOOKED_THROUGH * most):
            if avoid(errand):
                continue
            if errand.losses >= LOSSES_TO_HALVE:
                if found:
                    continue
                return [errand]
            found.append(errand)
            if len(found) == most:
                break
        return found

    def lend(self, errand: Errand, lease: int) -> None:
        """Take an errand that is due out of its line."""
        del self._ready[errand.registry][errand.asked]
        errand.lease, errand.turn = lease, 0

    def end(self, errand: Errand) -> None:
        """Drop an errand: its address is settled."""
        del self._errands[errand.asked]
        self._addresses.remove(errand.asked)
        self._ready[errand.registry].pop(errand.asked, None)

    def __iter__(self) -> Iterator[Errand]:
        return iter(self._errands.values())

    def __len__(self) -> int:
        return len(self._errands)
