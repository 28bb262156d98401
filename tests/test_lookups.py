"""Lookups against servers that behave well and badly, on loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from whoismesh.addresses import parse_address
from whoismesh.lookups import MAX_ANSWER_BYTES, Lookups, NoAnswerError
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


async def request_head(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n\r\n")).decode()


def settings(port: int, timeout_s: float = 5.0) -> dict[str, RegistrySettings]:
    one = RegistrySettings(f"http://127.0.0.1:{port}/rdap/", f"127.0.0.1:{port}", timeout_s=timeout_s)
    return dict.fromkeys(("arin", "ripencc", "apnic", "lacnic", "afrinic"), one)


def lookup(handler: Handler, protocol: str, *, registry: str = "ripencc", timeout_s: float = 5.0, source=None):
    """Look one address up at a server; return what came of it."""

    async def run():
        async with served(handler) as port:
            async with Lookups(settings(port, timeout_s), "noc@example.org", source) as lookups:
                async with asyncio.timeout(20):
                    return await lookups.ask(registry, protocol, FAMILY, ADDRESS, None)

    return asyncio.run(run())


def test_rdap_asks_for_the_address_and_says_who_asks():
    heads = []

    async def server(reader, writer):
        heads.append(await request_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/rdap+json\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    reply = lookup(server, "rdap")
    assert reply.body == b"{}"
    assert reply.http_status == 200
    assert reply.headers["content-type"] == "application/rdap+json"
    assert heads[0].startswith("GET /rdap/ip/193.0.6.139 HTTP/1.1\r\n")
    assert "User-Agent: whoismesh/" in heads[0]
    assert "(noc@example.org)" in heads[0]
    assert "application/rdap+json" in heads[0]


def test_rdap_keeps_its_connection_and_follows_no_redirect():
    connections = []

    async def server(reader, writer):
        connections.append(writer)
        while True:
            await request_head(reader)
            writer.write(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/ip/1\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                return [await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None) for _ in range(3)]

    replies = asyncio.run(run())
    assert [reply.http_status for reply in replies] == [301, 301, 301]
    assert replies[0].headers["location"] == "http://127.0.0.1:1/ip/1"
    assert len(connections) == 1


def test_a_broken_kept_connection_is_not_asked_twice_in_silence():
    heads = []

    async def server(reader, writer):
        heads.append(await request_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        heads.append(await request_head(reader))
        writer.transport.abort()

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None)
                with pytest.raises(NoAnswerError) as caught:
                    await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None)
                assert not caught.value.unreachable

    asyncio.run(run())
    assert len(heads) == 2


@pytest.mark.parametrize("declared", [True, False])
def test_an_answer_without_end_is_cut(declared):
    async def server(reader, writer):
        await request_head(reader)
        length = f"Content-Length: {100 * MAX_ANSWER_BYTES}\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    assert len(lookup(server, "rdap").body) == MAX_ANSWER_BYTES


def test_whois_without_end_is_cut():
    async def server(reader, writer):
        await reader.readline()
        while True:
            writer.write(b"remarks: x\n" * 5_000)
            await writer.drain()

    assert len(lookup(server, "whois").body) == MAX_ANSWER_BYTES


@pytest.mark.parametrize("protocol", ["rdap", "whois"])
def test_a_server_that_trickles_is_left_after_the_timeout(protocol):
    async def server(reader, writer):
        await reader.readline()
        while True:
            writer.write(b"HTTP/1.1 200 OK\r\nX: ")
            await writer.drain()
            await asyncio.sleep(0.05)  # slow on purpose

    with pytest.raises(NoAnswerError, match="timed out") as caught:
        lookup(server, protocol, timeout_s=0.4)
    assert not caught.value.unreachable


@pytest.mark.parametrize("protocol", ["rdap", "whois"])
def test_a_connection_reset_is_no_answer_of_a_registry_that_is_there(protocol):
    async def server(reader, writer):
        await reader.readline()
        writer.write(b"half")
        await writer.drain()
        writer.transport.abort()

    try:
        reply = lookup(server, protocol)
    except NoAnswerError as error:
        assert not error.unreachable
    else:
        # A reset that arrives after an orderly end reads as a short answer.
        assert protocol == "whois"
        assert reply.body == b"half"


@pytest.mark.parametrize("protocol", ["rdap", "whois"])
def test_a_refused_connection_says_that_nobody_is_there(protocol):
    async def run():
        async with served(lambda reader, writer: asyncio.sleep(0)) as port:
            pass
        async with Lookups(settings(port), "", None) as lookups:
            with pytest.raises(NoAnswerError) as caught:
                await lookups.ask("apnic", protocol, FAMILY, ADDRESS, None)
        assert caught.value.unreachable
        assert f"127.0.0.1:{port}" in str(caught.value)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("registry", "query"),
    [
        ("arin", "n + 193.0.6.139"),
        ("ripencc", "-r -G -T inetnum,inet6num 193.0.6.139"),
        ("apnic", "-r -G -T inetnum,inet6num 193.0.6.139"),
        ("lacnic", "193.0.6.139"),
        ("afrinic", "-r -G -T inetnum,inet6num 193.0.6.139"),
    ],
)
def test_whois_asks_each_registry_in_its_own_form(registry, query):
    lines = []

    async def server(reader, writer):
        lines.append(await reader.readline())
        writer.write(b"% hello\r\n")
        await writer.drain()

    reply = lookup(server, "whois", registry=registry)
    assert lines == [f"{query}\r\n".encode()]
    assert reply.body == b"% hello\r\n"
    assert reply.protocol == "whois"


@pytest.mark.parametrize("protocol", ["rdap", "whois"])
def test_lookups_come_from_the_source_address(protocol):
    peers = []

    async def server(reader, writer):
        peers.append(writer.get_extra_info("peername")[0])
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    lookup(server, protocol, source="127.0.0.9")
    assert peers == ["127.0.0.9"]


def test_a_compressed_answer_is_unpacked():
    import gzip

    async def server(reader, writer):
        head = await request_head(reader)
        assert "gzip" in head
        body = gzip.compress(b'{"handle": "x"}')
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    assert lookup(server, "rdap").body == b'{"handle": "x"}'


def test_a_compression_bomb_is_cut():
    import gzip

    async def server(reader, writer):
        await request_head(reader)
        body = gzip.compress(b" " * (50 * MAX_ANSWER_BYTES))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    assert len(lookup(server, "rdap").body) <= MAX_ANSWER_BYTES
