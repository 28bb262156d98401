"""Both protocols' answers about one address: when the second is asked, and what becomes of a disagreement."""

from __future__ import annotations

import pytest
import replies
from hypothesis import given
from hypothesis import strategies as st
from replies import URLS
from stage import CLOCK, CRAWL, Host, asks, number, only_ask, sent

from whoismesh.addresses import Range
from whoismesh.compounds import DISAGREEMENT, Result
from whoismesh.lanes.events import Ask, Broken, Drain, Instruction, Keep, Note, Tick
from whoismesh.lanes.lane import Lane, Lookup
from whoismesh.lanes.outcomes import TRIES
from whoismesh.messages import PermitRequest, Permits, Return, Signal
from whoismesh.networks import Network
from whoismesh.packing import unpack

BOTH = ("rdap", "whois")

INETNUM = """\
inetnum:        {}
netname:        EXAMPLE
descr:          {}
country:        NL
org:            ORG-EX1
source:         RIPE

"""
SAME = INETNUM.format("193.0.2.0 - 193.0.2.255", "Example Ltd")
OTHER_HOLDER = INETNUM.format("193.0.2.0 - 193.0.2.255", "Former Ltd")
OTHER_RANGE = INETNUM.format("193.0.2.0 - 193.0.2.127", "Example Ltd")
WHERE = "193.0.2.0/24"


def results(out: list[Instruction]) -> list[Result]:
    return [each.result for each in out if isinstance(each, Keep)]


def known_by_rdap(host: Host) -> Ask:
    """Have RDAP tell of a network; return the question that follows."""
    out = host.answer(only_ask(host.lease(WHERE)), replies.network, WHERE)
    assert results(out) == [], "it waits for the other answer"
    return only_ask(out)


def test_a_network_of_the_share_is_asked_about_by_the_other_protocol_too() -> None:
    host = Host(protocols=BOTH, compare=1.0)
    ask = known_by_rdap(host)
    assert ask == Ask(2, "ripencc", "whois", 4, number("193.0.2.128"), None)
    (result,) = results(host.answer(ask, replies.whois, SAME))
    assert (result.status, result.range, result.sequence) == ("network", Range.parse(WHERE), 1)
    assert Network.from_map(unpack(result.payload)).source == "rdap"
    assert host.lanes.counters["compared_ripencc"] == 1
    assert not [name for name in host.lanes.counters if name.startswith("disagreements")]


def test_what_differs_is_kept_beside_the_network_and_before_it() -> None:
    host = Host(protocols=BOTH, compare=1.0)
    out = host.answer(known_by_rdap(host), replies.whois, OTHER_HOLDER)
    beside, network = results(out)
    assert (network.status, network.range, network.sequence) == ("network", Range.parse(WHERE), 2)
    assert (beside.status, beside.range, beside.sequence) == (DISAGREEMENT, Range.parse(WHERE), 1)
    assert (beside.registry, beside.asked, beside.reason) == ("ripencc", network.asked, "holder")
    other = Network.from_map(unpack(beside.payload))
    assert (other.source, other.holder.name, other.range) == ("whois", "Former Ltd", Range.parse(WHERE))
    assert host.lanes.counters["disagreements_ripencc_holder"] == 1
    assert set(host.lanes.findings.unacknowledged) == {(7, 1), (7, 2)}


def test_the_range_of_the_preferred_protocol_closes_the_gap() -> None:
    host = Host(protocols=BOTH, compare=1.0)
    out = host.answer(known_by_rdap(host), replies.whois, OTHER_RANGE.replace("127", "191"))
    beside, network = results(out)
    assert (beside.range, network.range) == (Range.parse(WHERE), Range.parse(WHERE))
    assert Network.from_map(unpack(beside.payload)).range == Range.parse("193.0.2.0-193.0.2.191")
    assert beside.reason == "range"
    assert not host.lane().open
    assert host.lanes.replica.table.hit("193.0.2.250") == Range.parse(WHERE)


def test_either_order_of_preference() -> None:
    host = Host(protocols=("whois", "rdap"), compare=1.0)
    out = host.answer(only_ask(host.lease(WHERE)), replies.whois, OTHER_HOLDER)
    ask = only_ask(out)
    assert ask.protocol == "rdap"
    beside, network = results(host.answer(ask, replies.network, WHERE))
    assert Network.from_map(unpack(network.payload)).holder.name == "Former Ltd"
    assert Network.from_map(unpack(beside.payload)).source == "rdap"


def test_without_a_share_or_a_second_protocol_nothing_more_is_asked() -> None:
    for host in (Host(protocols=BOTH), Host(protocols=("rdap",), compare=1.0)):
        out = host.answer(only_ask(host.lease(WHERE)), replies.network, WHERE)
        assert [each.status for each in results(out)] == ["network"]
        assert asks(out) == []


