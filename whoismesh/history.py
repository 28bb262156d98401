"""What a listener tells its program: known blocks, members, and what happened, in order.

Joins and leaves wait in a queue that is bounded, so that a program which never reads costs no memory and blocks nobody;
what it loses is counted. Discoveries need no queue at all: the table of known blocks only grows, in the order of
discovery, so a reader is a position in it and misses nothing however slow it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from whoismesh.addresses import Range
from whoismesh.prefixes import PrefixTable


class KnownBlock(NamedTuple):
    """A block that the mesh discovered: the range of one network, and the registry that answers for it.

    >>> print(KnownBlock(Range.parse("193.0.0.0/21"), "ripencc"))
    193.0.0.0/21 ripencc
    """

    range: Range
    registry: str

    def __str__(self) -> str:
        return f"{self.range} {self.registry}"


class Member(NamedTuple):
    """A worker of the mesh: its number, never given twice in a crawl, and where it runs (HOST:PROCESS)."""

    origin: int
    host: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker is in the mesh: it came, or it was there before this listener."""

    member: Member


@dataclass(frozen=True, slots=True)
class Left:
    """A worker that had joined is gone: `how` is "left" (it said so) or "lost" (it was not heard of any more)."""

    member: Member
    how: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """A block is known that was not known here before. Its result is on the coordinator's disk."""

    block: KnownBlock


Happening = Joined | Left | Discovered


class History:
    """The events of one listener, to be read by any number of cursors.

    `table` is what is known, `most` how many joins and leaves are kept. `dropped` counts those that went unread.
    """

    def __init__(self, table: PrefixTable[str], most: int) -> None:
        self.table = table
        self.dropped = 0
        self.first = 0
        self._most = most
        self._read = 0
        # Each with the count of blocks known then, which is its place among the discoveries.
        self._kept: deque[tuple[int, Joined | Left]] = deque()

    def note(self, event: Joined | Left) -> None:
        """Keep an event; the oldest one goes if there are too many."""
        if len(self._kept) == self._most:
            self._kept.popleft()
            self.dropped += self.first >= self._read
            self.first += 1
        self._kept.append((len(self.table), event))

    @property
    def end(self) -> int:
        """The number of the next event."""
        return self.first + len(self._kept)

    def block(self, position: int) -> KnownBlock:
        """Return the known block at a position, from 0, in the order of discovery."""
        return KnownBlock(*self.table.entry(position))

    def read(self, number: int) -> tuple[int, Joined | Left]:
        """Return the event of that number, with its place among the discoveries."""
        return self._kept[number - self.first]

    def was_read(self, number: int) -> None:
        """Note that somebody has this event: it does not count as dropped when it goes."""
        self._read = max(self._read, number + 1)


class BlockCursor:
    """A reader of discoveries, from the first one or from now on."""

    def __init__(self, history: History, *, known: bool) -> None:
        self._history = history
        self._position = 0 if known else len(history.table)

    def take(self, most: int) -> list[KnownBlock]:
        """Return the next blocks, at most so many; none if there are none now."""
        end = min(len(self._history.table), self._position + most)
        found = [self._history.block(position) for position in range(self._position, end)]
        self._position = end
        return found


class EventCursor:
    """A reader of all events. `missed` counts the joins and leaves that were dropped before it came to them."""

    def __init__(self, history: History, *, known: bool) -> None:
        self.missed = 0
        self._history = history
        self._number = history.first if known else history.end
        self._position = 0 if known else len(history.table)

    def take(self, most: int) -> list[Happening]:
        """Return the next events, at most so many; none if there are none now."""
        history, found = self._history, list[Happening]()
        if self._number < history.first:
            self.missed += history.first - self._number
            self._number = history.first
        while len(found) < most:
            place, event = history.read(self._number) if self._number < history.end else (None, None)
            if event is not None and place is not None and place <= self._position:
                found.append(event)
                history.was_read(self._number)
                self._number += 1
            elif self._position < len(history.table):
                found.append(Discovered(history.block(self._position)))
                self._position += 1
            else:
                break
        return found
