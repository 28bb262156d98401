"""A program's window into a running crawl: joined as a listener, over two sockets and no worker.

SUB to the coordinator's PUB (blocks as they are accepted, and the feed) and DEALER to its ROUTER of exchanges (all that
was accepted before). The engine (`listener`) decides; this is sockets, a timer and waiting. `blocking` has the same
without async.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import AF_INET, inet_pton
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import zmq

from whoismesh.addresses import parse_address
from whoismesh.errors import CrawlReplacedError, MessageError, UnavailableError, UsageError, WhoismeshError
from whoismesh.history import BlockCursor, EventCursor, Happening, KnownBlock, Member
from whoismesh.keys import Keys
from whoismesh.listener import Ask, CaughtUp, Event, Heard, Instruction, Listener, Opened, Reopen, Replaced, Tick, Wake
from whoismesh.messages import Discovered, Feed, Message, Sent, decode, encode, topic
from whoismesh.sockets import EXCHANGE_OFFSET, FEED_OFFSET, Inbox, connect_with, open_socket, parse_endpoint

#: How long to wait for a coordinator that does not answer, seconds. It tells its status twice a second.
TIMEOUT_S = 10.0
#: Joins and leaves kept for a program that does not read them.
MAX_EVENTS = 10_000
#: Time passes for the engine this often, seconds.
TICK_S = 1.0
#: A stream hands out so many items before it lets the event loop do something else.
BATCH = 500

Item = TypeVar("Item")


class Cursor(Protocol[Item]):
    """A place in a history."""

    def take(self, most: int) -> list[Item]:
        """Return the next items, at most so many; none if there are none now."""


class Mesh:
    """A listener's view of a mesh. Made by `join`; open inside its `async with`.

    What is known stays known while the coordinator is away, and also after the block is left.

    `observe` is given what the feed brings of this crawl: Feed, and the messages of the kinds `also`, which are
    subscribed to beside it. What is lost of those on the way stays lost.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        keys: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        max_events: int = MAX_EVENTS,
        observe: Callable[[Message], None] | None = None,
        also: tuple[type[Message], ...] = (),
    ) -> None:
        """Set up without opening anything. Raises UsageError, and ConfigError for the keys."""
        self._host, self._port = parse_endpoint(endpoint, what="the coordinator's address")
        if self._host == "*" or not 0 < self._port <= 65535 - EXCHANGE_OFFSET:
            raise UsageError(
                f"the coordinator's address {endpoint!r}: expected a host, and the first of its four ports in a row"
            )
        if not timeout_s > 0:
            raise UsageError(f"timeout_s is {timeout_s}; expected seconds, more than 0")
        if max_events < 1:
            raise UsageError(f"max_events is {max_events}; expected 1 or more")
        self.endpoint = f"tcp://{self._host}:{self._port}"
        self._keys = Keys.load(Path(keys)) if keys is not None else None
        self._timeout_s = timeout_s
        self._observe = observe
        self._also = also
        self._listener = Listener(max_events)
        self._table = self._listener.replica.table
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inboxes: list[Inbox] = []
        self._waiters: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._frames_dropped = 0
        #: Whether the mesh was left.
        self.closed = False
        #: Why there will be no more news, if that is so.
        self.failure: WhoismeshError | None = None

    # -- what is known ------------------------------------------------------------------------------------------

    def hit(self, address: str) -> KnownBlock | None:
        """Return the most specific known block that holds an address, or None. Never leaves the process.

        Raises AddressError for a text that is no address.
        """
        try:
            # The C library's strict parser: a third of the time, and what it refuses is looked at again.
            found = self._table.holder(4, int.from_bytes(inet_pton(AF_INET, address)))
        except (OSError, ValueError):
            found = self._table.holder(*parse_address(address))
        return None if found is None else KnownBlock(*found)

    def place_of(self, block: KnownBlock) -> int | None:
        """Return the place of a known block in the order of discovery, from 0; None if it is not known."""
        return self._table.number_of(block.range)

    def block_at(self, place: int) -> KnownBlock:
        """Return the known block at a place in the order of discovery. Raises IndexError."""
        return KnownBlock(*self._table.entry(place))

    def __len__(self) -> int:
        """Return the count of known blocks."""
        return len(self._table)

    def __bool__(self) -> bool:
        return True  # a mesh that knows nothing yet is a mesh

    def known_blocks(self) -> Iterator[KnownBlock]:
        """Yield all blocks known now, in the order of discovery."""
        for number in range(len(self._table)):
            yield KnownBlock(*self._table.entry(number))

    @property
    def members(self) -> tuple[Member, ...]:
        """The workers that are in the mesh now, as far as the coordinator has told."""
        return tuple(self._listener.members.values())

    @property
    def crawl(self) -> bytes:
        """The id of the crawl, 16 bytes."""
        return self._listener.crawl

    @property
    def complete(self) -> bool:
        """Whether every address of the space is settled and every block that was found is known here."""
        return self._listener.complete

    @property
    def silent_s(self) -> float:
        """Seconds since the coordinator was last heard; more than a few mean that it is away."""
        heard_at = self._listener.heard_at
        return float("inf") if heard_at is None else time.monotonic() - heard_at

    @property
    def dropped(self) -> dict[str, int]:
        """What was dropped since joining.

        `events` are joins and leaves that nobody read in time, `frames` those that broke the protocol, `blocks` those
        that cannot be true (wider than what IANA gave to a registry).
        """
        return {
            "events": self._listener.history.dropped,
            "frames": self._frames_dropped + self._listener.counters["frames_unexpected"],
            "blocks": self._listener.replica.guard.refused.total(),
        }

    # -- what comes ---------------------------------------------------------------------------------------------

    def discoveries(self, *, known: bool = False, quiet_s: float | None = None) -> Stream[KnownBlock]:
        """Return an async iterator of the blocks that become known from now on, each once; none is ever dropped.

        With `known` it begins with those known already. It ends when the crawl is complete, when the mesh is left, and
        when nothing came for `quiet_s` seconds. Any number of them may run at once. Raises CrawlReplacedError, after
        the last block, if the coordinator begins another crawl.
        """
        return Stream(self, BlockCursor(self._listener.history, known=known), quiet_s, until_complete=True)

    def events(self, *, known: bool = False, quiet_s: float | None = None) -> Stream[Happening]:
        """Return an async iterator of what happens from now on: Joined, Left and Discovered, in order.

        With `known` it begins at joining the mesh, less what was dropped. Otherwise like `discoveries`, but it goes on
        when the crawl is complete: workers still leave.
        """
        return Stream(self, EventCursor(self._listener.history, known=known), quiet_s, until_complete=False)

    async def caught_up(self, timeout_s: float | None = None) -> None:
        """Wait until everything that was accepted before joining is known here.

        Raises UnavailableError if that takes more than `timeout_s` seconds (None: no limit) or the mesh is left,
        and CrawlReplacedError.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not self._listener.caught_up:
                    if self.failure is not None:
                        raise self.failure
                    if self.closed:
                        raise UnavailableError(f"the mesh at {self.endpoint} was left before all was known")
                    await self.news()
        except TimeoutError:
            raise UnavailableError(
                f"{self.endpoint} has told {self._listener.replica.accepted:,} of {self._listener.log_length:,} "
                f"blocks after {timeout_s:g} s; check that port {self._port + EXCHANGE_OFFSET} is reachable from here"
            ) from None

    async def news(self) -> None:
        """Wait until something is new, or the mesh is left. Raises UsageError if it was never joined."""
        if self._loop is None:
            raise UsageError("the mesh is not joined yet; use `async with whoismesh.join(...) as mesh:`")
        if self.over:
            return
        waiter = self._loop.create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    @property
    def over(self) -> bool:
        """Whether nothing will come any more."""
        return self.closed or self.failure is not None

    # -- in and out ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Join. Raises UnavailableError if nobody answers."""
        if self._loop is not None:
            raise UsageError("a mesh is joined once; call whoismesh.join again")
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._open()
            self._tick()
            async with asyncio.timeout(self._timeout_s):
                while not self._listener.crawl and not self.closed:
                    await self.news()
        except TimeoutError:
            self.close()
            about_keys = "allows this key" if self._keys is not None else "takes no keys"
            raise UnavailableError(
                f"nobody answers at {self.endpoint} within {self._timeout_s:g} s; check the name, that whoismesh-coord "
                f"runs there and {about_keys}, and that its ports {self._port} to {self._port + EXCHANGE_OFFSET} are "
                "reachable from here"
            ) from None
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the mesh: iterators end, and what is known stays. `async with` does it; again it does nothing."""
        if self.closed or self._loop is None:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._shut()
        self._context.destroy(linger=0)
        self._wake()

    def _open(self) -> None:
        subscriber = open_socket(self._context, zmq.SUB)
        dealer = open_socket(self._context, zmq.DEALER)
        for kind in (Discovered, Feed, *self._also):
            subscriber.setsockopt(zmq.SUBSCRIBE, topic(kind))
        try:
            connect_with(subscriber, f"tcp://{self._host}:{self._port + FEED_OFFSET}", self._keys)
            connect_with(dealer, f"tcp://{self._host}:{self._port + EXCHANGE_OFFSET}", self._keys)
        except zmq.ZMQError as error:
            for socket in (subscriber, dealer):
                socket.close()
            raise UsageError(f"cannot connect to {self.endpoint}: {zmq.strerror(error.errno or 0)}") from None
        self._inboxes = [Inbox(subscriber, self._on_frames), Inbox(dealer, self._on_frames)]

    def _shut(self) -> None:
        for inbox in self._inboxes:
            inbox.close()
        self._inboxes = []

    def _tick(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(TICK_S, self._tick)
        self._event(Tick())

    def _on_frames(self, frames: list[bytes]) -> None:
        try:
            if len(frames) != 1:
                raise MessageError(f"expected 1 frame, got {len(frames)}")
            message = decode(frames[0])
            if not isinstance(message, (Discovered, Sent, Feed, *self._also)):
                raise MessageError("not expected by a listener")
        except MessageError:
            self._frames_dropped += 1
            return
        if isinstance(message, Discovered | Sent | Feed):
            self._event(Heard(message))
        if self._observe is not None and isinstance(message, (Feed, *self._also)) and message.crawl == self.crawl:
            self._observe(message)
            self._wake()

    def _event(self, event: Event) -> None:
        for instruction in self._listener.handle(event, time.monotonic()):
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Ask(request):
                # A request that is not taken is made again: the engine asks until it has the answer.
                self._inboxes[1].send(encode(request))
            case Opened() | CaughtUp() | Wake():
                self._wake()
            case Reopen():
                self._shut()
                self._open()
            case Replaced():
                self.failure = CrawlReplacedError(
                    f"{self.endpoint} runs another crawl now: the coordinator's state was replaced; "
                    "what was known is kept, join again to follow the new crawl"
                )
                self._shut()
                self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Stream(Generic[Item]):
    """An async iterator over what a mesh tells, as long as there is a mesh."""

    def __init__(self, mesh: Mesh, cursor: Cursor[Item], quiet_s: float | None, *, until_complete: bool) -> None:
        self._mesh = mesh
        self._cursor = cursor
        self._quiet_s = quiet_s
        self._until_complete = until_complete
        self._ready: deque[Item] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if not self._ready:
            self._ready.extend(await self.batch())
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    @property
    def missed(self) -> int:
        """Joins and leaves that were dropped because this reader was too slow."""
        return getattr(self._cursor, "missed", 0)

    def at_hand(self) -> list[Item]:
        """Return what is there without waiting, at most a batch."""
        return self._cursor.take(BATCH)

    async def batch(self) -> list[Item]:
        """Return what has come since the last one, after waiting for it; an empty list is the end."""
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._quiet_s):
                while not (found := self.at_hand()):
                    if self._mesh.failure is not None:
                        raise self._mesh.failure
                    if self._mesh.over or (self._until_complete and self._mesh.complete):
                        break
                    await self._mesh.news()
        except TimeoutError:
            return []
        return found


def join(
    endpoint: str, *, keys: str | Path | None = None, timeout_s: float = TIMEOUT_S, max_events: int = MAX_EVENTS
) -> Mesh:
    """Join the mesh of the coordinator at `tcp://HOST:PORT`, the first of its four ports, as a listener.

    `keys` is the folder that `whoismesh keys add` made for this listener, `timeout_s` how long to wait for an answer,
    `max_events` how many joins and leaves are kept unread.
    Raises UsageError for a bad argument; entering raises UnavailableError if nobody answers in time::

        async with whoismesh.join("tcp://10.0.0.5:7700") as mesh:
            await mesh.caught_up()
            print(mesh.hit("193.0.6.139"))
            async for block in mesh.discoveries():
                print(block)
    """
    return Mesh(endpoint, keys=keys, timeout_s=timeout_s, max_events=max_events)
