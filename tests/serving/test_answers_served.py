"""Answers: what whoismesh serves it reads itself as the record it was made of, whatever that holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from served import RECORDS, inner
from small_dumps import network

from whoismesh.addresses import Range
from whoismesh.answers import Reply, Status, understand
from whoismesh.networks import Holder, Network, Record
from whoismesh.serving import whois_text
from whoismesh.serving.questions import read_whois
from whoismesh.serving.rdap_objects import Responder

BANNER = whois_text.banner("results.msgpack", "2026-11-25T00:00:00Z")
RESPONDER = Responder("results.msgpack", "2026-11-25T00:00:00Z", "http://127.0.0.1:8080/")


def around(text: str) -> list[Record]:
    wanted = Range.parse(text)
    return sorted((each for each in RECORDS if each.range.contains(wanted)), key=lambda each: each.range.size)


def whois(line: str) -> str:
    query = read_whois(line.encode())
    records = around(str(query.asked)) if query.asked is not None else []
    return whois_text.answer(query, records, BANNER).decode()


def objects(text: str) -> list[str]:
    return re.findall(r"^netname: +(\S+)", text, re.MULTILINE)


def test_the_most_specific_network_comes_first_and_then_what_lies_around_it() -> None:
    text = whois("-r 193.0.6.139")
    assert text.endswith("\r\n\r\n") and "\n" not in text.replace("\r\n", "")
    lines = text.split("\r\n")
    begin = lines.index("% Information related to '193.0.0.0 - 193.0.7.255'")
    assert lines[begin + 2 : begin + 15] == [
        "inetnum:        193.0.0.0 - 193.0.7.255",
        "netname:        INNER-NET",
        "descr:          Réseaux IP",
        "country:        NL",
        "org:            ORG-RIEN1-RIPE",
        "status:         ASSIGNED PI",
        "parent:         193.0.0.0 - 193.0.15.255",
        "origin:         AS3333",
        "remarks:        by whois from whois.ripe.net:43, 2017-07-14T02:40:00Z",
        "created:        1993-09-01T00:00:00Z",
        "last-modified:  2018-03-09T08:21:52Z",
        "source:         RIPE",
        "",
    ]
    assert objects(text) == ["INNER-NET", "OUTER"]
    assert objects(whois("-l 193.0.6.139")) == ["OUTER"]
    assert objects(whois("-L 193.0.6.139")) == ["INNER-NET", "OUTER"]
    assert objects(whois("193.0.0.0/20")) == ["OUTER"]
    assert objects(whois("-x 193.0.0.0/21")) == ["INNER-NET"]
    assert objects(whois("2001:600::1")) == ["V6"]
    assert "inet6num:       2001:600::/32" in whois("2001:600::1")


def test_what_nobody_holds_is_said_to_be_that() -> None:
    assert "%ERROR:101: no entries found" in whois("193.0.19.1")
    assert "193.0.19.0/24 is unallocated: no registry knows a registration" in whois("193.0.19.1")
    assert "193.0.20.0/24 is failed: timed out" in whois("193.0.20.1")
    assert "no record that holds all of 193.0.0.0/16" in whois("193.0.0.0/16")
    assert "no record that holds just this range" in whois("-x 193.0.0.0/22")
    assert "%ERROR:115: invalid search key" in whois("example.org")
    assert "-x    only" in whois("help")


def test_a_hostile_name_stays_a_value() -> None:
    text = whois("193.0.21.1")
    assert "netname:        A %ERROR:201: x [31m\r\n" in text
    assert not re.search(r"^%ERROR", text, re.MULTILINE)


def test_an_rdap_answer_has_what_rfc_9083_wants() -> None:
    status, body = RESPONDER.answer(around("193.0.6.139"), "193.0.6.139")
    assert status == 200
    assert body["rdapConformance"] == ["rdap_level_0", "cidr0", "arin_originas0"]
    assert body["objectClassName"] == "ip network"
    assert (body["startAddress"], body["endAddress"], body["ipVersion"]) == ("193.0.0.0", "193.0.7.255", "v4")
    assert body["cidr0_cidrs"] == [{"v4prefix": "193.0.0.0", "length": 21}]
    assert [each["eventAction"] for each in body["events"]] == [
        "registration",
        "last changed",
        "last update of RDAP database",
    ]
    value = "http://127.0.0.1:8080/ip/193.0.6.139"
    assert [(each["rel"], each["href"]) for each in body["links"]] == [
        ("self", "http://127.0.0.1:8080/ip/193.0.0.0/21"),
        ("up", "http://127.0.0.1:8080/ip/193.0.0.0/20"),
    ]
    assert {each["value"] for each in body["links"]} == {value}
    assert "2026-11-25T00:00:00Z" in json.dumps(body["notices"])
    assert "whois.ripe.net:43" in json.dumps(body["notices"])
    _, odd = RESPONDER.answer(around("193.0.16.1"), "193.0.16.1")
    assert [each["length"] for each in odd["cidr0_cidrs"]] == [23, 24]
    assert [each["href"] for each in odd["links"]] == ["http://127.0.0.1:8080/ip/193.0.16.1"]


def test_an_rdap_error_is_an_error_object() -> None:
    for status, body in (
        RESPONDER.answer(around("193.0.19.1"), "193.0.19.1"),
        RESPONDER.answer([], "10.0.0.0/8"),
        RESPONDER.error(405, "POST"),
    ):
        assert status == body["errorCode"] >= 400
        assert body["title"] in ("Not Found", "Method Not Allowed")
        assert body["rdapConformance"] and body["description"] and body["notices"]


def reply(protocol: str, registry: str, body: bytes, address: str) -> Reply:
    family, first, _ = Range.parse(address)
    return Reply(registry, protocol, family, first, body, "127.0.0.1", 0.0)


def rdap_body(record: Network, asked: str) -> bytes:
    return json.dumps(RESPONDER.answer([record], asked)[1]).encode()


def test_whoismesh_reads_its_own_answers() -> None:
    wanted = replace(inner(), asn=None, asn_cidr=None)
    found = understand(reply("rdap", "ripencc", rdap_body(inner(), "193.0.6.139"), "193.0.6.139"), {})
    assert found.status is Status.NETWORK and found.network is not None
    for name in ("range", "handle", "name", "type", "country", "parent", "holder", "registered", "changed", "status"):
        assert getattr(found.network, name) == getattr(wanted, name), name
    found = understand(reply("whois", "ripencc", whois("193.0.6.139").encode(), "193.0.6.139"), {})
    assert found.status is Status.NETWORK and found.network is not None
    assert (found.network.range, found.network.name) == (wanted.range, "INNER-NET")
    found = understand(reply("whois", "ripencc", whois("193.0.19.1").encode(), "193.0.19.1"), {})
    assert found.status is Status.UNALLOCATED


ANY_TEXT = st.none() | st.text(max_size=30)


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_any_record_makes_one_object_of_lines_and_json(
    name: str | None, holder: str | None, handle: str | None, country: str | None
) -> None:
    record = network("193.0.0.0/21", name=name, holder=Holder(handle, holder), country=country, server=name)
    body = whois_text.answer(read_whois(b"193.0.0.0"), [record], BANNER)
    text = body.decode("utf-8")
    for line in text.split("\r\n"):
        assert line == "" or line.startswith("% ") or re.fullmatch(r"[a-z0-9-]+: +\S.*", line), line
        assert line.isprintable()
    assert text.count("\r\ninetnum:") == 1
    assert json.loads(rdap_body(record, "193.0.0.0"))["startAddress"] == "193.0.0.0"
