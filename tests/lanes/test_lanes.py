"""The worker's engine, event by event: exactly these instructions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import replies
from replies import URLS
from stage import CLOCK, CRAWL, OTHER, UNLIMITED, Host, asks, kept, number, only_ask, sent, told

from whoismesh.addresses import Range
from whoismesh.answers import Reply
from whoismesh.compounds import LeaseGrant, Peer
from whoismesh.gossip.events import Listen
from whoismesh.lanes import events
from whoismesh.lanes.coordinator_clock import ENOUGH_ANSWERS
from whoismesh.lanes.engine import DRAIN_S, MOST_UNACKNOWLEDGED, RESEND_S
from whoismesh.lanes.events import (
    Ask,
    Broken,
    Drain,
    Forget,
    Joined,
    Keep,
    Note,
    Recovered,
    Replied,
    Resend,
    Send,
    Stop,
    Tick,
)
from whoismesh.lanes.lane import VARYING_WAY_S
from whoismesh.lanes.outcomes import FAILURES_IN_A_ROW, LIMITED_PAUSE_S, TRIES
from whoismesh.ledger.budgets import BORNE_LATENESS_S
from whoismesh.messages import (
    Acknowledge,
    Join,
    LeaseRequest,
    Leases,
    Leave,
    Members,
    PermitRequest,
    Permits,
    Refused,
    Renew,
    Renewed,
    Return,
    Signal,
    Welcome,
)
from whoismesh.registries import REGISTRIES

# -- joining -------------------------------------------------------------------------------------------------------


def test_a_worker_asks_to_join_until_it_is_taken_in_and_then_wishes_for_work() -> None:
    host = Host(join=False)
    ask = Send(Join(b"", "host", "tcp://me:1", 0, ()))
    assert host.do(Tick()) == [ask]
    for wait_s in (0.5, 1.0, 2.0, 4.0, 4.0):
        assert host.do(Tick(), wait_s - 0.1) == []
        assert host.do(Tick(), 0.1) == [ask]
    out = host.hear(Welcome(CRAWL, 7, 1, 2, 3, 2.0, UNLIMITED, CLOCK))
    assert out == [
        Joined(CRAWL, 7, 1, 2, 3),
        Send(LeaseRequest(CRAWL, 7, dict.fromkeys(REGISTRIES, 0.0))),
        Send(Renew(CRAWL, 7, {}, host.now)),
    ]
    peers = (Peer(7, "tcp://me:1"), Peer(8, "tcp://you:1"))
    assert host.hear(Members(CRAWL, 1, 2, 0, 8, peers, ())) == [Listen(("tcp://you:1",))]
    they = Members(CRAWL, 1, 3, 2, 9, (Peer(9, "tcp://they:1"),), ())
    assert host.hear(they) == [Listen(("tcp://you:1", "tcp://they:1"))]


def test_a_worker_refused_for_good_stops_with_the_reason() -> None:
    host = Host(join=False)
    host.do(Tick())
    assert host.hear(Refused(CRAWL, "another crawl", True)) == [Stop("another crawl")]
    assert host.do(Tick(), 10.0) == []


def test_a_welcome_of_another_crawl_stops_the_worker() -> None:
    host = Host()
    (stop,) = host.hear(Welcome(OTHER, 7, 1, 2, 3, 2.0, (), CLOCK))
    assert isinstance(stop, Stop)
    assert "another crawl" in stop.error


def test_a_worker_that_is_not_known_any_more_joins_again_with_its_origin_and_leases() -> None:
    host = Host()
    host.lease("193.0.0.0/22")
    grant = LeaseGrant(1, "ripencc", (Range.parse("193.0.0.0/22"),), False, False)
    rejoin = Send(Join(CRAWL, "host", "tcp://me:1", 7, (grant,)))
    assert host.hear(Refused(CRAWL, "not known here", False)) == [rejoin]
    assert host.hear(Refused(CRAWL, "not known here", False)) == [], "asked already"
    assert host.do(Tick(), 2.0) == [rejoin]
    out = host.join()
    assert out[0] == Joined(CRAWL, 7, 1, 2, 3)


def test_nothing_is_asked_while_not_joined() -> None:
    host = Host(connections=4)
    first = only_ask(host.lease("193.0.0.0/22"))
    host.hear(Refused(CRAWL, "not known here", False))
    out = host.answer(first, replies.network, "193.0.2.0/24")
    assert asks(out) == []
    assert kept(out).status == "network"
    assert len(asks(host.join())) == 2


def test_messages_of_another_crawl_are_counted_and_dropped() -> None:
    host = Host()
    assert host.hear(Leases(OTHER, ())) == []
    assert host.do(told(0, 1, "8.0.0.0/9", registry="arin", crawl=OTHER)) == []
    assert host.lanes.counters["messages_of_another_crawl"] == 1
    assert host.lanes.gossip.counters["messages_of_another_crawl"] == 1
    assert len(host.lanes.replica.table) == 0


def test_messages_for_coordinators_are_counted_and_dropped() -> None:
    host = Host()
    assert host.hear(Renew(CRAWL, 7, {})) == []
    assert host.lanes.counters["messages_unexpected"] == 1


# -- what is asked -------------------------------------------------------------------------------------------------


def test_a_lease_is_asked_about_at_the_middle_of_its_largest_gap() -> None:
    host = Host()
    out = host.lease("193.0.0.0/22", "193.0.8.0/21")
    assert out[0] == Ask(1, "ripencc", "rdap", 4, number("193.0.12.0"), None)


def test_there_is_one_lookup_a_gap_and_an_answer_closes_its_whole_range() -> None:
    host = Host(connections=5)
    first = only_ask(host.lease("193.0.0.0/21"))
    assert host.do(Tick(), 0.1) == []
    out = host.answer(first, replies.network, "193.0.4.0/24")
    result = kept(out)
    assert (result.origin, result.sequence, result.status) == (7, 1, "network")
    assert (result.asked, result.range) == (Range.parse("193.0.4.0"), Range.parse("193.0.4.0/24"))
    assert [each.address for each in asks(out)] == [number("193.0.2.0"), number("193.0.6.0")]
    assert host.do(Tick(), 0.1) == []


def test_connections_bound_the_lookups_of_a_registry_not_of_all() -> None:
    host = Host(connections=2)
    assert len(asks(host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24"))) == 2
    assert len(asks(host.lease("8.0.0.0/24", "8.0.2.0/24", registry="arin"))) == 2


def test_not_found_closes_the_block_a_registry_allocates() -> None:
    host = Host()
    out = host.answer(only_ask(host.lease("193.0.0.0/23")), replies.not_found)
    assert kept(out).status == "unallocated"
    assert [str(each) for each in host.lane().open] == ["193.0.0.0/24"]


def test_not_found_where_gossip_knows_a_holder_closes_a_block_too() -> None:
    host = Host()
    host.do(told(3, 1, "193.0.0.0/16"))
    out = host.answer(only_ask(host.lease("193.0.0.0/23", verify=True)), replies.not_found)
    assert kept(out).status == "unallocated"
    assert [str(each) for each in host.lane().open] == ["193.0.0.0/24"]


def test_a_finished_lease_is_returned_and_another_wished_for() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    out = host.answer(ask, replies.network, "193.0.0.0/16")
    assert out[1:] == [Send(Return(CRAWL, 7, 1, ()))], "a wish stands already: one lease is asked for ahead"


def test_a_lease_that_is_known_entirely_is_returned_at_once_and_not_asked_about() -> None:
    host = Host()
    host.do(told(3, 1, "193.0.0.0/21"))
    out = host.lease("193.0.0.0/24", "193.0.4.0/24")
    assert asks(out) == []
    assert sent(out, Return) == [Return(CRAWL, 7, 1, ())]
    assert host.lanes.counters["hits"] == 2


def test_only_a_lease_to_verify_asks_about_what_is_known() -> None:
    host = Host()
    host.do(told(3, 1, "193.0.0.0/21"))
    assert only_ask(host.lease("193.0.0.0/24", verify=True)).address == number("193.0.0.128")


def test_gossip_closes_gaps_and_finishes_leases() -> None:
    host = Host()
    first = only_ask(host.lease("193.0.0.0/24", "193.0.2.0/24"))
    news = told(3, 1, "193.0.0.0/22")
    out = host.do(news)
    assert sent(out, Return) == [Return(CRAWL, 7, 1, ())]
    assert host.lanes.counters["hits"] == 1
    assert kept(host.answer(first, replies.network, "193.0.0.0/22")).status == "network", "it was on its way"
    assert host.do(news) == []


def test_errands_are_asked_before_the_gaps_of_other_leases() -> None:
    host = Host()
    first = only_ask(host.lease("8.0.0.0/16", registry="arin"))
    host.lease("193.0.6.1", "193.0.9.1", registry="arin", first=True)
    out = host.answer(first, replies.network, "8.0.128.0/24")
    assert only_ask(out).address == number("193.0.6.1")
    out = host.answer(only_ask(out), replies.not_found)
    assert only_ask(out).address == number("193.0.9.1")


def test_a_known_errand_is_skipped_unless_it_is_to_be_verified() -> None:
    host = Host()
    host.do(told(3, 1, "193.0.0.0/21", registry="arin"))
    assert sent(host.lease("193.0.6.1", registry="arin", first=True), Return) == [Return(CRAWL, 7, 1, ())]
    assert only_ask(host.lease("193.0.6.1", registry="arin", first=True, verify=True)).address == number("193.0.6.1")


def test_a_lease_that_is_gone_takes_its_gaps_along_but_not_those_of_another() -> None:
    host = Host()
    host.lease("193.0.0.0/23")
    host.lease("193.0.1.0/24", "193.0.8.0/24")
    host.hear(Renewed(CRAWL, (1,), False, CLOCK))
    assert [str(each) for each in host.lane().open] == ["193.0.1.0/24", "193.0.8.0/24"]


def test_a_lease_for_a_lane_that_closed_meanwhile_goes_back_at_once() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    text = "%ERROR:201: access denied for 192.0.2.1\n% blocked permanently"
    ask = Ask(ask.lookup, "ripencc", "whois", 4, ask.address)
    out = host.do(Replied(ask.lookup, replies.whois(ask, text)), 0.1)
    assert [type(each) for each in out] == [Note, Send, Send]
    assert sent(out, Signal)[0].kind == "banned"
    assert sent(out, Return) == [Return(CRAWL, 7, 1, (Range.parse("193.0.0.0/24"),))]
    assert sent(host.lease("193.0.4.0/24"), Return) == [Return(CRAWL, 7, 2, (Range.parse("193.0.4.0/24"),))]
    assert host.do(Tick(), 5.0) != [], "it renews"
    assert not host.lane().leases


# -- elsewhere and redirects ---------------------------------------------------------------------------------------


def test_elsewhere_is_told_and_its_gap_is_left_alone() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/22", "193.0.8.0/22"))
    out = host.answer(ask, replies.moved, URLS["arin"] + "ip/193.0.2.0")
    assert (kept(out).status, kept(out).elsewhere) == ("elsewhere", "arin")
    assert [str(each) for each in host.lane().open] == ["193.0.8.0/22"]


def test_a_redirect_within_one_registry_is_followed_a_few_times() -> None:
    host = Host()
    out = host.lease("193.0.0.0/24")
    for hop in range(5):
        url = f"{URLS['ripencc']}{hop}/ip/193.0.0.128"
        out = host.answer(only_ask(out), replies.moved, url)
        assert only_ask(out) == Ask(hop + 2, "ripencc", "rdap", 4, number("193.0.0.128"), url)
    out = host.answer(only_ask(out), replies.moved, URLS["ripencc"] + "9/ip/193.0.0.128")
    assert kept(out).status == "failed"
    assert "redirects go on" in kept(out).reason


def test_a_redirect_to_where_it_came_from_is_not_followed() -> None:
    host = Host()
    url = URLS["ripencc"] + "a/ip/193.0.0.128"
    out = host.answer(only_ask(host.lease("193.0.0.0/24")), replies.moved, url)
    assert kept(host.answer(only_ask(out), replies.moved, url)).status == "failed"


# -- failures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "status"), [(replies.broken, "failed"), (replies.garbage, "malformed")])
def test_a_transient_failure_is_tried_three_times_with_growing_waits(
    reply: Callable[[Ask], Reply], status: str
) -> None:
    host = Host()
    out = host.lease("193.0.0.0/24")
    for wait_s in (0.5, 1.0):
        assert asks(host.answer(only_ask(out), reply)) == []
        assert asks(host.do(Tick(), wait_s - 0.01)) == []
        assert host.lanes.wake_at(host.now) <= host.now + 0.011
        out = host.do(Tick(), 0.01)
    out = host.answer(only_ask(out), reply)
    assert (kept(out).status, kept(out).range) == (status, Range.parse("193.0.0.128"))
    assert not host.lane().open
    assert sent(out, Return) == [Return(CRAWL, 7, 1, ())]


def test_the_next_protocol_is_asked_after_the_last_try_and_its_tries_count_anew() -> None:
    host = Host(protocols=("rdap", "whois"))
    out = host.lease("193.0.0.0/24")
    seen = []
    for _ in range(6):
        ask = only_ask(out)
        seen.append(ask.protocol)
        out = host.do(Replied(ask.lookup, replies.reply(ask, b"", 500 if ask.protocol == "rdap" else 200)), 0.1)
        if not [each for each in out if isinstance(each, Keep)] and not asks(out):
            out = host.do(Tick(), 1.0)
    assert seen == ["rdap"] * 3 + ["whois"] * 3
    assert kept(out).status == "failed", "one bad address is no reason to take the registry for dead"


def test_where_one_protocol_cannot_tell_the_other_is_asked_at_once() -> None:
    host = Host(protocols=("rdap", "whois"))
    ask = only_ask(host.lease("200.0.0.0/24", registry="lacnic"))
    out = host.answer(ask, replies.cannot_tell)
    assert only_ask(out) == Ask(2, "lacnic", "whois", 4, ask.address, None)
    assert not host.lane("lacnic").failing, "the registry did answer"


def test_a_part_of_an_answer_never_ends_as_free_space() -> None:
    host = Host(protocols=("whois",))
    out = host.lease("200.0.0.0/24", registry="lacnic")
    for _ in range(3):
        ask = only_ask(out)
        text = "% Query rate limit exceeded. Reduced information.\n"
        out = host.do(Replied(ask.lookup, replies.whois(ask, text)), 0.1)
        if not [each for each in out if isinstance(each, Keep)]:
            assert host.lanes.counters["answers_truncated"] > 0
            out = host.do(Tick(), 1.0)
    assert kept(out).status == "failed"


def test_failures_of_many_addresses_make_the_lane_pause_and_give_its_leases_back() -> None:
    host = Host(connections=FAILURES_IN_A_ROW)
    spaced = [f"193.0.{2 * each}.0/24" for each in range(FAILURES_IN_A_ROW)]
    out = host.lease(*spaced)
    for ask in asks(out):
        out = host.answer(ask, replies.broken, after_s=0.01)
    assert [type(each) for each in out] == [Note, Send, Send]
    assert sent(out, Signal)[0].kind == "unreachable"
    assert {str(each) for each in sent(out, Return)[0].unasked} == set(spaced)
    assert asks(host.lease("193.0.100.0/24")) == []


def test_an_unreachable_registry_is_left_alone_for_a_while_longer_each_time() -> None:
    host = Host()
    waits = []
    for _ in range(8):
        ask = only_ask(host.lease("193.0.0.0/24"))
        out = host.do(Broken(ask.lookup, "refused", True), 0.1)
        (note,) = (each for each in out if isinstance(each, Note))
        waits.append(note.fields["wait_s"])
        assert sent(out, Signal) == [Signal(CRAWL, 7, "ripencc", "unreachable", None, "refused")]
        assert sent(out, LeaseRequest) == [], "nothing is wished for in a pause"
        assert sent(host.lease("193.0.4.0/24"), Return) != [], "what was wished for before is for somebody else"
        out = host.do(Tick(), host.lane().paused_until - host.now + 0.001)
        assert [list(each.wants) for each in sent(out, LeaseRequest)] == [["ripencc"]]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_an_unreachable_protocol_is_left_for_the_next_without_its_redirect() -> None:
    host = Host(protocols=("rdap", "whois"))
    out = host.answer(only_ask(host.lease("193.0.0.0/24")), replies.moved, URLS["ripencc"] + "a/ip/193.0.0.128")
    out = host.do(Broken(only_ask(out).lookup, "refused", True), 0.1)
    assert only_ask(out) == Ask(3, "ripencc", "whois", 4, number("193.0.0.128"), None)


def test_a_broken_connection_is_a_failure_like_any_other() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    assert host.do(Broken(ask.lookup, "cut off", False), 0.1) == []
    assert only_ask(host.do(Tick(), 0.5)).address == ask.address
    assert host.do(Broken(99, "cut off", False)) == [], "no lookup of ours"


# -- limits and permits --------------------------------------------------------------------------------------------


def test_slow_down_is_told_at_once_and_waited_for_as_long_as_asked() -> None:
    host = Host(connections=3)
    first, *rest = asks(host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24", "193.0.6.0/24"))
    out = host.answer(first, replies.slow_down, "30")
    assert out[0] == Send(Signal(CRAWL, 7, "ripencc", "limited", 30.0, "too many requests (429)"))
    for ask in rest:
        assert asks(host.answer(ask, replies.not_found)) == []
    host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0), 5.0)
    assert asks(host.do(Tick())) == []
    assert not sent(host.do(Tick(), 24.0), PermitRequest), "no permits are hoarded in a pause"
    out = host.do(Tick(), 1.0)
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 2)]
    assert only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0))).address == first.address


@pytest.mark.parametrize("wait", ["0", "1", None])
def test_a_wait_that_is_none_is_still_a_pause(wait: str | None) -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    host.answer(ask, replies.slow_down, wait)
    assert host.lane().paused_until == pytest.approx(host.now + LIMITED_PAUSE_S)


def test_too_many_connections_of_one_host_are_nobody_else_s_business() -> None:
    host = Host(protocols=("whois",))
    ask = only_ask(host.lease("193.0.0.0/24"))
    out = host.answer(ask, replies.whois, "%ERROR:306: connections exceeded\n\n")
    assert not sent(out, Signal)
    assert host.lane().paused_until == pytest.approx(host.now + LIMITED_PAUSE_S)
    assert only_ask(host.do(Tick(), LIMITED_PAUSE_S)).address == ask.address


CUT = """
inetnum:        193.0.0.0 - 193.0.0.255
netname:        EXAMPLE
country:        NL
source:         RIPE

