"""A worker whose host may end soon: it takes no new lease, and works on those it has."""

from __future__ import annotations

import replies
from stage import ALONE, CLOCK, CRAWL, UNLIMITED, Host, asks, only_ask, sent

from whoismesh.addresses import Range
from whoismesh.compounds import LeaseGrant
from whoismesh.lanes.events import Drain, Recovered, Rest, Send, Stop, Tick
from whoismesh.lanes.status import status_line
from whoismesh.messages import (
    Acknowledge,
    Join,
    LeaseRequest,
    Leases,
    Leave,
    Refused,
    Renew,
    Renewed,
    Resting,
    Return,
    Split,
    Welcome,
    Yield,
)

WHY = "rebalance recommendation"
RESTING = Send(Resting(CRAWL, 7, WHY))


def test_a_worker_that_rests_says_so_once_and_goes_on_with_its_leases() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24", "193.0.2.0/24"))
    assert host.do(Rest(WHY)) == [RESTING]
    assert host.do(Rest(WHY)) == []
    out = host.answer(ask, replies.not_found)
    ask = only_ask(out)
    assert sent(out, LeaseRequest) == []
    out = host.answer(ask, replies.not_found)
    assert sent(out, Return) == [Return(CRAWL, 7, 1, ())]
    assert sent(out, LeaseRequest) == [] and asks(out) == []


def test_a_lease_that_was_on_its_way_goes_back_whole() -> None:
    host = Host()
    host.do(Rest(WHY))
    grant = LeaseGrant(1, "ripencc", (Range.parse("193.0.0.0/24"),), False, False)
    assert host.hear(Leases(CRAWL, (grant,))) == [Send(Return(CRAWL, 7, 1, grant.ranges))]


def test_half_of_a_lease_is_still_given_back_on_request() -> None:
    host = Host(connections=0)
    host.lease("193.0.0.0/16")
    host.do(Rest(WHY))
    assert sent(host.hear(Split(CRAWL, 1)), Yield)[0].ranges == (Range.parse("193.0.128.0/17"),)


def test_a_worker_that_rests_without_a_lease_stays_and_ends_with_the_crawl() -> None:
    host = Host()
    host.do(Rest(WHY))
    for _ in range(30):
        out = host.do(Tick(), 2.0)
        assert [type(each.message) for each in out if isinstance(each, Send)] == [Renew]
    out = host.hear(Renewed(CRAWL, (), True, CLOCK))
    assert sent(out, Leave) and out[-1] == Stop()


def test_whoever_takes_it_in_is_told_again() -> None:
    host = Host(join=False)
    host.do(Tick())
    assert host.do(Rest(WHY)) == []
    out = host.hear(Welcome(CRAWL, 7, 1, 2, 3, 2.0, UNLIMITED, CLOCK))
    assert out[1] == RESTING and sent(out, LeaseRequest) == []
    host.hear(ALONE)
    assert sent(host.hear(Refused(CRAWL, "join again", False)), Join)
    assert host.hear(Welcome(CRAWL, 7, 1, 2, 3, 2.0, UNLIMITED, CLOCK))[1] == RESTING


def test_a_worker_that_rests_delivers_and_leaves_when_it_is_told_to_stop() -> None:
    host = Host()
    ask = only_ask(host.lease("193.0.0.0/24"))
    host.do(Rest(WHY))
    host.do(Drain())
    host.answer(ask, replies.not_found)
    out = host.hear(Acknowledge(CRAWL, 7, ((1, 1),)))
    assert sent(out, Leave) and out[-1] == Stop()


def test_what_it_does_is_told_in_a_line() -> None:
    host = Host()
    host.lease("193.0.0.0/24")
    host.do(Recovered(((3, 1), (3, 2))))
    assert status_line(host.lanes, "tcp://c:1", None) == "working; 1 leases, 1 lookups, 0 hits, 2 undelivered"
    host.do(Rest(WHY))
    assert status_line(host.lanes, "tcp://c:1", None).startswith(f"resting, takes no new lease: {WHY}; 1 leases, ")
    assert status_line(host.lanes, "tcp://c:1", 34.6).startswith("waiting for the coordinator at tcp://c:1 for 35 s; ")
