"""Whole crawls on a virtual clock: whatever is lost or dies in between, they end with exactly the table's networks."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from whoismesh.addresses import Range
from whoismesh.answers import Reply
from whoismesh.answers.outcome import Status
from whoismesh.practice.table import AllocationTable
from whoismesh.rangesets import RangeSet
from whoismesh.simulation.clock import START
from whoismesh.simulation.plan import Faults, Plan
from whoismesh.simulation.registries import Asked
from whoismesh.simulation.tables import ideal_lookups, random_table, row
from whoismesh.simulation.world import World


def assert_exact(world: World) -> None:
    """The crawl is complete, with the table's networks and nothing else."""
    world.checks.end()
    assert world.finished is not None
    assert world.finished.complete, world.finished.reason
    ledger = world.ledger
    assert ledger is not None
    held = [each for each in world.plan.table.rows() if each.held]
    found = {result.range for result in world.disk if result.status == Status.NETWORK}
    assert found == {each.range for each in held}
    assert ledger.coverage.held == RangeSet(each.range for each in held)
    assert not ledger.coverage.failed
    wrong = {result.registry for result in world.disk for each in held if each.range == result.range} - {
        each.registry for each in held
    }
    assert not wrong
    assert sum(ledger.networks.values()) == len(held)
    assert [node.stopped for node in world.nodes if node.stopped is not None] == [
        "" for node in world.nodes if node.stopped is not None
    ]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_crawl_finds_exactly_the_networks_of_the_table(workers: int, seed: int) -> None:
    space, table = random_table(seed)
    world = World(Plan(space, table, workers=workers, seed=seed))
    world.run()
    assert_exact(world)
    assert all(not node.spool for node in world.nodes)


def test_what_holds_after_every_event_holds_with_loss_and_delay() -> None:
    space, table = random_table(3, length=18)
    world = World(Plan(space, table, workers=3, seed=3, faults=Faults(loss=0.2), delay=(0.001, 0.3), audit_every=1))
    world.run()
    assert world.counts["lost"] > 20
    assert_exact(world)


def test_one_worker_needs_hardly_more_lookups_than_there_is_to_find() -> None:
    space, table = random_table(4, ["ripencc"], length=14, transferred=0.0)
    world = World(Plan(space, table, workers=1, seed=4))
    world.run()
    assert_exact(world)
    assert len(world.asked) <= ideal_lookups(table) * 1.01


def test_five_workers_seldom_ask_about_the_same_network() -> None:
    space, table = random_table(5, ["ripencc"], length=13, transferred=0.0)
    world = World(Plan(space, table, workers=5, seed=5))
    world.run()
    assert_exact(world)
    assert len(world.asked) <= ideal_lookups(table) * 1.08


def test_a_crashed_worker_leaves_no_hole_and_its_orphans_are_found() -> None:
    space, table = random_table(6)
    world = World(Plan(space, table, workers=3, seed=6, faults=Faults(loss=0.05)))
    world.after(2.0, lambda: world.crash_worker(1))
    world.run()
    assert_exact(world)
    assert [node.stopped for node in world.nodes] == ["", None, ""]


def test_a_worker_that_starts_again_delivers_what_the_crashed_one_left_in_its_spool() -> None:
    space, table = random_table(7)
    world = World(Plan(space, table, workers=2, seed=7, faults=Faults(loss=0.5)))

    def crash_and_start() -> None:
        left = world.crash_worker(0).spool
        assert left
        world.start_worker(left)

    world.after(2.0, crash_and_start)
    world.run()
    assert_exact(world)
    assert not world.nodes[2].spool


def test_a_drained_worker_leaves_with_an_empty_spool_and_the_others_finish() -> None:
    space, table = random_table(8)
    world = World(Plan(space, table, workers=2, seed=8))
    world.after(2.0, lambda: world.drain_worker(0))
    world.run(3.0)
    assert world.nodes[0].stopped == ""
    assert not world.nodes[0].spool
    world.run()
    assert_exact(world)


@pytest.mark.slow
@pytest.mark.parametrize("down_s", [0.1, 5.0, 40.0])
def test_a_restarted_coordinator_takes_its_workers_back_and_finishes(down_s: float) -> None:
    space, table = random_table(9)
    world = World(Plan(space, table, workers=3, seed=9, audit_every=1 if down_s == 5.0 else 0))
    world.after(2.5, lambda: world.restart_coordinator(down_s))
    world.run()
    assert_exact(world)


