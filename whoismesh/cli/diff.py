"""`whoismesh diff`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from heapq import nlargest
from pathlib import Path
from typing import Any

from whoismesh.command import EXIT_CODES, told
from whoismesh.differences import CLASSES, FIELDS, Change, RangeTally, Tally, changes
from whoismesh.dump import open_dump
from whoismesh.errors import DumpError, UsageError
from whoismesh.networks import Network, Record, plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("old", type=Path, metavar="OLD", help="the earlier dump")
    parser.add_argument("new", type=Path, metavar="NEW", help="the later dump")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print the counts as JSON")
    shape.add_argument("--jsonl", action="store_true", help="print a JSON line for each change")
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="so many of the widest changes are shown (default: 10)"
    )
    parser.add_argument(
        "--ignore",
        nargs="+",
        action="extend",
        default=[],
        choices=FIELDS,
        metavar="FIELD",
        help=f"fields that make no difference: {', '.join(FIELDS)}",
    )
    parser.epilog = (
        "Compares by range: each address that is held in one of the dumps is in one class.\n"
        f"example: whoismesh diff january.msgpack june.msgpack --ignore changed asn asn_cidr\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Print what changed; 1 if a dump is cut short or damaged (it is compared as far as it can be read)."""
    if not 0 <= args.top <= 10_000:
        raise UsageError(f"--top {args.top}: expected 0 to 10000")
    tally, ranges = Tally(), RangeTally()

    def counted() -> Any:
        for change in found:
            tally.add(change)
            if change.kind != "unchanged":
                yield change

    with open_dump(args.old) as old, open_dump(args.new) as new:
        found = changes(ranges.old(old.whole_records()), ranges.latest(new.whole_records()), args.ignore)
        try:
            if args.jsonl:
                for change in counted():
                    print(json.dumps(_line(change)))
            else:
                # At least one: asked for none, nlargest would not look at anything.
                widest = nlargest(max(1, args.top), counted(), key=lambda change: change.range.size)[: args.top]
        except ValueError as error:
            raise DumpError(f"{args.old} or {args.new}: is not in order: {error}; write it again") from None
    if args.json:
        print(json.dumps({"ranges": ranges.to_map(), "classes": tally.to_map()}))
    elif not args.jsonl:
        _print(tally, ranges.to_map(), widest)
    return max(told(old.problem), told(new.problem))


def _line(change: Change) -> dict[str, Any]:
    """Return a change as plain values for JSON."""
    shown: Callable[[Record | None], Any] = lambda record: None if record is None else plain(record)  # noqa: E731
    return {
        "change": change.kind,
        "range": str(change.range),
        "addresses": change.range.size,
        "fields": list(change.fields),
        "old": shown(change.old),
        "new": shown(change.new),
    }


def _print(tally: Tally, ranges: dict[str, int], widest: list[Change]) -> None:
    """Print the counts for people."""
    print(f"{'':<16}{'changes':>10} {'addresses':>42}")
    for kind in CLASSES:
        if tally.changes[kind] or kind == "unchanged":
            print(f"{kind.replace('_', ' '):<16}{tally.changes[kind]:>10,} {tally.addresses[kind]:>42,}")
    print(f"{ranges['kept']:,} ranges of networks are in both, {ranges['gone']:,} gone, {ranges['new']:,} new")
    if widest:
        print("the widest changes:")
    for change in widest:
        fields = f" ({', '.join(change.fields)})" if change.fields else ""
        print(f"  {change.kind.replace('_', ' ')} {change.range}{fields}")
        print(f"    {_short(change.old)}")
        print(f"    {_short(change.new)}")


def _short(record: Record | None) -> str:
    if record is None:
        return "not in this dump"
    if not isinstance(record, Network):
        return record.kind
    holder = record.holder.name or record.holder.handle or "holder not named"
    return ", ".join(each for each in (str(record.range), holder, record.country, record.registry) if each)
