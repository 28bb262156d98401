"""What a hostile peer can send, one fault at a time: what would have come of it, and does not."""

from __future__ import annotations

from collections import Counter

import pytest
from small_mesh import CRAWL, Coordinator, Node, block, blocks, carried

from whoismesh.blocks import PIECE_ENTRIES, Blocks
from whoismesh.checks import MAX_COUNT
from whoismesh.compounds import Peer, Run
from whoismesh.errors import MessageError
from whoismesh.gossip import guard, logs, replica
from whoismesh.gossip.events import Answered, Found, Heard, Open, Publish, Tick
from whoismesh.gossip.exchange import LONGEST_S, TIMEOUT_S
from whoismesh.gossip.peers import Peers
from whoismesh.messages import (
    MAX_FRAME_BYTES,
    MAX_SENT_BYTES,
    Compare,
    Digest,
    Discovered,
    Members,
    Sent,
    decode,
    encode,
)


def told(*runs: Run) -> Discovered:
    return Discovered(CRAWL, runs)


def refused(there: Node | Coordinator) -> Counter[str]:
    """Return what was refused there, by reason."""
    owner = there.gossip.replica if isinstance(there, Node) else there.ledger._hearsay
    return owner.guard.by_reason()


def test_a_run_ends_below_the_highest_count() -> None:
    """Else a digest that names its last entry is no message for anybody, and the node is cut off for good."""
    for last in (MAX_COUNT, MAX_COUNT + 1):
        frame = encode(told(Run(2, last - 2, 0, blocks(range(3)))))
        if last == MAX_COUNT:
            assert decode(frame)
        else:
            with pytest.raises(MessageError, match="numbered from 1 to"):
                decode(frame)


