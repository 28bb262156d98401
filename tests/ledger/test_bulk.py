"""Bulk files at the ledger: stored like any result, nothing lent before they are read, nothing taken twice."""

from __future__ import annotations

from scenes import ALICE, CRAWL, address, granted, join, lease, make, make_ledger

from whoismesh.addresses import Range
from whoismesh.compounds import ASSIGNMENT, BULK, IMPORTED, Result
from whoismesh.ledger import Ledger
from whoismesh.ledger.bulk import reports
from whoismesh.ledger.events import Collected, Finish, Import, Imported, ImportOver, Publish, Store, Stored, Tick
from whoismesh.ledger.status import status
from whoismesh.messages import Results

PROGRESS = {"file": "a.gz", "reading": False, "share": 0.5, "objects": 7}
REPORT = {"file": "a.gz", "objects": 9, "taken": 2, "skipped": {"nested": 7}}


def bring(ledger: Ledger, *ranges: str, now: float = 0.0) -> tuple[Result, ...]:
    """Let it import networks; return what it wants stored."""
    networks = tuple(("ripencc", Range.parse(each), b"record") for each in ranges)
    out = ledger.handle(Import(networks, PROGRESS), now)
    return tuple(result for each in out if isinstance(each, Store) for result in each.results)


def importing(*space: str) -> Ledger:
    ledger = make_ledger(*space)
    ledger.bulk.begin()
    return ledger


def test_a_network_of_a_file_is_settled_and_told_when_it_is_stored() -> None:
    ledger = importing("193.0.0.0/16")
    (result,) = bring(ledger, "193.0.0.0/21")
    assert result == Result(
        99, 1, "ripencc", BULK, address("193.0.0.0"), Range.parse("193.0.0.0/21"), None, "", b"record"
    )
    assert not ledger.coverage.held
    out = ledger.handle(Stored((result,)), 0.0)
    assert [str(each) for each in ledger.coverage.held] == ["193.0.0.0/21"]
    (told,) = (each.message for each in out if isinstance(each, Publish))
    assert [block.range for block in told.runs[0].blocks if block] == [Range.parse("193.0.0.0/21")]  # type: ignore[union-attr]
    assert ledger.networks["ripencc"] == 1
    assert ledger.account.mean_closed("ripencc", 4) is None


def test_nothing_is_lent_before_all_is_read_and_stored() -> None:
    ledger = importing("193.0.0.0/16")
    worker = join(ledger)
    assert lease(ledger, worker) == ()
    stored = bring(ledger, "193.0.0.0/17")
    assert granted(ledger.handle(ImportOver(), 1.0)) == ()
    out = ledger.handle(Stored(stored), 2.0)
    (grant,) = granted(out)
    assert all(not Range.parse("193.0.0.0/17").overlap(each) for each in grant.ranges)


def test_without_anything_to_store_lending_begins_when_all_is_read() -> None:
    ledger = importing("193.0.0.0/16")
    worker = join(ledger)
    assert lease(ledger, worker) == ()
    assert len(granted(ledger.handle(ImportOver(), 1.0))) == 1


def test_what_is_held_already_is_known_and_what_is_not_wholly_held_is_taken() -> None:
    ledger = importing("193.0.0.0/16")
    ledger.handle(Stored(bring(ledger, "193.0.0.0/21")), 0.0)
    assert bring(ledger, "193.0.0.0/21", "193.0.1.0/24", "192.0.0.0-192.255.255.255") == ()
    assert [result.sequence for result in bring(ledger, "193.0.0.0/20", "193.0.0.0/22")] == [2]
    (store,) = ledger.handle(Imported("d1", REPORT), 0.0)
    assert isinstance(store, Store)
    ledger.handle(Stored(store.results), 0.0)
    assert store.results[0].status == IMPORTED
    assert ledger.bulk.imported == {"d1": REPORT | {"digest": "d1", "known": 4}}
    assert reports(ledger.bulk.imported.values()) == ["a.gz: -2 networks of 9 objects (7 nested, 4 known)"]