def test_a_replayed_disk_gives_the_ledger_that_lived() -> None:
    space, table = random_table(10)
    world = World(Plan(space, table, workers=2, seed=10))
    world.run(3.0)
    lived = world.ledger
    assert lived is not None
    world.start_coordinator()
    again = world.ledger
    assert again is not None
    assert again is not lived
    for kind in ("held", "unallocated", "failed", "reserved", "settled"):
        assert getattr(again.coverage, kind) == getattr(lived.coverage, kind)
    assert again.networks == lived.networks
    assert again.log.after(0) == lived.log.after(0)


def test_everything_at_once_still_ends_with_exactly_the_table() -> None:
    space, table = random_table(11)
    world = World(Plan(space, table, workers=4, seed=11, faults=Faults(loss=0.2), delay=(0.001, 0.5)))
    world.after(2.0, lambda: world.crash_worker(0))
    world.after(3.0, lambda: world.restart_coordinator(3.0))
    world.after(9.0, lambda: world.crash_worker(1))
    world.after(11.0, lambda: world.start_worker())
    world.after(12.0, lambda: world.restart_coordinator(0.5))
    world.run()
    assert_exact(world)


def test_no_registry_is_asked_faster_than_its_budget_and_most_of_the_budget_is_used() -> None:
    space, table = random_table(12, ["ripencc"], length=12, transferred=0.0)
    world = World(Plan(space, table, workers=5, seed=12, rate=20.0, host_rate=8.0, delay=(0.001, 0.02)))
    world.after(10.0, lambda: world.restart_coordinator(0.3))
    world.run()
    assert_exact(world)
    times = [each.at for each in world.asked]
    assert most_in_a_second(times) <= 20
    by_worker: dict[int, list[float]] = defaultdict(list)
    for each in world.asked:
        by_worker[each.worker].append(each.at)
    assert max(most_in_a_second(each) for each in by_worker.values()) <= 8
    busy = [at for at in times if 15.0 <= at - START < 25.0]
    assert len(busy) / 10 >= 0.9 * 20


def test_after_slow_down_the_whole_fleet_waits_as_told() -> None:
    space, table = random_table(13, ["ripencc"], length=15, transferred=0.0)
    world = World(Plan(space, table, workers=3, seed=13, rate=30.0, host_rate=30.0))
    told: list[Asked] = []

    def ill(asked: Asked) -> Reply | None:
        if len(world.asked) == 60:
            told.append(asked)
            return world.registries.slow_down(asked, 30)
        return None

    world.registries.ill = ill
    world.run()
    assert_exact(world)
    heard = told[0].at + world.plan.answer[1] + 2 * world.plan.delay[1]
    assert not [each for each in world.asked if heard < each.at < told[0].at + 30]
    later = [each.at for each in world.asked if each.at > told[0].at + 30]
    assert most_in_a_second(later) <= 15


def test_a_worker_that_cannot_reach_a_registry_does_not_keep_its_share_from_the_others() -> None:
    space, table = random_table(14, ["ripencc", "apnic"], length=18)
    world = World(Plan(space, table, workers=2, seed=14))
    broken = Reply("apnic", "rdap", 4, 0, b"", "", 0.0, 500)
    world.registries.ill = lambda asked: broken if asked.worker == 0 and asked.registry == "apnic" else None
    world.run(300.0)
    assert world.finished is not None
    assert world.finished.complete


def test_a_worker_that_joins_late_still_gets_work() -> None:
    space, table = random_table(15, ["ripencc"], length=14, transferred=0.0)
    world = World(Plan(space, table, workers=1, seed=15))
    world.after(1.0, lambda: world.start_worker())
    world.run()
    assert_exact(world)
    shares = Counter(each.worker for each in world.asked)
    assert shares[1] > 0.35 * len(world.asked)


def test_an_ipv6_space_is_crawled_by_the_same_rules() -> None:
    rows = [
        row("2001:600::/32", "ripencc"),
        row("2001:601::/32", "ripencc", held=False),
        row("2001:602::-2001:604:ffff:ffff:ffff:ffff:ffff:ffff", "ripencc"),
        row("2001:605::/32", "arin"),
        row("2001:606::/31", "ripencc"),
    ]
    world = World(Plan([Range.parse("2001:600::/29")], AllocationTable(rows), workers=2))
    world.run()
    assert_exact(world)


def test_the_same_seed_makes_the_same_world() -> None:
    space, table = random_table(16, length=18)
    runs = []
    for _ in range(2):
        world = World(Plan(space, table, workers=3, seed=16, faults=Faults(loss=0.1)))
        world.run()
        runs.append((world.now, world.asked))
    assert runs[0] == runs[1]


def most_in_a_second(times: list[float]) -> int:
    """Return how many of these times fall into one second, at most."""
    times = sorted(times)
    low = most = 0
    for high, at in enumerate(times):
        while at - times[low] >= 1.0:
            low += 1
        most = max(most, high - low + 1)
    return most
