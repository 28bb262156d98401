"""Results a second into the coordinator's ledger, leases a second, and the coordinator's memory.

A real coordinator, a process, is fed from here as workers feed it: they join, push results in messages of 100, and are
told what is on disk; a round is over when all is. Beside it a bare process that does what cannot be avoided: PULL,
unpack, a row each into SQLite (WAL, synchronous=FULL), a transaction for all that has come; it gets the same frames.
Leases are asked for and given back whole, beside a bare ROUTER that answers as many messages of that size.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import made_up
import zmq
from figures import LESS, Figure, alternate
from processes import Daemon, cpu_s, memory_mb

from whoismesh.addresses import Range
from whoismesh.compounds import Result
from whoismesh.messages import (
    Acknowledge,
    Join,
    LeaseRequest,
    Leases,
    Message,
    Renew,
    Results,
    Return,
    Welcome,
    decode,
    encode,
)
from whoismesh.packing import pack, unpack
from whoismesh.registries import REGISTRIES
from whoismesh.sockets import open_socket

#: Of one round: results, those of one message (what RESULT_BYTES holds), links that bring them.
RESULTS, A_MESSAGE, LINKS = 60_000, 100, 8
#: Workers that ask for leases, and for so long, seconds.
ASKING, LEASES_S = 64, 3.0
#: What the coordinator's memory is measured with.
MEMBERS, NETWORKS = 1_000, 500_000
#: Members renew this often, seconds.
RENEW_S = 5.0
ROUNDS = 3
CONFIG = '[crawl]\nspace = ["ipv4"]\ncontact = "bench@example.org"\n\n[mesh]\nmost_members = 2000\n'

Socket = zmq.Socket[bytes]


class Member:
    """A worker as the coordinator sees it: its link for leases, and its origin."""

    def __init__(self, context: zmq.Context[Socket], endpoint: str) -> None:
        self.socket = open_socket(context, zmq.DEALER)
        self.socket.connect(endpoint)
        self.socket.send(encode(Join(b"", "bench:1", "", 0, ())))
        self.sequence = 0
        welcome = self.hear()
        assert isinstance(welcome, Welcome)
        self.crawl, self.origin, self.results_port = welcome.crawl, welcome.origin, welcome.results

    def hear(self) -> Message:
        """Return the next message."""
        return decode(self.socket.recv())

    def frame(self, networks: list[tuple[Range, str, bytes]]) -> bytes:
        """Return a message of results."""
        found = []
        for where, registry, payload in networks:
            self.sequence += 1
            asked = Range(4, where.first, where.first)
            found.append(Result(self.origin, self.sequence, registry, "network", asked, where, None, "", payload))
        return encode(Results(self.crawl, tuple(found)))


class Coordinator:
    """A coordinator process with members, fed from here."""

    def __init__(self, context: zmq.Context[Socket], endpoint: str, pid: int, members: int) -> None:
        self.pid = pid
        self.members = [Member(context, endpoint) for _ in range(members)]
        host = endpoint.rpartition(":")[0]
        self.links = []
        for _ in range(LINKS):
            link = open_socket(context, zmq.PUSH)
            link.connect(f"{host}:{self.members[0].results_port}")
            self.links.append(link)

    def feed(self, frames: list[bytes], count: int) -> tuple[float, float]:
        """Send frames and wait until so many results are acknowledged; return (seconds, the process's CPU seconds)."""
        poller, by_socket = zmq.Poller(), {member.socket: member for member in self.members}
        for member in self.members:
            poller.register(member.socket, zmq.POLLIN)
        waiting, acknowledged, renewed_at = iter(frames), 0, time.monotonic()
        frame = next(waiting, None)
        began, cpu_began = time.monotonic(), cpu_s(self.pid)
        while acknowledged < count:
            turn = 0
            while frame is not None and turn < LINKS:
                try:
                    self.links[turn].send(frame, zmq.NOBLOCK)
                    frame = next(waiting, None)
                except zmq.Again:
                    turn += 1
            for socket, _ in poller.poll(5):
                with contextlib.suppress(zmq.Again):
                    while True:
                        message = decode(socket.recv(zmq.NOBLOCK))
                        if isinstance(message, Acknowledge):
                            acknowledged += sum(last - first + 1 for first, last in message.runs)
            if time.monotonic() > renewed_at + RENEW_S:
                renewed_at = time.monotonic()
                for member in by_socket.values():
                    member.socket.send(encode(Renew(member.crawl, member.origin, {}, 0.0)))
        return time.monotonic() - began, cpu_s(self.pid) - cpu_began

    def lend(self) -> tuple[float, float]:
        """Ask for leases and give them back for a while; return (leases, the process's CPU seconds)."""
        poller, by_socket = zmq.Poller(), {member.socket: member for member in self.members}
        for number, member in enumerate(self.members):
            poller.register(member.socket, zmq.POLLIN)
            member.socket.send(encode(LeaseRequest(member.crawl, member.origin, {REGISTRIES[number % 5]: 0.0})))
        until, cpu_began, leases = time.monotonic() + LEASES_S, cpu_s(self.pid), 0
        while time.monotonic() < until:
            for socket, _ in poller.poll(100):
                member = by_socket[socket]
                with contextlib.suppress(zmq.Again):
                    while True:
                        message = decode(socket.recv(zmq.NOBLOCK))
                        if isinstance(message, Leases):
                            for each in message.grants:
                                leases += 1
                                socket.send(encode(Return(member.crawl, member.origin, each.lease, each.ranges)))
                                wants = {each.registry: 0.0}
                            socket.send(encode(LeaseRequest(member.crawl, member.origin, wants)))
        return leases, cpu_s(self.pid) - cpu_began


@contextlib.contextmanager
def coordinator(members: int) -> Iterator[Coordinator]:
    """Run a coordinator of all of IPv4 with so many members."""
    with tempfile.TemporaryDirectory() as name, zmq.Context() as context, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "crawl.toml").write_text(CONFIG)
        daemon = Daemon(
            stack, folder / "coordinator.log", "whoismesh.coordinator", "--config", str(folder / "crawl.toml"),
            "--listen", "tcp://127.0.0.1:0", "--state", str(folder / "state"),
        )  # fmt: skip
        stack.callback(lambda: context.destroy(linger=0))
        yield Coordinator(context, daemon.is_ready(), daemon.process.pid, members)


