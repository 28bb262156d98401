"""Port 43: each registry's query, and RIPE NCC's kept connections."""

import asyncio

import pytest
from loopback import ADDRESS, FAMILY, little_memory, lookup, served, settings

from whoismesh.addresses import Range
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.lanes.descent import Question, Relation
from whoismesh.lookups import Lookups, NoAnswerError
from whoismesh.port43 import line_for
from whoismesh.settings import OriginSettings

ROWS = b"Bulk mode; whois.cymru.com\n3333 | 193.0.6.139 | 193.0.0.0/21 | NL | ripencc | 1993-09-01 | X\n"


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


@pytest.mark.parametrize(
    ("registry", "relation", "where", "line"),
    [
        ("ripencc", Relation.DOWN, "193.0.0.0/21", "-r -G -T inetnum,inet6num -M 193.0.0.0/21"),
        ("apnic", Relation.AROUND, "61.0.0.0-61.0.2.255", "-r -G -T inetnum,inet6num -L 61.0.0.0 - 61.0.2.255"),
        ("afrinic", Relation.AROUND_KEYS, "2c0f::/32", "-r -G -K -T inetnum,inet6num -L 2c0f::/32"),
        ("ripencc", Relation.POINT, "193.0.0.7/32", "-r -G -T inetnum,inet6num 193.0.0.7"),
        ("lacnic", Relation.UP, "177.96.0.0/20", "177.96.0.0/20"),
    ],
)
def test_questions_about_a_range_are_asked_in_the_words_of_its_registry(registry, relation, where, line):
    found = Range.parse(where)
    assert line_for(registry, found.family, found.first, Question(relation, found)) == line


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
    ended = asyncio.Semaphore(0)

    async def server(reader, writer):
        while await reader.readline():
            writer.write(b"inetnum: x\n" + SERVED)
            await writer.drain()
        ended.release()

    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                both = [lookups.ask("ripencc", "whois", FAMILY, ADDRESS, None) for _ in range(2)]
                await asyncio.gather(*both)
                async with asyncio.timeout(20):
                    await ended.acquire()  # the second at once
                    await ended.acquire()  # the first after a while
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


# --- bulk queries ---------------------------------------------------------------------------------------------------


def ask_in_bulk(server, **more):
    async def run():
        async with served(server) as port:
            async with Lookups(settings(port), "", None) as lookups:
                async with asyncio.timeout(20):
                    origins = OriginSettings(f"127.0.0.1:{port}", **more)
                    return await lookups.ask_origins(origins, [(FAMILY, ADDRESS), (6, 1)])

    return asyncio.run(run())


def test_origins_are_asked_for_in_one_query_over_one_connection():
    got = []

    async def server(reader, writer):
        got.append(await reader.readuntil(b"end\n"))
        for at in range(0, len(ROWS), 7):
            writer.write(ROWS[at : at + 7])
            await asyncio.sleep(0)
        await writer.drain()

    assert ask_in_bulk(server) == ROWS
    assert got == [b"begin\nverbose\n193.0.6.139\n::1\nend\n"]


def test_a_bulk_answer_has_an_end_in_bytes_and_in_time():
    async def flood(reader, writer):
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()

    async def silence(reader, writer):
        await asyncio.sleep(60)

    async def trickle(reader, writer):
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.01)

    with little_memory():
        assert len(ask_in_bulk(flood)) == MAX_BODY_BYTES + 1
    for server, limits in ((silence, {"read_timeout_s": 0.1}), (trickle, {"timeout_s": 0.3})):
        with pytest.raises(NoAnswerError, match="timed out"):
            ask_in_bulk(server, **limits)


def test_a_proxy_that_does_not_let_a_bulk_query_through_is_named_without_its_password():
    async def proxy(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 secretpass\r\n\r\n")
        await writer.drain()

    async def run():
        async with served(proxy) as port:
            async with Lookups(settings(port), "", None) as lookups:
                origins = OriginSettings("cymru.example:43", proxy=f"http://me:secretpass@127.0.0.1:{port}")
                await lookups.ask_origins(origins, [(4, 1)])

    with pytest.raises(NoAnswerError, match="the proxy does not connect") as caught:
        asyncio.run(run())
    assert "secretpass" not in str(caught.value)
