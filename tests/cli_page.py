"""Print docs/cli.md: the help of every command, at one width whatever the terminal is.

    .venv/bin/python tests/cli_page.py > docs/cli.md

Python 3.13 writes options in another way than 3.11 and 3.12, which this page is made with.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence

from whoismesh import coordinator, worker
from whoismesh.cli.main import COMMANDS, build_parser
from whoismesh.practice import compare, snapshot

WIDTH = 110

HEAD = """\
# Commands

The help of every command, made by `tests/cli_page.py`; a test holds it to the code. The [README](../README.md) tells
what each is for.
"""

#: Programs with an entry of their own.
PROGRAMS: tuple[tuple[str, Callable[[Sequence[str]], int]], ...] = (
    ("whoismesh-coord", coordinator.main),
    ("whoismesh-worker", worker.main),
    ("python -m whoismesh.practice.snapshot", snapshot.main),
    ("python -m whoismesh.practice.compare", compare.main),
)


def commands() -> Iterator[tuple[str, str]]:
    """Yield (command, its help) of all there are."""
    yield "whoismesh", build_parser(None).format_help()
    for name, _, _ in COMMANDS:
        yield from _helps(f"whoismesh {name}", _subparsers(build_parser(name))[name])
    for name, main in PROGRAMS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(["--help"])
        yield name, printed.getvalue()


def _helps(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield name, parser.format_help()
    for sub, below in _subparsers(parser).items():
        yield from _helps(f"{name} {sub}", below)


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(action.choices)
    return found


def page() -> str:
    """Return the page."""
    os.environ["COLUMNS"] = str(WIDTH)
    parts = [HEAD]
    for name, text in commands():
        parts.append(f"## {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
