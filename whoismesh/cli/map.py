"""`whoismesh map`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from whoismesh.addresses import WHOLE, Range
from whoismesh.command import EXIT_CODES, told
from whoismesh.differences import FIELDS
from whoismesh.dump import Dump, open_dump
from whoismesh.errors import DumpError, UsageError
from whoismesh.maps import png
from whoismesh.maps.drawing import Drawing
from whoismesh.maps.layers import LAYERS
from whoismesh.maps.making import SIZES, draw, draw_changes, grid_for, smallest_block
from whoismesh.maps.svg import svg
from whoismesh.output_files import appearing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a dump")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="the picture to write: .png or .svg"
    )
    parser.add_argument("--layer", choices=LAYERS, default="registry", help="what is shown (default: registry)")
    parser.add_argument(
        "--space",
        metavar="CIDR",
        help='one block, "ipv4" or "ipv6" (default: the smallest with all of the crawl in it)',
    )
    parser.add_argument("--compare", type=Path, metavar="OLD", help="an earlier dump: show what changed since")
    parser.add_argument(
        "--ignore",
        nargs="+",
        action="extend",
        default=[],
        choices=FIELDS,
        metavar="FIELD",
        help="with --compare: fields that make no difference, as of `whoismesh diff`",
    )
    parser.add_argument(
        "--size", type=int, choices=SIZES, default=1024, help="pixels that the map is wide (default: 1024)"
    )
    parser.epilog = (
        "PNG needs Pillow (pip install 'whoismesh[map]'); SVG needs nothing.\n"
        f"example: whoismesh map results.msgpack -o map.png --layer country\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Write the picture; 1 if a dump is cut short or damaged (it is drawn as far as it can be read)."""
    kind = args.out.suffix.lower()
    if kind not in (".png", ".svg"):
        raise UsageError(f"{args.out}: expected a name that ends in .png or .svg")
    if args.compare is not None and args.layer != "registry":
        raise UsageError("--compare shows what changed, so it goes without --layer")
    if args.ignore and args.compare is None:
        raise UsageError("--ignore goes with --compare")
    if kind == ".png":
        png.need_pillow()
    with ExitStack() as files:
        dump = files.enter_context(open_dump(args.file))
        old = files.enter_context(open_dump(args.compare)) if args.compare is not None else None
        block = _block(args.space, dump)
        grid_for(block, args.size)
        try:
            if old is None:
                drawing = draw(dump.whole_records(), args.layer, block, args.size, _note(dump))
            else:
                note = f"from {_note(old)} to {_note(dump)}"
                drawing = draw_changes(old.whole_records(), dump.whole_records(), block, args.size, note, args.ignore)
        except ValueError as error:
            raise DumpError(f"{args.file}: is not in order: {error}; write it again") from None
        _write(drawing, args.out, kind)
        print(f"{args.out}: {drawing.title}; {drawing.notes[-1]}")
        return max(told(each.problem) for each in (dump, old) if each is not None)


def _block(text: str | None, dump: Dump) -> Range:
    if text is None:
        return smallest_block(dump.space)
    return WHOLE.get(text.strip().lower()) or Range.parse(text)


def _note(dump: Dump) -> str:
    """Return of when a dump is."""
    written = dump.header.get("written_at")
    if not isinstance(written, int | float):
        return "a time not told"
    try:
        return datetime.fromtimestamp(written, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a time not told"


def _write(drawing: Drawing, path: Path, kind: str) -> None:
    with appearing(path) as temporary:
        if kind == ".png":
            png.write_png(drawing, temporary)
            return
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in svg(drawing))
