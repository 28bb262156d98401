from __future__ import annotations

import asyncio
import socket as system
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zmq

from whoismesh import sockets
from whoismesh.errors import UnavailableError, UsageError
from whoismesh.messages import MAX_FRAME_BYTES
from whoismesh.sockets import Inbox, bind_ports, open_socket, parse_endpoint

Open = Callable[[int], zmq.Socket[bytes]]


@contextmanager
def opener() -> Iterator[Open]:
    """Give a function that opens sockets; all of them are gone, and their ports free, at the end."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    opened: list[zmq.Socket[bytes]] = []

    def open_one(kind: int) -> zmq.Socket[bytes]:
        opened.append(open_socket(context, kind))
        for option in (zmq.SNDTIMEO, zmq.RCVTIMEO):
            opened[-1].setsockopt(option, 20_000)  # in ms: a thread that waits for ever cannot be ended, nor the test
        return opened[-1]

    yield open_one
    for each in opened:
        each.close(linger=0)
    context.term()


@pytest.fixture
def opening() -> Iterator[Open]:
    with opener() as open_one:
        yield open_one


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("tcp://127.0.0.1:5555", "127.0.0.1", 5555),
        ("tcp://127.0.0.1:0", "127.0.0.1", 0),
        ("tcp://coordinator.example.org:65535", "coordinator.example.org", 65535),
        ("tcp://[::1]:5555", "[::1]", 5555),
        ("tcp://*:5555", "*", 5555),
        ("tcp://127.0.0.1:5555/", "127.0.0.1", 5555),
    ],
)
def test_an_endpoint_is_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5555",
        "127.0.0.1:5555",
        "udp://127.0.0.1:5555",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://:5555",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:port",
        "tcp://127.0.0.1:5555/path",
        "tcp://127.0.0.1:5555?query",
        "tcp://127.0.0.1:5555#top",
        "tcp://somebody@127.0.0.1:5555",
        "tcp://[::1:5555",
        "tcp://::1:5555",
        "tcp://[example]:5555",
        "ipc:///tmp/socket",
    ],
)
def test_what_is_no_endpoint_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_endpoint(text, what="--coord")
    assert str(caught.value) == f"--coord {text!r}: expected tcp://HOST:PORT"


def port_of(socket: zmq.Socket[bytes]) -> int:
    return int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


def test_sockets_get_consecutive_ports(opening: Open) -> None:
    made = [opening(zmq.PULL) for _ in range(4)]
    first = bind_ports(made, "127.0.0.1", 0)
    assert [port_of(each) for each in made] == [first, first + 1, first + 2, first + 3]


def test_sockets_get_the_ports_they_are_told() -> None:
    with opener() as opening:
        first = bind_ports([opening(zmq.PULL) for _ in range(3)], "127.0.0.1", 0)
    with opener() as opening:
        again = [opening(zmq.PULL) for _ in range(3)]
        assert bind_ports(again, "127.0.0.1", first) == first
        assert [port_of(each) for each in again] == [first, first + 1, first + 2]


def test_a_port_that_is_taken_is_named_with_the_way_out(opening: Open) -> None:
    made = [opening(zmq.PULL) for _ in range(3)]
    first = bind_ports(made, "127.0.0.1", 0)
    taken = first + 1
    with pytest.raises(UnavailableError) as caught:
        bind_ports([opening(zmq.PULL) for _ in range(2)], "127.0.0.1", taken)
    assert str(caught.value) == (
        f"cannot listen on tcp://127.0.0.1:{taken}: Address already in use; "
        f"ports {taken} to {taken + 1} are needed: free them or give --listen another port"
    )
    assert caught.value.exit_code == 69


def test_a_port_beyond_the_last_is_an_error_of_ours(opening: Open) -> None:
    with pytest.raises(UnavailableError, match=r"cannot listen on tcp://127\.0\.0\.1:65536"):
        bind_ports([opening(zmq.PULL) for _ in range(2)], "127.0.0.1", 65535)


def test_a_host_that_is_not_here_is_named_with_the_reason(opening: Open) -> None:
    with pytest.raises(UnavailableError) as caught:
        bind_ports([opening(zmq.PULL)], "192.0.2.1", 0)
    assert str(caught.value).startswith("cannot listen on tcp://192.0.2.1")
    assert "Cannot assign requested address" in str(caught.value)


def test_a_free_run_is_looked_for_past_ports_that_are_taken(opening: Open) -> None:
    """The first port that is offered has a neighbour in use: the run starts elsewhere, and nothing stays bound."""
    with listening_beside_a_free_port() as free:
        offers = [f"tcp://127.0.0.1:{free}"]
        real = opening(zmq.PULL)

        class Offered:
            def bind(self, endpoint: str) -> None:
                real.bind(offers.pop() if offers else endpoint)

            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

        second = opening(zmq.PULL)
        first = bind_ports([Offered(), second], "127.0.0.1", 0)  # type: ignore[list-item]
        assert not offers
        assert (port_of(real), port_of(second)) == (first, first + 1)
        assert first != free


@contextmanager
def listening_beside_a_free_port() -> Iterator[int]:
    """Listen on a port whose lower neighbour is free; give the neighbour."""
    while True:
        with system.socket() as low, system.socket() as high:
            low.bind(("127.0.0.1", 0))
            try:
                high.bind(("127.0.0.1", low.getsockname()[1] + 1))
            except OSError:
                continue
            high.listen()
            free = low.getsockname()[1]
            low.close()
            yield free
            return


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.DEALER, zmq.PUSH, zmq.PULL, zmq.PUB, zmq.SUB])
def test_every_socket_is_bounded_in_time_and_size(opening: Open, kind: int) -> None:
    socket = opening(kind)
    assert socket.getsockopt(zmq.MAXMSGSIZE) == MAX_FRAME_BYTES
    assert 0 <= socket.getsockopt(zmq.LINGER) <= 1_000
    assert 0 < socket.getsockopt(zmq.SNDHWM) <= 100_000
    assert 0 < socket.getsockopt(zmq.RCVHWM) <= 100_000
    if kind in (zmq.PUSH, zmq.PULL):
        # A receiver that is full would be taken for dead, and its queue start anew with each new connection.
        assert socket.getsockopt(zmq.HEARTBEAT_IVL) == 0
        assert socket.getsockopt(zmq.TCP_KEEPALIVE) == 1
        assert socket.getsockopt(zmq.RCVHWM) <= 10
        return
    assert socket.getsockopt(zmq.HEARTBEAT_IVL) > 0
    assert socket.getsockopt(zmq.RECONNECT_IVL_MAX) > 0
    assert 0 < socket.getsockopt(zmq.CONNECT_TIMEOUT) <= 10_000
    assert socket.getsockopt(zmq.IMMEDIATE) == (kind == zmq.PUSH)


def pair(opening: Open) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    listening, calling = opening(zmq.PULL), opening(zmq.PUSH)
    port = bind_ports([listening], "127.0.0.1", 0)
    calling.connect(f"tcp://127.0.0.1:{port}")
    return listening, calling


def test_an_inbox_hands_over_every_frame_in_order(opening: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "DRAIN_FRAMES", 7)
    listening, calling = pair(opening)

    async def run() -> None:
        got: list[bytes] = []
        done = asyncio.Event()

        def take(frames: list[bytes]) -> None:
            got.extend(frames)
            if len(got) == 100:
                done.set()

        inbox = Inbox(listening, take)
        await asyncio.to_thread(lambda: [calling.send(b"%d" % n) for n in range(100)])
        async with asyncio.timeout(20):
            await done.wait()
        assert got == [b"%d" % n for n in range(100)]
        inbox.close()
        assert listening.closed

    asyncio.run(run())


def test_a_frame_that_breaks_its_reader_does_not_deafen_the_socket(opening: Open) -> None:
    listening, calling = pair(opening)

    async def run() -> None:
        got: list[bytes] = []
        errors: list[object] = []
        done = asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context["exception"]))

        def take(frames: list[bytes]) -> None:
            if frames == [b"bad"]:
                raise ZeroDivisionError
            got.extend(frames)
            if len(got) == 2:
                done.set()

        inbox = Inbox(listening, take)
        await asyncio.to_thread(lambda: [calling.send(each) for each in (b"one", b"bad", b"two")])
        async with asyncio.timeout(20):
            await done.wait()
        assert got == [b"one", b"two"]
        assert [type(error) for error in errors] == [ZeroDivisionError]
        inbox.close()

    asyncio.run(run())


def test_what_cannot_be_sent_is_counted_and_not_waited_for(opening: Open) -> None:
    async def run() -> None:
        push = Inbox(opening(zmq.PUSH), lambda frames: None)  # connected to nobody
        router_socket = opening(zmq.ROUTER)
        bind_ports([router_socket], "127.0.0.1", 0)
        router = Inbox(router_socket, lambda frames: None)
        assert not push.send(b"result")
        assert not router.send(b"nobody", b"lease")  # an unknown peer
        assert (push.dropped, router.dropped) == (1, 1)
        push.close()
        assert not push.send(b"result")  # after the end
        router.close()

    asyncio.run(run())


def test_a_reader_that_closes_its_own_socket_ends_quietly(opening: Open) -> None:
    listening, calling = pair(opening)
    for text in (b"stop", b"more"):  # both are there before anybody reads: after the end, nobody would take the second
        calling.send(text)

    async def run() -> None:
        closed = asyncio.Event()
        boxes: list[Inbox] = []

        def take(frames: list[bytes]) -> None:
            boxes[0].close()
            closed.set()

        boxes.append(Inbox(listening, take))
        async with asyncio.timeout(20):
            await closed.wait()

    asyncio.run(run())


def test_a_peer_that_comes_back_under_its_name_is_heard(opening: Open) -> None:
    router = opening(zmq.ROUTER)
    port = bind_ports([router], "127.0.0.1", 0)

    async def run() -> None:
        got: asyncio.Queue[list[bytes]] = asyncio.Queue()
        inbox = Inbox(router, got.put_nowait)
        for text in (b"first", b"second"):
            dealer = opening(zmq.DEALER)
            dealer.setsockopt(zmq.IDENTITY, b"worker")
            dealer.connect(f"tcp://127.0.0.1:{port}")
            dealer.send(text)
            async with asyncio.timeout(20):
                assert await got.get() == [b"worker", text]
            assert inbox.send(b"worker", b"answer to " + text)
            assert await asyncio.to_thread(dealer.recv) == b"answer to " + text
        inbox.close()

    asyncio.run(run())


def test_what_is_not_taken_in_waits_at_its_sender(opening: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    # A link with heartbeats would break after this, and its successor would bring another queue.
    monkeypatch.setattr(sockets, "HEARTBEAT_INTERVAL_MS", 50)
    monkeypatch.setattr(sockets, "HEARTBEAT_TIMEOUT_MS", 200)
    listening, calling = pair(opening)
    events = calling.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    frame = bytes(sockets.RESULT_BYTES)

    async def run() -> None:
        got: list[int] = []
        done = asyncio.Event()
        full = asyncio.Event()
        sent = 0

        def take(frames: list[bytes]) -> None:
            got.append(int.from_bytes(frames[0][:4]))
            if len(got) == 200:
                done.set()

        def send() -> None:
            nonlocal sent
            while sent < 200 and outgoing.send(sent.to_bytes(4) + frame[4:]):
                sent += 1
            loop.call_later(0.2, lambda seen=sent: full.set() if seen == sent else None)

        loop = asyncio.get_running_loop()
        incoming = Inbox(listening, take)
        incoming.pause()
        outgoing = Inbox(calling, lambda frames: None, send)
        async with asyncio.timeout(20):
            send()
            await full.wait()
            most = 4 * sockets.RESULT_HIGH_WATER_MESSAGES * sockets.RESULT_BYTES + 8 * sockets.LINK_BUFFER_BYTES
            assert got == []
            assert 0 < sent * len(frame) < most
            assert not await asyncio.to_thread(events.poll, 1_000)
            incoming.resume()
            await done.wait()
        assert got == list(range(200))
        incoming.close()
        outgoing.close()

    try:
        asyncio.run(run())
    finally:
        events.close(linger=0)


def test_a_paused_inbox_costs_no_time(opening: Open) -> None:
    listening, calling = pair(opening)

    async def run() -> None:
        seen = asyncio.Event()
        inbox = Inbox(listening, lambda frames: seen.set())
        inbox.pause()
        await asyncio.to_thread(calling.send, b"one")
        begun = time.process_time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await seen.wait()
        assert time.process_time() - begun < 0.2
        inbox.resume()
        async with asyncio.timeout(20):
            await seen.wait()
        inbox.close()
        inbox.resume()  # after the end

    asyncio.run(run())
