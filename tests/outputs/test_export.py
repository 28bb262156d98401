"""`whoismesh export`: each format holds what it can, and other programs read it."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import maxminddb
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_dumps import PLACES, answer, network, sorted_records, write

from whoismesh.addresses import Range
from whoismesh.cli import main
from whoismesh.dump import read_record
from whoismesh.exports import mmdb
from whoismesh.exports.mmdb import fields, write_mmdb
from whoismesh.exports.parquet import write_parquet
from whoismesh.exports.rows import COLUMNS, MAPPED, TEXT_COLUMNS
from whoismesh.exports.sqlite import write_sqlite
from whoismesh.exports.texts import write_csv, write_jsonl
from whoismesh.index import open_index
from whoismesh.networks import Holder, Record, Unheld
from whoismesh.practice import snapshot
from whoismesh.segments import IPV6_PLACE, range_of

FIXTURES = Path(__file__).parent.parent / "fixtures"
FULL = network(
    "193.0.0.0-193.0.2.255",
    handle="H", name="Zürich 東京", type="ASSIGNED PA", status=("active", "validated"), country="CH", parent="P",
    holder=Holder("ORG-1", 'Comma, "quote"\nand line'), registered="2001-02-03T00:00:00Z",
    changed="2002-02-03T00:00:00Z", asn=2**32 - 1, asn_cidr="193.0.0.0/22", server="https://x/", asked="193.0.0.9",
    fetched_at=1.5e9 + 0.25, also=network("193.0.0.0/24", source="whois", name="É"), differs=("range", "handle"),
)  # fmt: skip
RECORDS: list[Record] = [
    FULL,
    network("193.0.1.0/24", name="INSIDE", country="NL", holder=Holder("ORG-2", "Two")),
    Unheld("unallocated", Range.parse("194.0.0.0/24"), "nobody", "delegated"),
    Unheld("failed", Range.parse("195.0.0.0-195.0.0.2"), "timed out"),
    network("2001:600::/32", registry="apnic", fetched_at=2.0),
]


def record_of(row: dict[str, Any]) -> Record:
    """Return the record that a row was made of, by its columns alone."""
    first, last = (ip_address(row[each]) for each in ("first", "last"))
    values = {
        **row,
        "first": first.packed,
        "last": last.packed,
        "holder": {"handle": row["holder_handle"], "name": row["holder_name"]},
        "source": row["source"] or "",
    }
    also = values.pop("also")
    if also is not None:
        told = json.loads(also)
        values["also"] = told | {each: ip_address(told[each]).packed for each in ("first", "last")}
    return read_record(values, "a row")


def texts_of(value: str | None) -> list[str] | None:
    return None if value is None else json.loads(value)


def from_csv(found: list[Record], folder: Path) -> list[dict[str, Any]]:
    file = io.StringIO(newline="")
    write_csv(found, file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))
    for row in rows:
        assert list(row) == [column.name for column in TEXT_COLUMNS]
        row.update({key: value or None for key, value in row.items()})  # CSV has no other nothing
        row.update({each: texts_of(row[each]) for each in ("status", "differs")})
        row["asn"] = None if row["asn"] is None else int(row["asn"])
        row["fetched_at"] = None if row["fetched_at"] is None else float(row["fetched_at"])
        row["reason"] = row["reason"] or ""
    return rows


def from_jsonl(found: list[Record], folder: Path) -> list[dict[str, Any]]:
    file = io.StringIO()
    write_jsonl(found, file)
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    assert all(list(row) == [column.name for column in TEXT_COLUMNS] for row in rows)
    return rows


def from_parquet(found: list[Record], folder: Path) -> list[dict[str, Any]]:
    write_parquet(found, folder / "parquet")
    table = pyarrow.parquet.read_table(folder / "parquet")
    assert table.column_names == [column.name for column in COLUMNS]
    return table.to_pylist()


def from_sqlite(found: list[Record], folder: Path) -> list[dict[str, Any]]:
    write_sqlite(found, folder / "sqlite")
    with closing(sqlite3.connect(folder / "sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM records ORDER BY rowid")]
    for row in rows:
        row.update({each: texts_of(row[each]) for each in ("status", "differs")})
    return rows


FORMATS = [from_csv, from_jsonl, from_parquet, from_sqlite]


@pytest.mark.parametrize("through", FORMATS)
def test_a_round_trip_loses_nothing(through: Callable[..., list[dict[str, Any]]], tmp_path: Path) -> None:
    rows = through(RECORDS, tmp_path)
    assert [record_of(row) for row in rows] == RECORDS
    assert [row["network"] for row in rows] == [str(each.range) for each in RECORDS]
    assert rows[0]["reason"] in (None, "") and rows[2]["registry"] is None
    if "first_bin" in rows[0]:
        assert (rows[0]["first_bin"], rows[0]["first_int"]) == (MAPPED + bytes([193, 0, 0, 0]), 193 << 24)
        assert (rows[4]["last_bin"][:4], rows[4]["last_int"]) == (b"\x20\x01\x06\x00", None)


@pytest.mark.parametrize("through", FORMATS)
@given(found=sorted_records())
@settings(max_examples=30)
def test_any_records_come_back(
    through: Callable[..., list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory, found: list[Record]
) -> None:
    rows = through(found, tmp_path_factory.mktemp("table"))
    assert [record_of(row) for row in rows] == found


# -- MMDB -----------------------------------------------------------------------------------------------------------


@given(found=sorted_records())
@settings(max_examples=60)
def test_an_mmdb_answers_what_a_lookup_does(tmp_path_factory: pytest.TempPathFactory, found: list[Record]) -> None:
    path = tmp_path_factory.mktemp("mmdb") / "x.mmdb"
    write_mmdb(found, path, 5.0)
    with maxminddb.open_database(path) as reader:
        for each in PLACES:
            if IPV6_PLACE <= each < IPV6_PLACE + 2**32:
                continue  # where IPv4 lies
            where = range_of(each, each)
            expected = answer(found, where)
            told = reader.get(ip_address(where.first_bytes))
            assert told == (None if expected is None else fields(expected))


def test_an_mmdb_answers_100000_random_addresses_as_lookup_does(tmp_path: Path) -> None:
    path = tmp_path / "nested"
    assert snapshot.main([str(FIXTURES / "two-levels.csv.gz"), "-o", str(path), "--levels", "2"]) == 0
    six = [network(f"2001:{n:x}::/{32 + n % 30}", name=f"N{n}") for n in range(0x600, 0x700)]
    with open_index(path) as index:
        found = [index.record(number) for number in range(len(index))]
    path = write(tmp_path / "both", [*found, *six, network("2001:600::/24"), network("2001:600:0:1::-2001:601::7")])
    assert main(["export", str(path), "--to", "mmdb", "-o", str(tmp_path / "x.mmdb")]) == 0
    chance = random.Random(11)
    with open_index(path) as index, maxminddb.open_database(tmp_path / "x.mmdb") as reader:
        expected: dict[int | None, Any] = {n: fields(index.record(n)) for n in range(len(index))} | {None: None}
        near = [index.record(number).range for number in range(len(index))]
        told = 0
        for number in range(100_000):
            family, first, last = chance.choice(near)
            step = chance.choice((0, 1, -1, chance.getrandbits(10), chance.randrange(2 * (last - first + 1))))
            address = chance.getrandbits(32) if number % 10 == 0 and family == 4 else first + step
            answered = index.find(family, address)
            text = str(ip_address(address.to_bytes(4 if family == 4 else 16)))
            assert reader.get(text) == expected[answered]
            told += answered is not None
        assert told > 50_000


def test_an_mmdb_has_what_geoip_programs_look_for(tmp_path: Path) -> None:
    write_mmdb(RECORDS, tmp_path / "x.mmdb", 1.5e9)
    with maxminddb.open_database(tmp_path / "x.mmdb") as reader:
        told: Any = reader.get("193.0.0.1")
        assert told["country"]["iso_code"] == "CH"
        assert told["autonomous_system_number"] == 2**32 - 1
        assert told["status"] == ["active", "validated"]
        assert reader.get_with_prefix_len("193.0.1.77")[1] == 24
        assert reader.get("194.0.0.5") == {
            "kind": "unallocated", "network": "194.0.0.0/24", "reason": "nobody", "source": "delegated"
        }  # fmt: skip
        found = reader.metadata()
        assert (found.database_type, found.ip_version, found.build_epoch) == ("whoismesh", 6, 1_500_000_000)
        assert len(list(reader)) > 5  # every prefix can be walked


@given(st.integers(0, 2**32 - 1), st.text(max_size=100), st.integers(0, 70_000))
@settings(max_examples=50)
def test_values_of_every_size_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, asn: int, text: str, length: int
) -> None:
    long = "x" * length
    found = [network("10.0.0.0/8", asn=asn, name=text, handle=long, status=(text,) * 40)]
    path = tmp_path_factory.mktemp("mmdb") / "x.mmdb"
    write_mmdb(found, path, 0)
    with maxminddb.open_database(path) as reader:
        told: Any = reader.get("10.1.1.1")
    assert told["autonomous_system_number"] == asn and told["handle"] == long and told["status"] == [text] * 40


def test_pointers_reach_far(tmp_path: Path) -> None:
    """Over all their four forms, of which the widest begins at 128 MiB: there by arithmetic alone."""
    names = [f"{n:05} {'n' * 700}" for n in range(1_000)]
    found = [network(f"10.{n >> 8}.{n & 255}.0/24", name=names[n % 1_000]) for n in range(3_000)]
    write_mmdb(found, tmp_path / "x.mmdb", 0)
    with maxminddb.open_database(tmp_path / "x.mmdb") as reader:
        for n in range(0, 3_000, 37):
            told: Any = reader.get(f"10.{n >> 8}.{n & 255}.1")
            assert told["name"] == names[n % 1_000]
    edges = (0, 2_047, 2_048, 526_335, 526_336, 134_744_063, 134_744_064, 2**32 - 1)
    assert [len(mmdb._pointer(at)) for at in edges] == [2, 2, 3, 3, 4, 4, 5, 5]


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def dump(tmp_path: Path) -> str:
    return str(write(tmp_path / "results.msgpack", RECORDS))


def test_text_goes_to_standard_output_or_a_file(dump: str, tmp_path: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "NO_COLOR": "1", "COLUMNS": "20", "PYTHONIOENCODING": "ascii"}
    for name in ("csv", "jsonl"):
        command = [sys.executable, "-m", "whoismesh", "export", dump, "--to", name]
        done = subprocess.run(command, capture_output=True, check=True, env=environment)
        assert done.stderr == b""
        assert main(["export", dump, "--to", name, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_bytes() == done.stdout
        assert len(done.stdout.decode("utf-8").splitlines()) >= len(RECORDS)
    assert main(["export", dump, "--to", "jsonl", "--networks-only", "-o", str(tmp_path / "few")]) == 0
    kinds = {json.loads(line)["kind"] for line in (tmp_path / "few").read_text().splitlines()}
    assert kinds == {"network"}


@pytest.mark.parametrize("name", ["parquet", "mmdb", "sqlite"])
def test_other_formats_need_a_file(dump: str, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["export", dump, "--to", name]) == 2
    told = f"whoismesh: --to {name}: expected -o FILE; only csv and jsonl go to standard output\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "mmdb", "sqlite"])
def test_a_file_appears_whole_or_not_at_all(
    dump: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out = tmp_path / "out"
    out.write_text("of yesterday")

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Range, "__str__", broken)
        assert main(["export", dump, "--to", name, "-o", str(out)]) == 130
    assert out.read_text() == "of yesterday"
    assert main(["export", dump, "--to", name, "-o", str(out)]) == 0
    assert out.read_bytes() != b"of yesterday"
    assert main(["export", dump, "--to", name, "-o", str(tmp_path / "no" / "out")]) == 1
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out", "results.msgpack"]
    # What is whole of a cut dump is written, and the cut told.
    Path(dump).write_bytes(Path(dump).read_bytes()[:-1])
    assert main(["export", dump, "--to", name, "-o", str(out)]) == 1
    assert "is cut short after 5 whole records" in capsys.readouterr().err
    assert out.stat().st_size > 100


def test_without_pyarrow_the_command_says_what_to_install(
    dump: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["export", dump, "--to", "parquet", "-o", str(tmp_path / "out")]) == 69
    told = "whoismesh: Parquet needs the package pyarrow, which is not installed: pip install 'whoismesh[export]'\n"
    assert capsys.readouterr().err == told
    assert not (tmp_path / "out").exists()
    assert main(["export", dump, "--to", "mmdb", "-o", str(tmp_path / "out")]) == 0


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", [network(f"10.{n >> 8}.{n & 255}.0/24") for n in range(2_000)])
    for name in ("csv", "jsonl"):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "whoismesh", "export", str(path), "--to", name]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_page_has_every_column_and_its_type() -> None:
    page = (FIXTURES.parent.parent / "docs" / "export.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    told = [(name.strip("| `"), kind, also) for name, kind, also, *_ in (row for row in rows if len(row) == 4)]
    text = {column.name for column in TEXT_COLUMNS}
    assert told == [(name, kind, "all" if name in text else "Parquet, SQLite") for name, kind, _ in COLUMNS]
