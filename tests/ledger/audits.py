"""What must hold of a ledger and of a worker's lanes after every single event."""

from __future__ import annotations

from collections import Counter

from whoismesh.lanes import Lanes
from whoismesh.lanes.lane import Lane
from whoismesh.ledger import Ledger
from whoismesh.rangesets import RangeSet


def audit_ledger(ledger: Ledger) -> None:
    """Every address is settled in one way or unsettled in one place, and the sizes add up."""
    coverage = ledger.coverage
    kinds = (coverage.held, coverage.unallocated, coverage.failed, coverage.reserved)
    together = RangeSet(each for kind in kinds for each in kind)
    assert sum(kind.size for kind in kinds) == together.size, "an address is settled in two ways"
    assert together == coverage.settled
    assert all(coverage.space.covers(each) for each in coverage.settled), "settled outside the space"
    unsettled = [gap for each in coverage.space for gap in coverage.settled.missing(each)]
    assert sum(gap.size for gap in unsettled) + coverage.settled.size == coverage.space.size
    seen = RangeSet()
    size = 0
    for place, where in ledger.desk.places():
        for part in coverage.unsettled(where):
            assert not seen.meets(part), f"{part} is in two places, one is {place}"
            seen.add(part)
            size += part.size
    lost = [part for gap in unsettled for part in seen.missing(gap)]
    assert not lost, f"in no place: {[str(part) for part in lost]}"
    for registry, pending in ledger.desk.pending.items():
        for each in (*pending, *ledger.desk.suspect[registry]):
            assert coverage.unsettled(each) == [each], f"{each} is settled and pending"
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
        assert not ledger.coverage.settled.holds(errand.asked.family, errand.asked.first)
        place = {} if errand.lease is not None else {(errand.asked, errand.registry): 1}
        assert {key: count for key, count in lines.items() if key[0] == errand.asked} == place, errand
    assert {asked for asked, _ in lines} <= {errand.asked for errand in errands}


def audit_lanes(lanes: Lanes) -> None:
    """No more lookups than connections, and gaps only inside leases."""
    for lane in lanes.lanes.values():
        assert len(lane.lookups) <= lane.connections
        leased = RangeSet(each for lease in lane.leases.values() for each in lease.ranges)
        assert all(leased.covers(gap) for gap in lane.open), "a gap outside the leases"


def audit_ask(lane: Lane, number: int) -> None:
    """Nothing else was being asked in the gap when this lookup began; later a lease may join two gaps."""
    lookup = lane.lookups[number]
    gap = lane.open.run_at(lookup.family, lookup.address)
    if gap is not None:
        asking = [each.number for each in lane.lookups.values() if gap.holds(each.family, each.address)]
        assert asking == [number], "two lookups in one gap"


def unsettled_space(ledger: Ledger) -> RangeSet:
    """Return what is not settled, wherever it is."""
    return RangeSet(part for _, where in ledger.desk.places() for part in ledger.coverage.unsettled(where))
