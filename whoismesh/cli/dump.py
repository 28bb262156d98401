"""`whoismesh dump`."""

from __future__ import annotations

import argparse
from pathlib import Path

from whoismesh.command import EXIT_CODES
from whoismesh.dump_file import COMPRESSIONS
from whoismesh.dump_writer import write_dump


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the dump to write")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="the crawl's or the coordinator's state folder"
    )
    parser.add_argument("--compress", choices=COMPRESSIONS, help="all commands read compressed dumps, too")
    parser.epilog = (
        f"Works during a crawl too.\nexample: whoismesh dump --state whoismesh-state now.msgpack\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Write the dump."""
    write_dump(args.state, args.file, args.compress)
    return 0
