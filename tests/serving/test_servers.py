"""The servers as a process: many clients, slow ones, hostile ones; and that nothing is left when it ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import RECORDS, Served, dump, serving
from small_dumps import write

from whoismesh.cli import main, serve
from whoismesh.dump import open_dump
from whoismesh.errors import UnavailableError
from whoismesh.serving import servers
from whoismesh.serving.servers import Counts, RdapServer, WhoisServer
from whoismesh.serving.snapshot import IndexedSnapshot

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(dump(tmp_path_factory.mktemp("dump"))) as served:
        yield served


def ask(port: int, question: bytes, *, half: bool = False) -> bytes:
    """Send a question and return all that comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(question)
        if half:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
        return answer


def get(port: int, path: str, method: str = "GET", more: str = "") -> tuple[int, dict[str, str], bytes]:
    request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n"
    head, _, body = ask(port, request.encode()).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


def test_whois_is_one_line_an_answer_and_the_end(server: Served) -> None:
    answer = ask(server.whois_port, b"193.0.6.139\r\n")
    assert answer.startswith(b"% whoismesh snapshot") and b"INNER-NET" in answer
    assert ask(server.whois_port, b"193.0.6.139\n") == answer
    assert ask(server.whois_port, b"193.0.6.139\r\n193.0.16.1\r\n") == answer
    assert ask(server.whois_port, b"193.0.6.139", half=True) == answer
    assert b"%ERROR:106:" in ask(server.whois_port, b"\r\n")
    assert b"%ERROR:107:" in ask(server.whois_port, b"1" * 1500)
    assert b"%ERROR:108:" in ask(server.whois_port, b"\xff\r\n")
    assert b"%ERROR:115:" in ask(server.whois_port, b"GET / HTTP/1.1\r\n\r\n")


def test_rdap_is_http_with_its_type_and_for_pages_of_any_site(server: Served) -> None:
    status, headers, body = get(server.rdap_port, "/ip/193.0.6.139")
    assert (status, json.loads(body)["name"]) == (200, "INNER-NET")
    assert headers["content-type"] == "application/rdap+json"
    assert headers["access-control-allow-origin"] == "*"
    assert get(server.rdap_port, "/ip/193.0.0.0%2F21?unknown=1")[2].count(b"INNER-NET") == 1
    status, headers, body = get(server.rdap_port, "/ip/193.0.6.139", "HEAD")
    assert (status, body) == (200, b"") and int(headers["content-length"]) > 500
    assert "ip/CIDR" in json.dumps(json.loads(get(server.rdap_port, "/help")[2]))


@pytest.mark.parametrize(
    ("path", "method", "more", "expected"),
    [
        ("/ip/193.0.19.1", "GET", "", 404),
        ("/ip/10.0.0.0/8", "GET", "", 404),
        ("/ip/x", "GET", "", 400),
        ("/ip/%ff%00", "GET", "", 400),
        ("/", "GET", "", 400),
        ("/domain/example.org", "GET", "", 501),
        ("/ip/193.0.6.139", "POST", "Content-Length: 1000000\r\n", 405),
        ("/ip/193.0.6.139", "DELETE", "", 405),
        ("/ip/193.0.6.139", "GET", "X: " + "x" * 10_000 + "\r\n", 400),
        ("/ip/193.0.6.139", "GET", "no header\r\n", 400),
    ],
)
def test_every_error_is_an_rdap_object(server: Served, path: str, method: str, more: str, expected: int) -> None:
    status, headers, body = get(server.rdap_port, path, method, more)
    assert status == expected
    assert headers["content-type"] == "application/rdap+json"
    assert headers["access-control-allow-origin"] == "*"
    assert json.loads(body)["errorCode"] == expected
    assert ("allow" in headers) == (status == 405)


