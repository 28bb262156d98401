"""The listener's engine: these events in, exactly these instructions out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.blocks import PIECE_ENTRIES, Block, BlockLog, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip.exchange import TIMEOUT_S
from whoismesh.gossip.logs import MOST_CREDIT_BYTES, Logs
from whoismesh.gossip.responder import Responder
from whoismesh.history import EventCursor, Joined, KnownBlock, Left, Member
from whoismesh.listener import (
    MISSING_S,
    REOPEN_S,
    Ask,
    CaughtUp,
    Heard,
    Listener,
    Opened,
    Reopen,
    Replaced,
    Tick,
    Wake,
)
from whoismesh.messages import Digest, Discovered, Feed, Members, Sent

CRAWL, OTHER = b"0123456789abcdef", b"fedcba9876543210"
BLOCKS = tuple(Block("ripencc", Range.parse(f"193.0.{2 * number}.0/24")) for number in range(40))
MEMBERS = Members(CRAWL, 1, 0, 0, 0, (), ())
ONE, TWO = {"origin": 1, "host": "one:7"}, {"origin": 2, "host": "two:8"}


def told(first, count=1, crawl=CRAWL):
    blocks = Blocks.of(BLOCKS[first - 1 : first - 1 + count])
    return Heard(Discovered(crawl, (Run(0, first, None, blocks),)))


def ask(after):
    return Ask(Digest(CRAWL, after, {}, None, MOST_CREDIT_BYTES))


def feed(topic, payload, crawl=CRAWL):
    return Heard(Feed(crawl, topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode()))


def status(accepted, *workers, members=None, complete=False, crawl=CRAWL):
    members = len(workers) if members is None else members
    rows = {"accepted": accepted, "members": members, "complete": complete, "workers": list(workers)}
    return feed("status", rows, crawl)


def happened(listener):
    return EventCursor(listener.history, known=True).take(1_000)


@pytest.fixture
def listener():
    return Listener(100)


def test_the_first_status_opens_and_the_past_is_asked_for_once(listener):
    assert listener.handle(Tick(), 0.0) == []
    assert listener.handle(status(32), 1.0) == [Opened(CRAWL), ask(0)]
    assert listener.handle(status(32), 1.5) == []
    assert listener.handle(told(1, 20), 1.6) == [Wake()]
    assert listener.handle(told(21, 12), 1.7) == [CaughtUp(), Wake()]
    assert listener.handle(status(32), 2.0) == []


def test_an_empty_log_is_caught_up_with_at_once(listener):
    assert listener.handle(status(0), 0.0) == [Opened(CRAWL), CaughtUp()]


def test_what_comes_meanwhile_is_known_at_once_and_no_hole_stays(listener):
    assert listener.handle(told(9, 2), 0.0) == [Opened(CRAWL), Wake(), ask(0)]
    assert listener.handle(status(10), 0.1) == []
    assert listener.handle(told(11), 0.2) == [Wake()]
    assert listener.handle(told(1, 8), 0.3) == [CaughtUp(), Wake()]
    assert [str(each[0]) for each in listener.replica.table][:3] == ["193.0.16.0/24", "193.0.18.0/24", "193.0.20.0/24"]
    assert (listener.replica.accepted, len(listener.replica.table)) == (11, 11)


def test_what_is_on_its_way_is_not_asked_for_again_and_what_comes_after_it_is(listener):
    one = Block("arin", Range.parse("24.0.0.0/24"))

    def piece(number):
        run = Run(0, number * PIECE_ENTRIES + 1, None, Blocks.of([one] * PIECE_ENTRIES))
        return Heard(Discovered(CRAWL, (run,)))

    end, long = Heard(Sent(CRAWL, True, False)), 10 * PIECE_ENTRIES
    assert listener.handle(status(long + 5), 0.0) == [Opened(CRAWL), ask(0)]
    assert listener.handle(piece(0), 1.0) == [Wake()]
    for number in range(1, 9):
        assert listener.handle(piece(number), 1.0 + number) == []
    assert listener.handle(status(long + 5), 9.0 + TIMEOUT_S - 0.1) == []
    assert listener.handle(piece(9), 11.0) == []
    assert listener.handle(end, 11.5) == [ask(long)]
    busy = Heard(Sent(CRAWL, True, True))
    assert listener.handle(busy, 11.6) == [], "later"
    assert listener.handle(status(long + 5), 11.5 + TIMEOUT_S) == [ask(long)]


def test_an_answer_that_stops_half_way_is_asked_for_again_from_there(listener):
    listener.handle(status(30), 0.0)
    assert listener.handle(told(1, 10), 1.0) == [Wake()]
    assert listener.handle(status(30), 1.0 + TIMEOUT_S / 2) == []
    assert listener.handle(status(30), 1.0 + TIMEOUT_S) == [ask(10)]


def test_a_lost_tail_shows_in_the_next_status(listener):
    listener.handle(status(0), 0.0)
    assert listener.handle(told(1), 0.1) == [Wake()]
    assert listener.handle(status(3), 0.5) == [ask(1)]


def test_an_answer_that_does_not_come_is_asked_for_again_but_only_while_the_coordinator_is_heard(listener):
    listener.handle(status(3), 0.0)
    for now in (0.5, 1.9):
        assert listener.handle(status(3), now) == []
    assert listener.handle(status(3), TIMEOUT_S) == [ask(0)]
    for now in range(3, 20):
        assert listener.handle(Tick(), float(now)) == []


def test_silence_opens_the_sockets_anew_each_time_it_lasts_so_long(listener):
    listener.handle(Tick(), 5.0)
    listener.handle(status(0), 6.0)
    assert listener.handle(Tick(), 6.0 + REOPEN_S - 0.1) == []
    assert listener.handle(Tick(), 6.0 + REOPEN_S) == [Reopen()]
    assert listener.handle(Tick(), 7.0 + REOPEN_S) == []
    assert listener.handle(Tick(), 6.0 + 2 * REOPEN_S) == [Reopen()]
    assert listener.handle(status(0), 50.0) == []
    assert listener.heard_at == 50.0


@pytest.mark.parametrize("intruder", [status(5, ONE, crawl=OTHER), told(1, 3, crawl=OTHER)])
def test_another_crawl_is_told_of_once_and_nothing_of_it_is_taken_in(listener, intruder):
    listener.handle(status(1), 0.0)
    listener.handle(told(1), 0.1)
    assert listener.handle(intruder, 0.2) == [Replaced(OTHER)]
    for event in (intruder, told(2), status(9, ONE), Tick()):
        assert listener.handle(event, 100.0) == []
    assert (len(listener.replica.table), listener.members, listener.crawl) == (1, {}, CRAWL)


def test_a_frame_without_a_crawl_opens_nothing(listener):
    assert listener.handle(status(1, crawl=b""), 0.0) == []
    assert listener.counters["frames_unexpected"] == 1
    assert listener.crawl == b""


def test_members_are_those_of_the_first_status_and_then_as_told(listener):
    assert listener.handle(status(0, ONE), 0.0) == [Opened(CRAWL), CaughtUp(), Wake()]
    assert listener.handle(feed("event", {"event": "worker_joined", "level": "info", **TWO}), 0.1) == [Wake()]
    assert listener.handle(status(0, ONE, TWO), 0.5) == []
    assert listener.handle(feed("event", {"event": "worker_left", **ONE}), 0.6) == [Wake()]
    assert listener.handle(feed("event", {"event": "worker_left", **ONE}), 0.6) == []
    assert listener.handle(feed("event", {"event": "worker_lost", **TWO}), 0.7) == [Wake()]
    assert listener.handle(feed("event", {"event": "lease_expired", "lease": 3}), 0.8) == []
    one, two = Member(1, "one:7"), Member(2, "two:8")
    assert happened(listener) == [Joined(one), Joined(two), Left(one, "left"), Left(two, "lost")]
    assert listener.members == {}


def test_a_coordinator_that_comes_back_does_not_lose_the_workers_that_come_back_too(listener):
    listener.handle(status(0, ONE, TWO), 0.0)
    assert listener.handle(status(0), 10.0) == []
    assert listener.handle(status(0, TWO), 10.0 + MISSING_S - 0.1) == []
    assert listener.handle(status(0, TWO), 10.0 + MISSING_S) == [Wake()]
    assert listener.handle(status(0), 21.0) == []
    assert happened(listener)[2:] == [Left(Member(1, "one:7"), "lost")]
    assert list(listener.members) == [2]


def test_a_list_of_some_of_the_workers_says_nothing_of_those_who_are_not_in_it(listener):
    listener.handle(status(0, ONE, {"origin": 999, "host": "late:1"}), 0.0)
    for now in (1.0, 50.0):
        listener.handle(status(0, ONE, members=2), now)
    assert 999 in listener.members


def test_complete_means_settled_and_all_of_it_here(listener):
    listener.handle(status(2), 0.0)
    assert listener.handle(status(2, complete=True), 0.1) == []
    assert not listener.complete
    assert listener.handle(told(1, 2), 0.2) == [CaughtUp(), Wake()]
    assert listener.complete
    assert listener.handle(status(2, complete=True), 0.5) == []
    listener.handle(status(2), 0.6)
    assert not listener.complete, "what failed is tried again"


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"\xff", b"null", b"[]", b"3", b"{}", b"[" * 60_000, b'{"event": "worker_joined"}',
        b'{"event": "worker_joined", "origin": -1, "host": "x"}', b'{"event": "worker_joined", "origin": 1, "host": 3}',
        b'{"accepted": true, "members": 0, "complete": true, "workers": []}',
        b'{"accepted": 1e400, "members": 0, "complete": true, "workers": []}',
        b'{"accepted": 1, "members": 0, "complete": true, "workers": 5}',
        b'{"accepted": 1, "members": 0, "complete": true, "workers": [[]]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("topic", ["status", "event"])
def test_a_payload_that_is_not_one_is_counted_and_changes_nothing(listener, topic, payload):
    listener.handle(status(0), 0.0)
    assert listener.handle(feed(topic, payload), 0.1) == []
    assert listener.counters["frames_unexpected"] == 1
    assert (listener.members, listener.complete, listener.log_length) == ({}, False, 0)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9), st.booleans()), max_size=40), st.integers(0, 40))
def test_whatever_is_lost_or_repeated_answers_to_what_is_asked_make_it_whole(frames, before):
    """Each frame may get lost; a status comes through now and then, and so do the answers to what the engine asks."""
    listener, log, now = Listener(10), BlockLog(piece_entries=16), 0.0
    for block in BLOCKS:
        log.append(block)
    logs = Logs(log, lambda origin, number, block: True)
    asked = [each for each in listener.handle(status(before), now) if isinstance(each, Ask)]
    for first, count, lost in frames:
        now += 1.0
        if not lost:
            asked += [each for each in listener.handle(told(first, count), now) if isinstance(each, Ask)]
    rounds = 0
    while listener.replica.accepted < len(log):
        now += TIMEOUT_S
        asked += [each for each in listener.handle(status(len(log)), now) if isinstance(each, Ask)]
        request = asked.pop().request
        for answer in Responder(logs).answer(request, MEMBERS, now):
            asked += [each for each in listener.handle(Heard(answer), now) if isinstance(each, Ask)]
        rounds += 1
        assert rounds < 10
    found = {KnownBlock(*each) for each in listener.replica.table}
    assert found == {KnownBlock(block.range, block.registry) for block in BLOCKS}
    assert listener.caught_up
