"""What a program in the mesh gets: the time of one hit and of catching up, beside the bare parts in the same run.

A process of its own speaks as a coordinator whose accepted log holds so many blocks; a listener joins it, catches up,
and asks. Beside it: a bare trie's lookup of the same addresses as integers, and a bare replica that takes in the same
frames without any socket.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
import timeit
from multiprocessing.connection import Connection

import zmq
from pytricia import PyTricia

import whoismesh
from whoismesh.addresses import Range, parse_address
from whoismesh.blocks import Block, BlockLog
from whoismesh.compounds import Run
from whoismesh.gossip.logs import Logs
from whoismesh.gossip.replica import Replica
from whoismesh.gossip.responder import Responder
from whoismesh.messages import Feed, Members, decode, encode
from whoismesh.sockets import Inbox, bind_ports, open_socket

CRAWL = bytes(16)
#: ARIN's, so that no block is refused; of /26s there is room for 3 million.
FIRST = 24 << 24
HITS = 100_000


def accepted_log(count: int) -> BlockLog:
    """Return a log of that many blocks."""
    log = BlockLog()
    for number in range(count):
        log.append(Block("arin", Range.of_prefix(4, FIRST + 64 * number, 26)))
    return log


async def speak(count: int, ready: Connection) -> None:
    """Be what a listener sees of a coordinator; tell the endpoint when ready."""
    log = accepted_log(count)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [open_socket(context, kind) for kind in (zmq.ROUTER, zmq.PULL, zmq.PUB, zmq.ROUTER)]

    responder = Responder(Logs(log, lambda origin, number, block: True))
    nobody = Members(CRAWL, 1, 0, 0, 0, (), ())

    def answer(frames: list[bytes]) -> None:
        for each in responder.answer(decode(frames[1]), nobody, time.monotonic()):  # type: ignore[arg-type]
            exchanges.send(frames[0], encode(each))

    exchanges = Inbox(sockets[3], answer)
    ready.send(f"tcp://127.0.0.1:{bind_ports(sockets, '127.0.0.1', 0)}")
    status = {"networks": count, "duplicates": 0, "complete": False, "workers": []}
    while True:
        sockets[2].send(encode(Feed(CRAWL, "status", json.dumps(status).encode())))
        await asyncio.sleep(0.5)


async def listen(endpoint: str, address: str) -> tuple[float, float, float]:
    """Return the seconds to catch up, the longest that another task had to wait, and those of one hit."""
    waits = [0.0]

    async def tick() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            waits.append(time.perf_counter() - start)

    ticking = asyncio.create_task(tick())
    async with whoismesh.join(endpoint) as mesh:
        start = time.perf_counter()
        await mesh.caught_up()
        seconds = time.perf_counter() - start
        ticking.cancel()
        return seconds, max(waits), min(timeit.repeat(lambda: mesh.hit(address), number=HITS, repeat=5)) / HITS


def bare(count: int, address: str) -> tuple[float, float]:
    """Return the seconds of a replica without sockets, and those of one lookup in a bare trie."""
    log, replica, tree = accepted_log(count), Replica(), PyTricia(32)
    start = time.perf_counter()
    while replica.accepted < count:
        replica.apply(Run(0, replica.accepted + 1, None, log.after(replica.accepted)), 0.0)
    seconds = time.perf_counter() - start
    for number in range(count):
        tree.insert(FIRST + 64 * number, 26, number)
    family, key = parse_address(address)
    assert family == 4
    return seconds, min(timeit.repeat(lambda: tree.get(key), number=HITS, repeat=5)) / HITS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ready, ready_write = multiprocessing.Pipe(duplex=False)
    place = multiprocessing.Process(
        target=lambda: asyncio.run(speak(args.blocks, ready_write)), name="coordinator", daemon=True
    )
    place.start()
    endpoint, address = ready.recv(), "24.0.6.139"
    joined, alone = [], []
    for _ in range(args.rounds):
        joined.append(asyncio.run(listen(endpoint, address)))
        alone.append(bare(args.blocks, address))
    place.kill()
    caught_up_s, wait_s, hit_s = (statistics.median(each) for each in zip(*joined, strict=True))
    replica_s, trie_s = (statistics.median(each) for each in zip(*alone, strict=True))
    print(f"hit: {hit_s * 1e6:.2f} us (a bare trie, address as an integer: {trie_s * 1e6:.2f} us)")
    print(
        f"catching up: {args.blocks / caught_up_s:,.0f} blocks/s (no sockets: {args.blocks / replica_s:,.0f} blocks/s)"
    )
    print(f"another task waits at most {wait_s * 1e3:.0f} ms meanwhile")


if __name__ == "__main__":
    main()
