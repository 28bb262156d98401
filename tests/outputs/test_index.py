from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_dumps import NUMBERS, PLACES, network, sorted_records, write

from whoismesh import index as reading
from whoismesh.addresses import Range
from whoismesh.dump import open_dump
from whoismesh.errors import DumpError
from whoismesh.index import Index, StaleIndexError, fingerprint, index_path, open_index
from whoismesh.networks import Record
from whoismesh.one_line import one_line
from whoismesh.segments import range_of


@pytest.fixture
def always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the index of a small dump, too."""
    monkeypatch.setattr(reading, "SMALL_BYTES", 0)


@given(sorted_records())
def test_an_index_finds_what_lies_over_every_address(
    tmp_path_factory: pytest.TempPathFactory, found: list[Record]
) -> None:
    path = write(tmp_path_factory.mktemp("dump") / "dump", found)
    with open_index(path) as index:
        assert len(index) == len(found)
        for each in PLACES:
            where = range_of(each, each)
            holding = [n for n, record in enumerate(found) if record.range.contains(where)]
            holding.sort(key=lambda n: (found[n].range.size, -n))
            assert index.around(where.family, where.first) == holding
            assert index.find(where.family, where.first) == (holding[0] if holding else None)
        for number, record in enumerate(found):
            assert index.record(number) == record
            assert index.line(number).decode() == one_line(record)


@given(sorted_records(), st.data())
def test_the_parts_of_a_range_are_each_what_answers_there(
    tmp_path_factory: pytest.TempPathFactory, found: list[Record], data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("dump") / "dump", found)
    family = data.draw(st.sampled_from((4, 6)))
    first, last = sorted(data.draw(st.tuples(*(st.sampled_from(NUMBERS[family]),) * 2)))
    wanted = Range(family, first, last)
    with open_index(path) as index:
        parts = list(index.parts(wanted))
        assert parts[0][0].first == first and parts[-1][0].last == last
        for (before, told), (after, other) in pairwise(parts):
            assert before.last + 1 == after.first and told != other
        for part, number in parts:
            for each in {part.first, part.last, (part.first + part.last) // 2}:
                assert index.find(family, each) == number
        holders = [index.record(number) for number in index.holders(wanted)]
        expected = [(n, each) for n, each in enumerate(found) if each.range.contains(wanted)]
        expected.sort(key=lambda each: (each[1].range.size, -each[0]))
        assert holders == [each for _, each in expected]


RECORDS = [network("193.0.0.0/24", name="A"), network("2001:600::/32", name="B")]


def test_an_address_beyond_its_family_is_refused(tmp_path: Path) -> None:
    with open_index(write(tmp_path / "dump", RECORDS)) as index, pytest.raises(ValueError):
        index.find(4, 1 << 32)


@pytest.mark.usefixtures("always_kept")
def test_an_index_is_made_once_and_used_again(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", RECORDS)
    told: list[str] = []
    for _ in range(2):
        with open_index(path, told.append) as index:
            assert index.find(4, RECORDS[0].range.first) == 0
    assert told == [index_path(path)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["dump", "dump.index"]


@pytest.mark.usefixtures("always_kept")
def test_an_index_of_another_dump_is_never_used(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", RECORDS)
    open_index(path).close()
    old = Path(index_path(path)).read_bytes()
    write(path, [network("193.0.0.0/24", name="Z"), RECORDS[1]])  # of the same size
    with open(index_path(path), "rb") as file, pytest.raises(StaleIndexError, match="of another dump"):
        Index(file, path, fingerprint(path))
    told: list[str] = []
    with open_index(path, told.append) as index:
        assert b"Z" in index.line(0)
    assert told == [index_path(path)]
    assert Path(index_path(path)).read_bytes() != old


@pytest.mark.usefixtures("always_kept")
def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", RECORDS)
    open_index(path).close()
    whole = Path(index_path(path)).read_bytes()
    changed = [b"", whole[:100], whole[:-1], whole + b"\0", b"\0" + whole[1:], b"notes"]
    changed.append(whole[:16] + b"\0\0\0\0" + whole[20:])
    for each in changed:
        Path(index_path(path)).write_bytes(each)
        told: list[str] = []
        with open_index(path, told.append) as index:
            assert index.find(6, RECORDS[1].range.first) == 1
        assert told == [index_path(path)]
    assert Path(index_path(path)).read_bytes() == whole


@pytest.mark.usefixtures("always_kept")
def test_a_cut_dump_gets_no_file_and_answers_as_far_as_it_goes(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", RECORDS)
    path.write_bytes(path.read_bytes()[:-1])
    with open_index(path) as index:
        assert index.find(4, RECORDS[0].range.first) == 0
        assert "is cut short after 2 whole records" in index.problem
    assert not Path(index_path(path)).exists()


@pytest.mark.usefixtures("always_kept")
def test_a_folder_that_cannot_be_written_to_gets_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "dump", RECORDS)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    told: list[str] = []
    with open_index(path, told.append) as index:
        assert index.find(4, RECORDS[0].range.first) == 0
    assert told == [""]
    assert not Path(index_path(path)).exists()


def test_a_small_dump_gets_no_file(tmp_path: Path) -> None:
    open_index(write(tmp_path / "dump", RECORDS)).close()
    assert [each.name for each in tmp_path.iterdir()] == ["dump"]


@pytest.mark.usefixtures("always_kept")
def test_a_dump_that_goes_away_or_is_damaged_under_its_index_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "dump", RECORDS * 1)
    with open_index(path) as index:
        with open_dump(path) as dump:
            (_, begins, _) = next(dump.located())
        data = bytearray(path.read_bytes())
        data[begins] = 0xC1  # which msgpack never uses
        path.write_bytes(data)
        with pytest.raises(DumpError, match=f"is damaged at byte {begins}; write it again"):
            index.record(0)
        assert index.record(1) == RECORDS[1]
    with open_index(write(path, RECORDS)) as index:
        path.unlink()
        with pytest.raises(DumpError, match="cannot be read: No such file"):
            index.record(0)
        assert b"A" in index.line(0)  # which lies in the index


def test_what_registries_say_stays_on_its_line() -> None:
    found = one_line(network("193.0.0.0/24", name="A\nB\x1b[31m\u2028C\x85D\tE"))
    assert found == "193.0.0.0/24, A B [31m C D E, holder not named, ripencc"
    assert (
        one_line(network("193.0.0.0/24", name="東京 Zürich")) == "193.0.0.0/24, 東京 Zürich, holder not named, ripencc"
    )
