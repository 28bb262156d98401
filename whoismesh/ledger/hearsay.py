"""The coordinator as a node of the mesh: it answers those that compare, and adopts what the dead have left.

What peers say settles nothing. But a block that they know from a process that is gone, and whose result never came,
would be compared for ever. So it gets a number in the accepted log like any other, on disk first; every node then
drops what it keeps of that process. Whether the block is registered is found out as if nobody had said so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog
from whoismesh.compounds import Run
from whoismesh.errors import MessageError
from whoismesh.gossip import guard
from whoismesh.gossip.events import Exchanged
from whoismesh.gossip.guard import Guard
from whoismesh.gossip.logs import Logs
from whoismesh.gossip.responder import Responder
from whoismesh.ledger.intake import Sequences
from whoismesh.messages import Compare, Digest, Discovered, Members

#: A process that is no member for so long will not deliver any more, seconds: one that restarts with its spool is
#: another process, and one that is cut off for longer costs a line in the log of blocks.
ADOPT_S = 60.0


class Hearsay:
    """What peers say of the logs of others. `is_stored(origin, number)` tells whether that result is on disk."""

    def __init__(self, accepted_log: BlockLog, is_stored: Callable[[int, int], bool]) -> None:
        self.guard = Guard()
        self._is_stored = is_stored
        self._adopted: dict[int, Sequences] = {}
        self._logs = Logs(accepted_log, self._is_sealed)
        self._responder = Responder(self._logs)
        self._gone_since: dict[int, float] = {}

    def answer(self, message: Exchanged, members: Members, now: float) -> list[Exchanged]:
        """Take in what a peer says in an exchange; return what to say to it."""
        if isinstance(message, Compare | Digest):
            return self._responder.answer(message, members, now)
        if isinstance(message, Discovered):
            for run in message.runs:
                self._take(run, members.given, now)
        return []

    def _take(self, run: Run, given: int, now: float) -> None:
        """Take in news. The accepted log is our own; runs that leave a hole come again, oldest first."""
        if run.origin == 0:
            self.guard.refuse(0, guard.NOT_THE_COORDINATOR, len(run.blocks))
            return
        if run.origin > given:
            self.guard.refuse(run.origin, guard.NOT_GIVEN, len(run.blocks))
            return
        if not self._logs.has_room(run.origin, ()):
            self.guard.refuse(run.origin, guard.TOO_MANY, len(run.blocks))
            return
        tail = self._logs.tail(run.origin, now)
        claimed = run.sealed is not None and run.sealed <= len(self._logs.accepted_log)
        if (run.first > tail.last + 1 and not claimed) or run.last <= tail.last:
            return
        try:
            entries = list(run.blocks)  # whole, before anything of it is taken in
        except MessageError:
            self.guard.refuse(run.origin, guard.MALFORMED, len(run.blocks))
            return
        if run.first > tail.last + 1:
            self._logs.jump(run.origin, tail, run.first - 1)
        news = entries[tail.last + 1 - run.first :]
        if not self._logs.has_room(run.origin, news):
            self.guard.refuse(run.origin, guard.TOO_MANY, len(news))
            return
        self._logs.extend(run.origin, tail, run.blocks, len(entries) - len(news))
        for block in news:
            reason = None if block is None else guard.why_not(block.range)
            if reason is not None:
                self.guard.refuse(run.origin, reason)

    def _is_sealed(self, origin: int, number: int, block: Block | None) -> bool:
        if block is None or self._is_stored(origin, number) or number in self._adopted.get(origin, ()):
            return True
        return guard.why_not(block.range) is not None

    def orphans(self, members: Container[int], now: float) -> Iterator[tuple[int, int, str, Range]]:
        """Yield (origin, number, registry, range) of what to adopt now, each once."""
        self._logs.trim(now)
        for origin, tail in self._logs.tails.items():
            if tail.floor == tail.last or origin in members:
                self._gone_since.pop(origin, None)
            elif now - self._gone_since.setdefault(origin, now) >= ADOPT_S:
                adopted = self._adopted.setdefault(origin, Sequences())
                for first, blocks in tail.after(tail.floor):
                    for number, block in enumerate(blocks, first):
                        if block is not None and not self._is_sealed(origin, number, block):
                            adopted.add(number)
                            yield origin, number, block.registry, block.range
        for origin in self._gone_since.keys() - self._logs.tails.keys():
            del self._gone_since[origin]