def test_what_is_no_http_is_told_so_and_the_server_lives(server: Served) -> None:
    answer = ask(server.rdap_port, b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errorCode"] == 400
    assert get(server.rdap_port, "/help")[0] == 200


async def _many(server: Served, count: int) -> Counter[str]:
    """Connect all, then ask all, then read all."""
    found: Counter[str] = Counter()

    async def connected(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bool]:
        by_rdap = number % 2 == 1
        port = server.rdap_port if by_rdap else server.whois_port
        return *await asyncio.open_connection("127.0.0.1", port), by_rdap

    clients = await asyncio.gather(*map(connected, range(count)))
    for number, (_, writer, by_rdap) in enumerate(clients):
        address = f"193.0.{number % 8}.{number % 256}"
        if by_rdap:
            writer.write(f"GET /ip/{address} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        else:
            writer.write(f"-r {address}\r\n".encode())
    for answer in await asyncio.gather(*(reader.read() for reader, _, _ in clients)):
        kind = "rdap" if answer.startswith(b"HTTP/1.1 200 OK") else "whois"
        found[kind if b"INNER-NET" in answer else "wrong"] += 1
    for _, writer, _ in clients:
        writer.close()
    return found


def test_a_thousand_clients_at_once(server: Served) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        assert asyncio.run(_many(server, 1000)) == {"whois": 500, "rdap": 500}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def here(folder: Path, **more: float) -> object:
    """Both servers in this process, with little patience; yields their ports and counts."""
    snapshot = IndexedSnapshot(dump(folder))
    counts = Counts()
    whois = WhoisServer(snapshot, counts, more["patience_s"])
    rdap = RdapServer(snapshot, counts, **more)  # type: ignore[arg-type]
    try:
        ports = [(await each.start(("127.0.0.1", 0)))[1] for each in (whois, rdap)]
        yield *ports, counts
    finally:
        await whois.stop()
        await rdap.stop()
        snapshot.close()


async def until_closed(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def test_clients_that_send_slowly_or_not_at_all_are_let_go(tmp_path: Path) -> None:
    async def play() -> None:
        async with here(tmp_path, patience_s=0.3) as (whois, rdap, counts):  # type: ignore[attr-defined]
            slow = [until_closed(whois, b""), until_closed(whois, b"193.0.6"), until_closed(rdap, b"")]
            slow += [until_closed(rdap, b"GET /ip/193.0.6.139 HTTP/1.1\r\nHost: x\r\nX-Slow")]
            assert await asyncio.gather(*slow) == [b""] * 4
            assert counts["whois_timed_out"] == 2
            kept = b"GET /help HTTP/1.1\r\nHost: x\r\n\r\n"
            assert (await until_closed(rdap, kept)).startswith(b"HTTP/1.1 200")  # kept, and then closed

    asyncio.run(play())


def test_clients_that_do_not_take_their_answers_are_let_go(tmp_path: Path) -> None:
    async def play() -> None:
        async with here(tmp_path, patience_s=30.0, lifetime_s=0.5) as (_, rdap, _counts):  # type: ignore[attr-defined]
            reader, writer = await asyncio.open_connection("127.0.0.1", rdap, limit=1024)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while True:  # never reads
                        writer.write(b"GET /ip/193.0.6.139 HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                        await writer.drain()
            assert reader is not None
            writer.close()

    asyncio.run(play())


def test_more_clients_than_there_is_room_for_are_refused_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "MOST_CONNECTIONS", 2)

    async def play() -> None:
        async with here(tmp_path, patience_s=30.0) as (whois, rdap, counts):  # type: ignore[attr-defined]
            for port in (whois, rdap):
                idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
                assert await until_closed(port, b"") == b""
                for _, writer in idle:
                    writer.close()
            assert (counts["whois_refused"], counts["rdap_refused"]) == (1, 1)

    asyncio.run(play())


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path, capsys: Capture) -> None:
    file = dump(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for flags in (["--whois", place, "--rdap", "none"], ["--whois", "none", "--rdap", place]):
            assert main(["serve", str(file), *flags]) == UnavailableError.exit_code
            assert f"whoismesh: cannot listen on {place}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--whois", "4343"], "expected HOST:PORT"),
        (["--rdap", "127.0.0.1:99999"], "expected HOST:PORT"),
        (["--whois", "none", "--rdap", "none"], "expected something to serve"),
        (["--rdap-url", "whois.example.org"], "expected http:// or https://"),
    ],
)
def test_flags_that_make_no_sense_are_usage_errors(
    tmp_path: Path, capsys: Capture, flags: list[str], said: str
) -> None:
    assert main(["serve", str(dump(tmp_path)), *flags]) == 2
    assert said in capsys.readouterr().err


def test_links_lead_to_where_clients_find_it_and_a_replaced_dump_changes_nothing(tmp_path: Path) -> None:
    file = dump(tmp_path)
    with serving(file, "--rdap-url", "https://rdap.example.org/") as server:
        other = tmp_path / "other"
        write(other, RECORDS[:1])
        other.replace(file)
        with open_dump(file) as replaced:
            assert len(list(replaced)) == 1
        body = json.loads(get(server.rdap_port, "/ip/193.0.6.139")[2])
    assert body["name"] == "INNER-NET"
    assert body["links"][0]["href"] == "https://rdap.example.org/ip/193.0.0.0/21"


def test_idle_connections_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with contextlib.ExitStack() as clients:
        with serving(dump(tmp_path)) as server:
            for port in (server.whois_port, server.rdap_port):
                clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert get(server.rdap_port, "/help")[0] == 200


def test_nothing_but_loopback_is_listened_on_unless_told() -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    args = parser.parse_args(["results.msgpack"])
    assert (args.whois, args.rdap) == ("127.0.0.1:4343", "127.0.0.1:8080")
