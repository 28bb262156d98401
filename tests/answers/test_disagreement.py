"""What counts as different in two protocols' records of one address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range, format_address, parse_address
from whoismesh.answers import Answer, Reply, Status
from whoismesh.answers.disagreement import Claim, claim_of, differing
from whoismesh.networks import COMPARED_FIELDS, Holder, Network
from whoismesh.port43 import QUERY
from whoismesh.practice import rdap_answers, whois_answers, whois_queries
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.practice.verdicts import judge
from whoismesh.registries import REGISTRIES

Ask = Callable[..., Answer]
MakeReply = Callable[..., Reply]

KNOWN = Network(
    "arin",
    Range.parse("74.125.0.0/16"),
    handle="NET-74-125-0-0-1",
    name="GOOGLE",
    country="US",
    holder=Holder("GOGL", "Google Inc."),
    asked="74.125.128.0",
)


def against(**changes: Any) -> tuple[str, ...]:
    return differing(Claim(KNOWN), Claim(replace(KNOWN, source="whois", **changes)))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("range", {"range": Range.parse("74.125.0.0/17")}),
        ("range", {"range": Range.parse("74.125.0.0-74.126.0.0")}),
        ("registry", {"registry": "ripencc"}),
        ("handle", {"handle": "NET-74-125-0-0-2"}),
        ("holder", {"holder": Holder("GOGL", "Google LLC")}),
        ("holder", {"holder": Holder("GOGL-1", "Google Inc.")}),
        ("country", {"country": "CA"}),
    ],
)
def test_another_value_is_a_disagreement(field: str, changes: dict[str, Any]) -> None:
    assert against(**changes) == (field,)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"handle": None, "country": None, "holder": Holder()},
        {"handle": "net-74-125-0-0-1", "country": "us", "holder": Holder("gogl", "  GOOGLE  inc.")},
        {"holder": Holder("GOGL", "Google\u00a0Inc.")},
        {"holder": Holder("", "")},
        {"holder": Holder(None, "Goo?le Inc.")},
        {"handle": "74.125.0.0 - 74.125.255.255"},
        {"handle": "74.125.128.0"},
        {"handle": "74.125/16"},
        {"name": "ANOTHER", "type": "LEGACY", "status": ("active",), "parent": "x", "changed": "2026-01-01T00:00:00Z"},
        {"server": "elsewhere", "asked": "74.125.0.1", "fetched_at": 9.0},
    ],
)
def test_another_spelling_or_nothing_is_none(changes: dict[str, Any]) -> None:
    assert against(**changes) == ()


def test_one_letter_is_the_same_however_it_is_composed() -> None:
    one, other = (Claim(replace(KNOWN, holder=Holder(None, name))) for name in ("Caf\u00e9", "CAFE\u0301"))
    assert differing(one, other) == ()


def test_everything_that_differs_is_told_in_order() -> None:
    found = against(range=Range.parse("74.0.0.0/8"), registry="apnic", handle="A", holder=Holder("b"), country="AU")
    assert found == COMPARED_FIELDS


def test_the_address_asked_is_no_range() -> None:
    echo = Claim(replace(KNOWN, range=Range.parse("74.125.128.0"), country="CA"), ranged=False)
    assert differing(Claim(KNOWN), echo) == ("country",)
    assert differing(Claim(KNOWN), Claim(echo.network)) == ("range", "country"), "a network of one address has one"


def test_a_part_that_stops_before_the_narrower_network_says_nothing_of_it() -> None:
    around = replace(KNOWN, range=Range.parse("74.0.0.0/9"), holder=Holder("X", "Somebody"))
    assert differing(Claim(KNOWN), Claim(around, part=True)) == ()
    assert differing(Claim(KNOWN), Claim(around)) == ("range", "holder")
    inside = replace(around, range=Range.parse("74.125.128.0/24"))
    assert differing(Claim(KNOWN), Claim(inside, part=True)) == ("range", "holder")
    same = replace(around, range=KNOWN.range)
    assert differing(Claim(KNOWN), Claim(same, part=True)) == ("holder",)


texts = st.none() | st.text(max_size=12)
claims = st.builds(
    Claim,
    st.builds(
        Network,
        st.sampled_from(REGISTRIES),
        st.builds(lambda first, size: Range(4, first, first + size), st.integers(0, 4), st.integers(0, 4)),
        handle=texts,
        country=texts,
        holder=st.builds(Holder, texts, texts),
    ),
    st.booleans(),
    st.booleans(),
)


@given(claims, claims)
def test_it_is_the_same_from_both_sides_and_nobody_disagrees_with_himself(one: Claim, other: Claim) -> None:
    assert differing(one, other) == differing(other, one)
    assert differing(one, one) == ()
    assert set(differing(one, other)) <= set(COMPARED_FIELDS)


@given(claims, claims)
def test_capitals_and_spaces_never_matter(one: Claim, other: Claim) -> None:
    def shouted(text: str | None) -> str | None:
        return None if text is None else f"  {text.casefold()} "

    network = other.network
    loud = replace(
        network,
        handle=shouted(network.handle),
        country=shouted(network.country),
        holder=Holder(shouted(network.holder.handle), shouted(network.holder.name)),
    )
    assert differing(one, replace(other, network=loud)) == differing(one, other)


# -- of answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "address"),
    [
        ("arin", "74.125.225.229"),
        ("ripencc", "62.239.237.1"),
        ("apnic", "210.107.73.73"),
        ("lacnic", "200.57.141.161"),
        ("afrinic", "196.11.240.215"),
    ],
)
def test_real_answers_of_both_protocols_agree(
    registry: str, address: str, ask: Ask, reply: MakeReply, capture: Callable[[str], bytes]
) -> None:
    found = []
    for protocol, ending in (("rdap", "rdap.json"), ("whois", "whois.txt")):
        body = capture(f"ipwhois/{registry}/{address}.{ending}")
        found.append(claim_of(reply(registry, protocol, address, body), ask(registry, protocol, address, body)))
    one, other = found
    assert one is not None and other is not None
    assert differing(one, other) == ()
    assert one.ranged == (registry != "lacnic"), "LACNIC's answer of 2015 is the address asked, and all the rest"


def test_an_echo_claims_all_but_its_range(reply: MakeReply, ask: Ask, capture: Callable[[str], bytes]) -> None:
    body = capture("ipwhois/lacnic/200.57.141.161.rdap.json")
    answer = ask("lacnic", "rdap", "200.57.141.161", body)
    claim = claim_of(reply("lacnic", "rdap", "200.57.141.161", body), answer)
    assert claim is not None and not claim.ranged
    network = claim.network
    assert (network.country, network.source, network.asked) == ("MX", "rdap", "200.57.141.161")
    other = Network("lacnic", Range.parse("200.57.128.0/19"), holder=Holder("MX-X1-LACNIC"), country="BR")
    assert differing(claim, Claim(other)) == ("holder", "country")


def test_what_an_answer_claims(reply: MakeReply) -> None:
    said = reply("arin", "whois", "74.125.128.0", b"x", server="whois.test:43")
    assert claim_of(said, Answer(Status.NETWORK, network=KNOWN)) == Claim(KNOWN)
    assert claim_of(said, Answer(Status.TRUNCATED, network=KNOWN)) == Claim(KNOWN, part=True)
    referral = claim_of(said, Answer(Status.ELSEWHERE, elsewhere="apnic"))
    assert referral is not None
    assert (referral.network.registry, referral.network.server, referral.ranged) == ("apnic", "whois.test:43", False)
    assert differing(Claim(KNOWN), referral) == ("registry",)
    for nothing in (
        Answer(Status.ELSEWHERE),
        Answer(Status.ELSEWHERE, elsewhere="arin", url="https://x.test/"),
        Answer(Status.UNALLOCATED),
        Answer(Status.POOL),
        Answer(Status.PLACEHOLDER),
        Answer(Status.TRUNCATED),
        Answer(Status.FAILED),
    ):
        assert claim_of(said, nothing) is None, nothing


def test_practice_registries_tell_the_same_by_both_protocols(ask: Ask, reply: MakeReply) -> None:
    """So that whatever differs in a crawl of theirs was made to."""
    table = AllocationTable.load(packaged())
    urls = {registry: f"http://{registry}.test/" for registry in REGISTRIES}
    rows = [row for row in table.rows() if row.held][::10]
    for row in rows:
        middle = (row.range.first + row.range.last) // 2
        text = format_address(row.range.family, middle)
        family, number = parse_address(text)
        verdict = judge(table, row.registry, Range(family, number, number))
        query = whois_queries.read(row.registry, QUERY[row.registry].format(text))
        bodies = {
            "rdap": rdap_answers.as_reply(rdap_answers.answer(row.registry, verdict, text, urls)).body,
            "whois": whois_answers.answer(row.registry, verdict, query).encode(
                whois_answers.charset(row.registry, query), "replace"
            ),
        }
        found = [
            claim_of(reply(row.registry, each, text, body), ask(row.registry, each, text, body))
            for each, body in bodies.items()
        ]
        one, other = found
        assert one is not None and other is not None, row
        assert differing(one, other) == (), row
    assert len(rows) > 800
