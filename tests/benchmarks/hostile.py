"""How long registries that do not answer can hold a worker's lane, and what they cost its memory.

One crawl for each hostility and protocol: a coordinator and a worker, each a process, ask practice registries over one
connection; once they are at it, one network turns hostile. A lane is held from the hostile question to the next one of
that registry, which is asked when the connection is free. The memory is the worker's peak, when its first hostile
question came and at the end.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "crawl")]

from conftest import Lab  # noqa: E402
from daemons import coordinator, worker  # noqa: E402
from hostile_registries import BACKTRACKING, Hostile, HostileRegistries, Hostility, peak_kib  # noqa: E402
from ipwhois.whois import RIR_WHOIS, Whois  # noqa: E402

from whoismesh.addresses import Range, parse_address  # noqa: E402
from whoismesh.answers.text import MAX_BODY_BYTES  # noqa: E402
from whoismesh.dump import open_dump, statistics  # noqa: E402
from whoismesh.practice.compare import compare  # noqa: E402
from whoismesh.practice.table import AllocationTable, packaged  # noqa: E402

SPACE = "193.104.0.0/17"
REGISTRY = "ripencc"
#: What a healthy answer takes: enough of them are left when the last hostile question has been asked.
LATENCY_S = 0.02
#: The network is chosen when so many questions have been asked: the worker's memory has its usual size by then.
CALM_REQUESTS = 40
#: So long is waited for what cannot be interrupted, seconds.
PATIENCE_S = 10.0
#: What a lookup may cost: the answer as it comes, unpacked, decoded and split, a few times MAX_BODY_BYTES.
BOUND_KIB = 16 * MAX_BODY_BYTES // 1024


async def crawl(kind, protocol, timeout_s, table):
    """Run one crawl; return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), table)
        hostile = Hostile(LATENCY_S)
        figures = {"hostility": str(kind), "protocol": protocol, "timeout_s": timeout_s, "bound_kib": BOUND_KIB}
        pids = []
        space = Range.parse(SPACE)
        small = [row.range for row in table.rows(space) if row.held and row.range.size == 256]

        def on_request(request):
            lab.on_request(request)
            if not hostile.places and len(lab.practice.requests) >= CALM_REQUESTS:
                asked = [parse_address(each) for each in lab.asked()]
                untouched = [where for where in small if not any(where.holds(*each) for each in asked)]
                hostile.places[untouched[len(untouched) // 2]] = kind
                figures["before_kib"] = peak_kib(pids[0])

        lab.practice = HostileRegistries(table, hostile, on_request=on_request)
        async with lab.practice:

            def one_at_a_time(text):
                text = text.replace("[crawl]", "[crawl]\nattempts = 1").replace('["rdap", "whois"]', f'["{protocol}"]')
                return text.replace("connections = 16", f"connections = 1\ntimeout_s = {timeout_s}")

            config = lab.config(SPACE, change=one_at_a_time)
            coord = await coordinator(lab, config, state="coord")
            start = time.monotonic()
            one = await worker(lab, config, "one", coord.endpoint)
            pids.append(one.process.pid)
            ending = asyncio.create_task(coord.ends())
            while not ending.done():  # the worker's last figures are those of its life
                with contextlib.suppress(OSError, ValueError):
                    figures["after_kib"] = peak_kib(pids[0])
                await asyncio.wait([ending], timeout=0.05)
            figures["exit_code"] = ending.result()
            await one.ends()
            figures["seconds"] = round(time.monotonic() - start, 1)
            dump = lab.folder / "results.msgpack"
            assert (await lab.run("dump", "--state", "coord", dump)).code == 0
            result = compare(dump, table)
            with open_dump(dump) as records:
                found = statistics(records)
        (place,) = hostile.places
        held = []
        requests = [each for each in lab.practice.requests if each.registry == REGISTRY]
        for request, following in pairwise(requests):
            if place.holds(*parse_address(request.address)) and following.address != request.address:
                held.append(following.time - request.time)
        hostile_requests = sum(place.holds(*parse_address(each.address)) for each in requests)
        return figures | {
            "hostile_requests": hostile_requests,
            "held_s": round(max(held), 3),
            "networks": result.found,
            "failed": found.failed,
            # It ended, and nothing is missing but the hostile network, where no answer about it ever came.
            "went_on": found.settled == found.space
            and not result.unexpected
            and {where for _, where in result.missing} <= {place},
        }


def search_mail_addresses(text):
    """Do what whoismesh leaves out: search a text for mail addresses as ipwhois does."""
    Whois.parse_fields(None, text, {"emails": RIR_WHOIS[REGISTRY]["fields"]["emails"]})


def with_ipwhois():
    """Tell how long that takes with the text made to backtrack."""
    searching = multiprocessing.Process(target=search_mail_addresses, args=(BACKTRACKING,))
    start = time.monotonic()
    searching.start()
    searching.join(PATIENCE_S)
    if not searching.is_alive():
        return f"{time.monotonic() - start:.1f} s"
    searching.kill()
    searching.join()
    return f"more than {PATIENCE_S:g} s"


async def show(args):
    table = AllocationTable.load(packaged())
    for kind in Hostility:
        for protocol in ("rdap", "whois"):
            if kind in (Hostility.REDIRECTS, Hostility.CIRCLE) and protocol == "whois":
                continue  # port 43 has none
            figures = await crawl(kind, protocol, args.timeout, table)
            if args.json:
                print(json.dumps(figures), flush=True)
                continue
            grown = figures["after_kib"] - figures["before_kib"]
            ended = "went on and ended" if figures["went_on"] else "did NOT end well"
            print(
                f"{figures['hostility']:<18} {protocol:<5} lane held {figures['held_s']:.3f} s of {args.timeout:g} s "
                f"allowed, {figures['hostile_requests']} questions; peak memory {figures['before_kib'] / 1024:.1f} MiB "
                f"before, {figures['after_kib'] / 1024:.1f} MiB after (+{grown / 1024:.1f} of {BOUND_KIB / 1024:.0f} "
                f"allowed); the crawl {ended}: {figures['networks']} networks in {figures['seconds']} s, "
                f"exit code {figures['exit_code']}",
                flush=True,
            )
    if not args.json:
        print(f"the text made to backtrack takes ipwhois's pattern for mail addresses {with_ipwhois()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--timeout", type=float, default=3.0, help="timeout_s of each registry (default: 3)")
    parser.add_argument("--json", action="store_true")
    asyncio.run(show(parser.parse_args()))


if __name__ == "__main__":
    main()
