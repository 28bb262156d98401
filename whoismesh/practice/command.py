"""The command `whoismesh practice`: serves the practice registries and writes the config that points to them."""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from whoismesh import process
from whoismesh.addresses import parse_space
from whoismesh.command import EXIT_CODES
from whoismesh.errors import UnavailableError
from whoismesh.practice.bulk_files import write_bulk_files
from whoismesh.practice.faults import FAULTS, Fault, RetryAfter, Weather
from whoismesh.practice.outdated import Outdated
from whoismesh.practice.quirks import QUIRKS, Quirk, Quirks
from whoismesh.practice.server import HOST, MOST_LISTED, PracticeRegistries
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.registries import REGISTRIES

EPILOG = """\
example:
  whoismesh practice --config-out practice.toml --latency 0.02 --faults 0.01 --seed 7 &
  whoismesh crawl --config practice.toml --workers 4 --dump results.msgpack
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of this command, a description and an example."""
    parser.description = "Serve stand-ins for the five registries (RDAP and WHOIS) until stopped."
    parser.epilog = f"{EPILOG}{EXIT_CODES}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="allocation table: CSV or delegated-extended, may be gzipped"
    )
    parser.add_argument(
        "--levels",
        type=int,
        choices=range(1, 10),
        default=1,
        metavar="N",
        help="levels of the table that are registered; with 2 what lies in an allocation too (default: 1)",
    )
    parser.add_argument(
        "--rir-search",
        type=_registries,
        default=(),
        metavar="NAME,...",
        help="registries whose RDAP has relation searches (RFC 9910), or all (default: none)",
    )
    parser.add_argument(
        "--most-listed",
        type=int,
        default=MOST_LISTED,
        metavar="N",
        help="networks that one answer lists at the most (default: %(default)s)",
    )
    parser.add_argument("--config-out", type=Path, metavar="FILE", help="write the config for a crawl of these here")
    parser.add_argument(
        "--bulk-out", type=Path, metavar="DIR", help="write RPSL databases of RIPE NCC, APNIC and AFRINIC here (--bulk)"
    )
    parser.add_argument(
        "--space", nargs="+", metavar="TEXT", help="space of that config: CIDRs and ranges (default: the whole table)"
    )
    parser.add_argument(
        "--prior-out",
        type=Path,
        metavar="FILE",
        help="write the table as the registries would publish it, for whoismesh crawl --prior",
    )
    parser.add_argument(
        "--host",
        default=HOST,
        metavar="IP",
        help="address to serve at (default: %(default)s); another one lets anybody ask who reaches it",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="first of eleven consecutive ports (default: free)"
    )
    parser.add_argument(
        "--rate-limit", type=float, metavar="N", help="lookups a second that one address may make at one registry"
    )
    parser.add_argument(
        "--ban-after", type=int, metavar="N", help="refusals within a minute after which an address is banned for good"
    )
    parser.add_argument(
        "--most-connections", type=int, metavar="N", help="connections at once that one address may have at a port 43"
    )
    parser.add_argument(
        "--retry-after",
        type=RetryAfter,
        choices=tuple(RetryAfter),
        default=RetryAfter.SECONDS,
        metavar="FORM",
        help=f"how a wait is told: {', '.join(RetryAfter)} (default: %(default)s)",
    )
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="mean delay of an answer")
    parser.add_argument("--faults", type=float, default=0.0, metavar="SHARE", help="part of the answers that go wrong")
    parser.add_argument(
        "--fault-kinds",
        type=_kinds(Fault),
        default=FAULTS,
        metavar="KIND,...",
        help=f"how they go wrong: {', '.join(Fault)}, or all (default: {','.join(FAULTS)})",
    )
    parser.add_argument(
        "--origin-faults", type=float, default=0.0, metavar="SHARE", help="part of the batches of origins that go wrong"
    )
    parser.add_argument(
        "--origin-fault-kinds",
        type=_kinds(Fault),
        default=FAULTS,
        metavar="KIND,...",
        help="how: as --fault-kinds (default: the same)",
    )
    parser.add_argument(
        "--quirks", type=float, default=0.0, metavar="SHARE", help="part of the questions with an odd, true answer"
    )
    parser.add_argument(
        "--quirk-kinds",
        type=_kinds(Quirk),
        default=QUIRKS,
        metavar="KIND,...",
        help=f"in which ways: {', '.join(Quirk)} (default: all)",
    )
    parser.add_argument(
        "--outdated",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="part of the networks that port 43 knows as before",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="decides which ones, and how")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append time,registry,protocol,address,kind a request")
    process.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or the end of the lifeline; returns 0. Raises subclasses of WhoismeshError."""
    space = parse_space(args.space) if args.space else None
    weather = Weather(args.latency, args.faults, args.seed, args.fault_kinds)
    quirks = Quirks(args.quirks, args.seed, args.quirk_kinds)
    table = AllocationTable.load(args.table or packaged(), args.levels)
    practice = PracticeRegistries(
        table,
        host=args.host,
        rate_limit=args.rate_limit,
        ban_after=args.ban_after,
        most_connections=args.most_connections,
        retry_after=args.retry_after,
        weather=weather,
        quirks=quirks,
        rir_search=args.rir_search,
        most_listed=args.most_listed,
        origin_weather=Weather(args.latency, args.origin_faults, args.seed, args.origin_fault_kinds),
        outdated=Outdated(args.outdated, args.seed),
        first_port=args.port,
        log=args.log,
        keep_requests=False,
    )

    async def serve() -> None:
        stopped = asyncio.Event()
        process.on_signals(stopped.set, stopped.set)
        process.on_parent_death(args.lifeline_fd, stopped.set)
        async with practice:
            where = "no config written"
            if args.prior_out is not None:
                _write_whole(args.prior_out, table.published())
            if args.config_out is not None:
                _write_whole(args.config_out, practice.config_text(space))
                where = f"config in {args.config_out}"
            if args.bulk_out is not None:
                where += f"; {len(write_bulk_files(table, args.bulk_out))} bulk files in {args.bulk_out}"
            registries = {row.registry for row in table.rows() if row.held} & set(REGISTRIES)
            print(
                f"practice registries ready: {table.network_count} networks of {len(registries)} registries; {where}",
                flush=True,
            )
            process.tell_ready(args.ready_fd, "ready")
            await stopped.wait()

    asyncio.run(serve())
    return 0


_Kind = TypeVar("_Kind", bound=StrEnum)


def _kinds(words: type[_Kind]) -> Callable[[str], tuple[_Kind, ...]]:
    """Return a reader of `one,two` and `all` for argparse."""

    def read(text: str) -> tuple[_Kind, ...]:
        if text == "all":
            return tuple(words)
        try:
            return tuple(words(part.strip()) for part in text.split(","))
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(words)}, or all, got {text!r}") from None

    return read


def _registries(text: str) -> tuple[str, ...]:
    """Read `ripencc,arin` and `all` for argparse."""
    names = REGISTRIES if text == "all" else tuple(part.strip() for part in text.split(","))
    if unknown := [name for name in names if name not in REGISTRIES]:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(REGISTRIES)}, or all, got {unknown[0]!r}")
    return tuple(names)


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees nothing or all of it."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}") from error
