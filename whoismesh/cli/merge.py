"""`whoismesh merge`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whoismesh.command import EXIT_CODES, told
from whoismesh.depth import ALLOCATIONS
from whoismesh.dump import Dump, open_dump
from whoismesh.dump_file import COMPRESSIONS, header_of, packed, write_records
from whoismesh.errors import DumpError
from whoismesh.merging import Side, merged
from whoismesh.rangesets import RangeSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("first", type=Path, metavar="A", help="a dump")
    parser.add_argument("second", type=Path, metavar="B", help="another one; of equally old records its own counts")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the dump to write")
    parser.add_argument("--compress", choices=COMPRESSIONS, help="all commands read compressed dumps, too")
    parser.epilog = (
        "Where both tell something, the newer counts (fetched_at).\n"
        f"example: whoismesh merge ipv4.msgpack ipv6.msgpack -o all.msgpack\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Write the merged dump; 1 if one of the two is cut short or damaged (what can be read of it is taken)."""
    with open_dump(args.first) as first, open_dump(args.second) as second:
        sides = (_side(first), _side(second))
        header = _header(first, second)
        try:
            counts = write_records(args.out, header, map(packed, merged(*sides)), args.compress)
        except ValueError as error:
            raise DumpError(f"{args.first} or {args.second}: is not in order: {error}; write it again") from None
    print(f"{counts['network']:,} networks, {counts.total() - counts['network']:,} ranges that nobody holds")
    return max(told(first.problem), told(second.problem))


def _side(dump: Dump) -> Side:
    return Side(dump.whole_records(), _number(dump.header, "written_at"), _depth(dump.header))


def _depth(header: Mapping[str, Any]) -> str:
    return str(header.get("depth") or ALLOCATIONS)


def _number(header: Mapping[str, Any], key: str) -> float:
    value = header.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _header(first: Dump, second: Dump) -> dict[str, Any]:
    """Return the header of both together: made of nothing but theirs, so that the same two make the same dump."""
    headers = (first.header, second.header)
    more = {}
    if headers[0].get("crawl") == headers[1].get("crawl") is not None:
        more["crawl"] = headers[0]["crawl"]
    depths = {_depth(each) for each in headers}
    started = [_number(each, "started_at") for each in headers if "started_at" in each]
    return header_of(
        map(str, RangeSet((*first.space, *second.space))),
        complete=all(bool(each.get("complete")) for each in headers),
        **more,
        depth=depths.pop() if len(depths) == 1 else ALLOCATIONS,
        **({"started_at": min(started)} if started else {}),
        written_at=max(_number(each, "written_at") for each in headers),
    )
