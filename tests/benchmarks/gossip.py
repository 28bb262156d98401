"""How soon a discovery is known to all: real nodes, each a process with the sockets and the engine of a worker.

Every node finds so many blocks a second, told of as a worker does it (worker.FLUSH_S); a block says who found it and
when, so its age is known wherever it arrives: all run on this machine, by one clock. The bytes are those of frames and
of ZMTP around them (2 or 9 bytes a frame), by link: what one node sends to one other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import sys
import time
from array import array
from multiprocessing.connection import Connection
from random import Random
from statistics import median
from typing import Any

import zmq
from figures import LESS, Figure

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.compounds import Peer
from whoismesh.gossip import Gossip
from whoismesh.gossip.events import Found, Incoming, Learned, Publish, Tick
from whoismesh.ledger.hearsay import Hearsay
from whoismesh.messages import Members, decode, encode
from whoismesh.node import Node
from whoismesh.simulation.gossip.plan import Plan
from whoismesh.simulation.gossip.run import play
from whoismesh.sockets import Inbox, bind_ports, open_socket
from whoismesh.worker import FLUSH_S

CRAWL = b"0123456789abcdef"
#: Blocks are /26 in 24/6, which is ARIN's in one run from 24.0.0.0/8 on: 8 bits say who found one, 14 its number.
FIRST, MOST_NODES, MOST_BLOCKS = 24 << 24, 32, 1 << 13
#: Nodes have so long to find each other before they begin, seconds; what they find in the first seconds is not counted
#: (32 processes on two cores are slow to be there); and they have so long to hear the last of it.
SETTLE_S, WARM_UP_S, AFTER_S = 5.0, 4.0, 3.0
#: What the suite measures: blocks a second that each node finds, for so many seconds, in meshes of so many nodes.
RATE, SECONDS, SIZES = 100.0, 14.0, (2, 8, 32)
#: Fleets that are played, and blocks found in each for each of its nodes.
PLAYED, BLOCKS_A_NODE = (100, 1_000), 5


def block_of(node: int, number: int) -> Block:
    """Return the block that a node finds as its so and so many-th."""
    return Block("arin", Range.of_prefix(4, FIRST + 64 * (node * MOST_BLOCKS + number), 26))


class Measured:
    """One node."""

    def __init__(self, number: int, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.number = number
        self.gossip = Gossip(Random(number).random)
        self.node = Node(context, "127.0.0.1", 0, self.event)
        self.ages_s = array("f")
        self.sent_bytes = self.sent_frames = 0
        self.begins_at = 0.0
        self.rate = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Be a node no more."""
        if self._timer is not None:
            self._timer.cancel()
        self.node.close()

    def event(self, event: Incoming | Tick) -> None:
        """Let the engine take something in, and do what it says."""
        now = time.monotonic()
        for instruction in self.gossip.handle(event, now):
            if isinstance(instruction, Learned):
                for block in instruction.blocks:
                    found = (block.range.first - FIRST >> 6) % MOST_BLOCKS
                    if found >= self.rate * WARM_UP_S:
                        self.ages_s.append(now - self.begins_at - found / self.rate)
            else:
                if isinstance(instruction, Publish):
                    self.sent_frames += 1
                    size = len(encode(instruction.message))
                    self.sent_bytes += size + (2 if size < 256 else 9)
                self.node.carry_out(instruction)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(max(self.gossip.wake_at, now + 0.001), self.event, Tick())

    async def find(self, count: int) -> None:
        """Find blocks at the node's pace, and tell of them as often as a worker does."""
        found = 0
        while found < count:
            await asyncio.sleep(FLUSH_S)
            due = min(count, int((time.monotonic() - self.begins_at) * self.rate))
            blocks = [block_of(self.number, each) for each in range(found, due)]
            if blocks:
                for block in blocks:
                    self.gossip.learn(block)
                self.event(Found(found + 1, Blocks.of(blocks)))
            found = max(found, due)


async def be_node(number: int, coordinator: str, parent: Connection) -> None:
    """Be node `number` until all is measured; tell the parent what came of it."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    node = Measured(number, context)
    parent.send(node.node.address)
    peers, begins_at, rate, seconds = await asyncio.to_thread(parent.recv)
    node.begins_at, node.rate = begins_at, rate
    node.node.join(coordinator, coordinator)
    node.gossip.join(CRAWL, number + 1, time.monotonic())
    for instruction in node.gossip._members(Members(CRAWL, 1, 1, 0, len(peers), peers, ()), time.monotonic()):
        node.node.carry_out(instruction)
    node.event(Tick())
    await asyncio.sleep(begins_at - time.monotonic())
    before = time.process_time()
    await node.find(int(rate * seconds))
    await asyncio.sleep(AFTER_S)
    cpu_s = time.process_time() - before
    parent.send((node.ages_s.tobytes(), node.sent_bytes, node.sent_frames, cpu_s, dict(node.gossip.totals())))
    node.close()
    context.destroy(linger=0)


async def be_coordinator(ready: Connection) -> None:
    """Take part in exchanges as a coordinator that has stored nothing."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = open_socket(context, zmq.ROUTER)
    hearsay, nobody = Hearsay(BlockLog(), lambda origin, number: False), Members(CRAWL, 1, 1, 0, MOST_NODES, (), ())

    def answer(frames: list[bytes]) -> None:
        for each in hearsay.answer(decode(frames[1]), nobody, time.monotonic()):  # type: ignore[arg-type]
            inbox.send(frames[0], encode(each))

    inbox = Inbox(router, answer)
    ready.send(f"tcp://127.0.0.1:{bind_ports([router], '127.0.0.1', 0)}")
    await asyncio.Event().wait()


