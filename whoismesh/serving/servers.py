"""A snapshot on sockets: WHOIS over TCP, RDAP over HTTP. They decide nothing; what they drop is counted."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from whoismesh.addresses import format_address
from whoismesh.errors import DumpError, UnavailableError
from whoismesh.serving import whois_text
from whoismesh.serving.questions import MAX_LINE_BYTES, WhoisQuery, read_rdap, read_whois
from whoismesh.serving.rdap_objects import Json, Responder
from whoismesh.serving.snapshot import Snapshot

#: Seconds for a client to send its question, and to take the answer. Nobody types for so long.
PATIENCE_S = 10.0
#: Seconds after which a connection over HTTP ends, whatever happens on it.
LIFETIME_S = 300.0
#: Connections at once of each server: further ones are closed at once.
MOST_CONNECTIONS = 4096
#: Connections that wait to be accepted.
BACKLOG = 1024

Place = tuple[str, int]


#: What aiohttp says of requests that are none is a client's fault, and nobody's news.
_QUIET = logging.getLogger("whoismesh.serving.http")
_QUIET.disabled = True
_LOG = logging.getLogger("whoismesh.serving")


class Counts(Counter[str]):
    """How often each thing happened: whois_answered, whois_timed_out, rdap_200, rdap_404, rdap_refused and the like."""


class WhoisServer:
    """RFC 3912: a line, an answer, and the end of the connection is the end of the answer."""

    def __init__(self, snapshot: Snapshot, counts: Counts, patience_s: float = PATIENCE_S) -> None:
        self._snapshot, self._counts, self._patience_s = snapshot, counts, patience_s
        self._banner = whois_text.banner(snapshot.name, snapshot.written_at)
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, place: Place) -> Place:
        """Listen; return where. Raises UnavailableError."""
        try:
            # A line may be one byte too long, to be told so: the limit is what is held of a client that sends no end.
            self._server = await asyncio.start_server(
                self._connected, *place, limit=MAX_LINE_BYTES + 2, backlog=BACKLOG
            )
        except OSError as error:
            raise _unavailable(place, error) from None
        return _place_of(self._server)

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
        for writer in self._serving.values():
            writer.transport.abort()
        await asyncio.gather(*self._serving)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._serving) >= MOST_CONNECTIONS:
            self._counts["whois_refused"] += 1
            writer.transport.abort()
            return
        self._serving[task] = writer
        try:
            async with asyncio.timeout(self._patience_s):
                query = await _whois_query(reader)
            if writer.is_closing():  # it was reset, or this is the end
                self._counts["whois_broken"] += 1
                return
            writer.write(self._answer(query))
            async with asyncio.timeout(self._patience_s):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            self._counts["whois_answered" if query.problem is None else "whois_malformed"] += 1
        except TimeoutError:
            self._counts["whois_timed_out"] += 1
        except OSError:
            self._counts["whois_broken"] += 1
        finally:
            del self._serving[task]
            writer.transport.abort()  # nothing where it is closed

    def _answer(self, query: WhoisQuery) -> bytes:
        try:
            records = self._snapshot.around(query.asked) if query.asked is not None else []
        except DumpError:
            self._counts["dump_errors"] += 1
            return whois_text.failure(100, "internal software error", "the dump cannot be read", self._banner)
        return whois_text.answer(query, records, self._banner)


async def _whois_query(reader: asyncio.StreamReader) -> WhoisQuery:
    """Read one line; a client that closes its half instead of ending it is understood."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        line = error.partial
    except asyncio.LimitOverrunError:
        line = b"x" * (MAX_LINE_BYTES + 1)
    return read_whois(line.rstrip(b"\r\n"))


