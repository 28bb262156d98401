"""A drawing as PNG, by Pillow: the one module that knows it. Pillow is an extra (`map`).

Boxes are filled by rows into plain bytes, a number of the legend for each cell; what Pillow does is colours, patterns
and letters. Its own font is used, so that a picture is the same on every machine; it has ASCII alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whoismesh.errors import UnavailableError
from whoismesh.maps.drawing import (
    LEGEND,
    LINE,
    MARGIN,
    NOTE_LINE,
    NOTES_TOP,
    SWATCH,
    TEXT_SIZE,
    TITLE_SIZE,
    TITLE_TOP,
    Drawing,
    ascii_only,
    plain,
)
from whoismesh.maps.looks import PATTERN_SIZE, PATTERNS, Look, channels

if TYPE_CHECKING:
    from PIL.Image import Image

_INK = (0, 0, 0)


def need_pillow() -> None:
    """Raise UnavailableError, which says what to do, if Pillow is missing or has no letters of its own."""
    try:
        from PIL import features
    except ImportError:
        raise UnavailableError(
            "a PNG needs Pillow, which is not installed: pip install 'whoismesh[map]', or write an .svg"
        ) from None
    if not features.check("freetype2"):
        raise UnavailableError(
            "this Pillow was built without FreeType and has no letters: pip install --force-reinstall pillow, "
            "or write an .svg"
        )


def write_png(drawing: Drawing, path: Path) -> None:
    """Write the file. Raises OSError, and UnavailableError if Pillow is missing."""
    need_pillow()
    from PIL.PngImagePlugin import PngInfo

    told = PngInfo()
    told.add_text("Title", ascii_only(plain(drawing.title, 200)))
    picture(drawing).save(path, "PNG", pnginfo=told)


def cell_numbers(drawing: Drawing) -> bytearray:
    """Return the number of the legend's line for each cell, by rows."""
    width = drawing.grid.width
    cells = bytearray(width * drawing.grid.height)
    for entry, (x, y, across, down) in drawing.boxes():
        if entry:
            row = bytes((entry,)) * across
            for start in range(y * width + x, (y + down) * width + x, width):
                cells[start : start + across] = row
    return cells


def picture(drawing: Drawing) -> Image:
    """Return the picture, of red, green and blue."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", drawing.size, "#FFFFFF")
    box = drawing.map_box
    cells = Image.frombytes("P", (drawing.grid.width, drawing.grid.height), bytes(cell_numbers(drawing)))
    cells = cells.resize((box.width, box.height), Image.Resampling.NEAREST)
    canvas.paste(_coloured(cells, [entry.look for entry in drawing.entries]), (box.x, box.y))

    seams = ImageDraw.Draw(canvas, "RGBA")
    for _, (x, y, width, height) in drawing.label_boxes():
        if width > 3 < height:
            seams.line((x, y, x + width - 1, y), (0, 0, 0, 60))
            seams.line((x, y + 1, x, y + height - 1), (0, 0, 0, 60))
    seams.rectangle((box.x - 1, box.y - 1, box.x + box.width, box.y + box.height), outline=_INK)

    pen = ImageDraw.Draw(canvas)
    for label in drawing.labels():
        letters = ImageFont.load_default(label.size)
        pen.text((label.x, label.y), label.text, _INK, letters, "mm", stroke_width=1, stroke_fill="#FFFFFF")
    pen.text((MARGIN, TITLE_TOP), ascii_only(plain(drawing.title, 200)), _INK, ImageFont.load_default(TITLE_SIZE))
    font = ImageFont.load_default(TEXT_SIZE)
    for number, note in enumerate(drawing.notes):
        pen.text((MARGIN, NOTES_TOP + number * NOTE_LINE), ascii_only(plain(note, 200)), _INK, font)
    left, top = drawing.legend_at
    for entry in drawing.entries:
        swatch = _coloured(Image.new("P", (SWATCH, SWATCH), 0), [entry.look])
        canvas.paste(swatch, (left, top))
        pen.rectangle((left, top, left + SWATCH - 1, top + SWATCH - 1), outline=_INK)
        pen.text((left + SWATCH + 8, top), ascii_only(plain(entry.label)), _INK, font)
        pen.text((left + LEGEND, top), drawing.share(entry), _INK, font, "ra")
        top += LINE
    return canvas


def _coloured(numbers: Image, looks: list[Look]) -> Image:
    """Return a picture of numbers (mode P) with the look that each number has."""
    from PIL import Image, ImageChops

    numbers.putpalette([value for look in looks for value in channels(look.colour)])
    coloured = numbers.convert("RGB")
    indices = Image.frombytes("L", numbers.size, numbers.tobytes())
    for number, look in enumerate(looks):
        if look.pattern:
            where = indices.point([255 if each == number else 0 for each in range(256)])
            coloured.paste(channels(look.ink), mask=ImageChops.multiply(where, _tiled(look.pattern, numbers.size)))
    return coloured


def _tiled(pattern: str, size: tuple[int, int]) -> Image:
    """Return a mask of a whole picture with a pattern all over."""
    from PIL import Image

    width, height = size
    rows = [
        bytes(255 if row >> (PATTERN_SIZE - 1 - x % PATTERN_SIZE) & 1 else 0 for x in range(width))
        for row in PATTERNS[pattern]
    ]
    return Image.frombytes("L", size, b"".join(rows[y % PATTERN_SIZE] for y in range(height)))
