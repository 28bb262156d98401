"""`whoismesh`: the command line's entry. Sub-commands live in modules of their own and are imported when used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import whoismesh
from whoismesh.command import EXIT_CODES, run_command

#: Name, module (with `add_arguments` and `run`) and what it does.
COMMANDS = (
    ("crawl", "whoismesh.cli.crawl", "collect who holds every address of a space, on this machine"),
    ("simulate", "whoismesh.cli.simulate", "play whole crawls on a virtual clock with everything that can go wrong"),
    ("simulate-gossip", "whoismesh.cli.simulate_gossip", "play a fleet's gossip alone, until all replicas are alike"),
    ("practice", "whoismesh.practice.command", "serve practice registries on loopback"),
    ("follow", "whoismesh.cli.follow", "print what a running crawl tells as JSON lines"),
    ("top", "whoismesh.cli.top", "show a running crawl on the terminal"),
    ("dashboard", "whoismesh.cli.dashboard", "show a running crawl as a web page"),
    ("keys", "whoismesh.cli.keys", "make and revoke the keys with which hosts join a mesh"),
    ("dump", "whoismesh.cli.dump", "write what a crawl has found as a dump"),
    ("stats", "whoismesh.cli.stats", "count what is in a dump"),
    ("lookup", "whoismesh.cli.lookup", "say who holds an address, from a dump"),
    ("serve", "whoismesh.cli.serve", "answer WHOIS and RDAP clients from a dump"),
    ("map", "whoismesh.cli.map", "draw a dump's address space as a picture"),
    ("merge", "whoismesh.cli.merge", "make one dump of two, the newer records of both"),
    ("export", "whoismesh.cli.export", "write a dump as CSV, JSON lines, Parquet, SQLite or an MMDB file"),
    ("diff", "whoismesh.cli.diff", "say what became of every address between two dumps"),
)


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Return the parser; only the chosen command's module is imported."""
    parser = argparse.ArgumentParser(
        prog="whoismesh",
        description="A snapshot of who holds every IP address.",
        epilog=f"example: whoismesh lookup results.msgpack 193.0.6.139\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"whoismesh {whoismesh.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module_name, summary in COMMANDS:
        sub = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module = import_module(module_name)
            module.add_arguments(sub)
            if EXIT_CODES not in (sub.epilog or ""):
                sub.epilog = f"{sub.epilog or ''}\n{EXIT_CODES}".lstrip()
            sub.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `whoismesh`; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((each for each in given if not each.startswith("-")), None)
    parser = build_parser(chosen)
    return run_command(parser, lambda args: int(args.run(args)), given)
