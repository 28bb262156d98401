"""`whoismesh diff`, and the snapshots of two years that it is held to."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from small_dumps import network, write

from whoismesh.addresses import Range
from whoismesh.cli import main
from whoismesh.dump import open_dump, statistics
from whoismesh.networks import Holder, Network, Unheld
from whoismesh.practice import snapshot
from whoismesh.practice.table import CSV_COLUMNS

FIXTURES = Path(__file__).parent.parent / "fixtures"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("years")
    for year in ("2017", "2018"):
        table = FIXTURES / f"drift-{year}.csv.gz"
        assert snapshot.main([str(table), "-o", str(folder / year), "--no-names"]) == 0
    return folder / "2017", folder / "2018"


def rows(year: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the held rows of a table by range, with all else that a row tells, the holder last."""
    with gzip.open(FIXTURES / f"drift-{year}.csv.gz", "rt", encoding="utf-8") as file:
        lines = [row for row in csv.reader(file) if row[7] in ("allocated", "assigned")]
    return {(row[0], row[1]): tuple(row[3:]) for row in lines}


def test_the_drift_between_two_years_is_what_the_tables_say(years: tuple[Path, Path], capsys: Capture) -> None:
    """As shared by whoever made the tables: counted by row, without any code of whoismesh."""
    old, new = rows("2017"), rows("2018")
    both = old.keys() & new.keys()
    drift = {
        "same": sum(old[key] == new[key] for key in both),
        "holder_only": sum(old[key] != new[key] and old[key][:-1] == new[key][:-1] for key in both),
        "other": sum(old[key][:-1] != new[key][:-1] for key in both),
        "registry": sum(old[key][0] != new[key][0] for key in both),
        "gone": len(old.keys() - new.keys()),
        "new": len(new.keys() - old.keys()),
    }
    assert min(drift.values()) > 0
    assert main(["diff", *map(str, years), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    classes = found["classes"]
    changed = [classes[kind] for kind in ("details", "changed_hands", "moved_registry")]
    holder_only = sum(each["differing"].get("holder", 0) for each in changed)
    assert {
        "same": classes["unchanged"]["changes"],
        "holder_only": holder_only,
        "other": sum(each["changes"] for each in changed) - holder_only,
        "registry": classes["moved_registry"]["changes"],
        "gone": found["ranges"]["gone"],
        "new": found["ranges"]["new"],
    } == drift
    assert found["ranges"]["kept"] == len(both)


def test_the_way_back_has_the_counts_mirrored_and_every_address(years: tuple[Path, Path], capsys: Capture) -> None:
    found = []
    for pair in (years, years[::-1]):
        assert main(["diff", *map(str, pair), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["classes"])
    there, back = found
    assert there["added"] == back["removed"] and there["split"] == back["merged"]
    held = {}
    for path in years:
        with open_dump(path) as dump:
            held[path] = statistics(dump).addresses
    for classes, path in ((there, years[1]), (back, years[0])):
        told = {kind: row["addresses"] for kind, row in classes.items()}
        assert sum(told.values()) - told["removed"] == held[path]


def test_a_dump_and_itself_differ_in_nothing(years: tuple[Path, Path], capsys: Capture) -> None:
    assert main(["diff", str(years[0]), str(years[0])]) == 0
    out = capsys.readouterr().out
    assert "unchanged" in out and "widest" not in out
    assert main(["diff", str(years[0]), str(years[0]), "--jsonl"]) == 0
    assert capsys.readouterr().out == ""


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    old = [
        network("193.0.0.0/24", name="A", holder=Holder("ORG-A", "Société A")),
        network("193.0.1.0/24", country="NL"),
        network("2001:600::/32"),
    ]
    new = [
        network("193.0.0.0/24", name="A", holder=Holder("ORG-B", "B")),
        network("193.0.1.0/24", country="DE"),
        Unheld("unallocated", Range.parse("2001:600::/32"), "free"),
        network("194.0.0.0/24"),
    ]
    return [str(write(tmp_path / "old", old)), str(write(tmp_path / "new", new))]


def test_people_see_counts_and_the_widest_changes(two: list[str], capsys: Capture) -> None:
    assert main(["diff", *two, "--top", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "                   changes                                  addresses",
        "unchanged                0                                          0",
        "details                  1                                        256",
        "changed hands            1                                        256",
        "removed                  1     79,228,162,514,264,337,593,543,950,336",
        "not compared             1                                        256",
        "2 ranges of networks are in both, 1 gone, 1 new",
        "the widest changes:",
        "  removed 2001:600::/32",
        "    2001:600::/32, holder not named, ripencc",
        "    unallocated",
        "  changed hands 193.0.0.0/24 (holder)",
        "    193.0.0.0/24, Société A, ripencc",
        "    193.0.0.0/24, B, ripencc",
        "  details 193.0.1.0/24 (country)",
        "    193.0.1.0/24, holder not named, NL, ripencc",
        "    193.0.1.0/24, holder not named, DE, ripencc",
    ]


def test_counts_alone_are_shown_where_no_change_is_asked_for(two: list[str], capsys: Capture) -> None:
    assert main(["diff", *two, "--top", "0"]) == 0
    out = capsys.readouterr().out
    assert "changed hands            1 " in out and "2 ranges of networks are in both, 1 gone, 1 new" in out
    assert "widest" not in out


def test_a_json_line_for_each_change_has_both_records(two: list[str], capsys: Capture) -> None:
    assert main(["diff", *two, "--jsonl", "--ignore", "country"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["change"], line["range"]) for line in lines] == [
        ("changed_hands", "193.0.0.0/24"),
        ("not_compared", "194.0.0.0/24"),
        ("removed", "2001:600::/32"),
    ]
    first: dict[str, Any] = lines[0]
    assert set(first) == {"change", "range", "addresses", "fields", "old", "new"}
    assert first["addresses"] == 256 and first["fields"] == ["holder"]
    assert (first["old"]["holder"]["name"], first["new"]["holder"]["name"]) == ("Société A", "B")
    assert first["old"]["first"] == "193.0.0.0"
    assert lines[1]["old"] is None
    assert lines[2]["new"]["kind"] == "unallocated"


def test_a_cut_dump_is_compared_as_far_as_it_goes_and_said_to_be_cut(two: list[str], capsys: Capture) -> None:
    path = Path(two[1])
    path.write_bytes(path.read_bytes()[:-20])
    assert main(["diff", *two, "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["classes"]["changed_hands"]["changes"] == 1
    assert err.startswith(f"whoismesh: {path}: is cut short after 4 whole records") and err.count("\n") == 1


def test_dumps_out_of_order_and_wrong_usage_are_told_in_one_line(
    two: list[str], tmp_path: Path, capsys: Capture
) -> None:
    from whoismesh.dump_file import header_of, write_records
    from whoismesh.packing import pack

    swapped = [network("193.0.1.0/24"), network("193.0.0.0/24")]
    write_records(
        tmp_path / "bad", header_of([], complete=True), (("network", pack(each.to_map())) for each in swapped)
    )
    assert main(["diff", two[0], str(tmp_path / "bad")]) == 1
    assert "is not in order: 193.0.0.0/24 comes after a record that begins later" in capsys.readouterr().err
    assert main(["diff", *two, "--top", "-1"]) == 2
    assert "--top -1: expected 0 to 10000" in capsys.readouterr().err
    assert main(["diff", two[0], str(tmp_path / "nothing")]) == 1
    assert "cannot be read" in capsys.readouterr().err


# -- a table as a dump ----------------------------------------------------------------------------------------------


def test_a_snapshot_has_each_row_of_its_table(tmp_path: Path, capsys: Capture) -> None:
    table = tmp_path / "table.csv"
    lines = [
        "193.0.0.0/24,ripencc,NL,allocated,20010203,h1",
        "193.0.1.0/24,ripencc,,available,,",
        "193.0.2.0/24,iana,,reserved,,",
        "2001:600::/32,ripencc,DE,assigned,,h2",
    ]
    text = [",".join(CSV_COLUMNS)]
    for line in lines:
        where, registry, country, status, date, holder = line.split(",")
        found = Range.parse(where)
        text.append(f"{found.first},{found.last},1,{registry},{country},,,{status},{date},{holder}")
    table.write_text("\n".join(text) + "\n")
    assert snapshot.main([str(table), "-o", str(tmp_path / "dump")]) == 0
    assert capsys.readouterr().out == "2 networks, 2 ranges that nobody holds\n"
    with open_dump(tmp_path / "dump") as dump:
        found_records = list(dump)
        assert statistics(dump).settled == 3 * 256 + 2**96
        assert statistics(dump).complete
    assert found_records[0] == Network(
        "ripencc",
        Range.parse("193.0.0.0/24"),
        name="Holder h1",
        type="allocated",
        country="NL",
        holder=Holder("h1", "Holder h1"),
        registered="2001-02-03T00:00:00Z",
        source="bulk",
        server="table.csv",
        fetched_at=981158400.0,
    )
    assert [each.to_map()["kind"] for each in found_records[1:]] == ["unallocated", "reserved", "network"]


def test_a_snapshot_of_two_levels_has_networks_in_networks(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    assert snapshot.main([str(FIXTURES / "two-levels.csv.gz"), "-o", str(path), "--levels", "2"]) == 0
    with open_dump(path) as dump:
        assert dump.header["depth"] == "assignments"
        assert statistics(dump).networks > 100
    from whoismesh.practice.compare import main as compare

    assert compare([str(path), str(FIXTURES / "two-levels.csv.gz"), "--levels", "2"]) == 0
