"""Hit checks on 600,000 real CIDRs, beside bare pytricia and the way of 2016; a replica's memory beside bare tries.

All sides are asked the same random addresses, and judged by the processor's time. The way of 2016 is an HTTP endpoint
in a process of its own that scans a list of netaddr networks, to its end by `all_matching_cidrs` or up to the first
that holds the address; both sides have the same 7,435 CIDRs there. Memory is the growth of resident memory of fresh
processes: of a replica that has taken in the log, and of a bare trie.
"""

from __future__ import annotations

import gc
import http.client
import itertools
import multiprocessing
import random
import time
from array import array
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection

import numpy as np
from figures import LESS, Figure, alternate, cpu_rate
from netaddr import IPAddress, IPNetwork, all_matching_cidrs
from prefixes import resident_bytes
from pytricia import PyTricia
from real_table import ipv4_table, real_ranges

from whoismesh.addresses import Range, format_address
from whoismesh.arrays import AddressArrays
from whoismesh.blocks import PIECE_ENTRIES, Block, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip import guard
from whoismesh.gossip.replica import Replica
from whoismesh.prefixes import PrefixTable

#: What the goals speak of, and how many distinct results the run of 2016 had.
CIDRS, CIDRS_2016 = 600_000, 7_435
#: Addresses asked one by one, all at once, and over HTTP.
ONE_BY_ONE, AT_ONCE, ASKED_2016 = 200_000, 1_000_000, 20
#: "What is next" is also asked of these parts of the table.
PARTS = (0.01, 0.1, 1)
SEED = 20_161_123


def cidrs(count: int) -> list[Range]:
    """Return so many different CIDRs of the real table, in no order."""
    ranges = real_ranges(ipv4_table())
    random.Random(SEED).shuffle(ranges)
    found = dict.fromkeys(Range.of_prefix(4, *prefix) for each in ranges for prefix in each.prefixes())
    return list(itertools.islice(found, count))


def filled(blocks: Iterable[Range]) -> tuple[PrefixTable[str], PyTricia]:
    """Return our table and a bare trie of the same CIDRs."""
    table: PrefixTable[str] = PrefixTable()
    bare = PyTricia(32)
    for block in blocks:
        table.append(block, "ripencc")
        bare.insert(block.first, 33 - block.size.bit_length(), "ripencc")
    return table, bare


def one_by_one(ask: Callable[[int], object], asked: list[int]) -> Callable[[], float]:
    """Return a side that asks of each address."""

    def work() -> None:
        for each in asked:
            ask(each)

    return cpu_rate(len(asked), work)


def of_family(ask: Callable[[int, int], object], asked: list[int]) -> Callable[[], float]:
    """Return a side that asks of each address, which is one of IPv4."""

    def work() -> None:
        for each in asked:
            ask(4, each)

    return cpu_rate(len(asked), work)


def asking(blocks: list[Range]) -> list[Figure]:
    """Ask one by one and all at once."""
    rng = random.Random(SEED)
    asked = [rng.getrandbits(32) for _ in range(ONE_BY_ONE)]
    table, bare = filled(blocks)
    arrays = AddressArrays.of_table(table)
    many = np.random.default_rng(SEED).integers(0, 1 << 32, AT_ONCE, np.uint32)
    for ask in (arrays.known, arrays.numbers, arrays.next_gaps):
        ask(many)  # makes what they look into
    found = alternate(
        {
            "in": one_by_one(bare.__contains__, asked),
            "get": one_by_one(bare.get, asked),
            "known": of_family(table.knows, asked),
            "number": of_family(table.number_at, asked),
            "block": of_family(table.find, asked),
            "both": of_family(table.holder, asked),
            "gap": of_family(table.next_gap, asked),
            "many known": cpu_rate(AT_ONCE, lambda: arrays.known(many)),
            "many numbers": cpu_rate(AT_ONCE, lambda: arrays.numbers(many)),
            "many gaps": cpu_rate(AT_ONCE, lambda: arrays.next_gaps(many)),
        }
    )
    loop = "one by one"
    return [
        Figure("is it known (knows)", found["known"], "/s", "pytricia in", found["in"], goal=2),
        Figure("who holds it: the number (number_at)", found["number"], "/s", "pytricia get", found["get"], goal=0.8),
        Figure("who holds it: the block (find)", found["block"], "/s", "pytricia get", found["get"], goal=0.8),
        Figure("who holds it: block and value (holder)", found["both"], "/s", "pytricia get", found["get"]),
        Figure("a million at once: known", found["many known"], "/s", loop, found["known"], goal=50),
        Figure("a million at once: number", found["many numbers"], "/s", loop, found["number"], goal=50),
        Figure("a million at once: next gap", found["many gaps"], "/s", loop, found["gap"], goal=50),
    ]


