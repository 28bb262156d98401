"""How processes end: the first signal drains, within a time; the second ends at once; what is left goes out later."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from daemons import BIN, Daemon, coordinator, dumped, spooled, worker

from whoismesh.lanes.engine import DRAIN_S
from whoismesh.practice.compare import compare
from whoismesh.practice.faults import Weather

SPACE = ("193.104.0.0/15", "216.0.0.0/11")
#: What the end of a process may take beside its drain, on a busy machine, seconds.
SOON_S = 8


@pytest.mark.slow
def test_a_worker_that_cannot_deliver_ends_in_time_and_delivers_at_its_next_start(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        polite = await worker(lab, config, "polite", coord.endpoint)
        hasty = await worker(lab, config, "hasty", coord.endpoint)
        for each in (polite, hasty):
            await each.says("worker_joined")
        await lab.requests(len(lab.practice.requests) + 60)
        coord.kill()
        await coord.ends()
        deadline = time.monotonic() + 60
        while not all(spooled(lab.folder / name) for name in ("polite", "hasty")):
            await lab.requests(len(lab.practice.requests) + 1)
            assert time.monotonic() < deadline
        for each in (polite, hasty):
            each.send(signal.SIGTERM)
        begun = time.monotonic()
        hasty.send(signal.SIGINT)  # two of one kind may arrive as one
        assert await hasty.ends() == 75
        assert time.monotonic() - begun < SOON_S
        assert await polite.ends() == 75
        assert DRAIN_S - 1 < time.monotonic() - begun < DRAIN_S + SOON_S
        for each in (polite, hasty):
            left = spooled(lab.folder / each.log.stem)
            assert left > 0
            assert f"stopped with {left} results that the coordinator at {coord.endpoint}" in each.error
            assert "same --state" in each.error
        back = await coordinator(lab, config, coord.endpoint)
        again = [await worker(lab, config, f"{name}-again", coord.endpoint, state=name) for name in ("polite", "hasty")]
        assert await back.ends() == 0
        for each in again:
            assert await each.ends() == 0
        await dumped(lab, table)

    in_lab(crawl, weather=Weather(0.3, 0, 1))


@pytest.mark.slow
def test_a_coordinator_told_to_stop_stores_what_it_has_and_says_that_it_is_not_done(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        one = await worker(lab, config, "one", coord.endpoint)
        await lab.requests(200)
        coord.send(signal.SIGTERM)
        assert await coord.ends() == 75
        assert "stopped before the crawl was done" in coord.error
        back = await coordinator(lab, config, coord.endpoint)
        assert await back.ends() == 0
        assert await one.ends() == 0
        await dumped(lab, table)

    in_lab(crawl, weather=Weather(0.05, 0, 1))


@pytest.mark.parametrize("signals", [pytest.param(2, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.soak)])
def test_a_coordinator_whose_disk_hangs_ends_at_the_second_signal_or_after_a_minute(
    in_lab, table, fsync_killer, signals
):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await Daemon.start(
            lab, [BIN / "whoismesh-coord"], "coord", "--config", config, "--listen", "tcp://127.0.0.1:0",
            LD_PRELOAD=fsync_killer, KILL_AT="4", KILL_WHEN="never",
        )  # fmt: skip
        one = await worker(lab, config, "one", coord.endpoint)
        await lab.requests(200)
        coord.send(signal.SIGTERM)
        ending = asyncio.create_task(coord.ends())
        await asyncio.wait([ending], timeout=1)
        assert not ending.done()
        if signals == 2:
            coord.send(signal.SIGTERM)
        assert await ending == 75
        assert signals == 2 or coord.error.endswith("coord: something hangs; start again, nothing is lost")
        back = await coordinator(lab, config, coord.endpoint)
        assert await back.ends() == 0
        assert await one.ends() == 0
        await dumped(lab, table)

    in_lab(crawl, weather=Weather(0.02, 0, 1))


def children(process):
    """Return the ids of a process's children."""
    task = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(each) for each in task.read_text().split()]


@pytest.mark.slow
def test_a_crawl_told_twice_ends_at_once_and_goes_on_later(in_lab, table):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE), "--state", "state", "--json")
        first = await lab.start(*command)
        await lab.requests(200)
        begun = time.monotonic()
        first.send_signal(signal.SIGTERM)
        first.send_signal(signal.SIGINT)
        ended = await lab.end(first)
        assert time.monotonic() - begun < SOON_S
        assert ended.code == 75
        assert "--state state" in ended.error
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl, weather=Weather(0.05, 0, 1))


@pytest.mark.slow
@pytest.mark.soak
def test_a_crawl_with_a_worker_that_hangs_ends_in_time(in_lab):
    async def crawl(lab):
        first = await lab.start("crawl", "--config", lab.config(*SPACE), "--state", "state", "--quiet")
        await lab.requests(200)
        stopped = [pid for pid in children(first) if b"whoismesh.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(stopped[0], signal.SIGSTOP)
        first.send_signal(signal.SIGTERM)
        ended = await lab.end(first)
        assert ended.code == 75
        assert "--state state" in ended.error

    in_lab(crawl, weather=Weather(0.2, 0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["state", "state/ledger.sqlite", "state/worker-1.log"])
def test_a_crawl_told_to_stop_while_it_starts_stops(in_lab, sign):
    async def crawl(lab):
        first = await lab.start("crawl", "--config", lab.config(*SPACE), "--state", "state", "--quiet")
        deadline = time.monotonic() + 60
        while not (lab.folder / sign).exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0)  # as close behind it as can be: a file gives no event
        begun = time.monotonic()
        first.send_signal(signal.SIGTERM)
        ended = await lab.end(first)
        assert time.monotonic() - begun < SOON_S
        assert ended.code in (75, -signal.SIGTERM)  # before it listens to signals there is nothing to say
        assert "Traceback" not in ended.err

    in_lab(crawl, weather=Weather(0.2, 0, 1))
