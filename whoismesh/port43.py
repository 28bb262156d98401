"""Port 43 on the wire (RFC 3912): connections, the query in each registry's own language, and the end of an answer.

RIPE NCC's server keeps a connection open when asked to (`-k`): one query after the other, each answer closed by two
empty lines. That saves it and us a connection for each lookup; the others end an answer by closing.
"""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from whoismesh.addresses import format_address
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.errors import WhoismeshError
from whoismesh.lanes.descent import Question, Relation
from whoismesh.settings import OriginSettings, RegistrySettings

#: What each registry wants to be asked. RIPE-like: no contacts (-r), no grouping (-G), only address objects; ARIN:
#: networks in full (n +); LACNIC: the bare address.
QUERY = {
    "arin": "n + {}",
    "ripencc": "-r -G -T inetnum,inet6num {}",
    "apnic": "-r -G -T inetnum,inet6num {}",
    "lacnic": "{}",
    "afrinic": "-r -G -T inetnum,inet6num {}",
}
#: How RIPE NCC's family is asked for what lies in a range and around it (RIPE Database documentation, "Types of
#: queries"): all levels of more specific objects, all less specific ones, and the keys of these alone.
RELATION_QUERY = {
    Relation.DOWN: "-r -G -T inetnum,inet6num -M {}",
    Relation.AROUND: "-r -G -T inetnum,inet6num -L {}",
    Relation.AROUND_KEYS: "-r -G -K -T inetnum,inet6num -L {}",
}
#: The only registry asked with `-k` before it all.
PERSISTENT = frozenset({"ripencc"})

#: A kept connection is closed after so long without a question, seconds: a little more than the time between two at the
#: usual pace, because it counts among the three that RIPE NCC grants to an address, where other workers may be too.
MAX_IDLE_S = 3.0
#: The last comment of RIPE NCC's answers and the two empty lines behind it.
_SERVED, _END = b"\n% This query was served by ", (b"\n\n\n", b"\r\n\r\n\r\n")
#: Errors after which it closes the connection: those about the asker, 2xx and 3xx (QueryMessages in RIPE-NCC/whois).
_CLOSING = re.compile(rb"^%ERROR:[23]", re.MULTILINE)
_CHUNK_BYTES = 65_536


def line_for(registry: str, family: int, address: int, question: Question | None) -> str:
    """Return the line to send: for an address, or for a question about a range, written as the server takes it."""
    if question is None or question.relation is Relation.POINT:
        return QUERY[registry].format(format_address(family, address))
    where = question.range
    key = (
        str(where)
        if where.is_cidr()
        else f"{format_address(family, where.first)} - {format_address(family, where.last)}"
    )
    return RELATION_QUERY.get(question.relation, QUERY[registry]).format(key)


