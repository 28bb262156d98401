"""Lookups against servers that behave well and badly, on loopback."""

import asyncio
import gzip
import random
import ssl
import subprocess
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager

import pytest

from whoismesh.addresses import parse_address
from whoismesh.answers import Status, understand
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.lookups import Lookups, NoAnswerError
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
        ("ripencc", "-k -r -G -T inetnum,inet6num 193.0.6.139"),
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
    async def server(reader, writer):
        head = await request_head(reader)
        assert "gzip" in head
        body = gzip.compress(b'{"handle": "x"}')
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    assert lookup(server, "rdap").body == b'{"handle": "x"}'


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


def test_ten_thousand_redirects_are_one_question_each():
    """The shell follows none: each comes back as a reply, and the engine counts (lanes.engine.MOST_REDIRECTS)."""
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


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for 127.0.0.1 that nobody vouches for; return its file and its key's."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=practice", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("vouched_for", [False, True])
def test_certificates_are_verified(certificate, vouched_for, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if vouched_for:
        trusting = ssl.create_default_context(cafile=certificate[0])
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    heads = []

    async def handler(reader, writer):
        heads.append(await request_head(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def run():
        server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        one = {"arin": RegistrySettings(f"https://127.0.0.1:{port}/", "127.0.0.1:1", timeout_s=5)}
        try:
            async with Lookups(one, "", None) as lookups:
                return await lookups.ask("arin", "rdap", FAMILY, ADDRESS, None)
        finally:
            server.close()

    if vouched_for:
        assert asyncio.run(run()).body == b"{}"
    else:
        with pytest.raises(NoAnswerError, match="certificate verify failed") as caught:
            asyncio.run(run())
        assert caught.value.unreachable
        assert heads == []


# --- keys and proxies -----------------------------------------------------------------------------------------------

KEY = "s3cret-K3y"


def test_the_key_goes_to_its_registry_and_nowhere_else():
    heads = []

    async def server(reader, writer):
        heads.append(await request_head(reader))
        target = heads[-1].split()[1]
        writer.write(f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {target}\r\n\r\n".encode())
        await writer.drain()

    reply = lookup(server, "rdap", registry="lacnic", api_key=KEY)
    assert heads[0].startswith(f"GET /rdap/ip/193.0.6.139?apikey={KEY} HTTP")
    assert KEY not in repr(reply)
    assert KEY not in repr(settings(1, api_key=KEY))

    async def elsewhere():
        async with served(server) as port:
            async with Lookups(settings(1, api_key=KEY), "", None) as lookups:
                await lookups.ask("lacnic", "rdap", FAMILY, ADDRESS, f"http://127.0.0.1:{port}/rdap/ip/193.0.6.139")

    asyncio.run(elsewhere())
    assert KEY not in heads[1]


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", b""])
def test_no_error_tells_the_key(answer):
    async def server(reader, writer):
        await request_head(reader)
        writer.write(answer)
        await writer.drain()
        writer.close()

    with pytest.raises(NoAnswerError) as caught:
        lookup(server, "rdap", registry="lacnic", api_key=KEY)
    assert KEY not in str(caught.value) and "apikey" not in str(caught.value)


def proxied(protocol, behind, *, refuse=False):
    """Look an address up through a proxy; return (what the proxy was asked, the reply or what was raised)."""
    heads = []

    async def proxy(reader, writer):
        heads.append(await request_head(reader))
        if refuse:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        if heads[-1].startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
        await behind(reader, writer)

    async def run():
        async with served(proxy) as port:
            here = settings(1, proxy=f"http://user:p%40ss-w0rd@127.0.0.1:{port}")
            async with Lookups(here, "", None) as lookups:
                return await lookups.ask("arin", protocol, FAMILY, ADDRESS, None)

    try:
        return heads, asyncio.run(run())
    except NoAnswerError as error:
        return heads, error


def test_both_protocols_go_through_the_proxy():
    async def rdap(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    heads, reply = proxied("rdap", rdap)
    assert reply.body == b"{}"
    assert heads[0].startswith("GET http://127.0.0.1:1/rdap/ip/193.0.6.139 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNzLXcwcmQ=\r\n" in heads[0]

    async def whois(reader, writer):
        assert await reader.readline() == b"n + 193.0.6.139\r\n"
        writer.write(b"No match found for n + 193.0.6.139.\n")
        await writer.drain()

    heads, reply = proxied("whois", whois)
    assert reply.body.startswith(b"No match")
    assert heads[0].startswith("CONNECT 127.0.0.1:1 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpwQHNzLXcwcmQ=\r\n" in heads[0]


def test_a_proxy_that_refuses_is_no_registry():
    async def nothing(reader, writer):
        pass

    _, error = proxied("whois", nothing, refuse=True)
    assert isinstance(error, NoAnswerError) and error.unreachable and "407" in str(error)
    _, reply = proxied("rdap", nothing, refuse=True)
    assert reply.http_status == 407
    assert understand(reply, {}).status is Status.FAILED


# --- RIPE NCC's persistent connections ------------------------------------------------------------------------------

SERVED = b"\n% This query was served by the RIPE Database Query Service version 1.117 (X)\n\n\n"


def ask_in_turn(answer, times):
    """Ask RIPE NCC's port 43 some times. Return (lines by connection, bodies).

    `answer(number of the question, its number on the connection)` is what the server says; without the end of an
    answer, it closes.
    """
    connections = []

    async def server(reader, writer):
        lines = []
        connections.append(lines)
        while line := await reader.readline():
            lines.append(line)
            said = answer(sum(map(len, connections)), len(lines))
            for at in range(0, len(said), 7):  # in small pieces: the end may fall between two
                writer.write(said[at : at + 7])
                await asyncio.sleep(0)
            await writer.drain()
            if not said.endswith(b"\n\n\n") or not line.startswith(b"-k "):
                return

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                return [(await lookups.ask("ripencc", "whois", FAMILY, ADDRESS, None)).body for _ in range(times)]

    bodies = asyncio.run(run())
    return connections, bodies


def test_ripe_ncc_is_asked_again_on_the_same_connection():
    connections, bodies = ask_in_turn(lambda number, _: b"inetnum: %d\n\n\nremarks: x\n" % number + SERVED, 3)
    assert connections == [[b"-k -r -G -T inetnum,inet6num 193.0.6.139\r\n"] * 3]
    assert [body.split()[1] for body in bodies] == [b"1", b"2", b"3"]
    assert all(body.endswith(SERVED) for body in bodies)


def test_one_connection_is_kept_and_only_for_a_while(monkeypatch):
    monkeypatch.setattr("whoismesh.port43.MAX_IDLE_S", 0.05)
    ended = []

    async def server(reader, writer):
        while await reader.readline():
            writer.write(b"inetnum: x\n" + SERVED)
            await writer.drain()
        ended.append(writer)

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                both = [lookups.ask("ripencc", "whois", FAMILY, ADDRESS, None) for _ in range(2)]
                await asyncio.gather(*both)
                async with asyncio.timeout(20):
                    while len(ended) < 2:  # the second at once, the first after a while
                        await asyncio.sleep(0.01)
                assert (await lookups.ask("ripencc", "whois", FAMILY, ADDRESS, None)).body.endswith(SERVED)

    asyncio.run(run())


def test_a_connection_that_ripe_ncc_closed_is_not_used_again():
    connections, bodies = ask_in_turn(lambda number, _: b"%ERROR:201: access denied\n" + b"x" * number, 3)
    assert [len(lines) for lines in connections] == [1, 1, 1]
    assert bodies[2].endswith(b"xxx")


def test_a_server_that_ends_kept_connections_gets_new_ones():
    connections, bodies = ask_in_turn(lambda _, nth: b"" if nth > 1 else b"inetnum: x\n" + SERVED, 5)
    assert [len(lines) for lines in connections] == [2, 1, 1, 1]
    assert [len(body) > 0 for body in bodies] == [True, False, True, True, True]