@given(st.integers(1, 400), st.floats(0, 1))
def test_the_share_is_kept_to_exactly(networks: int, share: float) -> None:
    lane = Lane("ripencc", BOTH, 1.0, 1, share)
    compared = sum(lane.is_to_compare(Lookup(0, "ripencc", 4, each), 1.0) for each in range(networks))
    assert compared == int(networks * share)


def test_a_lookup_that_fell_back_is_not_asked_a_third_time() -> None:
    lane = Lane("ripencc", BOTH, 1.0, 1, 1.0)
    assert not lane.is_to_compare(Lookup(0, "ripencc", 4, 1, protocol=1), 1.0)


def test_the_second_question_needs_a_permit_like_the_first() -> None:
    host = Host(protocols=BOTH, compare=1.0, unlimited=())
    out = host.lease(WHERE)
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 1)]
    ask = only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0)))
    out = host.answer(ask, replies.network, WHERE)
    assert asks(out) == [] and results(out) == []
    assert sent(out, PermitRequest) == [PermitRequest(CRAWL, 7, "ripencc", 1)]
    ask = only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0)))
    assert len(results(host.answer(ask, replies.whois, OTHER_HOLDER))) == 2


# -- nothing that goes wrong with the second question keeps the network waiting ------------------------------------


def statuses(out: list[Instruction]) -> list[str]:
    return [each.status for each in results(out)]


def test_a_second_answer_without_a_network_is_counted_and_no_more() -> None:
    for text in ("%ERROR:101: no entries found\n\n", "%ERROR:100: internal software error\n\n", "garbage\n"):
        host = Host(protocols=BOTH, compare=1.0)
        out = host.answer(known_by_rdap(host), replies.whois, text)
        assert statuses(out) == ["network"], text
        assert host.lanes.counters["not_compared_ripencc"] == 1
        assert not host.lane().failing


def test_no_second_answer_is_the_same() -> None:
    for unreachable in (True, False):
        host = Host(protocols=BOTH, compare=1.0)
        ask = known_by_rdap(host)
        out = host.do(Broken(ask.lookup, "reset", unreachable), 0.1)
        assert statuses(out) == ["network"]
        assert sent(out, Signal) == [], "the registry answers by the other protocol"


def test_slow_down_is_obeyed_and_the_network_kept() -> None:
    host = Host(protocols=("whois", "rdap"), compare=1.0)
    ask = only_ask(host.answer(only_ask(host.lease(WHERE)), replies.whois, SAME))
    out = host.answer(ask, replies.slow_down, "30")
    assert statuses(out) == ["network"]
    assert sent(out, Signal)[0].wait_s == 30.0
    assert host.lane().paused_until == host.now + 30.0
    assert not host.lane().again


def test_a_ban_is_one_and_the_network_is_kept() -> None:
    host = Host(protocols=BOTH, compare=1.0)
    ask = known_by_rdap(host)
    host.lease("193.0.8.0/24")
    text = "%ERROR:201: access denied for 192.0.2.1\n% blocked permanently\n"
    out = host.answer(ask, replies.whois, text)
    assert statuses(out) == ["network"]
    assert any(isinstance(each, Note) for each in out)
    assert sent(out, Return) != [] and host.lane().closed


def test_a_network_in_hand_is_kept_when_another_host_was_told_to_slow_down() -> None:
    host = Host(protocols=BOTH, compare=1.0, unlimited=())
    host.lease(WHERE)
    ask = only_ask(host.hear(Permits(CRAWL, "ripencc", CLOCK, (0.0,), 0.0)))
    assert results(host.answer(ask, replies.network, WHERE)) == []
    assert statuses(host.hear(Permits(CRAWL, "ripencc", CLOCK, (), 3_600.0))) == ["network"]


@pytest.mark.parametrize("trouble", ["limited", "host only", "drained"])
def test_a_network_in_hand_is_not_kept_back_by_another_question_s_trouble(trouble: str) -> None:
    host = Host(protocols=("whois", "rdap"), compare=1.0, connections=2, host_rate=1.0)
    first = only_ask(host.lease(WHERE, "193.0.4.0/24"))
    second = only_ask(host.do(Tick(), 2.0))
    assert results(host.answer(second, replies.whois, SAME.replace("193.0.2.", "193.0.4."))) == [], "no time for it yet"
    if trouble == "drained":
        out = host.do(Drain())
    else:
        limit = (
            "%ERROR:306: connections exceeded"
            if trouble == "host only"
            else "%ERROR:201: access denied for x\n% daily limit"
        )
        out = host.answer(first, replies.whois, f"{limit}\n\n", after_s=0.01)
    assert [(each.status, str(each.range)) for each in results(out)] == [("network", "193.0.4.0/24")]


