"""Seeds played: a fleet each, with faults, then without, until all replicas are alike; and what it cost."""

from __future__ import annotations

import gc
import time
import traceback
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import Any

from whoismesh.gossip.exchange import INTERVAL_S, SOON_S, TIMEOUT_S
from whoismesh.gossip.replica import HOLE_S
from whoismesh.ledger.leases import LEASE_TTL_S
from whoismesh.simulation.broken import InvariantError
from whoismesh.simulation.clock import START
from whoismesh.simulation.gossip.measures import BY_EXCHANGE, BY_FEED
from whoismesh.simulation.gossip.mesh import Mesh
from whoismesh.simulation.gossip.plan import Plan

#: Rounds of exchanges alone after which everyone has everything, a tenth of the messages lost, by the size of the fleet
#: (measured with a model of push-pull gossip).
ROUNDS = ((50, 7), (200, 9), (1_000, 11))
#: Real engines may need so many times as many.
MOST_TIMES = 3
#: What an exchange with a host that is down costs, rounds: as many of them are in the list, so many more it takes.
DOWN_ROUNDS = (TIMEOUT_S + SOON_S) / INTERVAL_S
#: It is looked this often whether all are alike, seconds.
LOOK_S = 0.25
#: Up to so many crashes of each host a minute it is judged how soon a block is everywhere.
MOST_CRASHES = 1.0
#: In so many parts the time of the faults is told as progress, and after so many process starts the dead are collected.
PARTS, MOST_UNCOLLECTED = 100, 200


