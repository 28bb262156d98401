"""Which addresses lay in leases that were lost with their workers, and how often: the trail of work that kills.

A worker that dies is nothing unusual on spot hosts. A range that is lost again and again with one worker after another
may hold an address whose answer kills them. It is then lent by halves, to a worker that holds nothing else (what dies
with it by chance must not look guilty), so that the rest gets done and the bad block is found, and what is left of it
at the end is given up: settled as failed, with its reason.
"""

from __future__ import annotations

from whoismesh.addresses import Range
from whoismesh.rangesets import RangeSet

#: From so many losses on a range is lent by halves: a fleet that loses nine tenths of its hosts twice is still no sign.
LOSSES_TO_HALVE = 3
#: So many losses, and a block as small as can be, and it is given up.
LOSSES_TO_GIVE_UP = 5
#: Counts go no further: a lease of a v4 /8 is halved 16 times until a /24 is left.
MOST_LEVELS = 32


class Losses:
    """Counts by address, kept as nested sets: those lost at least once, at least twice and so on."""

    def __init__(self) -> None:
        self._at_least: list[RangeSet] = []

    def note(self, lost: Range) -> None:
        """Count one more loss for all addresses of a range."""
        parts = [lost]
        for level in range(MOST_LEVELS):
            if not parts:
                return
            if level == len(self._at_least):
                self._at_least.append(RangeSet())
            before = self._at_least[level]
            more = [part for each in parts for part in before.present(each)]
            for each in parts:
                before.add(each)
            parts = more

    def settle(self, part: Range) -> None:
        """Forget what is settled."""
        for level in self._at_least:
            if not level.meets(part):
                return
            level.remove(part)

    def worst(self, within: Range) -> tuple[int, Range] | None:
        """Return the highest count in a range, if it is high enough to halve it, and the first run that has it."""
        for count in range(len(self._at_least), LOSSES_TO_HALVE - 1, -1):
            found = self._at_least[count - 1].present(within)
            if found:
                return count, found[0]
        return None

    def to_give_up(self) -> RangeSet | None:
        """Return what was lost so often that it is given up once it is small enough, or None if nothing was."""
        return self._at_least[LOSSES_TO_GIVE_UP - 1] if len(self._at_least) >= LOSSES_TO_GIVE_UP else None
