"""A node's copy of what the mesh has discovered: the accepted log, and news that is not accepted yet.

Origin 0 is the coordinator's accepted log: blocks whose results are on disk, numbered from 1 without gaps. Every
other origin is one process of a worker. News of any origin is a hit at once (a set union cannot be wrong, only
early); only the accepted log is repaired, because everything that matters ends up in it.
"""

from __future__ import annotations

from collections import Counter

from whoismesh import iana
from whoismesh.blocks import Block
from whoismesh.grain import Grain
from whoismesh.messages import Discovered, RepairRequest
from whoismesh.prefixes import PrefixTable

#: Pieces of the accepted log (blocks.PIECE_ENTRIES each) that answer one request for a repair: at most 33 bytes an
#: entry make 1 MiB, about 4 are usual and make 128 kB.
PIECES_A_REPAIR = 32
#: A repair that is not answered for this long is asked for again.
REPAIR_TIMEOUT_S = 2.0


class Replica:
    """What this node knows. `table` maps each block to its registry; `accepted` is how far it has the accepted log."""

    def __init__(self) -> None:
        self.table: PrefixTable[str] = PrefixTable()
        self.grain = Grain()
        self.accepted = 0
        self.counters: Counter[str] = Counter()
        self._ahead: dict[int, int] = {}
        self._heard: dict[int, int] = {}
        self._asked_at: float | None = None

    def learn(self, block: Block) -> bool:
        """Take in one block; return whether it is news. Blocks that cannot be true are refused and counted."""
        if block.range in self.table:
            return False
        if not iana.is_plausible(block.range):
            self.counters["gossip_refused"] += 1
            return False
        self.table.add(block.range, block.registry)
        self.grain.note(block.range)
        return True

    def apply(self, message: Discovered) -> list[Block]:
        """Take in gossip; return the blocks that are news, in order."""
        first, last = message.first_sequence, message.first_sequence + len(message.blocks) - 1
        if message.origin == 0:
            self._advance(first, last)
        else:
            expected = self._heard.get(message.origin, 0) + 1
            if first > expected:
                self.counters["gossip_gaps"] += 1
            self._heard[message.origin] = max(self._heard.get(message.origin, 0), last)
        return [block for block in message.blocks if self.learn(block)]

    def _advance(self, first: int, last: int) -> None:
        if first > self.accepted + 1:
            self.counters["gossip_gaps"] += 1
            self._ahead[first] = max(self._ahead.get(first, 0), last)
            return
        if last > self.accepted:
            self.accepted = last
            self._asked_at = None
        for ahead_first in sorted(self._ahead):
            if ahead_first > self.accepted + 1:
                break
            self.accepted = max(self.accepted, self._ahead.pop(ahead_first))

    def repair(self, crawl: bytes, log_length: int, now: float) -> RepairRequest | None:
        """Return the question that mends a hole in the accepted log of that length, or None if there is none to ask."""
        if self.accepted >= log_length:
            return None
        if self._asked_at is not None and now - self._asked_at < REPAIR_TIMEOUT_S:
            return None
        self._asked_at = now
        self.counters["gossip_repairs"] += 1
        return RepairRequest(crawl, self.accepted)
