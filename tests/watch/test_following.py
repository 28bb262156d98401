"""Lines of what a feed tells: of each network one, whatever the feed lost."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.compounds import Result
from whoismesh.following import Details, Numbers, metrics_line, network_line, other_lines
from whoismesh.history import KnownBlock
from whoismesh.messages import Metrics
from whoismesh.networks import Holder, Network
from whoismesh.origins import pack_origins
from whoismesh.packing import pack

BLOCK = Range.parse("193.0.0.0/21")
NETWORK = Network(
    "ripencc", BLOCK, "H-1", "NET", status=("active",), country="NL", holder=Holder("O-1", "Org"), fetched_at=5.0
)


def result(status="network", payload=b"", block=BLOCK, **more):
    asked = Range(block.family, block.first, block.first)
    fields = {"elsewhere": None, "reason": ""} | more
    return Result(7, 1, "ripencc", status, asked, block, payload=payload, **fields)


def test_a_network_has_its_details_once_its_block_comes():
    details = Details()
    assert details.heard([result(payload=pack(NETWORK.to_map()))]) == []
    block = KnownBlock(BLOCK, "ripencc")
    line = network_line(block, details.of(block))
    assert line == {
        "status": "network", "registry": "ripencc", "first": "193.0.0.0", "last": "193.0.7.255",
        "cidrs": ["193.0.0.0/21"], "handle": "H-1", "name": "NET", "type": None, "network_status": ["active"],
        "country": "NL", "parent": None, "holder": {"handle": "O-1", "name": "Org"}, "registered": None,
        "changed": None, "asn": None, "asn_cidr": None, "source": "rdap", "server": None, "asked": None,
        "fetched_at": 5.0,
    }  # fmt: skip
    bare = network_line(block, details.of(block))
    assert bare.keys() == line.keys()
    assert (bare["cidrs"], bare["name"], bare["source"], bare["fetched_at"]) == (["193.0.0.0/21"], None, None, None)


def test_what_waits_is_bounded_and_the_oldest_goes():
    details = Details(most=2)
    blocks = [Range.parse(f"193.0.{number}.0/24") for number in range(3)]
    payloads = [pack(Network("ripencc", each).to_map()) for each in blocks]
    details.heard(result(payload=payload, block=block) for payload, block in zip(payloads, blocks, strict=True))
    assert [details.of(KnownBlock(each, "ripencc")) is None for each in blocks] == [True, False, False]


def test_other_results_are_lines_of_their_own():
    details = Details()
    free = result("unallocated", block=Range.parse("193.0.8.1"), reason="404")
    assert details.heard([free]) == [free]
    assert [*other_lines(free)] == [
        {"status": "unallocated", "registry": "ripencc", "first": "193.0.8.1", "last": "193.0.8.1",
         "cidrs": ["193.0.8.1/32"], "asked": "193.0.8.1", "elsewhere": None, "reason": "404"}
    ]  # fmt: skip
    told = pack_origins([(BLOCK, type("Origin", (), {"asn": 3333, "cidr": "193.0.0.0/21"})())])
    (line,) = other_lines(result("origins", payload=told))
    assert (line["asn"], line["asn_cidr"], line["last"]) == (3333, "193.0.0.0/21", "193.0.7.255")
    (line,) = other_lines(result("assignment", payload=pack(NETWORK.to_map())))
    assert (line["status"], line["network_status"], line["name"]) == ("assignment", ["active"], "NET")


@given(st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.integers(-9, 2**63) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["registry", "first", "x"]), inner),
).map(pack)))  # fmt: skip
def test_a_payload_that_is_no_record_makes_a_line_without_details(payload):
    block = KnownBlock(BLOCK, "ripencc")
    for status in ("network", "disagreement", "origins", "\x1b[31m"):
        details = Details()
        others = details.heard([result(status, payload)])
        lines = [network_line(block, details.of(block))] + [line for each in others for line in other_lines(each)]
        assert all("\x1b" not in json.dumps(line) for line in lines)


def test_metrics_have_the_fields_that_they_had_in_2016():
    counters = {"gaps_arin": 3.0, "gaps_apnic": 1.0, "asking_arin": 2.0, "answers_network": 9.0, "answers_pool": 1.0,
                "answers_failed": 2.0, "answers_malformed": 1.0, "answers_unallocated": 4.0, "hits": 5.0,
                "x": 0.5}  # fmt: skip
    line = metrics_line(Metrics(b"0" * 16, 3, "host:1", counters), 9.5)
    assert line == {
        "timestamp": 9.5, "host": "host:1", "origin": 3, "awaiting_registry": 4, "looking_up": 2, "got": 10,
        "failed": 3, "within_known_block": 5, "counters": counters,
    }  # fmt: skip


def test_missing_numbers_are_counted_and_a_new_start_is_none():
    numbers = Numbers()
    assert [numbers.heard(each) for each in (3, 4, 7, 1, 2, None, "x", 4)] == [0, 0, 2, 0, 0, 0, 0, 1]
    assert numbers.missed == 3
