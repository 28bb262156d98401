"""A whole crawl on this machine: a coordinator and workers, each its own process, watched until all is settled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from whoismesh.children import STOP_S, Child
from whoismesh.errors import MessageError, TryAgainError, UnavailableError, WhoismeshError
from whoismesh.messages import Feed, decode, topic
from whoismesh.notify import VARIABLES
from whoismesh.sockets import FEED_OFFSET, Inbox, open_socket, parse_endpoint
from whoismesh.storage import make_folder


@dataclass(slots=True)
class CrawlPlan:
    """What to run. `environment` is what the children get; settings given as flags are in it.

    With `retry_failed` what failed in earlier runs is tried again.
    """

    config: Path | None
    state: Path
    workers: int
    environment: Mapping[str, str]
    log_level: str = "info"
    retry_failed: bool = False
    on_status: Callable[[dict[str, Any]], None] = lambda status: None
    on_event: Callable[[dict[str, Any]], None] = lambda event: None


async def crawl(plan: CrawlPlan) -> int:
    """Run a crawl to its end; return the coordinator's exit code. Raises WhoismeshError.

    A signal (INT, TERM) ends it politely: everything found is stored, and the same plan goes on from there.
    """
    return await _Crawl(plan).run()


class _Crawl:
    def __init__(self, plan: CrawlPlan) -> None:
        self._plan = plan
        self._interrupted = asyncio.Event()
        self._over = asyncio.Event()
        make_folder(plan.state)
        common = ["--log-level", plan.log_level]
        if plan.config is not None:
            common += ["--config", str(plan.config)]
        state = plan.state
        self._coordinator = Child(
            "the coordinator",
            "whoismesh.coordinator",
            [*common, "--state", str(state), "--exit-when-done"],
            plan.environment,
            state / "coordinator.log",
        )
        self._common = common
        self._workers: list[Child] = []

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        # Only this once: a coordinator that dies and is started again must not open again what failed since.
        retry = ["--retry-failed"] if self._plan.retry_failed else []
        await self._coordinator.start(["--listen", "tcp://127.0.0.1:0", *retry])
        if self._interrupted.is_set():
            await self._coordinator.stop()
            raise self._stopped()
        if not self._coordinator.endpoint:
            raise _ended(await self._coordinator.wait(), self._coordinator, self._plan)
        endpoint = self._coordinator.endpoint
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        feed = self._follow(context, endpoint)
        watchers = [
            asyncio.create_task(self._watch_worker(number, endpoint)) for number in range(1, self._plan.workers + 1)
        ]
        watch_coordinator = asyncio.create_task(self._watch_coordinator(endpoint))
        try:
            running: set[asyncio.Task[Any]] = {watch_coordinator, *watchers}
            while not watch_coordinator.done():
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            code = watch_coordinator.result()
        finally:
            self._over.set()
            # Without a coordinator nothing can be delivered; with one, it is the last to go.
            alone = watch_coordinator.done()
            await asyncio.gather(*(worker.stop(at_once=alone) for worker in self._workers))
            await self._coordinator.stop()
            for task in [watch_coordinator, *watchers]:
                task.cancel()
            await asyncio.gather(watch_coordinator, *watchers, return_exceptions=True)
            feed.close()
            context.destroy(linger=0)
        if self._interrupted.is_set():
            raise self._stopped()
        if code not in (0, 1):
            raise _ended(code, self._coordinator, self._plan)
        return code

    def _stopped(self) -> TryAgainError:
        return TryAgainError(f"stopped; run the same command with --state {self._plan.state} again to go on")

    def _interrupt(self) -> None:
        """First let the workers deliver; the coordinator follows when they are gone.

        At the second signal, or when the workers do not come to an end, all are killed: what they hold is in their
        spools and goes out at the next start.
        """
        if self._interrupted.is_set():
            self._kill()
            return
        self._interrupted.set()
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        if not self._workers:
            self._coordinator.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(STOP_S, self._kill)

    def _kill(self) -> None:
        for child in [*self._workers, self._coordinator]:
            child.signal(signal.SIGKILL)

    async def _watch_coordinator(self, endpoint: str) -> int:
        while True:
            code = await self._coordinator.wait()
            if code >= 0 or self._interrupted.is_set():
                self._over.set()
                return code
            if not self._coordinator.may_start_again():
                raise UnavailableError(
                    f"the coordinator keeps dying of signal {-code}; see {self._plan.state}/coordinator.log"
                )
            await self._coordinator.start(["--listen", endpoint])

    async def _watch_worker(self, number: int, endpoint: str) -> None:
        state = self._plan.state / f"worker-{number}"
        worker = Child(
            f"worker {number}",
            "whoismesh.worker",
            [
                *(*self._common, "--coord", endpoint, "--state", str(state)),
                *("--share", f"{number}/{self._plan.workers}"),
            ],
            self._plan.environment,
            self._plan.state / f"worker-{number}.log",
        )
        self._workers.append(worker)
        while True:
            if self._interrupted.is_set():
                return
            await worker.start()
            if self._interrupted.is_set():
                worker.signal(signal.SIGTERM)
            code = await worker.wait()
            if self._interrupted.is_set():
                # The last worker to leave closes the door.
                self._workers.remove(worker)
                if not self._workers:
                    self._coordinator.signal(signal.SIGTERM)
                return
            if self._over.is_set():
                return
            if code == 0:
                await self._over.wait()
                return
            if code > 0 or not worker.may_start_again():
                raise _ended(code, worker, self._plan)

    def _follow(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Inbox:
        host, port = parse_endpoint(endpoint)
        subscriber = open_socket(context, zmq.SUB)
        subscriber.setsockopt(zmq.SUBSCRIBE, topic(Feed))
        subscriber.connect(f"tcp://{host}:{port + FEED_OFFSET}")
        return Inbox(subscriber, self._on_feed)

    def _on_feed(self, frames: list[bytes]) -> None:
        try:
            message = decode(frames[0])
            if not isinstance(message, Feed):
                return
            payload = json.loads(message.payload)
        except (MessageError, ValueError):
            return
        (self._plan.on_status if message.topic == "status" else self._plan.on_event)(payload)


def _ended(code: int, child: Child, plan: CrawlPlan) -> WhoismeshError:
    """Return the error of a child that ended by itself: its own line and exit code."""
    said = child.said.partition(": ")[2]
    error = WhoismeshError(said or f"{child.name} ended with {code}; see the logs in {plan.state}")
    error.exit_code = code if code > 0 else UnavailableError.exit_code
    return error


def child_environment(flags: Mapping[str, Any]) -> dict[str, str]:
    """Return this process's environment with the settings of [crawl] in it that were given as flags.

    JSON's texts, lists and truth values are TOML's.
    """
    given = {
        name: json.dumps(value, ensure_ascii=False) for name, value in flags.items() if value not in (None, "", [])
    }
    inherited = {name: text for name, text in os.environ.items() if name not in VARIABLES}
    return inherited | {f"WHOISMESH_CRAWL_{name.upper()}": text for name, text in given.items()}


def seconds_since(start: float) -> float:
    """Return the seconds since a point of the monotonic clock, to the millisecond."""
    return round(time.monotonic() - start, 3)
