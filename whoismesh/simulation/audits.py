"""What must hold of a ledger and of a worker's lanes after every single event: the whole state is gone through."""

from __future__ import annotations

from collections import Counter

from whoismesh.lanes import Lanes
from whoismesh.lanes.lane import Lane
from whoismesh.ledger import Ledger
from whoismesh.rangesets import RangeSet
from whoismesh.simulation.broken import InvariantError

SETTLED_ONCE = "settled-once"
IN_ONE_PLACE = "in-one-place"
ERRANDS = "errands-in-one-line"
LANES = "gaps-inside-leases"
ONE_A_GAP = "one-lookup-a-gap"


def audit_ledger(ledger: Ledger) -> None:
    """Every address is settled in one way or unsettled in one place, and the sizes add up. Raises InvariantError."""
    coverage = ledger.coverage
    kinds = (coverage.held, coverage.unallocated, coverage.failed, coverage.reserved)
    together = RangeSet(each for kind in kinds for each in kind)
    if sum(kind.size for kind in kinds) != together.size:
        raise InvariantError(SETTLED_ONCE, "every address settled in one way", "one that is settled in two ways")
    if together != coverage.settled:
        raise InvariantError(SETTLED_ONCE, "the settled space to be what the kinds are together", "another one")
    for each in coverage.settled:
        if not coverage.space.covers(each):
            raise InvariantError(SETTLED_ONCE, "nothing settled outside the space", each)
    unsettled = [gap for each in coverage.space for gap in coverage.settled.missing(each)]
    if sum(gap.size for gap in unsettled) + coverage.settled.size != coverage.space.size:
        raise InvariantError(SETTLED_ONCE, "settled and unsettled to make up the space", "another size")
    seen = RangeSet()
    for place, where in ledger.desk.places():
        for part in coverage.unsettled(where):
            if seen.meets(part):
                raise InvariantError(IN_ONE_PLACE, "unsettled space in one place", f"{part} in two, one is {place}")
            seen.add(part)
    for gap in unsettled:
        for part in seen.missing(gap):
            raise InvariantError(IN_ONE_PLACE, "unsettled space in some place", f"{part} in none")
    for registry, pending in ledger.desk.pending.items():
        for each in (*pending, *ledger.desk.suspect[registry]):
            if coverage.unsettled(each) != [each]:
                raise InvariantError(IN_ONE_PLACE, "nothing settled to be pending", f"{each} at {registry}")
    audit_errands(ledger)


def audit_errands(ledger: Ledger) -> None:
    """Every errand waits in exactly one line, its registry's, or is lent in exactly one lease."""
    errands = ledger.desk.errands
    lines = Counter((asked, registry) for registry, ready in errands._ready.items() for asked in ready) + Counter(
        (asked, registry)
        for registry, later in errands._later.items()
        for _, turn, asked in later
        if (errand := errands.get(asked)) is not None and errand.turn == turn
    )
    for errand in errands:
        if ledger.coverage.settled.holds(errand.asked.family, errand.asked.first):
            raise InvariantError(ERRANDS, "no errand for a settled address", errand)
        place = {} if errand.lease is not None else {(errand.asked, errand.registry): 1}
        found = {
            (errand.asked, registry): lines[errand.asked, registry]
            for registry in ledger.desk.pending
            if (errand.asked, registry) in lines
        }
        if found != place:
            raise InvariantError(ERRANDS, f"{errand} to wait in {place}", found)
    for asked, registry in lines:
        if errands.get(asked) is None:
            raise InvariantError(ERRANDS, "nothing in line but errands", f"{asked} at {registry}")


def audit_lanes(lanes: Lanes) -> None:
    """No more lookups than connections; gaps, and what is held of them, only inside leases."""
    for lane in lanes.lanes.values():
        if len(lane.lookups) > lane.connections:
            raise InvariantError(LANES, f"{lane.connections} lookups at once at most", len(lane.lookups))
        leased = RangeSet(each for lease in lane.leases.values() for each in lease.ranges)
        for gap in (*lane.open, *lane.held):
            if not leased.covers(gap):
                raise InvariantError(LANES, "no gap outside the leases", gap)


def audit_ask(lane: Lane, number: int) -> None:
    """Nothing else was being asked in the gap, or the aim, when this lookup began; later a lease may join two gaps."""
    lookup = lane.lookups[number]
    gap = lane.gap_around(lookup)
    if gap is not None:
        asking = [each.number for each in lane.lookups.values() if gap.holds(each.family, each.address)]
        if asking != [number]:
            raise InvariantError(ONE_A_GAP, f"lookup {number} alone in {gap}", asking)


def unsettled_space(ledger: Ledger) -> RangeSet:
    """Return what is not settled, wherever it is."""
    return RangeSet(part for _, where in ledger.desk.places() for part in ledger.coverage.unsettled(where))
