"""Workers on spot hosts: what the instance metadata service says, what they do, and how bad the service may be."""

import asyncio
import json
import signal
import time

import pytest
from daemons import coordinator, dumped, spooled, worker
from metadata_service import ACTION, MISBEHAVIOURS, REBALANCE, MetadataService
from notify_socket import NotifySocket

from whoismesh import instance_metadata, process
from whoismesh.errors import UsageError
from whoismesh.lanes.engine import DRAIN_S
from whoismesh.practice.faults import Weather
from whoismesh.spot import Away, Back, Interruption, Rebalance, SpotWatch

SPACE = ("193.104.0.0/15", "216.0.0.0/12")
#: What a spot host has from the notice to its end, seconds.
TWO_MINUTES_S = 120
#: So slow, seconds an answer, that no crawl ends before the service is asked again.
SLOW = Weather(3.0)


def events(daemon):
    """Return the log's lines as (event, all fields)."""
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]
    return [(each["event"], each) for each in lines]


def count(daemon, event):
    return sum(name == event for name, _ in events(daemon))


@pytest.mark.slow
def test_a_worker_rests_and_then_leaves_and_another_finds_the_rest(in_lab, table, tmp_path):
    async def crawl(lab):
        config = lab.config(*SPACE)
        with (
            NotifySocket(str(tmp_path / "notify")) as notify_socket,
            NotifySocket(str(tmp_path / "coord.notify")) as over_coord,
        ):
            coord = await coordinator(lab, config, **over_coord.environment())
            async with MetadataService(uses=3) as service:
                watching = ("--instance-metadata", service.url)
                spot = await worker(lab, config, "spot", coord.endpoint, *watching, **notify_socket.environment())
                await lab.requests(50)
                lab.practice._weather = SLOW
                service.recommend()
                await spot.says("rebalance_recommended")
                lab.practice._weather = Weather(0.1)
                await coord.says("worker_resting")
                await coord.says("all_workers_rest")
                await notify_socket.hears("STATUS=resting, takes no new lease: rebalance recommendation; *")
                await over_coord.hears("STATUS=all workers rest and take no lease, start others: *")
                # It works off what it has, stays, and is lent nothing.
                await notify_socket.hears("STATUS=resting, takes no new lease: rebalance recommendation; 0 leases, *")
                before = len(lab.practice.requests)
                await service.asks(2)
                assert len(lab.practice.requests) == before
                assert spot.process.returncode is None
                service.interrupt()
                await notify_socket.hears("STOPPING=1")
                assert await spot.ends() == 0
            assert count(spot, "interruption_noticed") == 1
            stopped = events(spot)[-1][1]
            assert (stopped["event"], stopped["undelivered"], stopped["instance_metadata"]) == ("worker_stopped", 0, {})
            # A token of the stand-in is good for three questions; they were asked as for one by a service as it is.
            assert {status for _, _, status in service.asked} == {200, 401, 404}
            await worker(lab, config, "other", coord.endpoint)
            assert await coord.ends() == 0
            await dumped(lab, table)
            assert count(coord, "worker_left") >= 1 and not count(coord, "lease_expired")

    in_lab(crawl, weather=Weather(0.1))


