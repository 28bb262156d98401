"""One worker's lookups: a second and per second of its processor, beside a bare aiohttp loop and other clients.

All ask the same practice registries without limits, which are a process of their own, as is the coordinator. The worker
is a real one that does all of its work (understanding, spool, coordinator, gossip); its processor time is that of its
process, kernel included, from when it is ready to its end. The floor fetches the same URLs and throws the answers away;
the peers look up addresses that the first registry asked has an answer for, and read the answers. What a peer would ask
of others (Team Cymru, IANA) is given to it. No connection leaves this machine.
"""

from __future__ import annotations

import asyncio
import csv
import ipaddress
import json
import statistics
import tempfile
import time
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest_socket
from figures import Figure, alternate
from processes import Daemon

ROUNDS = 3
AT_ONCE = 16
#: URLs of the floor, and addresses of each peer, in one round.
FLOOR_URLS, PEER_ADDRESSES = 4_000, 240
OURS, FLOOR = "whoismesh-worker", "bare aiohttp"

Asked = tuple[str, str]  #: registry, address


class Bench:
    """Practice registries, and the sides that ask them. A side returns lookups per second of its processor."""

    def __init__(self, folder: Path, config: Path) -> None:
        self._folder, self._config, self._log = folder, config, folder / "requests.csv"
        self.bases = {name: each["rdap"] for name, each in tomllib.loads(config.read_text())["registries"].items()}
        self.per_s: dict[str, list[float]] = {}
        self.asked: list[Asked] = []
        self.answered: list[Asked] = []
        self._rounds = count(1)

    def worker(self) -> float:
        """Crawl with a fresh coordinator and one worker; keep what it asked for the others."""
        state = self._folder / f"round-{next(self._rounds)}"
        state.mkdir()
        seen = len(self._requests())
        common = ("--config", str(self._config), "--log-level", "error")
        with ExitStack() as stack:
            coordinator = Daemon(
                stack, state / "coord.log", "whoismesh.coordinator", *common, "--listen", "tcp://127.0.0.1:0",
                "--exit-when-done", "--state", str(state / "coord"),
            )  # fmt: skip
            endpoint = coordinator.is_ready()
            worker = Daemon(
                stack, state / "worker.log", "whoismesh.worker", *common, "--coord", endpoint,
                "--state", str(state / "worker"),
            )  # fmt: skip
            worker.is_ready()
            worker.ends()
            coordinator.ends()
            if worker.exit_code or coordinator.exit_code:
                raise RuntimeError("the crawl has failed")
        rows = self._requests()[seen:]
        self.asked = [(row[1], row[3]) for row in rows]
        self.answered = [(row[1], row[3]) for row in rows if row[4] == "network"]
        self._keep(OURS, len(rows), float(rows[-1][0]) - float(rows[0][0]))
        return len(rows) / worker.cpu_s

    def _requests(self) -> list[list[str]]:
        """Return all requests so far, when the log has not grown for a while: it is flushed once a second."""
        size = -1
        while size != (size := self._log.stat().st_size if self._log.exists() else 0):
            time.sleep(1.5)
        return list(csv.reader(self._log.open())) if size else []

    def _keep(self, name: str, lookups: int, seconds: float) -> None:
        self.per_s.setdefault(name, []).append(lookups / seconds)

    def client(self, name: str, look_up: Callable[[list[Asked]], int], asked: Callable[[], list[Asked]]) -> float:
        """Have a client in this process look addresses up."""
        addresses = asked()
        started, began_s = time.monotonic(), time.process_time()
        answers = look_up(addresses)
        used_s = time.process_time() - began_s
        self._keep(name, answers, time.monotonic() - started)
        if answers != len(addresses):
            raise RuntimeError(f"{name}: {answers} answers to {len(addresses)} lookups")
        return answers / used_s

    def sample(self) -> list[Asked]:
        """Return addresses with an answer, each at the registry that most of its /8 is asked at."""
        step = max(1, len(self.answered) // (2 * PEER_ADDRESSES))
        homes = self.homes()
        return [each for each in self.answered[::step] if homes[each[1].partition(".")[0]] == each[0]][:PEER_ADDRESSES]

    def homes(self) -> dict[str, str]:
        """Return the registry of each /8, as IANA's list for clients has it (RFC 9224)."""
        found: dict[str, Counter[str]] = {}
        for registry, address in self.answered:
            found.setdefault(address.partition(".")[0], Counter())[registry] += 1
        return {octet: registries.most_common(1)[0][0] for octet, registries in found.items()}

    def bootstrap(self) -> dict[str, Any]:
        """Return that list."""
        return {"services": [[[f"{octet}.0.0.0/8"], [self.bases[each]]] for octet, each in self.homes().items()]}

    # -- the floor and the peers --------------------------------------------------------------------------------

    def bare(self, asked: list[Asked]) -> int:
        async def fetch(session: aiohttp.ClientSession, registry: str, address: str) -> bool:
            url = f"{self.bases[registry]}ip/{address}"
            async with session.get(url, allow_redirects=False) as response:
                return bool(await response.read()) or response.status >= 300

        async def run() -> int:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                return await at_once(asked, lambda registry, address: fetch(session, registry, address))

        return asyncio.run(run())

    def ipwhois_pool(self, asked: list[Asked]) -> int:
        """Ask by Net and RDAP with the registry given, as IPWhois does after it has asked Team Cymru for that."""
        from ipwhois.net import Net
        from ipwhois.rdap import RDAP

        def look_up(each: Asked) -> bool:
            return bool(RDAP(Net(each[1])).lookup(asn_data={"asn_registry": each[0]})["network"]["handle"])

        with self._ipwhois_here(), ThreadPoolExecutor(AT_ONCE) as pool:
            return sum(pool.map(look_up, asked))

    def ipwhois_bulk(self, asked: list[Asked]) -> int:
        from ipwhois import experimental

        rows = [
            f"64496 | {address} | {address}/32 | ZZ | {registry} | 2000-01-01 | EXAMPLE" for registry, address in asked
        ]
        told = "\n".join(["Bulk mode; whois.cymru.com", *rows])
        before, experimental.get_bulk_asn_whois = experimental.get_bulk_asn_whois, lambda *_, **__: told
        try:
            with self._ipwhois_here():
                # It waits after nine questions to LACNIC otherwise.
                found = experimental.bulk_lookup_rdap([address for _, address in asked], rate_limit_timeout=0)
        finally:
            experimental.get_bulk_asn_whois = before
        return sum(bool(each["network"]["handle"]) for each in found.results.values())

    @contextmanager
    def _ipwhois_here(self) -> Iterator[None]:
        import ipwhois.rdap as library

        before = dict(library.RIR_RDAP)
        for registry, base in self.bases.items():
            library.RIR_RDAP[registry] = {"ip_url": f"{base}ip/{{0}}", "entity_url": f"{base}entity/{{0}}"}
        try:
            yield
        finally:
            library.RIR_RDAP.update(before)

    def whoisit(self, asked: list[Asked]) -> int:
        import httpx
        import whoisit

        empty = {"services": [[["0"], ["https://127.0.0.1/"]]]}
        ipv6 = {"services": [[["2000::/3"], ["https://127.0.0.1/"]]]}
        known = {**dict.fromkeys(("asn", "dns", "object"), empty), "ipv4": self.bootstrap(), "ipv6": ipv6}
        whoisit.load_bootstrap_data(json.dumps({**known, "timestamp": int(time.time())}), allow_insecure=True)

        async def run() -> int:
            async with httpx.AsyncClient() as client:

                async def look_up(_: str, address: str) -> bool:
                    return bool((await whoisit.ip_async(address, async_client=client))["handle"])

                return await at_once(asked, look_up)

        try:
            return asyncio.run(run())
        finally:
            whoisit.clear_bootstrapping()

    def asyncwhois(self, asked: list[Asked]) -> int:
        import asyncwhois
        import whodap

        async def run() -> int:
            client = whodap.IPv4Client(whodap.IPv4Client._get_default_httpx_client(aio=True))
            client._set_iana_info(self.bootstrap())

            async def look_up(_: str, address: str) -> bool:
                body, _parsed = await asyncwhois.aio_rdap(ipaddress.ip_address(address), whodap_client=client)
                return bool(json.loads(body)["startAddress"])

            try:
                return await at_once(asked, look_up)
            finally:
                await client.aio_close()

        return asyncio.run(run())


async def at_once(asked: list[Asked], look_up: Callable[[str, str], Coroutine[Any, Any, bool]]) -> int:
    """Look addresses up, AT_ONCE at once; return how many have an answer."""
    waiting = iter(asked)

    async def some() -> int:
        return sum([await look_up(*each) for each in waiting])

    return sum(await asyncio.gather(*(some() for _ in range(AT_ONCE))))


def measure() -> list[Figure]:
    """Return the figures of the suite."""
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        config = folder / "practice.toml"
        with ExitStack() as stack:
            command = "whoismesh", "practice", "--config-out", str(config), "--log", str(folder / "requests.csv")
            Daemon(stack, folder / "practice.log", *command).is_ready()
            pytest_socket.socket_allow_hosts(["127.0.0.1"], allow_unix_socket=True)
            try:
                return _measure(Bench(folder, config))
            finally:
                pytest_socket._remove_restrictions()


def _measure(bench: Bench) -> list[Figure]:
    peers = {
        f"ipwhois, {AT_ONCE} threads": bench.ipwhois_pool,
        "ipwhois, bulk": bench.ipwhois_bulk,
        f"whoisit, {AT_ONCE} at once": bench.whoisit,
        f"asyncwhois, {AT_ONCE} at once": bench.asyncwhois,
    }
    bench.worker()  # what it asks is what the others ask; and everything has been in use once
    bench.per_s.clear()

    def side(name: str, look_up: Callable[[list[Asked]], int], asked: Callable[[], list[Asked]]) -> Callable[[], float]:
        return lambda: bench.client(name, look_up, asked)

    sides = {OURS: bench.worker, FLOOR: side(FLOOR, bench.bare, lambda: bench.asked[:FLOOR_URLS])}
    sides |= {name: side(name, look_up, bench.sample) for name, look_up in peers.items()}
    per_cpu_s = alternate(sides, ROUNDS)
    per_s = {name: statistics.median(values) for name, values in bench.per_s.items()}
    best = max(peers, key=lambda name: per_cpu_s[name])
    unit = "lookups per CPU second"
    figures = [
        Figure(OURS, per_cpu_s[OURS], unit, FLOOR, per_cpu_s[FLOOR], goal=0.5),
        Figure(f"{OURS} (best peer)", per_cpu_s[OURS], unit, best, per_cpu_s[best], goal=4.0),
        Figure(f"{OURS}, CPU a lookup", 1e6 / per_cpu_s[OURS], "us"),
        *(Figure(name, per_cpu_s[name], unit) for name in peers),
    ]
    return figures + [Figure(f"{name}, by the clock", per_s[name], "lookups/s") for name in sides]
