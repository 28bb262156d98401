"""Daemons under a service manager: what they tell it in their life, and what silence means."""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import pytest
from daemons import SPACE, Daemon, coordinator, dumped, worker
from notify_socket import NotifySocket

from whoismesh.keys import add_host, make_coordinator
from whoismesh.practice.faults import Weather

WATCHDOG_S = 2.0


@pytest.mark.slow
def test_a_crawl_s_daemons_tell_their_life(in_lab, table, tmp_path):
    async def crawl(lab):
        config = lab.config("193.104.0.0/15", "216.0.0.0/12")
        with (
            NotifySocket(str(tmp_path / "coord.notify")) as over_coord,
            NotifySocket(f"@whoismesh-worker-{os.getpid()}") as over_worker,
        ):
            endpoint_of_nobody = "tcp://127.0.0.1:1"
            alone = await worker(lab, config, "alone", endpoint_of_nobody, **over_worker.environment())
            await over_worker.hears("READY=1")
            assert over_worker.lines("STATUS=") == [f"waiting for the coordinator at {endpoint_of_nobody}"]
            alone.send(signal.SIGTERM)
            assert await alone.ends() == 0
            await over_worker.hears("STOPPING=1")
            coord = await coordinator(lab, config, **over_coord.environment(WATCHDOG_S))
            await over_coord.hears("READY=1")
            await over_coord.hears("STATUS=waiting for workers: 0.0 % settled*")
            one = await worker(lab, config, "one", coord.endpoint, **over_worker.environment(WATCHDOG_S))
            await over_worker.hears("STATUS=working; *")
            await over_coord.hears("STATUS=crawling: *")
            await over_worker.hears("WATCHDOG=1", 8)
            await over_coord.hears("WATCHDOG=1", 8)
            assert await coord.ends() == 0
            assert await one.ends() == 0
            await dumped(lab, table)
            for each in (over_coord, over_worker):
                beats = each.said("WATCHDOG=1")
                # A quarter of the period and a turn of the loop; it is for the manager to say what is too long.
                assert min(after - before for before, after in itertools.pairwise(beats)) > WATCHDOG_S / 8
                assert len(beats) >= (beats[-1] - beats[0]) / (WATCHDOG_S / 2)
                assert len(set(each.lines("STATUS="))) >= 4
            assert len(over_coord.said("READY=1")) == len(over_coord.said("STOPPING=1")) == 1
            assert over_coord.said("EXTEND_TIMEOUT_USEC=*")[0] < over_coord.said("READY=1")[0]
            assert over_coord.said("STOPPING=1")[0] > over_coord.said("READY=1")[0]

    # Some ten seconds long.
    in_lab(crawl, weather=Weather(0.15))


@pytest.mark.slow
def test_a_stopped_loop_sends_nothing_and_a_signal_tells_of_the_end(in_lab, tmp_path):
    async def crawl(lab):
        config = lab.config(*SPACE)
        with (
            NotifySocket(str(tmp_path / "notify")) as notify_socket,
            NotifySocket(str(tmp_path / "coord.notify")) as over_coord,
        ):
            coord = await coordinator(lab, config, **over_coord.environment(WATCHDOG_S))
            one = await worker(lab, config, "one", coord.endpoint, **notify_socket.environment(WATCHDOG_S))
            await notify_socket.hears("WATCHDOG=1", 2)
            one.send(signal.SIGSTOP)
            await over_coord.hears("WATCHDOG=1")
            before = len(notify_socket.heard)
            await over_coord.hears("WATCHDOG=1", len(over_coord.said("WATCHDOG=1")) + 8)
            assert len(notify_socket.heard) == before
            one.send(signal.SIGCONT)
            await notify_socket.hears("WATCHDOG=1", 4)
            notify_socket.close()  # from now on nobody hears it
            await over_coord.hears("WATCHDOG=1", len(over_coord.said("WATCHDOG=1")) + 2)
            one.send(signal.SIGTERM)
            assert await one.ends() == 0
            assert one.log.read_text().count("service_manager_not_told") == 1
            coord.send(signal.SIGTERM)
            assert await coord.ends() == 75
            await over_coord.hears("STOPPING=1")

    in_lab(crawl, weather=Weather(0.3))


@pytest.mark.slow
def test_a_disk_that_hangs_stops_the_beats_of_a_coordinator_whose_loop_goes_on(in_lab, tmp_path, fsync_killer):
    async def crawl(lab):
        config = lab.config(*SPACE)
        with NotifySocket(str(tmp_path / "notify")) as notify_socket:
            hung = {"LD_PRELOAD": fsync_killer, "KILL_AT": "6", "KILL_WHEN": "never"}
            coord = await coordinator(lab, config, **hung, **notify_socket.environment(WATCHDOG_S))
            await worker(lab, config, "one", coord.endpoint)
            await coord.says("job_hung")
            before = len(notify_socket.said("WATCHDOG=1"))
            lines = len(notify_socket.said("STATUS=*"))
            # The loop goes on and takes workers in, but nothing it is told will ever be kept.
            await worker(lab, config, "two", coord.endpoint)
            await notify_socket.hears("STATUS=*", lines + 1)
            assert len(notify_socket.said("WATCHDOG=1")) == before
            coord.send(signal.SIGABRT)  # as systemd does
            assert await coord.ends() == -signal.SIGABRT

    in_lab(crawl)


@pytest.mark.slow
def test_a_slow_disk_is_no_hung_one(in_lab, table, tmp_path):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        with NotifySocket(str(tmp_path / "notify")) as notify_socket:
            script = Path(__file__).parent / "slow_coordinator.py"  # 0.3 s for each commit
            options = ["--config", config, "--listen", "tcp://127.0.0.1:0", "--exit-when-done"]
            command = [sys.executable, script, tmp_path / "report"]
            coord = await Daemon.start(lab, command, "coord", *options, **notify_socket.environment(1.0))
            one = await worker(lab, config, "one", coord.endpoint)
            assert await coord.ends() == 0
            assert await one.ends() == 0
            await dumped(lab, table)
            assert "job_hung" not in coord.log.read_text()
            assert notify_socket.said("WATCHDOG=1")

    in_lab(crawl)


def test_what_is_no_key_on_the_list_is_told_once(in_lab, tmp_path):
    async def crawl(lab):
        keys = tmp_path / "keys"
        make_coordinator(keys)
        add_host(keys, "one")
        odd = keys / "allowed" / "odd.key"
        odd.write_text("no key\n")
        coord = await coordinator(lab, lab.config("193.104.0.0/16"), keys=keys)
        await coord.says("key_unusable")
        odd.with_name("more.key").write_text("no key either\n")
        async with asyncio.timeout(60):
            while coord.log.read_text().count("key_unusable") < 2:
                await asyncio.sleep(0.1)
        coord.send(signal.SIGTERM)
        assert await coord.ends() == 75
        assert coord.log.read_text().count("key_unusable") == 2
        assert str(odd) in coord.log.read_text()

    in_lab(crawl)
