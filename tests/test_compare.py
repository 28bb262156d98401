from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from whoismesh.addresses import Range
from whoismesh.compounds import Result
from whoismesh.dump import FORMAT, VERSION, footer_of
from whoismesh.dump_writer import write_dump
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.practice.compare import compare, main
from whoismesh.practice.table import CSV_COLUMNS, AllocationTable, packaged

MakeResult = Callable[..., Result]
MakeState = Callable[[Path, Iterable[str], Iterable[Result]], None]

ROWS = (
    ("193.0.0.0/24", "ripencc", "allocated"),
    ("193.0.1.0-193.0.2.255", "ripencc", "assigned"),
    ("193.0.3.0/24", "ripencc", "available"),
    ("193.0.4.0/22", "ripencc", "allocated"),
    ("194.0.0.0/24", "ripencc", "allocated"),  # outside of the space
)
#: The last of the rows lies in the space with its first half only.
SPACE = "193.0.0.0-193.0.5.255"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = [",".join(CSV_COLUMNS)]
    for text, registry, status in ROWS:
        found = Range.parse(text)
        lines.append(f"{found.first},{found.last},1,{registry},NL,,,{status},20010203,")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def dump_of(
    tmp_path: Path, make_result: MakeResult, make_state: MakeState
) -> Callable[[Iterable[tuple[str, str]]], Path]:
    def make(networks: Iterable[tuple[str, str]]) -> Path:
        folder = tmp_path / "state"
        folder.mkdir()
        results = [make_result(n, "network", text, registry=of) for n, (text, of) in enumerate(networks)]
        make_state(folder, [SPACE], results)
        write_dump(folder, tmp_path / "dump")
        return tmp_path / "dump"

    return make


RIGHT = [("193.0.0.0/24", "ripencc"), ("193.0.1.0-193.0.2.255", "ripencc"), ("193.0.4.0/22", "ripencc")]


def test_a_dump_of_all_that_touches_the_space_is_equal(
    table: Path, dump_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = dump_of(RIGHT)
    result = compare(path, AllocationTable.load(table))
    assert result.equal
    assert result.found == 3
    assert main([str(path), str(table)]) == 0
    expected = "3 networks of the table found, 0 missing, 0 more than once, 0 that are not in it\n"
    assert capsys.readouterr().out == expected


def test_every_difference_is_found(
    table: Path, dump_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    # Another range, another registry, a free block and one from outside.
    path = dump_of(
        [("193.0.0.0/25", "ripencc"), ("193.0.1.0-193.0.2.255", "arin"), ("193.0.3.0/24", "ripencc"), RIGHT[2]]
    )
    result = compare(path, AllocationTable.load(table))
    assert not result.equal
    assert result.found == 1
    assert [(registry, str(where)) for registry, where in result.missing] == [
        ("ripencc", "193.0.0.0/24"),
        ("ripencc", "193.0.1.0-193.0.2.255"),
    ]
    assert [(registry, str(where)) for registry, where in result.unexpected] == [
        ("ripencc", "193.0.0.0/25"),
        ("arin", "193.0.1.0-193.0.2.255"),
        ("ripencc", "193.0.3.0/24"),
    ]
    assert main([str(path), str(table)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 networks of the table found, 2 missing, 0 more than once, 3 that are not in it"
    assert "  missing: ripencc 193.0.0.0/24" in lines
    assert "  unexpected: arin 193.0.1.0-193.0.2.255" in lines


def test_a_network_that_is_there_twice_is_a_difference(table: Path, tmp_path: Path) -> None:
    header = pack({"format": FORMAT, "version": VERSION, "space": [SPACE]})
    ranges = [Range.parse(text) for text, _ in (RIGHT[0], *RIGHT)]
    body = header + b"".join(pack(Network("ripencc", each).to_map()) for each in ranges)
    footer = footer_of(Counter(network=len(ranges)), sha256(body).hexdigest())
    (tmp_path / "dump").write_bytes(body + pack(footer))
    result = compare(tmp_path / "dump", AllocationTable.load(table))
    assert not result.equal
    assert (result.found, result.missing, result.unexpected) == (3, [], [])
    assert result.repeated == [("ripencc", ranges[0])]


def test_a_cut_dump_is_an_error_and_no_difference(
    table: Path, dump_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = dump_of(RIGHT)
    path.write_bytes(path.read_bytes()[:-1])
    assert main([str(path), str(table)]) == 1
    assert "is cut short after" in capsys.readouterr().err


def test_the_packaged_table_is_the_default(
    tmp_path: Path, make_result: MakeResult, make_state: MakeState, capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(each for each in AllocationTable.load(packaged()).rows() if each.held)
    for name, results in (("empty", []), ("full", [make_result(1, "network", row.range, registry=row.registry)])):
        (tmp_path / name).mkdir()
        make_state(tmp_path / name, [str(row.range)], results)
        write_dump(tmp_path / name, tmp_path / name / "dump")
        assert main([str(tmp_path / name / "dump")]) == (0 if results else 1)
    first, second = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert first == "0 networks of the table found, 1 missing, 0 more than once, 0 that are not in it"
    assert second == "1 networks of the table found, 0 missing, 0 more than once, 0 that are not in it"


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "example: python -m whoismesh.practice.compare results.msgpack" in out
    assert "exit codes:" in out
