from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh import rangesets
from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.rangesets import PIECE_RANGES, RangeSet

#: The small universe: some addresses at the start of each family and as many at its end.
EDGE = 24
UNIVERSE = {family: [*range(EDGE), *range(most + 1 - EDGE, most + 1)] for family, most in MAX_ADDRESS.items()}


@pytest.fixture(scope="module", autouse=True, params=[2, 3, PIECE_RANGES])
def _pieces(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a few ranges already lie in many pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rangesets, "PIECE_RANGES", request.param)
        yield


@st.composite
def spans(draw: st.DrawFn) -> Range:
    """A range that starts and ends in the small universe, at one end of it."""
    family = draw(st.sampled_from((4, 6)))
    low = draw(st.sampled_from((0, MAX_ADDRESS[family] + 1 - EDGE)))
    first, last = sorted(draw(st.lists(st.integers(low, low + EDGE - 1), min_size=2, max_size=2)))
    return Range(family, first, last)


def addresses(span: Range) -> set[tuple[int, int]]:
    return {(span.family, each) for each in range(span.first, span.last + 1)}


def runs(family: int, members: list[int]) -> list[Range]:
    """Join sorted numbers to ranges, plainly."""
    found: list[Range] = []
    for each in members:
        if found and found[-1].last + 1 == each:
            found[-1] = Range(family, found[-1].first, each)
        else:
            found.append(Range(family, each, each))
    return found


changes = st.lists(st.tuples(st.booleans(), spans()), max_size=24)


def build(steps: list[tuple[bool, Range]]) -> tuple[RangeSet, set[tuple[int, int]]]:
    mine, model = RangeSet(), set[tuple[int, int]]()
    for adds, span in steps:
        if adds:
            mine.add(span)
            model |= addresses(span)
        else:
            mine.remove(span)
            model -= addresses(span)
    return mine, model


@given(changes)
def test_after_any_changes_the_set_is_the_model(steps: list[tuple[bool, Range]]) -> None:
    mine, model = build(steps)
    expected = [run for family in (4, 6) for run in runs(family, sorted(n for f, n in model if f == family))]
    assert list(mine) == expected
    assert len(mine) == len(expected)
    assert mine.size == len(model)
    assert mine.size == mine.size_of(4) + mine.size_of(6)
    assert bool(mine) == bool(model)
    assert mine == RangeSet(reversed(expected))


@given(changes, spans())
def test_every_question_about_a_range_is_answered_as_by_the_model(steps: list[tuple[bool, Range]], span: Range) -> None:
    mine, model = build(steps)
    wanted = addresses(span)
    assert mine.present(span) == runs(span.family, sorted(n for _, n in wanted & model))
    assert mine.missing(span) == runs(span.family, sorted(n for _, n in wanted - model))
    assert mine.covers(span) == (wanted <= model)
    assert mine.meets(span) == bool(wanted & model)


@given(changes)
def test_every_question_about_an_address_is_answered_as_by_the_model(steps: list[tuple[bool, Range]]) -> None:
    mine, model = build(steps)
    for family, most in MAX_ADDRESS.items():
        members = {number for of_family, number in model if of_family == family}
        for address in UNIVERSE[family]:
            assert mine.holds(family, address) == (address in members)
            run, gap = mine.run_at(family, address), mine.gap_at(family, address)
            assert (run is None) == (address not in members)
            assert (gap is None) == (address in members)
            around = run or gap
            assert around is not None
            assert around.holds(family, address)
            # The whole of it: it holds one kind only, and ends at the other kind or at the family's end.
            assert mine.covers(around) if run else not mine.meets(around)
            for beyond in (around.first - 1, around.last + 1):
                assert not 0 <= beyond <= most or (beyond in members) == (run is None)
            free = next((each for each in UNIVERSE[family] if each >= address and each not in members), None)
            if address in members and address < EDGE and all(each in members for each in range(address, EDGE)):
                free = EDGE  # the universe has a hole, and nothing of it is ever in the set
            assert mine.next_gap(family, address) == free


def test_touching_ranges_are_one() -> None:
    assert list(RangeSet([Range(4, 0, 9), Range(4, 20, 29), Range(4, 10, 19)])) == [Range(4, 0, 29)]


def test_families_do_not_mix() -> None:
    both = RangeSet([Range(4, 0, 9), Range(6, 10, 19)])
    assert list(both) == [Range(4, 0, 9), Range(6, 10, 19)]
    assert not both.holds(6, 5)
    assert not both.meets(Range(4, 10, 19))


@pytest.mark.parametrize("family", [4, 6])
def test_a_full_family_has_no_gap(family: int) -> None:
    full = RangeSet([Range(family, 0, MAX_ADDRESS[family])])
    assert full.next_gap(family, 0) is None
    assert full.gap_at(family, MAX_ADDRESS[family]) is None
    assert full.missing(Range(family, 0, MAX_ADDRESS[family])) == []
    assert full.size_of(family) == MAX_ADDRESS[family] + 1


def test_a_copy_is_a_set_of_its_own() -> None:
    one = RangeSet([Range(4, 0, 9)])
    twin = one.copy()
    assert twin == one
    twin.add(Range(4, 50, 59))
    twin.remove(Range(4, 0, 4))
    assert (one.size, list(one)) == (10, [Range(4, 0, 9)])
    assert (twin.size, list(twin)) == (15, [Range(4, 5, 9), Range(4, 50, 59)])


def test_a_set_shows_its_ranges_and_is_no_key() -> None:
    assert repr(RangeSet([Range.parse("10.0.0.0/8"), Range.parse("::1")])) == "RangeSet([10.0.0.0/8, ::1/128])"
    assert RangeSet() != object()
    with pytest.raises(TypeError):
        hash(RangeSet())
