"""One node's gossip, event by event: exactly these instructions."""

from __future__ import annotations

import pytest

from whoismesh.addresses import Range
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import Peer, Run
from whoismesh.gossip import Gossip
from whoismesh.gossip.engine import NEWS_BYTES, NEWS_S
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Close,
    Found,
    Heard,
    Instruction,
    Learned,
    Listen,
    Open,
    Publish,
    Reply,
    Say,
    Tick,
)
from whoismesh.gossip.exchange import INTERVAL_S, SOON_S, TIMEOUT_S
from whoismesh.gossip.peers import FAILURES_TO_SKIP, FULL_MESH, LINKS, SKIP_S, Peers
from whoismesh.messages import Compare, Digest, Discovered, Members, Sent

CRAWL, OTHER = b"0123456789abcdef", b"x" * 16
BLOCKS = tuple(Block("ripencc", Range.parse(f"193.0.{2 * number}.0/24")) for number in range(40))
ME = 7


def members(*origins: int, epoch: int = 1, version: int = 1, since: int = 0, gone: tuple[int, ...] = ()) -> Members:
    peers = tuple(Peer(origin, f"tcp://host{origin}:1") for origin in origins)
    return Members(CRAWL, epoch, version, since, 1_000, peers, gone)


def run(origin: int, first: int, *blocks: Block | None, sealed: int | None = None) -> Run:
    return Run(origin, first, sealed, Blocks.of(blocks))


def told(*runs: Run, on_feed: bool = False, crawl: bytes = CRAWL) -> Heard:
    return Heard(Discovered(crawl, runs), on_feed)


def accepted(first: int, *blocks: Block) -> Heard:
    return told(run(0, first, *blocks), on_feed=True)


class Host:
    """A node with a clock and peers; keeps what it said, exchanges apart."""

    def __init__(self, *origins: int, draw: float = 0.0, full_mesh: int = FULL_MESH) -> None:
        self.gossip = Gossip(lambda: draw, Peers(full_mesh, LINKS))
        self.now = 100.0
        self.gossip.join(CRAWL, ME, self.now)
        self.do(Heard(members(ME, *origins), on_feed=True))

    def all(self, event: object, after_s: float = 0.0) -> list[Instruction]:
        self.now += after_s
        out = self.gossip.handle(event, self.now)  # type: ignore[arg-type]
        assert self.gossip.wake_at > self.now, "it would spin"
        return out

    def do(self, event: object, after_s: float = 0.0) -> list[Instruction]:
        return [each for each in self.all(event, after_s) if not isinstance(each, Open | Say | Close)]


# -- news ----------------------------------------------------------------------------------------------------------


def test_what_a_node_finds_is_told_at_once_and_then_not_again_so_soon() -> None:
    host = Host(8)
    assert host.do(Found(1, Blocks.of(BLOCKS[:2]))) == [
        Publish(Discovered(CRAWL, (run(ME, 1, *BLOCKS[:2], sealed=0),)))
    ]
    assert host.do(Found(3, Blocks.of((None,))), NEWS_S / 3) == []
    assert host.do(Found(4, Blocks.of(BLOCKS[2:4])), NEWS_S / 3) == []
    (publish,) = host.do(Tick(), NEWS_S)
    assert publish == Publish(Discovered(CRAWL, (run(ME, 3, None, *BLOCKS[2:4]),))), "what follows on is one run"
    assert host.do(Tick(), NEWS_S) == []


def test_news_that_is_much_does_not_wait() -> None:
    host = Host(8)
    host.do(Found(1, Blocks.of((None,))))
    count = NEWS_BYTES // 4 - 24  # a /24 is 4 bytes, and a run has 1,000 entries at most
    blocks = [Block("arin", Range.of_prefix(4, (24 << 24) + 256 * number, 24)) for number in range(count)]
    assert host.do(Found(2, Blocks.of(blocks)), 0.001) == []
    more = [Block("arin", Range.of_prefix(4, (25 << 24) + 256 * number, 24)) for number in range(24)]
    (publish,) = host.do(Found(2 + count, Blocks.of(more)), 0.001)
    assert isinstance(publish, Publish)
    assert [len(each.blocks) for each in publish.message.runs] == [1_000, 24]


