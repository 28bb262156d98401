"""`whoismesh serve`."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from pathlib import Path

from whoismesh import process
from whoismesh.command import EXIT_CODES, told
from whoismesh.errors import UsageError
from whoismesh.serving.servers import MOST_CONNECTIONS, Counts, Place, RdapServer, WhoisServer, shown
from whoismesh.serving.snapshot import IndexedSnapshot

_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")
NONE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a dump")
    parser.add_argument(
        "--whois",
        default="127.0.0.1:4343",
        metavar="HOST:PORT",
        help='where WHOIS is served, "none" for not at all; port 0 takes a free one (default: 127.0.0.1:4343)',
    )
    parser.add_argument(
        "--rdap", default="127.0.0.1:8080", metavar="HOST:PORT", help="the same for RDAP (default: 127.0.0.1:8080)"
    )
    parser.add_argument(
        "--rdap-url", default="", metavar="URL", help="where clients find RDAP, if something stands before it"
    )
    process.add_arguments(parser)
    parser.epilog = (
        "Serves until it is stopped, on this machine's loopback unless another HOST is given.\n"
        "example: whoismesh serve results.msgpack &  whois -h 127.0.0.1 -p 4343 193.0.6.139\n"
        f"{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; 1 if the dump is cut short or damaged (it is served as far as it can be read)."""
    whois, rdap = _place("--whois", args.whois), _place("--rdap", args.rdap)
    if whois is None and rdap is None:
        raise UsageError("--whois none --rdap none: expected something to serve")
    if args.rdap_url and not re.fullmatch(r"https?://[^\s\"<>]+/", args.rdap_url):
        raise UsageError(f"--rdap-url {args.rdap_url!r}: expected http:// or https:// and a slash at the end")
    process.need_descriptors(2 * MOST_CONNECTIONS + 100, "serving")
    snapshot = IndexedSnapshot(args.file)
    try:
        code = told(snapshot.problem)
        asyncio.run(_serve(snapshot, whois, rdap, args))
        return code
    finally:
        snapshot.close()


async def _serve(snapshot: IndexedSnapshot, whois: Place | None, rdap: Place | None, args: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    process.on_signals(stopped.set, stopped.set)
    process.on_parent_death(args.lifeline_fd, stopped.set)
    counts = Counts()
    whois_server, rdap_server = WhoisServer(snapshot, counts), RdapServer(snapshot, counts, args.rdap_url)
    places = []
    try:
        if whois is not None:
            places.append(f"WHOIS on {shown(await whois_server.start(whois))}")
        if rdap is not None:
            places.append(f"RDAP on http://{shown(await rdap_server.start(rdap))}/")
        ready = f"serving {args.file}: {', '.join(places)}"
        print(ready, flush=True)
        process.tell_ready(args.ready_fd, ready)
        await stopped.wait()
    finally:
        await whois_server.stop()
        await rdap_server.stop()
        print(
            f"whoismesh: {', '.join(f'{name} {count:,}' for name, count in sorted(counts.items())) or 'nobody asked'}",
            file=sys.stderr,
        )


def _place(flag: str, text: str) -> Place | None:
    if text == NONE:
        return None
    matched = _PLACE.fullmatch(text)
    if matched is None or int(matched[3]) > 65535:
        raise UsageError(f'{flag} {text!r}: expected HOST:PORT, as 127.0.0.1:4343 or [::1]:4343, or "none"')
    return matched[1] or matched[2], int(matched[3])
