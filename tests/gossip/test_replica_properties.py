"""What holds of replicas of honest logs, whatever order, repetition, batches, holes and truncation they came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from small_mesh import CRAWL, Node, block

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip.events import Heard
from whoismesh.gossip.replica import Replica
from whoismesh.messages import Discovered

ENOUGH_BYTES = 1 << 20
IMPOSSIBLE = Block("arin", Range.parse("0.0.0.0/0"))
ORIGINS = (3, 4, 5)


@dataclass
class World:
    """What honest processes have found, by origin (from 3 on), and what of it the coordinator has accepted."""

    found: dict[int, list[Block | None]]
    accepted: list[Block]

    def runs(self) -> Iterator[Run]:
        """Yield all that there is, in order: one run a log."""
        if self.accepted:
            yield Run(0, 1, None, Blocks.of(self.accepted))
        for origin, entries in self.found.items():
            if entries:
                yield Run(origin, 1, None, Blocks.of(entries))

    def sealed_by(self, origin: int, first: int) -> int | None:
        """Return the number of the accepted log by which all before an entry is sealed, None if it is not."""
        needed = {each for each in self.found[origin][: first - 1] if each not in (None, IMPOSSIBLE)}
        return next((n for n in range(len(self.accepted) + 1) if needed <= set(self.accepted[:n])), None)


entries = st.none() | st.just(IMPOSSIBLE) | st.builds(block, st.integers(0, 30))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    found = {origin: draw(st.lists(entries, max_size=8)) for origin in ORIGINS}
    blocks = [each for log in found.values() for each in log if each not in (None, IMPOSSIBLE)]
    accepted = draw(st.lists(st.sampled_from(blocks), max_size=2 * len(blocks))) if blocks else []
    return World(found, accepted)


@st.composite
def told(draw: st.DrawFn, world: World) -> list[Run]:
    """Return runs as honest nodes could send them, in any order, over and over, some with a claim that is true."""
    runs = []
    logs: dict[int, list[Block | None]] = {0: list(world.accepted), **world.found}
    for _ in range(draw(st.integers(0, 12))):
        origin = draw(st.sampled_from(list(logs)))
        if logs[origin]:
            first = draw(st.integers(1, len(logs[origin])))
            last = draw(st.integers(first, len(logs[origin])))
            sealed = world.sealed_by(origin, first) if origin and draw(st.booleans()) else None
            runs.append(Run(origin, first, sealed, Blocks.of(logs[origin][first - 1 : last])))
    return runs


def known(replica: Replica) -> set[Range]:
    return {each for each, _ in replica.table}


def held(replica: Replica, world: World) -> set[Range]:
    """Return the blocks that the replica's logs say are here: up to the numbers in its digest."""
    numbered = set(world.accepted[: replica.accepted])
    for origin, tail in replica.logs.tails.items():
        numbered |= {each for each in world.found[origin][: tail.last] if each not in (None, IMPOSSIBLE)}
    return {each.range for each in numbered if each is not None}


def check_digest(replica: Replica, world: World) -> None:
    """Digest n means that 1 to n are here: as entries to pass on, or sealed."""
    assert list(replica.logs.accepted_log) == world.accepted[: replica.accepted]
    assert held(replica, world) <= known(replica)
    for origin, tail in replica.logs.tails.items():
        entries = [each for _, blocks in tail.after(tail.floor) for each in blocks]
        assert entries == world.found[origin][tail.floor : tail.last]
        passed = [each for each in world.found[origin][: tail.floor] if each not in (None, IMPOSSIBLE)]
        assert set(passed) <= set(world.accepted[: replica.accepted]), "what is not passed on is in the accepted log"


def replica_of(runs: list[Run], world: World) -> Replica:
    replica = Replica()
    for each in runs:
        replica.apply(each, 0.0)
        check_digest(replica, world)
    return replica


def pull(here: Replica, there: Replica) -> None:
    """Have all that another replica can send."""
    for run in list(there.logs.delta(here.logs.have(), ENOUGH_BYTES)):
        here.apply(run, 0.0)


