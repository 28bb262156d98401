"""How many lookups a space takes, and how long a fleet is at them. Pure.

The budgets decide, not the hosts: a registry is asked no faster however many there are. So the slowest registry tells
when a crawl ends, and hosts beyond what its budget can use only replace others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whoismesh.addresses import Range
from whoismesh.iana import by_registry, delegations
from whoismesh.prior import Prior
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

if TYPE_CHECKING:
    from whoismesh.settings import RegistrySettings

#: Blocks that somebody holds in the registries' statistics of October 2018, by family: how densely space is registered,
#: where no prior tells.
HELD_2018 = {
    "arin": {4: 61_712, 6: 6_420},
    "ripencc": {4: 70_104, 6: 17_857},
    "apnic": {4: 40_416, 6: 8_399},
    "lacnic": {4: 15_182, 6: 7_885},
    "afrinic": {4: 3_506, 6: 811},
}
#: Lookups a network: measured over practice registries (docs/performance.md); IPv6 without a prior has to be searched.
LOOKUPS_A_NETWORK = {4: 1.1, 6: 6.0}
AIMED_LOOKUPS = 1.1
#: Seconds of a lookup at a registry far away: bounds what one connection can do where no rate does.
LOOKUP_S = 0.5

FROM_PRIOR, ESTIMATED = "prior", "estimate"


@dataclass(frozen=True, slots=True)
class Work:
    """What one registry will be asked: `lookups`, `networks` they find, and whether a prior or an estimate says so."""

    lookups: int
    networks: int
    basis: str


@dataclass(frozen=True, slots=True)
class Pace:
    """How one registry's part goes: lookups a second, hours, and the hosts that its budget can use (None: any)."""

    registry: str
    work: Work
    rate: float
    hours: float
    useful_hosts: int | None


def work_of(space: Iterable[Range], prior: Prior | None = None) -> dict[str, Work]:
    """Return what each registry will be asked about a space; those that have none of it are left out."""
    parts = [found for each in space for found in by_registry(each)]
    aimed = {registry: len(prior.aims[registry]) if prior else 0 for registry in REGISTRIES}
    if prior is not None:
        listed = RangeSet(aim.range for aims in prior.aims.values() for aim in aims)
        for free in prior.free.values():
            for each in free:
                listed.add(each)
        parts = [(part, registry) for each, registry in parts for part in listed.missing(each)]
    found = {}
    for registry in REGISTRIES:
        networks = {
            family: _share(
                [part for part, holder in parts if holder == registry and part.family == family], registry, family
            )
            for family in LOOKUPS_A_NETWORK
        }
        searched = sum(count * LOOKUPS_A_NETWORK[family] for family, count in networks.items())
        lookups = math.ceil(aimed[registry] * AIMED_LOOKUPS + searched)
        if lookups:
            held = aimed[registry] + math.ceil(sum(networks.values()))
            found[registry] = Work(lookups, held, FROM_PRIOR if aimed[registry] >= searched else ESTIMATED)
    return found


def _share(parts: list[Range], registry: str, family: int) -> float:
    """Return about how many networks lie in parts of a registry's space."""
    whole = sum(block.size for block, holder in delegations() if holder == registry and block.family == family)
    return HELD_2018[registry][family] * sum(part.size for part in parts) / whole


def pace(work: Mapping[str, Work], registries: Mapping[str, RegistrySettings], hosts: int) -> list[Pace]:
    """Return how each registry's part goes with so many workers, the slowest first."""
    found = []
    for registry, each in work.items():
        settings = registries[registry]
        host_rate = min(settings.host_rate, settings.connections / LOOKUP_S)
        rate = min(settings.rate, hosts * host_rate)
        lookups = each.lookups + round(each.networks * settings.compare)
        hours = lookups / rate / 3600 if rate else math.inf
        useful = None if math.isinf(settings.rate) else math.ceil(round(settings.rate / host_rate, 6))
        found.append(Pace(registry, each, rate, hours, useful))
    return sorted(found, key=lambda each: -each.hours)


def useful_hosts(paces: Iterable[Pace]) -> int | None:
    """Return how many workers the budgets can use, None where they can use any number or nothing is known of them."""
    counts = [each.useful_hosts for each in paces]
    return max((each for each in counts if each is not None), default=None) if None not in counts else None
