"""What all commands share: the settings options, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import whoismesh
from whoismesh.depth import ALLOCATIONS, DEPTHS
from whoismesh.errors import ConfigError, TryAgainError, WhoismeshError

#: EX_SOFTWARE of sysexits.h.
BUG = 70
EXIT_CODES = (
    "exit codes: 0 done, 1 ended with failures, 2 usage, 69 unavailable, 70 a bug, 75 try again, 78 bad configuration"
)

#: What --asn does, at all commands that have it.
ASN_HELP = "ask Team Cymru who announces what is found, in bulk (crawl.asn)"

#: What --bulk does, likewise.
BULK_HELP = (
    "RPSL databases (ripe.db.inetnum.gz and the like) to take networks from before anything is asked (crawl.bulk)"
)


_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --config, --depth, --log-level and --version."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML); WHOISMESH_* variables go over it")
    depth_argument(parser)
    common_arguments(parser)


def depth_argument(parser: argparse.ArgumentParser) -> None:
    """Add --depth."""
    parser.add_argument(
        "--depth",
        choices=DEPTHS,
        help="what is collected: networks that answer for an address, or also all that lies in them and around them "
        f"(default: crawl.depth, {ALLOCATIONS})",
    )


def prior_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --prior and --prior-aims-only."""
    parser.add_argument(
        "--prior",
        nargs="+",
        default=[],
        metavar="FILE",
        help="delegated-extended statistics of the registries (may be gzipped): they aim the lookups, and settle "
        "what they call free without a question",
    )
    parser.add_argument(
        "--prior-aims-only", action="store_true", help="ask about what the prior calls free like about all else"
    )


def prior_flags(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that these arguments stand for, None where they were not given."""
    return {"prior": args.prior, "prior_settles": False if args.prior_aims_only else None}


def since_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --since and --older-than."""
    parser.add_argument(
        "--since",
        metavar="OLD",
        help="an older dump: ask only what it does not know, or what is old in it (crawl.since)",
    )
    parser.add_argument(
        "--older-than",
        type=age_s,
        metavar="AGE",
        help="with --since: how old that is, in s, m, h, d or w (default: 30d, crawl.older_than_s)",
    )


def since_flags(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that these arguments stand for, None where they were not given."""
    return {"since": args.since, "older_than_s": args.older_than}


def age_s(text: str) -> float:
    """Read an age for argparse; return seconds.

    >>> age_s("30d"), age_s("1.5h")
    (2592000.0, 5400.0)
    """
    number, unit = text[:-1], text[-1:]
    if unit not in _UNIT_S or not _NUMBER.fullmatch(number):
        raise argparse.ArgumentTypeError(f"expected a number and one of s, m, h, d and w, as 30d, got {text!r}")
    return float(number) * _UNIT_S[unit]


def common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --log-level and --version, and the exit codes to the end of the help."""
    from whoismesh.logs import LEVELS  # brings logging in, which only daemons need

    parser.add_argument(
        "--log-level", choices=LEVELS, default="info", help="what goes to standard error (default: info)"
    )
    parser.add_argument("--version", action="version", version=f"whoismesh {whoismesh.__version__}")
    parser.epilog = f"{parser.epilog}\n{EXIT_CODES}" if parser.epilog else EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run_command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None,
) -> int:
    """Parse, run, and turn what goes wrong into a line on standard error and an exit code."""
    args = parser.parse_args(arguments)
    try:
        code = run(args)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a closed pipe is no error, and not at Python's end, where it is one
        return code
    except WhoismeshError as error:
        problems = error.problems if isinstance(error, ConfigError) else (str(error),)
        for problem in problems:
            _say(f"{parser.prog}: {problem}")
        return error.exit_code
    except BrokenPipeError:
        # Whoever reads has had enough.
        _give_up(sys.stdout)
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        return _unforeseen(parser, error)


def _unforeseen(parser: argparse.ArgumentParser, error: Exception) -> int:
    """Tell of an error that is none of ours; return the exit code.

    Imports what most commands need not: each of them is a process, and `lookup` is to be quick.
    """
    import sqlite3
    import traceback

    from whoismesh.storage import disk_error, is_full

    if isinstance(error, sqlite3.DatabaseError):
        problem = disk_error(Path("the state file"), "cannot be used", error)
        _say(f"{parser.prog}: {problem}")
        return problem.exit_code
    if isinstance(error, OSError) and is_full(error):
        _give_up(sys.stdout)
        _say(f"{parser.prog}: {error.filename or 'the output'}: {error.strerror}; make room and run it again")
        return TryAgainError.exit_code
    # A bug of ours. Its own exit code keeps it apart from 1, which says that a crawl ended with failures.
    traceback.print_exc()
    return BUG


def told(problem: str) -> int:
    """Say what is wrong with a dump of which something could be read; return the exit code."""
    if problem:
        print(f"whoismesh: {problem}", file=sys.stderr)
    return 1 if problem else 0


def _say(line: str) -> None:
    """Print a line on standard error; where that is a file on a full disk, the exit code has to do."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Write nothing more to a stream: Python would complain once more when it flushes at its end."""
    with contextlib.suppress(OSError):  # it is no file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
