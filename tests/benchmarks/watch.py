"""What watching costs: a dashboard in Chromium, of a simulated feed of many workers and networks.

A process of its own speaks as a coordinator, with the real feed (`broadcast`): half of the networks are accepted before
the dashboard joins, the others come with their details, some thousands a second; each worker tells its counters once a
second. Measured are the dashboard's process, the page's memory, how long a frame takes meanwhile, and how soon the
page does what a key asks for.
"""

import argparse
import asyncio
import json
import multiprocessing
import random
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

sys.path.insert(0, str(Path(__file__).parent.parent / "watch"))
import made_up
from browser import browser

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog
from whoismesh.broadcast import Broadcast
from whoismesh.compounds import Result, Run
from whoismesh.gossip.logs import Logs
from whoismesh.gossip.responder import Responder
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.status import MOST_WORKERS, status
from whoismesh.messages import Discovered, Members, decode, encode
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.practice.table import AllocationTable
from whoismesh.registries import REGISTRIES
from whoismesh.sockets import Inbox, bind_ports, open_socket

CRAWL = bytes(range(16))
STEP_S = 0.2


def of_table(path: Path) -> list[Network]:
    """Return the networks of a table, in no order."""
    found = [
        made_up.network(row.registry, row.range, row.country, row.name)
        for row in AllocationTable.load(path).rows()
        if row.held
    ]
    random.Random(7).shuffle(found)
    return found


async def speak(networks: list[Network], workers: int, pace: int, pipe: Connection) -> None:
    """Be what a listener sees of a coordinator; tell the endpoint when ready."""
    log, before = BlockLog(), len(networks) // 2
    for each in networks[:before]:
        log.append(Block(each.registry, each.range))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sockets = [open_socket(context, kind) for kind in (zmq.ROUTER, zmq.PULL, zmq.XPUB, zmq.ROUTER)]
    responder = Responder(Logs(log, lambda origin, number, block: True))
    nobody = Members(CRAWL, 1, 0, 0, 0, (), ())

    def answer(frames: list[bytes]) -> None:
        for each in responder.answer(decode(frames[1]), nobody, time.monotonic()):  # type: ignore[arg-type]
            exchanges.send(frames[0], encode(each))

    exchanges = Inbox(sockets[3], answer)
    pipe.send((f"tcp://127.0.0.1:{bind_ports(sockets, '127.0.0.1', 0)}", len(networks)))
    feed = Broadcast(sockets[2], CRAWL)
    ledger = Ledger(CRAWL, (), {registry: Budget(2.0, 1.0, 60.0) for registry in REGISTRIES})
    space, turn = sum(each.range.size for each in networks), 0
    rows = [{"origin": origin, "host": f"host-{origin:03}:1", "leases": 2} for origin in range(1, workers + 1)]
    settled = sum(each.range.size for each in networks[:before])
    while True:
        more = networks[len(log) : len(log) + int(pace * STEP_S)] if pipe.poll() else []
        feed.stored(
            Result(1, len(log), each.registry, "network", Range(4, each.range.first, each.range.first), each.range,
                   None, "", pack(each.to_map()))
            for each in more
        )  # fmt: skip
        for start in range(0, len(more), 500):
            first = len(log) + 1
            for each in more[start : start + 500]:
                log.append(Block(each.registry, each.range))
                settled += each.range.size
            feed.publish(Discovered(CRAWL, (Run(0, first, None, log.after(first - 1)),)))
        told = status(ledger, 0.0) | {"space": space, "settled": settled, "networks": len(log), "accepted": len(log)}
        feed.status(told | {"workers": rows[:MOST_WORKERS], "members": workers, "lookups": len(log)})
        for row in rows[turn % 5 :: 5]:
            counters = {"lookups": 9.0 * turn, "hits": 1.0 * turn, "leases_held": 2.0, "asking_arin": 2.0}
            feed.counters(row["origin"], str(row["host"]), counters)
        turn += 1
        await asyncio.sleep(STEP_S)


def speaker(options: argparse.Namespace, pipe: Connection) -> None:
    """Run `speak`."""
    networks = of_table(options.table) if options.table else made_up.networks(options.networks)
    asyncio.run(speak(networks, options.workers, options.pace, pipe))


