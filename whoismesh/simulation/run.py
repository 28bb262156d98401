"""Seeds played: a world each, with what it cost, over several processes."""

from __future__ import annotations

import gc
import multiprocessing
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from whoismesh.practice.table import AllocationTable
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.broken import InvariantError
from whoismesh.simulation.clock import START
from whoismesh.simulation.plan import Faults, Plan
from whoismesh.simulation.tables import ideal_lookups, table_of
from whoismesh.simulation.world import World

#: After all has healed, a crawl may take so many times the time it would ideally take, beside Trial.patience_s.
FINISH_TIMES = 10.0
#: After the crawl's end, workers have so long to hear of it and leave, seconds.
PARTING_S = 120.0
#: What is drawn for each seed: lookups a second of the fleet and of one host at each registry, and how many registries
#: set no limit.
RATES, HOST_RATES, UNLIMITED = (10.0, 16.0, 25.0, 40.0), (2.0, 4.0, 8.0), (0, 0, 1, 2)
#: Failed lookups after which an address is settled as failed: spells of trouble are shorter than that.
ATTEMPTS = 6


@dataclass(frozen=True, slots=True)
class Trial:
    """What to play: the size of a world and its faults; with a seed it decides everything.

    `patience_s` is how long after all has healed the crawl may take, virtual seconds: what leases, waits and the rate
    after limits need.
    """

    workers: int = 50
    networks: int = 2_000
    faults: Faults = field(default_factory=Faults)
    patience_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one seed. `invariant` is "" where all held; times are in virtual seconds, `cpu_s` in real ones.

    `most_of_budget` is the most lookups that any second had, as a share of the rate.
    """

    seed: int
    invariant: str
    expected: str
    found: str
    at_s: float
    crawl_s: float
    ideal_s: float
    lookups: int
    ideal_lookups: int
    networks: int
    steps: int
    audits: int
    most_of_budget: float
    trace: str
    cpu_s: float
    counts: dict[str, int]

    @property
    def well(self) -> bool:
        """Tell whether every invariant held."""
        return not self.invariant

    @property
    def lookups_a_network(self) -> float:
        """What a network cost."""
        return self.lookups / max(1, self.networks)

    @property
    def times_ideal_lookups(self) -> float:
        """How many times as many lookups it took as there is to find."""
        return self.lookups / max(1, self.ideal_lookups)

    @property
    def times_ideal_s(self) -> float:
        """How many times as long it took as the budgets alone would make it take."""
        return self.crawl_s / self.ideal_s

    def to_map(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def plan_of(trial: Trial, seed: int) -> Plan:
    """Return the world that a seed makes of a trial."""
    random = Random(f"plan {seed}")
    space, table = table_of(seed, trial.networks)
    share = min(1.0, trial.networks / 2_000)
    slow = random.random()
    return Plan(
        space,
        table,
        workers=trial.workers,
        seed=seed,
        rate=max(6.0, random.choice(RATES) * share),
        host_rate=random.choice(HOST_RATES),
        unlimited=frozenset(random.sample(REGISTRIES, random.choice(UNLIMITED))),
        connections=random.choice((1, 2, 2, 4)),
        delay=(0.0005, 0.004 + 0.006 * slow),
        answer=(0.05, 0.2 + 0.4 * slow),
        commit=(0.005, 0.06),
        attempts=ATTEMPTS,
        faults=trial.faults,
    )


def ideal_seconds(plan: Plan) -> float:
    """Return how long the slowest registry's budget alone makes a crawl take, seconds."""
    needed = Counter[str]()
    for each in plan.table.rows():
        needed[each.registry] += 1 if each.held else each.range.size >> 8
    fleet = plan.workers * plan.connections / (sum(plan.answer) / 2)
    pace = min(plan.rate, plan.workers * plan.host_rate)
    return max(
        count / (fleet if registry in plan.unlimited else min(pace, fleet)) for registry, count in needed.items()
    )


def play(trial: Trial, seed: int) -> Report:
    """Play one seed to its end. The same trial and seed give the same report but for `cpu_s`."""
    started = time.process_time()
    plan = plan_of(trial, seed)
    ideal_s = ideal_seconds(plan)
    broken: InvariantError | None = None
    gc.collect()
    gc.freeze()
    gc.disable()
    world: World | None = None
    try:
        world = World(plan)
        _run(world, trial.patience_s + FINISH_TIMES * ideal_s)
    except InvariantError as error:
        broken = error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        broken = InvariantError(
            "no-exception",
            "engines that raise nothing",
            f"{type(error).__name__}: {error} ({where.name}:{where.lineno})",
        )
    finally:
        gc.enable()
        gc.unfreeze()
    return _report(plan, world, broken, ideal_s, time.process_time() - started)


def _run(world: World, limit_s: float) -> None:
    faults = world.plan.faults.lasting_s if world.plan.faults.any else 0.0
    clock = world.clock
    end = clock.now + faults + limit_s
    while not world.complete and (at := clock.next_at) is not None and at <= end:
        clock.step()
    if not world.complete:
        world.checks.did_not_finish()
    world.completed_at = clock.now
    world.run(PARTING_S)
    world.checks.end()


def _report(plan: Plan, world: World | None, broken: InvariantError | None, ideal_s: float, cpu_s: float) -> Report:
    table: AllocationTable = plan.table
    return Report(
        seed=plan.seed,
        invariant=broken.name if broken else "",
        expected=broken.expected if broken else "",
        found=broken.found if broken else "",
        at_s=world.now - START if world else 0.0,
        crawl_s=(world.completed_at or world.now) - START if world else 0.0,
        ideal_s=ideal_s,
        lookups=len(world.asked) if world else 0,
        ideal_lookups=ideal_lookups(table),
        networks=sum(each.held for each in table.rows()),
        steps=world.clock.steps if world else 0,
        audits=world.checks.audits if world else 0,
        most_of_budget=world.registries.most_of_budget if world else 0.0,
        trace=world.clock.trace if world else "",
        cpu_s=cpu_s,
        counts=dict(sorted(world.counts.items())) if world else {},
    )


def play_all(trial: Trial, seeds: Iterable[int], jobs: int) -> Iterator[Report]:
    """Play seeds in so many processes; yield the reports as they come."""
    todo = list(seeds)
    if jobs <= 1 or len(todo) == 1:
        yield from (play(trial, seed) for seed in todo)
        return
    # Not "fork": the caller may have threads (a progress display).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(todo)), context) as pool:
        try:
            for future in as_completed([pool.submit(play, trial, seed) for seed in todo]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