class RdapServer:
    """RDAP over HTTP (RFC 7480)."""

    def __init__(
        self,
        snapshot: Snapshot,
        counts: Counts,
        url: str = "",
        patience_s: float = PATIENCE_S,
        lifetime_s: float = LIFETIME_S,
    ) -> None:
        """`url` is where clients find it, where that is not where it listens."""
        self._snapshot, self._counts, self._url = snapshot, counts, url
        self._patience_s, self.lifetime_s = patience_s, lifetime_s
        self.responder = Responder(snapshot.name, snapshot.written_at, url)
        self.connected = 0
        self._server: asyncio.Server | None = None
        self._requests = web.Server(self._handle)

    async def start(self, place: Place) -> Place:
        """Listen; return where. Raises UnavailableError."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, *place, backlog=BACKLOG)
        except OSError as error:
            raise _unavailable(place, error) from None
        found = _place_of(self._server)
        if not self._url:
            self.responder = Responder(self._snapshot.name, self._snapshot.written_at, f"http://{shown(found)}/")
        return found

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
        await self._requests.shutdown(timeout=0.1)

    def _connection(self) -> _RdapConnection:
        return _RdapConnection(
            self,
            self._requests,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._patience_s,  # also for the first request, from its first byte to its last
            lingering_time=0,
            logger=_QUIET,
            access_log=_QUIET,
        )

    def count(self, what: str) -> None:
        """Count something that happened to a connection."""
        self._counts[f"rdap_{what}"] += 1

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        headers = {}
        if request.method in ("GET", "HEAD"):
            status, body = self._answer(request.path)
        else:
            headers["Allow"] = "GET, HEAD"
            status, body = self.responder.error(405, f"{request.method[:20]}: expected GET or HEAD")
        return self.response(status, body, headers)

    def response(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> web.Response:
        """Make a message of an answer."""
        self.count(str(status))
        response = web.Response(
            status=status,
            body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            content_type="application/rdap+json",
            # RFC 7480 section 5.6: a page of any site may ask.
            headers={"Access-Control-Allow-Origin": "*", "Server": "whoismesh", **(headers or {})},
        )
        if status in (400, 405, 500):
            response.force_close()
        return response

    def _answer(self, path: str) -> tuple[int, Json]:
        query = read_rdap(path)
        if query.help:
            return self.responder.help()
        if query.asked is None:
            return self.responder.error(query.status, query.problem)
        family, first, last = query.asked
        asked = format_address(family, first) if first == last else str(query.asked)
        try:
            return self.responder.answer(self._snapshot.around(query.asked), asked)
        except DumpError:
            self._counts["dump_errors"] += 1
            return self.responder.error(500, "The dump cannot be read.")


class _RdapConnection(web.RequestHandler):
    """One client: what is no HTTP gets an error object too, and nobody stays for ever."""

    def __init__(self, server: RdapServer, manager: web.Server, **more: Any) -> None:
        super().__init__(manager, **more)
        self._rdap = server
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client in, or not (asyncio.Protocol)."""
        super().connection_made(transport)
        self._rdap.connected += 1
        if self._rdap.connected > MOST_CONNECTIONS:
            self._rdap.count("refused")
            transport.abort()  # type: ignore[attr-defined]
            return
        # A client that does not take its answers is not waited for by aiohttp's own timer.
        self._end = asyncio.get_running_loop().call_later(
            self._rdap.lifetime_s,
            transport.abort,  # type: ignore[attr-defined]
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget a client (asyncio.Protocol)."""
        self._rdap.connected -= 1
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Tell of a request that cannot be read, and of a bug, as RDAP tells it."""
        if status == 500:
            _LOG.error("request failed", exc_info=exc)
        return self._rdap.response(*self._rdap.responder.error(status, "expected a request of HTTP/1.1"))


def shown(place: Place) -> str:
    """Return `host:port`, an IPv6 address in brackets."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _place_of(server: asyncio.Server) -> Place:
    host, port = server.sockets[0].getsockname()[:2]
    return host, port


def _unavailable(place: Place, error: OSError) -> UnavailableError:
    return UnavailableError(f"cannot listen on {shown(place)}: {error.strerror or error}; give another HOST:PORT")