inetnum:        193.0.0.0 - 193.0.0.127
netna"""


def test_a_part_of_an_answer_is_asked_for_again_and_kept_when_no_more_comes() -> None:
    host = Host(protocols=("whois",))
    ask = only_ask(host.lease("193.0.0.0/24"))
    for _ in range(TRIES - 1):
        out = host.answer(ask, replies.whois, CUT)
        assert not [each for each in out if isinstance(each, Keep)]
        assert not host.lane().failing, "the registry is there"
        ask = only_ask(host.do(Tick(), 5.0))
    result = kept(host.answer(ask, replies.whois, CUT))
    assert (result.status, result.range) == ("network", Range.parse("193.0.0.0/24"))
    assert host.lanes.replica.table.hit("193.0.0.1") == Range.parse("193.0.0.0/24")


def test_an_absurd_wait_is_cut_to_a_day() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    out = host.answer(ask, replies.slow_down, "99999999")
    assert sent(out, Signal)[0].wait_s <= 86_400
    assert host.lane().paused_until <= host.now + 86_400


def test_a_coordinator_that_starts_anew_is_told_of_a_wait_that_is_not_over() -> None:
    host = Host()
    host.answer(only_ask(host.lease("193.0.0.0/24")), replies.slow_down, "30")
    host.hear(Refused(CRAWL, "not known here", False), 10.0)
    out = host.join()
    assert sent(out, Signal) == [Signal(CRAWL, 7, "ripencc", "limited", pytest.approx(20.0), "told before")]


def test_without_permits_nothing_is_asked_and_a_permit_is_used_in_its_time_or_lapses() -> None:
    host = Host(unlimited=(), connections=2)
    out = host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24")
    assert asks(out) == []
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 3)]
    assert host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.5, 1.0), 0.0)) == []
    assert host.lanes.wake_at(host.now) == host.now + 0.5
    assert len(asks(host.do(Tick(), 0.51))) == 1
    out = host.do(Tick(), 0.52)
    assert asks(out) == [], "30 ms late"
    assert sent(out, PermitRequest) != [], "the next is wished for"


def test_no_permits_are_asked_for_before_the_coordinators_clock_is_known() -> None:
    host = Host(unlimited=(), join=False)
    host.do(Tick())
    out = host.hear(Welcome(CRAWL, 7, 1, 2, 3, 2.0, (), CLOCK))
    assert sent(host.lease("193.0.0.0/24"), PermitRequest) == []
    for _ in range(ENOUGH_ANSWERS):
        (renew,) = sent(out, Renew)
        assert renew.asked_s == host.now
        assert sent(out, PermitRequest) == []
        out = host.hear(Renewed(CRAWL, (), False, CLOCK, renew.asked_s), 0.01)
    assert sent(out, Renew) == []
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 1)]


def test_a_permit_lapses_sooner_the_less_is_known_of_the_coordinators_clock() -> None:
    host = Host(unlimited=(), join=False)
    host.do(Tick())
    ahead_s, way_s = 90.0, 0.01  # our clock, and each way
    host.do(events.Received(Welcome(CRAWL, 7, 1, 2, 3, 2.0, (), host.now - ahead_s - way_s)))
    for _ in range(ENOUGH_ANSWERS):
        stamp = host.now + way_s - ahead_s
        host.do(events.Received(Renewed(CRAWL, (), False, stamp, host.now)), 2 * way_s)
    host.lease("193.0.0.0/24", "193.0.2.0/24")
    host.do(events.Received(Permits(CRAWL, "ripencc", host.now - ahead_s - way_s, (1.0 + way_s, 2.0 + way_s), 0.0)))
    lapse_s = BORNE_LATENESS_S - VARYING_WAY_S - 2 * way_s
    assert asks(host.do(Tick(), 1.0 + lapse_s + 0.001)) == []
    assert len(asks(host.do(Tick(), 1.0 - 0.002))) == 1


def test_permits_are_taken_back_by_an_empty_message_and_wished_for_anew() -> None:
    host = Host(unlimited=())
    host.lease("193.0.0.0/24")
    host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.5,), 0.0))
    out = host.hear(Permits(CRAWL, "ripencc", CLOCK, (), 0.0))
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 1)]
    assert asks(host.do(Tick(), 0.5)) == []


def test_an_empty_permits_message_ends_the_freedom_of_an_unlimited_registry() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24", "193.0.2.0/24"))
    host.hear(Permits(CRAWL, "ripencc", CLOCK, (), 0.0))
    assert asks(host.answer(ask, replies.not_found)) == []


def test_a_new_coordinator_does_not_add_its_permits_to_those_of_the_former() -> None:
    host = Host(unlimited=(), connections=4)
    host.lease("193.0.0.0/24", "193.0.2.0/24")
    host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.5, 0.6), 0.0))
    host.hear(Refused(CRAWL, "not known here", False))
    out = host.join()
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 2)]
    assert asks(host.do(Tick(), 0.55)) == []


def test_a_host_that_could_ask_ever_so_fast_wishes_for_no_more_than_can_be_dealt() -> None:
    host = Host(unlimited=(), host_rate=5_000.0, connections=50)
    ranges = [f"193.{high}.{2 * low}.0/24" for high in range(20) for low in range(100)]
    (wish,) = sent(host.lease(*ranges), PermitRequest)
    assert wish.count == 1_000
    out = host.hear(Permits(CRAWL, "ripencc", CLOCK, tuple(0.001 * each for each in range(1_000)), 0.0))
    assert len(asks(out)) == 1
    assert sent(host.do(Tick(), 2.0), PermitRequest), "it goes on asking for more"


def test_slow_lookups_make_fewer_permits_wished_for() -> None:
    host = Host(unlimited=(), host_rate=20.0, connections=1)
    ranges = [f"193.0.{2 * each}.0/24" for each in range(100)]
    (wish,) = sent(host.lease(*ranges), PermitRequest)
    assert wish.count == 21
    for _ in range(40):
        ask = only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0)))
        host.answer(ask, replies.not_found, after_s=2.0)
        host.renew()
    host.hear(Permits(CRAWL, "ripencc", CLOCK, (), 0.0))
    assert host.lane().wanted <= 2


def test_a_host_keeps_to_its_own_pace_whatever_it_may() -> None:
    host = Host(host_rate=10.0, connections=50)
    ranges = [f"193.0.{2 * each}.0/24" for each in range(100)]
    times = [host.now] * len(asks(host.lease(*ranges)))
    while len(times) < 40:
        out = host.do(Tick(), max(0.001, host.lanes.wake_at(host.now) - host.now))
        times += [host.now] * len(asks(out))
        assert host.now < 120.0
    assert max(sum(at <= each < at + 1.0 for each in times) for at in times) <= 10
    assert 39 / (times[-1] - times[0]) > 9.0


# -- results -------------------------------------------------------------------------------------------------------


def test_acknowledged_results_leave_the_spool_and_others_are_sent_again() -> None:
    host = Host()
    out = host.lease("193.0.0.0/24", "193.0.2.0/24")
    for _ in range(2):
        out = host.answer(only_ask(out), replies.not_found)
    assert host.hear(Acknowledge(CRAWL, 7, ((1, 1),))) == [Forget(7, ((1, 1),))]
    assert list(host.lanes.findings.unacknowledged) == [(7, 2)]
    assert Resend() not in host.do(Tick(), RESEND_S - 0.5)
    assert Resend() in host.do(Tick(), 2.0)
    assert Resend() not in host.do(Tick(), 2.0)
    host.hear(Acknowledge(CRAWL, 7, ((1, 2**50),)))
    assert host.lanes.findings.unacknowledged == {}


def test_what_an_earlier_process_left_is_sent_first_and_work_waits_for_it() -> None:
    host = Host(join=False)
    host.do(Recovered(((3, 1), (3, 2))))
    out = host.join()
    assert out == [Joined(CRAWL, 7, 1, 2, 3), Resend()]
    out = host.hear(Acknowledge(CRAWL, 3, ((1, 2),)), 0.5)
    assert out[0] == Forget(3, ((1, 2),))
    assert sent(out, LeaseRequest) != []


def test_work_does_not_wait_for_ever_for_an_earlier_spool() -> None:
    host = Host(join=False)
    host.do(Recovered(((3, 1),)))
    host.join()
    assert sent(host.do(Tick(), RESEND_S), LeaseRequest) != []


def test_a_full_spool_stops_the_asking_without_spinning() -> None:
    host = Host(join=False)
    host.do(Recovered(tuple((3, each) for each in range(MOST_UNACKNOWLEDGED))))
    host.join()
    assert asks(host.lease("193.0.0.0/24")) == []
    assert len(asks(host.hear(Acknowledge(CRAWL, 3, ((0, MOST_UNACKNOWLEDGED),))))) == 1


def test_gossip_that_touches_no_gap_of_ours_is_learned_and_no_more() -> None:
    host = Host()
    host.lease("193.0.0.0/24")
    late = host.now + 1.5  # metrics are due
    host.now = late
    assert host.lanes.handle(told(3, 1, "8.0.0.0/9", registry="arin"), late) == []
    assert host.lanes.replica.table.hit("8.1.2.3") == Range.parse("8.0.0.0/9")
    assert host.lanes.counters["hits"] == 0
    assert host.lanes.handle(Tick(), late) != []


def test_renewals_name_the_leases_and_what_is_left_of_them() -> None:
    host = Host()
    host.lease("193.0.0.0/24")
    assert Send(Renew(CRAWL, 7, {1: 1}, host.now + 2.0)) in host.do(Tick(), 2.0)


# -- the end -------------------------------------------------------------------------------------------------------


def test_the_end_of_the_crawl_is_the_end_of_the_worker_once_its_spool_is_empty() -> None:
    host = Host()
    host.answer(only_ask(host.lease("193.0.0.0/24")), replies.not_found)
    assert not [each for each in host.hear(Renewed(CRAWL, (), True, CLOCK)) if isinstance(each, Stop)]
    out = host.hear(Acknowledge(CRAWL, 7, ((1, 1),)))
    assert out[0] == Forget(7, ((1, 1),))
    assert [type(each.message) for each in out if isinstance(each, Send)] == [Leave]
    assert out[-1] == Stop()
    assert host.do(Tick(), 1.0) == []


def test_a_draining_worker_waits_for_its_answers_and_gives_back_what_they_leave() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    assert sent(host.do(Drain()), Return) == []
    assert host.lanes.draining
    assert host.do(Drain()) == []
    assert sent(host.lease("193.0.4.0/24"), Return) == [Return(CRAWL, 7, 2, (Range.parse("193.0.4.0/24"),))]
    out = host.answer(ask, replies.not_found)
    assert kept(out).status == "unallocated"
    assert sent(out, Return) == [Return(CRAWL, 7, 1, ())]
    assert Stop() not in out
    assert host.hear(Acknowledge(CRAWL, 7, ((1, 1),)))[-1] == Stop()


def test_a_drain_ends_in_time_with_results_in_the_spool() -> None:
    host = Host()
    host.answer(only_ask(host.lease("193.0.0.0/24")), replies.not_found)
    host.do(Drain())
    assert Stop() not in host.do(Tick(), DRAIN_S - 0.1)
    assert Stop() in host.do(Tick(), 0.1)
    assert host.lanes.findings.unacknowledged


def test_a_worker_that_never_joined_stops_at_once() -> None:
    host = Host(join=False)
    assert Stop() in host.do(Drain())


def test_hours_of_work_leave_no_heap_of_old_gaps_behind() -> None:
    host = Host(connections=4)
    for block in range(30):
        out = host.lease(f"193.{block}.0.0/20")
        waiting = asks(out)
        while waiting:
            ask = waiting.pop(0)
            waiting += asks(host.answer(ask, replies.not_found, after_s=0.01))
        host.hear(Acknowledge(CRAWL, 7, ((1, 10_000),)))
    assert len(host.lane()._heap) < 100
