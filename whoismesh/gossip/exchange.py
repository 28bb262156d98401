"""One exchange with one peer at a time: hash first, then digest, then what each lacks, both ways.

    nobody --begin--> comparing --Sent(equal)------------------------------------> done
                      comparing --Digest--> pulling --Discovered*, Sent(more)--> pulling
                                            pulling --Sent--> (push what they lack) done
    any, without an answer in time --> failed; Sent(busy) --> done, another one soon

Rules of this file:
- Pull before push: what the peer has of the accepted log makes most of one's own tails needless.
- An exchange that does not get on is ended: the next peer may know better.
- A list of members that is newer than the coordinator's is forged, too.
- An accepted log that is not the peer's is one that somebody has forged. The coordinator's is right: what is here is
forgotten and asked for anew. Of anybody else's one cannot know, so the coordinator is asked next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from whoismesh.compounds import Peer
from whoismesh.gossip.events import Close, Exchanged, Instruction, Open, Say
from whoismesh.gossip.logs import MOST_CREDIT_BYTES, Have, Logs, hash_of
from whoismesh.gossip.peers import COORDINATOR, Peers
from whoismesh.gossip.responder import messages_of
from whoismesh.messages import Compare, Digest, Sent

#: An exchange begins this often, seconds, give or take a quarter: all nodes have everything after 6 to 11 rounds
#: (50 to 1,000 nodes, a tenth of the messages lost) even without PUB/SUB.
INTERVAL_S, JITTER = 1.0, 0.25
#: Who says nothing for so long has failed, seconds.
TIMEOUT_S = 2.0
#: An exchange ends after this, seconds, however much is left: there are other peers. 5 million blocks take half of it.
LONGEST_S = 60.0
#: After a peer that is busy, or failed, another one is tried this soon, seconds.
SOON_S = 0.1


@dataclass(slots=True)
class Exchange:
    """The exchange that is open. `theirs` is what the peer had, once it has told; `asked` what we had when we asked."""

    number: int
    peer: int
    deadline: float
    until: float
    theirs: Digest | None = None
    asked: Have | None = None
    disagreed: bool = False


class Exchanges:
    """The initiator's side. `draw` returns a number in [0, 1): the caller's source of chance.

    `forget` forgets the accepted log.
    """

    def __init__(self, logs: Logs, peers: Peers, draw: Callable[[], float], forget: Callable[[], None]) -> None:
        self.open: Exchange | None = None
        self.next_at = float("inf")
        self.failures = 0
        self.done = 0
        self._logs = logs
        self._peers = peers
        self._draw = draw
        self._number = 0
        self._forget = forget
        self._in_doubt = False

    @property
    def wake_at(self) -> float:
        """When a Tick is due at the latest."""
        return self.next_at if self.open is None else self.open.deadline

    def tick(self, crawl: bytes, now: float) -> Iterator[Instruction]:
        """End what is overdue; begin what is due."""
        if self.open is not None and now >= self.open.deadline:
            self.failures += 1
            self._peers.failed(self.open.peer, now)
            yield from self._end(now, SOON_S)
        if self.open is None and now >= self.next_at:
            peer = self._peers.partner(now, self._draw)
            if self._in_doubt and self._peers.can_ask(COORDINATOR, now):
                peer = COORDINATOR
            self._in_doubt = False
            if peer is None:
                self.next_at = now + INTERVAL_S
                return
            self._number += 1
            self.open = Exchange(self._number, peer, now + TIMEOUT_S, now + LONGEST_S)
            self._logs.trim(now)
            member = Peer(COORDINATOR, "") if peer == COORDINATOR else self._peers.members[peer]
            yield Open(self._number, member.gossip, member.key)
            yield Say(Compare(crawl, self._hash()))

    def answered(self, number: int, message: Exchanged, now: float) -> Iterator[Instruction]:
        """Take in what the partner says of where it stands (not what it sends of its logs)."""
        exchange = self.open
        if exchange is None or exchange.number != number:
            return
        exchange.deadline = min(now + TIMEOUT_S, exchange.until)
        self._peers.answered(exchange.peer)
        match message:
            case Digest() if exchange.theirs is None:
                exchange.theirs = message
                if self._wants(exchange, message) or self._disagrees(exchange, message):
                    yield self._ask(exchange, message.crawl)
                else:
                    yield from self._push(exchange, now)
            case Digest():
                self._disagrees(exchange, message)
            case Sent(busy=True):
                yield from self._end(now, SOON_S)
            case Sent(more=more):
                if exchange.theirs is None:
                    self.done += 1
                    yield from self._end(now, INTERVAL_S)  # all alike
                elif more and exchange.asked != self._have():
                    yield self._ask(exchange, message.crawl)
                else:
                    yield from self._push(exchange, now)

    def _hash(self) -> bytes:
        have = self._logs.have()
        return hash_of(have, self._peers.version, self._logs.accepted_log.hash_at(have[0]))

    def _have(self) -> Have:
        accepted, tails = self._logs.have()
        return accepted, dict(tails)

    def doubt(self) -> None:
        """Compare with the coordinator next: somebody else has said what only it can know."""
        self._in_doubt = True

    def with_coordinator(self, number: int) -> bool:
        """Tell whether the exchange of that number is open, and the coordinator its partner."""
        return self.open is not None and self.open.number == number and self.open.peer == COORDINATOR

    def _wants(self, exchange: Exchange, theirs: Digest) -> bool:
        newer = theirs.members is not None and theirs.members > self._peers.version
        return newer or self._has_forged_list(exchange) or self._logs.lacks((theirs.accepted, theirs.tails))

    def _ask(self, exchange: Exchange, crawl: bytes) -> Say:
        exchange.asked = self._have()
        accepted, tails = exchange.asked
        log_hash = self._logs.accepted_log.hash_at(accepted)
        version = (0, 0) if self._has_forged_list(exchange) else self._peers.version
        return Say(Digest(crawl, accepted, dict(tails), version, MOST_CREDIT_BYTES, log_hash))

    def _has_forged_list(self, exchange: Exchange) -> bool:
        theirs = exchange.theirs.members if exchange.theirs is not None else None
        return exchange.peer == COORDINATOR and theirs is not None and theirs < self._peers.version

    def _disagrees(self, exchange: Exchange, theirs: Digest) -> bool:
        """Tell whether the accepted log was not the coordinator's, and is forgotten now. Once an exchange."""
        if self._logs.agrees(theirs.accepted, theirs.log_hash) or exchange.disagreed:
            return False
        exchange.disagreed = True
        if exchange.peer != COORDINATOR:
            self._in_doubt = True
            return False
        self._forget()
        return True

    def _push(self, exchange: Exchange, now: float) -> Iterator[Instruction]:
        theirs = exchange.theirs
        assert theirs is not None
        if self._disagrees(exchange, theirs):
            yield self._ask(exchange, theirs.crawl)
            return
        self._logs.trim(now)
        if theirs.members is not None and theirs.members < self._peers.version:
            yield Say(self._peers.whole(theirs.crawl))
        credit_bytes = min(theirs.credit_bytes, MOST_CREDIT_BYTES)
        lacking = self._logs.delta((theirs.accepted, theirs.tails), credit_bytes, agreed=not exchange.disagreed)
        for told in messages_of(theirs.crawl, lacking):
            yield Say(told)
        self.done += 1
        yield from self._end(now, INTERVAL_S)

    def _end(self, now: float, pause_s: float) -> Iterator[Instruction]:
        self.open = None
        self.next_at = now + pause_s * (1 - JITTER + 2 * JITTER * self._draw())
        yield Close()
