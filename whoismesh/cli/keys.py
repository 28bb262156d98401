"""`whoismesh keys`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from whoismesh import keys
from whoismesh.command import EXIT_CODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in (
        ("new", "make the coordinator's keys, in a new folder"),
        ("add", "make a key for each host and allow it; prints the folder to copy there"),
        ("list", "show who is allowed and who was revoked"),
        ("revoke", "let a host in no more; a running coordinator takes note at once"),
    ):
        action = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        action.add_argument("--keys", type=Path, required=True, metavar="FOLDER", help="the coordinator's folder")
        if name in ("add", "revoke"):
            action.add_argument("names", nargs="+", metavar="NAME", help="of a host: letters, digits and . _ -")
        if name == "list":
            action.add_argument("--json", action="store_true", help="print a JSON line for each")
    parser.epilog = (
        "example: whoismesh keys new --keys keys && whoismesh keys add --keys keys worker-1\n"
        "         whoismesh-coord --keys keys ...   on the coordinator's host\n"
        f"         whoismesh-worker --keys worker-1 ...   where keys/hosts/worker-1 was copied to\n{EXIT_CODES}"
    )


def run(args: argparse.Namespace) -> int:
    """Do one of the four."""
    match args.action:
        case "new":
            keys.make_coordinator(args.keys)
            print(args.keys)
        case "add":
            for name in args.names:
                print(keys.add_host(args.keys, name))
        case "list":
            for name, state, public in keys.listed(args.keys):
                row = {"name": name, "state": state, "key": public}
                print(json.dumps(row) if args.json else f"{name:<24} {state:<8} {public}")
        case "revoke":
            for name in args.names:
                keys.revoke_host(args.keys, name)
    return 0
