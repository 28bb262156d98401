"""Lookups of servers that do not: none takes longer than its timeout, or memory without bound."""

import asyncio
import random
import zlib

import pytest
from loopback import ADDRESS, FAMILY, little_memory, lookup, request_head, served, settings

from whoismesh.answers import Status, understand
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.lookups import Lookups, NoAnswerError


@pytest.mark.parametrize("declared", [True, False])
def test_an_answer_without_end_is_cut(declared):
    async def server(reader, writer):
        await request_head(reader)
        length = f"Content-Length: {100 * MAX_BODY_BYTES}\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n".encode())
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    with little_memory():
        reply = lookup(server, "rdap")
    assert len(reply.body) == MAX_BODY_BYTES + 1
    assert understand(reply, {}).status is Status.MALFORMED


def test_whois_without_end_is_cut():
    async def server(reader, writer):
        await reader.readline()
        while True:
            writer.write(b"remarks: x\n" * 5_000)
            await writer.drain()

    with little_memory():
        reply = lookup(server, "whois")
    assert len(reply.body) == MAX_BODY_BYTES + 1
    assert understand(reply, {}).status is Status.MALFORMED


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


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_compression_bomb_is_cut(encoding, declared):
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    bomb = b"".join(packer.compress(bytes(MAX_BODY_BYTES)) for _ in range(100)) + packer.flush()

    async def server(reader, writer):
        await request_head(reader)
        length = f"Content-Length: {len(bomb)}\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n{length}\r\n".encode() + bomb)
        await writer.drain()

    with little_memory():
        reply = lookup(server, "rdap")
    assert len(reply.body) == MAX_BODY_BYTES + 1
    assert understand(reply, {}).status is Status.MALFORMED


def test_what_is_compressed_badly_is_no_answer():
    async def server(reader, writer):
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n{....")
        await writer.drain()

    with pytest.raises(NoAnswerError) as caught:
        lookup(server, "rdap")
    assert not caught.value.unreachable


@pytest.mark.parametrize(
    "flood",
    [b"X-Header: " + b"y" * 60 + b"\r\n", b"x" * 1000, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"],
)
def test_headers_without_end_take_neither_memory_nor_more_than_the_timeout(flood):
    async def server(reader, writer):
        await request_head(reader)
        if not flood.startswith(b"HTTP"):
            writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(flood * 100)
            await writer.drain()

    with little_memory(), pytest.raises(NoAnswerError) as caught:
        lookup(server, "rdap", timeout_s=1.0)
    assert not caught.value.unreachable
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", ["rdap", "whois"])
def test_a_byte_at_a_time_ends_with_the_timeout_and_a_silence_before(protocol):
    async def trickling(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)  # slow on purpose

    with pytest.raises(NoAnswerError, match="timed out") as caught:
        lookup(trickling, protocol, timeout_s=0.5, read_timeout_s=0.4)
    assert not caught.value.unreachable

    async def silent(reader, writer):
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
        await writer.drain()
        await asyncio.Event().wait()

    # The 20 s that `lookup` allows are far below the lookup's own: the silence ends it.
    with pytest.raises(NoAnswerError, match="timed out") as caught:
        lookup(silent, protocol, timeout_s=1000.0, read_timeout_s=0.2)
    assert not caught.value.unreachable


@pytest.mark.parametrize("url", ["http://[::1/ip", "http://127.0.0.1:99999/", "http://a..b/", "http://\x00/", "x:", ""])
def test_a_url_that_is_none_costs_one_lookup(url):
    async def server(reader, writer):
        await request_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    if url:
        with pytest.raises(NoAnswerError):
            lookup(server, "rdap", url=url)
    else:
        assert lookup(server, "rdap", url=url).body == b"{}"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_server_sends_is_a_reply_or_no_answer(seed):
    chance = random.Random(seed)
    whole = b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    pieces = [
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\x00",
        b"\xff",
        b"Content-Length: -1\r\n",
        b"Content-Encoding: br\r\n",
        b"fffff",
    ]
    pieces += [
        b"Transfer-Encoding: gzip\r\n",
        b"Content-Encoding: gzip\r\n",
        b"HTTP/9.9 999 \r\n",
        b"Location: //\r\n",
        b":",
    ]
    outcomes = []

    async def server(reader, writer):
        await request_head(reader)
        said = bytearray(whole)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(said) + 1)
            match chance.randrange(3):
                case 0:
                    said[at:at] = chance.choice(pieces)
                case 1:
                    del said[at : at + chance.randrange(1, 30)]
                case _:
                    said[at : at + 1] = bytes([chance.randrange(256)])
        writer.write(said)
        await writer.drain()
        writer.close()

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                for _ in range(100):
                    try:
                        reply = await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None)
                        outcomes.append(understand(reply, {}).status)
                    except NoAnswerError as error:
                        assert str(error).isprintable()
                        outcomes.append(None)

    asyncio.run(run())
    assert len(outcomes) == 100
    assert len(set(outcomes)) > 1
