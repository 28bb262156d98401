"""What of an older dump is taken over: what is young, families only whole, nothing that the statistics contradict."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.delegated import Delegation
from whoismesh.networks import Network, Record, Unheld
from whoismesh.rangesets import RangeSet
from whoismesh.refresh import Freshness, Kept, Left, kept

DAY = 86_400.0
#: 2026-01-31T00:00:00Z.
NOW = 1_769_817_600.0
SPACE = RangeSet([Range.parse("193.0.0.0/16"), Range.parse("2001:600::/32")])


def network(text: str, days: float = 1, registry: str = "ripencc") -> Network:
    """Return a network that was fetched so many days ago."""
    return Network(registry, Range.parse(text), fetched_at=NOW - days * DAY)


def row(text: str, status: str = "allocated", registry: str = "ripencc", date: str = "19930901") -> Delegation:
    return Delegation(Range.parse(text), registry, "NL", status, date, "x")


def taken(records: list[Record], *rows: Delegation) -> tuple[list[Kept], Counter[str]]:
    left: Counter[str] = Counter()
    ordered = sorted(records, key=lambda each: each.range)
    return list(kept(ordered, SPACE, Freshness(NOW, 30 * DAY, rows).why_left, left)), left


def test_what_is_young_is_taken_over_and_what_is_old_is_not() -> None:
    young, edge, old = network("193.0.0.0/24", 1), network("193.0.1.0/24", 30), network("193.0.2.0/24", 30.01)
    never = Network("ripencc", Range.parse("193.0.3.0/24"))
    found, left = taken([young, edge, old, never, Unheld("unallocated", Range.parse("193.0.4.0/24"), "")])
    assert found == [Kept(young, ()), Kept(edge, ())]
    assert left == {Left.OLD: 2}


@pytest.mark.parametrize("days", [-1.5, float("-inf"), float("nan"), -1e300, 1e300])
def test_a_time_that_cannot_be_is_old(days: float) -> None:
    assert taken([network("193.0.0.0/24", days)]) == ([], {Left.OLD: 1})


def test_what_cannot_be_true_or_lies_outside_is_left() -> None:
    found, left = taken([network("192.0.0.0/7"), network("194.0.0.0/24"), network("193.0.0.0/24", registry="iana")])
    assert found == []
    assert left == {Left.MALFORMED: 2, Left.OUTSIDE: 1}


def test_a_family_is_taken_over_whole_or_not_at_all() -> None:
    outer, inner, innermost = network("193.0.0.0/20"), network("193.0.8.0/24"), network("193.0.8.0/28")
    other = network("193.0.16.0/24")
    assert taken([outer, inner, innermost, other]) == ([Kept(outer, (inner, innermost)), Kept(other, ())], {})
    old = network("193.0.8.0/28", 99)
    assert taken([outer, inner, old, other]) == ([Kept(other, ())], {Left.RELATED: 2, Left.OLD: 1})


def test_networks_that_overlap_are_a_family_too() -> None:
    left_one, right_one = network("193.0.0.0-193.0.2.255"), network("193.0.2.0-193.0.4.255")
    inside = network("193.0.4.0/28")
    assert taken([left_one, right_one, inside])[0] == [Kept(left_one, ()), Kept(right_one, (inside,))]
    found, left = taken([left_one, network("193.0.2.0-193.0.4.255", 99), inside])
    assert found == [] and left == {Left.OLD: 1, Left.RELATED: 2}


@pytest.mark.parametrize(
    ("rows", "is_kept"),
    [
        ([], True),
        ([row("193.0.0.0/20")], True),
        ([row("193.0.0.0/21"), row("193.0.8.0/21")], True),
        ([row("193.0.0.0/16")], True),
        ([row("193.0.0.0/16"), row("193.0.32.0/20", "available")], True),
        ([row("193.0.0.0/20", registry="iana", status="reserved")], True),
        ([row("193.0.0.0/20", date="")], True),
        ([row("193.0.0.0/20", date="20260129")], True),
        ([row("193.0.0.0/20", date="20260130")], False),  # the day it was fetched: before or after, nobody knows
        ([row("193.0.0.0/20", "available")], False),
        ([row("193.0.0.0/20"), row("193.0.15.0/24", "reserved")], False),
        ([row("193.0.0.0/20", registry="arin")], False),
        ([row("193.0.8.0-193.0.17.255")], False),
    ],
)
def test_the_statistics_say_what_has_changed(rows: list[Delegation], is_kept: bool) -> None:
    record = network("193.0.0.0/20")
    assert taken([record], *rows) == (([Kept(record, ())], {}) if is_kept else ([], {Left.CHANGED: 1}))


@st.composite
def some_networks(draw: st.DrawFn) -> list[Record]:
    pairs = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from((1, 99))), max_size=12))
    base = Range.parse("193.0.0.0").first
    return [
        Network("ripencc", Range(4, base + min(a, b), base + max(a, b)), fetched_at=NOW - days * DAY)
        for a, b, days in pairs
    ]


@given(some_networks())
def test_nothing_old_is_taken_over_or_closed_and_all_else_is_counted(records: list[Record]) -> None:
    found, left = taken(records)
    networks = [each for one in found for each in (one.network, *one.inside)]
    assert len(networks) + left.total() == len(records)
    old = [each for each in records if isinstance(each, Network) and each.fetched_at < NOW - 30 * DAY]
    assert left[Left.OLD] == len(old)
    for one in found:
        assert not any(one.network.range.overlap(each.range) for each in old)
        assert all(one.network.range.contains(each.range) for each in one.inside)
    for each in records:  # what is not taken over has something old in its family
        if each not in networks:
            family = RangeSet([each.range])
            for _ in records:
                for other in records:
                    if family.meets(other.range):
                        family.add(other.range)
            assert any(family.meets(one.range) for one in old)