def bare_store(folder: str, pipe: Connection) -> None:
    """Be the floor of ingest: PULL, unpack, SQLite; tell how many rows are on disk."""
    context: zmq.Context[Socket] = zmq.Context()
    socket = context.socket(zmq.PULL)
    pipe.send(socket.bind_to_random_port("tcp://127.0.0.1"))
    database = sqlite3.connect(f"{folder}/bare.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE results (number INTEGER PRIMARY KEY, origin, sequence, registry, status, asked, first, last, "
        "elsewhere, reason, payload)"
    )
    insert = (
        "INSERT INTO results (origin, sequence, registry, status, asked, first, last, elsewhere, reason, payload) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    stored = 0
    while True:
        rows = []
        socket.poll()
        with contextlib.suppress(zmq.Again):
            while len(rows) < 10_000:
                frame = socket.recv(zmq.NOBLOCK)
                for a, b, c, d, (asked, _), (first, last), e, f, g in unpack(memoryview(frame)[2:])[1]:
                    rows.append((a, b, c, d, asked, first, last, e, f, g))
        database.execute("BEGIN")
        database.executemany(insert, rows)
        database.execute("COMMIT")
        stored += len(rows)
        pipe.send(stored)


def bare_router(pipe: Connection) -> None:
    """Be the floor of leases: a ROUTER that answers every second message."""
    context: zmq.Context[Socket] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    pipe.send(socket.bind_to_random_port("tcp://127.0.0.1"))
    while True:
        sender, _ = socket.recv_multipart()
        sender, frame = socket.recv_multipart()
        socket.send_multipart([sender, frame])


def measure() -> list[Figure]:
    """Return the figures."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    networks = [(each.range, each.registry, pack(each.to_map())) for each in made_up.networks(NETWORKS)]
    found: dict[str, list[float]] = {}

    def ours() -> float:
        with coordinator(LINKS) as coord:
            frames = _frames(coord.members, networks[:RESULTS])
            seconds, cpu = coord.feed(frames, RESULTS)
            found.setdefault("cpu_us", []).append(cpu / RESULTS * 1e6)
            return RESULTS / seconds

    def bare() -> float:
        here, there = multiprocessing.Pipe()
        with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
            process = multiprocessing.get_context("spawn").Process(target=bare_store, args=(folder, there), daemon=True)
            process.start()
            try:
                link = open_socket(context, zmq.PUSH)
                link.connect(f"tcp://127.0.0.1:{here.recv()}")
                frames = _frames([_bare_member()], networks[:RESULTS])
                began, cpu_began = time.monotonic(), cpu_s(process.pid or 0)
                for frame in frames:
                    link.send(frame)
                while here.recv() < RESULTS:
                    pass
                seconds = time.monotonic() - began
                found.setdefault("bare_us", []).append((cpu_s(process.pid or 0) - cpu_began) / RESULTS * 1e6)
                return RESULTS / seconds
            finally:
                context.destroy(linger=0)
                process.kill()

    def leases() -> float:
        with coordinator(ASKING) as coord:
            count, _ = coord.lend()
            return count / LEASES_S

    def router() -> float:
        here, there = multiprocessing.Pipe()
        with zmq.Context() as context:
            process = multiprocessing.get_context("spawn").Process(target=bare_router, args=(there,), daemon=True)
            process.start()
            try:
                port, poller, answers = here.recv(), zmq.Poller(), 0
                for _ in range(ASKING):
                    socket = open_socket(context, zmq.DEALER)
                    socket.connect(f"tcp://127.0.0.1:{port}")
                    poller.register(socket, zmq.POLLIN)
                    socket.send(bytes(60))
                    socket.send(bytes(30))
                until = time.monotonic() + LEASES_S
                while time.monotonic() < until:
                    for socket, _ in poller.poll(100):
                        answers += 1
                        socket.send(socket.recv())
                        socket.send(bytes(30))
                return answers / LEASES_S
            finally:
                context.destroy(linger=0)
                process.kill()

    rates = alternate({"ours": ours, "bare": bare}, ROUNDS)
    lent = alternate({"ours": leases, "bare": router}, ROUNDS)
    ours_us, bare_us = (sorted(found[each])[ROUNDS // 2] for each in ("cpu_us", "bare_us"))
    with coordinator(MEMBERS) as coord:
        empty = memory_mb(coord.pid)
        coord.feed(_frames(coord.members, networks), len(networks))
        full, peak = memory_mb(coord.pid), memory_mb(coord.pid, "VmHWM")
    return [
        Figure("results a second, on disk", rates["ours"], "/s", "bare PULL and SQLite", rates["bare"], goal=0.35),
        Figure("results a second", rates["ours"], "/s", goal=30_000),
        Figure("CPU a result", ours_us, "us", "bare PULL and SQLite", bare_us, better=LESS),
        Figure("leases a second", lent["ours"], "/s", "bare ROUTER", lent["bare"]),
        Figure("leases a second, asked for and given back", lent["ours"], "/s", goal=10_000),
        Figure(f"memory with {MEMBERS:,} members", empty, "MB", better=LESS),
        Figure(f"memory with {NETWORKS:,} networks besides", full, "MB", goal=500, better=LESS),
        Figure("memory, at the most", peak, "MB", goal=500, better=LESS),
    ]


def _frames(members: list[Member], networks: list[tuple[Range, str, bytes]]) -> list[bytes]:
    """Return networks as messages, from one member after another."""
    starts = range(0, len(networks), A_MESSAGE)
    return [
        members[number % len(members)].frame(networks[start : start + A_MESSAGE]) for number, start in enumerate(starts)
    ]


def _bare_member() -> Member:
    """Return a member of nothing, that makes the same frames."""
    member = Member.__new__(Member)
    member.crawl, member.origin, member.sequence = bytes(16), 1, 0
    return member
