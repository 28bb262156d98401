"""Leases at a worker: half of one given back, and none worked on after a pause before it is known to be ours."""

from __future__ import annotations

import replies
from stage import CLOCK, CRAWL, Host, asks, only_ask, sent

from whoismesh.addresses import Range
from whoismesh.lanes.coordinator_clock import ENOUGH_ANSWERS
from whoismesh.lanes.events import Tick
from whoismesh.lanes.findings import LONGEST_RESEND_S, RESEND_S, Findings
from whoismesh.lanes.membership import PAUSE_S
from whoismesh.messages import Join, Permits, Refused, Renew, Renewed, Split, Yield


def test_half_of_what_is_untouched_is_given_back_and_the_rest_goes_on() -> None:
    host = Host()
    host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24", "193.0.6.0/24", "193.0.8.0/24")
    (asked,) = host.lane().lookups.values()
    assert Range.parse("193.0.0.0/24").holds(4, asked.address)
    out = host.hear(Split(CRAWL, 1))
    given = (Range.parse("193.0.6.0/24"), Range.parse("193.0.8.0/24"))
    assert sent(out, Yield) == [Yield(CRAWL, 7, 1, given)]
    assert not any(host.lane().open.meets(each) for each in given)
    assert sent(host.do(Tick(), 2.0), Renew)[0].leases == {1: 3}


def test_one_large_untouched_gap_is_cut_in_the_middle() -> None:
    host = Host(connections=0)
    host.lease("193.0.0.0/16")
    (told,) = sent(host.hear(Split(CRAWL, 1)), Yield)
    assert told.ranges == (Range.parse("193.0.128.0/17"),)


def test_a_gap_in_which_something_is_asked_or_a_small_one_is_kept() -> None:
    host = Host()
    host.lease("193.0.0.0/16")
    assert sent(host.hear(Split(CRAWL, 1)), Yield) == [Yield(CRAWL, 7, 1, ())]
    small = Host(connections=0)
    small.lease("193.0.0.0/24")
    assert sent(small.hear(Split(CRAWL, 1)), Yield) == [Yield(CRAWL, 7, 1, ())]


def test_a_lease_that_is_gone_is_not_split() -> None:
    assert sent(Host().hear(Split(CRAWL, 5)), Yield) == [Yield(CRAWL, 7, 5, ())]


def test_what_was_given_back_is_not_announced_as_held() -> None:
    host = Host(connections=0)
    host.lease("193.0.0.0/16")
    host.hear(Split(CRAWL, 1))
    (join,) = sent(host.hear(Refused(CRAWL, "join again", False)), Join)
    assert join.leases[0].ranges == (Range.parse("193.0.0.0/17"),)


def test_what_comes_back_in_a_new_lease_is_not_given_back_with_the_old_one() -> None:
    host = Host()
    (first,) = asks(host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24", questions=2))
    # The coordinator has the other registry asked, and lends anew what that answer has left.
    (second,) = asks(host.answer(first, replies.moved, replies.URLS["apnic"]))
    assert sent(host.lease("193.0.0.0/24"), Yield) == []
    out = host.answer(second, replies.not_found)
    assert sent(out, Yield) == []
    assert Range.parse("193.0.0.0/24").holds(4, only_ask(out).address)


def test_after_a_pause_a_worker_renews_before_it_asks() -> None:
    host = Host(connections=2)
    first, _ = asks(host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24"))
    host.now += PAUSE_S + 1
    out = host.do(host.reply_to(first, replies.not_found), paused=True)
    assert asks(out) == []
    assert [each.leases for each in sent(out, Renew)] == [{1: 2}]
    assert len(asks(host.hear(Renewed(CRAWL, (), False, CLOCK), 0.1))) == 1


def test_after_a_pause_a_worker_that_hears_nothing_goes_on_with_its_leases() -> None:
    host = Host(connections=2)
    first, _ = asks(host.lease("193.0.0.0/24", "193.0.2.0/24", "193.0.4.0/24"))
    host.now += 60.0
    assert asks(host.do(host.reply_to(first, replies.not_found), paused=True)) == []
    assert asks(host.do(Tick(), 3.9)) == []
    assert len(asks(host.do(Tick(), 0.2))) == 1


def test_a_lease_that_went_to_somebody_else_in_a_pause_is_not_worked_on() -> None:
    host = Host()
    only_ask(host.lease("193.0.0.0/24", "193.0.2.0/24"))
    host.now += 60.0
    host.do(Tick(), paused=True)
    assert asks(host.hear(Renewed(CRAWL, (1,), False, CLOCK))) == []
    assert not host.lane().open


def test_results_are_sent_again_ever_more_seldom_until_something_is_acknowledged() -> None:
    findings = Findings()
    findings.recover([(1, 1), (1, 2)])
    now, waits = 0.0, []
    findings.sent(now)
    for _ in range(6):
        start = now
        while not findings.overdue(now):
            now += 0.5
        findings.sent(now)
        waits.append(now - start - 0.5)
    assert waits == [10.0, 20.0, 40.0, LONGEST_RESEND_S, LONGEST_RESEND_S, LONGEST_RESEND_S]
    findings.acknowledged(1, [(1, 1)])
    assert not findings.overdue(now + RESEND_S)
    assert findings.overdue(now + RESEND_S + 0.1)


def test_permits_that_waited_out_a_pause_are_not_used_and_asked_for_again() -> None:
    host = Host(unlimited=(), host_rate=10.0)
    host.lease("193.0.0.0/24")
    host.now += 60.0
    host.do(Tick(), paused=True)
    assert asks(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0, 0.1), 0.0))) == []
    host.now += 0.05
    assert asks([out for _ in range(ENOUGH_ANSWERS) for out in host.renew()]) == []
    assert asks(host.do(Tick(), 0.2)) == []
    assert host.lane().wanted > 0
    assert len(asks(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0)))) == 1
