"""A node's copy of what the mesh has discovered: the accepted log, the news that is not accepted yet, and all as hits.

A block counts as a hit as soon as it is heard of, in whatever order: a set union cannot be wrong, only early. The logs
advance without holes only; what comes too early waits in a small buffer, and what does not fit there comes again in an
exchange.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from typing import Protocol

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.compounds import Run
from whoismesh.errors import MessageError
from whoismesh.gossip import guard
from whoismesh.gossip.guard import Guard
from whoismesh.gossip.logs import MOST_TAIL_ENTRIES, MOST_WAITING_ENTRIES, Logs
from whoismesh.grain import Grain
from whoismesh.prefixes import PrefixTable

#: Packed bytes that wait for what comes before them: 20 times what a fleet that finds 1,000 blocks a second tells in a
#: second at 10 bytes each.
MOST_AHEAD_BYTES = 200_000
#: What a run that waits takes besides, bytes: one entry may be a single byte.
AHEAD_RUN_BYTES = 200
#: A run has waited so long for what comes before it, seconds: about 60 exchanges, and no peer has it. Then it died with
#: its finder, or is cut off with it; if its results are somewhere, it comes with the accepted log.
HOLE_S = 60.0


class Table(Protocol):
    """Where a replica's blocks lie: a PrefixTable, or what else numbers them in the order of adding."""

    def append(self, block: Range, value: str) -> int:
        """Add a block that is not there; return its number: they count from 0 in the order of adding."""

    def number_of(self, block: Range) -> int | None:
        """Return the number of exactly this block."""

    def __len__(self) -> int: ...


