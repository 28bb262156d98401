"""A mesh without async, for scripts and notebooks: the same `Mesh` on a thread with an event loop of its own.

What is known is read directly, from any thread. What has to be waited for is waited for over there; Ctrl-C ends the
waiting, not the mesh.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from whoismesh.errors import UsageError, WhoismeshError
from whoismesh.history import Happening, KnownBlock, Member
from whoismesh.mesh import MAX_EVENTS, TIMEOUT_S, Mesh, Stream

Item = TypeVar("Item")
Value = TypeVar("Value")


class BlockingMesh:
    """A listener's view of a mesh, made by `join_blocking`; `close`, or the end of its `with`, leaves it.

    Everything else as in `Mesh`.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        keys: str | Path | None = None,
        timeout_s: float = TIMEOUT_S,
        max_events: int = MAX_EVENTS,
    ) -> None:
        """Join. Raises UsageError and ConfigError for a bad argument and UnavailableError if nobody answers."""
        self._mesh = Mesh(endpoint, keys=keys, timeout_s=timeout_s, max_events=max_events)
        # A daemon thread: a notebook that is closed without leaving must not hang at its end.
        self._thread = threading.Thread(target=self._run, name="whoismesh", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving = asyncio.Event()
        self._joined: Future[None] = Future()
        self.endpoint = self._mesh.endpoint
        # As quick as it is there: no method of ours in between.
        self.hit = self._mesh.hit
        self._thread.start()
        try:
            self._joined.result()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """Return the count of known blocks."""
        return len(self._mesh)

    def __bool__(self) -> bool:
        return True

    def known_blocks(self) -> Iterator[KnownBlock]:
        """Yield all blocks known now, in the order of discovery."""
        return self._mesh.known_blocks()

    @property
    def members(self) -> tuple[Member, ...]:
        """The workers that are in the mesh now."""
        return self._mesh.members

    @property
    def crawl(self) -> bytes:
        """The id of the crawl, 16 bytes."""
        return self._mesh.crawl

    @property
    def complete(self) -> bool:
        """Whether every address of the space is settled and every block that was found is known here."""
        return self._mesh.complete

    @property
    def silent_s(self) -> float:
        """Seconds since the coordinator was last heard."""
        return self._mesh.silent_s

    @property
    def dropped(self) -> dict[str, int]:
        """What was dropped since joining: `events`, `frames`, `blocks`."""
        return self._mesh.dropped

    @property
    def failure(self) -> WhoismeshError | None:
        """Why there will be no more news, if that is so."""
        return self._mesh.failure

    def discoveries(self, *, known: bool = False, quiet_s: float | None = None) -> BlockingStream[KnownBlock]:
        """Return an iterator of the blocks that become known from now on; see `Mesh.discoveries`."""
        return BlockingStream(self, self._mesh.discoveries(known=known, quiet_s=quiet_s))

    def events(self, *, known: bool = False, quiet_s: float | None = None) -> BlockingStream[Happening]:
        """Return an iterator of what happens from now on; see `Mesh.events`."""
        return BlockingStream(self, self._mesh.events(known=known, quiet_s=quiet_s))

    def caught_up(self, timeout_s: float | None = None) -> None:
        """Wait until everything that was accepted before joining is known here; see `Mesh.caught_up`."""
        self.wait_for(self._mesh.caught_up(timeout_s))

    def wait_for(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine of this mesh on its thread; return its result. Raises UsageError after leaving."""
        if self._loop is None or self._mesh.closed:
            coroutine.close()
            raise UsageError("the mesh was left; call whoismesh.join_blocking again")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            # Ctrl-C interrupts this thread only; over there the waiting would go on.
            future.cancel()
            raise

    @property
    def left(self) -> bool:
        """Whether the mesh was joined and left again."""
        return self._mesh.closed

    def close(self) -> None:
        """Leave the mesh: iterators end, and what is known stays. Again it does nothing."""
        if self._loop is None:
            self._leaving.set()
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._leaving.set)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._stay())
        except BaseException as error:
            if self._joined.done():
                raise
            self._joined.set_exception(error)

    async def _stay(self) -> None:
        """Be in the mesh until told to leave, also while nobody has answered yet."""
        self._loop = asyncio.get_running_loop()
        leaving = asyncio.create_task(self._leaving.wait())
        joining = asyncio.create_task(self._mesh.__aenter__())
        await asyncio.wait((leaving, joining), return_when=asyncio.FIRST_COMPLETED)
        if not joining.done():
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            return
        try:
            joining.result()
            self._joined.set_result(None)
            await leaving
        finally:
            leaving.cancel()
            self._mesh.close()
            # Whoever waits in another thread gets the end of its stream before the loop is gone.
            await asyncio.sleep(0)


class BlockingStream(Generic[Item]):
    """An iterator over what a mesh tells, as long as there is a mesh."""

    def __init__(self, mesh: BlockingMesh, stream: Stream[Item]) -> None:
        self._mesh = mesh
        self._stream = stream
        self._ready: deque[Item] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if not self._ready:
            self._ready.extend(self._batch())
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    @property
    def missed(self) -> int:
        """Joins and leaves that were dropped because this reader was too slow."""
        return self._stream.missed

    def _batch(self) -> list[Item]:
        if not self._mesh.left:
            try:
                return self._mesh.wait_for(self._stream.batch())
            except (UsageError, CancelledError):
                # Left while this was waiting, or about to; anything else is what it says.
                if not self._mesh.left:
                    raise
        return self._stream.at_hand()


def join_blocking(
    endpoint: str, *, keys: str | Path | None = None, timeout_s: float = TIMEOUT_S, max_events: int = MAX_EVENTS
) -> BlockingMesh:
    """Join the mesh of the coordinator at `tcp://HOST:PORT` as a listener, without async.

    It is joined when this returns; in a notebook leave it with `mesh.close()`. Raises UsageError for a bad argument
    and UnavailableError if nobody answers within `timeout_s`. Everything else is as with `join`::

    with whoismesh.join_blocking("tcp://10.0.0.5:7700") as mesh:
        mesh.caught_up()
        print(mesh.hit("193.0.6.139"))
        for block in mesh.discoveries():
            print(block)
    """
    return BlockingMesh(endpoint, keys=keys, timeout_s=timeout_s, max_events=max_events)
