"""What a worker does with the prior's aims, and with leases that are good for few questions."""

from __future__ import annotations

import replies
from hypothesis import given
from hypothesis import strategies as st
from stage import CLOCK, CRAWL, Host, asks, number, only_ask, sent, told

from whoismesh.addresses import Range, format_address
from whoismesh.compounds import LeaseGrant
from whoismesh.lanes.aims import LaneAims
from whoismesh.lanes.events import Ask, Instruction, Tick
from whoismesh.lanes.outcomes import RETRY_S
from whoismesh.messages import Leases, PermitRequest, Permits, Return, Split, Yield
from whoismesh.prior import Aim
from whoismesh.rangesets import RangeSet


def aimed(host: Host, *ranges: str, aims: tuple[str, ...] = (), rows: int = 1, questions: int = 0) -> list[Instruction]:
    host.grants += 1
    wanted = tuple(Aim(Range.parse(each), rows) for each in aims)
    where = tuple(map(Range.parse, ranges))
    return host.hear(Leases(CRAWL, (LeaseGrant(host.grants, "ripencc", where, False, False, wanted, questions),)))


def address(ask: Ask) -> str:
    return format_address(ask.family, ask.address)


def test_aims_come_first_the_largest_first_at_their_first_addresses_also_where_they_touch() -> None:
    host = Host(connections=3)
    out = aimed(host, "193.0.0.0/20", aims=("193.0.6.0/23", "193.0.4.0/23", "193.0.8.0/21"))
    assert [address(each) for each in asks(out)] == ["193.0.8.0", "193.0.4.0", "193.0.6.0"]
    out = host.answer(asks(out)[0], replies.network, "193.0.8.0/21")
    assert asks(out) == [], "the gap that is left holds what is being asked about"


def test_after_the_aims_the_rest_is_gaps() -> None:
    host = Host()
    ask = only_ask(aimed(host, "193.0.0.0/21", aims=("193.0.4.0/22",)))
    assert address(ask) == "193.0.4.0"
    assert address(only_ask(host.answer(ask, replies.network, "193.0.4.0/22"))) == "193.0.2.0"


def test_an_answer_smaller_than_its_aim_leaves_a_question_for_each_further_row() -> None:
    host = Host()
    ask = only_ask(aimed(host, "193.0.0.0/20", aims=("193.0.0.0/21",), rows=2))
    ask = only_ask(host.answer(ask, replies.network, "193.0.0.0/24"))
    assert address(ask) == "193.0.1.0"
    ask = only_ask(host.answer(ask, replies.network, "193.0.1.0/24"))
    assert address(ask) == "193.0.8.0", "the middle of what is left"


def test_where_nobody_holds_an_aim_its_rest_is_a_gap() -> None:
    host = Host()
    ask = only_ask(aimed(host, "193.0.0.0/21", aims=("193.0.0.0/21",), rows=9))
    assert address(only_ask(host.answer(ask, replies.not_found))) == "193.0.4.0"


def test_an_aim_that_is_elsewhere_closes_no_other() -> None:
    host = Host()
    ask = only_ask(aimed(host, "193.0.0.0/21", aims=("193.0.0.0/22", "193.0.4.0/22")))
    ask = only_ask(host.answer(ask, replies.moved, "https://arin.test/ip/193.0.0.0"))
    assert address(ask) == "193.0.4.0"
    assert list(host.lane().open) == [Range.parse("193.0.4.0/22")]


def test_not_found_where_only_a_hint_sent_the_question_closes_all_of_the_aim() -> None:
    host = Host()
    host.grants += 1
    where = Range.parse("193.0.0.0/21")
    grant = LeaseGrant(host.grants, "apnic", (where,), False, False, (Aim(where, 1),))
    ask = only_ask(host.hear(Leases(CRAWL, (grant,))))
    out = host.answer(ask, replies.not_found)
    assert asks(out) == [] and sent(out, Return) == [Return(CRAWL, 7, host.grants, ())]


def test_what_gossip_knows_is_no_aim_any_more() -> None:
    host = Host()
    aimed(host, "193.0.0.0/20", aims=("193.0.0.0/22", "193.0.4.0/23", "193.0.8.0/24"))
    host.do(told(0, 1, "193.0.4.0/22"))
    assert len(host.lane().aims) == 1
    assert host.lane().aims.at(4, number("193.0.4.0")) is None
    assert host.lane().aims.at(4, number("193.0.8.9")) == Range.parse("193.0.8.0/24")


