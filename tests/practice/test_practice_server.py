"""The servers on loopback: both protocols, limits, faults of the wire, the log and the config."""

import asyncio
import json
import socket
import time
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from whoismesh.addresses import Range, format_address, parse_space
from whoismesh.errors import UnavailableError, UsageError
from whoismesh.practice.faults import Fault, Weather
from whoismesh.practice.row import Row
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.registries import REGISTRIES

TABLE = AllocationTable.load(packaged())

Check = Callable[[PracticeRegistries, aiohttp.ClientSession], Awaitable[None]]


def serve(check: Check, table: AllocationTable = TABLE, **options: Any) -> None:
    async def run() -> None:
        async with PracticeRegistries(table, **options) as practice, aiohttp.ClientSession() as session:
            await asyncio.wait_for(check(practice, session), 30)

    asyncio.run(run())


def held_by(registry: str) -> Row:
    return next(row for row in TABLE.rows() if row.held and row.registry == registry)


def first(row: Row) -> str:
    return format_address(row.range.family, row.range.first)


async def ask_whois(practice: PracticeRegistries, registry: str, line: str, end: str = "\r\n") -> bytes:
    host, _, port = practice.whois_address(registry).partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write((line + end).encode())
        if not end:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def ask_raw(practice: PracticeRegistries, registry: str, request: str) -> bytes:
    port = int(practice.rdap_url(registry).split("/")[2].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode("latin-1"))
        return await reader.read()
    finally:
        writer.close()


def test_all_five_answer_for_their_own_in_both_protocols() -> None:
    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        for registry in REGISTRIES:
            row = held_by(registry)
            async with session.get(f"{practice.rdap_url(registry)}ip/{first(row)}") as answer:
                assert answer.status == 200 and answer.content_type == "application/rdap+json"
                body = json.loads(await answer.read())
                assert body["startAddress"] == first(row)
            text = await ask_whois(practice, registry, f"n + {first(row)}" if registry == "arin" else first(row))
            assert row.name in text.decode("utf-8", "replace")
        assert practice.counts["arin", "rdap", "network"] == 1
        assert [request.registry for request in practice.requests] == [each for each in REGISTRIES for _ in "rw"]

    serve(check)


def test_a_redirect_leads_to_the_registry_that_knows() -> None:
    row = next(row for row in TABLE.rows(Range.parse("130.128.0.0/9")) if row.registry == "ripencc")

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        url = f"{practice.rdap_url('arin')}ip/{first(row)}"
        async with session.get(url, allow_redirects=False) as answer:
            assert (
                answer.status == 301 and answer.headers["Location"] == f"{practice.rdap_url('ripencc')}ip/{first(row)}"
            )
        async with session.get(url) as answer:
            assert answer.status == 200
            assert json.loads(await answer.read())["port43"] == "whois.ripe.net"

    serve(check)


def test_http_errors_help_and_prefixes() -> None:
    gap = next(row for row in TABLE.rows() if not row.held)

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        base = practice.rdap_url(gap.registry)
        cases = {
            f"ip/{first(gap)}": 404,
            "ip/nonsense": 400,
            "ip/1.2.3.4-1.2.3.5": 400,
            "ip/1.2.3.4/24": 400,
            "autnum/64496": 501,
            "": 400,
            "help": 200,
            "ip/2001%3A600%3A%3A?cache=false": 404,
        }
        for path, status in cases.items():
            async with session.get(URL(base + path, encoded=True)) as answer:
                assert answer.status == status, path
                assert json.loads(await answer.read())["rdapConformance"]
        row = held_by("lacnic")
        async with session.get(f"{practice.rdap_url('lacnic')}ip/{row.range}") as answer:
            assert json.loads(await answer.read())["handle"] == str(row.range)
        async with session.head(f"{practice.rdap_url('lacnic')}ip/{row.range}") as answer:
            assert answer.status == 200 and not await answer.read()
        async with session.post(f"{base}ip/1.1.1.1", data=b"x") as answer:
            assert answer.status == 405
        async with session.get(f"{practice.rdap_url('arin').removesuffix('registry/')}ip/1.1.1.1") as answer:
            assert answer.status == 400  # not under the registry's base

    serve(check)


