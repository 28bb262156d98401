"""Simulated crawls with a prior: a lookup a network; with a wrong one the table all the same, whatever goes wrong.

The invariants replay what is on disk without the prior: what is settled must not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from whoismesh.addresses import Range
from whoismesh.delegated import Delegation
from whoismesh.practice.table import AllocationTable
from whoismesh.prior import Prior, prior_of
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.plan import Faults, Plan
from whoismesh.simulation.tables import table_of
from whoismesh.simulation.world import World

UNKIND = Faults(loss=0.1, crash=0.5, partition=1, pause=1, trouble=1, lasting_s=30)


def networks(world: World) -> set[tuple[str, Range]]:
    return {(each.registry, each.range) for each in world.disk if each.status == "network"}


def held(table: AllocationTable) -> set[tuple[str, Range]]:
    return {(row.registry, row.range) for row in table.rows() if row.held}


def wrong(table: AllocationTable, seed: int) -> Iterator[Delegation]:
    """Yield rows of which half are not true."""
    random = Random(seed)
    for row in table.rows():
        found = Delegation(*row[:6])
        match random.randrange(10):
            case 0:
                found = found._replace(registry=random.choice(REGISTRIES))
            case 1:
                found = found._replace(status="available" if row.held else "allocated")
            case 2:
                found = found._replace(range=Range(4, row.range.first, row.range.first + row.range.size // 2 + 5_000))
            case 3:
                continue
            case 4:
                found = found._replace(holder="same", date="20200101", registry="arin")
        yield found


def plan(seed: int, prior: Prior | None, space: list[Range], table: AllocationTable, faults: Faults) -> Plan:
    every = 2_000 if faults.any else 200
    return Plan(
        *(space, table),
        workers=4,
        seed=seed,
        prior=prior,
        rate=50,
        host_rate=20,
        attempts=6,
        audit_every=every,
        faults=faults,
    )


def test_with_the_table_as_prior_it_is_a_lookup_a_network() -> None:
    space, table = table_of(1, 200)
    prior = prior_of((Delegation(*row[:6]) for row in table.rows()), RangeSet(space))
    world = World(plan(1, prior, space, table, Faults()))
    world.run()
    assert world.complete and networks(world) == held(table)
    assert len(world.asked) == 200
    assert world.ledger is not None
    free = RangeSet(part for each in space for row in table.rows(each) if not row.held for part in [row.range])
    assert world.ledger.coverage.delegated == free


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("faults", [Faults(), UNKIND], ids=["kind", "unkind"])
def test_a_wrong_prior_costs_lookups_and_nothing_else(seed: int, faults: Faults) -> None:
    space, table = table_of(seed, 120)
    prior = replace(prior_of(wrong(table, seed), RangeSet(space)), free={})
    world = World(plan(seed, prior, space, table, faults))
    world.run()
    assert world.complete and networks(world) == held(table)
