"""Lookups of servers that behave."""

import asyncio
import gzip

import pytest
from loopback import ADDRESS, FAMILY, lookup, request_head, served, settings

from whoismesh.answers import Status, understand
from whoismesh.lookups import Lookups, NoAnswerError


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
    async def server(reader, writer):
        head = await request_head(reader)
        assert "gzip" in head
        body = gzip.compress(b'{"handle": "x"}')
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    assert lookup(server, "rdap").body == b'{"handle": "x"}'


def test_ten_thousand_redirects_are_one_question_each():
    """The shell follows none: each comes back as a reply, and the engine counts (lanes.outcomes.MOST_REDIRECTS)."""
    asked = []

    async def server(reader, writer):
        while True:
            head = await request_head(reader)
            asked.append(head.split()[1])
            location = f"/rdap/ip/193.0.6.139?{len(asked)}".encode()
            writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")
            await writer.drain()

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                reply = await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None)
                answer = understand(reply, {f"http://127.0.0.1:{port}/rdap/": "arin"})
                assert (answer.status, answer.elsewhere) == (Status.ELSEWHERE, "arin")
                again = await lookups.ask("arin", "rdap", FAMILY, ADDRESS, answer.url)
                assert again.url == answer.url
                assert again.server == f"http://127.0.0.1:{port}/rdap/"

    asyncio.run(run())
    assert asked == ["/rdap/ip/193.0.6.139", "/rdap/ip/193.0.6.139?1"]


def test_an_answer_from_where_a_redirect_led_names_that_server():
    async def server(reader, writer):
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    async def run():
        async with served(server) as port:
            async with Lookups(settings(1), "", None) as lookups:
                url = f"http://127.0.0.1:{port}/other/ip/193.0.6.139"
                return port, await lookups.ask("arin", "rdap", FAMILY, ADDRESS, url)

    port, reply = asyncio.run(run())
    assert (reply.server, reply.url) == (f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/other/ip/193.0.6.139")
