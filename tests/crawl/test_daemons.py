"""The daemons by themselves, as on separate hosts: late workers, lost workers, a coordinator that comes back."""

import asyncio
import signal

import msgpack
import pytest
import zmq
from daemons import BIN, DEADLINE_S, SPACE, coordinator, dumped, spooled, worker

from whoismesh.practice.faults import Weather
from whoismesh.worker import Share
from whoismesh.worker import main as worker_main


def test_daemons_crawl_together_and_end_by_themselves(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        first = await worker(lab, config, "one", coord.endpoint, "--listen", "tcp://127.0.0.1:0")
        await lab.requests(100)
        late = await worker(lab, config, "two", coord.endpoint, "--source-address", "127.0.0.7")
        assert await coord.ends() == 0
        assert await first.ends() == 0
        assert await late.ends() == 0
        await dumped(lab, table)
        # The late one had something to do, too.
        assert '"lookups": 0,' not in late.log.read_text()

    in_lab(crawl)


@pytest.mark.slow
def test_a_lost_worker_costs_time_and_no_network(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        doomed = await worker(lab, config, "doomed", coord.endpoint)
        await lab.requests(60)
        await worker(lab, config, "steady", coord.endpoint)
        await lab.requests(300)
        doomed.kill()
        assert await coord.ends() == 0
        await dumped(lab, table)
        assert "worker_lost" in coord.log.read_text()

    in_lab(crawl)


@pytest.mark.slow
def test_a_coordinator_that_comes_back_takes_its_workers_and_their_results_in(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        workers = [await worker(lab, config, name, coord.endpoint) for name in ("one", "two")]
        for each in workers:
            await each.says("worker_joined")
        await lab.requests(300)
        coord.kill()
        await coord.ends()
        back = await coordinator(lab, config, coord.endpoint)
        assert await back.ends() == 0
        for each in workers:
            assert await each.ends() == 0
        found = await dumped(lab, table)
        assert len(lab.practice.requests) < 1.3 * found.networks

    # Slow enough that both workers meet the new coordinator before it is done.
    in_lab(crawl, weather=Weather(0.1, 0, 1))


@pytest.mark.slow
def test_a_worker_told_to_stop_gives_back_and_delivers(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        leaving = await worker(lab, config, "leaving", coord.endpoint)
        await lab.requests(200)
        leaving.process.send_signal(signal.SIGTERM)
        assert await leaving.ends() == 0
        assert '"undelivered": 0' in leaving.log.read_text()
        await worker(lab, config, "other", coord.endpoint)
        assert await coord.ends() == 0
        await dumped(lab, table)
        assert "lease_expired" not in coord.log.read_text()

    in_lab(crawl)


@pytest.mark.slow
def test_a_worker_of_another_crawl_is_sent_away(in_lab):
    async def crawl(lab):
        config = lab.config("202.128.0.0/10")
        coord = await coordinator(lab, config)
        one = await worker(lab, config, "one", coord.endpoint)
        await lab.requests(30)
        # It dies with results in its spool, its coordinator's disk is lost, and another crawl runs at the same place.
        coord.kill()
        await coord.ends()
        async with asyncio.timeout(DEADLINE_S):
            while not spooled(lab.folder / "one"):  # answers to what is on its way
                await asyncio.sleep(0.01)
        one.kill()
        await one.ends()
        for path in (lab.folder / "coord").iterdir():
            path.unlink()
        coord = await coordinator(lab, config, coord.endpoint)
        again = await worker(lab, config, "one", coord.endpoint)
        assert await again.ends() == 78
        assert "another crawl" in again.log.read_text().splitlines()[-1]

    in_lab(crawl, weather=Weather(0.3))


@pytest.mark.slow
def test_garbage_on_every_socket_is_dropped_and_the_crawl_goes_on(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        port = int(coord.endpoint.rpartition(":")[2])
        frames = [
            b"",
            b"\x01",
            b"\x01\x14\x91",
            b"\xff" * 200,
            msgpack.packb([1, 2, 3]),
            b"\x01\x01\x93\xc0\xc0\xc0",
            b"A" * 5_000_000,
        ]
        with zmq.Context() as context:
            with (
                context.socket(zmq.DEALER) as leases,
                context.socket(zmq.PUSH) as results,
                context.socket(zmq.DEALER) as repairs,
            ):
                for offset, each in ((0, leases), (1, results), (3, repairs)):
                    each.linger = 200
                    each.connect(f"tcp://127.0.0.1:{port + offset}")
                    for frame in frames:
                        each.send(frame)
                    each.send_multipart([b"two", b"frames"])
                await worker(lab, config, "one", coord.endpoint)
                assert await coord.ends() == 0
        await dumped(lab, table)
        assert "Traceback" not in coord.log.read_text()

    in_lab(crawl)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--listen", "udp://127.0.0.1:7700"], 2, "tcp://HOST:PORT"),
        (["--listen", "tcp://192.0.2.1:7700"], 69, "cannot listen"),
    ],
)
def test_a_coordinator_that_cannot_listen_says_why(in_lab, arguments, code, says):
    async def crawl(lab):
        assert (await lab.run("keys", "new", "--keys", "keys")).code == 0
        process = await asyncio.create_subprocess_exec(
            str(BIN / "whoismesh-coord"), "--config", str(lab.config("193.104.0.0/16")), *arguments, "--state", "coord",
            "--keys", "keys", cwd=lab.folder, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
        assert process.returncode == code
        assert says in err.decode().splitlines()[-1]
        assert "Traceback" not in err.decode()

    in_lab(crawl)


def test_a_port_in_use_names_the_port_and_the_mend(in_lab):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        coord = await coordinator(lab, config)
        process = await asyncio.create_subprocess_exec(
            str(BIN / "whoismesh-coord"), "--config", str(config), "--listen", coord.endpoint, "--state", "other",
            cwd=lab.folder, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, err = await process.communicate()
        assert process.returncode == 69
        line = err.decode().splitlines()[-1]
        assert coord.endpoint in line
        assert "another port" in line

    in_lab(crawl)


def test_workers_of_one_host_share_its_connections():
    shares = [Share(number, 3) for number in (1, 2, 3)]
    for connections in range(1, 20):
        parts = [share.of(connections) for share in shares]
        assert sum(parts) == connections
        assert max(parts) - min(parts) <= 1
    assert Share.parse("2/3") == shares[1]


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "a/b"])
def test_a_share_that_is_none_is_a_usage_error(share, capsys):
    with pytest.raises(SystemExit) as caught:
        worker_main(["--coord", "tcp://127.0.0.1:1", "--state", "x", "--share", share])
    assert caught.value.code == 2
    assert "--share" in capsys.readouterr().err