def test_no_frame_makes_a_node_pass_on_one_that_is_too_long_for_its_neighbours() -> None:
    """A SUB socket that meets an over-long frame is deaf for good, so honest nodes would deafen each other."""
    node = Node(1, 40, Peers(full_mesh=2, links=2))
    long = blocks([*range(5), 2 << 20]).packed * (MAX_FRAME_BYTES // 64)
    frame = encode(told(Run(2, 1, None, blocks(range(400))), Run(3, 1, None, Blocks(long, 6 * MAX_FRAME_BYTES // 64))))
    assert len(frame) < MAX_FRAME_BYTES
    with pytest.raises(MessageError, match=f"at most {PIECE_ENTRIES} entries"):
        decode(frame)
    many = tuple(Run(origin, 1, None, blocks(range(1000 * origin, 1000 * origin + 900))) for origin in range(2, 40))
    out = node.gossip.handle(Heard(carried(told(*many)), on_feed=False), 0.0)
    passed_on = [encode(each.message) for each in out if isinstance(each, Publish)]
    assert len(passed_on) > 10 and max(map(len, passed_on)) < MAX_SENT_BYTES


def test_what_a_node_finds_at_once_goes_out_in_runs_that_others_take() -> None:
    one, two = Node(1, 2), Node(2, 2)
    many = range(2 * PIECE_ENTRIES + 1)
    out = one.gossip.handle(Found(1, blocks(many)), 0.0)
    published = [each.message for each in out if isinstance(each, Publish)]
    assert [len(run.blocks) for each in published for run in each.runs] == [PIECE_ENTRIES, PIECE_ENTRIES, 1]
    for each in published:
        two.gossip.handle(Heard(carried(each), on_feed=False), 0.0)
    assert two.known == {block(number).range for number in many}


@pytest.mark.parametrize("kind", [Node, Coordinator])
def test_more_logs_than_a_digest_may_name_are_refused(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the node's digest is no message for anybody, and it is cut off for good."""
    monkeypatch.setattr(logs, "MAX_TAILS", 20)
    there = Coordinator(100) if kind is Coordinator else Node(1, 100)
    for origin in range(2, 101):
        there.answer(b"peer", told(Run(origin, 1, None, blocks([origin]))), 0.0)
    assert (digest := there.answer(b"peer", Compare(CRAWL, bytes(8)), 0.0)) and len(digest[0].tails) == 19
    assert refused(there)[guard.TOO_MANY] == 80


@pytest.mark.parametrize("kind", [Node, Coordinator])
def test_what_all_logs_hold_together_is_bounded(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING_ENTRIES", 5_000)
    there = Coordinator(100) if kind is Coordinator else Node(1, 100)
    for origin in range(2, 101):
        there.answer(b"peer", told(Run(origin, 1, None, blocks(range(1000)))), 0.0)
    (digest,) = there.answer(b"peer", Compare(CRAWL, bytes(8)), 0.0)
    assert sum(digest.tails.values()) == 5_000
    assert refused(there)[guard.TOO_MANY] == 94_000


def test_a_peer_that_claims_that_all_before_is_sealed_cannot_fill_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each claim empties the log, so that there is room in it again; what became a hit stays one."""
    monkeypatch.setattr(replica, "MOST_WAITING_ENTRIES", 2_000)
    node = Node(1, 5)
    for turn in range(10):
        run = Run(2, 1 + 2_000 * turn, 0, blocks(range(1000 * turn, 1000 * turn + 1000)))
        node.gossip.handle(Heard(carried(told(run)), on_feed=False), 0.0)
    ahead = Run(3, 1_000_000, None, blocks(range(50_000, 51_000)))
    node.gossip.handle(Heard(carried(told(ahead)), on_feed=False), 0.0)
    assert len(node.known) == 2_000
    assert refused(node)[guard.TOO_MANY] == 9_000
    accepted = Run(0, 1, None, blocks(range(5_000, 6_000)))
    node.gossip.handle(Heard(carried(told(accepted)), on_feed=True), 0.0)
    assert len(node.known) == 3_000, "what the coordinator has accepted always has room"
    assert node.find(range(10_000, 10_010)) and len(node.known) == 3_010, "what the node has found itself, too"


def test_runs_whose_turn_never_comes_are_not_in_the_way_for_good() -> None:
    node, other = Node(1, 5), Node(3, 5)
    void = Blocks.of([None])
    for first in range(2, 5_000):
        node.gossip.handle(Heard(carried(told(Run(2, 2 * first, None, void))), on_feed=False), 0.0)
    assert len(node.gossip.replica._ahead) < 1_000, "each is an object, however small"
    early, late = other.find([1]), other.find([2])
    for each in (late, early):
        node.gossip.handle(Heard(carried(each), on_feed=False), 0.0)
    assert node.gossip.replica.logs.have() == (0, {3: 2})


def test_a_hole_in_the_accepted_log_is_refused_also_when_it_comes_too_early() -> None:
    """It was raised when its turn had come, by whoever sent what was before it."""
    node = Node(1, 5)
    node.answer(b"peer", told(Run(0, 2, None, Blocks.of([None]))), 0.0)
    assert refused(node)[guard.MALFORMED] == 1
    node.gossip.handle(Heard(carried(told(Run(0, 1, None, blocks([1])))), on_feed=True), 0.0)
    assert node.gossip.replica.accepted == 1


@pytest.mark.timeout(20)
def test_a_claim_of_seals_in_the_accepted_log_means_nothing() -> None:
    """It was taken out of the queue and put into it again without end."""
    node = Node(1, 5)
    node.answer(b"peer", told(Run(0, 1_000, 0, blocks([2]))), 0.0)
    node.gossip.handle(Heard(carried(told(Run(0, 1, None, blocks([1])))), on_feed=True), 0.0)
    assert node.gossip.replica.accepted == 1


def test_a_partner_that_always_has_more_is_left_in_the_end() -> None:
    """It could keep a node from ever comparing with anybody else."""
    node = Node(1, 3)
    node.begin(2, 0.0)
    node.gossip.handle(Answered(1, Digest(CRAWL, 0, {3: MAX_COUNT}, (1, 1), 1)), 0.0)
    now = 0.0
    while node.gossip.exchanges.open is not None:
        now += TIMEOUT_S / 2
        more = told(Run(3, int(now) + 1, 0, blocks([int(now)])))
        node.gossip.handle(Answered(1, carried(more)), now)
        node.gossip.handle(Answered(1, Sent(CRAWL, True, False)), now)
        assert now <= LONGEST_S
    assert node.gossip.exchanges.failures == 1 and node.gossip.exchanges.next_at < now + 1


def test_nobody_tells_a_node_of_its_own_log() -> None:
    """Not even what it has forgotten, because all of it was accepted."""
    node = Node(1, 3)
    node.find(range(3))
    node.gossip.handle(Heard(told(Run(0, 1, None, blocks(range(3)))), on_feed=True), 1.0)
    node.gossip.replica.logs.trim(1.0)
    node.gossip.replica.logs.trim(100.0)
    node.gossip.handle(Heard(carried(told(Run(1, 1, None, blocks(range(10, 13))))), on_feed=False), 100.0)
    assert len(node.known) == 3 and node.gossip.replica.logs.have() == (3, {})
    node.gossip.handle(Heard(carried(told(Run(1, 1, None, blocks(range(10, 14))))), on_feed=False), 100.0)
    assert len(node.known) == 3 and refused(node)[guard.NOT_MINE] == 4


def test_questions_cost_what_it_takes_to_answer_them() -> None:
    """The list of members went out for nothing, 4,096 times a second; and each question had all logs gone through."""
    small, large = Node(1, 2), Node(1, 2_000)
    question = Digest(CRAWL, 0, {}, (0, 0), 0)

    def answered(node: Node, question: Compare | Digest) -> int:
        for count in range(10_000):
            last = node.answer(b"peer", question, 1.0)[-1]
            if isinstance(last, Sent) and last.busy:
                return count
        raise AssertionError("never busy")

    assert answered(small, question) > 3_000 and answered(large, question) < 100
    many = Node(1, 2_000)
    for origin in range(2, 1_002):
        many.answer(b"peer", told(Run(origin, 1, None, blocks([origin]))), 0.0)
    assert answered(many, Compare(CRAWL, bytes(8))) < 100


def by_coordinator(node: Node, coordinator: Coordinator, now: float) -> None:
    node.exchange(0, lambda sender, message: coordinator.answer(sender, message, now), now)


@pytest.mark.parametrize(
    ("real", "forged"),
    [(5, 5), (5, 9), (9, 5), (2_500, 1_200), (1_200, 2_500), (2_000, 2_000)],
)
def test_a_forged_accepted_log_is_found_out_by_the_coordinator_and_forgotten(real: int, forged: int) -> None:
    """Its numbers kept the true blocks of those numbers out for good, in every node that it reached."""
    coordinator, victim, other = Coordinator(3), Node(1, 3), Node(2, 3)
    coordinator.accept(3, 1, range(real), 0.0)
    for start in range(0, forged, PIECE_ENTRIES):
        run = Run(0, start + 1, None, blocks(range(50_000 + start, 50_000 + min(forged, start + PIECE_ENTRIES))))
        victim.answer(b"peer", told(run), 0.0)
    assert victim.gossip.replica.accepted == forged
    by_coordinator(other, coordinator, 1.0)
    assert other.gossip.replica.accepted == real
    other.compare_with(victim, 2.0)
    assert other.gossip.replica.accepted == real and other.gossip.exchanges._in_doubt
    by_coordinator(victim, coordinator, 5.0)
    by_coordinator(other, coordinator, 6.0)
    truth = {block(number).range for number in range(real)}
    for node in (victim, other):
        assert node.gossip.replica.accepted == real and truth <= node.known
        assert [each.range for each in node.gossip.replica.logs.accepted_log if each] == sorted(truth)
    assert victim.gossip.replica.counters["gossip_log_forgotten"] == 1


def test_who_is_in_doubt_of_a_peer_asks_the_coordinator_next() -> None:
    victim, other = Node(1, 3), Node(2, 3)
    victim.answer(b"peer", told(Run(0, 1, None, blocks([7]))), 0.0)
    other.gossip.handle(Heard(told(Run(0, 1, None, blocks([8]))), on_feed=True), 0.0)
    victim.compare_with(other, 1.0)
    (opened,) = [each for each in victim.gossip.handle(Tick(), 10.0) if isinstance(each, Open)]
    assert opened.gossip == ""


def test_what_is_forged_beyond_the_accepted_log_goes_when_the_log_gets_there() -> None:
    coordinator, victim = Coordinator(3), Node(1, 3)
    coordinator.accept(3, 1, range(5), 0.0)
    by_coordinator(victim, coordinator, 1.0)
    victim.answer(b"peer", told(Run(0, 6, None, blocks([70, 71]))), 2.0)
    by_coordinator(victim, coordinator, 3.0)
    assert victim.gossip.replica.accepted == 7
    for each in coordinator.accept(3, 6, range(5, 7), 4.0):
        victim.gossip.handle(Heard(carried(each), on_feed=True), 4.0)
    by_coordinator(victim, coordinator, 5.0)
    assert {block(number).range for number in range(7)} <= victim.known and victim.gossip.replica.accepted == 7


def test_a_list_that_would_not_fit_a_frame_is_not_taken() -> None:
    """One change after another could make a list that nobody could be told of any more, and of any size."""
    node = Node(1, 3)
    for version in range(2, 200):
        peers = tuple(Peer(1_000 * version + each, "x" * 500) for each in range(1_000))
        node.answer(b"peer", Members(CRAWL, 1, version, version - 1, 3, peers, ()), 1.0)
    assert 3 < len(node.gossip.peers.members) < 2_100
    assert node.gossip.totals()["members_refused"] > 190
    assert len(encode(node.gossip.peers.whole(CRAWL))) < MAX_SENT_BYTES


@pytest.mark.parametrize("version", [(1, 99), (2, 0), (MAX_COUNT, MAX_COUNT)])
def test_a_forged_list_of_members_ends_with_the_next_word_of_the_coordinator(version: tuple[int, int]) -> None:
    """It was newer than all that the coordinator would ever say, and passed on from node to node."""
    coordinator, victim = Coordinator(3), Node(1, 3)
    forged = Members(CRAWL, *version, 0, MAX_COUNT, (Peer(MAX_COUNT, "tcp://192.0.2.1:1"),), ())
    victim.answer(b"peer", forged, 1.0)
    assert victim.gossip.peers.given == MAX_COUNT and MAX_COUNT in victim.gossip.peers.members
    victim.gossip.handle(Tick(), 3.0)  # the exchange that was open gets no answer
    (opened,) = [each for each in victim.gossip.handle(Tick(), 4.0) if isinstance(each, Open)]
    assert opened.gossip == "", "a list from a peer makes a node ask the coordinator"
    by_coordinator(victim, coordinator, 5.0)
    victim.answer(b"another victim", forged, 6.0)
    assert victim.gossip.counters["members_not_believed"] == 1, "else two victims infect each other for ever"
    assert victim.gossip.peers.members.keys() == {1, 2, 3} and victim.gossip.peers.given == 3
    assert victim.gossip.peers.whole(CRAWL) == coordinator.ledger._roster.whole()


def test_a_run_that_is_not_what_it_claims_moves_nothing_at_the_coordinator() -> None:
    """It moved the log of its origin to where nothing that the origin says would be news."""
    coordinator = Coordinator(3)
    coordinator.answer(b"peer", told(Run(2, MAX_COUNT, 0, Blocks(b"\xff", 1))), 0.0)
    assert refused(coordinator)[guard.MALFORMED] == 1
    coordinator.answer(b"peer", told(Run(2, 1, None, blocks([1]))), 0.0)
    (digest,) = coordinator.answer(b"peer", Compare(CRAWL, bytes(8)), 0.0)
    assert isinstance(digest, Digest) and digest.tails == {2: 1}


def test_what_the_coordinator_has_no_use_for_is_counted() -> None:
    coordinator = Coordinator(3)
    coordinator.answer(b"peer", Sent(CRAWL, False, False), 0.0)
    coordinator.answer(b"peer", Members(CRAWL, MAX_COUNT, 1, 0, 3, (), ()), 0.0)
    assert coordinator.ledger.counters["messages_unexpected"] == 2
