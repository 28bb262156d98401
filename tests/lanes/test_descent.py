"""Descents: which questions are asked, what is believed of their answers, and that nothing in a network is missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import BASES, URLS, Oracle
from replies import slow_down
from stage import CLOCK, CRAWL, Host, asks, only_ask, sent, told

from whoismesh.addresses import Range
from whoismesh.answers import Listing
from whoismesh.compounds import ASSIGNMENT, PART, Result
from whoismesh.lanes.descent import (
    FINAL_TYPES,
    MOST_QUESTIONS,
    Descent,
    Question,
    Relation,
    Way,
    is_final,
    may_have_parent,
)
from whoismesh.lanes.events import Ask, Broken, Drain, Instruction, Keep, Replied, Tick
from whoismesh.ledger.account import Account
from whoismesh.messages import Acknowledge, PermitRequest, Permits, Return, Signal
from whoismesh.networks import Network
from whoismesh.packing import unpack
from whoismesh.practice.row import Row
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

BASE = URLS["ripencc"]
#: The smallest assignment is one address: then gaps find all that answers for any.
EVERYTHING = {4: 32, 6: 128}


def net(text: str, kind: str = "ALLOCATED PA", parent: str | None = None, registry: str = "ripencc") -> Network:
    return Network(registry, Range.parse(text), type=kind, parent=parent)


def below(text: str) -> Question:
    where = Range.parse(text)
    return Question(Relation.DOWN, where, f"{BASE}ips/rirSearch1/rdap-down/{where}")


def above(text: str) -> Question:
    return replace(below(text), relation=Relation.UP, url=f"{BASE}ips/rirSearch1/rdap-up/{text}")


def take(descent: Descent) -> list[Question]:
    found = list(descent.waiting)
    descent.waiting.clear()
    return found


# -- one descent, question by question -------------------------------------------------------------------------------


def test_by_relation_searches_it_goes_up_to_the_widest_network_and_then_down_level_by_level():
    descent = Descent(net("193.0.1.0/24"), Way.SEARCH, BASE, {"rdap-up": f"{BASE}ips/rirSearch1/rdap-up/193.0.1.0/24"})
    assert take(descent) == [above("193.0.1.0/24")]
    assert descent.listed(above("193.0.1.0/24"), Listing((net("193.0.0.0/21"),))) == [net("193.0.1.0/24")]
    assert take(descent) == [above("193.0.0.0/21")]
    assert descent.listed(above("193.0.0.0/21"), Listing()) == []
    assert descent.top == net("193.0.0.0/21")
    assert take(descent) == [below("193.0.0.0/21")]
    children = (net("193.0.1.0/24"), net("193.0.2.0/24", "ASSIGNED PA"), net("193.0.4.0/22"))
    assert descent.listed(below("193.0.0.0/21"), Listing(children)) == list(children[1:])  # the first is known
    assert take(descent) == [below("193.0.1.0/24"), below("193.0.4.0/22")]  # an assignment has nothing in it
    assert not descent.over
    assert descent.listed(below("193.0.1.0/24"), Listing()) == []
    assert descent.listed(below("193.0.4.0/22"), Listing((net("193.0.5.7/32"),))) == [net("193.0.5.7/32")]
    assert descent.over and not take(descent) and not descent.refused


def test_a_parent_as_wide_as_what_iana_gave_the_registry_is_not_asked_about():
    block = "193.0.0.0 - 193.255.255.255"
    descent = Descent(net("193.0.0.0/21", parent=block), Way.SEARCH, BASE)
    assert take(descent) == [below("193.0.0.0/21")]
    assert not may_have_parent(net("193.0.0.0/21", parent="0.0.0.0 - 255.255.255.255"))
    assert not may_have_parent(net("24.0.0.0/16", parent="NET-24-0-0-0-0", registry="arin"))
    assert may_have_parent(net("24.0.0.0/16", parent="NET-24-0-0-0-1", registry="arin"))
    assert may_have_parent(net("193.0.0.0/21", parent="193.0.0.0 - 193.0.255.255"))
    assert may_have_parent(net("193.0.0.0/21"))
    assert not may_have_parent(net("193.0.0.0/8"))


def test_at_port_43_the_keys_of_what_is_around_come_first_and_all_levels_below_at_once():
    where = Range.parse("193.0.1.0/24")
    descent = Descent(net("193.0.1.0/24"), Way.FLAGS, BASE)
    keys, around = Question(Relation.AROUND_KEYS, where), Question(Relation.AROUND, where)
    assert take(descent) == [keys]
    assert descent.listed(keys, Listing((net("193.0.0.0/20"), net("193.0.1.0/24")))) == []
    assert take(descent) == [around]
    lines = (net("193.0.0.0/20"), net("193.0.0.0/22"), net("193.0.1.0/24"))
    assert descent.listed(around, Listing(lines)) == [net("193.0.1.0/24"), net("193.0.0.0/22")]
    down = Question(Relation.DOWN, Range.parse("193.0.0.0/20"))
    assert take(descent) == [down]
    assert descent.listed(down, Listing((net("193.0.9.0/24"),))) == [net("193.0.9.0/24")]
    assert descent.over and descent.top == net("193.0.0.0/20")


def test_keys_without_anything_wider_save_the_second_question():
    descent = Descent(net("193.0.1.0/24"), Way.FLAGS, BASE)
    (keys,) = take(descent)
    descent.listed(keys, Listing((net("193.0.1.0/24"),)))
    assert take(descent) == [Question(Relation.DOWN, Range.parse("193.0.1.0/24"))]


def test_a_range_that_is_too_wide_is_halved_and_its_seam_asked_about():
    top = net("193.0.0.0/22", parent="193.0.0.0 - 193.255.255.255")
    descent = Descent(top, Way.FLAGS, BASE)
    (down,) = take(descent)
    assert descent.listed(down, Listing(too_wide=True)) == []
    beside = [Question(Relation.AROUND, Range.parse(text)) for text in ("193.0.1.255/32", "193.0.2.0/32")]
    halves = [Question(Relation.DOWN, Range.parse(text)) for text in ("193.0.0.0/23", "193.0.2.0/23")]
    assert take(descent) == [*beside, *halves]
    across = net("193.0.1.0-193.0.2.255")
    assert descent.listed(beside[0], Listing((top, across))) == [across]
    assert descent.listed(beside[1], Listing((top, across))) == []
    assert descent.listed(halves[0], Listing((net("193.0.0.0/24"),))) == [net("193.0.0.0/24")]
    assert descent.listed(halves[1], Listing((net("193.0.2.0/23"),))) == [net("193.0.2.0/23")]  # just the half
    assert descent.over and not descent.refused


def test_a_list_that_was_cut_is_kept_and_asked_for_by_halves():
    descent = Descent(net("193.0.0.0/22", parent="193.0.0.0 - 193.255.255.255"), Way.SEARCH, BASE)
    (down,) = take(descent)
    assert descent.listed(down, Listing((net("193.0.0.0/24", "ASSIGNED PA"),), whole=False)) != []
    points = [Question(Relation.POINT, Range.parse(text)) for text in ("193.0.1.255/32", "193.0.2.0/32")]
    assert take(descent) == [*points, below("193.0.0.0/23"), below("193.0.2.0/23")]
    # What holds an address beside the seam may itself lie in something that crosses it.
    assert descent.listed(points[0], Listing((net("193.0.1.128/25"),))) == [net("193.0.1.128/25")]
    assert take(descent) == [above("193.0.1.128/25")]
    assert descent.listed(above("193.0.1.128/25"), Listing((net("193.0.0.0/22"),))) == []
    assert take(descent) == []


def test_what_lies_outside_of_the_range_asked_about_is_dropped_and_counted():
    descent = Descent(net("193.0.0.0/22", parent="193.0.0.0 - 193.255.255.255"), Way.SEARCH, BASE)
    (down,) = take(descent)
    liars = (net("193.0.4.0/24"), net("193.0.0.0/21"), net("0.0.0.0/0"), net("193.0.3.0-193.0.4.255"))
    assert descent.listed(down, Listing((*liars, net("193.0.0.0/22"), net("193.0.3.0/24")), dropped=2)) == [
        net("193.0.3.0/24")
    ]
    assert descent.refused == len(liars) + 2
    # A child that names its parent as its own child leads nowhere.
    (again,) = take(descent)
    assert descent.listed(again, Listing((net("193.0.0.0/22"), net("193.0.3.0/24")))) == []
    assert descent.over


def test_parents_without_end_are_left_after_some_levels():
    descent = Descent(net("193.0.0.0/32"), Way.SEARCH, BASE)
    questions = 0
    for length in range(31, 8, -1):
        (question,) = take(descent)
        questions += 1
        if question.relation is Relation.DOWN:
            break
        descent.listed(question, Listing((net(f"193.0.0.0/{length}"),)))
    assert question.relation is Relation.DOWN
    assert questions == 17


def test_a_registry_that_refuses_every_range_ends_a_descent():
    descent = Descent(net("193.0.0.0/13", parent="193.0.0.0 - 193.255.255.255"), Way.FLAGS, BASE)
    asked = 0
    while not descent.over:
        for question in take(descent):
            asked += 1
            descent.listed(question, Listing(too_wide=True))
    assert asked == MOST_QUESTIONS and descent.cut


def test_links_are_followed_and_what_is_no_cidr_and_has_none_is_halved():
    odd = Range.parse("193.0.0.0-193.0.2.255")
    link = f"{BASE}ips/rirSearch1/rdap-down/193.0.0.0%20-%20193.0.2.255"
    descent = Descent(net(str(odd), parent="193.0.0.0 - 193.255.255.255"), Way.SEARCH, BASE, {"rdap-down": link})
    assert take(descent) == [Question(Relation.DOWN, odd, link)]
    descent = Descent(net(str(odd), parent="193.0.0.0 - 193.255.255.255"), Way.SEARCH, BASE)
    questions = take(descent)
    assert [each.range for each in questions if each.relation is Relation.DOWN] == [
        Range.parse("193.0.0.0/23"),
        Range.parse("193.0.2.0/24"),
    ]


@pytest.mark.parametrize("kind", sorted(FINAL_TYPES))
def test_types_in_which_nothing_can_lie(kind):
    assert is_final(net("193.0.0.0/24", kind.upper()))
    assert not is_final(net("193.0.0.0/24", f"{kind} not"))


# -- a worker's descents ---------------------------------------------------------------------------------------------

PARENT = Row(Range.parse("193.0.0.0/22"), "ripencc", "NL", "allocated", "20010203", "x", "Parent B.V.")
CHILD = PARENT._replace(range=Range.parse("193.0.1.0/24"), status="assigned", holder="AS1", name="Child", level=2)
OTHER = CHILD._replace(range=Range.parse("193.0.3.128/25"), holder="AS2", name="Other")


def worker(**more) -> Host:
    return Host(**{"protocols": ("rdap", "whois"), "assignments": {4: 24, 6: 48}, "bases": BASES} | more)


class Run:
    """A worker, a registry and a coordinator that acknowledges what it is sent."""

    def __init__(self, oracle: Oracle, host: Host, registry: str = "ripencc") -> None:
        self.oracle, self.host, self.registry = oracle, host, registry
        self.results: list[Result] = []
        self._queue: list[Instruction] = []

    def lease(self, *ranges: str) -> None:
        self.carry_out(self.host.lease(*ranges, registry=self.registry))

    def carry_out(self, out: list[Instruction]) -> None:
        self._queue += out

    def to_the_end(self, *, acknowledge: bool = True) -> None:
        while self._queue:
            match self._queue.pop(0):
                case Ask() as ask:
                    self.carry_out(self.host.do(Replied(ask.lookup, self.oracle.reply(ask)), 0.01))
                case Keep(result):
                    self.results.append(result)
                    if acknowledge:
                        self.acknowledge(result)

    def acknowledge(self, *results: Result) -> None:
        runs = tuple((each.sequence, each.sequence) for each in results)
        self.carry_out(self.host.hear(Acknowledge(CRAWL, 7, runs), 0.01))

    @property
    def told(self) -> set[Range]:
        return {each.range for each in self.results if each.status in ("network", ASSIGNMENT)}

    def settled(self) -> Account:
        """Return what a ledger makes of the results."""
        space = [Range.parse("193.0.0.0/22")]
        account = Account(space, 3)
        for result in self.results:
            account.settle(result, 0.0)
        return account


ROWS = (PARENT, CHILD, OTHER)
SEARCHABLE = {"rir_search": ("ripencc",)}


@pytest.mark.parametrize(
    ("oracle", "more", "questions"),
    [
        (SEARCHABLE, {}, 2),  # the address, rdap-down
        ({}, {}, 2),  # the address, -M: RDAP has told that there is nothing around
        ({}, {"protocols": ("whois",)}, 3),  # the address, -K -L, -M
    ],
)
def test_each_way_finds_parent_and_children_and_settles_last(oracle, more, questions):
    run = Run(Oracle(ROWS, **oracle), worker(**more))
    run.lease("193.0.0.0/22")
    run.to_the_end()
    assert run.told == {row.range for row in ROWS}
    assert len(run.oracle.asked) == questions
    account = run.settled()
    assert account.coverage.complete and account.networks["ripencc"] == 1
    *records, last = run.results
    assert [each.status for each in records] == [ASSIGNMENT] * 2
    assert (last.status, last.range) == ("network", PARENT.range)
    assert [unpack(each.payload)["holder"]["name"] for each in run.results] == ["Child", "Other", "Parent B.V."]


def test_nothing_is_settled_before_the_children_are_on_disk():
    run = Run(Oracle(ROWS, **SEARCHABLE), worker())
    run.lease("193.0.0.0/22")
    run.to_the_end(acknowledge=False)
    assert [each.status for each in run.results] == [ASSIGNMENT] * 2
    lane = run.host.lane()
    assert lane.leases and list(lane.held) == [PARENT.range] and not lane.open
    run.acknowledge(run.results[0])
    run.to_the_end(acknowledge=False)
    assert len(run.results) == 2
    run.acknowledge(run.results[1])
    run.to_the_end(acknowledge=False)
    assert [each.status for each in run.results] == [ASSIGNMENT, ASSIGNMENT, "network"]
    assert not lane.held and not lane.leases


def test_without_depth_nothing_is_descended_into():
    run = Run(Oracle(ROWS, **SEARCHABLE), worker(assignments=None))
    run.lease("193.0.0.0/22")
    run.to_the_end()
    assert {each.status for each in run.results} == {"network"}
    assert run.settled().coverage.complete
    assert not [name for name in run.host.lanes.counters if "descents" in name or "assignments" in name]


def test_a_network_that_is_all_handed_on_is_found_from_its_children():
    halves = [CHILD._replace(range=Range.parse(text)) for text in ("193.0.0.0/23", "193.0.2.0/23")]
    for oracle, more in ((SEARCHABLE, {}), ({}, {}), ({}, {"protocols": ("whois",)}), ({}, {"protocols": ("rdap",)})):
        run = Run(Oracle([PARENT, *halves], **oracle), worker(**more))
        run.lease("193.0.0.0/22")
        run.to_the_end()
        assert run.told == {PARENT.range, *(row.range for row in halves)}
        assert run.settled().coverage.complete


def test_by_gaps_a_parent_is_told_once_and_settled_block_by_block():
    run = Run(Oracle([PARENT]), worker(protocols=("rdap",)))
    run.lease("193.0.0.0/22")
    run.to_the_end()
    assert [each.status for each in run.results] == [ASSIGNMENT, PART, PART, PART, PART]
    assert sorted(each.range for each in run.results[1:]) == [Range.parse(f"193.0.{n}.0/24") for n in range(4)]
    assert run.settled().coverage.complete
    assert len(run.oracle.asked) == 4


def test_by_gaps_a_block_with_something_small_in_it_is_looked_at_closely():
    small = [CHILD._replace(range=Range.parse(f"193.0.0.{n}/26"), name=f"Small {n}") for n in (64, 128)]
    run = Run(Oracle([PARENT, *small]), worker(protocols=("rdap",)))
    run.lease("193.0.0.0/24")
    run.to_the_end()
    assert {row.range for row in small} <= run.told


def test_a_very_wide_network_is_asked_about_in_larger_blocks():
    wide = Row(Range.parse("2001:600::/23"), "ripencc", "NL", "allocated", "20010203", "x", "Wide")
    run = Run(Oracle([wide._replace(range=Range.parse("2001:610::/29"))]), worker(protocols=("rdap",)))
    run.lease("2001:610::/45")
    run.to_the_end()
    parts = [each.range for each in run.results if each.status == PART]
    assert set(parts) == {Range.parse("2001:610::/45")}  # a /29 has 65,536 of them


def test_a_way_that_is_refused_is_left_for_the_next():
    class Refusing(Oracle):
        def reply(self, ask: Ask):
            found = super().reply(ask)
            if ask.url and "rirSearch1" in ask.url:
                found = replace(found, http_status=501, body=json.dumps({"errorCode": 501}).encode())
            if ask.question and ask.protocol == "whois":
                found = replace(found, body=b"%ERROR:100: internal software error\n")
            return found

    run = Run(Refusing(ROWS, **SEARCHABLE), worker())
    run.lease("193.0.0.0/22")
    while True:
        run.to_the_end()
        out = run.host.do(Tick(), 1.0)
        run.carry_out(out)
        if not out:
            break
    assert run.settled().coverage.complete
    assert {PARENT.range, CHILD.range} <= run.told
    counters = run.host.lanes.counters
    assert counters["descents_failed_rdap"] == 1  # 501 is for good
    assert counters["descents_failed_whois"] >= 1
    assert counters["parts"] > 0


def test_a_limit_in_a_descent_is_told_and_the_question_waits():
    run = Run(Oracle(ROWS, **SEARCHABLE), worker())
    ask = only_ask(run.host.lease("193.0.0.0/22"))
    down = only_ask(run.host.do(Replied(ask.lookup, run.oracle.reply(ask)), 0.1))
    out = run.host.do(Replied(down.lookup, slow_down(down)), 0.1)
    assert [each.kind for each in sent(out, Signal)] == ["limited"] and not asks(out)
    out = run.host.do(Tick(), 30.0)
    assert [each.count for each in sent(out, PermitRequest)] == [1]  # though no gap is left to be asked about
    again = only_ask(run.host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0), 0.1))
    assert again.question == down.question and again.url == down.url


def test_broken_questions_are_asked_again_and_then_another_way():
    run = Run(Oracle(ROWS, **SEARCHABLE), worker())
    ask = only_ask(run.host.lease("193.0.0.0/22"))
    down = only_ask(run.host.do(Replied(ask.lookup, run.oracle.reply(ask)), 0.1))
    for _ in range(2):
        assert not asks(run.host.do(Broken(down.lookup, "cut", False), 0.1))
        down = only_ask(run.host.do(Tick(), 2.0))
    flags = only_ask(run.host.do(Broken(down.lookup, "cut", False), 0.1))
    assert (flags.protocol, flags.question) == ("whois", Question(Relation.DOWN, PARENT.range))


def test_a_worker_that_leaves_gives_back_what_it_was_descending_into():
    run = Run(Oracle(ROWS, **SEARCHABLE), worker())
    ask = only_ask(run.host.lease("193.0.0.0/21"))
    down = only_ask(run.host.do(Replied(ask.lookup, run.oracle.reply(replace(ask, address=3221225472 + 2**24))), 0.1))
    out = run.host.do(Drain(), 0.1)
    out += run.host.do(Replied(down.lookup, run.oracle.reply(down)), 0.1)
    (returned,) = sent(out, Return)
    assert sum(each.size for each in returned.unasked) == 2048
    assert not [each for each in out if isinstance(each, Keep)]


def test_what_somebody_else_has_settled_is_dropped():
    run = Run(Oracle(ROWS, **SEARCHABLE), worker())
    ask = only_ask(run.host.lease("193.0.0.0/22"))
    down = only_ask(run.host.do(Replied(ask.lookup, run.oracle.reply(ask)), 0.1))
    run.host.do(told(0, 1, "193.0.0.0/22"), 0.1)
    out = run.host.do(Replied(down.lookup, run.oracle.reply(down)), 0.1)
    assert not [each for each in out if isinstance(each, Keep) and each.result.status == "network"]
    assert not run.host.lane().held and not run.host.lane().leases


# -- any tree --------------------------------------------------------------------------------------------------------

#: A piece of each registry's own space. Networks fill it: a "not found" closes more than these small ones (`grain`).
SPACES = {
    registry: Range.parse(text)
    for registry, text in {
        "arin": "24.192.0.0/27",
        "ripencc": "193.0.0.0/27",
        "apnic": "61.0.0.0/27",
        "lacnic": "177.96.0.0/27",
        "afrinic": "102.160.0.0/27",
    }.items()
}


def _pieces(where: Range, draw: st.DrawFn, *, cidr: bool) -> Iterator[Range]:
    """Yield ranges that make up another one."""
    at = where.first
    while at <= where.last:
        size = draw(st.integers(1, where.last - at + 1))
        if cidr:
            size = min(1 << size.bit_length() - 1, at & -at)
        yield Range(4, at, at + size - 1)
        at += size


@st.composite
def trees(draw: st.DrawFn, registry: str, *, cidr: bool = False) -> list[Row]:
    """Networks in networks, down to level 3; those of level 1 fill the space, the others leave gaps, or none."""
    rows: list[Row] = []

    def grow(where: Range, level: int) -> None:
        for each in _pieces(where, draw, cidr=cidr):
            if level == 1 or (each != where and draw(st.booleans())):
                rows.append(PARENT._replace(range=each, registry=registry, level=level, holder=f"h{len(rows)}"))
                if level < 3 and each.size > 1:
                    grow(each, level + 1)

    grow(SPACES[registry], 1)
    return rows


def crawl(rows: list[Row], registry: str, protocols: tuple[str, ...], **oracle) -> Run:
    host = Host(protocols=protocols, assignments=EVERYTHING, bases=BASES, connections=oracle.pop("connections", 1))
    run = Run(Oracle(rows, **oracle), host, registry)
    run.lease(str(SPACES[registry]))
    run.to_the_end()
    account = Account([SPACES[registry]], 3)
    for result in run.results:
        account.settle(result, 0.0)
    assert account.coverage.complete
    assert account.coverage.held == RangeSet([SPACES[registry]])
    assert not host.lane(registry).held and not host.lane(registry).leases
    return run


@pytest.mark.parametrize(
    ("registry", "search", "protocols"),
    [
        *((each, True, ("rdap",)) for each in REGISTRIES),
        ("ripencc", False, ("rdap", "whois")),
        *((each, False, ("whois",)) for each in ("ripencc", "apnic", "afrinic")),
    ],
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_lists_find_every_network_of_any_tree(registry, search, protocols, data):
    """However few networks a list may hold."""
    rows = data.draw(trees(registry))
    more = {"rir_search": (registry,) if search else (), "most_listed": data.draw(st.integers(2, 8))}
    run = crawl(rows, registry, protocols, connections=data.draw(st.sampled_from((1, 3))), **more)
    assert run.told == {row.range for row in rows}


@pytest.mark.parametrize(
    ("registry", "protocols"),
    [*((each, ("rdap",)) for each in REGISTRIES), ("arin", ("whois",)), ("lacnic", ("whois",))],
)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_gaps_find_every_network_of_any_tree_of_cidrs(registry, protocols, data):
    rows = data.draw(trees(registry, cidr=True))
    run = crawl(rows, registry, protocols)
    assert run.told == {row.range for row in rows}
