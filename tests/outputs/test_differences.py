from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from small_dumps import PLACES, answer, network, sorted_records

from whoismesh.addresses import Range
from whoismesh.differences import CLASSES, FIELDS, Change, RangeTally, Tally, changes, same_holder
from whoismesh.networks import Holder, Network, Record, Unheld
from whoismesh.segments import place, range_of

MIRRORED = {"added": "removed", "removed": "added", "split": "merged", "merged": "split"}


@given(sorted_records())
def test_a_dump_does_not_differ_from_itself(found: list[Record]) -> None:
    told = list(changes(found, found))
    assert {change.kind for change in told} <= {"unchanged"}
    assert {change.fields for change in told} <= {()}


@given(sorted_records(), sorted_records())
def test_each_address_that_is_held_is_in_exactly_one_class(old: list[Record], new: list[Record]) -> None:
    told = list(changes(old, new))
    assert [change.range for change in told] == sorted(change.range for change in told)
    for each in PLACES:
        where = range_of(each, each)
        before, after = answer(old, where), answer(new, where)
        found = [change for change in told if change.range.contains(where)]
        assert len(found) == (isinstance(before, Network) or isinstance(after, Network))
        if found:
            assert found[0].kind in CLASSES
            assert found[0].old is before and found[0].new is after
            nothing = any(each is None or getattr(each, "kind", "") == "failed" for each in (before, after))
            assert (found[0].kind == "not_compared") == nothing


@given(sorted_records(), sorted_records())
def test_the_way_back_mirrors_the_way_there(old: list[Record], new: list[Record]) -> None:
    there, back = list(changes(old, new)), list(changes(new, old))
    assert back == [
        Change(MIRRORED.get(kind, kind), where, after, before, fields) for kind, where, before, after, fields in there
    ]


@given(sorted_records(), sorted_records())
def test_ranges_are_counted_whatever_lies_over_them(old: list[Record], new: list[Record]) -> None:
    ranges = RangeTally()
    list(changes(ranges.old(old), ranges.latest(new)))
    left, right = ([each.range for each in side if isinstance(each, Network)] for side in (old, new))
    kept = sum(min(left.count(each), right.count(each)) for each in set(left))
    assert ranges.to_map() == {"kept": kept, "gone": len(left) - kept, "new": len(right) - kept}


BASE = network("193.0.0.0/22", name="N", country="NL", holder=Holder("ORG-1", "One"), status=("active",))


def only(old: Record | None, new: Record | None, *ignored: str) -> Change:
    found = list(changes([old] if old else [], [new] if new else [], ignored))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("after", "kind", "fields"),
    [
        (replace(BASE, fetched_at=5.0, asked="193.0.0.9", server="x", source="whois"), "unchanged", ()),
        (replace(BASE, country="DE"), "details", ("country",)),
        (replace(BASE, holder=Holder("ORG-1", "Renamed")), "details", ("holder",)),
        (replace(BASE, holder=Holder("ORG-2", "one")), "details", ("holder",)),
        (replace(BASE, holder=Holder(None, None)), "details", ("holder",)),
        (replace(BASE, holder=Holder("ORG-2", "Two")), "changed_hands", ("holder",)),
        (replace(BASE, holder=Holder("ORG-2", None), status=()), "changed_hands", ("holder", "status")),
        (replace(BASE, registry="arin", holder=Holder("X", "Y")), "moved_registry", ("registry", "holder")),
        (Unheld("unallocated", BASE.range, ""), "removed", ()),
        (Unheld("reserved", BASE.range, ""), "removed", ()),
        (Unheld("failed", BASE.range, "timed out"), "not_compared", ()),
        (None, "not_compared", ()),
    ],
)
def test_the_class_of_one_network(after: Record | None, kind: str, fields: tuple[str, ...]) -> None:
    assert only(BASE, after) == Change(kind, BASE.range, BASE, after, fields)


def test_ignored_fields_make_no_difference() -> None:
    other = replace(BASE, registry="arin", country="DE", holder=Holder("X", "Y"))
    assert only(BASE, other, "country").fields == ("registry", "holder")
    assert only(BASE, other, "registry", "country").kind == "changed_hands"
    assert only(BASE, other, "registry", "country", "holder").kind == "unchanged"
    assert set(FIELDS) < set(Network.__dataclass_fields__)


def test_a_split_leaves_what_was_not_handed_on() -> None:
    parts = [network("193.0.0.0/24"), network("193.0.1.0/24"), Unheld("unallocated", Range.parse("193.0.2.0/23"), "")]
    told = [(change.kind, str(change.range)) for change in changes([BASE], parts)]
    assert told == [("split", "193.0.0.0/24"), ("split", "193.0.1.0/24"), ("removed", "193.0.2.0/23")]
    back = [(change.kind, str(change.range)) for change in changes(parts, [BASE])]
    assert back == [("merged", "193.0.0.0/24"), ("merged", "193.0.1.0/24"), ("added", "193.0.2.0/23")]


def test_ranges_that_overlap_are_resized() -> None:
    told = list(changes([network("193.0.0.0-193.0.2.255")], [network("193.0.1.0-193.0.3.255")]))
    assert [(change.kind, str(change.range)) for change in told] == [
        ("not_compared", "193.0.0.0/24"),
        ("resized", "193.0.1.0-193.0.2.255"),
        ("not_compared", "193.0.3.0/24"),
    ]


def test_an_assignment_counts_where_it_lies_and_the_network_around_it_elsewhere() -> None:
    inside = network("193.0.1.0/24", name="INSIDE")
    told = [(change.kind, str(change.range)) for change in changes([BASE], [BASE, inside])]
    assert told == [
        ("unchanged", "193.0.0.0/24"),
        ("split", "193.0.1.0/24"),
        ("unchanged", "193.0.2.0/23"),
    ]


def test_the_last_address_of_ipv4_does_not_touch_the_first_of_ipv6() -> None:
    found = [network("255.255.255.0/24"), network("::/120")]
    assert [str(change.range) for change in changes(found, found)] == ["255.255.255.0/24", "::/120"]
    assert place(6, 0) > place(4, 2**32 - 1) + 1


def test_holders_are_compared_by_what_both_tell() -> None:
    def of(handle: str | None, name: str | None) -> Network:
        return replace(BASE, holder=Holder(handle, name))

    assert same_holder(of("A", None), of("a", "One"))
    assert same_holder(of("A", "One"), of("B", "ONE"))
    assert same_holder(of("A", None), of(None, "One"))
    assert not same_holder(of("A", None), of("B", "One"))
    assert not same_holder(of(None, "One"), of("B", "Two"))


def test_a_tally_counts_by_class_and_by_the_fields_together() -> None:
    tally = Tally()
    tally.add(only(BASE, replace(BASE, country="DE", status=())))
    tally.add(only(BASE, BASE))
    found = tally.to_map()
    assert list(found) == list(CLASSES)
    assert found["details"] == {"changes": 1, "addresses": 1024, "differing": {"status+country": 1}}
    assert found["unchanged"] == {"changes": 1, "addresses": 1024, "differing": {}}