def rounds_of(nodes: int) -> float:
    """Return how many rounds a fleet should need; beyond the table as the logarithm of its size."""
    sizes = [size for size, _ in ROUNDS]
    at = min(max(bisect_left(sizes, nodes), 1), len(ROUNDS) - 1)
    (low, least), (high, most) = ROUNDS[at - 1], ROUNDS[at]
    return least + (most - least) * max(0.0, log(nodes / low) / log(high / low))


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one fleet. `invariant` is "" where all held; times are virtual seconds, `cpu_s` real ones.

    `nearly_s` and `all_s` are (median, 99 of 100, most) of the time from a block's first finder to 99 of 100 live nodes
    and to all; what the cut held up counts from its end. `starts` counts processes, `origins` those
    that were taken in. `healed_s` is how long after the faults all replicas were
    alike. `ways` counts how nodes came to know blocks: "1" and up are hops over PUB/SUB.
    """

    seed: int
    invariant: str
    expected: str
    found: str
    nodes: int
    blocks: int
    live: int
    starts: int
    origins: int
    crashes: int
    adopted: int
    known: int
    nearly_s: tuple[float, float, float]
    all_s: tuple[float, float, float]
    healed_s: float
    rounds: float
    allowed_rounds: float
    bytes_a_block_and_node: float
    frames_a_block_and_node: float
    frames: dict[str, int]
    bytes: dict[str, int]
    ways: dict[str, int]
    largest_digest_bytes: int
    largest_frame_bytes: int
    counts: dict[str, int]
    virtual_s: float
    steps: int
    trace: str
    cpu_s: float

    @property
    def well(self) -> bool:
        """Tell whether every invariant held."""
        return not self.invariant

    def to_map(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def play(plan: Plan, on_progress: Callable[[float], None] = lambda share: None) -> Report:
    """Play one fleet to its end. The same plan gives the same report but for `cpu_s`."""
    started = time.process_time()
    gc.collect()
    gc.freeze()
    gc.disable()
    mesh = Mesh(plan)
    broken: InvariantError | None = None
    healed_at = 0.0
    try:
        mesh.begin()
        mesh.unleash()
        collected = mesh.starts
        for part in range(PARTS):
            on_progress(part / PARTS)
            mesh.run(plan.lasting_s / PARTS)
            if mesh.starts - collected > MOST_UNCOLLECTED:
                gc.collect()
                collected = mesh.starts
        on_progress(1.0)
        mesh.heal()
        healed_at = mesh.clock.now
        _converge(mesh, healed_at + _allowed_rounds(mesh) * INTERVAL_S)
        mesh.check()
        _judge_rounds(mesh)
    except InvariantError as error:
        broken = error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"
        broken = InvariantError("no-exception", "engines that raise nothing", what)
    finally:
        gc.enable()
        gc.unfreeze()
    return _report(mesh, broken, healed_at, time.process_time() - started)


def _converge(mesh: Mesh, deadline: float) -> None:
    # What has a hole waits longer; so does the list of members, where it names some that died in the last moment.
    held_up = HOLE_S if any(process.gossip.replica.waiting for process in mesh.live) else 0.0
    while (differs := mesh.differs) or not mesh.spread.everywhere:
        if mesh.clock.now >= deadline + max(held_up, LEASE_TTL_S if "members" in differs else 0.0):
            raise InvariantError(
                "replicas-converge", f"all alike by {mesh.clock.now - START:.1f} s", differs or "late blocks"
            )
        mesh.run(LOOK_S)


def _allowed_rounds(mesh: Mesh) -> float:
    live = mesh.live
    down = max(0, len(live[0].gossip.peers.members) - len(live)) if live else 0
    holes = HOLE_S / INTERVAL_S if any(process.gossip.totals()["gossip_holes"] for process in live) else 0.0
    return MOST_TIMES * rounds_of(mesh.plan.nodes) * (1 + DOWN_ROUNDS * down / max(1, len(live))) + holes


def _slowest(mesh: Mesh) -> float:
    return max(mesh.spread.lags(mesh.spread.all_at, (mesh.cut_from, mesh.cut_until)), default=0.0)


def _judge_rounds(mesh: Mesh) -> None:
    if mesh.plan.crash > MOST_CRASHES:
        return  # there is no moment at which everybody has caught up
    rounds, allowed = _slowest(mesh) / INTERVAL_S, _allowed_rounds(mesh)
    if rounds > allowed:
        raise InvariantError("soon-everywhere", f"each block to be everywhere in {allowed:.1f} rounds", f"{rounds:.1f}")


def _spots(lags: Sequence[float]) -> tuple[float, float, float]:
    if not lags:
        return 0.0, 0.0, 0.0
    return lags[len(lags) // 2], lags[len(lags) * 99 // 100], lags[-1]


def _report(mesh: Mesh, broken: InvariantError | None, healed_at: float, cpu_s: float) -> Report:
    plan, spread, traffic, live = mesh.plan, mesh.spread, mesh.traffic, mesh.live
    held_up = mesh.cut_from, mesh.cut_until
    names = {0: "found", BY_FEED: "feed", BY_EXCHANGE: "exchange"}
    counts: Counter[str] = sum((process.gossip.totals() for process in live), start=Counter())
    for_each = plan.blocks * plan.nodes
    return Report(
        seed=plan.seed,
        invariant=broken.name if broken else "",
        expected=broken.expected if broken else "",
        found=broken.found if broken else "",
        nodes=plan.nodes,
        blocks=plan.blocks,
        live=len(live),
        starts=mesh.starts,
        origins=mesh.coordinator.starts,
        crashes=mesh.crashes,
        adopted=mesh.coordinator.adopted,
        known=len(live[0].table) if live else 0,
        nearly_s=_spots(spread.lags(spread.nearly_at, held_up)),
        all_s=_spots(spread.lags(spread.all_at, held_up)),
        healed_s=mesh.clock.now - healed_at if healed_at else 0.0,
        rounds=_slowest(mesh) / INTERVAL_S,
        allowed_rounds=_allowed_rounds(mesh),
        bytes_a_block_and_node=traffic.bytes.total() / for_each,
        frames_a_block_and_node=traffic.frames.total() / for_each,
        frames=dict(sorted(traffic.frames.items())),
        bytes=dict(sorted(traffic.bytes.items())),
        ways={names.get(way, str(way)): count for way, count in sorted(spread.ways.items())},
        largest_digest_bytes=traffic.largest_digest_bytes,
        largest_frame_bytes=traffic.largest_frame_bytes,
        counts=dict(sorted(counts.items())),
        virtual_s=mesh.clock.now - START,
        steps=mesh.clock.steps,
        trace=mesh.clock.trace,
        cpu_s=cpu_s,
    )
