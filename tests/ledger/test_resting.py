"""Workers that take no new lease: nothing is lent to them, and a fleet of them is told of."""

from __future__ import annotations

from scenes import ALICE, BOB, CRAWL, arrive, granted, join, lease, make, make_ledger

from whoismesh.ledger import Ledger
from whoismesh.ledger.events import Instruction, Note, Received, Tick
from whoismesh.ledger.status import status, status_line
from whoismesh.messages import Join, LeaseRequest, Leave, Renew, Resting, Return

WHY = "rebalance recommendation"


def rest(ledger: Ledger, origin: int, sender: bytes, now: float = 0.0) -> list[Instruction]:
    return ledger.handle(Received(sender, Resting(CRAWL, origin, WHY)), now)


def notes(out: list[Instruction]) -> list[Note]:
    return [each for each in out if isinstance(each, Note)]


def told_rest(ledger: Ledger, now: float) -> bool:
    return Note("all_workers_rest", {"workers": len(ledger.workers)}, "warning") in ledger.handle(Tick(), now)


def test_a_wish_that_stands_is_dropped_and_what_it_holds_it_keeps() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, alice)
    assert lease(ledger, alice) == lease(ledger, bob, BOB) == ()
    resting = Note("worker_resting", {"origin": bob, "host": "bob", "reason": WHY}, "warning")
    assert rest(ledger, bob, BOB) == [resting]
    assert rest(ledger, bob, BOB) == []
    rest(ledger, alice, ALICE)
    # What comes back waits for somebody else, though both had wished for it.
    out = ledger.handle(Received(ALICE, Return(CRAWL, alice, grant.lease, grant.ranges)), 1.0)
    assert granted(out) == ()
    carol = join(ledger, b"carol", 2.0)
    assert [each.ranges for each in lease(ledger, carol, b"carol", 2.0)] == [grant.ranges]


def test_a_lease_of_a_worker_that_rests_is_renewed() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice = join(ledger)
    (grant,) = lease(ledger, alice)
    rest(ledger, alice, ALICE)
    for now in range(1, 60):
        ledger.handle(Received(ALICE, Renew(CRAWL, alice, {grant.lease: 1}, 0.0)), float(now))
        ledger.handle(Tick(), float(now))
    assert grant.lease in ledger.desk.leases


def test_a_fleet_in_which_all_rest_is_told_of_each_time() -> None:
    ledger = make_ledger("193.0.0.0/16")
    alice, bob = join(ledger), join(ledger, BOB)
    rest(ledger, alice, ALICE)
    assert not told_rest(ledger, 1.0)
    rest(ledger, bob, BOB)
    assert told_rest(ledger, 2.0) and not told_rest(ledger, 3.0)
    carol = join(ledger, b"carol", 4.0)
    assert not told_rest(ledger, 5.0)
    rest(ledger, carol, b"carol", 6.0)
    assert told_rest(ledger, 7.0)


def test_a_fleet_that_is_gone_or_has_nothing_left_to_do_is_none_that_rests() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice = join(ledger)
    ledger.handle(Received(ALICE, Leave(CRAWL, alice, "alice", {})), 0.0)
    assert not told_rest(ledger, 1.0)
    alice = join(ledger)
    arrive(ledger, make(alice, 1, "network", "193.0.0.0", "193.0.0.0/24"), now=2.0)
    rest(ledger, alice, ALICE, 2.0)
    assert not told_rest(ledger, 3.0)


def test_a_worker_that_joins_anew_may_have_leases_until_it_says_otherwise() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice = join(ledger)
    rest(ledger, alice, ALICE)
    ledger.handle(Received(ALICE, Join(CRAWL, "alice", "", alice, ())), 1.0)
    assert not ledger.workers[alice].resting
    assert granted(ledger.handle(Received(ALICE, LeaseRequest(CRAWL, alice, {"ripencc": 0.0})), 1.0))


def test_the_crawl_is_told_in_a_line() -> None:
    ledger = make_ledger("193.0.0.0/23")
    assert line(ledger) == "waiting for workers: 0.0 % settled, 0 networks, 0.0 lookups/s, 0 workers, 0 leases"
    alice, bob = join(ledger), join(ledger, BOB)
    lease(ledger, alice)
    rest(ledger, bob, BOB)
    assert line(ledger).startswith("crawling: 0.0 % settled, 0 networks, 0.0 lookups/s, 2 workers (1 resting), 1 lease")
    rest(ledger, alice, ALICE)
    assert line(ledger).startswith("all workers rest and take no lease, start others: ")
    arrive(ledger, make(alice, 1, "network", "193.0.0.0", "193.0.0.0-193.0.1.254"), now=1.0)
    assert "99.8 % settled, 1 networks" in line(ledger)
    ledger.bulk.begin()
    ledger.bulk.progress = {}
    assert line(ledger).startswith("importing: ")
    ledger.bulk.progress = {"file": "ripe.db.inetnum.gz", "reading": True, "share": 0.45, "objects": 7}
    assert line(ledger).startswith("importing ripe.db.inetnum.gz (reading, 45%): ")
    arrive(ledger, make(alice, 2, "network", "193.0.1.255", "193.0.1.255/32"), now=1.0)
    assert line(ledger).startswith("done: 100.0 % settled, 2 networks")


def line(ledger: Ledger) -> str:
    return status_line(status(ledger, 1.0))
