"""From records to a drawing, in one pass over a dump, or over two of them side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh.addresses import Range
from whoismesh.differences import FIELDS, class_of, differing, pairs
from whoismesh.errors import UsageError
from whoismesh.hilbert import Grid, grid_of
from whoismesh.maps.cells import Cells, Run
from whoismesh.maps.drawing import Drawing, cell_note
from whoismesh.maps.layers import CHANGES, LAYERS, NOT_ASKED, TOLD, Layer, Value, entry_of, legend
from whoismesh.networks import Network, Record
from whoismesh.segments import place, segments

#: Pixels that a map is wide: powers of two, so that a cell is a square of whole pixels. 4096 is 1 for each /24 of IPv4.
SIZES = (256, 512, 1024, 2048, 4096)


def grid_for(block: Range, size: int) -> Grid:
    """Return the grid of a map that is `size` pixels wide. Raises UsageError for another size, or if it is no block."""
    if size not in SIZES:
        raise UsageError(f"{size} pixels: expected one of {', '.join(map(str, SIZES))}")
    return grid_of(block, 2 * (size.bit_length() - 1))


def smallest_block(space: Iterable[Range]) -> Range:
    """Return the smallest CIDR with all of a space in it: with its IPv4 part, if it has one, else with all of it."""
    ordered = sorted(space)
    family = ordered[0].family
    first, last = ordered[0].first, max(each.last for each in ordered if each.family == family)
    bits = 32 if family == 4 else 128
    return Range.of_prefix(family, first, bits - (first ^ last).bit_length())


def draw(records: Iterable[Record], layer_name: str, block: Range, size: int, note: str) -> Drawing:
    """Draw a dump's records, which are sorted. Raises UsageError, and ValueError if they are not sorted."""
    layer = LAYERS[layer_name]
    grid = grid_for(block, size)
    cells: Cells[Value] = Cells(grid, NOT_ASKED)
    first, last = place(block.family, block.first), place(block.family, block.last)
    start = first - block.first
    for segment in segments(records):
        if segment.last >= first and segment.first <= last:
            cells.add(segment.first - start, segment.last - start, layer.value(segment.over[0]))
    return _drawing(grid, cells, layer, size, note)


def draw_changes(
    old: Iterable[Record],
    new: Iterable[Record],
    block: Range,
    size: int,
    note: str,
    ignored: Iterable[str] = (),
) -> Drawing:
    """Draw what changed between two sorted dumps; `ignored` as of `differences.changes`. Raises as `draw` does."""
    counted = tuple(name for name in FIELDS if name not in frozenset(ignored))
    grid = grid_for(block, size)
    cells: Cells[Value] = Cells(grid, NOT_ASKED)
    first, last = place(block.family, block.first), place(block.family, block.last)
    start = first - block.first
    for begins, ends, before, after in pairs(old, new):
        if ends < first or begins > last:
            continue
        if isinstance(before, Network) or isinstance(after, Network):
            value = Value(TOLD, class_of(before, after, differing(before, after, counted)))
        else:
            record = after if after is not None else before
            assert record is not None
            value = CHANGES.value(record)
        cells.add(begins - start, ends - start, value)
    return _drawing(grid, cells, CHANGES, size, note)


def _drawing(grid: Grid, cells: Cells[Value], layer: Layer, size: int, note: str) -> Drawing:
    cells.close()
    entries = legend(layer, cells.addresses)
    numbers = entry_of(entries, cells.addresses)
    runs: list[Run[int]] = []
    for first, last, value in cells.runs:
        number = numbers[value]
        if runs and runs[-1].value == number:
            first = runs.pop().first
        runs.append(Run(first, last, number))
    notes = (note, cell_note(grid))
    return Drawing(f"{grid.block}: {layer.title}", notes, grid, size // grid.width, runs, entries)
