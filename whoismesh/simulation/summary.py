"""What many seeds came to: the mean and the worst of what they cost, how often each fault occurred, what broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from whoismesh.simulation.plan import Faults
from whoismesh.simulation.run import Report, Trial

#: What is told of each seed: name, how to get it.
COSTS: tuple[tuple[str, Callable[[Report], float]], ...] = (
    ("lookups_a_network", lambda each: each.lookups_a_network),
    ("lookups_over_ideal", lambda each: each.times_ideal_lookups),
    ("crawl_s", lambda each: each.crawl_s),
    ("time_over_ideal", lambda each: each.times_ideal_s),
    ("most_of_a_budget", lambda each: each.most_of_budget),
    ("cpu_s", lambda each: each.cpu_s),
)


def faults_of(loss: float, crash: float, partition: float, pause: float, trouble: float, lasting_s: float) -> Faults:
    """Return the faults of a few intensities: what is lost is also repeated and reordered, and late now and then."""
    return Faults(
        loss=loss,
        repeat=loss / 2,
        reorder=loss,
        tail=loss / 2,
        crash=crash,
        partition=partition,
        pause=pause,
        trouble=trouble,
        lasting_s=lasting_s,
    )


def replay_command(trial: Trial, seed: int) -> str:
    """Return the command that plays a seed again, exactly."""
    faults = trial.faults
    intensities = {
        "loss": faults.loss,
        "crash": faults.crash,
        "partition": faults.partition,
        "pause": faults.pause,
        "trouble": faults.trouble,
        "lasting": faults.lasting_s,
    }
    # All digits: the least difference makes another world.
    flags = " ".join(f"--{name} {value!r}" for name, value in intensities.items())
    return f"whoismesh simulate --seed {seed} --workers {trial.workers} --networks {trial.networks} {flags}"


def summary(trial: Trial, reports: Sequence[Report]) -> dict[str, Any]:
    """Return the seeds' sum as plain values. `broken` has a row for each seed that failed, with how to repeat it."""
    counts: Counter[str] = Counter()
    for each in reports:
        counts.update(each.counts)
    costs = {}
    for name, cost in COSTS:
        worst = max(reports, key=cost)
        costs[name] = {
            "mean": round(sum(map(cost, reports)) / len(reports), 4),
            "worst": round(cost(worst), 4),
            "seed": worst.seed,
        }
    return {
        "seeds": len(reports),
        "workers": trial.workers,
        "networks": trial.networks,
        "steps": sum(each.steps for each in reports),
        "audits": sum(each.audits for each in reports),
        "costs": costs,
        "counts": dict(sorted(counts.items())),
        "broken": [broken(trial, each) for each in sorted(reports, key=lambda each: each.seed) if not each.well],
        "traces": {str(each.seed): each.trace for each in sorted(reports, key=lambda each: each.seed)},
    }


def broken(trial: Trial, report: Report) -> dict[str, Any]:
    """Return what a failed seed has to tell."""
    return {
        "seed": report.seed,
        "at_s": round(report.at_s, 6),
        "invariant": report.invariant,
        "expected": report.expected,
        "found": report.found,
        "replay": replay_command(trial, report.seed),
    }
