"""A list of members may name anything: the sockets take it or count it, and nothing is raised."""

from __future__ import annotations

import asyncio
import random

import pytest
import zmq
from hostile_frames import ADDRESSES
from small_mesh import CRAWL

from whoismesh.compounds import Peer
from whoismesh.errors import MessageError
from whoismesh.gossip.events import Close, Listen, Open, Say
from whoismesh.messages import Compare, Members, decode, encode
from whoismesh.node import Node

ABSURD = (
    *ADDRESSES,
    "tcp://127.0.0.1:0",
    "tcp://127.0.0.1:65535",  # the ROUTER would be one above
    "tcp://*:5",
    "tcp://a b:1",
    "tcp://[::1%lo]:1",
    "tcp://10.0.0.1:1;10.0.0.2:2",
    "tcp://127.0.0.1:1\n",
    "tcp://user@host:1",
    "tcp://:1",
    "tcp://" + "a" * 900 + ":1",
)
LETTERS = "\0\n %*:;[]/@a.é℀😀"


def test_addresses_are_connected_to_or_counted() -> None:
    chance = random.Random(1)
    made = ["".join(chance.choices(LETTERS, k=chance.randrange(12))) for _ in range(200)]
    addresses = [*ABSURD, *(f"tcp://{each}:{chance.randrange(70_000)}" for each in made)]
    for each in addresses:
        frame = encode(Members(CRAWL, 1, 1, 0, 1, (Peer(1, each),), ()))
        assert decode(frame).peers[0].gossip == each  # type: ignore[attr-defined]

    async def connect() -> int:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        node = Node(context, "127.0.0.1", 0, lambda event: None)
        try:
            for each in addresses:
                for instruction in (Listen((each,)), Open(1, each), Say(Compare(CRAWL, bytes(8))), Close(), Listen(())):
                    node.carry_out(instruction)
            return node.dropped
        finally:
            node.close()
            context.destroy(0)

    assert asyncio.run(connect()) > len(addresses)


def test_an_address_that_is_no_text_is_no_message() -> None:
    """Halves of surrogate pairs, which a socket would not take: UTF-8 does not have them."""
    frame = encode(Members(CRAWL, 1, 1, 0, 1, (Peer(1, "tcp://xyz:1"),), ()))
    with pytest.raises(MessageError, match="not msgpack"):
        decode(frame.replace(b"xyz", b"\xed\xa0\x80"))
