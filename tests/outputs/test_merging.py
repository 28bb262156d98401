from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_dumps import PLACES, answer, network, sorted_records, write

from whoismesh.addresses import BITS, Range
from whoismesh.cli import main
from whoismesh.dump import open_dump
from whoismesh.merging import Side, merged
from whoismesh.networks import Network, Record, Unheld
from whoismesh.packing import pack
from whoismesh.segments import range_of

DEPTHS = st.sampled_from(("allocations", "assignments"))


def merge(
    first: list[Record],
    second: list[Record],
    depth: str = "assignments",
    at: tuple[float, float] = (5, 5),
) -> list[Record]:
    return list(merged(Side(first, at[0], depth), Side(second, at[1], depth)))


@given(sorted_records(), DEPTHS)
def test_a_dump_merged_with_itself_is_itself(found: list[Record], depth: str) -> None:
    assert merge(found, found, depth) == found


@given(sorted_records(), DEPTHS)
def test_a_dump_merged_with_nothing_is_itself(found: list[Record], depth: str) -> None:
    assert merge(found, [], depth) == found == merge([], found, depth)


@given(sorted_records(), sorted_records(), DEPTHS)
def test_what_comes_out_is_from_one_of_both_in_order_and_nothing_known_is_lost(
    first: list[Record], second: list[Record], depth: str
) -> None:
    found = merge(first, second, depth)
    begins = [(each.range.family, each.range.first) for each in found]
    assert begins == sorted(begins)
    for each in found:
        whole = isinstance(each, Network)
        assert any(
            each == other if whole else other.range.contains(each.range) and each == replace(other, range=each.range)
            for other in (*first, *second)
        )
    for each in PLACES:
        where = range_of(each, each)
        assert (answer(found, where) is None) == (answer(first, where) is None and answer(second, where) is None)


def test_free_space_that_was_given_out_in_part_stays_free_elsewhere() -> None:
    free = Unheld("unallocated", OLD.range, "free")
    found = merge([free], [PARTS[1], PARTS[2]], at=(1, 5))
    assert [str(each.range) for each in found] == ["193.0.0.0/24", "193.0.1.0/24", "193.0.2.0/24", "193.0.3.0/24"]
    assert names(found) == ["unallocated", "NEW-1", "NEW-2", "unallocated"]


@st.composite
def nested(draw: st.DrawFn) -> list[Record]:
    """Records of CIDRs: two lie in one another or apart."""
    found = []
    for _ in range(draw(st.integers(0, 10))):
        where = Range.of_prefix(4, draw(st.integers(0, 40)), draw(st.integers(26, BITS[4])))
        name = draw(st.sampled_from("ab"))
        free = draw(st.integers(0, 3)) == 0
        found.append(Unheld("unallocated", where, name) if free else Network("arin", where, name=name))
    return sorted({each.range: each for each in found}.values(), key=lambda each: each.range)


@given(nested(), nested())
def test_the_newer_dump_answers_wherever_it_tells(old: list[Record], new: list[Record]) -> None:
    new = [replace(each, fetched_at=9.0) if isinstance(each, Network) else each for each in new]
    for found in (merge(old, new, at=(1, 9)), merge(new, old, at=(9, 1))):
        for each in PLACES:
            where = range_of(each, each)
            expected = answer(new, where) or answer(old, where)
            told = answer(found, where)
            if isinstance(expected, Unheld) and told is not None:  # free space is cut to what is left of it
                assert expected.range.contains(told.range)
                expected = replace(expected, range=told.range)
            assert told == expected


OLD = network("193.0.0.0/22", name="OLD", fetched_at=1.0)
PARTS = [network(f"193.0.{n}.0/24", name=f"NEW-{n}", fetched_at=2.0) for n in range(4)]


def names(found: list[Record]) -> list[str]:
    return [each.name or "" if isinstance(each, Network) else each.kind for each in found]


def test_what_was_split_or_joined_since_goes_and_what_is_half_known_stays() -> None:
    assert names(merge([OLD], PARTS)) == names(merge(PARTS, [OLD])) == ["NEW-0", "NEW-1", "NEW-2", "NEW-3"]
    assert names(merge([OLD], PARTS[:3])) == ["NEW-0", "OLD", "NEW-1", "NEW-2"]
    newer = replace(OLD, fetched_at=3.0, name="JOINED")
    assert names(merge(PARTS, [newer])) == names(merge([newer], PARTS)) == ["JOINED"]


def test_a_dump_that_does_not_look_into_networks_says_nothing_against_what_lies_in_them() -> None:
    deep = Side([PARTS[0], replace(OLD, fetched_at=2.0), PARTS[1]], 5, "assignments")
    newer = [replace(OLD, fetched_at=3.0, name="NEWER")]
    assert names(list(merged(deep, Side(newer, 5, "allocations")))) == ["NEW-0", "NEWER", "NEW-1"]
    assert names(list(merged(deep, Side(newer, 5, "assignments")))) == ["NEWER"]


def test_given_back_is_as_new_as_its_dump_and_failed_is_older_than_anything() -> None:
    free = Unheld("unallocated", OLD.range, "")
    failed = Unheld("failed", OLD.range, "timed out")
    assert names(merge([OLD], [free], at=(0, 5))) == ["unallocated"]
    assert names(merge([OLD], [free], at=(0, 0.5))) == ["OLD"]
    assert names(merge([OLD], [failed], at=(0, 5))) == ["OLD"] == names(merge([failed], [OLD]))
    assert merge([failed], [replace(failed, reason="later")]) == [replace(failed, reason="later")]


def test_the_command_writes_one_dump_of_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "a", [OLD], ["193.0.0.0/16"], depth="allocations", started_at=5.0, written_at=7.0)
    second = write(
        tmp_path / "b",
        [*PARTS, network("2001:600::/32")],
        ["193.0.0.0/22", "2001:600::/32"],
        started_at=3.0,
        written_at=8.0,
    )
    assert main(["merge", str(first), str(second), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr() == ("5 networks, 0 ranges that nobody holds\n", "")
    with open_dump(tmp_path / "out") as dump:
        assert names(list(dump))[:4] == ["NEW-0", "NEW-1", "NEW-2", "NEW-3"]
        assert [str(each) for each in dump.space] == ["193.0.0.0/16", "2001:600::/32"]
        assert {key: dump.header[key] for key in ("depth", "started_at", "written_at", "complete")} == {
            "depth": "allocations",
            "started_at": 3.0,
            "written_at": 8.0,
            "complete": True,
        }


def test_a_dump_file_merged_with_itself_is_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a", [OLD, *PARTS], crawl=b"0123456789abcdef", depth="assignments", started_at=1.0)
    assert main(["merge", str(path), str(path), "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    assert main(["merge", str(path), str(path), "-o", str(path)]) == 0  # in its own place
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    capsys.readouterr()


def test_what_is_whole_of_a_cut_dump_is_merged_and_the_cut_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a", PARTS)
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["merge", str(path), str(write(tmp_path / "b", [OLD])), "-o", str(tmp_path / "out")]) == 1
    assert "is cut short after 4 whole records" in capsys.readouterr().err
    with open_dump(tmp_path / "out") as dump:
        assert len(list(dump)) == 4
    bad = pack({"format": "whoismesh-dump", "version": 1})
    (tmp_path / "bad").write_bytes(bad)
    assert main(["merge", str(path), str(tmp_path / "bad"), "-o", str(tmp_path / "out")]) == 1
    assert "its header names no space" in capsys.readouterr().err
