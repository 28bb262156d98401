"""Servers on loopback that do whatever a test wants, and lookups of them."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager

from whoismesh.addresses import parse_address
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.lookups import Lookups
from whoismesh.settings import RegistrySettings

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FAMILY, ADDRESS = parse_address("193.0.6.139")


@asynccontextmanager
async def served(handler: Handler):
    """Serve on a free port; yield it. Connections left open are closed at the end."""
    tasks = set()

    async def keep(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def little_memory():
    """See that what runs inside never holds more than a few answers of the longest kind."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 16 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()


async def request_head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def settings(port: int, timeout_s: float = 5.0, **more) -> dict[str, RegistrySettings]:
    one = RegistrySettings(f"http://127.0.0.1:{port}/rdap/", f"127.0.0.1:{port}", timeout_s=timeout_s, **more)
    return dict.fromkeys(("arin", "ripencc", "apnic", "lacnic", "afrinic"), one)


def lookup(
    handler: Handler, protocol: str, *, registry: str = "ripencc", timeout_s: float = 5.0, source=None, url=None, **more
):
    """Look one address up at a server; return what came of it."""

    async def run():
        async with served(handler) as port:
            async with Lookups(settings(port, timeout_s, **more), "noc@example.org", source) as lookups:
                async with asyncio.timeout(20):
                    return await lookups.ask(registry, protocol, FAMILY, ADDRESS, url)

    return asyncio.run(run())
