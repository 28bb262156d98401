"""The state of a crawl for those who watch: plain values, made from the ledger on demand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

from whoismesh.ledger.engine import Ledger
from whoismesh.networks import COMPARED_FIELDS
from whoismesh.registries import REGISTRIES

#: Workers that get a row of their own; the status goes out twice a second.
MOST_WORKERS = 200


def status(ledger: Ledger, now: float) -> dict[str, Any]:
    """Return the state: counts of addresses (v4 and v6 together), of networks, and a row a registry and a worker.

    `leases` are those that are lent; a worker that is `resting` takes no new ones.
    `accepted` is the length of the accepted log, `members` counts the workers also where there are too many for rows.
    `importing` is how far the import of bulk files is, None where there is none. `compared` are networks that both
    protocols told of, `disagreements` those on which they differ (of a registry by field). Rates are lookups or answers
    a second of late; `budget` is the rate in force, None for no limit.
    """
    coverage = ledger.coverage
    fleet: Counter[str] = Counter()
    for metrics in ledger.metrics.values():
        fleet.update({name: int(count) for name, count in metrics.items()})
    return {
        "space": coverage.space.size,
        "settled": coverage.settled.size,
        "held": coverage.held.size,
        "unallocated": coverage.unallocated.size,
        "reserved": coverage.reserved.size,
        "failed": coverage.failed.size,
        "accepted": len(ledger.log),
        "networks": sum(ledger.networks.values()),
        "lookups": fleet["lookups"],
        "hits": fleet["hits"],
        "duplicates": ledger.counters["duplicates"],
        "results": ledger.counters["results"],
        "compared": sum(fleet[f"compared_{registry}"] for registry in REGISTRIES),
        "disagreements": sum(ledger.account.disagreements[registry] for registry in REGISTRIES),
        "complete": coverage.complete,
        "finished": ledger.finished is not None,
        "importing": ledger.bulk.progress,
        "by_registry": {
            registry: {
                "networks": ledger.networks[registry],
                "pending": ledger.desk.pending[registry].size + ledger.desk.suspect[registry].size,
                "errands": sum(errand.registry == registry for errand in ledger.desk.errands),
                "rate": round(ledger.health[registry].pace(now), 2),
                "budget": None if ledger.budgets[registry].unlimited else ledger.budgets[registry].rate,
                "limited": ledger.budgets[registry].limited_count,
                "disagreements": {field: ledger.account.disagreements[registry, field] for field in COMPARED_FIELDS},
                "trouble": ledger.health[registry].reason if ledger.health[registry].trouble_since is not None else "",
            }
            for registry in REGISTRIES
        },
        "members": len(ledger.workers),
        "resting": sum(worker.resting for worker in ledger.workers.values()),
        "leases": len(ledger.desk.leases),
        "workers": [
            {
                "origin": worker.origin,
                "host": worker.host,
                "resting": worker.resting,
                "leases": sum(lease.origin == worker.origin for lease in ledger.desk.leases.values()),
                "lookups": int(ledger.metrics.get(worker.origin, {}).get("lookups", 0)),
                "hits": int(ledger.metrics.get(worker.origin, {}).get("hits", 0)),
                "unacknowledged": int(ledger.metrics.get(worker.origin, {}).get("unacknowledged", 0)),
            }
            for worker in islice(ledger.workers.values(), MOST_WORKERS)
        ],
    }


def status_line(told: Mapping[str, Any]) -> str:
    """Return a state in one line, for a service manager."""
    members, resting, importing = told["members"], told["resting"], told["importing"]
    if told["complete"]:
        what = "done"
    elif importing is not None:
        what = "importing"
        if importing:
            what += (
                f" {importing['file']} ({'reading' if importing['reading'] else 'taking'}, {importing['share']:.0%})"
            )
    elif not members:
        what = "waiting for workers"
    elif resting == members:
        what = "all workers rest and take no lease, start others"
    else:
        what = "crawling"
    # Rounded down: not all is settled before all is.
    settled = told["settled"] * 1000 // max(1, told["space"]) / 10
    rates = sum(each["rate"] for each in told["by_registry"].values())
    troubled = [name for name, each in told["by_registry"].items() if each["trouble"]]
    return (
        f"{what}: {settled:.1f} % settled, {told['networks']:,} networks, {rates:.1f} lookups/s, {members:,} workers"
        + (f" ({resting:,} resting)" if resting else "")
        + f", {told['leases']:,} leases"
        + (f"; in trouble: {', '.join(troubled)}" if troubled else "")
    )
