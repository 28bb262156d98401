"""Which addresses of the space are settled, and how: the coverage of a crawl.

Every address of the space is in exactly one of `held` (a network), `unallocated`, `failed`, `reserved`, or it is not
settled. A network outranks "unallocated" and "failed": an answer that names a holder is believed over one that knew of
none. Where small registrations turn up, free blocks around that were closed at a glance are opened again (`grain`).
"""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.grain import Grain, fine_block, neighbourhood_of
from whoismesh.rangesets import RangeSet


class Coverage:
    """The settled part of a space, by kind. Starts with special-purpose space settled as reserved."""

    __slots__ = ("_at_a_glance", "_grain", "failed", "held", "reserved", "settled", "space", "unallocated")

    def __init__(self, space: Iterable[Range]) -> None:
        self.space = RangeSet(space)
        self.held = RangeSet()
        self.unallocated = RangeSet()
        self.failed = RangeSet()
        self.reserved = RangeSet()
        for each in self.space:
            for part, registry in iana.by_registry(each):
                if registry is None:
                    self.reserved.add(part)
        self.settled = self.reserved.copy()
        self._grain = Grain()
        self._at_a_glance: dict[Range, list[Range]] = {}

    def settle_network(self, found: Range) -> list[Range]:
        """Settle a network; return its parts in the space, without what is reserved."""
        parts = [gap for part in self.space.present(found) for gap in self.reserved.missing(part)]
        for part in parts:
            self.held.add(part)
            self.unallocated.remove(part)
            self.failed.remove(part)
            self.settled.add(part)
        return parts

    def reopen_around(self, found: Range) -> list[Range]:
        """Open again what was closed at a glance in neighbourhoods that a network shows to be finely registered.

        Return what is unsettled now and was not before.
        """
        reopened = []
        for neighbourhood in self._grain.note(found):
            for asked in self._at_a_glance.pop(neighbourhood, ()):
                looked_at = RangeSet([fine_block(asked)])
                for part in self.unallocated.present(self._grain.block(asked)):
                    reopened += looked_at.missing(part)
        for part in reopened:
            self.unallocated.remove(part)
            self.settled.remove(part)
        return reopened

    def settle_empty(self, asked: Range) -> list[Range]:
        """Settle the block around an address that no registry knows; return what was not settled before."""
        block = self._grain.empty_block(asked, self.held)
        if block == self._grain.block(asked) and asked.family == 4:
            self._at_a_glance.setdefault(neighbourhood_of(asked), []).append(asked)
        return self._settle(self.unallocated, block)

    def settle_failed(self, asked: Range) -> list[Range]:
        """Settle the block around an address that could not be looked up; return what was not settled before."""
        return self._settle(self.failed, self._grain.empty_block(asked, self.held))

    def reopen_failed(self) -> list[Range]:
        """Open again what could not be looked up; return it."""
        reopened = list(self.failed)
        for part in reopened:
            self.failed.remove(part)
            self.settled.remove(part)
        return reopened

    def _settle(self, kind: RangeSet, block: Range) -> list[Range]:
        open_parts = [gap for part in self.space.present(block) for gap in self.settled.missing(part)]
        for part in open_parts:
            kind.add(part)
            self.settled.add(part)
        return open_parts

    def unsettled(self, within: Range) -> list[Range]:
        """Return the parts of a range that lie in the space and are not settled."""
        return [gap for part in self.space.present(within) for gap in self.settled.missing(part)]

    def gap_at(self, family: int, address: int) -> Range | None:
        """Return the widest unsettled range of the space around an address, or None if it is settled or outside."""
        around = self.space.run_at(family, address)
        gap = self.settled.gap_at(family, address)
        return around.overlap(gap) if around and gap else None

    @property
    def complete(self) -> bool:
        """Tell whether no address of the space is left."""
        return self.settled.size == self.space.size