def run(target: Any, *args: Any) -> None:
    """Run a coroutine function in a process of its own."""
    asyncio.run(target(*args))


def mesh(count: int, rate: float, seconds: float) -> dict[str, Any]:
    """Return the figures of a mesh of so many nodes."""
    here, there = multiprocessing.Pipe()
    coordinator = multiprocessing.Process(target=run, args=(be_coordinator, there), daemon=True)
    coordinator.start()
    endpoint = here.recv()
    pipes, nodes = [], []
    for number in range(count):
        mine, its = multiprocessing.Pipe()
        node = multiprocessing.Process(target=run, args=(be_node, number, endpoint, its), daemon=True)
        node.start()
        pipes.append(mine)
        nodes.append(node)
    peers = tuple(Peer(number + 1, pipe.recv()) for number, pipe in enumerate(pipes))
    begins_at = time.monotonic() + SETTLE_S
    for pipe in pipes:
        pipe.send((peers, begins_at, rate, seconds))
    told = [pipe.recv() for pipe in pipes]
    for node in nodes:
        node.join()
    coordinator.terminate()
    ages_s = array("f")
    for each in told:
        ages_s.frombytes(each[0])
    ordered = sorted(ages_s)
    found, counted = int(rate * seconds), int(rate * seconds) - int(rate * WARM_UP_S)
    return {
        "nodes": count,
        "expected": count * (count - 1) * counted,
        "arrived": len(ordered),
        "median_ms": round(1_000 * median(ordered), 1),
        "p99_ms": round(1_000 * ordered[int(0.99 * (len(ordered) - 1))], 1),
        "worst_ms": round(1_000 * ordered[-1], 1),
        "bytes_a_block_and_link": round(sum(each[1] for each in told) / (count * found), 1),
        "blocks_a_frame": round(count * found / sum(each[2] for each in told), 1),
        "cpu_a_node": round(sum(each[3] for each in told) / count / (seconds + AFTER_S), 3),
        "refused": sum(each[4].get("gossip_refused", 0) for each in told),
    }


def full_batch() -> float:
    """Return the bytes a block and link, headers included, of frames that are full (engine.NEWS_BYTES)."""
    gossip, random, now, sent, found = Gossip(lambda: 0.5), Random(1), 0.0, 0, 0
    gossip.join(CRAWL, 900, now)
    gossip.peers.given = 1_000
    for number in range(20_000):
        length = random.choices((16, 20, 22, 24, 26, 29), (1, 3, 5, 8, 4, 2))[0]
        where = Range.of_prefix(4, random.randrange(24 << 24, 100 << 24), length)
        found += 1
        for each in gossip.handle(Found(number + 1, Blocks.of((Block("arin", where),))), now):
            if isinstance(each, Publish):
                size = len(encode(each.message))
                # ZMTP, and of TCP and IPv4 with time stamps 52 bytes for each 1,448 (or less).
                sent += size + (2 if size < 256 else 9) + 52 * -(-size // 1_448)
    return sent / found


def measure() -> list[Figure]:
    """Return how soon blocks arrive and what they cost, in real meshes and in fleets that are played."""
    open_more_files()
    figures = []
    for size in SIZES:
        found = mesh(size, RATE, SECONDS)
        figures += [
            Figure(f"{size} nodes: median", found["median_ms"], "ms", better=LESS),
            Figure(f"{size} nodes: 99 %", found["p99_ms"], "ms", better=LESS),
            Figure(f"{size} nodes: bytes a block and link", found["bytes_a_block_and_link"], "bytes", better=LESS),
            Figure(f"{size} nodes: not arrived", found["expected"] - found["arrived"], "blocks", goal=0, better=LESS),
        ]
    figures.append(Figure("full batches: bytes a block and link", full_batch(), "bytes", better=LESS, margin=0.05))
    for size in PLAYED:
        report = play(Plan(nodes=size, blocks=BLOCKS_A_NODE * size, crash=0.0, cut_s=0.0, lasting_s=10.0))
        played = (
            ("median until all have a block", report.all_s[0], "s"),
            ("99 % until all have a block", report.all_s[1], "s"),
            ("bytes a block and node", report.bytes_a_block_and_node, "bytes"),
        )
        figures += [
            Figure(f"{size:,} played: {name}", value, unit, better=LESS, margin=0.1) for name, value, unit in played
        ]
    return figures


def open_more_files() -> None:
    """Let this process and its children open as many files as a mesh of MOST_NODES needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4_096, hard)), hard))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="2,8,32", help="sizes of the mesh (default: 2,8,32)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"blocks a second of each node (default: {RATE:g})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"for so long (default: {SECONDS:g})")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sizes = [int(each) for each in args.nodes.split(",")]
    if max(sizes) > MOST_NODES or args.rate * args.seconds > MOST_BLOCKS:
        sys.exit(f"bench gossip: expected at most {MOST_NODES} nodes and {MOST_BLOCKS} blocks of each")
    open_more_files()
    rows = []
    for size in sizes:
        rows.append(mesh(size, args.rate, args.seconds))
        if not args.json:
            print("  ".join(f"{name} {value:,}" for name, value in rows[-1].items()), flush=True)
    full = round(full_batch(), 2)
    if args.json:
        print(json.dumps({"meshes": rows, "full_batch_bytes_a_block_and_link": full}))
    else:
        print(f"full batches, with headers of ZMTP, TCP and IP: {full} bytes a block and link")


if __name__ == "__main__":
    main()
