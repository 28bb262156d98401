"""`whoismesh lookup`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from whoismesh.addresses import format_address, parse_address
from whoismesh.cli.stats import told
from whoismesh.command import EXIT_CODES
from whoismesh.dump import describe, find, open_dump
from whoismesh.networks import Network, Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a dump")
    parser.add_argument("addresses", nargs="+", metavar="ADDRESS", help="IPv4 or IPv6 address")
    parser.add_argument("--json", action="store_true", help="print a JSON line for each address")
    parser.epilog = f"example: whoismesh lookup results.msgpack 193.0.6.139 196.216.2.6\n{EXIT_CODES}"


def run(args: argparse.Namespace) -> int:
    """Print who holds each address; 1 if the dump does not tell of one, or is cut short or damaged."""
    addresses = [parse_address(text) for text in args.addresses]
    with open_dump(args.file) as dump:
        found = find(dump, addresses)
    for address in addresses:
        record = found[address]
        print(json.dumps(describe(address, record)) if args.json else _line(address, record))
    return told(dump.problem) or int(not all(found.values()))


def _line(address: tuple[int, int], record: Record | None) -> str:
    text = format_address(*address)
    if record is None:
        return f"{text}: not in this dump"
    if not isinstance(record, Network):
        return f"{text}: {record.kind}, {record.range} ({record.reason})"
    also = f"; {record.also.source} says {_short(record.also)}" if record.also is not None else ""
    return f"{text}: {_short(record)}{also}"


def _short(record: Network) -> str:
    holder = record.holder.name or record.holder.handle or "holder not named"
    origin = f"AS{record.asn} {record.asn_cidr or ''}".strip() if record.asn is not None else None
    details = [str(record.range), record.name, holder, record.country, record.registry, origin]
    return ", ".join(each for each in details if each)