def test_news_of_peers_is_learned_and_in_a_small_mesh_not_passed_on() -> None:
    host = Host(8, 9)
    news = told(run(8, 1, BLOCKS[0], None, BLOCKS[1]))
    assert host.do(news) == [Learned(BLOCKS[:2])]
    assert host.do(news) == [], "once"
    assert host.do(Tick(), NEWS_S) == []
    assert host.gossip.replica.table.hit("193.0.2.9") == BLOCKS[1].range


def test_in_a_large_mesh_news_is_passed_on_once() -> None:
    host = Host(8, 9, 10, full_mesh=2)
    news = run(8, 1, *BLOCKS[:2])
    assert host.do(told(news)) == [Learned(BLOCKS[:2]), Publish(Discovered(CRAWL, (news,)))]
    assert host.do(told(news), 1.0) == []
    assert host.do(told(run(9, 1, *BLOCKS[:2])), 1.0) == [], "it names nothing that is not known"
    both = host.do(told(run(9, 3, BLOCKS[2]), run(10, 1, BLOCKS[3])), 1.0)
    assert both == [
        Learned(BLOCKS[2:4]),
        Publish(Discovered(CRAWL, (run(9, 3, BLOCKS[2]), run(10, 1, BLOCKS[3])))),
    ]


def test_the_accepted_log_is_heard_on_the_feed_and_never_passed_on() -> None:
    host = Host(8, 9, 10, full_mesh=2)
    assert host.do(accepted(1, *BLOCKS[:2])) == [Learned(BLOCKS[:2])]
    assert host.do(Tick(), NEWS_S) == []
    assert host.gossip.replica.accepted == 2


def test_who_was_told_that_all_before_is_sealed_needs_no_more_of_a_log() -> None:
    host = Host(8)
    host.do(accepted(1, *BLOCKS[:2]))
    host.do(told(run(8, 51, BLOCKS[2], sealed=2)))
    assert host.gossip.replica.logs.have() == (2, {8: 51})
    host.do(told(run(8, 53, BLOCKS[4], sealed=3)))
    assert host.gossip.replica.logs.have() == (2, {8: 51}), "not before the accepted log is here that far"
    host.do(accepted(3, BLOCKS[3]))
    assert host.gossip.replica.logs.have() == (3, {8: 53})


def test_what_is_accepted_leaves_no_trace_in_the_digest() -> None:
    host = Host(8)
    host.do(told(run(8, 1, BLOCKS[0], None, BLOCKS[1])))
    host.do(accepted(1, BLOCKS[1]))
    host.gossip.replica.logs.trim(host.now)
    assert host.gossip.replica.logs.have() == (1, {8: 3})
    host.do(accepted(2, BLOCKS[0]))
    host.gossip.replica.logs.trim(host.now)
    assert host.gossip.replica.logs.have() == (2, {})


# -- what is not believed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "origin", "reason", "entries"),
    [
        pytest.param(told(run(0, 1, BLOCKS[0])), 0, "not_the_coordinator", 1, id="the accepted log from a peer"),
        pytest.param(told(run(8, 1, *BLOCKS[:3]), on_feed=True), 8, "not_the_coordinator", 3, id="news on the feed"),
        pytest.param(told(run(ME, 1, BLOCKS[0])), ME, "not_mine", 1, id="what I never found"),
        pytest.param(told(run(1_001, 1, BLOCKS[0])), 1_001, "not_given", 1, id="an origin nobody has"),
        pytest.param(told(Run(8, 1, None, Blocks(b"\xff", 1))), 8, "malformed", 1, id="no block"),
        pytest.param(told(Run(8, 1, None, Blocks(b"\xb4\xb4", 3))), 8, "malformed", 3, id="fewer than it says"),
        pytest.param(told(run(8, 1, Block("arin", Range(4, 0, 2**32 - 1)))), 8, "too_wide", 1, id="all of IPv4"),
        pytest.param(told(run(8, 1, Block("arin", Range.parse("10.0.0.0/8")))), 8, "reserved", 1, id="private"),
        pytest.param(
            told(run(8, 1, Block("arin", Range.parse("4000::/16")))), 8, "not_delegated", 1, id="nobody's space"
        ),
    ],
)
def test_what_cannot_be_true_is_counted_by_origin_and_reason(
    event: Heard, origin: int, reason: str, entries: int
) -> None:
    host = Host(8)
    assert host.do(event) == []
    assert host.gossip.replica.guard.refused == {(origin, reason): entries}
    assert len(host.gossip.replica.table) == 0
    assert host.gossip.totals()[f"gossip_refused_{reason}"] == entries


