"""The list of members as the mesh is told of it: its changes are counted and told one by one, the whole on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from whoismesh.compounds import Peer
from whoismesh.ledger.lending import Worker
from whoismesh.messages import Members


class Roster:
    """The list of one start of the coordinator, `epoch`. `workers` are the members by origin, kept by the engine."""

    def __init__(self, crawl: bytes, epoch: int, workers: Mapping[int, Worker]) -> None:
        self._crawl = crawl
        self._epoch = epoch
        self._workers = workers
        self._version = 0
        self._given = 0

    def joined(self, worker: Worker) -> Members:
        """Return the change that tells of a worker that came, or came back."""
        self._given = max(self._given, worker.origin)
        return self._change(_peers((worker,)), ())

    def left(self, origin: int) -> Members:
        """Return the change that tells of a worker that is gone."""
        return self._change((), (origin,))

    def _change(self, peers: tuple[Peer, ...], gone: tuple[int, ...]) -> Members:
        self._version += 1
        # The first change is the whole list: there is nothing that it could be a change of.
        return Members(self._crawl, self._epoch, self._version, self._version - 1, self._given, peers, gone)

    def whole(self) -> Members:
        """Return the whole list."""
        peers = _peers(self._workers.values())
        return Members(self._crawl, self._epoch, self._version, 0, self._given, peers, ())


def _peers(workers: Iterable[Worker]) -> tuple[Peer, ...]:
    return tuple(Peer(each.origin, each.gossip, each.key) for each in workers if each.gossip)