def test_nothing_is_compared_while_the_registry_wants_to_be_left_alone() -> None:
    host = Host(protocols=("whois", "rdap"), compare=1.0, connections=2)
    first, second = asks(host.lease(WHERE, "193.0.4.0/24"))
    host.answer(first, replies.whois, "%ERROR:201: access denied for x\n% daily limit\n\n")
    text = SAME.replace("193.0.2.", "193.0.4.") if second.address == number("193.0.4.128") else SAME
    assert statuses(host.answer(second, replies.whois, text)) == ["network"]


def test_another_registry_named_by_the_second_is_a_disagreement() -> None:
    host = Host(protocols=("whois", "rdap"), compare=1.0)
    ask = only_ask(host.answer(only_ask(host.lease(WHERE)), replies.whois, SAME))
    beside, network = results(host.answer(ask, replies.moved, URLS["arin"] + "ip/193.0.2.128"))
    assert (beside.reason, beside.range, network.range) == ("registry", Range.parse(WHERE), Range.parse(WHERE))
    other = Network.from_map(unpack(beside.payload))
    assert (other.registry, other.range, other.source) == ("arin", Range.parse("193.0.2.128"), "rdap")


def test_a_redirect_of_the_second_question_is_followed_and_its_loop_left() -> None:
    host = Host(protocols=("whois", "rdap"), compare=1.0)
    ask = only_ask(host.answer(only_ask(host.lease(WHERE)), replies.whois, SAME))
    url = URLS["ripencc"] + "a/ip/193.0.2.128"
    ask = only_ask(host.answer(ask, replies.moved, url))
    assert (ask.url, ask.protocol) == (url, "rdap")
    assert statuses(host.answer(ask, replies.moved, url)) == ["network"]


# -- where the first cannot tell -----------------------------------------------------------------------------------

OWNER = """
inetnum:     193.0.2/24
status:      allocated
owner:       {}
ownerid:     BR-EX1-LACNIC
country:     BR
"""


def lacnic_host(holder: str) -> tuple[Host, Ask]:
    """Have RDAP echo the address asked with a holder and a country; return the question that follows."""
    host = Host(protocols=BOTH)
    ask = only_ask(host.lease(WHERE, registry="lacnic"))

    def echo(ask: Ask) -> object:
        body = {
            "objectClassName": "ip network",
            "handle": "193.0.2.128",
            "startAddress": "193.0.2.128",
            "endAddress": "193.0.2.128",
            "name": holder,
            "country": "BR",
        }
        return replies.reply(ask, body)

    return host, only_ask(host.answer(ask, echo))


def test_what_lacnic_told_beside_the_range_is_kept_where_port_43_says_otherwise() -> None:
    host, ask = lacnic_host("Old Owner S.A.")
    beside, network = results(host.answer(ask, replies.whois, OWNER.format("New Owner S.A.")))
    assert (network.range, network.registry) == (Range.parse(WHERE), "lacnic")
    assert (beside.reason, beside.range) == ("holder", Range.parse(WHERE))
    assert Network.from_map(unpack(beside.payload)).range == Range.parse("193.0.2.128")
    assert host.lanes.counters["disagreements_lacnic_holder"] == 1


def test_where_port_43_says_the_same_there_is_none() -> None:
    host, ask = lacnic_host("New Owner S.A.")
    (network,) = results(host.answer(ask, replies.whois, OWNER.format("NEW OWNER S.A.")))
    assert network.status == "network"


def test_the_echo_is_no_network_when_port_43_fails_too() -> None:
    host, ask = lacnic_host("Old Owner S.A.")
    for _ in range(TRIES - 1):
        assert results(host.answer(ask, replies.whois, "garbage\n")) == []
        ask = only_ask(host.do(Tick(), 5.0))
    (result,) = results(host.answer(ask, replies.whois, "garbage\n"))
    assert result.status == "malformed"


CUT = OTHER_HOLDER.rstrip("\n") + "\nremarks"


def test_a_part_is_compared_with_the_whole_of_the_other_protocol() -> None:
    host = Host(protocols=("whois", "rdap"))
    ask = only_ask(host.lease(WHERE))
    for _ in range(TRIES - 1):
        host.answer(ask, replies.whois, CUT)
        ask = only_ask(host.do(Tick(), 5.0))
    ask = only_ask(host.answer(ask, replies.whois, CUT))
    assert ask.protocol == "rdap"
    beside, network = results(host.answer(ask, replies.network, WHERE))
    assert (beside.reason, Network.from_map(unpack(network.payload)).source) == ("holder", "rdap")


def test_a_later_try_of_the_same_protocol_is_no_second_opinion() -> None:
    host = Host(protocols=("whois",))
    ask = only_ask(host.lease(WHERE))
    host.answer(ask, replies.whois, CUT)
    (network,) = results(host.answer(only_ask(host.do(Tick(), 5.0)), replies.whois, SAME))
    assert network.status == "network"
