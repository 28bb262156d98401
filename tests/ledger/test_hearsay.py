"""What the coordinator takes from those that compare: answers for all, and blocks that the dead have left."""

from __future__ import annotations

from scenes import ALICE, BOB, CRAWL, arrive, join, make, make_ledger

from whoismesh.addresses import Range
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import ADOPTED, Run
from whoismesh.gossip.logs import hash_of
from whoismesh.ledger.events import Asked, Collected, Instruction, Publish, Received, Reply, Store, Stored, Tick
from whoismesh.ledger.hearsay import ADOPT_S
from whoismesh.messages import Compare, Digest, Discovered, Leave, Results, Sent

BLOCK = Block("ripencc", Range.parse("193.0.0.0/21"))
OTHER = Block("ripencc", Range.parse("193.0.8.0/21"))
#: More than the answers' limit allows (gossip.logs.MOST_CREDIT_BYTES).
ALL = 2**30


def told(origin: int, first: int, *blocks: Block | None, sealed: int | None = None) -> Asked:
    return Asked(BOB, Discovered(CRAWL, (Run(origin, first, sealed, Blocks.of(blocks)),)))


def answers(out: list[Instruction]) -> list[object]:
    return [each.message for each in out if isinstance(each, Reply)]


def stores(out: list[Instruction]) -> list[Store]:
    return [each for each in out if isinstance(each, Store)]


def test_a_peer_that_has_the_same_is_told_so_and_another_gets_the_digest() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    arrive(ledger, make(origin, 1, "network", "193.0.0.1", "193.0.0.0/21"))
    members = (1, 1)
    same = Asked(BOB, Compare(CRAWL, hash_of((1, {}), members, ledger.log.hash_at(1))))
    assert answers(ledger.handle(same, 2.0)) == [Sent(CRAWL, False, False)]
    (digest,) = answers(ledger.handle(Asked(BOB, Compare(CRAWL, bytes(8))), 2.0))
    assert isinstance(digest, Digest)
    assert (digest.accepted, digest.tails, digest.members) == (1, {}, members)


def test_what_a_living_worker_has_found_is_its_own_to_deliver() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    ledger.handle(told(origin, 1, BLOCK), 1.0)
    for now in range(2, 200, 5):
        ledger.handle(Tick(), float(now))
        ledger.workers[origin].seen_at = float(now)
        assert not stores(ledger.handle(Tick(), now + 1.0))


def test_what_the_dead_have_left_gets_a_number_when_it_is_on_disk() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    arrive(ledger, make(origin, 1, "network", "193.0.8.1", "193.0.8.0/21"))
    ledger.handle(told(origin, 1, OTHER, None, BLOCK), 2.0)
    ledger.handle(Received(ALICE, Leave(CRAWL, origin, "alice", {})), 3.0)
    assert not stores(ledger.handle(Tick(), 4.0)), "it may come back soon"
    (store,) = stores(ledger.handle(Tick(), 4.1 + ADOPT_S))
    (result,) = store.results
    assert (result.status, result.range, result.registry) == (ADOPTED, BLOCK.range, "ripencc")
    assert str(origin) in result.reason
    assert not stores(ledger.handle(Tick(), 5.0 + ADOPT_S)), "once"
    settled = ledger.coverage.settled.size
    out = ledger.handle(Stored(store.results), 6.0 + ADOPT_S)
    assert Publish(Discovered(CRAWL, (Run(0, 2, None, Blocks.of((BLOCK,))),))) in out
    assert ledger.coverage.settled.size == settled, "hearsay settles nothing"
    assert len(ledger.log) == 2


def test_a_late_result_of_the_dead_is_stored_like_any_other() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    ledger.handle(told(origin, 1, BLOCK), 2.0)
    ledger.handle(Received(ALICE, Leave(CRAWL, origin, "alice", {})), 3.0)
    ledger.handle(Tick(), 4.0)
    (store,) = stores(ledger.handle(Tick(), 4.1 + ADOPT_S))
    ledger.handle(Stored(store.results), 5.0 + ADOPT_S)
    late = make(origin, 1, "network", "193.0.0.1", "193.0.0.0/21")
    assert ledger.handle(Collected(Results(CRAWL, (late,))), 6.0 + ADOPT_S) == [Store((late,))]
    ledger.handle(Stored((late,)), 7.0 + ADOPT_S)
    assert ledger.coverage.held.covers(BLOCK.range)


def test_a_replay_numbers_the_adopted_as_before() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    results = [make(origin, 1, "network", "193.0.8.1", "193.0.8.0/21")]
    results.append(make(99, 1, ADOPTED, "193.0.0.0", "193.0.0.0/21"))
    results.append(make(origin, 2, "network", "193.0.16.1", "193.0.16.0/21"))
    arrive(ledger, *results)
    again = make_ledger("193.0.0.0/16", epoch=2)
    for result in results:
        again.replay(result)
    assert list(again.log) == list(ledger.log)
    assert len(again.log) == 3


def test_nobody_tells_the_coordinator_of_its_own_log_or_of_a_stranger() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    ledger.handle(told(0, 1, BLOCK), 1.0)
    ledger.handle(told(origin + 1, 1, BLOCK), 1.0)
    ledger.handle(told(origin, 1, Block("arin", Range(4, 0, 2**32 - 1))), 1.0)
    refused = ledger._hearsay.guard.refused
    assert refused == {(0, "not_the_coordinator"): 1, (origin + 1, "not_given"): 1, (origin, "too_wide"): 1}
    assert len(ledger.log) == 0


def test_what_leaves_a_hole_is_not_taken_unless_the_hole_is_sealed() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    ledger.handle(told(origin, 3, BLOCK), 1.0)
    ledger.handle(told(origin, 3, BLOCK, sealed=1), 1.0)
    assert ledger._hearsay._logs.have() == (0, {})
    arrive(ledger, make(origin, 1, "network", "193.0.8.1", "193.0.8.0/21"))
    ledger.handle(told(origin, 3, BLOCK, sealed=1), 2.0)
    assert ledger._hearsay._logs.have() == (1, {origin: 3})
