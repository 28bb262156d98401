"""The practice server of origins: what it announces, how it answers, and how badly it can behave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from whoismesh.addresses import Range, parse_address
from whoismesh.answers.cymru import NOBODY, Origin, bulk_query, read_bulk
from whoismesh.practice.announcements import PRIVATE_ASNS, Announcements
from whoismesh.practice.cymru import MOST_SINGLES
from whoismesh.practice.faults import Fault, Weather
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import CSV_COLUMNS, AllocationTable, packaged

TABLE = AllocationTable.load(packaged())


def serve(check: Callable[[PracticeRegistries], Awaitable[None]], **more: Any) -> None:
    async def run() -> None:
        async with PracticeRegistries(more.pop("table", TABLE), **more) as practice:
            async with asyncio.timeout(20):
                await check(practice)

    asyncio.run(run())


async def ask(practice: PracticeRegistries, query: bytes) -> bytes:
    host, _, port = practice.origins_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(query)
        return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


def test_the_packaged_table_has_made_up_announcements_of_every_kind() -> None:
    announcements = Announcements(TABLE)
    kinds = set()
    for row in [row for row in TABLE.rows() if row.held][:200]:
        found = announcements.of(row.range.family, row.range.first)
        assert found == announcements.of(row.range.family, row.range.first)
        assert all(each.asn in PRIVATE_ASNS for each in found)
        assert all(each.prefix.is_cidr() and each.prefix.holds(4, row.range.first) for each in found)
        kinds.add((len(found), len({each.prefix for each in found})))
    assert kinds == {(0, 0), (1, 1), (2, 1), (2, 2)}
    assert announcements.of(4, parse_address("10.0.0.1")[1]) == []


def test_a_table_with_level_2_rows_announces_these_and_nothing_else(tmp_path: Path) -> None:
    first = parse_address("24.192.0.0")[1]
    rows = (
        (first, first + 4095, 1, "arin", "US", 0, "", "allocated", "20000101", "a"),
        (first + 256, first + 1023, 2, "arin", "US", 64500, "EXAMPLE", "routed", "", ""),
    )
    path = tmp_path / "table.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in (CSV_COLUMNS, *rows)) + "\n")
    announcements = Announcements(AllocationTable.load(path))
    assert announcements.of(4, first) == []
    assert [(each.asn, str(each.prefix)) for each in announcements.of(4, first + 256)] == [(64500, "24.192.1.0/24")]
    assert [str(each.prefix) for each in announcements.of(4, first + 1023)] == ["24.192.2.0/23"]
    assert announcements.of(4, first + 1024) == []


def test_a_bulk_query_is_answered_as_the_real_one_answers() -> None:
    rows = [row for row in TABLE.rows() if row.held][:300]
    asked = [(row.range.family, row.range.first) for row in rows]

    async def check(practice: PracticeRegistries) -> None:
        body = await ask(practice, bulk_query([*asked, parse_address("10.0.0.1")]))
        assert body.startswith(b"Bulk mode; whois.cymru.com [")
        assert body.endswith(b"\n")
        found = read_bulk(body, [*asked, parse_address("10.0.0.1")])
        announcements = Announcements(TABLE)
        for address in asked:
            best = announcements.of(*address)
            assert found[address] == (Origin(best[0].asn, str(best[0].prefix)) if best else NOBODY)
        assert found[parse_address("10.0.0.1")] == NOBODY
        assert practice.counts["cymru", "whois", "bulk:301"] == 1

    serve(check)


def test_lines_that_are_no_address_are_errors_with_their_number() -> None:
    async def check(practice: PracticeRegistries) -> None:
        body = await ask(practice, b"begin\r\nverbose\r\n24.192.0.1\r\nexample.org\r\nend\r\n")
        assert b"\nError: no ASN or IP match on line 4.\n" in body

    serve(check)


def test_whoever_sends_single_queries_in_numbers_is_null_routed() -> None:
    async def check(practice: PracticeRegistries) -> None:
        for _ in range(MOST_SINGLES):
            assert b"24.192.0.0" in await ask(practice, b"24.192.0.0\r\n")
        assert await ask(practice, b"24.192.0.0\r\n") == b""
        assert await ask(practice, bulk_query([parse_address("24.192.0.0")])) == b""
        assert practice.counts["cymru", "whois", "single"] == MOST_SINGLES
        assert practice.counts["cymru", "whois", "banned"] == 2

    serve(check, slow_s=0.05)


@pytest.mark.parametrize("fault", [each for each in Fault if each not in (Fault.FLOOD, Fault.BOMB)])
def test_each_fault_tells_no_untruth(fault: Fault) -> None:
    asked = [(row.range.family, row.range.first) for row in TABLE.rows() if row.held][:50]
    announcements = Announcements(TABLE)

    async def check(practice: PracticeRegistries) -> None:
        found = read_bulk(await ask(practice, bulk_query(asked)), asked)
        assert len(found) < len(asked)
        for address, origin in found.items():
            assert origin.asn in {None, *(each.asn for each in announcements.of(*address))}
        assert practice.counts["cymru", "whois", f"fault:{fault}"] == 1

    serve(check, slow_s=0.05, origin_weather=Weather(share=1.0, kinds=(fault,)))


def test_the_config_names_the_server() -> None:
    async def check(practice: PracticeRegistries) -> None:
        assert f'[origins]\nwhois = "{practice.origins_address}"\nrate = inf\n' in practice.config_text(
            [Range(4, 0, 255)]
        )

    serve(check)
