"""Tables of several levels: the narrowest answers, and registries tell of what lies in a network and around it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from whoismesh.addresses import Range
from whoismesh.errors import ConfigError
from whoismesh.practice.row import Row
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import CSV_COLUMNS, AllocationTable
from whoismesh.registries import REGISTRIES

SMALL = Path(__file__).parent.parent / "fixtures" / "two-levels.csv.gz"


def row(text: str, level: int = 1, registry: str = "ripencc") -> Row:
    return Row(Range.parse(text), registry, "NL", "allocated", "20010203", f"h{text}", f"Net {text}", level)


ROWS = [
    row("193.0.0.0/20"),
    row("193.0.0.0/22", 2),
    row("193.0.1.0/24", 3),
    row("193.0.8.0-193.0.9.127", 2),
    row("193.0.16.0/20"),
]


def texts(rows: Any) -> list[str]:
    return [str(each.range) for each in rows]


def test_rows_in_rows_are_found_from_the_narrowest_on() -> None:
    table = AllocationTable(ROWS)
    assert str(table.find(4, Range.parse("193.0.1.9").first).range) == "193.0.1.0/24"
    assert texts(table.around(Range.parse("193.0.1.9"))) == ["193.0.1.0/24", "193.0.0.0/22", "193.0.0.0/20"]
    assert texts(table.around(Range.parse("193.0.0.0/22"))) == ["193.0.0.0/22", "193.0.0.0/20"]
    assert texts(table.below(Range.parse("193.0.0.0/20"))) == ["193.0.0.0/22", "193.0.1.0/24", "193.0.8.0-193.0.9.127"]
    assert texts(table.children(Range.parse("193.0.0.0/20"))) == ["193.0.0.0/22", "193.0.8.0-193.0.9.127"]
    assert texts(table.children(Range.parse("193.0.0.0/19"))) == ["193.0.0.0/20", "193.0.16.0/20"]
    assert table.smallest(Range.parse("193.0.0.0/19")) is None
    assert table.network_count == 5
    assert [each.status for each in table.deeper()] == ["allocated", "assigned", "assigned"]


def test_what_is_no_tree_is_refused_and_a_range_twice_is_one_row() -> None:
    with pytest.raises(ConfigError, match=r"rows overlap: 193.0.0.0/22 and 193.0.3.0-193.0.4.255"):
        AllocationTable([*ROWS, row("193.0.3.0-193.0.4.255", 2)])
    with pytest.raises(ConfigError, match=r"lies in no row of level 1"):
        AllocationTable([*ROWS, row("193.0.40.0/24", 2)])
    assert AllocationTable([*ROWS, row("193.0.16.0/20", 2), row("193.0.1.0/24", 4)]).network_count == 5


def test_levels_of_a_csv_are_kept_as_far_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    lines = [",".join(CSV_COLUMNS)]
    for each, asn in zip(ROWS, (0, 64500, 64501, 0, 0), strict=True):
        status = each.status if each.level == 1 else "routed"
        lines.append(
            f"{each.range.first},{each.range.last},{each.level},ripencc,NL,{asn},{each.name},{status},20010203,h"
        )
    path.write_text("\n".join(lines) + "\n")
    assert [AllocationTable.load(path, levels).network_count for levels in (1, 2, 3)] == [2, 4, 5]
    inner = AllocationTable.load(path, 3).find(4, Range.parse("193.0.1.1").first)
    assert (inner.name, inner.holder, inner.level, inner.date) == ("Net 193.0.1.0/24", "AS64501", 3, "20010203")
    path.write_text("\n".join([lines[0], lines[1], lines[5], lines[2]]) + "\n")
    with pytest.raises(ConfigError, match="level-2 row must follow the level-1 row"):
        AllocationTable.load(path, 2)


def test_the_fixture_has_both_levels_of_all_registries() -> None:
    table = AllocationTable.load(SMALL, 2)
    assert {each.registry for each in table.rows() if each.held} == set(REGISTRIES)
    assert len(list(table.deeper())) > 300


async def _get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as response:
        return response.status, json.loads(await response.read() or b"null")


async def _whois(address: str, line: str) -> str:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{line}\r\n".encode())
    body = await reader.read()
    writer.close()
    return body.decode("latin-1")


def served(test: Any, rows: list[Row] = ROWS, **more: Any) -> None:
    async def run() -> None:
        async with PracticeRegistries(AllocationTable(rows), **more) as practice:
            await test(practice)

    asyncio.run(run())


def test_rdap_answers_with_the_narrowest_and_names_its_parent() -> None:
    async def ask(practice: PracticeRegistries) -> None:
        base = practice.rdap_url("ripencc")
        _, body = await _get(f"{base}ip/193.0.1.9")
        assert (body["startAddress"], body["parentHandle"]) == ("193.0.1.0", "193.0.0.0 - 193.0.3.255")
        assert body["type"] == "ASSIGNED PA"
        _, body = await _get(f"{base}ip/193.0.0.0/23")
        assert (body["handle"], body["type"]) == ("193.0.0.0 - 193.0.3.255", "SUB-ALLOCATED PA")
        assert "rirSearch1" not in body["rdapConformance"]
        assert (await _get(f"{base}ips/rirSearch1/rdap-down/193.0.0.0/20"))[0] == 501

    served(ask)


def test_relation_searches_are_served_by_those_who_have_them() -> None:
    async def ask(practice: PracticeRegistries) -> None:
        base = practice.rdap_url("ripencc")
        _, body = await _get(f"{base}ip/193.0.8.1")
        assert {"rirSearch1", "ips", "ipSearchResults"} <= set(body["rdapConformance"])
        links = {each["rel"]: each["href"] for each in body["links"]}
        assert links["rdap-down"] == f"{base}ips/rirSearch1/rdap-down/193.0.8.0%20-%20193.0.9.127"
        status, up = await _get(links["rdap-up"])
        assert (status, up["handle"]) == (200, "193.0.0.0 - 193.0.15.255")
        assert (await _get(links["rdap-down"]))[0] == 404
        _, down = await _get(f"{base}ips/rirSearch1/rdap-down/193.0.0.0/20")
        assert [each["handle"] for each in down["ipSearchResults"]] == [
            "193.0.0.0 - 193.0.3.255",
            "193.0.8.0 - 193.0.9.127",
        ]
        assert all("rdap-down" in {link["rel"] for link in each["links"]} for each in down["ipSearchResults"])
        _, pool = await _get(f"{base}ips/rirSearch1/rdap-up/193.0.0.0/20")
        assert pool["handle"] == "193.0.0.0 - 193.255.255.255"
        assert (await _get(f"{base}ips/rirSearch1/rdap-down/x"))[0] == 400
        assert (await _get(f"{base}ips/rirSearch1/rdap-sideways/193.0.0.0/20"))[0] == 501

    served(ask, rir_search=("ripencc",))


def test_a_list_that_is_too_long_is_cut_or_refused_in_each_registry_s_way() -> None:
    async def ask(practice: PracticeRegistries) -> None:
        _, down = await _get(f"{practice.rdap_url('ripencc')}ips/rirSearch1/rdap-down/193.0.0.0/20")
        assert len(down["ipSearchResults"]) == 1
        assert down["notices"][-1]["type"].startswith("result set truncated")
        assert "%ERROR:112" in await _whois(practice.whois_address("ripencc"), "-r -M 193.0.0.0/20")
        cut = await _whois(practice.whois_address("apnic"), "-r -M 61.0.0.0/20")
        assert cut.count("\ninetnum:") == 1 and "output has been truncated" in cut

    rows = [
        *ROWS,
        *(row(text, level, "apnic") for text, level in (("61.0.0.0/20", 1), ("61.0.0.0/22", 2), ("61.0.8.0/24", 2))),
    ]
    served(ask, rows, rir_search=("ripencc",), most_listed=1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("-r -m 193.0.0.0/20", ["193.0.0.0 - 193.0.3.255", "193.0.8.0 - 193.0.9.127"]),
        ("-r -M 193.0.0.0/20", ["193.0.0.0 - 193.0.3.255", "193.0.1.0 - 193.0.1.255", "193.0.8.0 - 193.0.9.127"]),
        ("-r -K --all-more 193.0.0.0/22", ["193.0.1.0 - 193.0.1.255"]),
        ("-r -L 193.0.0.0/22", ["193.0.0.0 - 193.255.255.255", "193.0.0.0 - 193.0.15.255", "193.0.0.0 - 193.0.3.255"]),
        ("-r -l 193.0.1.0/24", ["193.0.0.0 - 193.0.3.255"]),
        ("-r -M 193.0.1.0/24", []),
        ("-r -T person -M 193.0.0.0/20", []),
    ],
)  # fmt: skip
def test_flags_of_port_43(query: str, expected: list[str]) -> None:
    async def ask(practice: PracticeRegistries) -> None:
        found = await _whois(practice.whois_address("ripencc"), query)
        lines = [line.partition(":")[2].strip() for line in found.splitlines() if line.startswith("inetnum:")]
        assert lines == expected
        assert ("%ERROR:101" in found) == (not expected)
        assert ("netname:" in found) == (bool(expected) and "-K" not in query)

    served(ask)


def test_arin_and_lacnic_tell_of_what_is_around_in_their_own_ways() -> None:
    async def ask(practice: PracticeRegistries) -> None:
        found = await _whois(practice.whois_address("arin"), "n + 24.192.1.1")
        ranges = [line.split(":")[1].strip() for line in found.splitlines() if line.startswith("NetRange")]
        assert ranges == ["24.192.0.0 - 24.192.15.255", "24.192.1.0 - 24.192.1.255"]
        assert "Reassigned" in found and "NET-24-192-1-0-2" in found
        found = await _whois(practice.whois_address("lacnic"), "177.96.1.1")
        assert "inetnum-up:  177.96/20" in found and "reassigned" in found

    rows = [
        row("24.192.0.0/20", registry="arin"),
        row("24.192.1.0/24", 2, "arin"),
        row("177.96.0.0/20", registry="lacnic"),
        row("177.96.1.0/24", 2, "lacnic"),
    ]
    served(ask, rows)
