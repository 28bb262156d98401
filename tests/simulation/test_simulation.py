"""Whole crawls with everything that can go wrong: they end with the table's networks, and a seed decides everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from whoismesh.simulation.plan import Faults
from whoismesh.simulation.run import Report, Trial, play, play_all
from whoismesh.simulation.summary import faults_of, summary
from whoismesh.simulation.tables import ideal_lookups, table_of

UNKIND = Trial(8, 120, faults_of(0.1, 2.0, 10.0, 8.0, 10.0, 40.0))
SEEDS = range(1, 13)


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    return list(play_all(UNKIND, SEEDS, jobs=1))


def test_whatever_goes_wrong_every_invariant_holds(reports: list[Report]) -> None:
    assert [(each.seed, each.invariant, each.found) for each in reports] == [(seed, "", "") for seed in SEEDS]
    assert all(each.networks == 120 and each.steps > 500 and each.audits for each in reports)


@pytest.mark.parametrize(
    "fault",
    [
        "lost", "repeated", "reordered", "late",
        "cuts_both_ways", "cuts_one_way", "swizzles", "lost_in_a_cut", "held_by_a_cut", "connections_broken",
        "lost_with_a_connection",
        "workers_killed", "workers_come_back", "hosts_lost", "hosts_replaced", "hosts_lost_with_orphans", "mass_losses",
        "results_lost_with_a_disk",
        "coordinator_killed_at_once", "coordinator_killed_while_it_commits",
        "coordinator_killed_before_it_acknowledges", "coordinator_killed_before_it_tells_the_mesh",
        "pauses",
        "spells_limiting", "spells_failing", "spells_silent", "spells_unreachable",
        "answers_limited", "answers_banned", "bans", "single_failures",
        "note_lease_expired", "note_worker_lost", "note_host_banned", "note_registry_unreachable",
    ],
)  # fmt: skip
def test_each_fault_really_occurs(reports: list[Report], fault: str) -> None:
    counts: Counter[str] = Counter()
    for each in reports:
        counts.update(each.counts)
    assert counts[fault] > 0


def test_a_seed_played_again_is_the_same_to_the_last_frame(reports: list[Report]) -> None:
    again = play(UNKIND, 3)
    first = reports[2]
    assert again.trace == first.trace
    assert {**again.to_map(), "cpu_s": 0} == {**first.to_map(), "cpu_s": 0}
    assert len({each.trace for each in reports}) == len(reports)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_a_seed_is_the_same_in_another_process_with_other_hashes(reports: list[Report], hash_seed: str) -> None:
    command = [sys.executable, "-m", "whoismesh", "simulate", "--seed", "4", "--workers", "8", "--networks", "120"]
    flags = "--loss 0.1 --crash 2 --partition 10 --pause 8 --trouble 10 --lasting 40 --json"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([*command, *flags.split()], capture_output=True, env=environment, timeout=120, check=True)
    assert json.loads(done.stdout)["traces"] == {"4": reports[3].trace}


def test_another_intensity_makes_another_world(reports: list[Report]) -> None:
    other = play(Trial(8, 120, faults_of(0.1, 2.0, 10.0, 8.0, 11.0, 40.0)), 3)
    assert other.trace != reports[2].trace


def test_a_kind_world_costs_little_more_than_it_must() -> None:
    report = play(Trial(5, 300, Faults()), 1)
    assert report.well
    assert report.most_of_budget <= 1.0
    # What moved to another registry is asked twice; workers that meet in one network at the same moment, too.
    assert 1.0 <= report.times_ideal_lookups < 1.2
    assert 0.9 <= report.times_ideal_s < 2.0
    assert not [name for name in report.counts if "kill" in name or "lost" in name or "cut" in name]


def test_seeds_in_several_processes_give_what_they_give_in_one(reports: list[Report]) -> None:
    found = {each.seed: each.trace for each in play_all(UNKIND, range(1, 4), jobs=2)}
    assert found == {each.seed: each.trace for each in reports[:3]}


def test_a_summary_names_the_mean_and_the_worst_seed_of_each_cost(reports: list[Report]) -> None:
    found = summary(UNKIND, reports)
    assert (found["seeds"], found["broken"]) == (len(reports), [])
    cost = found["costs"]["lookups_a_network"]
    worst = max(reports, key=lambda each: each.lookups)
    assert (cost["worst"], cost["seed"]) == (round(worst.lookups / 120, 4), worst.seed)
    assert cost["mean"] == round(sum(each.lookups for each in reports) / 120 / len(reports), 4)


@pytest.mark.parametrize("networks", [1, 2, 5, 7, 500])
def test_a_table_has_as_many_networks_as_it_was_asked_for(networks: int) -> None:
    space, table = table_of(3, networks)
    held = [each for each in table.rows() if each.held]
    assert len(held) == networks
    assert all(any(part.contains(each.range) for part in space) for each in held)
    assert ideal_lookups(table) >= networks
    assert table_of(3, networks)[1].rows() is not None
    assert list(table_of(3, networks)[1].rows()) == list(table.rows())
