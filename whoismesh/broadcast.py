"""The coordinator's feed: what it tells all that listen, over one XPUB socket.

An XPUB hears what its subscribers want. What only watchers want (results with their payloads, workers' counters) is
packed while somebody listens for it, and costs nothing else. Payloads go out as they came: nothing is unpacked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import zmq

from whoismesh.compounds import OWN_STATUSES, Result
from whoismesh.messages import Feed, Message, Metrics, Results, encode, topic
from whoismesh.outbox import weight
from whoismesh.sockets import Inbox

#: Bytes of results in one message. A watcher that reads nothing has HIGH_WATER_MESSAGES of them queued for it, 16 MB,
#: and then misses some; a commit of 10,000 results is a third of that.
PIECE_BYTES = 16 * 1024
#: What is packed only for those that subscribe to it.
ON_DEMAND = (Results, Metrics)


class Broadcast:
    """The socket, already bound. `dropped` counts what ZeroMQ did not take, or what is no subscription."""

    def __init__(self, socket: zmq.Socket[bytes], crawl: bytes) -> None:
        self._inbox = Inbox(socket, self._on_frames)
        self._crawl = crawl
        self._subscriptions: set[bytes] = set()
        self._events = 0
        self.dropped = 0

    def _on_frames(self, frames: list[bytes]) -> None:
        """Note the first subscription to a prefix, and when the last one is gone (zmq_socket(3), ZMQ_XPUB)."""
        if len(frames) != 1 or frames[0][:1] not in (b"\0", b"\1"):
            self.dropped += 1
            return
        prefix = frames[0][1:]
        if any(topic(kind).startswith(prefix) for kind in ON_DEMAND):
            (self._subscriptions.add if frames[0][0] else self._subscriptions.discard)(prefix)

    def is_wanted(self, kind: type[Message]) -> bool:
        """Tell whether somebody listens for messages of that kind."""
        return any(topic(kind).startswith(prefix) for prefix in self._subscriptions)

    def publish(self, message: Message) -> None:
        """Send to all that listen for it, now or not at all."""
        self.dropped += not self._inbox.send(encode(message))

    def status(self, status: Mapping[str, Any]) -> None:
        """Tell the state of the crawl."""
        self.publish(Feed(self._crawl, "status", json.dumps(status).encode()))

    def event(self, event: str, level: str, fields: Mapping[str, Any]) -> None:
        """Tell what happened. Events are numbered, so that who missed one can know it."""
        self._events += 1
        told = {"event": event, "level": level, "at": time.time(), "number": self._events, **fields}
        self.publish(Feed(self._crawl, "event", json.dumps(told).encode()))

    def counters(self, origin: int, host: str, counters: Mapping[str, float]) -> None:
        """Pass a worker's counters on."""
        if self.is_wanted(Metrics):
            self.publish(Metrics(self._crawl, origin, host, dict(counters)))

    def stored(self, results: Iterable[Result]) -> None:
        """Tell of results that are on disk: those of workers, not the coordinator's own."""
        if not self.is_wanted(Results):
            return
        piece, left = [], PIECE_BYTES
        for result in results:
            if result.status in OWN_STATUSES:
                continue
            piece.append(result)
            left -= weight(result)
            if left <= 0:
                self.publish(Results(self._crawl, tuple(piece)))
                piece, left = [], PIECE_BYTES
        if piece:
            self.publish(Results(self._crawl, tuple(piece)))

    def close(self) -> None:
        """Close the socket."""
        self._inbox.close()
