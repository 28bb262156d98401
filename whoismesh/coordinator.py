"""The coordinator daemon: sockets, store and clock around the ledger engine. It decides nothing.

Sockets on consecutive ports: ROUTER (leases), PULL (results and metrics), PUB (accepted blocks and the feed for those
who watch), ROUTER (exchanges with those that compare).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import zmq

from whoismesh import process
from whoismesh.broadcast import Broadcast
from whoismesh.bulk.importing import import_steps
from whoismesh.command import (
    ASN_HELP,
    BULK_HELP,
    prior_arguments,
    prior_flags,
    run_command,
    settings_arguments,
    since_arguments,
    since_flags,
)
from whoismesh.compounds import Result
from whoismesh.errors import MessageError, TryAgainError, UnavailableError, WhoismeshError
from whoismesh.exposition import Family, of_coordinator
from whoismesh.gatekeeper import Gatekeeper
from whoismesh.imports import check_imports, has_imports, read_imports
from whoismesh.keys import AllowList, Keys
from whoismesh.ledger.events import (
    Asked,
    Collected,
    Event,
    Finish,
    Instruction,
    Note,
    Publish,
    Received,
    Reply,
    Send,
    Store,
    StoreCounters,
    Stored,
    Tick,
)
from whoismesh.ledger.status import status, status_line
from whoismesh.logs import configure
from whoismesh.messages import Compare, Digest, Discovered, Members, Metrics, Results, decode, encode
from whoismesh.notify import Notifier
from whoismesh.outbox import weight
from whoismesh.settings import Settings, load
from whoismesh.sockets import Inbox, bind_ports, listen_with, open_socket, parse_endpoint, refuse_strangers
from whoismesh.status_server import StatusServer, add_http_argument
from whoismesh.storage import disk_error, lock_folder
from whoismesh.store import LedgerStore
from whoismesh.take_up import START_STEP_S, take_up

#: The state of the crawl goes out on the feed this often, seconds.
STATUS_S = 0.5
#: After the end, workers get this long to deliver and leave, seconds.
PARTING_S = 5.0
#: The loop sleeps at most this long, seconds.
LONGEST_SLEEP_S = 0.25
#: While more than this waits for the disk, results stay on their way: some 10,000 of them, which is two to ten commits.
#: More would not make commits fewer, and memory has to end somewhere.
MOST_WAITING_BYTES = 8 * 1024 * 1024
#: Ranges of the space that the status names: two of them fill a line, and it goes out twice a second.
MOST_RANGES = 64

#: Connections of a member (leases, results, feed, an exchange), and files of the coordinator's own and of listeners.
MEMBER_FILES, OWN_FILES = 4, 200


class Coordinator:
    """One coordinator process. `run` returns the exit code."""

    def __init__(
        self,
        settings: Settings,
        listen: str,
        state: Path,
        *,
        exit_when_done: bool,
        log_level: str,
        retry_failed: bool = False,
        keys: Path | None = None,
        http: str | None = None,
    ) -> None:
        self._http = http
        self._status_server = StatusServer(self._metrics, lambda: str(self._failure or ""))
        self._settings = settings
        self._key_folder = keys or settings.mesh.keys
        self._host, self._port = parse_endpoint(listen)
        self._state = state
        self._exit_when_done = exit_when_done
        self._retry_failed = retry_failed
        self._log = configure(log_level, daemon="coordinator")
        self._notifier = Notifier(self._log)
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._failure: WhoismeshError | None = None
        self._results: list[Result] = []
        self._counters: dict[int, tuple[str, dict[str, float]]] = {}
        self._committing = False
        self._waiting_bytes = 0
        self._dropped = 0
        self._started_at = 0.0
        self._allowed: AllowList | None = None
        self._gatekeeper: Gatekeeper | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, ready_fd: int | None, lifeline_fd: int | None) -> int:
        """Serve until the crawl is done (with `exit_when_done`) or a signal. Raises WhoismeshError."""
        self._loop = asyncio.get_running_loop()
        most = self._settings.mesh.most_members
        process.need_descriptors(most * MEMBER_FILES + OWN_FILES, f"mesh.most_members = {most}")
        check_imports(self._settings)
        lock = lock_folder(self._state)
        self._notifier.starting("opening the ledger", START_STEP_S)
        self._store = LedgerStore.open(self._state)
        self._executor = ThreadPoolExecutor(1, "store")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._guard(context)
            kinds = (zmq.ROUTER, zmq.PULL, zmq.XPUB, zmq.ROUTER)
            sockets = [listen_with(open_socket(context, kind), self._keys) for kind in kinds]
            port = bind_ports(sockets, self._host, self._port)
            try:
                record, self._ledger = take_up(
                    self._settings, self._store, port, self._notifier, self._log, retry_failed=self._retry_failed
                )
            except sqlite3.Error as error:
                raise disk_error(self._state, "the ledger cannot be taken up", error) from None
            self._started_at = record.started_at
            self._leases = Inbox(sockets[0], self._on_lease_frames)
            self._collector = Inbox(sockets[1], self._on_result_frames)
            self._ranges = [str(each) for each in record.space[:MOST_RANGES]]
            self._feed = Broadcast(sockets[2], record.id)
            self._exchanges = Inbox(sockets[3], self._on_exchange_frames)
            process.on_signals(self._stop.set, self._quit)
            process.on_parent_death(lifeline_fd, self._stop.set)
            endpoint = f"tcp://{self._host}:{port}"
            self._log.info(
                "coordinator_ready",
                endpoint=endpoint,
                space=[str(each) for each in record.space],
                settled=self._ledger.coverage.settled.size,
                epoch=record.epoch,
            )
            if self._http is not None:
                await self._status_server.start(self._http, self._log)
            process.collect_rarely()
            process.tell_ready(ready_fd, endpoint)
            self._notifier.ready(f"listening at {endpoint}")
            await self._serve()
        finally:
            await self._status_server.stop()
            self._executor.shutdown(wait=True)
            context.destroy(linger=500)
            self._store.close()
            lock.close()
        if self._failure is not None:
            raise self._failure
        if self._exit_when_done and not self._ledger.coverage.complete:
            raise TryAgainError(
                f"{self._state}: stopped before the crawl was done; run the same command again to go on"
            )
        return self._exit_code

    def _guard(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Take the keys up, where there are any. Raises ConfigError, also where there have to be some."""
        self._keys = Keys.load(self._key_folder) if self._key_folder is not None else None
        refuse_strangers(self._host, self._keys)
        if self._key_folder is not None:
            self._allowed = allowed = AllowList(self._key_folder)
            self._gatekeeper = Gatekeeper(
                context,
                lambda public: allowed.name_of(public) is not None,
                lambda reason: self._log.warning("connection_refused", reason=reason),
            )

    def _quit(self) -> None:
        """End at once: the second signal. What is being stored is stored whole or not at all, and then sent again."""
        self._log.warning("coordinator_quit", unstored_bytes=self._waiting_bytes)
        os._exit(TryAgainError.exit_code)

    async def _serve(self) -> None:
        importing = None
        if has_imports(self._settings):
            self._ledger.bulk.begin()
            importing = self._loop.create_task(self._import())
        self._event(Tick())
        status_at = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= status_at:
                self._tell_key_problems()
                self._send_status()
                status_at = time.monotonic() + STATUS_S
            try:
                async with asyncio.timeout(max(0.0, status_at - time.monotonic())):
                    await self._stop.wait()
            except TimeoutError:
                continue
        self._notifier.stopping("storing what has come")
        process.end_within(process.LONGEST_STOP_S, f"{self._state}: something hangs; start again, nothing is lost")
        if importing is not None:
            await importing
        await self._commit_all()
        self._send_status()
        for inbox in (self._leases, self._collector, self._exchanges):
            inbox.close()
        self._feed.close()
        self._log.info("coordinator_stopped", frames_dropped=self._dropped + self._feed.dropped)

    # -- events in ----------------------------------------------------------------------------------------------

    def _on_lease_frames(self, frames: list[bytes]) -> None:
        key = self._leases.user.decode()
        self._on_frame(self._leases, frames, 2, lambda message: Received(frames[0], message, key))

    def _on_result_frames(self, frames: list[bytes]) -> None:
        key = self._collector.user.decode()
        self._on_frame(
            self._collector,
            frames,
            1,
            lambda message: Collected(message, key) if isinstance(message, Results | Metrics) else None,
        )

    def _on_exchange_frames(self, frames: list[bytes]) -> None:
        kinds = Compare | Digest | Discovered | Members
        self._on_frame(
            self._exchanges,
            frames,
            2,
            lambda message: Asked(frames[0], message) if isinstance(message, kinds) else None,
        )

    def _on_frame(self, inbox: Inbox, frames: list[bytes], count: int, to_event: Any) -> None:
        try:
            if self._allowed is not None and self._allowed.name_of(inbox.user) is None:
                # A connection outlives the key that opened it.
                raise MessageError("its key was revoked")
            if len(frames) != count:
                raise MessageError(f"expected {count} frames, got {len(frames)}")
            event = to_event(decode(frames[-1]))
            if event is None:
                raise MessageError("not expected on this socket")
        except MessageError as error:
            self._dropped += 1
            self._log.debug("frame_dropped", reason=str(error))
            return
        self._event(event)

    def _event(self, event: Event) -> None:
        now = time.monotonic()
        for instruction in self._ledger.handle(event, now):
            self._carry_out(instruction)
        wake_at = min(self._ledger.wake_at, now + LONGEST_SLEEP_S)
        if self._timer is None or self._timer.cancelled() or self._timer.when() > wake_at:
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
            case Send(to, message):
                self._leases.send(to, encode(message))
            case Reply(to, message):
                self._exchanges.send(to, encode(message))
            case Publish(message):
                self._feed.publish(message)
            case Store(results):
                self._results.extend(results)
                self._waiting_bytes += sum(map(weight, results))
                if self._waiting_bytes > MOST_WAITING_BYTES:
                    self._collector.pause()
                self._commit_soon()
            case StoreCounters(origin, host, counters):
                self._counters[origin] = (host, dict(counters))
                self._feed.counters(origin, host, counters)
                self._commit_soon()
            case Note(event, fields, level):
                getattr(self._log, level)(event, **fields)
                self._feed.event(event, level, fields)
            case Finish():
                self._finish(instruction)

    def _metrics(self) -> list[Family]:
        told = status(self._ledger, time.monotonic())
        return of_coordinator(told, self._started_at, self._dropped + self._feed.dropped)

    def _send_status(self) -> None:
        told = status(self._ledger, time.monotonic())
        told["ranges"], told["started_at"] = self._ranges, self._started_at
        if self._gatekeeper is not None:
            told["connections"] = dict(self._gatekeeper.counts)
        self._feed.status(told)
        self._notifier.status(status_line(told))

    def _tell_key_problems(self) -> None:
        for problem in self._allowed.new_problems() if self._allowed is not None else ():
            self._carry_out(Note("key_unusable", {"reason": problem}, "warning"))

    def _finish(self, finish: Finish) -> None:
        if finish.complete:
            failed = self._ledger.coverage.failed.size
            self._exit_code = 1 if failed else 0
            self._log.info("crawl_done", networks=sum(self._ledger.networks.values()), failed=failed)
        else:
            self._log.error("crawl_stuck", reason=finish.reason)
            if self._exit_when_done:
                self._failure = UnavailableError(
                    f"cannot go on: {finish.reason}; check the servers under [registries] and the network, then run "
                    "the same command again: the state is kept"
                )
        if self._exit_when_done and finish.complete:
            self._loop.create_task(self._part())
        elif self._exit_when_done:
            self._stop.set()

    async def _part(self) -> None:
        """Let workers hear the end and leave, then stop. They may still have to hear who announces what they found."""
        deadline = time.monotonic() + PARTING_S + (self._settings.origins.patience_s if self._settings.asn else 0.0)
        while self._ledger.workers and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self._stop.set()

    # -- bulk files ---------------------------------------------------------------------------------------------

    async def _import(self) -> None:
        """Let the engine take in what files hold, before anything is lent."""
        ledger = self._ledger
        steps = read_imports(self._settings, ledger.coverage.space, self._state, ledger.bulk.imported, self._started_at)
        try:
            await import_steps(
                steps,
                self._state,
                self._notifier,
                room=self._room,
                on_event=self._event,
                on_note=self._carry_out,
            )
        except WhoismeshError as error:
            self._failure = error
            self._stop.set()
        except Exception:
            self._stop.set()  # a bug of ours: to be seen at once, and not to be waited for
            raise

    async def _room(self) -> bool:
        """Wait until the disk has caught up; return whether to go on."""
        while self._waiting_bytes > MOST_WAITING_BYTES and not self._stop.is_set():
            await asyncio.sleep(0.01)
        return not self._stop.is_set()

    # -- group commit -------------------------------------------------------------------------------------------

    def _commit_soon(self) -> None:
        if not self._committing and self._failure is None:
            self._committing = True
            self._loop.create_task(self._commit())

    async def _commit(self) -> None:
        """Store what has gathered, in one transaction; what gathers meanwhile is the next one."""
        try:
            while (self._results or self._counters) and self._failure is None:
                results, self._results = tuple(self._results), []
                counters, self._counters = self._counters, {}
                with self._notifier.expecting("storing results"):
                    await self._loop.run_in_executor(self._executor, self._store.append, results, counters)
                self._waiting_bytes -= sum(map(weight, results))
                if self._waiting_bytes <= MOST_WAITING_BYTES:
                    self._collector.resume()
                # Before the blocks in the accepted log: who follows both has the details first.
                self._feed.stored(results)
                self._event(Stored(results))
        except sqlite3.Error as error:
            self._failure = disk_error(self._state, "results cannot be stored", error)
            self._stop.set()
        finally:
            self._committing = False

    async def _commit_all(self) -> None:
        while self._committing and self._failure is None:
            await asyncio.sleep(0.01)
        await self._commit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `whoismesh-coord`; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="whoismesh-coord",
        description="Lease the address space to workers and keep the ledger of what is settled.",
        epilog="example: whoismesh-coord --config crawl.toml --listen tcp://127.0.0.1:7700 --state coord-state",
    )
    settings_arguments(parser)
    prior_arguments(parser)
    parser.add_argument(
        "--listen", required=True, metavar="tcp://HOST:PORT", help="first of four ports in a row; 0 takes free ones"
    )
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="folder of the ledger")
    parser.add_argument("--bulk", nargs="+", action="extend", default=[], metavar="FILE", help=BULK_HELP)
    since_arguments(parser)
    parser.add_argument("--asn", action="store_true", default=None, help=ASN_HELP)
    parser.add_argument("--exit-when-done", action="store_true", help="stop when every address is settled")
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed in earlier runs")
    process.add_keys_argument(parser)
    add_http_argument(parser)
    process.add_arguments(parser)

    def run(args: argparse.Namespace) -> int:
        flags = {"asn": args.asn, "bulk": args.bulk, "depth": args.depth, **prior_flags(args), **since_flags(args)}
        settings = load(args.config, os.environ, flags)

        async def serve() -> int:
            coordinator = Coordinator(
                settings,
                args.listen,
                args.state,
                exit_when_done=args.exit_when_done,
                log_level=args.log_level,
                retry_failed=args.retry_failed,
                keys=args.keys,
                http=args.http,
            )
            return await coordinator.run(args.ready_fd, args.lifeline_fd)

        return asyncio.run(serve())

    return run_command(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
