"""A simulation that cannot fail proves nothing: engines with one safeguard switched off are caught, by its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

import whoismesh.ledger.engine
from whoismesh.addresses import Range
from whoismesh.compounds import Result
from whoismesh.gossip.exchange import Exchanges
from whoismesh.gossip.replica import Replica
from whoismesh.lanes.lane import Lane
from whoismesh.lanes.outcomes import Outcomes
from whoismesh.ledger.account import Account
from whoismesh.ledger.budgets import Budget
from whoismesh.ledger.coverage import Coverage
from whoismesh.ledger.engine import Ledger
from whoismesh.ledger.intake import Intake
from whoismesh.ledger.leases import Desk
from whoismesh.messages import Results
from whoismesh.simulation.run import Trial, play
from whoismesh.simulation.summary import faults_of

pytestmark = pytest.mark.slow

Patch = pytest.MonkeyPatch

#: Small worlds in which much goes wrong.
TRIAL = Trial(6, 60, faults_of(0.3, 3.0, 8.0, 6.0, 12.0, 40.0), patience_s=240.0)
SEEDS = range(1, 11)
#: A broken engine shows in one of these.
MORE_SEEDS = range(1, 41)
#: Worlds in which all who live know of the orphans, and nobody comes who does not.
ALL_KNOW = Trial(6, 60, replace(faults_of(0.0, 6.0, 0.0, 0.0, 0.0, 12.0), returns=0.0), patience_s=240.0)
#: Worlds in which registries fail most of the time.
ILL = Trial(6, 60, faults_of(0.0, 0.0, 0.0, 0.0, 60.0, 60.0), patience_s=600.0)

#: Worlds in which next to nothing of what is told to all arrives.
DEAF = Trial(6, 60, faults_of(0.9, 0.0, 8.0, 6.0, 30.0, 60.0), patience_s=600.0)


def no_orphan_check(patch: Patch) -> None:
    """A worker skips what gossip knows, also where the ledger asks it to verify."""
    add_lease = Lane.add_lease
    patch.setattr(Lane, "add_lease", lambda lane, grant, known: add_lease(lane, replace(grant, verify=False), known))


def nothing_is_suspect(patch: Patch) -> None:
    """What ends without a result is plain pending: the ledger asks nobody to verify it."""
    take_pending = Desk.take_pending
    patch.setattr(
        Desk,
        "take_pending",
        lambda *args: None if (taken := take_pending(*args)) is None else replace(taken, verify=False),
    )


def no_duplicate_check(patch: Patch) -> None:
    """Every result that arrives is stored."""

    def sift(_: Intake, results: Iterable[Result]) -> tuple[list[Result], list[Result]]:
        return list(results), []

    patch.setattr(Intake, "sift", sift)


def duplicates_are_known_after_a_restart_only(patch: Patch) -> None:
    """What is stored is not noted."""
    patch.setattr(Intake, "stored", lambda intake, result: intake._storing.discard((result.origin, result.sequence)))


def acknowledged_before_the_commit(patch: Patch) -> None:
    """A result is acknowledged when it arrives."""
    collected = Ledger._collected

    def at_once(ledger: Ledger, message: Any, key: str, now: float) -> list[Any]:
        out = collected(ledger, message, key, now)
        return out + (ledger._acknowledge(message.results) if isinstance(message, Results) else [])

    patch.setattr(Ledger, "_collected", at_once)


def settled_before_the_commit(patch: Patch) -> None:
    """A result settles when it arrives."""
    collected = Ledger._collected

    def at_once(ledger: Ledger, message: Any, key: str, now: float) -> list[Any]:
        if isinstance(message, Results):
            for result in message.results:
                ledger.account.settle(result, now)
        return collected(ledger, message, key, now)

    patch.setattr(Ledger, "_collected", at_once)


def leases_never_expire(patch: Patch) -> None:
    """A lease lasts for ever."""
    patch.setattr(whoismesh.ledger.engine, "LEASE_TTL_S", math.inf)


def results_of_returned_leases_are_awaited_for_ever(patch: Patch) -> None:
    """A lease that was returned waits for its results without end."""
    patch.setattr("whoismesh.ledger.leases.AWAIT_S", math.inf)


def a_network_leaves_what_was_free(patch: Patch) -> None:
    """A network settles what was unallocated a second time."""

    def settle_network(coverage: Coverage, found: Range) -> list[Range]:
        parts = [gap for part in coverage.space.present(found) for gap in coverage.reserved.missing(part)]
        for part in parts:
            coverage.held.add(part)
            coverage.settled.add(part)
        return parts

    def nobody(account: Account, result: Result, now: float) -> list[Range]:
        return account.coverage._settle(account.coverage.unallocated, Range.of_prefix(4, result.asked.first, 20))

    patch.setattr(Coverage, "settle_network", settle_network)
    patch.setattr(Account, "_nobody", nobody)


def failures_are_free_space(patch: Patch) -> None:
    """What could not be looked up is settled as nobody's."""
    patch.setattr(Account, "_failed", lambda account, result, now: account._nobody(result, now))


