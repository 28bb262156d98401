"""Where everything stands in a picture: the map, the numbers on it, title and legend. Pure, and the same for all files.

Measures are pixels, from the upper left.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from whoismesh.addresses import BITS, Range, format_address
from whoismesh.hilbert import Box, Grid, prefix_length
from whoismesh.maps.cells import Run
from whoismesh.maps.layers import Entry

MARGIN = 16
#: Height of the title and the two notes under it, above the map, and where their letters begin.
HEAD, TITLE_TOP, NOTES_TOP, NOTE_LINE = 76, 8, 34, 17
#: Width of the legend, height of a line of it, and side of its square of colour.
LEGEND, LINE, SWATCH = 280, 22, 16
#: Sizes of letters.
TITLE_SIZE, TEXT_SIZE, LARGEST, SMALLEST = 20, 13, 13, 7
#: No letter that a label has (hexadecimal digits, "." and ":") is wider than so much of its size, in the fonts that are
#: used: all fixed-width ones, and Pillow's own.
LETTER_WIDTH = 0.73
#: A line of the legend: so many letters at the most.
MOST_LETTERS = 24


class Label(NamedTuple):
    """A text on the map: its middle, how large its letters are, and the box of its block, all in pixels."""

    x: float
    y: float
    size: int
    text: str
    box: Box


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture. Each cell of the grid is a square of `scale` pixels; a run's value is a number of `entries`."""

    title: str
    notes: tuple[str, ...]
    grid: Grid
    scale: int
    runs: Sequence[Run[int]]
    entries: Sequence[Entry]

    @property
    def map_box(self) -> Box:
        """Where the map is."""
        return Box(MARGIN, HEAD, self.grid.width * self.scale, self.grid.height * self.scale)

    @property
    def legend_at(self) -> tuple[int, int]:
        """The upper left of the legend."""
        return self.map_box.x + self.map_box.width + MARGIN, HEAD

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of it all."""
        body = max(self.map_box.height, LINE * len(self.entries))
        return self.legend_at[0] + LEGEND + MARGIN, HEAD + body + MARGIN

    def boxes(self) -> Iterator[tuple[int, Box]]:
        """Yield (number of the entry, box in cells) for all of the map, no cell twice."""
        for first, last, entry in self.runs:
            for box in self.grid.boxes(first, last):
                yield entry, box

    def label_boxes(self) -> list[tuple[Range, Box]]:
        """Return the blocks that get a label, and their boxes in pixels.

        They are 256 of a square and 128 of a wide map, or a quarter as many, until all labels fit.
        """
        bits = min(self.grid.bits, 8 if self.grid.bits % 2 == 0 else 7)
        found = self._blocks(bits)
        while bits > 1 and not all(_letter_size(label_text(block), box) for block, box in found):
            bits -= 2
            found = self._blocks(bits)
        return found

    def _blocks(self, bits: int) -> list[tuple[Range, Box]]:
        """Return the 2**bits blocks that the map is made of."""
        family, origin, _ = self.grid.block
        size = self.grid.block.size >> bits
        at = self.map_box
        found = []
        for first in range(origin, origin + (size << bits), size):
            block = Range(family, first, first + size - 1)
            x, y, width, height = (each * self.scale for each in self.grid.box(block))
            found.append((block, Box(at.x + x, at.y + y, width, height)))
        return found

    def labels(self) -> list[Label]:
        """Return the labels that fit into their boxes: all, but where not even that of the whole block does."""
        return [
            Label(box.x + box.width / 2, box.y + box.height / 2, size, text, box)
            for block, box in self.label_boxes()
            if (size := _letter_size(text := label_text(block), box))
        ]

    def share(self, entry: Entry) -> str:
        """Return what share of the map's addresses a line of the legend stands for."""
        share = entry.addresses / self.grid.block.size
        return f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def _letter_size(text: str, box: Box) -> int:
    """Return how large a text's letters can be in a box; 0 if they would be too small to read."""
    size = min(LARGEST, int((box.width - 4) / (LETTER_WIDTH * len(text))), int((box.height - 2) / 1.3))
    return size if size >= SMALLEST else 0


def label_text(block: Range) -> str:
    """Return a block's first address without what all of the block's addresses differ in.

    >>> label_text(Range.parse("193.0.0.0/8")), label_text(Range.parse("2001:600::/31"))
    ('193', '2001:600')
    """
    length = BITS[block.family] + 1 - block.size.bit_length()
    text = format_address(block.family, block.first)
    if block.family == 4:
        return ".".join(text.split(".")[: max(1, -(-length // 8))])
    return text.removesuffix("::") or text


def plain(text: str, most: int = MOST_LETTERS) -> str:
    """Return a text from a registry in one line without what cannot be seen, and not too long: it may hold anything."""
    shown = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return shown if len(shown) <= most else f"{shown[: most - 3].rstrip()}..."


def ascii_only(text: str) -> str:
    """Return a text in the letters that every font has: accents left out, "?" for what is no Latin letter."""
    folded = unicodedata.normalize("NFKD", text)
    return "".join(each if each.isascii() else "?" for each in folded if not unicodedata.combining(each))


def cell_note(grid: Grid) -> str:
    """Return what one cell of a map is."""
    length = prefix_length(grid)
    if grid.cell_bits == 0:
        return "a cell is one address"
    return f"a cell is a /{length} and shows what most of its addresses are"