def next_gaps(blocks: list[Range]) -> list[Figure]:
    """Ask what is next of tables of several sizes."""
    rng, figures = random.Random(SEED), []
    asked = [rng.getrandbits(32) for _ in range(ONE_BY_ONE)]
    for part in PARTS:
        table, _ = filled(blocks[: int(part * len(blocks))])
        found = alternate({"gap": of_family(table.next_gap, asked)})
        figures.append(Figure(f"next gap, {len(table):,} CIDRs", found["gap"], "/s", goal=1e6))
    return figures


def serve_2016(networks: list[str], ready: Connection) -> None:
    """Answer GET /ADDRESS by scanning a list; told "cpu", tell the seconds of processor used."""
    known = [IPNetwork(each) for each in networks]
    ways: dict[str, Callable[[str], object]] = {
        "all": lambda asked: all_matching_cidrs(asked, known),
        "any": lambda asked: any(IPAddress(asked) in each for each in known),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/cpu":
                body = str(time.process_time()).encode()
            else:
                _, way, address = self.path.split("/")
                body = b"1" if ways[way](address) else b"0"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    ready.send(server.server_port)
    server.serve_forever()


def beside_2016(blocks: list[Range]) -> list[Figure]:
    """Ask both of the same CIDRs and addresses; the other side is judged by its server's processor alone."""
    blocks = blocks[:CIDRS_2016]
    rng = random.Random(SEED)
    asked = [rng.getrandbits(32) for _ in range(ONE_BY_ONE)]
    table, _ = filled(blocks)
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    server = spawn.Process(target=serve_2016, args=([str(each) for each in blocks], there), daemon=True)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", here.recv())

    def get(path: str) -> bytes:
        connection.request("GET", path)
        return connection.getresponse().read()

    def over_http(way: str) -> float:
        began = float(get("/cpu"))
        for each in asked[:ASKED_2016]:
            assert get(f"/{way}/{format_address(4, each)}") == (b"1" if table.knows(4, each) else b"0")
        return ASKED_2016 / (float(get("/cpu")) - began)

    try:
        found = alternate(
            {"all": lambda: over_http("all"), "any": lambda: over_http("any"), "now": of_family(table.knows, asked)}
        )
    finally:
        connection.close()
        server.terminate()
        server.join()
    name = f"is it known, of {CIDRS_2016:,} CIDRs"
    return [
        Figure(f"{name}, 2016 to the list's end", found["now"], "/s", "HTTP and netaddr", found["all"], goal=100_000),
        Figure(f"{name}, 2016 to the first hit", found["now"], "/s", "HTTP and netaddr", found["any"]),
    ]


def bare_bytes(packed: array[int]) -> int:
    """Return the memory of a bare trie."""
    before, bare = resident_bytes(), PyTricia(32)
    for each in packed:
        bare.insert(each >> 8, each & 255, "ripencc")
    gc.collect()
    return resident_bytes() - before


def replica_bytes(packed: array[int]) -> int:
    """Return the memory of a replica that has taken as many blocks in from the accepted log: table, coverage, log."""
    before, replica = resident_bytes(), Replica()
    for begin in range(0, len(packed), PIECE_ENTRIES):
        piece = packed[begin : begin + PIECE_ENTRIES]
        blocks = Blocks.of(Block("ripencc", Range.of_prefix(4, each >> 8, each & 255)) for each in piece)
        replica.apply(Run(0, begin + 1, None, blocks), 0.0)
    assert len(replica.table) == len(packed)
    assert replica.table.coverage.size > 0
    gc.collect()
    return resident_bytes() - before


def memory(blocks: list[Range]) -> Figure:
    """Fill a fresh process a side; blocks come there as numbers, so that nothing of them is memory used again."""
    # What a replica refuses, because no registry has it from IANA, is in neither.
    true = (each for each in blocks if guard.why_not(each) is None)
    packed = array("Q", (each.first << 8 | 33 - each.size.bit_length() for each in true))
    spawn = multiprocessing.get_context("spawn")
    found = []
    for side in (replica_bytes, bare_bytes):
        with spawn.Pool(1) as process:
            found.append(process.apply(side, (packed,)) / len(packed))
    name = f"memory of a replica of {len(packed):,} CIDRs"
    return Figure(name, found[0], "bytes each", "bare pytricia", found[1], goal=2, better=LESS)


def measure() -> list[Figure]:
    """Measure all of it."""
    blocks = cidrs(CIDRS)
    figures = asking(blocks) + next_gaps(blocks)
    return [*figures, *beside_2016(blocks), memory(blocks)]
