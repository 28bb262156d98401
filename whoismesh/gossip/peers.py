"""Who else is in the mesh, whom to listen to, and whom to compare with next.

Rules of this file:
- The list of members is the coordinator's, passed on by all. Whether a member can be reached each node finds out for
itself, and tells nobody: one sick node must not make the rest believe that others are dead (hashicorp/serf#269).
- Nobody is given up for good. A member that fails is left alone for a while and then tried again, or a long partition
would never heal (hashicorp/serf#605, caio/foca#15).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nsmallest

from whoismesh.compounds import Peer
from whoismesh.messages import MAX_SENT_BYTES, Members

#: Up to so many members everybody listens to everybody.
FULL_MESH = 32
#: Beyond, each listens to so many: a random graph of 1,000 stays connected with a fifth of its nodes dead, and reaches
#: all in 4 hops (simulated; 8 links: in 95 of 100 graphs).
LINKS = 12
#: Failures in a row after which a member is left alone, and for how long, seconds.
FAILURES_TO_SKIP, SKIP_S = 3, 30.0
#: When the coordinator has restarted, members of the list before that are not in the new one yet are kept this long,
#: seconds: they are on their way back to it.
RETURNING_S = 30.0
#: A member in a list takes this besides its address, bytes.
MEMBER_BYTES = 14
#: The coordinator as a partner of exchanges.
COORDINATOR = 0


@dataclass(slots=True)
class Trouble:
    """A member that did not answer: how often in a row, and until when it is left alone."""

    failures: int = 0
    skip_until: float = 0.0


class Peers:
    """The members as this node, `origin`, knows them. `full_mesh` and `links` bound whom it listens to."""

    def __init__(self, full_mesh: int = FULL_MESH, links: int = LINKS) -> None:
        self.origin = 0
        self.version = (0, 0)
        self.given = 0
        #: Whether lists are taken from peers: not any more once one was forged, or it would go round for ever.
        self.believes_peers = True
        self.members: dict[int, Peer] = {}
        #: Lists and changes that were not taken because no frame could carry what came of them.
        self.refused = 0
        self._largest = 0
        self._full_mesh = full_mesh
        self._links = links
        self._returning: dict[int, float] = {}
        self._trouble: dict[int, Trouble] = {}
        self._draws: dict[int, bytes] = {}
        self._drawn_for = 0
        self._changed()

    # -- the list -----------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self._whole: Members | None = None
        self._others: tuple[int, ...] = ()
        self._keys: frozenset[str] | None = None

    def update(self, message: Members, now: float, *, from_coordinator: bool = False) -> bool:
        """Take in a list or the changes of one; return whether it was newer and fits what is known.

        A whole list with which the coordinator itself answers is taken also where it is older: what is here is forged.
        """
        theirs = (message.epoch, message.version)
        if not self._fits_frame(message):
            self.refused += 1
            return False  # nobody could be told of it
        if from_coordinator and not message.since and theirs < self.version:
            self.version, self.given, self.members, self._returning = (0, 0), 0, {}, {}
            self.believes_peers = False
            self._changed()
        fits = not message.since or (message.epoch == self.version[0] and message.since <= self.version[1])
        if theirs <= self.version or not fits:
            return False
        named = {peer.origin: peer for peer in message.peers if peer.origin}
        if message.since:
            self.members.update(named)
            for origin in message.gone:
                self.members.pop(origin, None)
        else:
            self._returning = {} if message.epoch == self.version[0] else dict.fromkeys(self.members, now + RETURNING_S)
            kept = {origin: peer for origin, peer in self.members.items() if origin in self._returning}
            self.members = kept | named
        for origin in (*named, *message.gone):
            self._returning.pop(origin, None)
        self._changed()
        self.version = theirs
        self.given = max(self.given, message.given)
        self._draws = {origin: each for origin, each in self._draws.items() if origin in self.members}
        self._trouble = {origin: each for origin, each in self._trouble.items() if origin in self.members or not origin}
        return True

    def _fits_frame(self, message: Members) -> bool:
        before = self.members.values() if message.since else ()
        more = sum(map(_size, message.peers))
        self._largest = max([self._largest, *map(_size, message.peers)])
        # Each change of a large mesh comes by here: whom it does not name is looked at only where it may be too much.
        return more + len(before) * self._largest <= MAX_SENT_BYTES or more + sum(map(_size, before)) <= MAX_SENT_BYTES

    def expire(self, now: float) -> bool:
        """Let go of those that did not come back to a restarted coordinator; return whether there were any."""
        gone = [origin for origin, until in self._returning.items() if until <= now]
        for origin in gone:
            del self._returning[origin]
            self.members.pop(origin, None)
        if gone:
            self._changed()
        return bool(gone)

    def whole(self, crawl: bytes) -> Members:
        """Return the list for somebody who has an older one. It is made once: every question may need it."""
        if self._whole is None or self._whole.crawl != crawl:
            named = tuple(peer for origin, peer in self.members.items() if origin not in self._returning)
            self._whole = Members(crawl, *self.version, 0, self.given, named, ())
        return self._whole

    # -- the latency layer --------------------------------------------------------------------------------------

    @property
    def _count_of_others(self) -> int:
        return len(self.members) - (self.origin in self.members)

    @property
    def relaying(self) -> bool:
        """Whether there are too many to hear all of them directly, so that news is passed on."""
        return self._count_of_others > self._full_mesh

    @property
    def crowding(self) -> float:
        """How many times as many this node listens to as in a mesh of LINKS links: 1 or more."""
        return 1.0 if self.relaying else max(1.0, self._count_of_others / LINKS)

    def neighbours(self) -> tuple[Peer, ...]:
        """Return whom to listen to: all, or a choice that is random among nodes and changes little as members do."""
        others = [peer for origin, peer in self.members.items() if origin != self.origin]
        if self.relaying:
            others = nsmallest(self._links, others, key=self._draw)
        return tuple(sorted(others, key=lambda peer: peer.origin))

    def has_key(self, key: str) -> bool:
        """Tell whether a public key is a member's, by the list."""
        if self._keys is None:
            self._keys = frozenset(peer.key for peer in self.members.values() if peer.key)
        return key in self._keys

    # -- the truth layer ----------------------------------------------------------------------------------------

    def partner(self, now: float, draw: Callable[[], float]) -> int | None:
        """Return a random member (or COORDINATOR) to compare with, None if nobody is left to ask now."""
        if not self._others:
            self._others = (COORDINATOR, *(origin for origin in self.members if origin != self.origin))
        able: Sequence[int] = self._others
        left_out = {origin for origin in self._trouble if self._skip_until(origin) > now}
        if left_out:
            able = [origin for origin in able if origin not in left_out]
        return able[int(draw() * len(able))] if able else None

    def can_ask(self, origin: int, now: float) -> bool:
        """Tell whether a member is not left alone now."""
        return self._skip_until(origin) <= now

    def _skip_until(self, origin: int) -> float:
        trouble = self._trouble.get(origin)
        return trouble.skip_until if trouble is not None else 0.0

    def failed(self, origin: int, now: float) -> None:
        """Note that a member did not answer."""
        trouble = self._trouble.setdefault(origin, Trouble())
        trouble.failures += 1
        if trouble.failures >= FAILURES_TO_SKIP:
            trouble.skip_until = now + SKIP_S

    def answered(self, origin: int) -> None:
        """Note that a member answered."""
        self._trouble.pop(origin, None)

    def _draw(self, peer: Peer) -> bytes:
        """Return what decides how near a member is to this node: the same for as long as both live."""
        if self._drawn_for != self.origin:
            self._draws, self._drawn_for = {}, self.origin
        drawn = self._draws.get(peer.origin)
        if drawn is None:
            name = f"{self.origin} {peer.origin}".encode()
            drawn = self._draws[peer.origin] = blake2b(name, digest_size=8).digest()
        return drawn


def _size(peer: Peer) -> int:
    return MEMBER_BYTES + len(peer.gossip) + len(peer.key)
