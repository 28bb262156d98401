"""Requests per network of `whoismesh crawl --depth assignments`, by each of the three ways, on one slice of a table.

Each way asks practice registries of its own (no limits, this process): relation searches of RDAP, port 43's flags where
a registry has them (ARIN and LACNIC go by gaps then), and gaps alone. Every crawl's dump is compared with the table.
Beside them stands a crawl of allocations, which finds the networks that it happens to meet.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from whoismesh.addresses import parse_space
from whoismesh.practice.compare import compare
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import AllocationTable
from whoismesh.registries import REGISTRIES

TABLE = Path(__file__).parent.parent / "fixtures" / "two-levels.csv.gz"
SPACE = ("64.132.0.0/16", "122.176.0.0/13", "189.125.0.0/16", "193.240.0.0/16", "196.0.0.0/15")

#: name -> (depth, protocols, relation searches)
WAYS = {
    "relation searches": ("assignments", '["rdap"]', True),
    "flags of port 43": ("assignments", '["rdap", "whois"]', False),
    "gaps": ("assignments", '["rdap"]', False),
    "allocations only": ("allocations", '["rdap"]', False),
}


async def crawl(table: AllocationTable, args: argparse.Namespace, way: str, folder: Path) -> dict[str, object]:
    """Run one crawl; return its figures."""
    depth, protocols, searches = WAYS[way]
    async with PracticeRegistries(
        table, rir_search=REGISTRIES if searches else (), most_listed=args.most_listed, keep_requests=False
    ) as practice:
        text = practice.config_text(parse_space(args.space))
        text = text.replace('protocols = ["rdap", "whois"]', f"protocols = {protocols}")
        text = text.replace("[crawl]\n", f"[crawl]\nassignment_v4 = {args.assignment_v4}\n")
        config = folder / f"{way}.toml"
        config.write_text(text)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "whoismesh", "crawl", "--config", config, "--depth", depth),
            *("--workers", str(args.workers), "--state", folder / way, "--dump", folder / f"{way}.msgpack"),
            *("--quiet", "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        summary = json.loads(out)
        requests = Counter[str]()
        for (registry, _, _), count in practice.counts.items():
            requests[registry] += count
    result = await asyncio.to_thread(compare, folder / f"{way}.msgpack", table)
    return {
        "way": way,
        "networks": summary["networks"],
        "of level 2 missing": sum(table.around(where)[0].level > 1 for _, where in result.missing),
        "missing": len(result.missing),
        "unexpected": len(result.unexpected),
        "requests": requests.total(),
        "requests per network": round(requests.total() / summary["networks"], 2),
        **{
            f"at {registry}": round(requests[registry] / row["networks"], 2) if row["networks"] else "-"
            for registry, row in summary["by_registry"].items()
        },
        "seconds": round(summary["seconds"], 1),
    }


async def measure(args: argparse.Namespace) -> list[dict[str, object]]:
    """Return the figures of all ways."""
    table = AllocationTable.load(args.table, 2)
    with tempfile.TemporaryDirectory() as name:
        return [await crawl(table, args, way, Path(name)) for way in args.ways]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: bin/bench depth --assignment-v4 27")
    parser.add_argument("--table", type=Path, default=TABLE, metavar="CSV", help="a table with two levels")
    parser.add_argument("--space", nargs="+", default=SPACE, metavar="CIDR", help="the slice (default: the fixture's)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--assignment-v4", type=int, default=27, metavar="N", help="crawl.assignment_v4 (default: 27)")
    parser.add_argument("--most-listed", type=int, default=100, metavar="N", help="networks of one list (default: 100)")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = asyncio.run(measure(args))
    if args.json:
        print(json.dumps(rows))
    else:
        print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(map(str, row.values())) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