def permits_are_dealt_twice(patch: Patch) -> None:
    """The coordinator deals more than the rate."""
    init = Budget.__init__

    def generous(budget: Budget, rate: float, host_rate: float) -> None:
        init(budget, 2 * rate, 2 * host_rate)

    patch.setattr(Budget, "__init__", generous)


def a_wait_is_not_kept(patch: Patch) -> None:
    """A worker that was told to wait asks on."""
    limited = Outcomes._limited

    def hasty(lanes: Outcomes, lane: Lane, lookup: Any, answer: Any, now: float) -> list[Any]:
        return limited(lanes, lane, lookup, replace(answer, retry_after_s=0.2), now)

    patch.setattr(Outcomes, "_limited", hasty)


def a_ban_is_a_failure(patch: Patch) -> None:
    """A worker that was banned tries again."""
    patch.setattr(
        Outcomes,
        "_banned",
        lambda lanes, lane, answer, now: lanes._out_of_reach(lane, answer.reason, lane.paused_until),
    )


def the_log_is_counted_not_learned(patch: Patch) -> None:
    """A replica notes how far it has the accepted log, and forgets some of it."""
    add = Replica._add
    patch.setattr(
        Replica,
        "_add",
        lambda replica, block, *more, **early: (
            add(replica, block, *more, **early) if block.range.first % 1024 else (None, False)
        ),
    )


def the_log_is_not_repaired(patch: Patch) -> None:
    """A node takes no answer of those that it compares with, and what comes after a hole does not count."""
    patch.setattr(Exchanges, "answered", lambda *_: ())


CASES: tuple[tuple[Callable[[Patch], None], Trial, str], ...] = (
    (no_orphan_check, ALL_KNOW, "orphans-found"),
    (nothing_is_suspect, ALL_KNOW, "orphans-found"),
    (no_duplicate_check, TRIAL, "stored-once"),
    (duplicates_are_known_after_a_restart_only, TRIAL, "stored-once"),
    (acknowledged_before_the_commit, TRIAL, "acknowledged-is-on-disk"),
    (settled_before_the_commit, TRIAL, "settled-by-the-disk"),
    (leases_never_expire, TRIAL, "dead-leases-lapse"),
    (results_of_returned_leases_are_awaited_for_ever, TRIAL, "finishes"),
    (a_network_leaves_what_was_free, TRIAL, "settled-once"),
    (failures_are_free_space, ILL, "exact"),
    (permits_are_dealt_twice, TRIAL, "budget-kept"),
    (a_wait_is_not_kept, TRIAL, "told-wait"),
    (a_ban_is_a_failure, ILL, "banned-stays-closed"),
    (the_log_is_counted_not_learned, TRIAL, "replicas-hold-the-log"),
    (the_log_is_not_repaired, DEAF, "replicas-converge"),
)


@pytest.mark.parametrize(("switch_off", "trial", "invariant"), CASES, ids=lambda each: getattr(each, "__name__", ""))
def test_a_broken_engine_is_caught(
    monkeypatch: Patch, switch_off: Callable[[Patch], None], trial: Trial, invariant: str
) -> None:
    switch_off(monkeypatch)
    for seed in MORE_SEEDS:
        report = play(trial, seed)
        if report.invariant == invariant:
            break
    assert (report.invariant, bool(report.expected), bool(report.found)) == (invariant, True, True)


@pytest.mark.parametrize("trial", [TRIAL, ALL_KNOW, ILL], ids=["TRIAL", "ALL_KNOW", "ILL"])
def test_the_same_seeds_hold_with_the_engines_as_they_are(trial: Trial) -> None:
    reports = [play(trial, seed) for seed in SEEDS]
    assert [(each.seed, each.invariant, each.found) for each in reports] == [(seed, "", "") for seed in SEEDS]
