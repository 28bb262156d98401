"""The two protocols on the wire: a small HTTP/1.1 server for RDAP, and port 43.

Written on asyncio's protocols, without streams or tasks: crawls are measured against these servers, so an answer
must cost less than the question (9,400 answers a second where aiohttp's low-level server gave 7,000, on two cores
shared with the clients); and the faults are faults of the wire: resets, half answers, silence.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

from whoismesh.practice.faults import CALM, Decision, Fault

#: A request longer than this is none: an RDAP query has no body and short headers.
MAX_REQUEST = 16 * 1024

#: RFC 3912 sets no length; no address needs more.
MAX_WHOIS_LINE = 1024

#: Lines of one bulk query: the real server asks for "a few thousand".
MAX_BULK_LINES = 20_000

#: `struct linger` switched on with a wait of 0: close() then sends RST.
#: What a flood amounts to, and what is written of it at once.
FLOOD_BYTES, _FLOOD_CHUNK = 100 * 1024 * 1024, b" " * 65_535 + b"\n"

#: Steps of a trickle: so many bytes, one at a time, then the end.
_TRICKLE_STEPS = 30

_LINGER_RESET = struct.pack("ii", 1, 0)

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bytes to send and what happens on the way; `keep` leaves the connection open for another question."""

    payload: bytes
    decision: Decision = CALM
    keep: bool = False


#: (client's address, unquoted path) -> answer.
RdapHandler = Callable[[str, str], "RdapReply"]

#: (client's address, line) -> answer.
WhoisHandler = Callable[[str, bytes], Delivery]

#: (client's address, lines, whether it is a single query) -> answer.
BulkHandler = Callable[[str, list[str], bool], Delivery]


@dataclass(frozen=True, slots=True)
class RdapReply:
    """Status, header lines (each with its CR LF) and body, to be made a message of."""

    status: int
    headers: str
    body: bytes
    decision: Decision = CALM