class NoAnswerError(WhoismeshError):
    """A lookup got no answer. `unreachable` tells that no connection came about."""

    def __init__(self, reason: str, *, unreachable: bool) -> None:
        self.unreachable = unreachable
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Link:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Port43:
    """The WHOIS connections of one worker. `close` it at the end."""

    def __init__(self, source: tuple[str, int] | None) -> None:
        self._source = source
        self._idle: dict[str, tuple[_Link, asyncio.TimerHandle]] = {}
        self._persistent = set(PERSISTENT)

    def close(self) -> None:
        """Close the connections that are kept."""
        for registry in list(self._idle):
            self._drop(registry)

    async def ask(
        self,
        registry: str,
        settings: RegistrySettings,
        family: int,
        address: int,
        question: Question | None = None,
    ) -> bytes:
        """Ask one question; return the answer, one byte more than MAX_BODY_BYTES at most. Raises NoAnswerError.

        Takes `settings.timeout_s` at most.
        """
        try:
            async with asyncio.timeout(settings.timeout_s):
                return await self._ask(registry, settings, line_for(registry, family, address, question))
        except TimeoutError:
            raise NoAnswerError(f"{settings.whois}: timed out", unreachable=False) from None

    async def ask_in_bulk(self, settings: OriginSettings, query: bytes) -> bytes:
        """Send a query of many lines over a connection of its own; return what comes until it ends, else as `ask`."""
        try:
            async with asyncio.timeout(settings.timeout_s):
                link = await self._connect(settings)
                try:
                    link.writer.write(query)
                    return await _read_to_the_end(link.reader, settings.read_timeout_s)
                finally:
                    link.writer.close()
        except TimeoutError:
            raise NoAnswerError(f"{settings.whois}: timed out", unreachable=False) from None
        except OSError as error:
            raise NoAnswerError(f"{settings.whois}: {error.strerror or error}", unreachable=False) from None

    async def _ask(self, registry: str, settings: RegistrySettings, query: str) -> bytes:
        kept = self._kept(registry)
        link = kept or await self._connect(settings)
        whole = False
        try:
            keep = "-k " if registry in self._persistent else ""
            link.writer.write(f"{keep}{query}\r\n".encode())
            body = bytearray()
            while not whole and len(body) <= MAX_BODY_BYTES:
                async with asyncio.timeout(settings.read_timeout_s):
                    chunk = await link.reader.read(_CHUNK_BYTES)
                if not chunk:
                    break
                body += chunk
                whole = bool(keep) and body.endswith(_END) and _SERVED in body[-512:]
        except TimeoutError:
            raise
        except OSError as error:
            raise NoAnswerError(f"{settings.whois}: {error.strerror or error}", unreachable=False) from None
        finally:
            if whole and not _CLOSING.search(body) and registry not in self._idle:
                timer = asyncio.get_running_loop().call_later(MAX_IDLE_S, self._drop, registry)
                self._idle[registry] = link, timer
            else:
                link.writer.close()
            if kept and not body:
                # A server that keeps connections and ends them all the same would cost every other question.
                self._persistent.discard(registry)
        return bytes(body[: MAX_BODY_BYTES + 1])

    def _kept(self, registry: str) -> _Link | None:
        """Take the kept connection of a registry, if there is one and the server has not ended it."""
        link, timer = self._idle.pop(registry, (None, None))
        if link is None or timer is None:
            return None
        timer.cancel()
        if link.reader.at_eof() or link.writer.is_closing():
            link.writer.close()
            return None
        return link

    def _drop(self, registry: str) -> None:
        link, timer = self._idle.pop(registry)
        timer.cancel()
        link.writer.close()

    async def _connect(self, settings: RegistrySettings | OriginSettings) -> _Link:
        try:
            async with asyncio.timeout(settings.connect_timeout_s):
                if settings.proxy:
                    return await self._through(settings)
                host, port = settings.whois_address
                return _Link(*await asyncio.open_connection(host, port, local_addr=self._source))
        except TimeoutError:
            raise NoAnswerError(f"{settings.whois}: connection timed out", unreachable=True) from None
        except OSError as error:
            raise NoAnswerError(f"{settings.whois}: {error.strerror or error}", unreachable=True) from None

    async def _through(self, settings: RegistrySettings | OriginSettings) -> _Link:
        """Connect through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6)."""
        proxy = urlsplit(settings.proxy)
        secure = proxy.scheme == "https"
        reader, writer = await asyncio.open_connection(
            proxy.hostname, proxy.port or (443 if secure else 80), ssl=secure or None, local_addr=self._source
        )
        head = f"CONNECT {settings.whois} HTTP/1.1\r\nHost: {settings.whois}\r\n"
        if proxy.username is not None:
            pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
            head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        writer.write(f"{head}\r\n".encode())
        try:
            status = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1:2]
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            status = []
        except BaseException:
            writer.close()
            raise
        if status != [b"200"]:
            writer.close()
            code = status[0][:20].decode("ascii", "replace") if status else "no HTTP"
            raise NoAnswerError(f"{settings.whois}: the proxy does not connect ({code})", unreachable=True)
        return _Link(reader, writer)


async def _read_to_the_end(reader: asyncio.StreamReader, silence_s: float) -> bytes:
    """Return all that comes, one byte more than MAX_BODY_BYTES at most. Raises TimeoutError, OSError."""
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        async with asyncio.timeout(silence_s):
            chunk = await reader.read(_CHUNK_BYTES)
        if not chunk:
            break
        body += chunk
    return bytes(body[: MAX_BODY_BYTES + 1])
