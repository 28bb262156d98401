"""A mesh with keys: those who have one work, and a stranger's connection does nothing but count."""

import asyncio
import contextlib
import json
import os
import socket

import pytest
import zmq
from daemons import Daemon, coordinator, dumped, worker

import whoismesh
from whoismesh.errors import UnavailableError
from whoismesh.keys import Keys, add_host, make_coordinator, revoke_host
from whoismesh.messages import Feed, Join, decode, encode, topic
from whoismesh.practice.faults import Weather
from whoismesh.sockets import connect_with, open_socket, parse_endpoint

SPACE = ("193.104.0.0/15", "216.0.0.0/11")


@pytest.fixture
def keys(tmp_path):
    folder = tmp_path / "keys"
    make_coordinator(folder)
    return folder


def test_a_crawl_with_keys_finds_everything(in_lab, table, keys):
    async def crawl(lab):
        # Slow enough for all three to be there before it is over.
        config = lab.config(*SPACE, change=lambda text: text.replace("connections = 16", "connections = 2"))
        coord = await coordinator(lab, config, keys=keys)
        folders = [add_host(keys, name) for name in ("one", "two", "three")]
        fleet = await asyncio.gather(
            *(worker(lab, config, each.name, coord.endpoint, "--keys", each) for each in folders)
        )
        assert await coord.ends() == 0
        assert [await each.ends() for each in fleet] == [0, 0, 0]
        await dumped(lab, table)
        for each in fleet:
            stopped = json.loads(each.log.read_text().splitlines()[-1])
            assert stopped["event"] == "worker_stopped"
            assert stopped["connections"]["admitted"] >= 2, "the others hear its news"

    in_lab(crawl, weather=Weather(0.15))


def strangers(keys, endpoint):
    """Yield (what it is, its keys, the key that it takes for the coordinator's), each as one socket would have it."""
    ours = Keys.load(keys)
    public, secret = zmq.curve_keypair()
    yield "no key", None
    yield "an unknown key", Keys(public, secret, ours.public)
    revoked = Keys.load(add_host(keys, "former"))
    revoke_host(keys, "former")
    yield "a revoked key", revoked
    yield "a key of the coordinator's own", Keys(ours.public, ours.secret, ours.public)
    yield "another coordinator's key", Keys(revoked.public, revoked.secret, public)


def test_strangers_get_nothing_and_cost_nothing(in_lab, table, keys):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config, keys=keys)
        host, port = parse_endpoint(coord.endpoint)
        context = zmq.Context()
        knocking = []
        try:
            for _, theirs in strangers(keys, coord.endpoint):
                for kind, offset in ((zmq.DEALER, 0), (zmq.PUSH, 1), (zmq.SUB, 2), (zmq.DEALER, 3)):
                    each = open_socket(context, kind)
                    each.linger = 0
                    if kind == zmq.SUB:
                        each.subscribe(b"")
                    connect_with(each, f"tcp://{host}:{port + offset}", theirs)
                    if kind == zmq.DEALER:
                        each.send(encode(Join(b"", "stranger:1", "tcp://127.0.0.1:9", 0, ())))
                    knocking.append(each)
            for _ in range(200):
                with socket.create_connection((host, port)) as plain:
                    plain.sendall(os.urandom(100))
            allowed = add_host(keys, "one")
            ours = await worker(lab, config, "one", coord.endpoint, "--keys", allowed)
            status = await heard_status(coord.endpoint, Keys.load(allowed))
            assert await coord.ends() == 0
            assert await ours.ends() == 0
            assert all(each.poll(0, zmq.POLLIN) == 0 for each in knocking if each.type != zmq.PUSH)
        finally:
            context.destroy(linger=0)
        await dumped(lab, table)
        assert status["members"] == 1
        assert status["connections"]["unknown key"] >= 3
        assert status["connections"]["admitted"] >= 1
        assert "stranger" not in coord.log.read_text()

    in_lab(crawl)


async def heard_status(endpoint, keys):
    """Return the state of the crawl once a worker is there."""
    host, port = parse_endpoint(endpoint)
    with zmq.Context() as context, contextlib.closing(open_socket(context, zmq.SUB)) as subscriber:
        subscriber.subscribe(topic(Feed))
        connect_with(subscriber, f"tcp://{host}:{port + 2}", keys)
        async with asyncio.timeout(60):
            while True:
                message = decode(await asyncio.to_thread(subscriber.recv))
                if message.topic == "status" and (status := json.loads(message.payload))["members"]:
                    return status


def test_a_key_that_is_revoked_while_it_works_settles_nothing_more(in_lab, table, keys):
    async def crawl(lab):
        config = lab.config(*SPACE, change=lambda text: text.replace("rate = inf", "rate = 60", 10))
        coord = await coordinator(lab, config, keys=keys)
        former = await worker(lab, config, "former", coord.endpoint, "--keys", add_host(keys, "former"))
        await lab.requests(60)
        revoke_host(keys, "former")
        await coord.says("worker_lost")
        await worker(lab, config, "other", coord.endpoint, "--keys", add_host(keys, "other"))
        assert await coord.ends() == 0
        former.kill()
        await dumped(lab, table)

    in_lab(crawl)


def test_a_worker_whose_key_comes_later_is_let_in_then(in_lab, table, keys, tmp_path):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        coord = await coordinator(lab, config, keys=keys)
        there = add_host(keys, "one")
        (keys / "allowed" / "one.key").rename(tmp_path / "one.key")
        ours = await worker(lab, config, "one", coord.endpoint, "--keys", there)
        await coord.says("connection_refused")
        (tmp_path / "one.key").rename(keys / "allowed" / "one.key")
        assert await coord.ends() == 0
        assert await ours.ends() == 0
        await dumped(lab, table)

    in_lab(crawl)


def test_nobody_listens_beyond_this_machine_without_keys(in_lab, keys):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        for command, arguments in (
            ("whoismesh-coord", ("--listen", "tcp://0.0.0.0:0")),
            ("whoismesh-coord", ("--listen", "tcp://*:0")),
            ("whoismesh-worker", ("--coord", "tcp://127.0.0.1:7700", "--listen", "tcp://[::]:0")),
        ):
            daemon = await Daemon.start(lab, command, f"open-{command}", "--config", config, *arguments)
            assert await daemon.ends() == 78
            assert "whoismesh keys new" in daemon.log.read_text().splitlines()[-1]

    in_lab(crawl)


def test_a_listener_joins_with_its_key_and_not_without(in_lab, keys):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        coord = await coordinator(lab, config, keys=keys)
        await worker(lab, config, "one", coord.endpoint, "--keys", add_host(keys, "one"))
        async with whoismesh.join(coord.endpoint, keys=add_host(keys, "reader"), timeout_s=30) as mesh:
            async for _ in mesh.discoveries(known=True):
                pass
            assert len(mesh) > 200
            with pytest.raises(UnavailableError, match="nobody answers"):
                async with whoismesh.join(coord.endpoint, timeout_s=1):
                    pass
        assert await coord.ends() == 0

    in_lab(crawl)
