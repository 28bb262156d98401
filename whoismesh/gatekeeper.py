"""Answering ZeroMQ's question, for each connection that knocks, whether its key may come in (ZAP, RFC 27 of ZeroMQ).

One gatekeeper a ZeroMQ context, opened before any socket listens. With `sockets.listen_with` no connection comes in
without its answer: a context without a gatekeeper lets any key in, and so ZMQ_ZAP_ENFORCE_DOMAIN is set there.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import zmq
from zmq.utils import z85

from whoismesh.sockets import ZAP_DOMAIN, Inbox

ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
#: A client that is told 400 never tries again (libzmq's session ends); one that is told 300 does. A key that nobody has
#: heard of may be on its way into the list, so only one that never can be is turned away for good.
WELCOME, LATER, NEVER = b"200", b"300", b"400"
#: One refusal in so many seconds is told of; all are counted. A hundred thousand must not fill a disk with lines.
TOLD_S = 10.0


class Gatekeeper:
    """Lets in who is on the list. `counts` are its answers by their reason."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        admits: Callable[[bytes], bool],
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Open it. `admits` tells of a public key (Z85); `on_refused` hears of one in a while, with its reason."""
        self._admits = admits
        self._on_refused = on_refused
        self._told_at = -TOLD_S
        self.counts: Counter[str] = Counter()
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(ENDPOINT)
        self._inbox = Inbox(socket, self._on_frames)

    def _on_frames(self, frames: list[bytes]) -> None:
        # libzmq's own question: routing id, empty, version, request, domain, address, identity, mechanism, credentials.
        if len(frames) < 8:
            self.counts["malformed"] += 1
            return
        sender, _, _, request, domain, _, _, mechanism, *credentials = frames
        code, reason, user = LATER, "unknown key", b""
        if domain != ZAP_DOMAIN or mechanism != b"CURVE" or len(credentials) != 1 or len(credentials[0]) != 32:
            code, reason = NEVER, "no key"
        else:
            public = z85.encode(credentials[0])
            if self._admits(public):
                code, reason, user = WELCOME, "admitted", public
        self.counts[reason] += 1
        if code != WELCOME and time.monotonic() - self._told_at >= TOLD_S:
            self._told_at = time.monotonic()
            self._on_refused(reason)
        self._inbox.send(sender, b"", VERSION, request, code, reason.encode(), user, b"")
