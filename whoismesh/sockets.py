"""ZeroMQ sockets: every option that matters is set here, with its reason, and how frames come in and go out.

What ZeroMQ does silently, and what is done about it: PUB and ROUTER drop at the high-water mark and PUSH blocks, so
nothing here is the only road of anything that matters; LINGER is infinite by default, so a process would hang at its
end; one awaited receive a message costs 16 times a drained queue, so sockets are polled once and drained; a receiver
that is full reads no heartbeats either and is taken for dead, so the link that may fill (results) has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

import zmq

from whoismesh.errors import ConfigError, UnavailableError, UsageError
from whoismesh.keys import Keys
from whoismesh.messages import MAX_FRAME_BYTES

#: Messages queued for one peer: leases, permits and news, 20 s of them at the most that one peer sends (FLUSH_S). A
#: peer this far behind is better dropped on: leases lapse, and news is repaired from the accepted log.
HIGH_WATER_MESSAGES = 1_000
#: Results queued for one peer, on each side. A message is RESULT_BYTES at most (or one result of 64 KiB), so a
#: coordinator that takes none holds 4 x 64 KiB a worker in ZeroMQ and about as much in the kernel (LINK_BUFFER_BYTES):
#: 50 MB for 100 workers, 0.5 GB for 1,000. The rest stays in the workers' spools.
RESULT_HIGH_WATER_MESSAGES = 4
RESULT_BYTES = 64 * 1024
#: Buffer of the kernel for the link of results (it doubles this). Left to itself it grows to 4 MiB a worker.
LINK_BUFFER_BYTES = 128 * 1024
#: How long a closing socket may still deliver (ms): gossip and feeds nothing, leases and results a moment.
LINGER_MS = 500
#: A silent peer is noticed after this (ms); TCP alone takes half an hour.
HEARTBEAT_INTERVAL_MS, HEARTBEAT_TIMEOUT_MS = 2_000, 10_000
#: The link of results has TCP's own keepalive, which the kernel answers whether the process reads or not: idle time,
#: interval (seconds) and count after which a vanished host's connection is closed. Minutes are soon enough there: the
#: link of leases notices first.
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 60, 15, 4
#: Reconnects back off to this (ms), or a restarted coordinator meets a storm.
RECONNECT_FIRST_MS, RECONNECT_MOST_MS = 100, 2_000
#: A connection that gets no answer at all is given up after this (ms); the kernel alone takes two minutes, in which the
#: name is not looked up again, though its owner may have moved to another address.
CONNECT_MS = 5_000
#: Peers whose handshake hangs are let go (ms).
HANDSHAKE_MS = 5_000
#: Connections waiting to be accepted; a fleet joins at once (the kernel's somaxconn may cap it).
BACKLOG = 4_096
#: Which of the coordinator's ports in a row is for what, counted from the ROUTER's.
RESULTS_OFFSET, FEED_OFFSET, EXCHANGE_OFFSET = 1, 2, 3
#: What the gatekeeper is asked about. Any text will do; without one libzmq does not ask.
ZAP_DOMAIN = b"whoismesh"
#: Frames taken in, and time spent on them (seconds), before others get a turn: a piece of a log takes some 6 ms.
DRAIN_FRAMES, DRAIN_S = 1_000, 0.01


def open_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    """Return a socket of that kind with all options set."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_FIRST_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MS)
    socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    socket.setsockopt(zmq.IPV6, 1)
    if kind in (zmq.PUSH, zmq.PULL):
        socket.setsockopt(zmq.SNDHWM, RESULT_HIGH_WATER_MESSAGES)
        socket.setsockopt(zmq.RCVHWM, RESULT_HIGH_WATER_MESSAGES)
        socket.setsockopt(zmq.SNDBUF, LINK_BUFFER_BYTES)
        socket.setsockopt(zmq.RCVBUF, LINK_BUFFER_BYTES)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT)
    else:
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MESSAGES)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MESSAGES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_INTERVAL_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)
    if kind == zmq.PUSH:
        # Do not queue for a collector that is not there: it would be lost with the process; the spool keeps it.
        socket.setsockopt(zmq.IMMEDIATE, 1)
    if kind == zmq.ROUTER:
        # An unknown peer raises instead of swallowing; a reconnecting one takes its name over.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    return socket


def listen_with(socket: zmq.Socket[bytes], keys: Keys | None) -> zmq.Socket[bytes]:
    """Let a socket that will be bound take encrypted connections only, of keys that the gatekeeper lets in."""
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    return socket


