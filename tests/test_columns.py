from __future__ import annotations

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS
from whoismesh.columns import COLUMN, SEARCH

#: Addresses of IPv6 that often share their upper half, beside any.
wide = st.one_of(
    st.builds(lambda high, low: high << 64 | low, st.integers(0, 2), st.integers(0, 3)),
    st.integers(0, MAX_ADDRESS[6]),
)
columns = st.one_of(
    st.tuples(st.just(4), st.lists(st.integers(0, MAX_ADDRESS[4]))), st.tuples(st.just(6), st.lists(wide))
)


@given(columns, st.data())
def test_a_column_reads_and_changes_like_a_list(of_family: tuple[int, list[int]], data: st.DataObject) -> None:
    family, numbers = of_family
    column, places = COLUMN[family](numbers), st.integers(0, len(numbers))
    for number in data.draw(st.lists(wide if family == 6 else st.integers(0, MAX_ADDRESS[4]), max_size=4)):
        place = data.draw(places)
        column.insert(place, number)
        numbers.insert(place, number)
        column[place // 2] = numbers[place // 2] = number
    column.append(7)
    numbers.append(7)
    part = slice(data.draw(places), data.draw(places))
    assert list(column[part]) == numbers[part]
    del column[part], numbers[part]
    assert list(column) == numbers
    assert len(column) == len(numbers)


@given(columns, st.data())
def test_a_search_is_a_bisection(of_family: tuple[int, list[int]], data: st.DataObject) -> None:
    family, numbers = of_family
    numbers.sort()
    near = st.sampled_from([-1, 0, MAX_ADDRESS[family] + 1, *numbers, *(each + 1 for each in numbers)])
    asked = data.draw(near)
    assert SEARCH[family](COLUMN[family](numbers), asked) == bisect_left(numbers, asked)


def test_a_column_takes_no_more_than_it_has_bits_for() -> None:
    for family, most in MAX_ADDRESS.items():
        with pytest.raises(OverflowError):
            COLUMN[family]([most + 1])