def test_a_split_gives_away_whole_aims_although_their_gaps_touch() -> None:
    host = Host()
    parts = tuple(f"193.0.{8 * each}.0/21" for each in range(4))
    aimed(host, "193.0.0.0/19", aims=parts)
    (message,) = sent(host.hear(Split(CRAWL, 1)), Yield)
    assert message.ranges == (Range.parse("193.0.24.0/21"),)
    assert list(host.lane().open) == [Range.parse("193.0.0.0-193.0.23.255")]
    (held,) = host.lane().leases.values()
    assert [str(where) for where, _ in held.grant.aims] == list(parts[:3])


def test_permits_are_wished_for_by_aims_not_by_gaps() -> None:
    host = Host(unlimited=(), connections=4)
    parts = tuple(f"193.0.{2 * each}.0/23" for each in range(16))
    (wish,) = sent(aimed(host, "193.0.0.0/19", aims=parts), PermitRequest)
    assert wish.count == 16


def test_a_lease_that_had_its_questions_goes_back_but_for_what_is_being_asked() -> None:
    host = Host(connections=2)
    out = aimed(host, "193.0.0.0/21", "193.0.16.0/21", "193.0.32.0/21", questions=2)
    first, second = asks(out)
    assert [address(first), address(second)] == ["193.0.4.0", "193.0.20.0"]
    assert sent(out, Yield) == [Yield(CRAWL, 7, 1, (Range.parse("193.0.32.0/21"),))]
    out = host.answer(first, replies.network, "193.0.4.0/23")
    assert asks(out) == []
    assert sent(out, Yield) == [Yield(CRAWL, 7, 1, (Range.parse("193.0.0.0/22"), Range.parse("193.0.6.0/23")))]
    out = host.answer(second, replies.network, "193.0.16.0/21")
    assert sent(out, Return) == [Return(CRAWL, 7, 1, ())]


def test_a_question_that_is_asked_again_is_no_new_one_and_stays() -> None:
    host = Host()
    out = aimed(host, "193.0.0.0/21", questions=1)
    out = host.answer(only_ask(out), replies.slow_down)
    assert sent(out, Yield) == []
    assert list(host.lane().open) == [Range.parse("193.0.0.0/21")]


runs = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20), st.integers(1, 3)), max_size=12)
blocks = st.lists(st.tuples(st.integers(0, 220), st.integers(1, 30)), max_size=12)


@given(runs, blocks)
def test_every_aim_is_asked_about_once_a_row_while_something_of_it_is_open(
    runs: list[tuple[int, int, int]], blocks: list[tuple[int, int]]
) -> None:
    open_space = RangeSet([Range(4, 0, 250)])
    aims, end = [], -1
    for first, size, rows in sorted(runs):
        if first > end:
            aims.append(Aim(Range(4, first, first + size - 1), rows))
            end = first + size - 1
    lane = LaneAims(open_space)
    lane.add(aims)
    for first, size in blocks:
        block = Range(4, first, first + size - 1)
        open_space.remove(block)
        lane.closed(block)
    left = [each for each in aims if open_space.meets(each.range)]
    for each in aims:
        inside = range(each.range.first, each.range.last + 1)
        expected = each.range if each in left else None
        assert {lane.at(4, address) for address in inside} == {expected}
    whole = Range(4, 0, 250)
    parts = lane.parts(whole)
    assert RangeSet(parts) == RangeSet([whole]) and sum(part.size for part in parts) == whole.size
    assert all(each.range in parts for each in left)
    asked = []
    while (found := lane.next_address(())) is not None:
        asked.append(found[1])
    wanted = [
        open_space.present(each.range)[0].first
        for each in sorted(left, key=lambda aim: (-aim.range.size, aim.range))
        for _ in range(each.rows)
    ]
    assert asked == wanted
    assert len(lane) == 0


def test_a_question_that_failed_gets_a_permit_though_its_lease_had_all_of_its_questions() -> None:
    host = Host(unlimited=())
    aimed(host, "193.0.0.0/21", questions=1)
    ask = only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0)))
    out = host.answer(ask, replies.broken)
    out += host.do(Tick(), RETRY_S)
    assert [each.count for each in sent(out, PermitRequest)] == [1]
    assert only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0))).address == ask.address
