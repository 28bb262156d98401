from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from whoismesh import outbox as module
from whoismesh.compounds import Result
from whoismesh.errors import StateError, WhoismeshError
from whoismesh.messages import Results, decode
from whoismesh.outbox import Outbox
from whoismesh.sockets import Inbox, bind_ports, open_socket
from whoismesh.spool import Key, Spool

MakeResult = Callable[..., Result]
CRAWL = b"c" * 16
DEADLINE_S = 30


class Bench:
    """An outbox on a folder, and collectors that can be full, slow or gone."""

    def __init__(self, folder: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.errors: list[WhoismeshError] = []
        self.got: list[Key] = []
        self.spool = Spool(folder)
        self.now = 1_000.0
        self.outbox = Outbox(self.spool, folder, self.errors.append, lambda: self.now)
        self.collector: Inbox | None = None

    def collect(self, port: int = 0) -> int:
        """Start a collector; return its port."""
        self.collecting = zmq.Context()
        socket = open_socket(self.collecting, zmq.PULL)
        port = bind_ports([socket], "127.0.0.1", port)
        self.collector = Inbox(socket, self.take)
        return port

    def stop_collecting(self) -> None:
        """End the collector; its port is free then."""
        if self.collector is not None:
            self.collector.close()
            self.collecting.destroy(linger=0)

    def take(self, frames: list[bytes]) -> None:
        message = decode(frames[0])
        assert isinstance(message, Results)
        assert message.crawl == CRAWL
        self.got += [(each.origin, each.sequence) for each in message.results]

    def connect(self, port: int) -> None:
        push = open_socket(self.context, zmq.PUSH)
        push.connect(f"tcp://127.0.0.1:{port}")
        self.outbox.open(CRAWL, push)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not true():
                await asyncio.sleep(0.01)

    async def quiet(self) -> None:
        """Wait until nothing has been taken for a while: the road is full."""
        before = -1
        while before != self.taken:
            before = self.taken
            await asyncio.sleep(0.2)

    @property
    def taken(self) -> int:
        return len(self.outbox._taken)

    def close(self) -> None:
        self.outbox.close()
        self.stop_collecting()
        self.context.destroy(linger=0)
        self.spool.close()


@pytest.fixture
def on_bench(tmp_path: Path) -> Callable[..., None]:
    def run(test: Callable[[Bench], Awaitable[Any]]) -> None:
        async def whole() -> None:
            bench = Bench(tmp_path)
            try:
                await test(bench)
            finally:
                bench.close()

        asyncio.run(whole())

    return run


def results_of(make_result: MakeResult, count: int, first: int = 1, origin: int = 1) -> list[Result]:
    return [
        make_result(number, "failed", "193.0.0.0", origin=origin, reason="x" * 900)
        for number in range(first, first + count)
    ]


def test_results_go_out_at_once_and_leave_the_disk_when_they_are_acknowledged(
    on_bench: Callable[..., None], make_result: MakeResult
) -> None:
    async def test(bench: Bench) -> None:
        bench.connect(bench.collect())
        assert bench.outbox.keep(results_of(make_result, 10))
        await bench.until(lambda: len(bench.got) == 10)
        assert bench.spool.keys() == tuple((1, number) for number in range(1, 11))
        bench.outbox.forget(1, [(1, 4), (6, 2**40)])
        assert bench.spool.keys() == ((1, 5),)
        bench.outbox.forget(2, [(0, 100)])
        assert bench.spool.keys() == ((1, 5),)

    on_bench(test)


def test_nothing_is_sent_to_nobody_and_all_of_it_to_whoever_comes(
    on_bench: Callable[..., None], make_result: MakeResult
) -> None:
    async def test(bench: Bench) -> None:
        bench.outbox.keep(results_of(make_result, 300))
        bench.outbox.send_again()
        port = bench.collect()
        bench.connect(port)
        await bench.until(lambda: len(bench.got) == 300)
        assert len(set(bench.got)) == 300

    on_bench(test)


def test_a_collector_that_takes_nothing_is_sent_a_bounded_part_and_nothing_twice(
    on_bench: Callable[..., None], make_result: MakeResult
) -> None:
    async def test(bench: Bench) -> None:
        bench.connect(bench.collect())
        assert bench.collector is not None
        bench.collector.pause()
        for first in range(1, 5_000, 100):
            bench.outbox.keep(results_of(make_result, 100, first))
            bench.outbox.send_again()
        await bench.quiet()
        # Each is 1.1 kB on the road. It has room for some 1 MB (sockets.RESULT_HIGH_WATER_MESSAGES), not for all 5 MB.
        assert 100 < bench.taken < 2_000
        for _ in range(20):
            bench.outbox.send_again()
        bench.collector.resume()
        await bench.until(lambda: len(bench.got) >= 5_000)
        assert len(bench.got) == len(set(bench.got)) == 5_000

    on_bench(test)


def test_what_died_with_its_collector_is_sent_again_and_only_that(
    on_bench: Callable[..., None], make_result: MakeResult
) -> None:
    async def test(bench: Bench) -> None:
        port = bench.collect()
        bench.connect(port)
        bench.outbox.keep(results_of(make_result, 100))
        await bench.until(lambda: len(bench.got) == 100)
        bench.outbox.forget(1, [(1, 100)])
        assert bench.collector is not None
        bench.collector.pause()
        bench.outbox.keep(results_of(make_result, 100, 101))
        await bench.until(lambda: bench.taken == 100)
        bench.stop_collecting()
        bench.got.clear()
        bench.collect(port)

        def all_there() -> bool:
            # Again and again, as time goes by: the socket may take some for the connection that is gone.
            bench.now += module.LONGEST_PATIENCE_S
            bench.outbox.send_again()
            return len(set(bench.got)) == 100

        await bench.until(all_there)
        assert set(bench.got) == {(1, number) for number in range(101, 201)}

    on_bench(test)


def test_a_collector_elsewhere_gets_all_that_is_not_acknowledged(
    on_bench: Callable[..., None], make_result: MakeResult
) -> None:
    async def test(bench: Bench) -> None:
        bench.connect(bench.collect())
        bench.outbox.keep(results_of(make_result, 100))
        await bench.until(lambda: len(bench.got) == 100)
        bench.outbox.forget(1, [(1, 50)])
        bench.stop_collecting()
        bench.got.clear()
        bench.connect(bench.collect())
        await bench.until(lambda: len(bench.got) == 50)
        assert bench.got == [(1, number) for number in range(51, 101)]

    on_bench(test)


def test_what_an_earlier_process_left_is_sent_first(tmp_path: Path, make_result: MakeResult) -> None:
    spool = Spool(tmp_path)
    spool.add(results_of(make_result, 1_000, origin=3))
    spool.close()

    async def whole() -> None:
        bench = Bench(tmp_path)
        bench.connect(bench.collect())
        bench.outbox.keep(results_of(make_result, 5, origin=4))
        await bench.until(lambda: len(bench.got) == 1_005)
        assert bench.got == [*((3, number) for number in range(1, 1_001)), *((4, number) for number in range(1, 6))]
        bench.close()

    asyncio.run(whole())


def test_the_patience_grows_until_all_is_delivered(on_bench: Callable[..., None], make_result: MakeResult) -> None:
    async def test(bench: Bench) -> None:
        bench.connect(bench.collect())

        async def copies_after(seconds: float) -> int:
            bench.now += seconds
            bench.outbox.send_again()
            await bench.quiet()
            return len(bench.got)

        bench.outbox.keep(results_of(make_result, 1))
        await bench.until(lambda: len(bench.got) == 1)
        first = module.FIRST_PATIENCE_S
        assert await copies_after(first / 2) == 1
        assert await copies_after(first) == 2
        assert await copies_after(first) == 2
        assert await copies_after(first) == 3
        bench.outbox.forget(1, [(1, 1)])
        bench.outbox.keep(results_of(make_result, 1, 2))
        await bench.until(lambda: len(bench.got) == 4)
        assert await copies_after(first) == 5

    on_bench(test)


def test_a_damaged_row_is_told_and_not_raised(on_bench: Callable[..., None], make_result: MakeResult) -> None:
    async def test(bench: Bench) -> None:
        bench.outbox.keep(results_of(make_result, 3))
        bench.spool._database.execute("UPDATE results SET frame = x'00' WHERE sequence = 2")
        bench.connect(bench.collect())
        await bench.until(lambda: bool(bench.errors))
        assert isinstance(bench.errors[0], StateError)
        assert "is damaged" in str(bench.errors[0])

    on_bench(test)
