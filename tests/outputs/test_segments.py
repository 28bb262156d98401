from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from small_dumps import PLACES, sorted_records

from whoismesh.addresses import Range
from whoismesh.networks import Network, Record
from whoismesh.segments import IPV6_PLACE, range_of, segments


@given(sorted_records())
def test_over_every_address_lies_what_holds_it_the_smallest_first(found: list[Record]) -> None:
    parts = list(segments(found))
    for each in PLACES:
        address = range_of(each, each)
        holding = [n for n, record in enumerate(found) if record.range.contains(address)]
        expected = [found[n] for n in sorted(holding, key=lambda n: (found[n].range.size, -n))]
        over = [part.over for part in parts if part.first <= each <= part.last]
        assert len(over) == bool(expected)
        if expected:
            assert all(a is b for a, b in zip(over[0], expected, strict=True))


@given(sorted_records())
def test_segments_are_in_order_of_one_family_and_as_wide_as_can_be(found: list[Record]) -> None:
    parts = list(segments(found))
    for before, after in pairwise(parts):
        assert before.last < after.first
        assert before.last + 1 < after.first or before.over != after.over
    for part in parts:
        assert (part.first < IPV6_PLACE) == (part.last < IPV6_PLACE)


def test_records_that_are_not_in_order_are_refused() -> None:
    found = [Network("arin", Range.parse(text)) for text in ("8.0.1.0/24", "8.0.0.0/24")]
    with pytest.raises(ValueError, match=r"8\.0\.0\.0/24 comes after a record that begins later"):
        list(segments(found))


def test_what_is_held_meanwhile_is_what_lies_over_one_address() -> None:
    """A million records pass, and each segment comes before the record after the next is asked for."""
    taken = 0

    def coming() -> list[Network]:
        nonlocal taken
        for n in range(1_000):
            taken = n
            yield Network("arin", Range(4, n * 4, n * 4 + 5))

    for number, part in enumerate(segments(coming())):
        assert number <= 2 * taken + 1
        assert len(part.over) <= 2
    assert taken == 999
