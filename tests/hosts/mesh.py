"""A crawl on hosts of the lab: practice registries at the seat, a coordinator and workers on hosts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lab import SEAT_ADDRESS, HostLab
from service import Service
from waiting import wait_until

from whoismesh.dump import open_dump
from whoismesh.keys import add_host, make_coordinator
from whoismesh.networks import Network
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.store import LedgerStore

BIN = Path(sys.executable).parent
#: The name that workers know the coordinator by, and its first port.
COORDINATOR, PORT = "coordinator", 7700
#: About 500 networks of each registry: the first bytes of addresses.
FIRST_BYTES = (61, 64, 116, 119, 177, 190, 193, 196)


@dataclass(frozen=True)
class Outcome:
    """A crawl's dump, how many results it has from each origin, and how many of them told again what was known."""

    dump: Path
    by_origin: Counter[int]
    repeated: int


class Mesh:
    """The daemons of one crawl, their registries, and what these were asked."""

    def __init__(self, lab: HostLab, folder: Path, *, latency_s: float, connections: int) -> None:
        """Serve the registries, and tell all hosts where they are."""
        self.lab = lab
        self.table = AllocationTable.load(packaged())
        self._folder = folder
        self._keys = folder / "keys"
        make_coordinator(self._keys)
        for name in lab.names:
            add_host(self._keys, name)
        self._requests = folder / "requests.csv"
        config = folder / "practice.toml"
        space = [str(each) for each in self.table.space() if each.first >> 24 in FIRST_BYTES]
        options = ["--host", SEAT_ADDRESS, "--config-out", config, "--log", self._requests, "--space", *space]
        with open(folder / "practice.log", "wb") as log:
            practice = lab.start(
                BIN / "whoismesh", "practice", "--latency", str(latency_s), *options, stdout=subprocess.PIPE, stderr=log
            )
        assert practice.stdout is not None
        if not practice.stdout.readline().startswith(b"practice registries ready"):
            raise RuntimeError((folder / "practice.log").read_text())
        self.config = config.read_text().replace("connections = 16", f"connections = {connections}")

    def coordinate(self, host: str) -> Service:
        """Start the coordinator on a host, and wait until it is ready."""
        there = self.lab[host]
        there.write("/root/crawl.toml", self.config)
        # A coordinator that moves takes its keys along.
        shutil.copytree(self._keys, there.path("/root/keys"))
        listen = f"tcp://{there.address}:{PORT}"
        options = ("--config", "/root/crawl.toml", "--state", "/root/coord", "--exit-when-done", "--keys", "/root/keys")
        service = there.start("coord", BIN / "whoismesh-coord", *options, "--listen", listen)
        service.says("coordinator_ready", 30)
        return service

    def work(self, *hosts: str) -> dict[str, Service]:
        """Start a worker on each host, and wait until all have joined."""
        services = {}
        for name in hosts:
            there = self.lab[name]
            there.write("/root/crawl.toml", self.config)
            shutil.copytree(self._keys / "hosts" / name, there.path("/root/keys"))
            options = ("--config", "/root/crawl.toml", "--state", "/root/worker", "--keys", "/root/keys")
            options += ("--source-address", there.address)
            services[name] = there.start(
                "worker", BIN / "whoismesh-worker", *options, "--coord", f"tcp://{COORDINATOR}:{PORT}"
            )
        for each in services.values():
            each.says("worker_joined", 30)
        return services

    def fetch(self, host: str) -> Outcome:
        """Write the dump on the coordinator's host; fetch it, and what the ledger says about who found what."""
        there = self.lab[host]
        there.run(str(BIN / "whoismesh"), "dump", "--state", "/root/coord", "/root/results.msgpack")
        shutil.copy(there.path("/root/results.msgpack"), self._folder)
        shutil.copytree(there.path("/root/coord"), self._folder / "coord")
        store = LedgerStore.read(self._folder / "coord")
        by_origin = Counter(each.origin for each in store.results())
        repeated = store.count_duplicates()
        store.close()
        return Outcome(self._folder / "results.msgpack", by_origin, repeated)

    # -- what the registries were asked -------------------------------------------------------------------------

    def asked(self) -> list[tuple[str, str, str]]:
        """Return (registry, address, what came of it) of each request so far."""
        lines = self._requests.read_text().rpartition("\n")[0].splitlines() if self._requests.exists() else []
        return [(registry, address, kind) for _, registry, _, address, kind in (line.split(",") for line in lines)]

    def wait_for_requests(self, count: int, deadline_s: float) -> None:
        """Wait until the registries have been asked so often."""
        wait_until(lambda: len(self.asked()) >= count, f"{count} requests", deadline_s)

    def repeated(self) -> int:
        """Return how many requests asked a registry what it had been asked before."""
        return sum(
            times - 1 for times in Counter((registry, address) for registry, address, _ in self.asked()).values()
        )


def quiet_crawl(mesh: Mesh, folder: Path) -> Path:
    """Crawl the same space at the seat, with nothing in the way; return the dump."""
    config, log = folder / "quiet.toml", folder / "quiet.log"
    options = ["--config-out", config, "--host", SEAT_ADDRESS]
    with open(log, "wb") as file:
        practice = mesh.lab.start(BIN / "whoismesh", "practice", *options, stdout=subprocess.PIPE, stderr=file)
    assert practice.stdout is not None
    assert practice.stdout.readline(), log.read_text()
    space = [str(each) for each in mesh.table.space() if each.first >> 24 in FIRST_BYTES]
    dump = folder / "quiet.msgpack"
    command = (BIN / "whoismesh", "crawl", *space, "--config", config, "--state", folder / "quiet", "--dump", dump)
    mesh.lab.run(*command, "--workers", "2", timeout_s=100)
    practice.kill()
    return dump


def networks(dump: Path) -> list[tuple[str, str, str | None, str | None]]:
    """Return (range, registry, name, holder) of a dump's networks: what depends on no time, place or protocol."""
    with open_dump(dump) as records:
        return [
            (str(each.range), each.registry, each.name, each.holder.name)
            for each in records
            if isinstance(each, Network)
        ]
