"""Lookups over the wire: RDAP by HTTP (RFC 7480) and WHOIS by TCP port 43 (RFC 3912). No decisions here.

Redirects are not followed: where they lead, and on whose budget, the engine decides. What comes back is a `Reply`, or a
`LookupError` of ours that says whether a connection came about at all.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping

import aiohttp

import whoismesh
from whoismesh.addresses import format_address
from whoismesh.answers import Reply
from whoismesh.errors import WhoismeshError
from whoismesh.settings import RegistrySettings

#: The longest answer accepted. The largest known is ARIN's at about 60 kB; what is longer is cut, and malformed.
MAX_ANSWER_BYTES = 1024 * 1024
#: Time for a connection to come about, seconds; the whole lookup has `timeout_s`.
CONNECT_TIMEOUT_S = 10.0

#: What each registry wants to be asked at port 43. RIPE-like: no contacts (-r), no grouping (-G), only address
#: objects; ARIN: networks in full (n +); LACNIC: the bare address.
WHOIS_QUERY = {
    "arin": "n + {}",
    "ripencc": "-r -G -T inetnum,inet6num {}",
    "apnic": "-r -G -T inetnum,inet6num {}",
    "lacnic": "{}",
    "afrinic": "-r -G -T inetnum,inet6num {}",
}


class NoAnswerError(WhoismeshError):
    """A lookup got no answer. `unreachable` tells that no connection came about."""

    def __init__(self, reason: str, *, unreachable: bool) -> None:
        self.unreachable = unreachable
        super().__init__(reason)


class Lookups:
    """The connections of one worker to all registries. Use as `async with`."""

    def __init__(self, registries: Mapping[str, RegistrySettings], contact: str, source_address: str | None) -> None:
        self._registries = registries
        self._source = (source_address, 0) if source_address else None
        agent = f"whoismesh/{whoismesh.__version__}" + (f" ({contact})" if contact else "")
        self._headers = {"User-Agent": agent, "Accept": "application/rdap+json, application/json"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Lookups:
        # The engine keeps to the number of connections; the pool only keeps them alive.
        connector = aiohttp.TCPConnector(limit=0, local_addr=self._source, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(
            connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )
        # aiohttp repeats a GET by itself when a kept-alive connection breaks: a second question that no budget knows
        # of.
        self._session._retry_connection = False
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, registry: str, protocol: str, family: int, address: int, url: str | None) -> Reply:
        """Ask one question. Raises NoAnswerError."""
        settings = self._registries[registry]
        try:
            if protocol == "rdap":
                return await self._rdap(registry, settings, family, address, url)
            async with asyncio.timeout(settings.timeout_s):
                return await self._whois(registry, settings, family, address)
        except TimeoutError as error:
            unreachable = isinstance(error, aiohttp.ConnectionTimeoutError)
            server = settings.rdap if protocol == "rdap" else settings.whois
            raise NoAnswerError(f"{server}: timed out", unreachable=unreachable) from None

    async def _rdap(
        self, registry: str, settings: RegistrySettings, family: int, address: int, url: str | None
    ) -> Reply:
        assert self._session is not None, "used outside of `async with`"
        url = url or f"{settings.rdap}ip/{format_address(family, address)}"
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with self._session.get(url, allow_redirects=False, timeout=timeout) as response:
                body = await self._body(response)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Reply(
                    registry, "rdap", family, address, body, settings.rdap, time.time(), response.status, headers
                )
        except aiohttp.ClientConnectorError as error:
            raise NoAnswerError(f"{settings.rdap}: {error.os_error.strerror or error}", unreachable=True) from None
        except aiohttp.InvalidURL:
            raise NoAnswerError(f"{settings.rdap}: redirects to no URL", unreachable=False) from None
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswerError(f"{settings.rdap}: {error or type(error).__name__}", unreachable=False) from None

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        length = response.content_length
        plain = "Content-Encoding" not in response.headers
        if plain and length is not None and length <= MAX_ANSWER_BYTES:
            return await response.read()
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                response.close()
                break
        return b"".join(chunks)[:MAX_ANSWER_BYTES]

    async def _whois(self, registry: str, settings: RegistrySettings, family: int, address: int) -> Reply:
        host, port = settings.whois_address
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(host, port, local_addr=self._source)
        except TimeoutError:
            raise NoAnswerError(f"{settings.whois}: connection timed out", unreachable=True) from None
        except (OSError, socket.gaierror) as error:
            raise NoAnswerError(f"{settings.whois}: {error.strerror or error}", unreachable=True) from None
        try:
            writer.write(f"{WHOIS_QUERY[registry].format(format_address(family, address))}\r\n".encode())
            chunks, size = [], 0
            while size <= MAX_ANSWER_BYTES and (chunk := await reader.read(65_536)):
                chunks.append(chunk)
                size += len(chunk)
        except OSError as error:
            raise NoAnswerError(f"{settings.whois}: {error.strerror or error}", unreachable=False) from None
        finally:
            writer.close()
        body = b"".join(chunks)[:MAX_ANSWER_BYTES]
        return Reply(registry, "whois", family, address, body, settings.whois, time.time())
