"""What a listener makes of a place that does not speak as a coordinator does: counted, and never raised."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
import zmq

import whoismesh
from whoismesh import listener
from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip.logs import Logs
from whoismesh.gossip.responder import Responder
from whoismesh.messages import MAX_FRAME_BYTES, Discovered, Feed, Leave, Members, decode, encode, topic
from whoismesh.sockets import Inbox, bind_ports, open_socket

CRAWL = b"0123456789abcdef"
DEADLINE_S = 30
MEMBERS = Members(CRAWL, 1, 0, 0, 0, (), ())
EVERYTHING = Block("arin", Range(4, 0, 2**32 - 1))


class Impostor:
    """The coordinator's four ports without a ledger: a log to repair from, and whatever a test publishes."""

    def __init__(self, context):
        self.sockets = [open_socket(context, kind) for kind in (zmq.ROUTER, zmq.PULL, zmq.PUB, zmq.ROUTER)]
        self.endpoint = f"tcp://127.0.0.1:{bind_ports(self.sockets, '127.0.0.1', 0)}"
        self.log = BlockLog()
        self.responder = Responder(Logs(self.log, lambda origin, number, block: True))
        self.exchanges = Inbox(self.sockets[3], self.on_exchange)
        self.extra = []

    def on_exchange(self, frames):
        for each in self.extra:
            self.exchanges.send(frames[0], *each)
        for answer in self.responder.answer(decode(frames[1]), MEMBERS, time.monotonic()):
            self.exchanges.send(frames[0], encode(answer))

    def publish(self, *frames):
        self.sockets[2].send_multipart(frames)

    def status(self, **more):
        rows = {"accepted": len(self.log), "members": 0, "complete": False, "workers": [], **more}
        self.publish(encode(Feed(CRAWL, "status", json.dumps(rows).encode())))

    async def tell(self):
        while True:
            self.status()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def impostor():
    context = zmq.Context()
    made = Impostor(context)
    telling = asyncio.create_task(made.tell())
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield made
    finally:
        telling.cancel()
        made.exchanges.close()
        context.destroy(linger=0)


def test_garbage_is_counted_and_the_rest_is_taken_in():
    feed, blocks = topic(Feed), topic(Discovered)
    garbage = [
        (feed,),
        (blocks + b"\x91",),
        (feed + b"\xff" * 300,),
        (blocks + b"\xdd\xff\xff\xff\xff",),
        (encode(Feed(CRAWL, "status", b"[]")),),
        (encode(Feed(b"", "status", b"{}")),),
        (feed, b"two frames"),
    ]

    async def listen():
        async with impostor() as place:
            for number in range(50_000):
                place.log.append(Block("arin", Range(4, 0x18000000 + 256 * number, 0x180000FF + 256 * number)))
            place.extra = [(b"",), (b"x", b"y"), (encode(Leave(CRAWL, 1, "", {})),)]
            async with whoismesh.join(place.endpoint) as mesh:
                for each in garbage:
                    place.publish(*each)
                # Nobody holds all of IPv4.
                place.publish(encode(Discovered(CRAWL, (Run(0, 50_001, None, Blocks.of([EVERYTHING])),))))
                await mesh.caught_up(20)
                while mesh.dropped != {"events": 0, "frames": len(garbage) + len(place.extra), "blocks": 1}:
                    await asyncio.sleep(0.01)
                assert len(mesh) == 50_000
                assert mesh.failure is None

    asyncio.run(listen())


def test_an_over_long_frame_deafens_a_socket_and_a_new_one_hears_on(monkeypatch):
    monkeypatch.setattr(listener, "REOPEN_S", 1.0)

    async def listen():
        async with impostor() as place:
            async with whoismesh.join(place.endpoint) as mesh:
                place.publish(topic(Feed) + b"x" * (MAX_FRAME_BYTES + 1))
                place.log.append(Block("arin", Range.parse("24.0.0.0/24")))
                while not await anext(mesh.discoveries(known=True, quiet_s=0.5), None):
                    pass
                assert mesh.hit("24.0.0.1")

    asyncio.run(listen())


def test_a_log_that_does_not_come_is_an_error_that_names_the_port():
    async def listen():
        async with impostor() as place:
            place.log.append(Block("arin", Range.parse("24.0.0.0/24")))
            place.exchanges.close()
            async with whoismesh.join(place.endpoint) as mesh:
                port = int(place.endpoint.rpartition(":")[2]) + 3
                with pytest.raises(
                    whoismesh.UnavailableError, match=f"0 of 1 blocks after 0.2 s; check that port {port}"
                ):
                    await mesh.caught_up(0.2)

    asyncio.run(listen())
