"""Asking EC2's instance metadata service (IMDSv2) over HTTP. What its answers mean is decided in `spot`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from whoismesh.errors import UsageError
from whoismesh.spot import MOST_BODY_BYTES, Broken, Event, Fetch, Instruction, Replied, SpotWatch, Tick

#: It answers on the host itself, in milliseconds; a question that takes longer is given up, seconds.
TIMEOUT_S = 2.0
#: So much is told of an error.
_REASON_CHARS = 200


def parse_base(url: str) -> str:
    """Check the service's address, http://HOST[:PORT], and return it without a slash at its end. Raises UsageError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        good = good and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"--instance-metadata {url!r}: expected http://HOST[:PORT], on EC2 http://169.254.169.254")
    return url.rstrip("/")


async def watch(base: str, engine: SpotWatch, on_news: Callable[[Instruction], None]) -> None:
    """Ask again and again until the end of the host is known; `on_news` hears of all that is to be done or told."""
    # No proxy of the environment, no cookies, nothing unpacked: this is the host's own service.
    async with aiohttp.ClientSession(
        base, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
    ) as session:
        event: Event = Tick()
        while True:
            fetch = None
            for instruction in engine.handle(event, time.monotonic()):
                if isinstance(instruction, Fetch):
                    fetch = instruction
                else:
                    on_news(instruction)
            if fetch is not None:
                event = await _ask(session, fetch)
                continue
            wait_s = engine.wake_at - time.monotonic()
            if wait_s == math.inf:
                return
            await asyncio.sleep(wait_s)
            event = Tick()


async def _ask(session: aiohttp.ClientSession, fetch: Fetch) -> Replied | Broken:
    try:
        async with session.request(
            fetch.method,
            fetch.path,
            headers=dict(fetch.headers),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MOST_BODY_BYTES:
                    response.close()
                    break
            return Replied(response.status, bytes(body[: MOST_BODY_BYTES + 1]))
    except TimeoutError:
        return Broken(f"no answer within {TIMEOUT_S:g} s")
    except Exception as error:  # a library's bug with a strange answer must not end the watch
        return Broken(" ".join(f"{type(error).__name__}: {error}".split())[:_REASON_CHARS])
