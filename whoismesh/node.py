"""The gossip sockets of a worker: what its engine hears and says. They decide nothing.

A PUB for its own news and what it passes on, and a ROUTER for those that compare, on two consecutive ports; a SUB to
the coordinator's feed and one to peers, apart, because only the coordinator tells of the accepted log; and a DEALER for
the exchange that is open, one at a time, so that the count of connections is bounded whatever the size of the mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from whoismesh.errors import MessageError, UsageError
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Close,
    Heard,
    Incoming,
    Instruction,
    Listen,
    Open,
    Publish,
    Reply,
    Say,
)
from whoismesh.keys import Keys
from whoismesh.messages import Compare, Digest, Discovered, Members, Sent, decode, encode, topic
from whoismesh.sockets import Inbox, bind_ports, connect_with, listen_with, open_socket, parse_endpoint


class Node:
    """The sockets. `on_event` is given what comes in; `carry_out` does what the engine says."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        host: str,
        port: int,
        on_event: Callable[[Incoming], None],
        keys: Keys | None = None,
    ) -> None:
        """Bind on the interface `host`, at `port` and the one above; 0 finds two. Raises UnavailableError."""
        self._context = context
        self._on_event = on_event
        self._keys = keys
        self.dropped = 0
        self._publisher = listen_with(open_socket(context, zmq.PUB), keys)
        router = listen_with(open_socket(context, zmq.ROUTER), keys)
        bound = bind_ports([self._publisher, router], host, port)
        self.address = f"tcp://{host}:{bound}"
        self._router = Inbox(router, self._on_router_frames)
        self._feed = self._subscriber(self._on_feed_frames, Discovered, Members)
        self._peers = self._subscriber(self._on_peer_frames, Discovered)
        self._listens_to: dict[str, str] = {}
        self._feed_at = self._exchange_at = ""
        self._dealer: Inbox | None = None
        self._exchange = 0

    def _subscriber(self, on_frames: Callable[[list[bytes]], None], *kinds: Any) -> Inbox:
        subscriber = open_socket(self._context, zmq.SUB)
        for kind in kinds:
            subscriber.setsockopt(zmq.SUBSCRIBE, topic(kind))
        return Inbox(subscriber, on_frames)

    def join(self, feed: str, exchange: str) -> None:
        """Listen to the coordinator's feed, and know where it takes part in exchanges: anew where it has moved."""
        if feed != self._feed_at:
            if self._feed_at:
                self._feed.socket.disconnect(self._feed_at)
            connect_with(self._feed.socket, feed, self._keys)
        self._feed_at, self._exchange_at = feed, exchange

    def close(self) -> None:
        """Close all sockets."""
        for inbox in (self._router, self._feed, self._peers, self._dealer):
            if inbox is not None:
                inbox.close()
        self._publisher.close()

    # -- events in ----------------------------------------------------------------------------------------------

    def _on_feed_frames(self, frames: list[bytes]) -> None:
        self._on_frame(frames, 1, (Discovered, Members), lambda message: Heard(message, True))

    def _on_peer_frames(self, frames: list[bytes]) -> None:
        self._on_frame(frames, 1, (Discovered,), lambda message: Heard(message, False))

    def _on_router_frames(self, frames: list[bytes]) -> None:
        kinds = (Compare, Digest, Discovered, Members)
        self._on_frame(frames, 2, kinds, lambda message: Asked(frames[0], message))

    def _on_dealer_frames(self, frames: list[bytes]) -> None:
        number = self._exchange
        self._on_frame(frames, 1, (Digest, Sent, Discovered, Members), lambda message: Answered(number, message))

    def _on_frame(
        self, frames: list[bytes], count: int, kinds: tuple[type, ...], to_event: Callable[[Any], Incoming]
    ) -> None:
        try:
            if len(frames) != count:
                raise MessageError(f"expected {count} frames, got {len(frames)}")
            message = decode(frames[-1])
            if not isinstance(message, kinds):
                raise MessageError("not expected on this socket")
        except MessageError:
            self.dropped += 1
            return
        self._on_event(to_event(message))

    # -- instructions out ---------------------------------------------------------------------------------------

    def carry_out(self, instruction: Instruction) -> None:
        """Do what the engine says."""
        match instruction:
            case Publish(message):
                try:
                    self._publisher.send(encode(message), zmq.NOBLOCK)
                except zmq.ZMQError:
                    self.dropped += 1
            case Listen(gossip, keys):
                self._listen(dict(zip(gossip, keys or ("",) * len(gossip), strict=True)))
            case Open(number, gossip, key):
                self._open(number, gossip, key)
            case Say(message):
                if self._dealer is not None:
                    self._dealer.send(encode(message))
            case Reply(to, message):
                self._router.send(to, encode(message))
            case Close():
                self._shut()

    def _listen(self, wanted: dict[str, str]) -> None:
        """Listen to these addresses, each with its public key; one of another key than before is another peer."""
        for gossip in [each for each, key in self._listens_to.items() if wanted.get(each) != key]:
            self._peers.socket.disconnect(gossip)
            del self._listens_to[gossip]
        for gossip, key in wanted.items():
            if gossip not in self._listens_to and self._connect(self._peers.socket, gossip, 0, key):
                self._listens_to[gossip] = key

    def _connect(self, socket: zmq.Socket[bytes], gossip: str, offset: int, key: str) -> bool:
        try:
            host, port = parse_endpoint(gossip, what="a peer's address")
            connect_with(socket, f"tcp://{host}:{port + offset}" if offset else gossip, self._keys, key.encode())
        except (UsageError, zmq.ZMQError):
            self.dropped += 1
            return False
        return True

    def _connect_to_coordinator(self, dealer: zmq.Socket[bytes]) -> bool:
        try:
            connect_with(dealer, self._exchange_at, self._keys)
        except zmq.ZMQError:
            self.dropped += 1
            return False
        return True

    def _open(self, number: int, gossip: str, key: str) -> None:
        self._shut()
        self._exchange = number
        dealer = open_socket(self._context, zmq.DEALER)
        if not (self._connect(dealer, gossip, 1, key) if gossip else self._connect_to_coordinator(dealer)):
            dealer.close()  # no answer comes, so the engine tries another
            return
        self._dealer = Inbox(dealer, self._on_dealer_frames)

    def _shut(self) -> None:
        if self._dealer is not None:
            self._dealer.close()
            self._dealer = None
