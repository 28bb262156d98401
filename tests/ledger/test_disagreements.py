"""What the other protocol says settles nothing; it is counted, one for a network."""

from __future__ import annotations

from scenes import ALICE, arrive, join, make, make_ledger

from whoismesh.compounds import DISAGREEMENT, Result
from whoismesh.ledger import Ledger
from whoismesh.ledger.events import Collected, Send, Store
from whoismesh.ledger.status import status
from whoismesh.messages import Acknowledge, Metrics, Results

CRAWL = b"0123456789abcdef"


def disagreement(sequence: int, fields: str, where: str = "193.0.2.0/24", registry: str = "ripencc") -> Result:
    asked = where.partition("/")[0]
    return make(1, sequence, DISAGREEMENT, asked, where, registry=registry)._replace(reason=fields)


def by_field(ledger: Ledger, registry: str = "ripencc") -> dict[str, int]:
    counts: dict[str, int] = status(ledger, 2.0)["by_registry"][registry]["disagreements"]
    return {field: count for field, count in counts.items() if count}


def test_it_is_stored_and_acknowledged_and_settles_nothing() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    told = disagreement(1, "holder")._replace(origin=origin)
    (store,) = ledger.handle(Collected(Results(CRAWL, (told,))), 1.0)
    assert store == Store((told,))
    out = arrive(ledger, disagreement(2, "range")._replace(origin=origin))
    assert [each for each in out if isinstance(each, Send)] == [Send(ALICE, Acknowledge(CRAWL, origin, ((2, 2),)))]
    assert ledger.coverage.settled.size == 0
    assert len(ledger.log) == 0 and not ledger.networks
    assert ledger.counters["duplicates"] == 0


def test_networks_are_counted_by_registry_and_field_once() -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(
        ledger,
        disagreement(1, "range, holder"),
        make(1, 2, "network", "193.0.2.0", "193.0.2.0/24"),
        disagreement(3, "holder"),  # of another worker, which was told of the network too late
        make(1, 4, "network", "193.0.2.0", "193.0.2.0/24"),
        disagreement(5, "holder", "193.0.4.0/24"),
        disagreement(6, "country", "8.0.0.0/9", "arin"),
    )
    assert by_field(ledger) == {"range": 1, "holder": 2}
    assert by_field(ledger, "arin") == {"country": 1}
    assert status(ledger, 2.0)["disagreements"] == 3


def test_words_that_are_no_field_are_not_counted() -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(ledger, disagreement(1, ""), disagreement(2, "x, y"), disagreement(3, "holder, holder, z", "193.0.4.0/24"))
    assert by_field(ledger) == {"holder": 1}
    assert status(ledger, 2.0)["disagreements"] == 1


def test_a_replay_counts_the_same() -> None:
    results = [disagreement(1, "range"), make(1, 2, "network", "193.0.2.0", "193.0.2.0/24"), disagreement(3, "range")]
    one, other = make_ledger("193.0.0.0/16"), make_ledger("193.0.0.0/16")
    arrive(one, *results)
    for each in results:
        other.replay(each)
    assert by_field(one) == by_field(other) == {"range": 1}
    assert other.coverage.settled.size == 256


def test_what_both_protocols_told_of_is_summed_up_over_the_fleet() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    counters = {"compared_ripencc": 5.0, "compared_arin": 2.0, "not_compared_arin": 9.0}
    ledger.handle(Collected(Metrics(CRAWL, origin, "alice", counters)), 1.0)
    assert status(ledger, 2.0)["compared"] == 7
