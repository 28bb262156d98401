"""Cells: each shows what most of its addresses are, and every address is counted once."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.hilbert import Grid
from whoismesh.maps.cells import Cells, Run

GRID = Grid(Range.parse("10.0.0.64/26"), 4)  # 16 cells of 4 addresses


@st.composite
def stretches(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    """Stretches around the grid's block, in order and apart, with holes or without."""
    base = GRID.block.first - 10
    ends = sorted(draw(st.sets(st.integers(0, 90), max_size=24)))
    found = []
    for begin, end in pairwise(ends):
        value = draw(st.sampled_from("abc-"))
        if value != "-":
            found.append((base + begin, base + end - 1, value))
    return found


@given(stretches())
def test_a_cell_shows_what_most_of_its_addresses_are(given_ones: list[tuple[int, int, str]]) -> None:
    cells = Cells(GRID, "gap")
    for stretch in given_ones:
        cells.add(*stretch)
    cells.close()
    block = GRID.block
    each = ["gap"] * block.size
    for first, last, value in given_ones:
        for address in range(max(first, block.first), min(last, block.last) + 1):
            each[address - block.first] = value
    assert cells.addresses == Counter(each)
    expected = [Counter(each[at : at + 4]).most_common(1)[0][0] for at in range(0, block.size, 4)]
    assert [run.value for run in cells.runs for _ in range(run.first, run.last + 1)] == expected
    assert [run.first for run in cells.runs] == [0, *(run.last + 1 for run in cells.runs)][:-1]
    assert all(before.value != after.value for before, after in pairwise(cells.runs))


def test_what_is_empty_is_one_run_and_what_comes_late_is_refused() -> None:
    cells = Cells(GRID, "gap")
    cells.add(0, 5, "beyond")
    cells.add(2**32 - 9, 2**32 - 1, "beyond")
    cells.close()
    assert cells.runs == [Run(0, 15, "gap")]
    assert cells.addresses == {"gap": 64}
    with pytest.raises(ValueError, match="in order"):
        cells.add(GRID.block.first, GRID.block.first, "late")
