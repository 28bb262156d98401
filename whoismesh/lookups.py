"""Lookups over the wire: RDAP by HTTP (RFC 7480), and WHOIS by way of `port43`. No decisions here.

Redirects are not followed: where they lead, and on whose budget, the engine decides. What comes back is a `Reply`, or a
`NoAnswerError` that says whether a connection came about at all. Whatever the server does, a lookup takes `timeout_s`
at most and keeps little more than MAX_BODY_BYTES in memory. No key and no password of a proxy gets into either.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote, urlsplit

import aiohttp

import whoismesh
from whoismesh.addresses import format_address
from whoismesh.answers import Reply
from whoismesh.answers.cymru import Address, bulk_query
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.lanes.descent import Question
from whoismesh.port43 import NoAnswerError, Port43
from whoismesh.registries import API_KEY_PARAMETERS
from whoismesh.settings import OriginSettings, RegistrySettings

__all__ = ["Lookups", "NoAnswerError"]

#: So much is told of an error that a server caused.
_REASON_CHARS = 300


class Lookups:
    """The connections of one worker to all registries. Use as `async with`."""

    def __init__(self, registries: Mapping[str, RegistrySettings], contact: str, source_address: str | None) -> None:
        self._registries = registries
        self._timeouts = {
            registry: aiohttp.ClientTimeout(
                total=each.timeout_s, sock_connect=each.connect_timeout_s, sock_read=each.read_timeout_s
            )
            for registry, each in registries.items()
        }
        self._source = (source_address, 0) if source_address else None
        agent = f"whoismesh/{whoismesh.__version__}" + (f" ({contact})" if contact else "")
        self._headers = {"User-Agent": agent, "Accept": "application/rdap+json, application/json"}
        self._session: aiohttp.ClientSession | None = None
        self._port43 = Port43(self._source)

    async def __aenter__(self) -> Lookups:
        # The engine keeps to the number of connections; the pool only keeps them alive. Certificates are verified.
        connector = aiohttp.TCPConnector(limit=0, local_addr=self._source, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(
            connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True
        )
        # aiohttp repeats a GET by itself when a kept-alive connection breaks: a second question that no budget knows
        # of.
        self._session._retry_connection = False
        return self

    async def __aexit__(self, *_: object) -> None:
        self._port43.close()
        if self._session is not None:
            await self._session.close()

    async def ask(
        self,
        registry: str,
        protocol: str,
        family: int,
        address: int,
        url: str | None,
        question: Question | None = None,
    ) -> Reply:
        """Ask one question, at `url` where it is not the address alone. Raises NoAnswerError and nothing else."""
        settings = self._registries[registry]
        server = settings.rdap if protocol == "rdap" else settings.whois
        try:
            if protocol == "rdap":
                return await self._rdap(registry, settings, family, address, url)
            body = await self._port43.ask(registry, settings, family, address, question)
            return Reply(registry, "whois", family, address, body, settings.whois, time.time())
        except NoAnswerError as error:
            reason = _discreet(_line(str(error)), registry, settings)
            raise NoAnswerError(reason, unreachable=error.unreachable) from None
        except Exception as error:
            # A URL that a server made up, a library's bug: it must cost one lookup, never a worker.
            reason = _discreet(_line(f"{server}: {type(error).__name__}: {error}"), registry, settings)
            raise NoAnswerError(reason, unreachable=False) from None

    async def ask_origins(self, settings: OriginSettings, addresses: Iterable[Address]) -> bytes:
        """Ask Team Cymru about addresses, in one bulk query. Raises NoAnswerError and nothing else."""
        try:
            return await self._port43.ask_in_bulk(settings, bulk_query(addresses))
        except NoAnswerError as error:
            raise NoAnswerError(_line(str(error)), unreachable=error.unreachable) from None
        except Exception as error:
            reason = _line(f"{settings.whois}: {type(error).__name__}: {error}")
            raise NoAnswerError(_without_password(reason, settings.proxy), unreachable=False) from None

    async def _rdap(
        self, registry: str, settings: RegistrySettings, family: int, address: int, url: str | None
    ) -> Reply:
        assert self._session is not None, "used outside of `async with`"
        server = settings.rdap
        target = url or f"{settings.rdap}ip/{format_address(family, address)}"
        key = {}
        if settings.api_key and target.startswith(settings.rdap):  # nobody else gets to see it
            key = {API_KEY_PARAMETERS[registry]: settings.api_key}
        try:
            async with self._session.get(
                target,
                params=key or None,
                allow_redirects=False,
                timeout=self._timeouts[registry],
                proxy=settings.proxy or None,
            ) as response:
                body = await self._body(response)
                headers = {
                    name.lower(): _discreet(value, registry, settings) for name, value in response.headers.items()
                }
                status = response.status
        except TimeoutError as error:
            unreachable = isinstance(error, aiohttp.ConnectionTimeoutError)
            raise NoAnswerError(f"{server}: timed out", unreachable=unreachable) from None
        except aiohttp.ClientConnectorError as error:
            raise NoAnswerError(f"{server}: {error.os_error.strerror or error}", unreachable=True) from None
        except aiohttp.InvalidURL:
            raise NoAnswerError(f"{server}: redirects to no URL", unreachable=False) from None
        except aiohttp.ClientResponseError as error:  # its text has the URL, with all that is in it
            raise NoAnswerError(f"{server}: {error.message}", unreachable=False) from None
        except (aiohttp.ClientError, OSError) as error:
            raise NoAnswerError(f"{server}: {error or type(error).__name__}", unreachable=False) from None
        if url is not None and not url.startswith(settings.rdap):
            parts = urlsplit(url)
            server = f"{parts.scheme}://{parts.netloc}/"
        return Reply(registry, "rdap", family, address, body, server, time.time(), status, headers, url or "")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body, unpacked; of one that is too long one byte more than MAX_BODY_BYTES, which tells it."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                response.close()
                break
        return bytes(body[: MAX_BODY_BYTES + 1])


def _discreet(text: str, registry: str, settings: RegistrySettings) -> str:
    """Return a text without the key and the proxy's password, should a server or a library repeat them."""
    if settings.api_key:
        text = text.replace(f"{API_KEY_PARAMETERS[registry]}={settings.api_key}", "").replace(settings.api_key, "...")
    return _without_password(text, settings.proxy)


def _without_password(text: str, proxy: str) -> str:
    password = urlsplit(proxy).password if proxy else None
    for secret in {password, unquote(password), quote(unquote(password))} if password else ():
        text = text.replace(secret, "...")
    return text


def _line(text: str) -> str:
    return " ".join(text.split())[:_REASON_CHARS]
