"""The dashboard's process: a listener in the mesh, and a web server for its page. It decides little.

The page asks for rows of the map by number (`rows`), and hears of all else by server-sent events: the whole state once
a second, so that nothing can be missed and a page that comes late needs no other way. The page is of this package's
files alone, and its Content-Security-Policy lets it talk to nobody else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

from aiohttp import web

from whoismesh.addresses import Range, format_address, parse_address
from whoismesh.dashboard.rows import MOST_FOUND, ROWS_A_PIECE, Rows, found
from whoismesh.errors import AddressError, UnavailableError, WhoismeshError
from whoismesh.following import Details
from whoismesh.history import KnownBlock
from whoismesh.iana import SPECIAL_PURPOSE
from whoismesh.mesh import Mesh
from whoismesh.messages import Feed, Message, Metrics, Results
from whoismesh.overview import Overview, event_text
from whoismesh.registries import REGISTRIES

#: The state goes to every page this often, seconds.
STATE_S = 1.0
#: A page that did not take a state for so long is dropped, seconds: it comes back by itself if it is alive.
SLOW_S = 10.0
#: Pages that may be open at once: each holds a state or two, 100 kB with 500 workers.
MOST_PAGES = 64
#: Buffer of the kernel for states on their way to a page (it doubles this).
BUFFER_BYTES = 64 * 1024
#: Discoveries of late that are told.
MOST_LATEST = 12
#: Blocks taken in before others get a turn.
BLOCKS_A_TURN = 2_000
#: Characters of a search.
MOST_QUERY = 200

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Dashboard:
    """One dashboard. `serve` runs it."""

    def __init__(self, coordinator: str, keys: Path | None, host: str, port: int) -> None:
        """Set up without opening anything. Raises UsageError and ConfigError."""
        self._mesh = Mesh(coordinator, keys=keys, observe=self._observe, also=(Results, Metrics))
        self._host, self._port = host, port
        self._overview = Overview()
        self._rows = Rows()
        self._details = Details()
        self._latest: deque[str] = deque(maxlen=MOST_LATEST)
        self._since = time.time()
        self._state = b""
        self._stated = asyncio.Event()
        self._pages = 0
        self._dropped_pages = 0
        files = resources.files("whoismesh.dashboard") / "page"
        self._files = {each.name: each.read_bytes() for each in files.iterdir() if Path(each.name).suffix in _TYPES}

    async def serve(self, ready: Callable[[str], None]) -> None:
        """Join the mesh, serve, and say where once both work; runs until cancelled. Raises WhoismeshError."""
        async with self._mesh:
            app = web.Application(middlewares=[self._guard])
            app.router.add_get("/", self._index)
            app.router.add_get("/rows", self._send_rows)
            app.router.add_get("/address", self._send_address)
            app.router.add_get("/search", self._send_found)
            app.router.add_get("/state", self._send_states)
            app.router.add_get("/{name}", self._file)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            try:
                try:
                    await web.TCPSite(runner, self._host.strip("[]"), self._port).start()
                except OSError as error:
                    at = f"{self._host}:{self._port}"
                    raise UnavailableError(
                        f"cannot listen on {at}: {error.strerror}; give --listen another address"
                    ) from None
                ready(f"http://{self._host}:{runner.addresses[0][1]}/")
                await asyncio.gather(self._take_blocks(), self._tell())
            finally:
                await runner.cleanup()

    # -- what comes from the mesh -------------------------------------------------------------------------------

    def _observe(self, message: Message) -> None:
        now = time.monotonic()
        match message:
            case Results(results=results):
                for each in self._details.heard(results):
                    self._rows.add_result(each, time.time())
            case Metrics():
                self._overview.heard_metrics(message, now)
            case Feed(topic=topic, payload=payload):
                try:
                    told = json.loads(payload)
                except (ValueError, RecursionError):
                    self._overview.dropped += 1
                    return
                if topic == "status":
                    self._overview.heard_status(told, now)
                else:
                    self._overview.heard_event(told, now)

    async def _take_blocks(self) -> None:
        """Put every block on the map, the past first. Raises CrawlReplacedError."""
        place = 0
        while True:
            for block in islice((self._mesh.block_at(each) for each in range(place, len(self._mesh))), BLOCKS_A_TURN):
                details = self._details.of(block)
                self._rows.add_block(block, details)
                holder = details.holder.name or details.name if details is not None else None
                self._latest.append(" ".join((str(block), holder or "")).strip())
                place += 1
            if place < len(self._mesh):
                await asyncio.sleep(0)
                continue
            if self._mesh.failure is not None:
                raise self._mesh.failure
            await self._mesh.news()

    async def _tell(self) -> None:
        while True:
            self._state = b"data: " + json.dumps(self._told()).encode() + b"\n\n"
            self._stated.set()
            self._stated = asyncio.Event()
            await asyncio.sleep(STATE_S)

    def _told(self) -> dict[str, Any]:
        status = dict(self._overview.status or {})
        status.pop("workers", None)
        return {
            "coordinator": self._mesh.endpoint,
            "silent_s": round(self._mesh.silent_s, 1),
            "since": self._since,
            "now": time.time(),
            "status": status,
            "asked": [_words(block) for text in status.pop("ranges", ()) if (block := _block_of(text)) is not None],
            "left_s": self._overview.left_s,
            "workers": self._overview.workers(),
            "events": [
                {"at": each.get("at"), "level": each.get("level"), "text": event_text(each)}
                for each in islice(reversed(self._overview.events), 50)
            ],
            "latest": list(self._latest),
            "rows": len(self._rows),
            "dropped": {
                "rows": self._rows.dropped,
                "pages": self._dropped_pages,
                "messages": self._overview.dropped + self._mesh.dropped["frames"],
            },
        }

    # -- what goes to pages -------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse what was not meant for this server: a page elsewhere whose name leads here (DNS rebinding)."""
        try:
            if not _is_own_name(request.host, self._host):
                raise web.HTTPMisdirectedRequest(text="this is a dashboard of whoismesh; open it by its address\n")
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(body=self._files["index.html"], content_type="text/html", charset="utf-8")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        return web.Response(body=self._files[name], content_type=_TYPES[Path(name).suffix], charset="utf-8")

    async def _send_rows(self, request: web.Request) -> web.Response:
        text = request.query.get("after", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise web.HTTPBadRequest(text="after: expected a count of rows\n")
        return web.Response(body=self._rows.after(int(text)), content_type="application/octet-stream")

    async def _send_address(self, request: web.Request) -> web.Response:
        """Answer with the known block that holds an address, or null."""
        try:
            family, address = parse_address(request.query.get("q", "")[:MOST_QUERY])
        except AddressError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        return web.json_response(self._at(family, address))

    def _at(self, family: int, address: int) -> dict[str, Any] | None:
        block = self._mesh.hit(format_address(family, address))
        return None if block is None else self._found(block)

    def _found(self, block: KnownBlock) -> dict[str, Any]:
        place = self._mesh.place_of(block)
        assert place is not None
        return found(place, block, self._rows.label(place))

    async def _send_found(self, request: web.Request) -> web.Response:
        """Answer a search: an address or a CIDR by what holds it, all else by name. `at` is where to jump to."""
        text = request.query.get("q", "").strip()[:MOST_QUERY]
        if not text:
            return web.json_response({"found": [], "at": None, "more": False})
        block = _block_of(text)
        if block is not None:
            held = self._at(block.family, block.first)
            at = {"range": str(block)} | _words(block)
            return web.json_response({"found": [held] if held else [], "at": at, "more": False})
        places = await asyncio.to_thread(lambda: [*islice(self._rows.search(text), MOST_FOUND + 1)])
        hits = [self._found(self._mesh.block_at(place)) for place in places[:MOST_FOUND]]
        return web.json_response({"found": hits, "at": None, "more": len(places) > MOST_FOUND})

    async def _send_states(self, request: web.Request) -> web.StreamResponse:
        """Send the state as it changes (WHATWG HTML, server-sent events). One that is too slow misses some, or all."""
        if self._pages >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already\n")
        response = web.StreamResponse(headers=_HEADERS | {"Content-Type": "text/event-stream"})
        self._pages += 1
        try:
            await response.prepare(request)
            if request.transport is not None:
                # Short buffers, so that a page which reads nothing is noticed before much waits for it.
                request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            await response.write(b"event: shape\ndata: " + json.dumps(_shape()).encode() + b"\n\n")
            while True:
                following = self._stated
                async with asyncio.timeout(SLOW_S):
                    await response.write(self._state)
                await following.wait()
        except TimeoutError:
            self._dropped_pages += 1
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._pages -= 1
        return response


def _shape() -> dict[str, Any]:
    special = [_words(Range.parse(each)) for each in SPECIAL_PURPOSE]
    return {"special": special, "registries": REGISTRIES, "rows_a_piece": ROWS_A_PIECE}


def _words(block: Range) -> dict[str, int]:
    shift = 96 if block.family == 6 else 0
    return {"family": block.family, "first": block.first >> shift, "last": block.last >> shift}


def _block_of(text: str) -> Range | None:
    """Return the address, CIDR or range that a text is, or None."""
    try:
        return Range.parse(text)
    except AddressError:
        return None


def _is_own_name(host: str, listening: str) -> bool:
    """Tell whether a Host header names this machine by an address, as localhost, or as it was told to listen."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    if name in ("localhost", listening):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


async def run(dashboard: Dashboard, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until told to stop. Raises WhoismeshError."""
    serving = asyncio.ensure_future(dashboard.serve(ready))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    except WhoismeshError:
        raise
    finally:
        for task in (serving, stopping):
            task.cancel()
        await asyncio.gather(serving, stopping, return_exceptions=True)
