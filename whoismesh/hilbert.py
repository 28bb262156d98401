"""Where addresses lie in a picture: the Hilbert curve, on which near addresses are near. Pure.

Rules of this file: x goes to the right, y down. A block is drawn from the upper left; of the whole of IPv4 this is the
layout of https://xkcd.com/195/ (0 in the upper left, 255 in the upper right corner). A CIDR is one box, a square or
two squares side by side, because the curve fills each quarter of a square before it enters the next.

The curve goes through the quarters (0, 0), (0, 1), (1, 1), (1, 0); it enters the first one transposed, the last one
transposed along the other diagonal. So a way through a square is one of four, a state: whether x and y change places
(1) and whether both are counted from the other end (2).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from whoismesh.addresses import BITS, Range
from whoismesh.errors import UsageError

#: Four levels of the curve, of four cells each, are looked up at once: 256 steps for each of 4 states.
_STEP_BITS, _STEP_LEVELS = 8, 4
_QUARTERS = ((0, 0), (0, 1), (1, 1), (1, 0))
#: What the state of a quarter is, beside that of the square.
_TURNS = (1, 0, 0, 3)
_TRANSPOSED = 1

Step = tuple[int, int, int]


class Box(NamedTuple):
    """A rectangle of cells: the upper left one, and how many there are to the right and down."""

    x: int
    y: int
    width: int
    height: int


@cache
def _steps() -> tuple[list[list[Step]], list[dict[tuple[int, int], tuple[int, int]]]]:
    """Return, of each state, what (x, y, next state) each number of 8 bits leads to, and the way back."""
    there: list[list[Step]] = []
    for start in range(4):
        steps = []
        for number in range(1 << _STEP_BITS):
            x = y = 0
            state = start
            for shift in range(_STEP_BITS - 2, -2, -2):
                quarter = number >> shift & 3
                right, down = _QUARTERS[quarter]
                if state & 1:
                    right, down = down, right
                if state & 2:
                    right, down = 1 - right, 1 - down
                x, y, state = x << 1 | right, y << 1 | down, state ^ _TURNS[quarter]
            steps.append((x, y, state))
        there.append(steps)
    return there, [{(x, y): (number, state) for number, (x, y, state) in enumerate(steps)} for steps in there]


def point(number: int, levels: int, state: int = 0) -> tuple[int, int]:
    """Return (x, y) of a place on the curve through a square of 2**levels by 2**levels cells.

    >>> [point(number, 4) for number in (0, 1, 14, 255)]
    [(0, 0), (1, 0), (2, 0), (15, 0)]
    """
    table = _steps()[0]
    more = -levels % _STEP_LEVELS  # so many levels are gone down too far, to where the cell begins
    number <<= 2 * more
    x = y = 0
    for shift in range(2 * (levels + more) - _STEP_BITS, -_STEP_BITS, -_STEP_BITS):
        right, down, state = table[state][number >> shift & 255]
        x, y = x << _STEP_LEVELS | right, y << _STEP_LEVELS | down
    return x >> more, y >> more


def number_at(x: int, y: int, levels: int, state: int = 0) -> int:
    """Return the place on the curve of a cell; `point` undone."""
    table = _steps()[1]
    more = -levels % _STEP_LEVELS
    x, y = x << more, y << more
    number = 0
    for shift in range(levels + more - _STEP_LEVELS, -_STEP_LEVELS, -_STEP_LEVELS):
        step, state = table[state][x >> shift & 15, y >> shift & 15]
        number = number << _STEP_BITS | step
    return number >> 2 * more


class Grid:
    """A block of addresses as 2**bits cells, each of equally many addresses; cells are numbered along the curve.

    An odd count of bits makes a picture twice as wide as high.

    >>> grid = Grid(Range.parse("0.0.0.0/0"), 8)
    >>> grid.box(Range.parse("16.0.0.0/6")), grid.cell(0xFF000000)
    (Box(x=4, y=0, width=2, height=2), (15, 0))
    """

    def __init__(self, block: Range, bits: int) -> None:
        """Lay a CIDR out. Raises UsageError if it is none or has fewer addresses than cells."""
        host_bits = block.size.bit_length() - 1
        if not block.is_cidr():
            raise UsageError(f"{block} is no CIDR: expected one block, as 193.0.0.0/8")
        if not 0 <= bits <= host_bits:
            raise UsageError(f"{block} has 2**{host_bits} addresses: expected 0 to {host_bits} bits, not {bits}")
        self.block, self.bits = block, bits
        #: Bits of an address within a cell.
        self.cell_bits = host_bits - bits
        self._levels = (bits + 1) // 2
        # Of an odd count of bits it is the first half of a square, transposed: so the half is the upper one.
        self._state = _TRANSPOSED if bits % 2 else 0
        self.width, self.height = 1 << self._levels, 1 << bits // 2

    def cell(self, address: int) -> tuple[int, int]:
        """Return (x, y) of the cell that an address of the block lies in."""
        return point((address - self.block.first) >> self.cell_bits, self._levels, self._state)

    def range_at(self, x: int, y: int) -> Range:
        """Return the addresses of a cell. Raises IndexError if there is no such cell."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise IndexError(f"({x}, {y}) is no cell of {self.width} by {self.height}")
        number = number_at(x, y, self._levels, self._state)
        first = self.block.first + (number << self.cell_bits)
        return Range(self.block.family, first, first + (1 << self.cell_bits) - 1)

    def box(self, block: Range) -> Box:
        """Return the box of a CIDR of this block that has whole cells."""
        cells = block.size >> self.cell_bits
        return self._box((block.first - self.block.first) >> self.cell_bits, cells.bit_length() - 1)

    def boxes(self, first: int, last: int) -> Iterator[Box]:
        """Yield the boxes that the cells with the numbers `first` to `last` make up, the fewest."""
        while first <= last:
            bits = min((first & -first).bit_length() - 1 if first else self.bits, (last - first + 1).bit_length() - 1)
            yield self._box(first, bits)
            first += 1 << bits

    def _box(self, number: int, bits: int) -> Box:
        """Return the box of 2**bits cells from a number that is a multiple of so many."""
        depth = bits // 2
        side, levels = 1 << depth, self._levels - depth
        number >>= 2 * depth
        x, y = point(number, levels, self._state)
        if bits % 2 == 0:
            return Box(x << depth, y << depth, side, side)
        right, down = point(number + 1, levels, self._state)
        box_x, box_y = min(x, right) << depth, min(y, down) << depth
        return Box(box_x, box_y, 2 * side, side) if y == down else Box(box_x, box_y, side, 2 * side)


def grid_of(block: Range, most_bits: int) -> Grid:
    """Return the grid of a CIDR with at most 2**most_bits cells: as many as it has addresses, if these are fewer.

    Raises UsageError if it is no CIDR.
    """
    host_bits = block.size.bit_length() - 1
    bits = min(host_bits, most_bits)
    # A block has the same shape, square or wide, however fine its cells are.
    return Grid(block, bits if bits == host_bits or (host_bits - bits) % 2 == 0 else bits - 1)


def prefix_length(grid: Grid) -> int:
    """Return the prefix length of one cell."""
    return BITS[grid.block.family] - grid.cell_bits
