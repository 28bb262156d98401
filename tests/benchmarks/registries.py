"""Crawls by several workers, each at an address of its own, of practice registries that do whatever registries do.

First within their limits: is the dump exact, is the budget kept in every second and used? Then with a budget above what
each host is allowed: is anybody banned? What is printed of the pace is as seen by an observer in the servers' own event
loop (tests/crawl/pace.py).
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "crawl")]

from conftest import Lab  # noqa: E402
from daemons import coordinator, worker  # noqa: E402
from pace import Observer  # noqa: E402

from whoismesh.practice.bad_answers import bomb  # noqa: E402
from whoismesh.practice.compare import compare  # noqa: E402
from whoismesh.practice.faults import Fault, Weather  # noqa: E402
from whoismesh.practice.quirks import Quirks  # noqa: E402
from whoismesh.practice.server import PracticeRegistries  # noqa: E402
from whoismesh.practice.table import AllocationTable, packaged  # noqa: E402
from whoismesh.registries import REGISTRIES  # noqa: E402

#: Of all five registries, with transfers both early and late, pools, placeholders and blocks that are no CIDR.
SPACE = (
    "130.128.0.0/9", "164.128.0.0/9", "177.96.0.0/11", "193.104.0.0/15", "196.0.0.0/12", "202.128.0.0/11",
    "216.0.0.0/10", "217.0.0.0/10",
)  # fmt: skip
#: Refusals are the second crawl's: each halves the pace for minutes.
FAULTS = tuple(fault for fault in Fault if fault is not Fault.UNAVAILABLE)
#: Use is told up to this share of a registry's requests: the rest are second tries, which wait for their time.
BUSY_SHARE = 0.9


async def crawl(name, table, space, rate, workers, seed, **practice):
    """Run one crawl by separate daemons; return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), table)
        lab.practice = PracticeRegistries(table, slow_s=3.0, quirks=Quirks(0.3, seed), **practice)

        def paced(text):
            text = text.replace("[crawl]", "[crawl]\nattempts = 9").replace("rate = inf", f"rate = {rate}")
            text = text.replace("host_rate = 50", "host_rate = inf")
            return text.replace("connections =", "timeout_s = 2\nconnections =")

        async with AsyncExitStack() as stack:
            await stack.enter_async_context(lab.practice)
            observer = await stack.enter_async_context(Observer.watching())
            config = lab.config(*space, change=paced)
            coord = await coordinator(lab, config, state="coord")
            start = time.monotonic()
            fleet = [
                worker(lab, config, f"worker-{number}", coord.endpoint, "--source-address", f"127.0.0.{9 + number}")
                for number in range(1, workers + 1)
            ]
            fleet = await asyncio.gather(*fleet)
            code = await coord.process.wait()
            seconds = time.monotonic() - start
            for each in fleet:
                await each.process.wait()
            dump = lab.folder / "results.msgpack"
            assert (await lab.run("dump", "--state", "coord", dump)).code == 0
            result = compare(dump, table)
        kinds = Counter(kind for _, _, kind in lab.practice.counts.elements())
        figures = {
            "crawl": name,
            "exit_code": code,
            "seconds": round(seconds, 1),
            "networks": result.found,
            "exact": result.equal,
            "requests": len(lab.practice.requests),
            "answers": dict(sorted(kinds.items())),
            "stall_s": round(observer.longest_stall_s(), 3),
            "registries": {},
        }
        for registry in REGISTRIES:
            asked = [each for each in lab.practice.requests if each.registry == registry]
            busy = asked[: int(len(asked) * BUSY_SHARE)]
            if len(busy) < 2 * rate:
                continue
            figures["registries"][registry] = {
                "requests": len(asked),
                "most_in_a_second": max(_most_in_a_second(asked, observer)),
                "shortest_s": round(observer.shortest_s(asked, rate), 4),
                "used": round((len(busy) - 1) / (busy[-1].time - busy[0].time) / rate, 4),
            }
        return figures


def _most_in_a_second(requests, observer):
    """Yield, for each request, how many surely came in the second that it ended."""
    first = 0
    earliest = [observer.earliest(each.time) for each in requests]
    for number, request in enumerate(requests):
        while request.time - earliest[first] >= 1.0:
            first += 1
        yield number - first + 1


async def both(args):
    bomb()  # or the servers stall when the first one is due
    table = AllocationTable.load(args.table or packaged())
    weather = Weather(0.005, args.faults, args.seed, FAULTS)
    yield await crawl("within the limits", table, args.space, args.rate, args.workers, args.seed, weather=weather)
    limits = {"rate_limit": args.rate / args.workers / 2, "ban_after": 20}
    name = f"limits of {limits['rate_limit']:g}/s a host, a ban after {limits['ban_after']} refusals"
    weather = Weather(0.005, args.faults, args.seed)
    yield await crawl(name, table, args.space[:3], args.rate, args.workers, args.seed, weather=weather, **limits)


def told(figures, rate):
    """Yield the lines for people."""
    exact = "exact" if figures["exact"] else "NOT exact"
    yield (
        f"{figures['crawl']}: {figures['networks']:,} networks in {figures['seconds']} s by {figures['requests']:,} "
        f"requests, exit code {figures['exit_code']}, dump {exact}"
    )
    yield f"  answers: {', '.join(f'{kind} {count:,}' for kind, count in figures['answers'].items())}"
    yield f"  longest stall of the servers: {figures['stall_s']} s"
    for registry, each in figures["registries"].items():
        yield (
            f"  {registry}: {each['requests']:,} requests, at most {each['most_in_a_second']} in any second of {rate} "
            f"allowed ({rate + 1} took {each['shortest_s']} s at the least), {each['used']:.1%} of the budget used"
        )


async def show(args):
    async for figures in both(args):
        print(json.dumps(figures) if args.json else "\n".join(told(figures, args.rate)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, help="allocation table (default: the packaged one)")
    parser.add_argument("--space", nargs="+", default=list(SPACE))
    parser.add_argument("--rate", type=int, default=50, help="lookups a second for each registry and the whole fleet")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--faults", type=float, default=0.05, help="share of answers that go wrong")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    asyncio.run(show(parser.parse_args()))


if __name__ == "__main__":
    main()
