"""A node's copy of what is discovered: whatever is lost, repeated or mixed up, repairs make it whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.messages import Discovered, RepairRequest
from whoismesh.rangesets import RangeSet
from whoismesh.replica import REPAIR_TIMEOUT_S, Replica

CRAWL = b"0123456789abcdef"
BLOCKS = tuple(Block("ripencc", Range.parse(f"193.0.{2 * number}.0/24")) for number in range(40))


def heard(origin: int, first: int, count: int = 1) -> Discovered:
    """Return gossip of `count` blocks, of which block n has the number n + 1 (whatever the origin)."""
    return Discovered(CRAWL, origin, first, Blocks.of(BLOCKS[first - 1 : first - 1 + count]))


def test_news_is_told_once_whoever_tells_it() -> None:
    replica = Replica()
    assert replica.apply(heard(3, 1, 2)) == list(BLOCKS[:2])
    assert replica.apply(heard(3, 1, 2)) == []
    assert replica.apply(heard(0, 1, 3)) == [BLOCKS[2]]
    assert len(replica.table) == 3


def test_a_block_that_cannot_be_true_is_refused_and_counted() -> None:
    replica = Replica()
    for text in ("0.0.0.0/0", "192.0.0.0/2", "10.0.0.0/8", "8.0.0.0-193.0.0.0", "::/0"):
        assert not replica.learn(Block("arin", Range.parse(text)))
    assert len(replica.table) == 0
    assert replica.counters["gossip_refused"] == 5


def test_holes_are_counted_and_only_the_accepted_log_is_repaired() -> None:
    replica = Replica()
    replica.apply(heard(3, 2))
    assert replica.counters["gossip_gaps"] == 1
    assert replica.repair(CRAWL, 0, 1.0) is None
    replica.apply(heard(0, 1, 2))
    replica.apply(heard(0, 4))
    assert (replica.accepted, replica.counters["gossip_gaps"]) == (2, 2)
    assert replica.repair(CRAWL, 4, 1.0) == RepairRequest(CRAWL, 2)
    assert replica.repair(CRAWL, 4, 1.0 + REPAIR_TIMEOUT_S / 2) is None, "asked already"
    assert replica.repair(CRAWL, 4, 1.0 + REPAIR_TIMEOUT_S) == RepairRequest(CRAWL, 2)
    replica.apply(heard(0, 3))
    assert replica.accepted == 4
    assert replica.repair(CRAWL, 4, 9.0) is None


@given(st.lists(st.tuples(st.sampled_from([0, 0, 3]), st.integers(1, 40), st.integers(1, 8)), max_size=60))
@settings(max_examples=200)
def test_after_any_gossip_repairs_make_the_replica_whole(messages: list[tuple[int, int, int]]) -> None:
    replica, log = Replica(), BlockLog(piece_entries=7)
    for block in BLOCKS:
        log.append(block)
    told = set()
    for origin, first, count in messages:
        told |= {block.range for block in replica.apply(heard(origin, first, count))}
        assert {each for each, _ in replica.table} == told
        assert all(block.range in replica.table for block in BLOCKS[: replica.accepted]), "accepted means known"
    now = 100.0
    while (ask := replica.repair(CRAWL, len(log), now)) is not None:
        replica.apply(Discovered(CRAWL, 0, ask.after + 1, log.after(ask.after)))
        now += 0.001
    assert replica.accepted == len(log)
    assert replica.table.coverage == RangeSet(block.range for block in BLOCKS)
