"""Networks a second of `whoismesh crawl`, beside a bare aiohttp loop that fetches the same URLs.

Both ask the same practice registries (no limits, a process of their own) on the same machine, in turn, several times;
the medians are printed. The crawl is timed as a user sees it, starts of processes and writing of the dump included, and
once more from its first to its last request.
"""

import argparse
import asyncio
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import aiohttp


async def fetch_all(urls: list[str], at_once: int) -> float:
    """Fetch every URL, so many at once, reading each answer whole; return the seconds it took."""
    waiting = iter(urls)
    start = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def fetch() -> None:
            for url in waiting:
                async with session.get(url, allow_redirects=False) as response:
                    await response.read()

        await asyncio.gather(*(fetch() for _ in range(at_once)))
    return time.monotonic() - start


def crawl(config: Path, folder: Path, workers: int) -> dict[str, float]:
    """Run one crawl; return its summary."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "whoismesh",
            "crawl",
            "--config",
            config,
            "--workers",
            str(workers),
            "--quiet",
            "--json",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return json.loads(run.stdout)


def measure(rounds: int, workers: int, at_once: int) -> dict[str, float]:
    """Return the medians of all figures."""
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, log = folder / "practice.toml", folder / "requests.csv"
        ready, ready_write = os.pipe()
        practice = subprocess.Popen(
            [
                *(sys.executable, "-m", "whoismesh", "practice", "--config-out", config),
                *("--log", log, "--ready-fd", str(ready_write)),
            ],
            pass_fds=[ready_write],
            stdout=subprocess.DEVNULL,
        )
        os.close(ready_write)
        try:
            os.read(ready, 10)
            bases = {
                registry: each["rdap"] for registry, each in tomllib.loads(config.read_text())["registries"].items()
            }
            seen = 0
            for number in range(rounds):
                where = folder / str(number)
                where.mkdir()
                summary = crawl(config, where, workers)
                rows = read_log(log, seen, int(summary["lookups"]))
                seen += len(rows)
                urls = [f"{bases[row[1]]}ip/{row[3]}" for row in rows]
                bare_s = asyncio.run(fetch_all(urls, at_once))
                seen += len(read_log(log, seen, len(urls)))
                busy_s = float(rows[-1][0]) - float(rows[0][0])
                for key, value in {
                    "networks": summary["networks"],
                    "lookups": len(urls),
                    "crawl_s": summary["seconds"],
                    "crawl_networks_per_s": summary["networks"] / summary["seconds"],
                    "busy_s": busy_s,
                    "busy_lookups_per_s": len(urls) / busy_s,
                    "bare_s": bare_s,
                    "bare_lookups_per_s": len(urls) / bare_s,
                    "ratio_whole": bare_s / summary["seconds"],
                    "ratio_busy": bare_s / busy_s,
                }.items():
                    figures.setdefault(key, []).append(value)
        finally:
            practice.terminate()
            practice.wait()
    return {key: statistics.median(values) for key, values in figures.items()}


def read_log(log: Path, after: int, count: int) -> list[list[str]]:
    """Return `count` lines of the request log after the first `after`, waiting until they are flushed."""
    deadline = time.monotonic() + 30
    while True:
        rows = list(csv.reader(log.open()))[after:]
        if len(rows) >= count:
            return rows
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(rows)} of {count} requests in the log")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure(args.rounds, args.workers, args.at_once)
    if args.json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key:<22} {value:12,.2f}")


if __name__ == "__main__":
    main()
