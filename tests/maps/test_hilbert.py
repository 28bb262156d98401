"""The curve: each address in one place, neighbours side by side, a CIDR one box."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import BITS, Range
from whoismesh.errors import UsageError
from whoismesh.hilbert import Box, Grid, grid_of, number_at, point, prefix_length

WHOLE = Range.parse("0.0.0.0/0")
V6 = Range.parse("2001:600::/23")


def cells_of(box: Box) -> set[tuple[int, int]]:
    return {(box.x + right, box.y + down) for right in range(box.width) for down in range(box.height)}


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    family = draw(st.sampled_from((4, 6)))
    length = draw(st.integers(0, BITS[family]))
    address = draw(st.integers(0, 2 ** BITS[family] - 1))
    return Grid(Range.of_prefix(family, address, length), draw(st.integers(0, min(BITS[family] - length, 40))))


@st.composite
def blocks_of(draw: st.DrawFn, grid: Grid) -> Range:
    """A CIDR of a grid's block that has whole cells."""
    bits = draw(st.integers(grid.cell_bits, grid.cell_bits + grid.bits))
    address = grid.block.first + draw(st.integers(0, grid.block.size - 1))
    return Range.of_prefix(grid.block.family, address, BITS[grid.block.family] - bits)


@pytest.mark.parametrize("levels", range(7))
@pytest.mark.parametrize("state", range(4))
def test_each_place_is_one_cell_and_the_next_one_is_beside_it(levels: int, state: int) -> None:
    way = [point(number, levels, state) for number in range(4**levels)]
    assert len(set(way)) == 4**levels
    assert {each for cell in way for each in cell} == set(range(2**levels))
    assert all(abs(x - right) + abs(y - down) == 1 for (x, y), (right, down) in pairwise(way))
    assert [number_at(x, y, levels, state) for x, y in way] == list(range(4**levels))


@pytest.mark.parametrize("bits", range(12))
def test_a_grid_of_any_size_is_filled_by_its_block_from_the_upper_left(bits: int) -> None:
    grid = Grid(V6, bits)
    size = 1 << grid.cell_bits
    way = [grid.cell(V6.first + number * size) for number in range(2**bits)]
    assert way[0] == (0, 0)
    assert len(set(way)) == 2**bits == grid.width * grid.height
    assert grid.width == grid.height * (1 + bits % 2)
    assert all(x < grid.width and y < grid.height for x, y in way)
    assert all(abs(x - right) + abs(y - down) == 1 for (x, y), (right, down) in pairwise(way))


def test_the_whole_of_ipv4_is_laid_out_as_known() -> None:
    grid = Grid(WHOLE, 8)
    rows = [[grid.range_at(x, y).first >> 24 for x in range(16)] for y in range(2)]
    assert rows[0] == [0, 1, 14, 15, 16, 19, 20, 21, 234, 235, 236, 239, 240, 241, 254, 255]
    assert rows[1] == [3, 2, 13, 12, 17, 18, 23, 22, 233, 232, 237, 238, 243, 242, 253, 252]


@given(st.data())
def test_a_cell_knows_its_addresses(data: st.DataObject) -> None:
    grid = data.draw(grids())
    address = grid.block.first + data.draw(st.integers(0, grid.block.size - 1))
    x, y = grid.cell(address)
    where = grid.range_at(x, y)
    assert where.holds(grid.block.family, address)
    assert where.size == 1 << grid.cell_bits
    assert grid.block.contains(where)
    assert prefix_length(grid) == BITS[grid.block.family] - grid.cell_bits
    assert grid.box(where) == Box(x, y, 1, 1)


@given(st.data())
def test_a_cidr_is_one_box_of_as_many_cells_with_its_addresses_and_no_others(data: st.DataObject) -> None:
    grid = data.draw(grids())
    block = data.draw(blocks_of(grid))
    box = grid.box(block)
    assert box.width * box.height << grid.cell_bits == block.size
    assert box.width in (box.height, 2 * box.height) or box.height == 2 * box.width
    assert 0 <= box.x <= box.x + box.width <= grid.width
    assert 0 <= box.y <= box.y + box.height <= grid.height
    corners = ((box.x + right, box.y + down) for right in (0, box.width - 1) for down in (0, box.height - 1))
    assert all(block.contains(grid.range_at(x, y)) for x, y in corners)
    for address in (block.first, block.last, data.draw(st.integers(block.first, block.last))):
        x, y = grid.cell(address)
        assert box.x <= x < box.x + box.width and box.y <= y < box.y + box.height


@given(st.data())
def test_what_lies_in_a_block_lies_in_its_box_and_what_does_not_lies_outside(data: st.DataObject) -> None:
    grid = data.draw(grids())
    wide, narrow = sorted((data.draw(blocks_of(grid)), data.draw(blocks_of(grid))), key=lambda each: -each.size)
    outer, inner = grid.box(wide), grid.box(narrow)
    columns = outer.x < inner.x + inner.width and inner.x < outer.x + outer.width
    rows = outer.y < inner.y + inner.height and inner.y < outer.y + outer.height
    assert (columns and rows) == (wide.overlap(narrow) is not None)


@given(st.data())
def test_any_run_of_cells_is_made_of_boxes_that_share_none(data: st.DataObject) -> None:
    grid = Grid(WHOLE, data.draw(st.integers(0, 11)))
    first, last = sorted(data.draw(st.tuples(*(st.integers(0, 2**grid.bits - 1),) * 2)))
    found = [cells_of(box) for box in grid.boxes(first, last)]
    size = 1 << grid.cell_bits
    assert sum(map(len, found)) == last - first + 1
    assert set().union(*found) == {grid.cell(number * size) for number in range(first, last + 1)}


def test_a_small_block_has_as_many_cells_as_addresses_and_a_square_stays_one() -> None:
    assert (grid_of(Range.parse("193.0.0.0/30"), 20).bits, grid_of(Range.parse("193.0.0.0/31"), 20).bits) == (2, 1)
    assert [grid_of(WHOLE, most).bits for most in (8, 9, 24)] == [8, 8, 24]
    assert [grid_of(V6, most).bits for most in (20, 21)] == [19, 21]
    assert grid_of(Range.parse("193.0.0.1"), 20).range_at(0, 0) == Range.parse("193.0.0.1")


def test_what_is_no_block_or_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no CIDR"):
        Grid(Range.parse("193.0.0.0-193.0.0.2"), 1)
    with pytest.raises(UsageError, match=r"expected 0 to 8 bits, not 9"):
        Grid(Range.parse("193.0.0.0/24"), 9)
    with pytest.raises(UsageError, match=r"no CIDR"):
        grid_of(Range.parse("193.0.0.0-193.0.0.2"), 20)
    for x, y in ((-1, 0), (0, -1), (2, 0), (0, 2)):
        with pytest.raises(IndexError):
            Grid(WHOLE, 2).range_at(x, y)
