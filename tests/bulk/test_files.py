"""Whole files: which registrations are the outermost, what is told of the rest, and files that are damaged."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range, parse_space
from whoismesh.bulk.files import MOST_PROBLEMS, FileReport, check_files, digest_of, read_files
from whoismesh.bulk.reading import Skipped
from whoismesh.bulk.selection import Selection
from whoismesh.errors import ConfigError
from whoismesh.networks import Network
from whoismesh.packing import pack, unpack
from whoismesh.rangesets import RangeSet

SPACE = RangeSet(parse_space(["193.0.0.0/8", "2001:600::/23"]))


def network(where: str, name: str = "X", source: str = "RIPE", **more: str) -> str:
    found = Range.parse(where)
    word, key = ("inetnum", str(found)) if found.family == 4 else ("inet6num", str(found))
    lines = {word: key, "netname": name, "status": "ASSIGNED PA", **more, "source": source}
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def write(path: Path, *objects: str | bytes, packed: bool = True) -> Path:
    data = b"\n".join(each.encode() if isinstance(each, str) else each for each in objects)
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


def read(
    tmp_path: Path, *paths: Path, space: RangeSet = SPACE, imported: Iterable[str] = ()
) -> tuple[list[Network], list[FileReport]]:
    steps = list(read_files(paths, space, tmp_path, dict.fromkeys(imported)))
    assert all(0 <= step.share <= 1.001 for step in steps)
    found = [each for step in steps for each in step.networks]
    for each in found:
        assert Network.from_map(unpack(each.payload)).range == each.range
    assert not [each for each in tmp_path.iterdir() if "scratch" in each.name]
    return [Network.from_map(unpack(each.payload)) for each in found], [step.done for step in steps if step.done]


@pytest.mark.parametrize("packed", [True, False])
def test_only_the_outermost_registrations_are_taken_in_the_order_of_the_file(tmp_path: Path, packed: bool) -> None:
    path = write(
        tmp_path / "ripe.db.inetnum",
        network("193.0.0.0/24", "INNER"),
        network("193.0.0.0/21", "OUTER"),
        network("193.0.0.0/21", "AGAIN"),
        network("193.0.0.0/28", "INNERMOST"),
        network("193.64.0.0/10", "EU-ZZ-193", status="ALLOCATED UNSPECIFIED"),
        network("193.64.0.0/24", "IN-A-POOL"),
        network("194.0.0.0/24", "ELSEWHERE"),
        network("2001:600::/32", "SIX"),
        packed=packed,
    )
    found, (report,) = read(tmp_path, path)
    assert [each.name for each in found] == ["OUTER", "IN-A-POOL", "SIX"]
    assert (report.objects, report.taken, report.whole) == (8, 3, True)
    assert report.skipped == {Skipped.NESTED: 2, Skipped.REPEATED: 1, Skipped.POOL: 1, Skipped.OUTSIDE: 1}
    assert report.objects == report.taken + report.skipped.total()


def test_what_another_registry_has_inside_is_a_registration_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "all.db", network("193.0.0.0/21"), network("193.0.1.0/24", source="AFRINIC"))
    found, _ = read(tmp_path, path)
    assert [(each.registry, str(each.range)) for each in found] == [
        ("ripencc", "193.0.0.0/21"),
        ("afrinic", "193.0.1.0/24"),
    ]


def test_organisations_of_any_file_lend_their_names(tmp_path: Path) -> None:
    first = write(tmp_path / "ripe.db.inetnum.gz", network("193.0.0.0/21", org="ORG-EX1-RIPE", descr="Not this"))
    second = write(
        tmp_path / "ripe.db.organisation.gz", "organisation: ORG-EX1-RIPE\norg-name: Ex\xe4mple\n".encode("latin-1")
    )
    found, reports = read(tmp_path, first, second)
    assert [each.holder.name for each in found] == ["Exämple"]
    assert [report.skipped[Skipped.OTHER_CLASS] for report in reports] == [0, 1]


def test_what_is_malformed_is_told_with_its_line_up_to_a_number(tmp_path: Path) -> None:
    bad = ["inetnum: 193.0.0.999\nsource: RIPE\n"] * (MOST_PROBLEMS + 5)
    path = write(tmp_path / "a.db", "# head\n", network("193.0.0.0/21"), *bad, network("193.1.0.0/21"), packed=False)
    found, (report,) = read(tmp_path, path)
    assert len(found) == 2
    assert report.skipped[Skipped.MALFORMED] == MOST_PROBLEMS + 5
    assert len(report.problems) == MOST_PROBLEMS
    assert report.problems[0] == f"{path}:8: expected a range, got '193.0.0.999'"
    assert path.read_text().splitlines()[8 - 1] == "inetnum: 193.0.0.999"


@pytest.mark.parametrize("damage", ["cut", "changed", "trailing"])
def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path, damage: str) -> None:
    objects = [network(f"193.{a}.{b}.0/24", f"N-{a}-{b}") for a in range(24) for b in range(256)]
    whole = write(tmp_path / "whole.gz", *objects).read_bytes()
    path = tmp_path / "ripe.db.inetnum.gz"
    data = {
        "cut": whole[: len(whole) // 2],
        "changed": whole[: len(whole) // 2] + bytes(100) + whole[len(whole) // 2 + 100 :],
        "trailing": whole + b"garbage",
    }[damage]
    path.write_bytes(data)
    found, (report,) = read(tmp_path, path)
    assert not report.whole
    assert report.problems[-1].startswith(f"{path}:")
    assert "the rest cannot be unpacked" in report.problems[-1]
    # Of what is behind the damage nothing is believed, and of an object without end neither.
    assert 1_000 < len(found) < len(objects)


def test_a_file_of_several_members_and_zeros_behind_them_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    halves = (network("193.0.0.0/24") + "\n", network("193.1.0.0/24"))
    path.write_bytes(b"".join(gzip.compress(each.encode()) for each in halves) + bytes(512))
    found, (report,) = read(tmp_path, path)
    assert len(found) == 2
    assert report.whole


def test_a_file_that_was_imported_is_not_read_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gz", network("193.0.0.0/21"))
    assert read(tmp_path, path, imported=[digest_of(path)]) == ([], [])


def test_a_file_given_twice_is_read_once_and_a_name_may_be_of_any_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / os.fsdecode(b"r\xe9seau.gz"), network("193.0.0.0/21"))
    other = write(tmp_path / "b.gz", network("193.1.0.0/21"))
    found, reports = read(tmp_path, path, other, path)
    assert [each.server for each in found] == ["r?seau.gz", "b.gz"]
    assert [pack(report.to_map()) and report.objects for report in reports] == [1, 1]


def test_files_that_cannot_be_read_are_told_all_at_once(tmp_path: Path) -> None:
    check_files([write(tmp_path / "a.gz", network("193.0.0.0/21"))])
    with pytest.raises(ConfigError) as caught:
        check_files([tmp_path / "none.gz", tmp_path])
    assert caught.value.problems == (
        f"crawl.bulk: {tmp_path / 'none.gz'}: cannot be read: No such file or directory",
        f"crawl.bulk: {tmp_path}: is no regular file: expected one that can be read twice",
    )


RANGES = st.tuples(st.sampled_from(("ripencc", "apnic")), st.integers(0, 40), st.integers(0, 12))


@given(st.lists(RANGES, max_size=30), st.integers(0, 30))
def test_the_outermost_are_those_that_lie_in_no_other(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, int]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("scratch")
    ranges = [(registry, Range(4, first, first + more)) for registry, first, more in drawn]
    selection = Selection(folder)
    for number, (registry, each) in enumerate(ranges, 1):
        selection.add(number, registry, each)
    cut = min(cut, len(ranges))
    skipped = selection.choose([cut, len(ranges)])
    chosen = list(selection.numbers())
    selection.close()
    assert list(folder.iterdir()) == []
    expected = [
        number
        for number, (registry, each) in enumerate(ranges, 1)
        if (registry, each) not in ranges[: number - 1]
        and not any(other != each and other.contains(each) for home, other in ranges if home == registry)
    ]
    assert chosen == expected
    assert skipped[0].total() == cut - sum(number <= cut for number in chosen)
    assert skipped[1].total() == len(ranges) - cut - sum(number > cut for number in chosen)