def memory_mb(pid: int, name: str = "VmRSS") -> float:
    """Return what a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def renderers() -> list[int]:
    """Return the processes of a browser that show pages."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"--type=renderer" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


FRAMES = """(seconds) => new Promise((done) => {
  const gaps = []; let last = performance.now(); const end = last + seconds * 1000;
  const step = (now) => { gaps.push(now - last); last = now; now < end ? requestAnimationFrame(step) : done(gaps); };
  requestAnimationFrame(step); })"""


async def measure(options: argparse.Namespace, endpoint: str, pipe: Connection) -> dict[str, float]:
    """Watch; return the figures."""
    before = set(renderers())
    command = [sys.executable, "-m", "whoismesh", "dashboard", "--coord", endpoint, "--listen", "127.0.0.1:0"]
    served = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert served.stderr is not None
        url = served.stderr.readline().split()[-1]
        figures: dict[str, float] = {}
        async with browser() as chromium:
            page = await chromium.new_page(viewport={"width": 1400, "height": 1200})
            started = time.monotonic()
            await page.goto(url)
            half, rows = options.count // 2, "Number(document.getElementById('map').dataset.rows || 0)"

            async def until(count: int) -> list[float]:
                gaps: list[float] = []
                # A few of them cannot be true (special-purpose space) and are refused.
                while await page.evaluate(rows) < 0.99 * count:
                    gaps += await page.evaluate(FRAMES, 1)
                return gaps

            await until(half)
            figures["past_s"] = time.monotonic() - started
            pipe.send("go")
            started = time.monotonic()
            gaps = sorted(await until(options.count))
            figures["rows_a_second"] = (options.count - half) / (time.monotonic() - started)
            figures["frame_ms_median"], figures["frame_ms_99"] = gaps[len(gaps) // 2], gaps[len(gaps) * 99 // 100]
            figures["frame_ms_longest"] = gaps[-1]
            await page.focus("#overlay")
            started = time.monotonic()
            await page.keyboard.press("+")
            while await page.inner_text("#view") == "0.0.0.0/0":
                pass
            figures["key_to_view_ms"] = (time.monotonic() - started) * 1000
            await page.keyboard.press("Home")
            gaps = sorted(await page.evaluate(FRAMES, 3))
            figures["repaint_frame_ms_longest"] = gaps[-1]
            figures["workers_rows"] = await page.evaluate("document.querySelectorAll('#workers tr').length")
            figures["search_ms"] = await page.evaluate(
                """async () => { const start = performance.now(); await (await fetch('search?q=holder 1234')).json();
                return performance.now() - start; }"""
            )
            await page.evaluate("gc()")
            figures["page_heap_mb"] = await page.evaluate("performance.memory.usedJSHeapSize / 2 ** 20")
            shown = max(set(renderers()) - before, key=memory_mb)
            # Of its own; the rest is Chromium's code, which all its processes share.
            figures["page_mb"], figures["page_with_code_mb"] = memory_mb(shown, "RssAnon"), memory_mb(shown)
            figures["dashboard_mb"], figures["dashboard_peak_mb"] = (
                memory_mb(served.pid),
                memory_mb(served.pid, "VmHWM"),
            )
            if options.pictures:
                await page.evaluate("document.activeElement.blur()")
                for scheme in ("light", "dark"):
                    await page.emulate_media(color_scheme=scheme)
                    await page.evaluate(FRAMES, 2)
                    await page.screenshot(path=options.pictures / f"dashboard-{scheme}.png")
        return figures
    finally:
        served.terminate()
        served.wait()


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--networks", type=int, default=500_000)
    parser.add_argument("--pace", type=int, default=10_000, help="networks a second")
    parser.add_argument("--table", type=Path, help="networks of a table instead of made-up ones")
    parser.add_argument("--pictures", type=Path, help="leave pictures of the page in this folder")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=speaker, args=(options, there), daemon=True)
    process.start()
    try:
        endpoint, options.count = here.recv()
        figures = asyncio.run(measure(options, endpoint, here))
    finally:
        process.kill()
    print(json.dumps({name: round(figure, 1) for name, figure in figures.items()}, indent=1))


if __name__ == "__main__":
    main()
