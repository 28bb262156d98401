"""Which results have arrived: each is known for ever by its origin and sequence number, and counted once."""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh.compounds import Result


class Sequences:
    """Which sequence numbers of one origin have been seen: all up to `contiguous`, and some beyond."""

    __slots__ = ("beyond", "contiguous")

    def __init__(self) -> None:
        self.contiguous = 0
        self.beyond: set[int] = set()

    def add(self, sequence: int) -> None:
        """Note one."""
        if sequence == self.contiguous + 1 and not self.beyond:
            self.contiguous = sequence
            return
        if sequence in self:
            return
        self.beyond.add(sequence)
        while self.contiguous + 1 in self.beyond:
            self.contiguous += 1
            self.beyond.remove(self.contiguous)

    def __contains__(self, sequence: int) -> bool:
        return sequence <= self.contiguous or sequence in self.beyond


class Intake:
    """The results that are stored, and those on their way there."""

    def __init__(self) -> None:
        self._stored: dict[int, Sequences] = {}
        self._storing: set[tuple[int, int]] = set()

    def sift(self, results: Iterable[Result]) -> tuple[list[Result], list[Result]]:
        """Return (those to be stored, those stored before); what is being stored already is in neither."""
        fresh, known = [], []
        for result in results:
            key = (result.origin, result.sequence)
            if result.sequence in self._stored.get(result.origin, ()):
                known.append(result)
            elif key not in self._storing:
                self._storing.add(key)
                fresh.append(result)
        return fresh, known

    def is_stored(self, origin: int, sequence: int) -> bool:
        """Tell whether a result is on disk."""
        return sequence in self._stored.get(origin, ())

    def stored(self, result: Result) -> None:
        """Note that a result is on disk."""
        origin, sequence = result.origin, result.sequence
        self._storing.discard((origin, sequence))
        sequences = self._stored.get(origin)
        if sequences is None:
            sequences = self._stored[origin] = Sequences()
        sequences.add(sequence)


def runs(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return numbers as sorted runs of (first, last)."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] + 1 >= number:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