def test_members_from_a_peer_s_news_and_other_crawls_are_counted_and_dropped() -> None:
    host = Host(8)
    assert host.do(Heard(members(ME, 9, version=5), on_feed=False)) == []
    assert host.gossip.counters["messages_unexpected"] == 1
    assert host.do(told(run(8, 1, BLOCKS[0]), crawl=OTHER)) == []
    assert host.do(Asked(b"you", Compare(OTHER, bytes(8)))) == []
    assert host.gossip.counters["messages_of_another_crawl"] == 2


# -- members -------------------------------------------------------------------------------------------------------


def test_each_change_of_the_members_is_taken_in_order() -> None:
    host = Host(8)
    assert host.do(Heard(members(9, version=2, since=1), True)) == [Listen(("tcp://host8:1", "tcp://host9:1"))]
    assert host.do(Heard(members(10, version=4, since=3), True)) == [], "version 3 was missed"
    assert host.do(Heard(members(version=3, since=2, gone=(8,)), True)) == [Listen(("tcp://host9:1",))]
    assert host.do(Heard(members(9, version=2, since=1), True)) == [], "old"
    assert host.do(Heard(members(ME, 11, version=9), True)) == [Listen(("tcp://host11:1",))], "a whole list"


def test_members_stay_for_a_while_when_the_coordinator_has_restarted() -> None:
    host = Host(8, 9)
    assert host.do(Heard(members(9, epoch=2), True)) == [Listen(("tcp://host8:1", "tcp://host9:1"))]
    assert host.do(Tick(), 29.0) == []
    assert host.do(Tick(), 2.0) == [Listen(("tcp://host9:1",))], "it did not come back"


def test_a_large_mesh_is_listened_to_over_few_links_that_change_little() -> None:
    many = range(100, 600)
    host = Host()
    (listen,) = host.do(Heard(members(ME, *many, version=2), True))
    assert isinstance(listen, Listen)
    assert len(listen.gossip) == LINKS
    (later,) = host.do(Heard(members(600, version=3, since=2), True))
    assert isinstance(later, Listen)
    assert len(set(listen.gossip) & set(later.gossip)) >= LINKS - 1
    gone = int(listen.gossip[0].removeprefix("tcp://host").removesuffix(":1"))
    (last,) = host.do(Heard(members(version=4, since=3, gone=(gone,)), True))
    assert isinstance(last, Listen)
    assert len(set(last.gossip) & set(later.gossip)) >= LINKS - 1


# -- exchanges -----------------------------------------------------------------------------------------------------


def begun(host: Host, after_s: float = 0.0) -> tuple[Open, Compare]:
    opened, said = [each for each in host.all(Tick(), after_s) if isinstance(each, Open | Say)]
    assert isinstance(opened, Open)
    assert isinstance(said, Say)
    assert isinstance(said.message, Compare)
    return opened, said.message


def test_two_that_have_the_same_say_no_more_than_that() -> None:
    one, two = Host(8), Host(8)
    two.gossip.exchanges.next_at = one.gossip.exchanges.next_at = 200.0
    if one.gossip.exchanges.open is not None:
        one.all(Tick(), TIMEOUT_S)
    one.now = 200.0
    opened, compare = begun(one)
    assert two.do(Asked(b"one", compare)) == [Reply(b"one", Sent(CRAWL, False, False))]
    assert one.all(Answered(opened.exchange, Sent(CRAWL, False, False))) == [Close()]
    assert one.gossip.exchanges.next_at == pytest.approx(one.now + 0.75 * INTERVAL_S)


def carry(asker: Host, answerer: Host, opened: Open, compare: Compare) -> list[object]:
    """Carry all messages of an exchange; return their kinds in order."""
    kinds: list[object] = [Compare]
    waiting = answerer.do(Asked(b"asker", compare))
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, Reply):
            kinds.append(type(each.message))
            for said in asker.all(Answered(opened.exchange, each.message)):
                if isinstance(said, Say):
                    kinds.append(type(said.message))
                    waiting += answerer.do(Asked(b"asker", said.message))
    return kinds


