"""The list of members as the mesh is told of it: its changes are counted and told one by one, the whole on request."""

from __future__ import annotations

from whoismesh.compounds import Peer
from whoismesh.ledger.lending import Worker
from whoismesh.messages import Members


class Roster:
    """The list of one start of the coordinator, `epoch`: the members that take part in gossip."""

    def __init__(self, crawl: bytes, epoch: int) -> None:
        self._crawl = crawl
        self._epoch = epoch
        self._peers: dict[int, Peer] = {}
        self._version = 0
        self._given = 0

    def joined(self, worker: Worker) -> Members:
        """Return the change that tells of a worker that came, or came back."""
        self._given = max(self._given, worker.origin)
        if not worker.gossip:
            self._peers.pop(worker.origin, None)
            return self._change((), ())
        peer = self._peers[worker.origin] = Peer(worker.origin, worker.gossip, worker.key)
        return self._change((peer,), ())

    def left(self, origin: int) -> Members:
        """Return the change that tells of a worker that is gone."""
        self._peers.pop(origin, None)
        return self._change((), (origin,))

    def _change(self, peers: tuple[Peer, ...], gone: tuple[int, ...]) -> Members:
        self._version += 1
        # The first change is the whole list: there is nothing that it could be a change of.
        return Members(self._crawl, self._epoch, self._version, self._version - 1, self._given, peers, gone)

    def whole(self) -> Members:
        """Return the whole list."""
        return Members(self._crawl, self._epoch, self._version, 0, self._given, tuple(self._peers.values()), ())