def test_a_replay_knows_all_of_it_again() -> None:
    ledger = importing("193.0.0.0/16")
    stored = bring(ledger, "193.0.0.0/21", "193.0.32.0/19")
    (store,) = ledger.handle(Imported("d1", REPORT), 0.0)
    assert isinstance(store, Store)
    ledger.handle(Stored((*stored, *store.results)), 0.0)
    again = make_ledger("193.0.0.0/16", epoch=2)
    for result in (*stored, *store.results):
        again.replay(result)
    assert list(again.coverage.held) == list(ledger.coverage.held)
    assert again.bulk.imported == ledger.bulk.imported
    assert len(again.log) == len(ledger.log) == 2
    assert not again.bulk.running


def test_the_crawl_is_not_over_while_files_are_read() -> None:
    ledger = importing("193.0.0.0/24")
    stored = bring(ledger, "193.0.0.0/24")
    assert not [each for each in ledger.handle(Stored(stored), 0.0) if isinstance(each, Finish)]
    assert ledger.coverage.complete
    assert not [each for each in ledger.handle(Tick(), 1.0) if isinstance(each, Finish)]
    ledger.handle(ImportOver(), 2.0)
    assert [each for each in ledger.handle(Tick(), 3.0) if isinstance(each, Finish)] == [Finish(True)]


def test_what_cannot_be_true_settles_nothing_and_does_not_hold_the_crawl_up() -> None:
    ledger = importing("193.0.0.0/16")
    stored = bring(ledger, "0.0.0.0-255.255.255.255")
    ledger.handle(ImportOver(), 0.0)
    ledger.handle(Stored(stored), 0.0)
    assert not ledger.coverage.held
    assert not ledger.bulk.running


def test_those_who_watch_see_how_far_it_is() -> None:
    ledger = importing("193.0.0.0/16")
    bring(ledger, "193.0.0.0/21")
    assert status(ledger, 0.0)["importing"] == PROGRESS
    ledger.handle(ImportOver(), 0.0)
    assert status(ledger, 0.0)["importing"] is None


def test_a_live_answer_for_the_same_range_is_no_duplicate_of_a_lookup_less() -> None:
    ledger = importing("193.0.0.0/16")
    ledger.handle(Stored(bring(ledger, "193.0.0.0/21")), 0.0)
    ledger.handle(ImportOver(), 0.0)
    worker = join(ledger, ALICE)
    result = make(worker, 1, "network", "193.0.0.1", "193.0.0.0/21")
    (store,) = (each for each in ledger.handle(Collected(Results(CRAWL, (result,))), 1.0) if isinstance(each, Store))
    ledger.handle(Stored(store.results), 1.0)
    assert ledger.networks["ripencc"] == 1
    assert ledger.counters["duplicates"] == 1


def test_what_lies_in_a_network_comes_with_it_once_and_settles_nothing() -> None:
    ledger = importing("193.0.0.0/16")
    outer, inner = Range.parse("193.0.0.0/21"), Range.parse("193.0.1.0/24")
    event = Import(
        (("ripencc", outer, b"outer"),),
        PROGRESS,
        {outer: (("ripencc", inner, b"inner"),), inner: (("arin", outer, b""),)},
    )
    (store,) = ledger.handle(event, 0.0)
    assert isinstance(store, Store)
    assert [(each.status, each.range, each.payload) for each in store.results] == [
        (ASSIGNMENT, inner, b"inner"),
        (BULK, outer, b"outer"),
    ]
    ledger.handle(Stored(store.results), 0.0)
    assert list(ledger.coverage.held) == [outer]
    assert (ledger.networks["ripencc"], len(ledger.log)) == (1, 1)
    assert ledger.handle(event, 1.0) == []  # after a crash it starts over
    (store,) = ledger.handle(Imported("d1", REPORT), 1.0)
    assert isinstance(store, Store)
    ledger.handle(Stored(store.results), 1.0)
    assert ledger.bulk.imported["d1"]["known"] == 2
