"""A drawing as SVG 1.1: boxes as one path for each line of the legend, so that it stays small and sharp. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

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
    plain,
)
from whoismesh.maps.looks import PATTERN_SIZE, PATTERNS, Look


def svg(drawing: Drawing) -> Iterator[str]:
    """Yield the lines of the file."""
    width, height = drawing.size
    title = plain(drawing.title, 200)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label={quoteattr(title)} font-family="sans-serif" font-size="{TEXT_SIZE}">'
    )
    yield f"<title>{escape(title)}</title>"
    yield "<defs>"
    for number, entry in enumerate(drawing.entries):
        if entry.look.pattern:
            yield _pattern(number, entry.look)
    yield "</defs>"
    yield f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>'
    yield f'<text x="{MARGIN}" y="{TITLE_TOP + TITLE_SIZE}" font-size="{TITLE_SIZE}">{escape(title)}</text>'
    for number, note in enumerate(drawing.notes):
        y = NOTES_TOP + number * NOTE_LINE + TEXT_SIZE
        yield f'<text x="{MARGIN}" y="{y}">{escape(plain(note, 200))}</text>'
    yield from _map(drawing)
    yield from _lines(drawing)
    yield '<g font-family="monospace" text-anchor="middle" stroke="#FFFFFF" stroke-width="2.5" paint-order="stroke">'
    for label in drawing.labels():
        yield (
            f'<text x="{label.x:g}" y="{label.y + label.size * 0.35:g}" font-size="{label.size}">'
            f"{escape(label.text)}</text>"
        )
    yield "</g>"
    yield from _legend(drawing)
    yield "</svg>"


def _fill(number: int, look: Look) -> str:
    return f"url(#p{number})" if look.pattern else look.colour


def _pattern(number: int, look: Look) -> str:
    """Return a look with a pattern, which does not grow with the cells."""
    side = PATTERN_SIZE
    ink = "".join(
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(PATTERNS[look.pattern])
        for x in range(side)
        if row >> (side - 1 - x) & 1
    )
    return (
        f'<pattern id="p{number}" width="{side}" height="{side}" patternUnits="userSpaceOnUse">'
        f'<rect width="{side}" height="{side}" fill="{look.colour}"/><path d="{ink}" fill="{look.ink}"/></pattern>'
    )


def _map(drawing: Drawing) -> Iterator[str]:
    box, scale = drawing.map_box, drawing.scale
    paths: list[list[str]] = [[] for _ in drawing.entries]
    for number, (x, y, width, height) in drawing.boxes():
        if scale > 1:
            x, y, width, height = x * scale, y * scale, width * scale, height * scale
        paths[number].append(f"M{x} {y}h{width}v{height}h-{width}z")
    yield f'<g transform="translate({box.x} {box.y})" shape-rendering="crispEdges">'
    for number, (entry, path) in enumerate(zip(drawing.entries, paths, strict=True)):
        if path:
            yield f'<path fill="{_fill(number, entry.look)}" d="{"".join(path)}">'
            yield f"<title>{escape(plain(entry.label))}</title></path>"
    yield "</g>"


def _lines(drawing: Drawing) -> Iterator[str]:
    """Yield the seams between the blocks that have labels, and the frame."""
    box = drawing.map_box
    seams = "".join(f"M{x} {y}h{width}v{height}" for _, (x, y, width, height) in drawing.label_boxes())
    yield f'<path d="{seams}" fill="none" stroke="#000000" stroke-opacity="0.3" stroke-width="0.5"/>'
    yield f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" fill="none" stroke="#000000"/>'


def _legend(drawing: Drawing) -> Iterator[str]:
    x, y = drawing.legend_at
    for number, entry in enumerate(drawing.entries):
        top = y + number * LINE
        yield (
            f'<rect x="{x}" y="{top}" width="{SWATCH}" height="{SWATCH}" fill="{_fill(number, entry.look)}" '
            'stroke="#000000" stroke-width="0.5"/>'
        )
        yield f'<text x="{x + SWATCH + 8}" y="{top + 13}">{escape(plain(entry.label))}</text>'
        yield f'<text x="{x + LEGEND}" y="{top + 13}" text-anchor="end">{escape(drawing.share(entry))}</text>'
