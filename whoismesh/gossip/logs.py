"""What a node has of every origin's log, what it says of it, and what it sends of it to a peer that has less.

Rules of this file:
- A digest says of each origin up to which number all is here. Nothing is ever missing below it, so what a peer lacks is
everything above its own digest, and it is sent oldest first: a delta that is cut off leaves no hole.
- Origin 0 is the accepted log. An entry of another origin is *sealed* once it needs no passing on: its block is in the
accepted log, or it has none. The sealed front of a log is dropped, and a log that is all sealed is not in the digest,
so processes that are gone leave no trace.
- A run that begins after entries which the peer lacks, because they were dropped, names the number of the accepted log
by which they were sealed. Who has the accepted log that far lacks none of their blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sized
from hashlib import blake2b

from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.compounds import Run
from whoismesh.messages import DIGEST_HASH_BYTES, MAX_TAILS
from whoismesh.packing import pack

#: Of what one question allows, other origins' logs may take this share before the accepted log: they are small, and a
#: joiner should not wait for the news of now until it has the past (quickwit-oss/chitchat#119).
TAILS_FIRST = 0.25
#: A log of which nothing is left, and nothing was heard for so long, is forgotten, seconds.
FORGET_S = 60.0
#: It is looked this often whether there are any, seconds.
FORGET_EVERY_S = 1.0
#: Entries of one process that wait to be accepted: it stops at 20,000 (lanes.engine.MOST_UNACKNOWLEDGED); the rest is
#: room for a list that is behind.
MOST_TAIL_ENTRIES = 65_536
#: Entries of all processes that wait to be accepted: what 1,000 workers find in a quarter of an hour at one a second
#: each, while the coordinator is away. More comes again when there is room, from the accepted log at the latest.
MOST_WAITING_ENTRIES = 1_000_000

#: (accepted, {origin: last}): what a node has.
Have = tuple[int, Mapping[int, int]]


class Tail:
    """What is not sealed of one origin's log. `floor` is the last number of the sealed front."""

    __slots__ = ("floor", "heard_at", "log")

    def __init__(self, now: float) -> None:
        self.floor = 0
        self.log = BlockLog()
        self.heard_at = now

    @property
    def last(self) -> int:
        """The number up to which all is known."""
        return len(self.log)

    def has_room(self, more: Sized) -> bool:
        """Tell whether so many more entries can be what one process tells before its results are on disk."""
        return self.last - self.floor + len(more) <= MOST_TAIL_ENTRIES

    def jump(self, floor: int) -> None:
        """Take note that all up to a number beyond the last is sealed."""
        self.floor = floor
        self.log = BlockLog(dropped=floor)

    def after(self, number: int) -> Iterator[tuple[int, Blocks]]:
        """Yield (first number, entries) of all above a number and above the floor, piece by piece."""
        number = max(number, self.floor)
        while blocks := self.log.after(number):
            yield number + 1, blocks
            number += len(blocks)


