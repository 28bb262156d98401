"""`whoismesh lookup`. What one address needs is imported at the top, all else when it is needed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from whoismesh.addresses import Range, format_address
from whoismesh.command import EXIT_CODES, told
from whoismesh.index import Index, open_index

if TYPE_CHECKING:
    from whoismesh.batches import Batch

#: Records that are kept as JSON, some 60 MB of them.
_KEPT = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", help="a dump")
    parser.add_argument(
        "addresses",
        nargs="+",
        metavar="ADDRESS",
        help="IPv4 or IPv6 address, CIDR or FIRST-LAST range; or -, to read them from standard input, one a line",
    )
    parser.add_argument(
        "--parents", action="store_true", help="also the records around the answer, the narrowest first"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON line for each address")
    parser.epilog = (
        "The first lookup in a large dump makes FILE.index, which the next ones use.\n"
        f"example: whoismesh lookup results.msgpack 193.0.6.139 196.216.2.6\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Print who holds each address; 1 if the dump does not tell of one, or is cut short or damaged."""
    wanted = [None if text == "-" else Range.parse(text) for text in args.addresses]
    missing = wrong = 0
    with open_index(args.file, _say_building) as index:
        answers = _Answers(index, args)
        for each in wanted:
            if each is None:
                batch = _batch(index, answers, args)
                missing, wrong = missing + batch.missing, wrong + batch.wrong
                continue
            for line, known in answers(each):
                missing += not known
                sys.stdout.write(f"{line}\n")
        if wrong:
            print(f"whoismesh: standard input: {wrong:,} lines are no address, CIDR or range", file=sys.stderr)
        return told(index.problem) or int(missing + wrong > 0)


def _say_building(path: str) -> None:
    """Say that this takes longer than the next lookup will."""
    if path:
        print(f"whoismesh: making {path}, once for this dump", file=sys.stderr, flush=True)


def _batch(index: Index, answers: _Answers, args: argparse.Namespace) -> Batch:
    from whoismesh.batches import Batch

    sys.stdout.flush()
    batch = Batch(index, answers, plain=not (args.json or args.parents))
    batch.run(sys.stdin.buffer, sys.stdout.buffer)
    return batch


class _Answers:
    """The answers to questions, in the form that was asked for."""

    def __init__(self, index: Index, args: argparse.Namespace) -> None:
        self._index = index
        self._parents = bool(args.parents)
        self._answer = self._json if args.json else self._text
        self._texts: dict[int, str] = {}

    def __call__(self, wanted: Range) -> Iterator[tuple[str, bool]]:
        """Yield the lines that answer a question, and whether the dump tells.

        Of a range it is the most specific record that holds all of it; where none does, what answers for its parts.
        """
        index, (family, first, last) = self._index, wanted
        if first == last:
            asked, holders = format_address(family, first), index.around(family, first)
            yield self._answer({"address": asked}, asked, holders), bool(holders)
            return
        asked, holders = str(wanted), index.holders(wanted)
        if holders:
            yield self._answer({"range": asked}, asked, holders), True
            return
        for part, number in index.parts(wanted):
            around = index.around(family, part.first) if number is not None else []
            yield self._answer({"range": asked, "part": str(part)}, str(part), around), number is not None

    def _text(self, _: dict[str, str], text: str, holders: list[int]) -> str:
        lines = [self._index.line(each).decode() for each in (holders if self._parents else holders[:1])]
        return "\n  in ".join([f"{text}: {lines[0] if lines else 'not in this dump'}", *lines[1:]])

    def _json(self, asked: dict[str, str], _: str, holders: list[int]) -> str:
        found = [self._record(each) for each in (holders if self._parents else holders[:1])]
        parents = f', "parents": [{", ".join(found[1:])}]' if self._parents else ""
        shown = found[0][1:-1] if found else '"kind": null'
        return f"{json.dumps(asked)[:-1]}, {shown}{parents}}}"

    def _record(self, number: int) -> str:
        """Return a record as JSON; those that were asked for lately are kept."""
        found = self._texts.get(number)
        if found is None:
            from whoismesh.networks import plain_values

            if len(self._texts) >= _KEPT:
                self._texts.clear()
            found = self._texts[number] = json.dumps(plain_values(self._index.values(number)))
        return found