@given(st.data(), worlds())
def test_order_repetition_and_batches_make_no_difference(data: st.DataObject, world: World) -> None:
    whole = replica_of(list(world.runs()), world)
    whole.logs.trim(0.0)
    for runs in (data.draw(told(world)), data.draw(told(world))):
        here = replica_of(runs, world)
        for each in data.draw(st.permutations([*runs, *world.runs()])):
            here.apply(each, 0.0)
            check_digest(here, world)
        here.logs.trim(0.0)
        assert here.logs.have() == whole.logs.have()
        assert known(here) == known(whole)


@given(st.data(), worlds())
def test_what_was_applied_is_no_news_the_second_time(data: st.DataObject, world: World) -> None:
    here = replica_of(data.draw(told(world)), world)
    before = here.logs.have(), known(here)
    for each in data.draw(told(world)):
        here.apply(each, 0.0)
        once = here.logs.have(), known(here)
        assert here.apply(each, 0.0) == [] and (here.logs.have(), known(here)) == once
        assert before[0][0] <= once[0][0] and before[1] <= once[1], "nothing is ever taken back"
        before = once


@given(st.data(), worlds(), st.integers(1, 200))
def test_a_delta_that_is_cut_off_leaves_no_hole(data: st.DataObject, world: World, credit_bytes: int) -> None:
    here, there = (replica_of(data.draw(told(world)), world) for _ in range(2))
    there.logs.trim(0.0)
    delta = list(there.logs.delta(here.logs.have(), credit_bytes))
    longest = max((len(run.blocks.packed) for run in delta), default=0)
    assert sum(len(run.blocks.packed) for run in delta) < credit_bytes + longest
    for run in delta[: data.draw(st.integers(0, len(delta)))]:
        here.apply(run, 0.0)
        check_digest(here, world)
    for _ in range(100):
        if not list(there.logs.delta(here.logs.have(), credit_bytes)):
            break
        for run in list(there.logs.delta(here.logs.have(), credit_bytes)):
            here.apply(run, 0.0)
    assert not here.logs.lacks(there.logs.have()), "piece by piece all of it comes"
    assert held(there, world) <= known(here)


@given(st.data(), worlds())
def test_sealing_loses_no_block(data: st.DataObject, world: World) -> None:
    """Who has nothing gets all that a replica holds, from that replica alone, before and after it was trimmed."""
    there = replica_of(data.draw(told(world)), world)
    for now in (0.0, 1.0, 1_000.0):
        before = held(there, world)
        there.logs.trim(now)
        check_digest(there, world)
        here = Replica()
        pull(here, there)
        check_digest(here, world)
        assert before <= known(here)


@given(st.data(), worlds())
def test_after_one_exchange_two_nodes_are_equal(data: st.DataObject, world: World) -> None:
    one, two = Node(1, 9), Node(2, 9)
    for node in (one, two):
        for run in data.draw(told(world)):
            node.gossip.handle(Heard(Discovered(CRAWL, (run,)), on_feed=run.origin == 0), 0.0)
    both = held(one.gossip.replica, world) | held(two.gossip.replica, world)
    one.compare_with(two, 1.0)
    for node in (one, two):
        node.gossip.replica.logs.trim(1.0)
        check_digest(node.gossip.replica, world)
        assert both <= node.known
    assert one.gossip.replica.logs.have() == two.gossip.replica.logs.have()
    if not one.gossip.replica._ahead and not two.gossip.replica._ahead:
        assert one.known == two.known


@given(st.lists(entries, max_size=30), st.integers(1, 4))
def test_hashes_tell_logs_apart_whatever_is_asked_first(log: list[Block | None], piece_entries: int) -> None:
    one, two, other = (BlockLog(piece_entries) for _ in range(3))
    hashes = [one.hash_at(0)]
    for each in log:
        one.append(each)
        hashes.append(one.hash_at(len(one)))
        two.append(each)
        other.append(None if each is not None else IMPOSSIBLE)
    assert [two.hash_at(number) for number in range(len(log), -1, -1)] == hashes[::-1]
    assert len(set(hashes)) == len(hashes)
    assert not {other.hash_at(number) for number in range(1, len(log) + 1)} & set(hashes)