def test_an_exchange_brings_each_what_it_lacks() -> None:
    one, two = Host(8, 9), Host(8, 9)
    for host in (one, two):
        host.gossip.exchanges.open = None
        host.gossip.exchanges.next_at = 200.0
    one.do(told(run(8, 1, *BLOCKS[:3])))
    two.do(told(run(9, 1, *BLOCKS[3:5])))
    two.do(accepted(1, *BLOCKS[5:9]))
    one.now = 200.0
    opened, compare = begun(one)
    kinds = carry(one, two, opened, compare)
    assert kinds == [Compare, Digest, Digest, Discovered, Sent, Discovered]
    assert one.gossip.replica.logs.have() == two.gossip.replica.logs.have() == (4, {8: 3, 9: 2})
    assert {each for each, _ in one.gossip.replica.table} == {each.range for each in BLOCKS[:9]}
    assert one.gossip.exchanges.open is None


def test_whoever_does_not_answer_is_left_alone_for_a_while_and_tried_again() -> None:
    host = Host()  # only the coordinator is there to be asked
    for _ in range(FAILURES_TO_SKIP):
        if host.gossip.exchanges.open is None:
            begun(host, max(0.0, host.gossip.exchanges.next_at - host.now))
        assert Close() in host.all(Tick(), TIMEOUT_S)
        assert host.gossip.exchanges.next_at == pytest.approx(host.now + 0.75 * SOON_S)
    failed_at = host.now
    assert host.all(Tick(), 1.0) == []
    while host.now < failed_at + SKIP_S - INTERVAL_S:
        assert host.all(Tick(), INTERVAL_S) == []
    begun(host, 2 * INTERVAL_S)


def test_answers_that_come_late_belong_to_no_exchange() -> None:
    host = Host()
    if host.gossip.exchanges.open is None:
        begun(host)
    number = host.gossip.exchanges.open.number if host.gossip.exchanges.open else 0
    host.all(Tick(), TIMEOUT_S)
    assert host.all(Answered(number, Sent(CRAWL, False, False))) == []


def test_before_it_has_joined_a_node_takes_nothing_in() -> None:
    gossip = Gossip(lambda: 0.5)
    assert gossip.handle(told(run(8, 1, BLOCKS[0])), 1.0) == []
    assert gossip.handle(Asked(b"you", Compare(CRAWL, bytes(8))), 1.0) == []
    assert gossip.wake_at == float("inf")


# -- keys ----------------------------------------------------------------------------------------------------------


def with_keys(*origins: int, version: int = 1, since: int = 0) -> Members:
    peers = tuple(Peer(origin, f"tcp://host{origin}:1", key_of(origin)) for origin in origins)
    return Members(CRAWL, 1, version, since, 1_000, peers, ())


def key_of(origin: int) -> str:
    return f"{origin:040}"


def test_each_neighbour_is_listened_to_with_its_key() -> None:
    host = Host()
    (listen,) = host.do(Heard(with_keys(8, 9, version=2, since=1), on_feed=True))
    assert listen == Listen(("tcp://host8:1", "tcp://host9:1"), (key_of(8), key_of(9)))
    assert host.gossip.peers.has_key(key_of(8))
    assert not host.gossip.peers.has_key(key_of(10))
    assert not host.gossip.peers.has_key("")
    host.do(Heard(Members(CRAWL, 1, 3, 2, 1_000, (), (8,)), on_feed=True))
    assert not host.gossip.peers.has_key(key_of(8))


def test_an_exchange_is_opened_with_the_key_of_the_partner() -> None:
    host = Host(draw=0.99)
    host.do(Heard(with_keys(8, version=2, since=1), on_feed=True))
    host.all(Tick(), TIMEOUT_S)  # the one that was open is over
    opened = [each for each in host.all(Tick(), 2 * INTERVAL_S) if isinstance(each, Open)]
    assert [(each.gossip, each.key) for each in opened] == [("tcp://host8:1", key_of(8))]


def test_with_keys_a_peers_list_is_not_believed_and_the_coordinator_asked() -> None:
    host = Host(draw=0.99)
    host.gossip.peers.believes_peers = False
    host.do(Heard(with_keys(8, version=2, since=1), on_feed=True))
    assert host.do(Asked(b"peer", with_keys(7, 8, 666, version=3))) == []
    assert not host.gossip.peers.has_key(key_of(666))
    assert host.gossip.counters["members_not_believed"] == 1
    host.all(Tick(), TIMEOUT_S)  # the one that was open is over
    opened = [each for each in host.all(Tick(), 2 * INTERVAL_S) if isinstance(each, Open)]
    assert [each.gossip for each in opened] == [""], "the coordinator, though chance had it that it is 8's turn"