def test_keep_alive_pipelining_and_the_ends_of_connections() -> None:
    path = f"/registry/ip/{first(held_by('arin'))}"

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        keep = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"
        close = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert (await ask_raw(practice, "arin", keep * 3 + close)).count(b"HTTP/1.1 200 OK") == 4
        assert (await ask_raw(practice, "arin", f"GET {path} HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert (await ask_raw(practice, "arin", "nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        with_body = f"GET {path} HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
        assert (await ask_raw(practice, "arin", with_body)).startswith(b"HTTP/1.1 400 ")
        assert (await ask_raw(practice, "arin", "GET / HTTP/1.1\r\n" + "x" * 20_000)).startswith(b"HTTP/1.1 431 ")

    serve(check)


def test_latency_delays_and_keeps_the_order() -> None:
    rows = [row for row in TABLE.rows() if row.held and row.registry == "arin"][:3]
    request = "".join(f"GET /registry/ip/{first(row)} HTTP/1.1\r\nHost: x\r\n\r\n" for row in rows)

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        began = time.monotonic()
        answer = await ask_raw(practice, "arin", request.removesuffix("\r\n") + "Connection: close\r\n\r\n")
        assert time.monotonic() - began >= 3 * 0.02 * 0.5
        places = [answer.index(f'"startAddress":"{first(row)}"'.encode()) for row in rows]
        assert places == sorted(places)

    serve(check, weather=Weather(latency_s=0.02))


def test_whois_takes_every_end_of_a_line() -> None:
    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        for end in ("\r\n", "\n", ""):
            assert b"inetnum:" in await ask_whois(practice, "ripencc", f"-r {first(held_by('ripencc'))}", end)
        assert b"%ERROR:101" in await ask_whois(practice, "ripencc", "x" * 5000)
        assert b"%ERROR:106" in await ask_whois(practice, "ripencc", "")

    serve(check)


def test_names_outside_latin_1_do_not_break_an_answer() -> None:
    row = Row(Range.parse("46.128.0.0/16"), "ripencc", "PL", "allocated", "20100101", "x", "Łódź Sieć")

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        assert b"descr:          ?\xf3d? Sie?\n" in await ask_whois(practice, "ripencc", "-r 46.128.0.1")
        assert "Łódź Sieć".encode() in await ask_whois(practice, "ripencc", "-r -Z utf-8 46.128.0.1")

    serve(check, AllocationTable([row]))


def test_a_client_that_asks_too_fast_is_told_to_wait() -> None:
    now = [1000.0]

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        for registry in REGISTRIES:
            url = f"{practice.rdap_url(registry)}ip/{first(held_by(registry))}"
            for expected in (200, 200, 429):
                async with session.get(url) as answer:
                    assert answer.status == expected
            assert int(answer.headers["Retry-After"]) >= 1
            # One client has one limit at a registry, whatever the protocol.
            refused = (await ask_whois(practice, registry, first(held_by(registry)))).decode()
            assert "ERROR:201" in refused or "limit exceeded" in refused or "high volume" in refused
            assert practice.counts[registry, "rdap", "limited"] == 1 == practice.counts[registry, "whois", "limited"]
        now[0] += 0.5
        async with session.get(url) as answer:
            assert answer.status == 200

    serve(check, rate_limit=2, clock=lambda: now[0])


def address_with(weather: Weather, protocol: str, fault: Fault) -> str:
    """Return an ARIN address whose first answer meets a fault."""
    for row in TABLE.rows():
        if row.held and row.registry == "arin" and weather.decide("arin", protocol, first(row), 0).fault is fault:
            return first(row)
    raise AssertionError(f"no {fault} in the whole table")


def test_faults_of_the_wire_over_rdap() -> None:
    weather = Weather(share=1, seed=5)

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        base = practice.rdap_url("arin") + "ip/"
        async with session.get(base + address_with(weather, "rdap", Fault.ERROR)) as answer:
            assert answer.status == 500
        async with session.get(base + address_with(weather, "rdap", Fault.GARBAGE)) as answer:
            with pytest.raises(ValueError):
                json.loads(await answer.read())
        for fault in (Fault.CUT, Fault.SLOW):
            with pytest.raises(aiohttp.ClientError):
                async with session.get(base + address_with(weather, "rdap", fault)) as answer:
                    await answer.read()
        # Asked without aiohttp, whose client asks again by itself when a connection it used before is reset.
        address = address_with(weather, "rdap", Fault.RESET)
        with pytest.raises(ConnectionResetError):
            await ask_raw(practice, "arin", f"GET /registry/ip/{address} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert practice.counts["arin", "rdap", "fault:reset"] == 1

    serve(check, weather=weather, slow_s=0.01)


def test_faults_of_the_wire_over_whois() -> None:
    weather = Weather(share=1, seed=6)

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        assert await ask_whois(practice, "arin", "n + " + address_with(weather, "whois", Fault.ERROR)) == b""
        assert b"NetRange" not in await ask_whois(practice, "arin", address_with(weather, "whois", Fault.GARBAGE))
        for fault in (Fault.CUT, Fault.SLOW):
            text = await ask_whois(practice, "arin", "n + " + address_with(weather, "whois", fault))
            assert text.startswith(b"\n#") and b"OrgTechRef" not in text
        with pytest.raises(ConnectionResetError):
            await ask_whois(practice, "arin", "n + " + address_with(weather, "whois", Fault.RESET))

    serve(check, weather=weather, slow_s=0.01)


def test_a_fault_does_not_stay_with_an_address() -> None:
    weather = Weather(share=0.5, seed=9)
    address = address_with(weather, "rdap", Fault.ERROR)

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        statuses = set()
        for _ in range(30):
            try:
                async with session.get(f"{practice.rdap_url('arin')}ip/{address}") as answer:
                    await answer.read()
                    statuses.add(answer.status)
            except aiohttp.ClientError:
                statuses.add(0)
        assert {0, 200, 500} <= statuses

    serve(check, weather=weather, slow_s=0.01)


def test_stopping_does_not_wait_for_slow_answers() -> None:
    weather = Weather(share=1, seed=5)
    address = address_with(weather, "rdap", Fault.SLOW)

    async def run() -> float:
        practice = PracticeRegistries(TABLE, weather=weather, slow_s=3600)
        await practice.start()
        asking = asyncio.ensure_future(ask_raw(practice, "arin", f"GET /registry/ip/{address} HTTP/1.1\r\n\r\n"))
        while not practice.requests:
            await asyncio.sleep(0)
        began = time.monotonic()
        await practice.stop()
        await asyncio.gather(asking, return_exceptions=True)
        return time.monotonic() - began

    assert asyncio.run(run()) < 5


def test_the_log_has_a_line_a_request_and_stays_one_line_a_request(tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    row = held_by("apnic")

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{practice.rdap_url('apnic')}ip/{first(row)}") as answer:
            await answer.read()
        await ask_whois(practice, "apnic", f"-r {first(row)}")
        await ask_whois(practice, "apnic", "a,b\tc\x00\r d")
        assert practice.requests == []

    before = time.monotonic()
    serve(check, log=log, keep_requests=False)
    lines = [line.split(",") for line in log.read_text().splitlines()]
    assert all(len(line) == 5 for line in lines)
    assert before - 1e-6 <= float(lines[0][0]) <= float(lines[1][0]) <= time.monotonic()
    assert [line[1:] for line in lines[:2]] == [
        ["apnic", "rdap", first(row), "network"],
        ["apnic", "whois", first(row), "network"],
    ]
    assert lines[2][4] == "bad"


def test_the_log_is_flushed_while_serving(tmp_path: Path) -> None:
    log = tmp_path / "requests.log"

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        await ask_whois(practice, "arin", "n + 24.192.0.1")
        while not log.read_text().endswith("network\n"):
            await asyncio.sleep(0)

    serve(check, log=log)


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="request log"):
        serve(None, log=tmp_path / "missing" / "log")  # type: ignore[arg-type]


def test_the_config_points_to_the_servers() -> None:
    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        config = tomllib.loads(practice.config_text())
        assert parse_space(config["crawl"]["space"]) == tuple(TABLE.space())
        assert "@" in config["crawl"]["contact"]
        assert set(config["registries"]) == set(REGISTRIES)
        for registry, settings in config["registries"].items():
            assert settings["rdap"] == practice.rdap_url(registry) and settings["rdap"].endswith("/")
            assert settings["whois"] == practice.whois_address(registry)
            assert settings["protocols"] == ["rdap", "whois"]
            assert settings["rate"] == settings["host_rate"] == float("inf") and settings["connections"] == 16
        narrow = tomllib.loads(practice.config_text([Range.parse("24.192.0.0/16"), Range.parse("61.0.0.0-61.2.0.0")]))
        assert narrow["crawl"]["space"] == ["24.192.0.0/16", "61.0.0.0-61.2.0.0"]

    serve(check)


def free_run(count: int) -> int:
    """Return the first of `count` consecutive ports that are free now."""
    for port in range(20_000, 60_000, count):
        taken = []
        try:
            for number in range(count):
                sock = socket.socket()
                taken.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(("127.0.0.1", port + number))
            return port
        except OSError:
            continue
        finally:
            for sock in taken:
                sock.close()
    raise AssertionError("no free ports")


def test_consecutive_ports_and_a_port_in_use() -> None:
    port = free_run(11)

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        assert practice.rdap_url("arin") == f"http://127.0.0.1:{port}/registry/"
        assert practice.whois_address("afrinic") == f"127.0.0.1:{port + 9}"
        assert practice.origins_address == f"127.0.0.1:{port + 10}"
        with pytest.raises(UnavailableError, match=f"port {port} of 127.0.0.1 is in use"):
            async with PracticeRegistries(TABLE, first_port=port):
                pass

    serve(check, first_port=port)
    with pytest.raises(UsageError):
        PracticeRegistries(TABLE, first_port=65_530)


@pytest.mark.parametrize(("host", "named"), [("127.0.0.9", "127.0.0.9"), ("::1", "[::1]")])
def test_serves_at_the_address_named(host: str, named: str) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            sock.bind((host, 0))
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error.strerror}")

    async def check(practice: PracticeRegistries, session: aiohttp.ClientSession) -> None:
        assert practice.rdap_url("ripencc").startswith(f"http://{named}:")
        settings = tomllib.loads(practice.config_text())["registries"]["ripencc"]
        assert settings["rdap"] == practice.rdap_url("ripencc")
        assert settings["whois"].startswith(f"{named}:")
        # At that address alone. (That nobody answers at another one cannot be tried: the port may be somebody else's.)
        assert {sock.getsockname()[0] for server in practice._servers for sock in server.sockets} == {host}

    serve(check, host=host)


@pytest.mark.parametrize("host", ["localhost", "", "0.0.0.0", "::"])
def test_an_address_nobody_could_ask_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="host"):
        PracticeRegistries(TABLE, host=host)
