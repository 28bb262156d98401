"""What a fleet would cost, and for how long: reckoned before anything is launched, and held against a cap. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import median
from typing import Any

from whoismesh.errors import WhoismeshError
from whoismesh.fleet.ec2.forecast import ESTIMATED, Pace, useful_hosts
from whoismesh.fleet.ec2.requests import COORDINATOR_GRACE_H, VOLUME_GIB

#: USD an hour for a public IPv4 address (all regions, since 2024), and a month for a GiB of gp3 (us-east-1).
ADDRESS_HOUR = 0.005
GIB_MONTH, MONTH_HOURS = 0.08, 730
#: Pools that the table for people has; all are in the JSON.
SHOWN = 12


@dataclass(frozen=True, slots=True)
class Price:
    """A change of a spot price: so much in USD an hour, for a type in a zone, since then."""

    type: str
    zone: str
    usd: float
    since: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """A type in a zone, in USD an hour: the price now, and the median and the most of the last days' changes."""

    type: str
    zone: str
    now: float
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class OnDemand:
    """What an hour of a type costs on demand, and who says so."""

    type: str
    usd: float
    basis: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet that would be launched. Prices in USD an hour are of the whole fleet, addresses and disks included.

    `expected` takes workers at the price in the middle of the pools, `at_most` at the dearest of them.
    """

    run: str
    region: str
    workers: int
    coordinator: OnDemand
    offers: tuple[Offer, ...]
    paces: tuple[Pace, ...]
    max_hours: float
    days: float

    @property
    def expected(self) -> float:
        """USD an hour at the median pool."""
        return self._hourly(median(each.now for each in self.offers) if self.offers else 0.0)

    @property
    def at_most(self) -> float:
        """USD an hour at the dearest pool, now."""
        return self._hourly(max((each.now for each in self.offers), default=0.0))

    def _hourly(self, spot: float) -> float:
        host = ADDRESS_HOUR + VOLUME_GIB * GIB_MONTH / MONTH_HOURS
        return self.coordinator.usd + host + self.workers * (spot + host)

    @property
    def hours(self) -> float:
        """The hours that the slowest registry needs; where no settings tell, all that the guard allows."""
        return max((each.hours for each in self.paces), default=self.max_hours)

    @property
    def useful(self) -> int | None:
        """The workers that budgets can use, None where any number."""
        return useful_hosts(self.paces)

    @property
    def total(self) -> float:
        """USD for the whole crawl at the dearest pool; a started hour counts whole, and the guard ends it in time."""
        return self.at_most * min(
            max(1.0, self.hours if math.isinf(self.hours) else math.ceil(self.hours)), self.guarded_h
        )

    @property
    def guarded_h(self) -> float:
        """Hours after which nothing runs any more, whatever happens."""
        return self.max_hours + COORDINATOR_GRACE_H

    @property
    def remarks(self) -> list[str]:
        """What the operator should know, a line each."""
        found = []
        if self.useful is not None and self.workers > self.useful:
            found.append(
                f"{self.workers - self.useful} of {self.workers} workers are useless but as a reserve: "
                f"the budgets can use {self.useful}"
            )
        if self.hours > self.max_hours:
            found.append(
                f"workers end after {self.max_hours:g} h (--max-hours), before the crawl would: "
                "run `fab up` again then, or give more hours"
            )
        if not self.paces:
            found.append("without --config the crawl's hours are not known: reckoned for all of --max-hours")
        if any(each.work.basis == ESTIMATED for each in self.paces):
            found.append("lookups are an estimate from the density of 2018 where no prior (crawl.prior) tells")
        return found

    def refusals(self, max_price: float, max_total: float) -> list[str]:
        """Return why this plan must not be carried out, a line each; none if it may."""
        found = []
        if not self.offers and self.workers:
            found.append(
                "no spot price is known for any of the types in any of the zones: give other --types or --subnets"
            )
        if self.at_most > max_price:
            found.append(f"{self.at_most:.2f} USD an hour is more than --max-price {max_price:g}")
        if self.total > max_total:
            found.append(f"{self.total:.2f} USD in all is more than --max-total {max_total:g}")
        return found


class TooDearError(WhoismeshError):
    """A plan costs more than its cap."""


def offers(history: Iterable[Price]) -> tuple[Offer, ...]:
    """Return what each type costs in each zone, the cheapest first."""
    pools: dict[tuple[str, str], list[Price]] = {}
    for price in history:
        pools.setdefault((price.type, price.zone), []).append(price)
    found = [
        Offer(kind, zone, max(prices, key=lambda each: each.since).usd, *_middle_and_most(prices))
        for (kind, zone), prices in pools.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.now, each.type, each.zone)))


def _middle_and_most(prices: Sequence[Price]) -> tuple[float, float]:
    return median(each.usd for each in prices), max(each.usd for each in prices)


def as_map(plan: Plan, refusals: Sequence[str]) -> dict[str, Any]:
    """Return the plan as it goes into JSON."""
    return {
        "run": plan.run,
        "region": plan.region,
        "workers": plan.workers,
        "useful_workers": plan.useful,
        "coordinator": asdict(plan.coordinator),
        "offers": [asdict(each) for each in plan.offers],
        "usd_hour": round(plan.expected, 4),
        "usd_hour_at_most": round(plan.at_most, 4),
        "usd_total_at_most": round(plan.total, 2),
        "hours": round(plan.hours, 2) if plan.hours < math.inf else None,
        "max_hours": plan.max_hours,
        "registries": [
            {
                "registry": each.registry,
                "lookups": each.work.lookups,
                "basis": each.work.basis,
                "rate": round(each.rate, 4),
                "hours": round(each.hours, 2) if each.hours < math.inf else None,
                "useful_workers": each.useful_hosts,
            }
            for each in plan.paces
        ],
        "remarks": plan.remarks,
        "refused": list(refusals),
    }


def as_text(plan: Plan, refusals: Sequence[str]) -> str:
    """Return the plan for people, in lines of 80 characters or less where words allow it."""
    lines = [f"run {plan.run} in {plan.region}: 1 coordinator, {plan.workers} workers", ""]
    lines.append(f"coordinator  {plan.coordinator.type:<12} {plan.coordinator.usd:8.4f} USD/h on demand")
    lines.append(f"             ({plan.coordinator.basis})")
    lines.append("")
    lines.append(f"spot pool                          now   median     most   ({plan.days:g} days, USD/h)")
    lines += [
        f"{each.type:<14} {each.zone:<16} {each.now:8.4f} {each.median:8.4f} {each.most:8.4f}"
        for each in plan.offers[:SHOWN]
    ]
    if len(plan.offers) > SHOWN:
        lines.append(f"and {len(plan.offers) - SHOWN} more, up to {plan.offers[-1].now:.4f}")
    lines.append("")
    lines.append("registry       lookups  by         a second      hours  workers it can use")
    lines += [
        f"{each.registry:<10} {each.work.lookups:>11,}  {each.work.basis:<9} {each.rate:>9.2f} {each.hours:>10.1f}  "
        f"{'any' if each.useful_hosts is None else each.useful_hosts}"
        for each in plan.paces
    ]
    lines.append("")
    lines.append(f"an hour      {plan.expected:8.2f} USD, at most {plan.at_most:.2f}, with addresses and disks")
    lines.append(f"the crawl    {plan.hours:8.1f} h, at most {plan.total:.2f} USD in all")
    lines += [f"note: {each}" for each in plan.remarks]
    lines += [f"refused: {each}" for each in refusals]
    return "\n".join(lines)
