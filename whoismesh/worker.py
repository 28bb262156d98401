"""The worker daemon: sockets, spool, lookups and clock around the lanes engine. It decides nothing.

Sockets: DEALER to the coordinator's ROUTER (leases), PUSH to its PULL (results, metrics), and those of `node` (gossip).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import sqlite3
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from whoismesh import instance_metadata, process, spot
from whoismesh.blocks import Blocks
from whoismesh.command import ASN_HELP, run_command, settings_arguments
from whoismesh.depth import ASSIGNMENTS
from whoismesh.errors import MessageError, StateError, TryAgainError, UsageError, WhoismeshError
from whoismesh.exposition import Family, of_worker
from whoismesh.gatekeeper import Gatekeeper
from whoismesh.gossip.events import Found
from whoismesh.gossip.peers import Peers
from whoismesh.keys import Keys
from whoismesh.lanes import Lanes
from whoismesh.lanes.events import (
    Ask,
    AskOrigins,
    Broken,
    Drain,
    Ended,
    Event,
    Forget,
    Instruction,
    Joined,
    Keep,
    Note,
    OriginsBroken,
    OriginsReplied,
    Received,
    Recovered,
    Replied,
    Resend,
    Rest,
    Send,
    Stop,
    Tick,
)
from whoismesh.lanes.lane import Lane
from whoismesh.lanes.status import status_line
from whoismesh.logs import configure
from whoismesh.lookups import Lookups, NoAnswerError
from whoismesh.messages import Metrics, decode, encode
from whoismesh.node import Node
from whoismesh.notify import Notifier
from whoismesh.outbox import Outbox
from whoismesh.settings import Settings, load
from whoismesh.sockets import Inbox, connect_with, open_socket, parse_endpoint, refuse_strangers
from whoismesh.spool import Spool
from whoismesh.status_server import StatusServer, add_http_argument
from whoismesh.storage import disk_error, lock_folder

#: Results gather this long before they are spooled and sent together: a transaction and a message each.
FLUSH_S = 0.02
#: The loop sleeps at most this long, seconds.
LONGEST_SLEEP_S = 0.5
#: A coordinator that does not answer is told of this often, seconds.
SILENCE_S = 10.0
#: A line on how it goes is made this often, seconds.
STATUS_S = 1.0
#: Files of its own: spool, logs, ZeroMQ's and the event loop's.
OWN_FILES = 100


@dataclass(frozen=True, slots=True)
class Share:
    """Which of how many workers of one host this is: together they have the connections of one host, no more."""

    number: int
    workers: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """Read K/N. Raises ValueError."""
        number, workers = map(int, text.split("/"))
        if not 1 <= number <= workers:
            raise ValueError(text)
        return cls(number, workers)

    def of(self, connections: int) -> int:
        """Return this worker's part of the connections; it may be none."""
        return self.number * connections // self.workers - (self.number - 1) * connections // self.workers


