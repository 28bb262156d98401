"""Answers that list networks: relation searches of RDAP, and -m, -M, -L and -K of port 43."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.answers import Listing, Reply, Status, understand, understand_list
from whoismesh.answers.rdap import list_rdap
from whoismesh.answers.text import MAX_BODY_BYTES, MAX_LISTED
from whoismesh.answers.whois import list_whois
from whoismesh.registries import DEFAULTS, REGISTRIES

BASES = {
    **{each.rdap: registry for registry, each in DEFAULTS.items()},
    **{each.whois: registry for registry, each in DEFAULTS.items()},
}
RIPE = DEFAULTS["ripencc"].rdap
CONFORMANCE = ["cidr0", "rdap_level_0", "rirSearch1", "ips", "ipSearchResults"]


def network(text: str, **more: Any) -> dict[str, Any]:
    where = Range.parse(text)
    first, last = (".".join(str(each >> shift & 255) for shift in (24, 16, 8, 0)) for each in where[1:])
    return {
        "objectClassName": "ip network",
        "startAddress": first,
        "endAddress": last,
        "ipVersion": "v4",
        "name": "EXAMPLE",
        "handle": f"{first} - {last}",
        "type": "ASSIGNED PA",
        "country": "NL",
        **more,
    }


def rdap(body: Any, status: int = 200, registry: str = "ripencc", **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(registry, "rdap", 4, 0xC1000000, data, DEFAULTS[registry].rdap, 1.0, status, headers)


def whois(text: str | bytes, registry: str = "ripencc") -> Reply:
    data = text if isinstance(text, bytes) else text.encode()
    return Reply(registry, "whois", 4, 0xC1000000, data, DEFAULTS[registry].whois, 1.0)


def ranges(listing: Listing) -> list[str]:
    assert listing.failure is None
    return [str(each.range) for each in listing.networks]


def results(*networks: Any, **more: Any) -> dict[str, Any]:
    return {"rdapConformance": CONFORMANCE, "ipSearchResults": list(networks), **more}


# -- RDAP ------------------------------------------------------------------------------------------------------------


def test_a_relation_search_lists_networks_with_their_links():
    link = {"rel": "rdap-down", "href": f"{RIPE}ips/rirSearch1/rdap-down/193.0.1.0/24"}
    found = list_rdap(rdap(results(network("193.0.0.0/24"), network("193.0.1.0/24", links=[link]))), BASES)
    assert ranges(found) == ["193.0.0.0/24", "193.0.1.0/24"]
    assert found.whole and not found.dropped
    assert found.relations[Range.parse("193.0.1.0/24")] == {"rdap-down": link["href"]}
    assert found.networks[0].name == "EXAMPLE" and found.networks[0].asked == "193.0.0.0"


def test_a_single_network_is_a_list_of_one_and_not_found_an_empty_one():
    assert ranges(list_rdap(rdap(network("193.0.0.0/16")), BASES)) == ["193.0.0.0/16"]
    assert list_rdap(rdap({"errorCode": 404, "title": "Not Found"}, 404), BASES) == Listing()
    assert list_rdap(rdap(results()), BASES) == Listing()


def test_what_is_nobodys_network_is_left_out_and_nonsense_is_counted():
    pool = network("193.0.0.0/8", type="ALLOCATED UNSPECIFIED")
    root = network("0.0.0.0/0", name="IANA-BLK")
    foreign = network("193.0.0.0/16", name="NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK")
    wide = network("193.0.0.0-203.255.255.255")
    listed = results(pool, root, foreign, wide, network("193.0.0.0/24"), 7, {"startAddress": "x"}, {}, None)
    found = list_rdap(rdap(listed), BASES)
    assert ranges(found) == ["193.0.0.0/24"]
    assert found.dropped == 4


@pytest.mark.parametrize(
    "more",
    [
        {"notices": [{"type": "result set truncated due to unexplainable reasons"}]},
        {"notices": [{"title": "Terms"}, {"type": "Result Set Truncated Due To Excessive Load"}]},
        {"notices": [{"title": "limited search results to 100 maximum"}]},
        {"links": [{"rel": "next", "href": f"{RIPE}ips?cursor=2"}]},
    ],
)
def test_a_list_that_says_that_it_was_cut_is_not_whole(more):
    found = list_rdap(rdap(results(network("193.0.0.0/24"), **more)), BASES)
    assert ranges(found) == ["193.0.0.0/24"] and not found.whole


def test_a_list_longer_than_any_real_one_is_cut_and_one_beyond_the_limit_of_bytes_is_too_wide():
    found = list_rdap(rdap(results(*[{"startAddress": "x"}] * (MAX_LISTED + 1))), BASES)
    assert not found.whole and found.dropped == MAX_LISTED
    assert list_rdap(rdap(b"x" * (MAX_BODY_BYTES + 1)), BASES).too_wide
    assert list_whois(whois(b"x" * (MAX_BODY_BYTES + 1)), BASES).too_wide


@pytest.mark.parametrize("status", [400, 501, 405, 301])
def test_a_server_without_the_search_is_told_from_one_that_fails(status):
    found = list_rdap(rdap({"errorCode": status}, status, location="https://rdap.arin.net/registry/x"), BASES)
    assert found.unsupported and found.failure is not None and found.failure.status is Status.FAILED


def test_limits_and_failures_are_those_of_a_lookup():
    assert list_rdap(rdap(b"", 429, **{"retry-after": "7"}), BASES).failure.retry_after_s == 7.0
    failed = list_rdap(rdap(b"", 500), BASES)
    assert not failed.unsupported and failed.failure.transient
    assert list_rdap(rdap(b"<html>"), BASES).failure.status is Status.MALFORMED


def test_links_are_kept_only_where_the_server_has_the_search_and_only_to_itself():
    links = [
        {"rel": "rdap-up", "href": f"{RIPE}ips/rirSearch1/rdap-up/193.0.0.0/24"},
        {"rel": "rdap-up rdap-active", "href": f"{RIPE}ips/rirSearch1/rdap-up/193.0.0.0/24?status=active"},
        {"rel": "rdap-down", "href": "https://evil.example/ips/rirSearch1/rdap-down/193.0.0.0/24"},
        {"rel": "rdap-down", "href": RIPE.replace("https", "http") + "ips"},
        {"rel": "rdap-down", "href": RIPE + "x" * 500},
        {"rel": ["rdap-down"], "href": 7},
        "link",
    ]
    body = network("193.0.0.0/24", links=links, rdapConformance=CONFORMANCE)
    assert understand(rdap(body), BASES).relations == {"rdap-up": links[0]["href"]}
    assert understand(rdap(body | {"rdapConformance": ["rdap_level_0"]}), BASES).relations is None
    assert understand(rdap(body | {"rdapConformance": 7}), BASES).relations is None
    assert understand(rdap(body | {"links": 7}), BASES).relations == {}


# -- port 43 ---------------------------------------------------------------------------------------------------------

HEAD = "% This is the RIPE Database query service.\n\n"
FOOT = "% This query was served by the RIPE Database Query Service version 1 (X)\n\n\n"


def inetnum(text: str, **more: str) -> str:
    where = Range.parse(text)
    lines = {"inetnum": network(str(where))["handle"], "netname": "EX", "descr": "Example", "status": "ASSIGNED PA"}
    return "".join(f"{key}: {value}\n" for key, value in (lines | more | {"source": "RIPE"}).items()) + "\n"


def test_port_43_lists_objects_and_keys():
    found = list_whois(whois(HEAD + inetnum("193.0.0.0/24") + inetnum("193.0.1.0-193.0.2.255") + FOOT), BASES)
    assert ranges(found) == ["193.0.0.0/24", "193.0.1.0-193.0.2.255"] and found.whole
    assert found.networks[0].type == "ASSIGNED PA"
    keys = "inetnum: 193.0.0.0 - 193.0.0.255\n\ninetnum: 193.0.0.0 - 193.255.255.255\n\n"
    found = list_whois(whois(HEAD + keys + FOOT), BASES)
    assert ranges(found) == ["193.0.0.0/24"] and found.whole  # the other is as wide as IANA's block


def test_port_43_says_too_wide_nothing_there_and_too_many():
    refused = "%ERROR:112: unsupported query\n%\n% '-mM' queries are not allowed on very large ranges.\n\n"
    assert list_whois(whois(HEAD + refused + FOOT), BASES) == Listing(too_wide=True)
    assert list_whois(whois(HEAD + "%ERROR:101: no entries found\n\n" + FOOT), BASES) == Listing()
    apnic = "% [whois.apnic.net]\n\n" + inetnum("61.0.0.0/24")
    apnic += (
        "%ERROR:201: access control limit reached for 192.0.2.1\n%\n% Too many objects; output has been truncated.\n\n"
    )
    found = list_whois(whois(apnic, "apnic"), BASES)
    assert ranges(found) == ["61.0.0.0/24"] and not found.whole


def test_a_list_that_ends_in_the_middle_keeps_its_whole_objects():
    text = HEAD + inetnum("193.0.0.0/24") + "inetnum: 193.0.1.0 - 193.0.1.255\nnetname: EX\n"
    found = list_whois(whois(text), BASES)
    assert ranges(found) == ["193.0.0.0/24"] and not found.whole


def test_bans_limits_and_silence_at_port_43_are_failures():
    text = "%ERROR:201: access denied for 192.0.2.1\n%\n% has been permanently\n"
    assert list_whois(whois(text), BASES).failure.status is Status.BANNED
    assert list_whois(whois("%ERROR:306: connections exceeded\n"), BASES).failure.host_only
    assert list_whois(whois(""), BASES).failure.transient
    assert list_whois(whois(HEAD), BASES).failure.status is Status.MALFORMED


def test_arins_answer_tells_of_what_is_around():
    blocks = [
        ("24.0.0.0 - 24.255.255.255", "NET24", "NET-24-0-0-0-0", "Allocated to ARIN", "ARIN"),
        ("24.192.0.0 - 24.195.255.255", "OUTER", "NET-24-192-0-0-1", "Direct Allocation", "OUT"),
        ("24.192.1.0 - 24.192.1.255", "INNER", "NET-24-192-1-0-2", "Reassigned", "IN"),
    ]
    text = "# ARIN WHOIS data and services\n\n"
    for where, name, handle, kind, identifier in blocks:
        text += f"NetRange: {where}\nNetName: {name}\nNetHandle: {handle}\nNetType: {kind}\n"
        text += f"Organization: {name} Inc ({identifier})\n\nOrgName: {name} Inc\nOrgId: {identifier}\n\n"
    reply = Reply("arin", "whois", 4, 0x18C00105, (text + "#\n").encode(), DEFAULTS["arin"].whois, 1.0)
    answer = understand(reply, BASES)
    assert answer.network is not None and answer.network.name == "INNER"
    assert [each.name for each in answer.around] == ["OUTER"]


# -- anything --------------------------------------------------------------------------------------------------------

WHOLE = json.dumps(results(network("193.0.0.0/24"), network("193.0.1.0/24"), notices=[{"type": "x"}])).encode()
TEXT = (HEAD + inetnum("193.0.0.0/24") + inetnum("193.0.1.0/24") + FOOT).encode()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    protocol=st.sampled_from(("rdap", "whois")),
    registry=st.sampled_from(REGISTRIES),
    status=st.sampled_from((200, 204, 301, 404, 429, 500, 501)),
)
def test_whatever_comes_nothing_is_raised_and_no_network_is_impossible(seed, protocol, registry, status):
    rng = random.Random(seed)
    body = bytearray(WHOLE if protocol == "rdap" else TEXT)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(body))
        body[at : at + rng.randint(0, 30)] = rng.choice(
            (b"", b"null", b"[]", b"{}", b"\n\n", b"\xff", b"193.0.0.0", b"%")
        )
    reply = rdap(bytes(body), status, registry) if protocol == "rdap" else whois(bytes(body), registry)
    read = list_rdap if protocol == "rdap" else list_whois
    assert read(reply, BASES) == understand_list(reply, BASES)
    for each in understand_list(reply, BASES).networks:
        assert 0 <= each.range.first <= each.range.last < 2**32 and each.registry == registry