class _Connection(asyncio.Protocol):
    """What both protocols share: the transport, and carrying a decision out."""

    def __init__(self, connections: set[_Connection], slow_s: float) -> None:
        self._connections = connections
        self._slow_s = slow_s
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._received = b""
        self._busy = False
        self._flood_left = 0
        self._paused = False
        self.client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (asyncio.Protocol)."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if peer else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection (asyncio.Protocol)."""
        self._connections.discard(self)
        self._transport = None
        self._cancel()

    def pause_writing(self) -> None:
        """Stop a flood while the client does not read (asyncio.Protocol)."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on (asyncio.Protocol)."""
        self._paused = False
        self._flood()

    def abort(self) -> None:
        """End the connection at once."""
        self._cancel()
        if self._transport is not None:
            self._transport.abort()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _deliver(self, delivery: Delivery, close: bool) -> None:
        if delivery.decision.delay_s > 0:
            self._busy = True
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delivery.decision.delay_s, self._deliver_late, delivery, close)
        else:
            self._send(delivery, close)

    def _deliver_late(self, delivery: Delivery, close: bool) -> None:
        self._timer = None
        self._busy = False
        self._send(delivery, close)
        self._go_on()

    def _send(self, delivery: Delivery, close: bool) -> None:
        transport, payload, fault = self._transport, delivery.payload, delivery.decision.fault
        if transport is None:
            return
        if fault is None or fault not in _ON_THE_WIRE:  # what is wrong is in the payload
            transport.write(payload)
            if close:
                transport.close()
        elif fault is Fault.RESET:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            transport.abort()
        elif fault is Fault.CUT:
            transport.write(payload[: len(payload) // 2])
            transport.close()
        elif fault is Fault.FLOOD:
            transport.write(payload)
            self._busy = True
            self._flood_left = FLOOD_BYTES
            self._flood()
        elif fault is Fault.TRICKLE:
            self._busy = True
            self._trickle(payload, 0)
        else:
            transport.write(payload[: len(payload) // 4])
            self._busy = True
            self._timer = asyncio.get_running_loop().call_later(self._slow_s, transport.close)

    def _flood(self) -> None:
        while self._flood_left and not self._paused:
            if self._transport is None or self._transport.is_closing():
                return  # the client has had enough
            self._flood_left = max(0, self._flood_left - len(_FLOOD_CHUNK))
            self._transport.write(_FLOOD_CHUNK)
            if not self._flood_left:
                self._transport.close()

    def _trickle(self, payload: bytes, at: int) -> None:
        if self._transport is None:
            return
        if at >= _TRICKLE_STEPS:
            self._transport.close()
            return
        self._transport.write(payload[at : at + 1])
        self._timer = asyncio.get_running_loop().call_later(
            self._slow_s / _TRICKLE_STEPS, self._trickle, payload, at + 1
        )

    def _go_on(self) -> None:
        """Take the next request that has already come, if the protocol has more than one a connection."""


#: The faults that the connection has to do with; all others are in what is sent.
_ON_THE_WIRE = frozenset({Fault.RESET, Fault.CUT, Fault.SLOW, Fault.TRICKLE, Fault.FLOOD})


class RdapConnection(_Connection):
    """HTTP/1.1 (RFC 9112) as far as RDAP clients need it: GET and HEAD, keep-alive, one after another."""

    def __init__(self, handle: RdapHandler, connections: set[_Connection], slow_s: float) -> None:
        super().__init__(connections, slow_s)
        self._handle = handle

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests (asyncio.Protocol)."""
        self._received += data
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        while not self._busy and self._transport is not None and not self._transport.is_closing():
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                if len(self._received) > MAX_REQUEST:
                    self._refuse(431)
                return
            head, self._received = self._received[:end], self._received[end + 4 :]
            self._request(head)

    def _request(self, head: bytes) -> None:
        request_line, _, header_block = head.decode("latin-1").partition("\r\n")
        parts = request_line.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            self._refuse(400)
            return
        method, target, version = parts
        headers = header_block.lower()
        if method not in ("GET", "HEAD"):
            self._refuse(405)
            return
        if "transfer-encoding:" in headers or ("content-length:" in headers and "content-length: 0" not in headers):
            self._refuse(400)  # a body where none belongs; its end would have to be found first
            return
        close = "connection: close" in headers or (version == "HTTP/1.0" and "connection: keep-alive" not in headers)
        reply = self._handle(self.client, unquote(target.partition("?")[0]))
        payload = _message(reply, close, FLOOD_BYTES if reply.decision.fault is Fault.FLOOD else None)
        if method == "HEAD":
            payload = payload[: payload.index(b"\r\n\r\n") + 4]
        self._deliver(Delivery(payload, reply.decision), close)

    def _refuse(self, status: int) -> None:
        self._received = b""
        self._deliver(Delivery(_message(RdapReply(status, "", b""), close=True)), close=True)


class WhoisConnection(_Connection):
    """RFC 3912: one line, one answer, and the end of the connection is the end of the answer, unless it is kept."""

    def __init__(self, handle: WhoisHandler, connections: set[_Connection], slow_s: float) -> None:
        super().__init__(connections, slow_s)
        self._handle = handle
        self._kept = False

    def data_received(self, data: bytes) -> None:
        """Take bytes of the query line (asyncio.Protocol)."""
        self._received += data[: MAX_REQUEST - len(self._received)]
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        while not self._busy and self._transport is not None and not self._transport.is_closing():
            line, end, rest = self._received.partition(b"\n")
            if not end and len(self._received) <= MAX_WHOIS_LINE:
                return
            self._received = rest
            delivery = self._handle(self.client, line[:MAX_WHOIS_LINE].rstrip(b"\r"))
            self._kept = delivery.keep
            self._deliver(delivery, close=not delivery.keep)

    def eof_received(self) -> bool:
        """Answer a client that has closed its half; the answer, not the question, ends the connection."""
        if self._kept and not self._busy and not self._received:
            return False  # a kept connection, of which the client has had enough
        if not self._busy:
            self.data_received(b"\n")
        return True


class BulkConnection(_Connection):
    """Team Cymru's way: the lines from `begin` to `end` are one query, any other first line is one of its own."""

    def __init__(self, handle: BulkHandler, connections: set[_Connection], slow_s: float) -> None:
        super().__init__(connections, slow_s)
        self._handle = handle
        self._lines: list[str] = []

    def data_received(self, data: bytes) -> None:
        """Take bytes of the query (asyncio.Protocol)."""
        if self._busy or self._transport is None or self._transport.is_closing():
            return
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > MAX_WHOIS_LINE or len(self._lines) + len(lines) > MAX_BULK_LINES:
            self.abort()
            return
        for line in lines:
            self._lines.append(line.decode("latin-1").strip())
            bulk = self._lines[0].lower() == "begin"
            if not bulk or self._lines[-1].lower() == "end":
                query = self._lines[1:-1] if bulk else self._lines
                self._deliver(self._handle(self.client, query, not bulk), close=True)
                return


def _message(reply: RdapReply, close: bool, length: int | None = None) -> bytes:
    """Return status line, headers and body; `length` is what is said of the body where that is not true."""
    reason = _REASONS.get(reply.status, "")
    connection = "Connection: close\r\n" if close else ""
    said = len(reply.body) if length is None else length
    head = f"HTTP/1.1 {reply.status} {reason}\r\n{reply.headers}Content-Length: {said}\r\n{connection}\r\n"
    return head.encode("latin-1") + reply.body