class Worker:
    """One worker process. `run` returns the exit code."""

    def __init__(
        self,
        settings: Settings,
        coordinator: str,
        state: Path,
        *,
        listen: str | None,
        source_address: str | None,
        share: Share,
        log_level: str,
        keys: Path | None = None,
        metadata: str | None = None,
        http: str | None = None,
    ) -> None:
        self._http = http
        self._status_server = StatusServer(self._metrics, self._trouble)
        self._settings = settings
        self._key_folder = keys or settings.mesh.keys
        self._coordinator = parse_endpoint(coordinator, what="--coord")
        self._listen = parse_endpoint(listen) if listen else None
        self._source = source_address
        self._share = share
        self._state = state
        self._log = configure(log_level, daemon="worker")
        self._notifier = Notifier(self._log)
        self._metadata = instance_metadata.parse_base(metadata) if metadata else None
        self._spot = spot.SpotWatch()
        self._stop = asyncio.Event()
        self._failure: WhoismeshError | None = None
        self._kept: list[Keep] = []
        self._flushing = False
        self._timer: asyncio.TimerHandle | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._ended: list[Replied | Broken] = []
        self._dropped = 0
        self._heard_at = 0.0
        self._ending = False
        self._welcome: Joined | None = None
        self._gatekeeper: Gatekeeper | None = None

    async def run(self, ready_fd: int | None, lifeline_fd: int | None) -> int:
        """Work until the crawl is done or a signal. Raises WhoismeshError."""
        self._loop = asyncio.get_running_loop()
        mesh = self._settings.mesh
        # Those whom it hears and who hear it (a few times the mean at the most), each with an exchange under way.
        heard = max(mesh.full_mesh, 4 * mesh.links)
        lookups = sum(each.connections for each in self._settings.registries.values())
        what = f"mesh.full_mesh = {mesh.full_mesh} with mesh.links = {mesh.links}"
        process.need_descriptors(3 * heard + lookups + OWN_FILES, what)
        lock = lock_folder(self._state)
        try:
            self._spool = Spool(self._state)
            self._outbox = Outbox(self._spool, self._state, self._fail)
            kept = self._spool.keys()
        except sqlite3.Error as error:
            raise disk_error(self._state, "the spool cannot be read", error) from None
        lanes = {
            registry: Lane(registry, each.protocols, each.host_rate, self._share.of(each.connections), each.compare)
            for registry, each in self._settings.registries.items()
        }
        # A registry tells hosts apart by their addresses.
        host = self._source or socket.gethostname()[:200]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            listen_host, listen_port = self._listen or (_interface_towards(self._coordinator), 0)
            keys = self._keys = Keys.load(self._key_folder) if self._key_folder is not None else None
            refuse_strangers(listen_host, keys)
            peers = Peers(mesh.full_mesh, mesh.links)
            if keys is not None:
                # Who is let in here is for the coordinator alone to say.
                peers.believes_peers = False
                self._gatekeeper = Gatekeeper(self._context, lambda public: peers.has_key(public.decode()))
            self._node = Node(self._context, listen_host, listen_port, self._event, keys)
            process_name = f"{host}:{os.getpid()}"
            self._lanes = Lanes(
                lanes,
                self._settings.bases,
                process_name,
                random.random,
                self._node.address,
                peers,
                (self._settings.origins.batch, self._settings.origins.patience_s) if self._settings.asn else None,
                self._settings.smallest_assignments if self._settings.depth == ASSIGNMENTS else None,
            )
            dealer = open_socket(self._context, zmq.DEALER)
            connect_with(dealer, self._where, keys)
            self._leases = Inbox(dealer, self._on_lease_frames)
            process.on_signals(self._drain, self._stop.set)
            process.on_parent_death(lifeline_fd, self._stop.set)
            self._log.info(
                "worker_ready",
                coordinator=self._where,
                gossip=self._node.address,
            )
            if self._http is not None:
                await self._status_server.start(self._http, self._log)
            process.tell_ready(ready_fd, self._node.address)
            self._notifier.ready(f"waiting for the coordinator at {self._where}")
            async with Lookups(self._settings.registries, self._settings.contact, self._source) as self._lookups:
                if self._metadata is not None:
                    self._start(instance_metadata.watch(self._metadata, self._spot, self._on_spot_news))
                self._event(Recovered(kept))
                await self._serve()
        finally:
            await self._status_server.stop()
            self._context.destroy(linger=500)
            self._spool.close()
            lock.close()
        if self._failure is not None:
            raise self._failure
        undelivered = len(self._lanes.findings.unacknowledged)
        if undelivered:
            raise TryAgainError(
                f"{self._state}: stopped with {undelivered} results that the coordinator at {self._where} has not "
                "acknowledged; they are kept: start again with the same --state to deliver them"
            )
        return 0

    @property
    def _where(self) -> str:
        return f"tcp://{self._coordinator[0]}:{self._coordinator[1]}"

    async def _serve(self) -> None:
        self._heard_at = told_at = time.monotonic()
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(STATUS_S):
                    await self._stop.wait()
            except TimeoutError:
                now = time.monotonic()
                silent_s = now - self._heard_at if now - self._heard_at >= SILENCE_S else None
                self._notifier.status(status_line(self._lanes, self._where, silent_s))
                if self._welcome is None and now - told_at >= SILENCE_S:
                    told_at = now
                    self._log.warning(
                        "coordinator_silent", coordinator=self._where, seconds=round(now - self._heard_at)
                    )
        self._end("leaving")
        for task in self._asking:
            task.cancel()
        self._flush()
        self._outbox.close()
        self._leases.close()
        self._node.close()
        counters = self._lanes.counters
        self._log.info(
            "worker_stopped",
            lookups=counters["lookups"],
            hits=counters["hits"],
            undelivered=len(self._lanes.findings.unacknowledged),
            frames_dropped=self._dropped + self._node.dropped,
            **({"connections": dict(self._gatekeeper.counts)} if self._gatekeeper is not None else {}),
            **({"instance_metadata": dict(self._spot.counters)} if self._metadata is not None else {}),
        )

    # -- the end ------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Begin to stop."""
        self._end("draining: giving leases back and delivering what was found")
        self._event(Drain())

    def _end(self, line: str) -> None:
        """Say that the end has begun, and see that it comes."""
        if not self._ending:
            self._ending = True
            self._notifier.stopping(line)
            process.end_within(
                process.LONGEST_STOP_S, f"{self._state}: something hangs; results not delivered are kept"
            )

    def _on_spot_news(self, news: spot.Instruction) -> None:
        match news:
            case spot.Rebalance(notice_time):
                self._log.warning("rebalance_recommended", notice_time=notice_time)
                self._event(Rest("rebalance recommendation"))
            case spot.Interruption(action, at):
                self._log.warning("interruption_noticed", action=action, time=at)
                self._drain()
            case spot.Away(reason):
                self._log.warning("instance_metadata_away", url=self._metadata, reason=reason)
            case spot.Back():
                self._log.info("instance_metadata_back", url=self._metadata)

    def _metrics(self) -> list[Family]:
        return of_worker(self._lanes.totals(), self._dropped + self._node.dropped)

    def _trouble(self) -> str:
        silent = "" if self._welcome is not None else f"waiting for the coordinator at {self._where}"
        return str(self._failure or silent)

    # -- events in ----------------------------------------------------------------------------------------------

    def _on_lease_frames(self, frames: list[bytes]) -> None:
        try:
            if len(frames) != 1:
                raise MessageError(f"expected 1 frame, got {len(frames)}")
            message = decode(frames[0])
        except MessageError as error:
            self._dropped += 1
            self._log.debug("frame_dropped", reason=str(error))
            return
        self._heard_at = time.monotonic()
        self._event(Received(message))

    def _event(self, event: Event) -> None:
        now = time.monotonic()
        for instruction in self._lanes.handle(event, now):
            self._carry_out(instruction)
        wake_at = min(self._lanes.wake_at(now), now + LONGEST_SLEEP_S)
        if self._timer is None or self._timer.when() > wake_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(max(wake_at, now + 0.001), self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._stop.is_set():
            self._event(Tick())
            self._notifier.beat()

    # -- instructions out ---------------------------------------------------------------------------------------

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Ask():
                self._start(self._ask(instruction))
            case AskOrigins():
                self._start(self._ask_origins(instruction))
            case Keep():
                self._kept.append(instruction)
                if not self._flushing:
                    self._flushing = True
                    self._loop.call_later(FLUSH_S, self._flush)
            case Send(Metrics() as message):
                self._outbox.tell(message)
            case Send(message):
                self._leases.send(encode(message))
            case Forget(origin, runs):
                self._outbox.forget(origin, runs)
            case Resend():
                self._outbox.send_again()
            case Joined():
                self._join(instruction)
            case Note(event, fields, level):
                getattr(self._log, level)(event, **fields)
            case Stop(error):
                self._flush()
                if error:
                    self._fail(StateError(f"the coordinator at {self._where}: {error}"))
                self._stop.set()
            case _:
                self._node.carry_out(instruction)

    def _fail(self, error: WhoismeshError) -> None:
        self._failure = self._failure or error
        self._stop.set()

    async def _ask(self, ask: Ask) -> None:
        event: Replied | Broken
        try:
            reply = await self._lookups.ask(ask.registry, ask.protocol, ask.family, ask.address, ask.url, ask.question)
            event = Replied(ask.lookup, reply)
        except NoAnswerError as error:
            event = Broken(ask.lookup, str(error), error.unreachable)
        # All that end in one turn of the loop are one event: what to do next is thought about once.
        if not self._ended:
            self._loop.call_soon(self._tell_ended)
        self._ended.append(event)

    def _tell_ended(self) -> None:
        ended, self._ended = tuple(self._ended), []
        if not self._stop.is_set():
            self._event(Ended(ended))

    async def _ask_origins(self, batch: AskOrigins) -> None:
        event: Event
        try:
            body = await self._lookups.ask_origins(self._settings.origins, batch.addresses)
            event = OriginsReplied(batch.batch, body)
        except NoAnswerError as error:
            event = OriginsBroken(batch.batch, str(error))
        if not self._stop.is_set():
            self._event(event)

    def _start(self, asking: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _join(self, joined: Joined) -> None:
        """Open the links that the welcome tells of: anew where a coordinator that came back has other ports."""
        try:
            self._spool.belong_to(joined.crawl)
        except StateError as error:
            self._fail(error)
            return
        except sqlite3.Error as error:
            self._fail(disk_error(self._state, "the crawl cannot be noted", error))
            return
        self._log.info("worker_joined", origin=joined.origin)
        host = self._coordinator[0]
        self._welcome = joined
        # Always anew: it has no heartbeats, and may still wait for a host that is gone.
        push = open_socket(self._context, zmq.PUSH)
        connect_with(push, f"tcp://{host}:{joined.results}", self._keys)
        self._outbox.open(joined.crawl, push)
        self._node.join(f"tcp://{host}:{joined.feed}", f"tcp://{host}:{joined.exchange}")

    # -- results ------------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Spool what has gathered, then push it to the coordinator and tell the mesh: never the other way round."""
        self._flushing = False
        kept, self._kept = self._kept, []
        if not kept or not self._outbox.keep([each.result for each in kept]):
            return
        self._event(Found(kept[0].result.sequence, Blocks.of(each.block for each in kept)))


def _interface_towards(coordinator: tuple[str, int]) -> str:
    """Return the address of this host's interface that reaches the coordinator. Sends nothing."""
    host = coordinator[0].strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, coordinator[1], type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            found = str(probe.getsockname()[0])
    except OSError as error:
        raise UsageError(f"--coord: no way to {host}: {error.strerror or error}; name a host that resolves") from None
    return f"[{found}]" if ":" in found else found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `whoismesh-worker`; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="whoismesh-worker",
        description="Look networks up and tell the mesh.",
        epilog="example: whoismesh-worker --config crawl.toml --coord tcp://10.0.0.5:7700 --state worker-state",
    )
    settings_arguments(parser)
    parser.add_argument("--asn", action="store_true", default=None, help=ASN_HELP)
    parser.add_argument("--coord", required=True, metavar="tcp://HOST:PORT", help="the coordinator's first port")
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder of the spool")
    parser.add_argument(
        "--listen",
        metavar="tcp://HOST:PORT",
        help="for gossip (default: a free port on the interface that reaches the coordinator)",
    )
    parser.add_argument("--source-address", metavar="IP", help="ask the registries from this address")
    parser.add_argument(
        "--share",
        type=Share.parse,
        default=Share(1, 1),
        metavar="K/N",
        help="this is worker K of N on this host: take that part of the connections a host may have (default: 1/1)",
    )
    parser.add_argument(
        "--instance-metadata",
        metavar="URL",
        help="on a spot host of EC2: watch its instance metadata service (http://169.254.169.254) for what is to come; "
        "a rebalance recommendation makes the worker take no new lease, an interruption notice makes it leave",
    )
    process.add_keys_argument(parser)
    add_http_argument(parser)
    process.add_arguments(parser)

    def run(args: argparse.Namespace) -> int:
        settings = load(args.config, os.environ, {"asn": args.asn or None, "depth": args.depth}, needs_space=False)

        async def work() -> int:
            worker = Worker(
                settings,
                args.coord,
                args.state,
                listen=args.listen,
                source_address=args.source_address,
                share=args.share,
                log_level=args.log_level,
                keys=args.keys,
                http=args.http,
                metadata=args.instance_metadata,
            )
            return await worker.run(args.ready_fd, args.lifeline_fd)

        return asyncio.run(work())

    return run_command(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
