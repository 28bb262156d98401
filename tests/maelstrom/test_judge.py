"""The mesh before an outside judge: real processes, messages late and lost, partitions, kills and pauses."""

from __future__ import annotations

import random
from typing import Any

import pytest
from judge import NEMESES, Plan, judge
from mesh_node import HOME, block_of, element_of
from network import Weather

from whoismesh.blocks import Blocks
from whoismesh.gossip import guard

pytestmark = pytest.mark.slow


def shown(verdict: dict[str, Any]) -> str:
    """Return a verdict as it is shown where it is not what was expected."""
    return "\n".join(f"{key}: {value}" for key, value in verdict.items())


def test_elements_are_distinct_blocks_that_the_guard_lets_pass() -> None:
    chance = random.Random(4)
    some = [*range(1000), *chance.sample(range(2 * HOME[4].size), 1000), 2 * HOME[4].size - 1]
    blocks = [block_of(element) for element in some]
    assert [element_of(each.range) for each in blocks] == some
    assert {guard.why_not(each.range) for each in blocks} == {None}
    assert list(Blocks.of(blocks)) == blocks
    for wrong in (-1, 2 * HOME[4].size):
        with pytest.raises(ValueError, match="expected an element"):
            block_of(wrong)


def test_a_mesh_in_trouble_loses_nothing() -> None:
    plan = Plan(5, seconds=6, rate=60, weather=Weather(latency_s=0.05, loss=0.1), nemesis=NEMESES, healing_s=40)
    verdict = judge(plan)
    print(shown(verdict))
    assert verdict["valid?"] is True and verdict["alike"], shown(verdict)
    assert verdict["stable-count"] > 20 and verdict["network"]["lost"] and verdict["faults"], shown(verdict)


def test_a_partition_that_never_heals_is_found_out() -> None:
    plan = Plan(3, seconds=3, rate=60, nemesis=("partition",), heal=False, healing_s=0.5)
    verdict = judge(plan)
    assert verdict["valid?"] is False and verdict["lost-count"] and not verdict["alike"], shown(verdict)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_five_nodes_in_trouble_lose_nothing(seed: int) -> None:
    weather = Weather(latency_s=0.1, loss=0.1)
    plan = Plan(25, 60, 40, 10, weather, NEMESES, healing_s=90, seed=seed)
    verdict = judge(plan)
    print(shown(verdict))
    assert verdict["valid?"] is True and verdict["alike"], shown(verdict)
    assert verdict["stable-count"] > 500, shown(verdict)
