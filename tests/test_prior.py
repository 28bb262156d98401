"""The prior: what published rows aim at, and what they settle."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range, parse_space
from whoismesh.delegated import Delegation
from whoismesh.errors import ConfigError
from whoismesh.prior import Aim, Aims, Prior, prior_of
from whoismesh.prior_files import load_prior
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

SPACE = RangeSet([Range.parse("193.0.0.0/8"), Range.parse("2001:600::/23")])


def row(
    where: str, status: str = "allocated", registry: str = "ripencc", holder: str = "", date: str = ""
) -> Delegation:
    return Delegation(Range.parse(where), registry, "", status, date, holder)


def aims(prior: Prior, registry: str = "ripencc") -> list[tuple[str, int]]:
    return [(str(where), rows) for where, rows in prior.aims[registry]]


def test_held_rows_are_aims_and_the_rest_is_free() -> None:
    prior = prior_of(
        [
            row("193.0.4.0/24", "available"),
            row("193.0.0.0/22", "allocated"),
            row("2001:608::/32", "assigned", "arin"),
            row("193.0.5.0/24", "reserved", "apnic"),
            row("8.0.0.0/8"),
        ],
        SPACE,
    )
    assert aims(prior) == [("193.0.0.0/22", 1)]
    assert aims(prior, "arin") == [("2001:608::/32", 1)]
    free = {kind: [str(each) for each in ranges] for kind, ranges in prior.free.items()}
    assert free == {("ripencc", "available"): ["193.0.4.0/24"], ("apnic", "reserved"): ["193.0.5.0/24"]}


def test_rows_of_one_holder_and_date_that_touch_are_one_aim() -> None:
    same = {"holder": "h", "date": "20150224"}
    touching = [row("193.64.0.0/11", **same), row("193.96.0.0/13", **same), row("193.104.0.0/14", **same)]
    assert aims(prior_of(reversed(touching), SPACE)) == [("193.64.0.0-193.107.255.255", 3)]
    for change in ({"holder": "g"}, {"date": "20150225"}, {"registry": "arin"}):
        other = row("193.96.0.0/13", **{**same, **change})
        assert len(aims(prior_of([touching[0], other], SPACE))) + len(aims(prior_of([other], SPACE), "arin")) == 2
    unknown = [row("193.64.0.0/11", date="20150224"), row("193.96.0.0/13", date="20150224")]
    assert len(aims(prior_of(unknown, SPACE))) == 2, "no holder is nobody in particular"
    apart = [touching[0], row("193.104.0.0/14", **same)]
    assert len(aims(prior_of(apart, SPACE))) == 2


def test_two_files_that_overlap_give_each_address_once_and_held_outranks_free() -> None:
    prior = prior_of(
        [
            row("193.0.0.0/21"),
            row("193.0.0.0/21", registry="apnic"),
            row("193.0.4.0/22", registry="arin"),
            row("193.0.6.0-193.0.9.255", registry="lacnic"),
            row("193.0.0.0/20", "available"),
            row("193.0.15.0/24", "reserved"),
        ],
        SPACE,
    )
    assert aims(prior) == [("193.0.0.0/21", 1)]
    assert aims(prior, "apnic") == aims(prior, "arin") == []
    assert aims(prior, "lacnic") == [("193.0.8.0/23", 1)]
    assert list(prior.free["ripencc", "available"]) == [Range.parse("193.0.10.0-193.0.15.255")]
    assert not prior.free["ripencc", "reserved"]


held = st.tuples(st.integers(0, 300), st.integers(0, 40), st.booleans(), st.sampled_from("ab"), st.sampled_from("xy"))


@given(st.lists(held, max_size=30))
def test_every_listed_address_is_in_one_aim_or_free_and_held_ones_are_aims(rows: list[tuple]) -> None:
    base = SPACE.present(Range.parse("193.0.0.0/8"))[0].first
    given_rows = [
        Delegation(
            Range(4, base + first, base + first + more),
            {"a": "arin", "b": "ripencc"}[registry],
            "",
            "allocated" if is_held else "available",
            "20200101",
            holder,
        )
        for first, more, is_held, registry, holder in rows
    ]
    prior = prior_of(given_rows, SPACE)
    parts = [where for each in prior.aims.values() for where, _ in each]
    free = [each for ranges in prior.free.values() for each in ranges]
    wanted = RangeSet(each.range for each in given_rows if each.held)
    assert RangeSet(parts) == wanted
    assert RangeSet(parts + free) == RangeSet(each.range for each in given_rows)
    assert sum(each.size for each in parts + free) == RangeSet(parts + free).size, "no address twice"
    for registry in REGISTRIES:
        named = RangeSet(each.range for each in given_rows if each.held and each.registry == registry)
        assert all(named.covers(where) for where, _ in prior.aims[registry])


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 30)), max_size=30), st.integers(0, 520), st.integers(0, 60)
)
def test_aims_are_found_by_address(runs: list[tuple[int, int]], first: int, more: int) -> None:
    wanted, end = [], -1
    for begin, size in sorted(runs):
        if begin > end:
            wanted += [Aim(Range(family, begin, begin + size - 1), size) for family in (4, 6)]
            end = begin + size - 1
    wanted.sort()
    aims = Aims(wanted)
    assert list(aims) == wanted and len(aims) == len(wanted)
    for family in (4, 6):
        part = Range(family, first, first + more)
        meeting = [each for each in wanted if each.range.overlap(part)]
        assert list(aims.meeting(part)) == meeting
        assert aims.at(family, first) == next((each for each in meeting if each.range.holds(family, first)), None)
        cut = [Aim(each.range.overlap(part), each.rows) for each in meeting]
        assert sorted(aims.inside([part])) == cut
        sizes = [each.range.size for each in aims.inside([part])]
        assert sizes == sorted(sizes, reverse=True)


LINES = "2|ripencc|1|1|19830705|20181005|+0200\nripencc|NL|ipv4|193.0.0.0|2048|19930901|assigned|x\n"


def test_files_are_read_plain_and_gzipped_and_all_that_is_wrong_is_told(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_text(LINES)
    packed.write_bytes(gzip.compress(LINES.replace("193.0.0.0", "193.1.0.0").encode()))
    space = parse_space(["193.0.0.0/16", "193.1.0.0/16"])
    prior = load_prior([str(plain), str(packed)], space)
    assert aims(prior) == [("193.0.0.0/21", 1), ("193.1.0.0/21", 1)]
    plain.write_text(LINES + "ripe|NL|ipv4|193.0.0.0|2048|19930901|assigned|x\n")
    packed.write_bytes(gzip.compress((LINES + "half a li").encode()))
    with pytest.raises(ConfigError) as caught:
        load_prior([str(plain), str(packed)], space)
    assert [each.partition(": ")[0] for each in caught.value.problems] == [f"{plain}:3", f"{packed}:3"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "No such file"),
        (b"", "no row of addresses"),
        (b"2|ripencc|1|1|19830705|20181005|+0200\n", "no row of addresses"),
        (gzip.compress(LINES.encode() * 100)[:-20], "cannot be read"),
        (b"\x1f\x8b nothing", "cannot be read"),
        (b"ripencc|\xff\n", "not UTF-8"),
    ],
)
def test_what_is_no_such_file_is_said_in_a_line(tmp_path: Path, data: bytes | None, complaint: str) -> None:
    path = tmp_path / "delegated"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_prior([str(path)], parse_space(["193.0.0.0/8"]))
    assert str(path) in str(caught.value) and complaint in str(caught.value) and "\n" not in str(caught.value)


def test_a_prior_that_only_aims_settles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "delegated"
    path.write_text(LINES + "ripencc||ipv4|193.0.8.0|256||available|\n")
    assert load_prior([str(path)], SPACE).free
    assert not load_prior([str(path)], SPACE, settles=False).free