@pytest.mark.slow
def test_an_interruption_in_the_middle_of_its_work_loses_nothing(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        async with MetadataService() as service:
            spot = await worker(lab, config, "spot", coord.endpoint, "--instance-metadata", service.url)
            await lab.requests(100)
            lab.practice._weather = SLOW
            service.interrupt()
            await spot.says("interruption_noticed")
            lab.practice._weather = Weather()
            assert await spot.ends() == 0
        assert not spooled(lab.folder / "spot")
        await worker(lab, config, "other", coord.endpoint)
        assert await coord.ends() == 0
        await dumped(lab, table)
        assert not count(coord, "lease_expired")

    in_lab(crawl, weather=Weather(0.05))


@pytest.mark.slow
def test_a_worker_that_rests_ends_with_the_crawl(in_lab, table):
    async def crawl(lab):
        config = lab.config("193.104.0.0/15")
        coord = await coordinator(lab, config)
        async with MetadataService() as service:
            service.recommend()
            spot = await worker(lab, config, "spot", coord.endpoint, "--instance-metadata", service.url)
            await coord.says("worker_resting")
            other = await worker(lab, config, "other", coord.endpoint)
            assert [await each.ends() for each in (coord, spot, other)] == [0, 0, 0]
        await dumped(lab, table)

    in_lab(crawl)


@pytest.mark.slow
def test_a_service_that_is_gone_changes_nothing(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        async with MetadataService() as service:
            # A proxy of the environment is not asked: the service is the host's own.
            proxies = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
            spot = await worker(lab, config, "spot", coord.endpoint, "--instance-metadata", service.url, **proxies)
            await service.asks(3)
        await spot.says("instance_metadata_away")
        async with MetadataService(port=service._port):
            await spot.says("instance_metadata_back")
        assert await coord.ends() == 0
        assert await spot.ends() == 0
        await dumped(lab, table)
        names = [name for name, _ in events(spot)]
        assert names.count("instance_metadata_back") == 1
        assert not {"rebalance_recommended", "interruption_noticed"} & set(names)

    in_lab(crawl, weather=Weather(0.3))


@pytest.mark.parametrize(
    "url", ["169.254.169.254", "https://169.254.169.254", "http://", "http://h/latest", "http://u:p@h", "http://h:x"]
)
def test_an_address_that_is_none_is_a_usage_error(url):
    with pytest.raises(UsageError, match=r"expected http://HOST\[:PORT\]"):
        instance_metadata.parse_base(url)


def test_an_address_is_a_host_and_perhaps_a_port():
    for url in ("http://169.254.169.254", "http://[fd00:ec2::254]", "http://127.0.0.1:1338/"):
        assert instance_metadata.parse_base(url) == url.rstrip("/")


@pytest.mark.parametrize("what", MISBEHAVIOURS)
def test_a_service_that_misbehaves_is_told_of_once_and_heard_when_it_is_well(monkeypatch, what):
    """The real requests, as fast as they can be."""
    monkeypatch.setattr(instance_metadata, "TIMEOUT_S", 0.2)
    monkeypatch.setattr("whoismesh.spot.ASK_S", 0.02)

    async def watch():
        engine, news = SpotWatch(), []
        async with MetadataService(uses=2) as service, asyncio.timeout(60):
            watching = asyncio.create_task(instance_metadata.watch(service.url, engine, news.append))
            await service.asks(5)
            service.misbehaves = what
            while engine.counters.total() < 3:
                await service.asks(1)
            assert [type(each) for each in news] == [Away]
            service.misbehaves = ""
            while len(news) < 2:
                await service.asks(1)
            service.recommend()
            while len(news) < 3:
                await service.asks(1)
            service.interrupt()
            await watching
        assert [type(each) for each in news] == [Away, Back, Rebalance, Interruption]
        assert "/elsewhere" not in {path for _, path, _ in service.asked}
        assert {path for method, path, _ in service.asked if method == "GET"} == {ACTION, REBALANCE}

    asyncio.run(watch())


@pytest.mark.slow
def test_a_worker_whose_registries_and_coordinator_are_silent_is_gone_in_time_and_keeps_its_results(in_lab):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        async with MetadataService() as service:
            spot = await worker(lab, config, "spot", coord.endpoint, "--instance-metadata", service.url)
            await lab.requests(100)
            # Lookups take their whole time-out from now on, and whatever was found is acknowledged by nobody.
            coord.send(signal.SIGSTOP)
            lab.practice._weather = Weather(600.0)
            before = len(lab.practice.requests)
            await lab.requests(before + 1)
            while not spooled(lab.folder / "spot"):
                await asyncio.sleep(0.05)
            began = time.monotonic()
            service.interrupt()
            assert await spot.ends() == 75
            took_s = time.monotonic() - began
        assert DRAIN_S <= took_s < TWO_MINUTES_S / 2 == process.LONGEST_STOP_S
        assert "start again with the same --state" in spot.error
        assert spooled(lab.folder / "spot")
        coord.send(signal.SIGCONT)

    in_lab(crawl, weather=Weather(0.2))