class Replica:
    """What this node knows. `table` maps each block to its registry; `logs` is what it can pass on."""

    def __init__(self, table: Table | None = None) -> None:
        self.table: PrefixTable[str] = PrefixTable() if table is None else table  # type: ignore[assignment]
        self.grain = Grain()
        self.guard = Guard()
        self.logs = Logs(BlockLog(), lambda origin, number, block: block is None or self._is_sealed(block.range))
        self.counters: Counter[str] = Counter()
        self._is_accepted = bytearray()
        self._unaccepted = 0
        self._ahead: dict[tuple[int, int], Run] = {}
        self._ahead_since: dict[tuple[int, int], float] = {}
        self._ahead_bytes = 0

    @property
    def accepted(self) -> int:
        """How far this node has the accepted log."""
        return len(self.logs.accepted_log)

    def learn(self, block: Block, origin: int = 0, *, early: bool = False) -> bool:
        """Take in one block; return whether it is news.

        Blocks that cannot be true are refused and counted: not those of a run that is too `early` and comes again.
        """
        return self._add(block, origin, early)[1]

    def _add(self, block: Block, origin: int, early: bool) -> tuple[int | None, bool]:
        """Return the number of a block in the table (None if it is refused), and whether it is news."""
        number = self.table.number_of(block.range)
        if number is not None:
            return number, False
        reason = guard.why_not(block.range)
        if reason is not None:
            if not early:
                self.guard.refuse(origin, reason)
            return None, False
        number = self.table.append(block.range, block.registry)
        self._is_accepted.append(0)
        self._unaccepted += 1
        self.grain.note(block.range)
        return number, True

    def _is_sealed(self, block: Range) -> bool:
        number = self.table.number_of(block)
        return guard.why_not(block) is not None if number is None else bool(self._is_accepted[number])

    def apply(self, run: Run, now: float) -> list[Block]:
        """Take in a run; return the blocks that are news, in order. One that is not what it claims is refused."""
        before = self._last(run.origin) if self._ahead else None
        try:
            fresh = self._apply(run, now)
        except MessageError:
            self.guard.refuse(run.origin, guard.MALFORMED, len(run.blocks))
            return []
        if before is not None and self._last(run.origin) != before:
            fresh += self._catch_up(now)
        return fresh

    @property
    def waiting(self) -> int:
        """How many runs wait for what comes before them."""
        return len(self._ahead)

    def fill_holes(self, now: float) -> list[Block]:
        """Take in runs for which nobody had what comes before: entries without a block stand in for it.

        Otherwise their blocks would be hits here for ever and nowhere else, and never be adopted. Return what is news.
        """
        fresh: list[Block] = []
        due = [key for key, since in self._ahead_since.items() if key[0] and now - since >= HOLE_S]
        for key in sorted(due):
            run = self._ahead.get(key)
            if run is None:
                continue  # came off with one before it
            hole = run.first - 1 - self._last(run.origin)
            if hole > MOST_TAIL_ENTRIES:
                self.guard.refuse(run.origin, guard.TOO_MANY, len(run.blocks))
                self._wait_no_more(key)
                continue
            if hole > 0:
                self.counters["gossip_holes"] += 1
                fresh += self.apply(Run(run.origin, run.first - hole, None, Blocks.of([None] * hole)), now)
            if key in self._ahead:
                self._wait_no_more(key)  # there was no room
        return fresh

    def forget_accepted(self) -> None:
        """Forget the accepted log, which is not the coordinator's. Its blocks are still hits: somebody told of them."""
        self.counters["gossip_log_forgotten"] += 1
        self.logs.accepted_log = BlockLog()
        self._is_accepted = bytearray(len(self._is_accepted))
        self._unaccepted = len(self._is_accepted)

    def tell(self, origin: int, first: int, blocks: Blocks, now: float) -> Run:
        """Put entries of this node's own into its log; return the run that tells of them."""
        tail = self.logs.tail(origin, now)
        self.logs.trim_tail(origin, tail)
        if tail.last < first - 1:
            self.logs.jump(origin, tail, first - 1)  # forgotten, because nothing of it was left
        self.logs.extend(origin, tail, blocks, tail.last + 1 - first)
        # A peer that joined lately can do with the run alone if all before it is in the accepted log.
        return Run(origin, first, self.accepted if tail.floor >= first - 1 else None, blocks)

    # -- taking in ----------------------------------------------------------------------------------------------

    def _apply(self, run: Run, now: float) -> list[Block]:
        if run.origin == 0:
            return self._accept(run, now)
        if not self.logs.has_room(run.origin, ()):
            self.guard.refuse(run.origin, guard.TOO_MANY, len(run.blocks))
            return []
        tail = self.logs.tail(run.origin, now)
        if run.last <= tail.last:
            return []
        beyond = run.first > tail.last + 1
        if beyond and (run.sealed is None or run.sealed > self.accepted):
            return self._wait(run, now)
        entries = list(run.blocks)  # whole, before anything of it is taken in
        if beyond:
            self.logs.jump(run.origin, tail, run.first - 1)
        news = entries[tail.last + 1 - run.first :]
        if not self.logs.has_room(run.origin, news) or not self._has_room(news):
            self.guard.refuse(run.origin, guard.TOO_MANY, len(news))
            return []
        self.logs.extend(run.origin, tail, run.blocks, tail.last + 1 - run.first)
        return [block for block in news if block is not None and self._add(block, run.origin, False)[1]]

    def _last(self, origin: int) -> int:
        if origin == 0:
            return self.accepted
        tail = self.logs.tails.get(origin)
        return 0 if tail is None else tail.last

    def _has_room(self, news: Sized) -> bool:
        """Tell whether so many more may become hits because somebody says so."""
        return self._unaccepted + len(news) <= MOST_WAITING_ENTRIES

    def _accept(self, run: Run, now: float) -> list[Block]:
        if run.last <= self.accepted:
            return []
        if run.first > self.accepted + 1:
            return self._wait(run, now)
        entries = self._entries(run)
        fresh, skip = [], self.accepted + 1 - run.first
        self.logs.accepted_log.extend(run.blocks, skip)
        for block in entries[skip:]:
            assert block is not None
            number, is_news = self._add(block, 0, early=False)
            if is_news:
                fresh.append(block)
            if number is not None and not self._is_accepted[number]:
                self._is_accepted[number] = 1
                self._unaccepted -= 1
        return fresh

    @staticmethod
    def _entries(run: Run) -> list[Block | None]:
        entries = list(run.blocks)
        if run.origin == 0 and None in entries:
            raise MessageError("the accepted log has a block at each number")
        return entries

    def _wait(self, run: Run, now: float) -> list[Block]:
        """Keep a run that came too early, if there is room; its blocks are hits meanwhile."""
        key = (run.origin, run.first)
        before = self._ahead.get(key)
        if before is not None and before.last >= run.last:
            return []
        self.counters["gossip_gaps"] += 1
        entries = self._entries(run)
        if not self._has_room(entries):
            self.guard.refuse(run.origin, guard.TOO_MANY, len(entries))
            return []
        if before is not None:
            self._wait_no_more(key)
        self._ahead[key] = run
        self._ahead_since[key] = now
        self._ahead_bytes += AHEAD_RUN_BYTES + len(run.blocks.packed)
        while self._ahead_bytes > MOST_AHEAD_BYTES:
            # The oldest: what it waits for may never come, and then it would be in the way of all others.
            self._wait_no_more(next(iter(self._ahead)))
            self.counters["gossip_ahead_dropped"] += 1
        return [block for block in entries if block is not None and self.learn(block, run.origin, early=True)]

    def _wait_no_more(self, key: tuple[int, int]) -> None:
        self._ahead_bytes -= AHEAD_RUN_BYTES + len(self._ahead.pop(key).blocks.packed)
        del self._ahead_since[key]

    def _catch_up(self, now: float) -> list[Block]:
        """Take in what waited for what came now."""
        fresh: list[Block] = []
        moved = True
        while moved:
            moved = False
            for key in sorted(self._ahead):
                run = self._ahead[key]
                claimed = run.origin and run.sealed is not None and run.sealed <= self.accepted
                if run.first <= self._last(run.origin) + 1 or claimed:
                    self._wait_no_more(key)
                    fresh += self._apply(run, now)
                    moved = True
        return fresh
