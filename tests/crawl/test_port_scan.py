"""Strangers who knock at every port of a running mesh, again and again: it goes on, and grows by nothing."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path

import pytest
import zmq
from daemons import coordinator, dumped, worker
from knocks import knock_often

from whoismesh.keys import Keys, add_host, make_coordinator, revoke_host
from whoismesh.messages import Join, encode
from whoismesh.practice.faults import Weather
from whoismesh.sockets import connect_with, open_socket, parse_endpoint
from whoismesh.store import LedgerStore

#: A coordinator grows by less than this, MiB, however many connections there were; it keeps a member in some 30 KB.
MOST_GROWTH_MIB = 24
#: Connections that say nothing, all at once: libzmq lets them go after 5 s (sockets.HANDSHAKE_MS).
IDLE = 400


def memory_mib(daemon, name="VmRSS"):
    lines = Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def files(daemon):
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


def knock_with(keys, host, port, count):
    """Go through whole handshakes with a key that is not let in, one after another, and ask for work."""
    with zmq.Context() as context:
        for _ in range(count):
            with contextlib.closing(open_socket(context, zmq.DEALER)) as each:
                each.linger = 0
                connect_with(each, f"tcp://{host}:{port}", keys)
                each.send(encode(Join(b"", "stranger:1", "tcp://127.0.0.1:9", 0, ())))
                assert each.poll(5, zmq.POLLIN) == 0, "an answer"


@pytest.mark.slow
@pytest.mark.parametrize("count", [6_000, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_connections_of_strangers_cost_no_lookup_no_lease_and_no_memory(in_lab, table, tmp_path, count):
    keys = tmp_path / "keys"
    make_coordinator(keys)
    former = Keys.load(add_host(keys, "former"))
    revoke_host(keys, "former")
    public, secret = zmq.curve_keypair()
    unknown = Keys(public, secret, former.coordinator)

    async def crawl(lab):
        config = lab.config("193.104.0.0/15", change=lambda text: text.replace("connections = 16", "connections = 1"))
        coord = await coordinator(lab, config, keys=keys)
        host, port = parse_endpoint(coord.endpoint)
        ours = await worker(lab, config, "one", coord.endpoint, "--keys", add_host(keys, "one"))
        gossip = parse_endpoint(ours.endpoint)
        addresses = [*((host, port + offset) for offset in range(4)), gossip, (gossip[0], gossip[1] + 1)]
        await lab.requests(3)
        await asyncio.to_thread(knock_often, addresses, count // 20)  # what it takes to hold a few, it takes once
        before, open_before = memory_mib(coord), files(coord)
        began = time.monotonic()
        with contextlib.ExitStack() as idle:
            for each in range(IDLE):
                idle.enter_context(socket.create_connection(addresses[each % 4]))
            await asyncio.gather(
                asyncio.to_thread(knock_often, addresses, count),
                asyncio.to_thread(knock_with, unknown, host, port, count // 50),
                asyncio.to_thread(knock_with, former, host, port, count // 50),
            )
            seconds = time.monotonic() - began
            grown = memory_mib(coord, "VmHWM") - before
            async with asyncio.timeout(30):
                while files(coord) > open_before + 8:  # idle ones are open here, and let go there
                    await asyncio.sleep(0.1)
        assert coord.process.returncode is None, "the crawl was over before the knocking"
        print(f"{count} connections in {seconds:.0f} s, coordinator grew by {grown:.1f} MiB")
        lab.practice._weather = Weather()
        assert grown < MOST_GROWTH_MIB
        assert await coord.ends() == 0
        assert await ours.ends() == 0
        await dumped(lab, table)
        store = LedgerStore.read(lab.folder / "coord")
        assert store.count_duplicates() == 0
        store.close()
        assert max(lab.questions().values()) == 1
        granted = [json.loads(line) for line in coord.log.read_text().splitlines() if line.startswith("{")]
        assert sum(each["event"] == "worker_joined" for each in granted) == 1
        assert not any("stranger" in str(each) for each in granted)

    in_lab(crawl, weather=Weather(1.0))  # there is still a crawl when the knocking ends