def connect_with(socket: zmq.Socket[bytes], endpoint: str, keys: Keys | None, theirs: bytes | None = None) -> None:
    """Connect, encrypted, to who has that public key and nobody else; the coordinator where none is given.

    The key is that of this connection: the next one of the same socket may be to another. Raises zmq.ZMQError.
    """
    if keys is not None:
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.coordinator if theirs is None else theirs)
    socket.connect(endpoint)


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_strangers(host: str, keys: Keys | None) -> None:
    """See that nobody listens beyond this machine without keys. Raises ConfigError."""
    if keys is not None or is_loopback(host):
        return
    raise ConfigError(
        f"{host}: anybody who reaches this address could take part in the mesh; make keys with `whoismesh keys new` "
        "and give --keys FOLDER, or listen on 127.0.0.1"
    )


class Inbox:
    """A socket tied to the running asyncio loop: each frame that comes in goes to `on_frames`.

    The file descriptor of a ZeroMQ socket is edge-triggered and shared by both directions: it is drained until empty,
    and looked at again after every send. After a send that was not taken, `on_room` is called when one may be.

    `user` is the public key of who sent the frames at hand, empty where there are no keys.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        on_frames: Callable[[list[bytes]], None],
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self.socket = socket
        self.dropped = 0
        self.user = b""
        self._has_users = bool(socket.getsockopt(zmq.CURVE_SERVER))
        self._on_frames = on_frames
        self._on_room = on_room
        self._refused = False
        self._paused = False
        self._loop = asyncio.get_running_loop()
        self._descriptor = socket.fileno()
        self._scheduled = False
        self._loop.add_reader(self._descriptor, self._drain)
        self._schedule()

    def send(self, *frames: bytes) -> bool:
        """Send now or not at all; return whether it was taken."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError:
            self.dropped += 1
            self._refused = True
            return False
        finally:
            self._schedule()
        return True

    def pause(self) -> None:
        """Take nothing in until `resume`: what comes fills ZeroMQ's queue, then the kernel's, then the sender waits."""
        if not self._paused:
            self._paused = True
            # It would be called over and over: the descriptor stays readable until somebody looks at the socket.
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        """Take frames in again."""
        if self._paused and not self.socket.closed:
            self._paused = False
            self._loop.add_reader(self._descriptor, self._drain)
            self._schedule()

    def close(self) -> None:
        """Stop listening and close the socket."""
        self._loop.remove_reader(self._descriptor)
        self.socket.close()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        until = self._loop.time() + DRAIN_S
        for _ in range(DRAIN_FRAMES):
            if self.socket.closed or self._paused:
                return
            try:
                frames = self._receive()
            except zmq.ZMQError:
                self._tell_of_room()
                return
            try:
                self._on_frames(frames)
            except BaseException:
                # The descriptor says nothing of the frames that are left: without this the socket would be deaf.
                self._schedule()
                raise
            if self._loop.time() >= until:
                break
        self._schedule()

    def _receive(self) -> list[bytes]:
        if not self._has_users:
            return self.socket.recv_multipart(zmq.NOBLOCK)
        frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        try:
            self.user = str(frames[-1].get("User-Id")).encode()
        except zmq.ZMQError:
            self.user = b""  # it was sent before the handshake was over; there is no such message
        return [each.bytes for each in frames]

    def _tell_of_room(self) -> None:
        if self._refused and int(self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT:
            self._refused = False
            self._on_room()


def parse_endpoint(text: str, *, what: str = "--listen") -> tuple[str, int]:
    """Return (host, port) of `tcp://HOST:PORT`. Raises UsageError. `[::1]` comes back with its brackets."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(text)
        more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if parts.scheme == "tcp" and parts.hostname and parts.port is not None and not more:
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            return host, parts.port
    raise UsageError(f"{what} {text!r}: expected tcp://HOST:PORT")


def bind_ports(sockets: list[zmq.Socket[bytes]], host: str, port: int) -> int:
    """Bind sockets to consecutive ports; port 0 finds a free run. Return the first port. Raises UnavailableError."""
    at = ""
    for _ in range(50):
        bound: list[tuple[zmq.Socket[bytes], str]] = []
        first = port
        try:
            for offset, socket in enumerate(sockets):
                at = f"tcp://{host}:{first + offset}" if first else f"tcp://{host}:*"
                socket.bind(at)
                endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
                bound.append((socket, endpoint))
                first = first or int(endpoint.rpartition(":")[2])
        except zmq.ZMQError as error:
            for socket, endpoint in bound:
                socket.unbind(endpoint)
            reason = f"cannot listen on {at}: {zmq.strerror(error.errno or 0)}"
            if port:
                raise UnavailableError(
                    f"{reason}; ports {port} to {port + len(sockets) - 1} are needed: "
                    "free them or give --listen another port"
                ) from None
            if not bound:  # any port would do, so it is the host
                raise UnavailableError(f"{reason}; give --listen an address of this host") from None
            continue
        return first
    raise UnavailableError(f"no {len(sockets)} free ports in a row on {host}")
