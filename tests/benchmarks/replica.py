"""A large replica: its memory beside bare tries, and what a joiner's snapshot costs the node that sends it.

Fresh processes, one after the other: bare tries with the same prefixes; a replica that takes the accepted log in piece
by piece, as a node does, and then answers a joiner over real sockets while another task of its event loop looks how
long it had to wait. The blocks are those of the `prefixes` benchmark as far as they can be true.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import zmq
from pytricia import PyTricia

from whoismesh.addresses import Range
from whoismesh.blocks import PIECE_ENTRIES, Block, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip import guard
from whoismesh.gossip.logs import MOST_CREDIT_BYTES
from whoismesh.gossip.replica import Replica
from whoismesh.gossip.responder import Responder
from whoismesh.messages import Digest, Discovered, Members, Sent, decode, encode
from whoismesh.sockets import Inbox, bind_ports, open_socket

sys.path.insert(0, str(Path(__file__).parent))
from prefixes import blocks, resident_bytes

CRAWL = b"0123456789abcdef"
NOBODY = Members(CRAWL, 1, 0, 0, 0, (), ())


def true_blocks(seed: int, count: int) -> Iterator[Range]:
    """Yield so many blocks that the guard lets pass; a few come twice."""
    return itertools.islice((each for each in blocks(seed) if guard.why_not(each) is None), count)


def bare(seed: int, count: int) -> dict[str, float]:
    """Fill bare tries."""
    trees, shared = {4: PyTricia(32), 6: PyTricia(128)}, "ripencc"
    before = resident_bytes()
    for block in true_blocks(seed, count):
        for first, length in block.prefixes():
            trees[block.family].insert(first if block.family == 4 else first.to_bytes(16), length, shared)
    gc.collect()
    return {"bytes": resident_bytes() - before, "prefixes": sum(map(len, trees.values()))}


def filled(seed: int, count: int) -> tuple[Replica, dict[str, float]]:
    """Return a replica that has taken in an accepted log of so many blocks, and what it cost."""
    replica, start = Replica(), time.perf_counter()
    drawn, before, in_replica = true_blocks(seed, count), resident_bytes(), 0.0
    while piece := list(itertools.islice(drawn, PIECE_ENTRIES)):
        run = Run(0, replica.accepted + 1, None, Blocks.of(Block("ripencc", each) for each in piece))
        begun = time.perf_counter()
        replica.apply(run, begun)
        in_replica += time.perf_counter() - begun
    gc.collect()
    found = {"bytes": resident_bytes() - before, "blocks": len(replica.table), "log": replica.accepted}
    return replica, found | {"apply_s": in_replica, "seconds": time.perf_counter() - start}


async def serve(replica: Replica, ready: Connection) -> dict[str, float]:
    """Answer a joiner until it has all; return how long another task had to wait at the longest."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router, responder, over, waits = open_socket(context, zmq.ROUTER), Responder(replica.logs), asyncio.Event(), [0.0]
    cost = {"busy": 0, "cpu_s": 0.0}

    def answer(frames: list[bytes]) -> None:
        message, begun = decode(frames[1]), time.process_time()
        assert isinstance(message, Digest)
        for each in responder.answer(message, NOBODY, time.monotonic()):
            cost["busy"] += isinstance(each, Sent) and each.busy
            inbox.send(frames[0], encode(each))
        cost["cpu_s"] += time.process_time() - begun
        if message.accepted == replica.accepted:
            over.set()

    async def look() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.001)
            waits.append(time.perf_counter() - start - 0.001)

    inbox = Inbox(router, answer)
    looking = asyncio.create_task(look())
    ready.send(f"tcp://127.0.0.1:{bind_ports([router], '127.0.0.1', 0)}")
    await over.wait()
    looking.cancel()
    inbox.close()
    context.destroy(linger=1_000)
    return {"longest_pause_ms": round(1_000 * max(waits), 1), **cost}


def hold(seed: int, count: int, ready: Connection) -> None:
    """Fill a replica and serve it."""
    replica, found = filled(seed, count)
    ready.send(found)
    gc.freeze()  # what does not change any more need not be gone through again
    ready.send(asyncio.run(serve(replica, ready)))


async def join(endpoint: str) -> dict[str, float]:
    """Ask for everything, an answer at a time; take nothing in, so that the sender is what is measured."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer, over, start = open_socket(context, zmq.DEALER), asyncio.Event(), time.perf_counter()
    accepted, answers, longest = 0, 0, 0
    answer_bytes = 0

    def ask() -> None:
        inbox.send(encode(Digest(CRAWL, accepted, {}, None, MOST_CREDIT_BYTES)))

    def take(frames: list[bytes]) -> None:
        nonlocal accepted, answers, longest, answer_bytes
        message = decode(frames[0])
        answer_bytes += len(frames[0])
        if isinstance(message, Discovered):
            accepted = max(accepted, *(each.last for each in message.runs))
        elif isinstance(message, Sent):
            answers, longest, answer_bytes = answers + 1, max(longest, answer_bytes), 0
            if message.busy:
                asyncio.get_running_loop().call_later(0.05, ask)
            else:
                ask()
                if not message.more:
                    over.set()

    inbox = Inbox(dealer, take)
    dealer.connect(endpoint)
    ask()
    await over.wait()
    inbox.close()
    context.destroy(linger=1_000)
    return {"accepted": accepted, "answers": answers, "longest_answer_bytes": longest, "s": time.perf_counter() - start}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5_000_000)
    parser.add_argument("--seed", type=int, default=20_161_123)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as process:
        tries = process.apply(bare, (args.seed, args.blocks))
    here, there = spawn.Pipe()
    holder = spawn.Process(target=hold, args=(args.seed, args.blocks, there))
    holder.start()
    replica = here.recv()
    joiner = asyncio.run(join(here.recv()))
    sender = here.recv()
    holder.join()
    ratio = replica["bytes"] / tries["bytes"]
    if args.json:
        print(json.dumps({"bare": tries, "replica": replica, "ratio": ratio, "joiner": joiner, "sender": sender}))
        return
    count = replica["blocks"]
    print(f"{count:,} blocks in a log of {replica['log']:,}; {tries['prefixes']:,} prefixes in bare tries")
    print(f"memory: {replica['bytes'] / count:.0f} bytes a block, {tries['bytes'] / count:.0f} bare: {ratio:.2f} times")
    print(f"taking the log in: {replica['apply_s'] / replica['log'] * 1e6:.1f} us a block")
    print(
        f"snapshot: {joiner['accepted']:,} blocks in {joiner['answers']:,} answers of at most "
        f"{joiner['longest_answer_bytes']:,} bytes, {joiner['s']:.1f} s; the sender's longest pause "
        f"{sender['longest_pause_ms']} ms, its processor {sender['cpu_s']:.2f} s, {sender['busy']} times busy"
    )
    print(f"load when done: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
