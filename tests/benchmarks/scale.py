"""What grows with a fleet and with the networks: the coordinator's engine alone, and its feed over real sockets.

By members: what a join, a renewal, a housekeeping tick and a status cost, and how many bytes a newcomer is sent. By
networks: what settling one costs (a start takes up the ledger at that pace), and the memory it leaves, for IPv4 and
IPv6, each in a fresh process. By subscribers: what a frame of the feed costs the publishing process. docs/scale.md says
what follows.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from random import Random

import zmq
from prefixes import resident_bytes

from whoismesh.addresses import WHOLE, Range
from whoismesh.compounds import Result
from whoismesh.iana import runs
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.engine import HOUSEKEEPING_S
from whoismesh.ledger.events import Received, Tick
from whoismesh.ledger.status import status
from whoismesh.messages import Join, Renew, encode
from whoismesh.registries import REGISTRIES
from whoismesh.sockets import open_socket

CRAWL = bytes(16)
#: A registration of IPv6 is a /32 here; registries have had some millions of them.
IPV6_LENGTH = 32


def ledger(family: str, members: int) -> Ledger:
    """Return an engine of a whole family that takes so many members."""
    budgets = {each: Budget(math.inf, math.inf) for each in REGISTRIES}
    return Ledger(CRAWL, [WHOLE[family]], budgets, origins=range(1, members + 2), most_members=members)


def cpu_us(count: int, work: Callable[[int], object]) -> float:
    """Return the processor microseconds of one of so many pieces of work."""
    began = time.process_time()
    for number in range(count):
        work(number)
    return (time.process_time() - began) / count * 1e6


def by_members(members: int) -> dict[str, float]:
    """Return what members cost the engine."""
    engine = ledger("ipv4", members)
    engine.handle(Tick(), 0.0)

    def join(number: int) -> None:
        host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        engine.handle(Received(b"%d" % number, Join(b"", f"{host}:4242", f"{host}:7711", 0, ()), ""), 0.1)

    def renew(number: int) -> None:
        # The first origin is the engine's own.
        engine.handle(Received(b"%d" % number, Renew(CRAWL, number + 2, {}, 0.0), ""), 0.2)

    joined = cpu_us(members, join)
    return {
        "members": members,
        "join_us": joined,
        "renewal_us": cpu_us(members, renew),
        "tick_us": cpu_us(20, lambda number: engine.handle(Tick(), 1.0 + HOUSEKEEPING_S * number)),
        "status_us": cpu_us(20, lambda _: status(engine, 10.0)),
        "bytes_to_a_newcomer": len(encode(engine._roster.whole())),
    }


def made_up_results(family: str, count: int) -> list[Result]:
    """Return results of different networks all over a family, in no order, with gaps between them."""
    random, number = Random(3), 6 if family == "ipv6" else 4
    bits = 128 if number == 6 else 32
    # Half of the blocks or fewer: what is settled is in as many pieces as it ever is.
    length = IPV6_LENGTH if number == 6 else bits - (2**32 // count).bit_length() + 2
    spaces = [each for each in runs() if each[0].family == number and each[0].size >> bits - length]
    sizes = [space.size >> bits - length for space, _ in spaces]
    drawn: dict[Range, str] = {}
    while len(drawn) < count:
        for space, registry in random.choices(spaces, sizes, k=count - len(drawn)):
            block = random.randrange(space.size >> bits - length)
            drawn[Range.of_prefix(number, space.first + (block << bits - length), length)] = registry
    return [
        Result(1, sequence, registry, "network", Range(number, each.first, each.first), each, None, "", b"")
        for sequence, (each, registry) in enumerate(drawn.items(), 1)
    ]


def by_networks(family: str, count: int, pipe: Connection) -> None:
    """Tell what so many networks cost the engine of this process."""
    engine, results = ledger(family, 1), made_up_results(family, count)
    before = resident_bytes()
    seconds = cpu_us(1, lambda _: [engine.replay(each) for each in results]) / 1e6
    pipe.send((len(results), seconds / len(results) * 1e6, (resident_bytes() - before) / len(results)))


def by_subscribers(subscribers: int, frames: int = 200, size: int = 500) -> float:
    """Return the processor microseconds of one frame of the feed for one subscriber, ZeroMQ's threads included."""
    here, there = multiprocessing.Pipe()
    listening = multiprocessing.Process(target=subscribe, args=(subscribers, frames, there), daemon=True)
    listening.start()
    with zmq.Context() as context:
        publisher = open_socket(context, zmq.XPUB)
        publisher.setsockopt(zmq.XPUB_VERBOSE, 1)  # each one's subscription is told, not the first one's alone
        here.send(publisher.bind_to_random_port("tcp://127.0.0.1"))
        for _ in range(subscribers):
            publisher.recv()
        began = time.process_time()
        for number in range(frames):
            publisher.send(bytes(size))
            if number % 20 == 19:
                here.recv()  # all have these: nothing may be dropped at a high-water mark
        spent_s = time.process_time() - began
        publisher.close(linger=0)
    listening.join()
    return spent_s / frames / subscribers * 1e6


def subscribe(count: int, frames: int, pipe: Connection) -> None:
    """Be so many subscribers; say each time that all have twenty frames more."""
    with zmq.Context() as context:
        context.max_sockets = count + 10
        port = pipe.recv()
        sockets = []
        for _ in range(count):
            socket = open_socket(context, zmq.SUB)
            socket.subscribe(b"")
            socket.connect(f"tcp://127.0.0.1:{port}")
            sockets.append(socket)
        for number in range(frames):
            for socket in sockets:
                socket.recv()
            if number % 20 == 19:
                pipe.send(number)
        for socket in sockets:
            socket.close(linger=0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[100, 1_000, 10_000], metavar="N")
    parser.add_argument("--networks", type=int, nargs="+", default=[250_000, 500_000, 1_000_000], metavar="N")
    parser.add_argument("--subscribers", type=int, nargs="+", default=[10, 100, 400], metavar="N")
    args = parser.parse_args()
    for members in args.members:
        print("  ".join(f"{name} {value:,.6g}" for name, value in by_members(members).items()), flush=True)
    for family in ("ipv4", "ipv6"):
        for count in args.networks:
            here, there = multiprocessing.Pipe()
            process = multiprocessing.get_context("spawn").Process(target=by_networks, args=(family, count, there))
            process.start()
            found, settling_us, size = here.recv()
            process.join()
            print(f"{family}: {found:,} networks, {settling_us:.1f} us and {size:.0f} bytes each", flush=True)
    for subscribers in args.subscribers:
        print(f"{subscribers} subscribers: {by_subscribers(subscribers):.2f} us a frame and subscriber", flush=True)


if __name__ == "__main__":
    main()