class Logs:
    """All logs of a node. `is_sealed(origin, number, block)` tells whether an entry needs no passing on."""

    def __init__(self, accepted_log: BlockLog, is_sealed: Callable[[int, int, Block | None], bool]) -> None:
        self.accepted_log = accepted_log
        self.tails: dict[int, Tail] = {}
        self._is_sealed = is_sealed
        self._waiting = 0  # at most: what was sealed since the last trim is still counted
        #: What a digest says of tails: kept, because with a coordinator away there are as many as members.
        self._unsealed: dict[int, int] = {}
        self._grown: set[int] = set()
        self._trimmed_at = 0
        self._forget_at = 0.0

    def tail(self, origin: int, now: float) -> Tail:
        """Return the tail of an origin, heard of now."""
        tail = self.tails.get(origin)
        if tail is None:
            tail = self.tails[origin] = Tail(now)
        tail.heard_at = now
        return tail

    def agrees(self, accepted: int, log_hash: bytes) -> bool:
        """Tell whether the accepted log of another is this one, as far as can be told: only up to where both go."""
        if accepted > len(self.accepted_log) or not any(log_hash):
            return True
        return self.accepted_log.hash_at(accepted) == log_hash

    def has_room(self, origin: int, more: Collection[Block | None]) -> bool:
        """Tell whether an origin's log can take so many more entries, or begin: memory and digests have an end."""
        tail = self.tails.get(origin)
        if tail is None:
            return len(self.tails) < MAX_TAILS - 1  # one is kept for this node's own
        return tail.has_room(more) and self._waiting + len(more) <= MOST_WAITING_ENTRIES

    def extend(self, origin: int, tail: Tail, blocks: Blocks, skip: int = 0) -> None:
        """Add entries that are known to be right to a log, all but the first `skip`."""
        tail.log.extend(blocks, skip)
        self._waiting += len(blocks) - skip
        self._grown.add(origin)
        self._note(origin, tail)

    def jump(self, origin: int, tail: Tail, floor: int) -> None:
        """Take note that all of a log up to a number beyond its last is sealed."""
        tail.jump(floor)
        self._note(origin, tail)

    def _note(self, origin: int, tail: Tail) -> None:
        if tail.last > tail.floor:
            self._unsealed[origin] = tail.last
        else:
            self._unsealed.pop(origin, None)

    def trim(self, now: float) -> None:
        """Drop what is sealed by now, and forget the logs of which nothing was left for a while.

        Nothing becomes sealed but by the accepted log, so without news there only logs that have grown are looked at.
        """
        accepted = len(self.accepted_log)
        todo = self._grown if accepted == self._trimmed_at else set(self._unsealed)
        for origin in todo & self._unsealed.keys():
            self.trim_tail(origin, self.tails[origin])
        if todo:
            self._waiting = sum(last - self.tails[origin].floor for origin, last in self._unsealed.items())
        self._grown.clear()
        self._trimmed_at = accepted
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY_S
            for origin in [each for each in self.tails if each not in self._unsealed]:
                if now - self.tails[origin].heard_at > FORGET_S:
                    del self.tails[origin]

    def trim_tail(self, origin: int, tail: Tail) -> None:
        """Drop the sealed front of one log."""
        self._raise_floor(origin, tail)
        tail.log.drop(tail.floor)
        self._note(origin, tail)

    def _raise_floor(self, origin: int, tail: Tail) -> None:
        for first, blocks in tail.after(tail.floor):
            for number, block in enumerate(blocks, first):
                if not self._is_sealed(origin, number, block):
                    return
                tail.floor = number

    def have(self) -> Have:
        """Return what a digest says. The mapping is this object's own and changes with it."""
        return len(self.accepted_log), self._unsealed

    def lacks(self, other: Have) -> bool:
        """Tell whether another node has anything that is not here."""
        accepted, tails = other
        if accepted > len(self.accepted_log):
            return True
        return any(
            last > self._unsealed.get(origin, 0) and (origin not in self.tails or last > self.tails[origin].last)
            for origin, last in tails.items()
        )

    def delta(self, other: Have, credit_bytes: int, *, agreed: bool = True) -> Iterator[Run]:
        """Yield what another node lacks, at most about so many bytes of blocks; then a last run is yielded no more.

        Nothing of the accepted log where the other's is not `agreed` to be this one.

        Small logs come first. Nothing is unpacked: the accepted log goes out in the pieces in which it lies here.
        """
        tails = list(self._tail_runs(other))
        tails.sort(key=lambda run: len(run.blocks.packed))
        share, late = int(credit_bytes * TAILS_FIRST), []
        for run in tails:
            size = len(run.blocks.packed)
            if size <= share:
                share -= size
                credit_bytes -= size
                yield run
            else:
                late.append(run)
        number = other[0]
        while agreed and credit_bytes > 0 and (blocks := self.accepted_log.after(number)):
            yield Run(0, number + 1, None, blocks)
            credit_bytes -= len(blocks.packed)
            number += len(blocks)
        for run in sorted(late, key=lambda run: (run.origin, run.first)):
            if credit_bytes <= 0:
                return
            credit_bytes -= len(run.blocks.packed)
            yield run

    def _tail_runs(self, other: Have) -> Iterator[Run]:
        for origin, last in self._unsealed.items():
            theirs = other[1].get(origin, 0)
            if theirs >= last:
                continue
            tail = self.tails[origin]
            for first, blocks in tail.after(theirs):
                dropped = theirs < first - 1 == tail.floor
                yield Run(origin, first, len(self.accepted_log) if dropped else None, blocks)


def hash_of(have: Have, members: tuple[int, int], log_hash: bytes) -> bytes:
    """Return the hash of a digest: BLAKE2b of 8 bytes.

    It is over the msgpack of [accepted, [[origin, last] ...] by origin, epoch, version, hash of the accepted log].
    """
    accepted, tails = have
    packed = pack([accepted, sorted(tails.items()), *members, log_hash])
    return blake2b(packed, digest_size=DIGEST_HASH_BYTES).digest()


#: What a question is answered with at most, bytes: with the frames around the pieces it stays under 256 KiB.
MOST_CREDIT_BYTES = 240 * 1024
