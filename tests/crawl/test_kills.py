"""Processes killed and stopped again and again, at random moments: what comes out is what a quiet crawl gives."""

import asyncio
import random
import signal

import pytest
from daemons import coordinator, dumped, worker

from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.faults import Weather
from whoismesh.store import LedgerStore

SPACE = ("102.160.0.0/12", "177.96.0.0/12", "193.104.0.0/14", "196.0.0.0/12", "202.128.0.0/10", "216.0.0.0/11")
#: What a lookup tells that depends on when and where it was asked.
CIRCUMSTANCES = ("fetched_at", "server", "asked", "source")
KILLS = 20
#: Of the networks, so many may be told of twice. A quiet crawl of this space by four workers has 1 %, more on a machine
#: that is busy: what two ask about one network within the same moment.
MOST_REPEATED = 0.05


def few_connections(text):
    """Four lookups at once at each registry, as from hosts that are polite: a crawl of half a minute or more."""
    return text.replace("connections = 16", "connections = 4")


def networks(path):
    with open_dump(path) as dump:
        found = [each.to_map() for each in dump if isinstance(each, Network)]
    return [{name: value for name, value in each.items() if name not in CIRCUMSTANCES} for each in found]


def repeated(folder):
    """Return how many answers told of a network, and how many of one that another answer had told of."""
    store = LedgerStore.read(folder)
    try:
        return len({where for where, _, _ in store.networks()}), store.count_duplicates()
    finally:
        store.close()


class Fleet:
    """A coordinator and workers, each of which can be killed and started again."""

    def __init__(self, lab, config, chance):
        self.lab = lab
        self.config = config
        self.chance = chance
        self.over = asyncio.Event()
        self.workers = {}
        self.started = 0

    async def start(self, workers):
        self.coordinator = await coordinator(self.lab, self.config)
        self.endpoint = self.coordinator.endpoint
        self._watch()
        for _ in range(workers):
            await self.new_worker()

    def _watch(self):
        async def watch(daemon):
            code = await daemon.process.wait()
            if code != -signal.SIGKILL:
                self.code = code
                self.over.set()

        self._watching = asyncio.create_task(watch(self.coordinator))

    async def new_worker(self, name=None):
        self.started += 1
        name = name or f"w{self.started}"
        self.workers[name] = await worker(self.lab, self.config, name, self.endpoint)

    async def quiet(self, seconds):
        """Wait so long, or until the crawl is over; tell which."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            return True
        return False

    async def kill_one(self):
        """Kill the coordinator or a worker and start it again; a worker comes back with its state, or with none."""
        victim = self.chance.choice(["", *sorted(self.workers)])
        if not victim:
            self.coordinator.kill()
            await self.coordinator.ends()
            self.coordinator = await coordinator(self.lab, self.config, self.endpoint)
            self._watch()
            return "coordinator"
        self.workers[victim].kill()
        await self.workers.pop(victim).ends()
        await self.new_worker(None if self.chance.random() < 0.25 else victim)
        return victim


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_kill_every_second_changes_nothing_of_what_is_found(in_lab, table):
    async def crawl(lab):
        quiet = await lab.run("crawl", "--config", lab.config(*SPACE), "--workers", "3", "--dump", "quiet.msgpack")
        assert quiet.code == 0, quiet.err
        asked = len(lab.practice.requests)
        config = lab.config(*SPACE, change=few_connections, name="slow.toml")
        lab.practice._weather = Weather(0.4, 0, 7)
        fleet = Fleet(lab, config, random.Random(20))
        await fleet.start(3)
        killed = []
        while len(killed) < KILLS and await fleet.quiet(1.0):
            killed.append(await fleet.kill_one())
        assert len(killed) == KILLS, f"the crawl was over after {killed}"
        async with asyncio.timeout(120):
            await fleet.over.wait()
        assert fleet.code == 0, fleet.coordinator.log.read_text()[-2000:]
        await dumped(lab, table)
        assert networks(lab.folder / "out.msgpack") == networks(lab.folder / "quiet.msgpack")
        count, duplicates = repeated(lab.folder / "coord")
        lookups = len(lab.practice.requests) - asked
        print(
            f"killed {', '.join(killed)}: {count} networks, {duplicates} repeated answers ({duplicates / count:.1%}), "
            f"{lookups} lookups beside {asked} of a quiet crawl"
        )
        assert duplicates < MOST_REPEATED * count

    in_lab(crawl)


def memory_kib(daemon):
    """Return the most memory that a daemon ever had (VmHWM)."""
    with open(f"/proc/{daemon.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


#: 20,000 results that are not acknowledged (lanes.engine.MOST_UNACKNOWLEDGED) are about 300 bytes each in memory; the
#: rest is the interpreter's.
MOST_GROWTH_KIB = 32 * 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    "pause_s", [pytest.param(12.0, id="12s"), pytest.param(60.0, id="60s", marks=pytest.mark.soak)]
)
@pytest.mark.timeout(400)
def test_a_coordinator_that_is_stopped_slows_its_workers_and_nothing_is_wasted(in_lab, table, pause_s):
    async def crawl(lab):
        config = lab.config(*SPACE, change=few_connections)
        coord = await coordinator(lab, config)
        workers = [await worker(lab, config, f"w{number}", coord.endpoint) for number in range(4)]
        await lab.requests(400)
        before = [memory_kib(each) for each in workers]
        asked = len(lab.practice.requests)
        coord.send(signal.SIGSTOP)
        ending = asyncio.create_task(coord.process.wait())
        await asyncio.wait([ending], timeout=pause_s)
        assert not ending.done()
        meanwhile = len(lab.practice.requests) - asked
        grown = [memory_kib(each) - kib for each, kib in zip(workers, before, strict=True)]
        coord.send(signal.SIGCONT)
        assert await coord.ends() == 0
        for each in workers:
            assert await each.ends() == 0
        await dumped(lab, table)
        count, duplicates = repeated(lab.folder / "coord")
        print(
            f"stopped for {pause_s:.0f} s: {meanwhile} lookups meanwhile, workers grew by {grown} KiB; "
            f"{count} networks, {duplicates} repeated answers ({duplicates / count:.1%}), "
            f"{len(lab.practice.requests)} lookups"
        )
        assert meanwhile > 0
        assert max(grown) < MOST_GROWTH_KIB
        assert duplicates < MOST_REPEATED * count

    in_lab(crawl, weather=Weather(0.3, 0, 5))


@pytest.mark.slow
@pytest.mark.soak
def test_a_worker_that_is_stopped_for_longer_than_its_leases_is_taken_back(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE, change=few_connections)
        coord = await coordinator(lab, config)
        workers = [await worker(lab, config, f"w{number}", coord.endpoint) for number in range(2)]
        await lab.requests(300)
        workers[0].send(signal.SIGSTOP)
        await coord.says("worker_lost")
        workers[0].send(signal.SIGCONT)
        assert await coord.ends() == 0
        for each in workers:
            assert await each.ends() == 0
        await dumped(lab, table)
        count, duplicates = repeated(lab.folder / "coord")
        print(f"{count} networks, {duplicates} repeated answers ({duplicates / count:.1%})")
        assert duplicates < MOST_REPEATED * count

    in_lab(crawl, weather=Weather(0.2, 0, 5))
