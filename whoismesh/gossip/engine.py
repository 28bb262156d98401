"""A node's gossip: what it hears, passes on, compares and answers. The engine around a replica.

Rules of this file:
- A run is passed on once, when it brings news, and only in a mesh in which not everybody hears everybody.
- Only the coordinator's feed tells of the accepted log over PUB/SUB; only this node tells of its own log; and nobody
tells of an origin that was never given out. Exchanges carry all logs, from anybody.
- Members come from the coordinator or from a peer that has a newer list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from whoismesh.blocks import PIECE_ENTRIES, Block, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip import guard
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Event,
    Exchanged,
    Found,
    Heard,
    Instruction,
    Learned,
    Listen,
    Publish,
    Reply,
    Tick,
)
from whoismesh.gossip.exchange import Exchanges
from whoismesh.gossip.peers import Peers
from whoismesh.gossip.replica import Replica, Table
from whoismesh.gossip.responder import Responder, messages_of
from whoismesh.messages import Compare, Digest, Discovered, Members, Sent

#: News goes out at once, but again only after so long, seconds, or when so much has gathered, bytes. A message costs
#: its receivers as much as 10 blocks in it; 4 hops of waiting stay under a quarter of a second. Where many are heard
#: directly it is longer (peers.crowding), so that nobody hears more than 12 / 0.05 messages a second.
NEWS_S, NEWS_BYTES = 0.05, 4 * 1024


class Gossip:
    """The engine of one node. It takes nothing in before `join`; `draw` returns a number in [0, 1)."""

    def __init__(self, draw: Callable[[], float], peers: Peers | None = None, table: Table | None = None) -> None:
        self.crawl = b""
        self.peers = peers or Peers()
        self.replica = Replica(table)
        self.exchanges = Exchanges(self.replica.logs, self.peers, draw, self.replica.forget_accepted)
        self.counters: Counter[str] = Counter()
        self._own_last = 0
        self._responder = Responder(self.replica.logs)
        self._news: list[Run] = []
        self._news_bytes = 0
        self._told_at = float("-inf")

    @property
    def origin(self) -> int:
        """The origin of this node."""
        return self.peers.origin

    @property
    def wake_at(self) -> float:
        """When a Tick is due at the latest."""
        if not self.crawl:
            return float("inf")
        return min(self._tell_at, self.exchanges.wake_at) if self._news else self.exchanges.wake_at

    @property
    def _tell_at(self) -> float:
        return self._told_at + NEWS_S * self.peers.crowding

    def join(self, crawl: bytes, origin: int, now: float) -> None:
        """Be a member of a crawl's mesh from now on. What was before this is asked for at once."""
        self.crawl, self.peers.origin = crawl, origin
        self.exchanges.next_at = min(self.exchanges.next_at, now)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take in one event at a point of the monotonic clock; return what to do, in order."""
        if not self.crawl:
            return []
        out: list[Instruction] = []
        match event:
            case Heard(message, on_feed):
                if self._ours(message.crawl):
                    out += self._heard(message, on_feed, now)
            case Asked(sender, message):
                if self._ours(message.crawl):
                    out += self._asked(sender, message, now)
            case Answered(number, message):
                if self._ours(message.crawl):
                    out += self._told(message, now, from_coordinator=self.exchanges.with_coordinator(number))
                    out += self.exchanges.answered(number, message, now)
            case Found(first, blocks):
                for piece in blocks.pieces():
                    run = self.replica.tell(self.origin, first, piece, now)
                    self._own_last = run.last
                    first = run.last + 1
                    self._gather(run)
            case Tick():
                if self.peers.expire(now):
                    out.append(self._listen())
                if learned := self.replica.fill_holes(now):
                    out.append(Learned(tuple(learned)))
        out += self.exchanges.tick(self.crawl, now)
        if self._news and (self._news_bytes >= NEWS_BYTES or now >= self._tell_at):
            out += self._tell(now)
        return out

    def learn(self, block: Block) -> bool:
        """Take in a block that this node has found itself; return whether it is news."""
        return self.replica.learn(block, self.origin)

    def totals(self) -> Counter[str]:
        """Return the counters, those of the replica and the guard included."""
        found = self.counters + self.replica.counters
        for reason, count in self.replica.guard.by_reason().items():
            found["gossip_refused"] += count
            found[f"gossip_refused_{reason}"] += count
        found["members_refused"] += self.peers.refused
        found["gossip_exchanges"] += self.exchanges.done
        found["gossip_exchanges_failed"] += self.exchanges.failures
        return found

    def _ours(self, crawl: bytes) -> bool:
        if crawl != self.crawl:
            self.counters["messages_of_another_crawl"] += 1
        return crawl == self.crawl

    # -- the latency layer --------------------------------------------------------------------------------------

    def _heard(self, message: Discovered | Members, on_feed: bool, now: float) -> Iterator[Instruction]:
        if isinstance(message, Members):
            if on_feed:
                yield from self._members(message, now, on_feed=True)
            else:
                self.counters["messages_unexpected"] += 1
            return
        learned: list[Block] = []
        for run in message.runs:
            if (run.origin == 0) != on_feed:
                self.replica.guard.refuse(run.origin, guard.NOT_THE_COORDINATOR, len(run.blocks))
                continue
            fresh = self._take(run, now)
            learned += fresh
            if fresh and not on_feed and self.peers.relaying:
                self.counters["gossip_relayed"] += 1
                self._gather(run)
        if learned:
            yield Learned(tuple(learned))

    def _gather(self, run: Run) -> None:
        """Put a run to the news that goes out next; entries that follow on what is there become one run with it."""
        self._news_bytes += len(run.blocks.packed)
        before = self._news[-1] if self._news else None
        together = 0 if before is None else len(before.blocks) + len(run.blocks)
        follows = before is not None and before.origin == run.origin and before.last + 1 == run.first
        if before is not None and follows and together <= PIECE_ENTRIES:
            blocks = Blocks(before.blocks.packed + run.blocks.packed, together)
            self._news[-1] = replace(before, blocks=blocks)
        else:
            self._news.append(run)

    def _tell(self, now: float) -> Iterator[Publish]:
        news, self._news, self._news_bytes, self._told_at = self._news, [], 0, now
        # A frame over the limit would deafen the neighbours, and what comes in one frame from elsewhere may fill one.
        return map(Publish, messages_of(self.crawl, iter(news)))

    def _take(self, run: Run, now: float) -> list[Block]:
        """Take in a run, if whoever sent it can have it."""
        if run.origin == self.origin:
            if run.last > self._own_last:
                self.replica.guard.refuse(run.origin, guard.NOT_MINE, len(run.blocks))
            return []  # nobody knows more of it, but when it is sealed and forgotten here all of it would be news
        if run.origin > self.peers.given:
            self.replica.guard.refuse(run.origin, guard.NOT_GIVEN, len(run.blocks))
            return []
        return self.replica.apply(run, now)

    # -- the truth layer ----------------------------------------------------------------------------------------

    def _asked(self, sender: bytes, message: Exchanged, now: float) -> Iterator[Instruction]:
        if isinstance(message, Compare | Digest):
            answer = self._responder.answer(message, self.peers.whole(self.crawl), now)
            yield from (Reply(sender, each) for each in answer)
        elif isinstance(message, Sent):
            self.counters["messages_unexpected"] += 1
        else:
            yield from self._told(message, now)

    def _told(self, message: Exchanged, now: float, *, from_coordinator: bool = False) -> Iterator[Instruction]:
        """Take in what a peer has sent of its logs and its list."""
        if isinstance(message, Members):
            yield from self._members(message, now, from_coordinator=from_coordinator)
        elif isinstance(message, Discovered):
            learned = [block for run in message.runs for block in self._take(run, now)]
            if learned:
                yield Learned(tuple(learned))

    # -- members ------------------------------------------------------------------------------------------------

    def _members(
        self, message: Members, now: float, *, on_feed: bool = False, from_coordinator: bool = False
    ) -> Iterator[Instruction]:
        said_by_peer = not on_feed and not from_coordinator
        if said_by_peer and not self.peers.believes_peers:
            self.counters["members_not_believed"] += 1
            if (message.epoch, message.version) > self.peers.version:
                self.exchanges.doubt()
        elif self.peers.update(message, now, from_coordinator=from_coordinator):
            if said_by_peer:
                self.exchanges.doubt()
            yield self._listen()

    def _listen(self) -> Listen:
        neighbours = tuple(self.peers.neighbours())
        keys = tuple(peer.key for peer in neighbours)
        return Listen(tuple(peer.gossip for peer in neighbours), keys if any(keys) else ())
