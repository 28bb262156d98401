"""What registries do beside the letter: words of port 43 in HTTP, waits in notices, links, halves of answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from whoismesh.addresses import Range
from whoismesh.answers import CANNOT_TELL, Answer, Status

Ask = Callable[..., Answer]
Capture = Callable[[str], bytes]

DAILY = (
    "%ERROR:201: access denied for 192.0.2.7\n%\n"
    "% Queries from your IP address have passed the daily limit of controlled objects.\n"
    "% Access from your host has been temporarily denied.\n"
)
PERMANENT = (
    "%ERROR:201: access denied for 192.0.2.7\n%\n% Sorry, access from your host has been permanently\n"
    "% denied because of a repeated excessive querying.\n"
)


def error(code: int, *lines: str, **more: Any) -> str:
    return json.dumps({"errorCode": code, "title": "x", "description": list(lines), **more})


def network(start: Any = "193.0.0.0", end: Any = "193.0.7.255", **more: Any) -> str:
    return json.dumps(
        {"objectClassName": "ip network", "startAddress": start, "endAddress": end, "handle": "H", "name": "N", **more}
    )


# --- the words of port 43 in an HTTP answer -------------------------------------------------------------------------


@pytest.mark.parametrize("http_status", [403, 429])
@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("registry", "words", "status", "wait"),
    [
        ("ripencc", DAILY, Status.LIMITED, 64_800.0),  # until midnight UTC: it is six in the morning
        ("ripencc", PERMANENT, Status.BANNED, None),
        ("afrinic", DAILY, Status.LIMITED, 86_400.0),
        ("apnic", PERMANENT, Status.BANNED, None),
        ("lacnic", "% Permission denied.\n", Status.BANNED, None),
        ("lacnic", "% Query rate limit exceeded\n% Blocked for 300 seconds.\n", Status.LIMITED, 300.0),
        ("arin", DAILY, Status.LIMITED, None),  # not ARIN's words: only the status counts
    ],
)
def test_http_bodies_hold_the_words_of_port_43(
    http_status: int, as_json: bool, registry: str, words: str, status: Status, wait: float | None, ask: Ask
) -> None:
    text = error(http_status, *words.split("\n")) if as_json else words
    answer = ask(registry, "rdap", "193.0.0.1", text, http_status=http_status)
    assert (answer.status, answer.retry_after_s) == (status, wait)
    assert answer.transient is (status is Status.LIMITED)
    told = ask(registry, "rdap", "193.0.0.1", text, http_status=429, headers={"retry-after": "7"})
    assert (told.status, told.retry_after_s) == (Status.LIMITED, 7.0)


def test_a_403_bans_by_words_in_its_notices_too(ask: Ask) -> None:
    text = error(403, "Forbidden", notices=[{"title": "x", "description": ["Your address has been blocked."]}])
    assert ask("arin", "rdap", "8.8.8.8", text, http_status=403).status is Status.BANNED
    assert ask("arin", "rdap", "8.8.8.8", error(403, "Forbidden"), http_status=403).status is Status.LIMITED


@pytest.mark.parametrize("http_status", [413, 420, 422, 500, 502, 503])
def test_a_wait_is_obeyed_whatever_the_error(http_status: int, ask: Ask) -> None:
    answer = ask("arin", "rdap", "8.8.8.8", "<html>", http_status=http_status, headers={"retry-after": "30"})
    assert (answer.status, answer.retry_after_s, answer.transient) == (Status.LIMITED, 30.0, True)


def test_a_wait_with_a_not_found_changes_nothing(ask: Ask) -> None:
    answer = ask("arin", "rdap", "8.8.8.8", "", http_status=404, headers={"retry-after": "30"})
    assert answer.status is Status.UNALLOCATED


@pytest.mark.parametrize(
    ("line", "wait"),
    [
        ("Rate Limit is maxed at 10 queries per 1 minutes.", 60.0),
        ("Rate Limit is maxed at 1000 queries per 1 hours.", 3600.0),
        ("at most 5 per 30 seconds", 30.0),
        ("per 999999 hours", 86_400.0),
        ("as you please", None),
        (None, None),
    ],
)
def test_the_rate_limit_notice_says_when_its_count_begins_anew(line: str | None, wait: float | None, ask: Ask) -> None:
    text = json.dumps({"notices": [{"title": "Rate Limit Notice", "description": [line]}]})
    assert ask("lacnic", "rdap", "200.3.12.1", text).retry_after_s == wait
    told = ask("lacnic", "rdap", "200.3.12.1", text, headers={"retry-after": "5"})
    assert told.retry_after_s == 5.0


# --- whose limit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "text", "host_only"),
    [
        ("ripencc", "%ERROR:306: connections exceeded\n", True),
        ("apnic", "%ERROR:306: connections exceeded\n", True),
        ("lacnic", "% Maximum concurrent connections limit exceeded\n", True),
        ("lacnic", "% Query rate limit exceeded\n", False),
        ("ripencc", DAILY, False),
        ("ripencc", "%ERROR:202: access control limit reached\n", False),
        ("arin", "Unable to service request due to high volume\n", False),
    ],
)
def test_too_many_connections_are_this_hosts_alone(registry: str, text: str, host_only: bool, ask: Ask) -> None:
    answer = ask(registry, "whois", "193.0.0.1", text)
    assert (answer.status, answer.host_only) == (Status.LIMITED, host_only)


def test_afrinic_is_read_as_apnic_where_a_denial_gives_no_reason(ask: Ask) -> None:
    for registry in ("apnic", "afrinic"):
        answer = ask(registry, "whois", "196.1.1.1", "%ERROR:201: access denied for 192.0.2.7\n")
        assert (answer.status, answer.transient) == (Status.BANNED, False)


# --- where else -----------------------------------------------------------------------------------------------------


def link(href: str, rel: str = "related") -> dict[str, str]:
    return {"value": "x", "rel": rel, "type": "application/rdap+json", "href": href}


@pytest.mark.parametrize(
    ("links", "status", "keeper"),
    [
        ([link("https://rdap.apnic.net/ip/1.1.1.1")], Status.ELSEWHERE, "apnic"),
        (
            [None, link("https://example.org/"), link("https://rdap.lacnic.net/rdap/ip/1.1.1.1")],
            Status.ELSEWHERE,
            "lacnic",
        ),
        ([link("https://rdap.db.ripe.net/ip/1.1.1.1")], Status.UNALLOCATED, None),
        ([link("https://rdap.apnic.net/ip/1.1.1.1", "self")], Status.UNALLOCATED, None),
        ([link("javascript:alert(1)")], Status.UNALLOCATED, None),
        ("https://rdap.apnic.net/", Status.UNALLOCATED, None),
    ],
)
def test_a_not_found_with_a_link_leads_there(links: Any, status: Status, keeper: str | None, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "1.1.1.1", error(404, "not here", links=links), http_status=404)
    assert (answer.status, answer.elsewhere) == (status, keeper)


def test_a_placeholder_with_a_link_leads_there_and_a_network_does_not(ask: Ask) -> None:
    links = [link("https://rdap.apnic.net/ip/49.14.0.0")]
    text = network("49.14.0.0", "49.235.255.255", name="NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK", links=links)
    assert ask("ripencc", "rdap", "49.14.0.1", text).elsewhere == "apnic"
    assert ask("ripencc", "rdap", "193.0.0.1", network(links=links)).status is Status.NETWORK


def test_a_second_redirect_counts_from_the_url_of_the_first(ask: Ask) -> None:
    url = "https://rdap.registro.br/ip/200.3.12.1"
    answer = ask(
        "lacnic", "rdap", "200.3.12.1", "", http_status=302, headers={"location": "/v2/ip/200.3.12.1"}, url=url
    )
    assert (answer.elsewhere, answer.url) == ("lacnic", "https://rdap.registro.br/v2/ip/200.3.12.1")
    down = {"location": "http://rdap.registro.br/ip/200.3.12.1"}
    bases = {"http://127.0.0.1:4711/": "lacnic"}
    fallen = ask("lacnic", "rdap", "200.3.12.1", "", bases, http_status=302, headers=down, url=url)
    assert fallen.status is Status.FAILED


@pytest.mark.parametrize(
    ("registry", "lines", "status"),
    [
        ("afrinic", ["netname: X", "remarks: The country is really worldwide."], Status.PLACEHOLDER),
        ("afrinic", ["netname: X", "remarks: this network is worldwide"], Status.NETWORK),
        (
            "afrinic",
            ["netname: AFRINIC-NET-TRANSFERRED-20200101", "remarks: The country is really worldwide."],
            Status.ELSEWHERE,
        ),
        ("apnic", ["netname: X", "remarks: This address range is not administered by APNIC."], Status.ELSEWHERE),
        ("apnic", ["netname: X", "remarks: This network in not allocated by APNIC"], Status.ELSEWHERE),
        ("apnic", ["netname: X", "remarks: see not allocated by APNIC"], Status.NETWORK),
    ],
)
def test_placeholders_by_their_remarks(registry: str, lines: list[str], status: Status, ask: Ask) -> None:
    body = "\n".join(["inetnum: 102.1.0.0 - 102.1.255.255", *lines, "source: X", ""])
    assert ask(registry, "whois", "102.1.1.1", body).status is status


# --- ranges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handle", ["200.3.12.1", None, "", "200.3.12.0/22", "X-LACNIC", 5, "200.3.12.1/31"])
def test_lacnic_never_makes_a_network_of_the_address_asked(handle: Any, ask: Ask) -> None:
    answer = ask("lacnic", "rdap", "200.3.12.1", network("200.3.12.1", "200.3.12.1", handle=handle))
    assert (answer.status, answer.transient) == (Status.FAILED, False)
    assert answer.network is not None
    assert answer.network.range == Range.parse("200.3.12.1"), "a claim about the rest, and no network"
    assert answer.reason.startswith(CANNOT_TELL)


@pytest.mark.parametrize(
    ("start", "end", "more", "expected"),
    [
        ("193.0.0.0", None, {"cidr0_cidrs": [{"v4prefix": "193.0.0.0", "length": 21}]}, "193.0.0.0/21"),
        (None, None, {"handle": "193.0.0.0 - 193.0.5.255"}, "193.0.0.0-193.0.5.255"),
        (None, None, {"handle": "193.0.0.0/21"}, "193.0.0.0/21"),
        (None, None, {"handle": "193.0.0.1"}, None),
        (None, None, {"handle": "NET-193-0-0-0-1"}, None),
        ("193.0.0.0", None, {"handle": None}, None),
        ("nonsense", "193.0.7.255", {"handle": "193.0.0.0/21"}, None),
    ],
)
def test_a_range_of_which_a_part_is_missing(start: Any, end: Any, more: Any, expected: str | None, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", network(start, end, **more))
    if expected is None:
        assert answer.status is Status.MALFORMED
    else:
        assert answer.network is not None
        assert answer.network.range == Range.parse(expected)


# --- halves of answers ----------------------------------------------------------------------------------------------

ARIN_TWO = """\
NetRange:       103.0.0.0 - 103.255.255.255
CIDR:           103.0.0.0/8
NetName:        APNIC-103
OrgId:          APNIC
ReferralServer: whois://whois.apnic.net

NetRange:       103.81.230.0 - 103.81.231.255
CIDR:           103.81.230.0/23
NetName:        RIPE
NetType:        Early Registrations, Transferred to RIPE NCC
OrgId:          RIPE
ReferralServer: whois://whois.ripe.net

#
"""


@pytest.mark.parametrize("path", ["afrinic/196.11.240.215", "apnic/210.107.73.73", "arin/74.125.225.229"])
def test_a_capture_cut_anywhere_is_never_another_network(path: str, ask: Ask, capture: Capture) -> None:
    registry, address = path.split("/")
    body = capture(f"ipwhois/{path}.whois.txt")
    whole = ask(registry, "whois", address, body).network
    assert whole is not None
    stripped = ask(registry, "whois", address, body.rstrip())
    assert stripped.network == whole  # recorded without the line end
    for end in range(len(body)):
        part = ask(registry, "whois", address, body[:end])
        assert part.status in (Status.NETWORK, Status.TRUNCATED, Status.MALFORMED, Status.FAILED)
        if part.network is not None:
            assert part.network.range == whole.range


def test_an_answer_that_ends_in_mid_line_is_a_part(ask: Ask) -> None:
    end = ARIN_TWO.index("NetRange", 10) + len("NetRange:       103.81.2")
    part = ask("arin", "whois", "103.81.230.0", ARIN_TWO[:end])
    assert (part.status, part.transient, part.network) == (Status.TRUNCATED, True, None)
    assert ask("arin", "whois", "103.81.230.0", ARIN_TWO).elsewhere == "ripencc"
    stub = "inetnum: 1.179.112.0 - 1.179.127.255\nnetname: STUB-1-179-112SLASH20\ndescr: Transferred to the RI"
    assert ask("apnic", "whois", "1.179.112.1", stub).status is Status.TRUNCATED
    lacnic = "% LACNIC resource: whois.lacnic.net\r\n\r\ninetnum:     200.3.12/22\r\nowner:       LAC"
    part = ask("lacnic", "whois", "200.3.12.1", lacnic)
    assert part.status is Status.TRUNCATED
    assert part.network is not None


ARIN_HEAD = "\n#\n# ARIN WHOIS data and services are subject to the Terms of Use\n#\n\n"


def test_an_answer_that_ends_between_two_lines_is_a_part(ask: Ask) -> None:
    whole = ARIN_HEAD + ARIN_TWO
    for end in range(whole.index("NetRange"), len(whole)):
        answer = ask("arin", "whois", "103.81.230.0", whole[:end])
        assert answer.status in (Status.TRUNCATED, Status.MALFORMED) or answer.elsewhere == "ripencc"
    stub = (
        "% [whois.apnic.net]\n\ninetnum: 1.179.112.0 - 1.179.127.255\nnetname: STUB-1-179-112SLASH20\n"
        "descr: Transferred to the RIPE region on 2020-12-08T07:54:04Z.\n"
        "country: ZZ\nmnt-by: APNIC-STUB\nsource: APNIC\n"
    )
    for end in range(stub.index("netname"), len(stub)):
        answer = ask("apnic", "whois", "1.179.112.1", stub[:end])
        assert answer.status is Status.TRUNCATED or answer.elsewhere == "ripencc"


@pytest.mark.parametrize("path", ["lacnic/200.57.141.161", "ripencc/62.239.237.1"])
@pytest.mark.parametrize("charset", ["latin-1", "utf-8", "windows-1252"])
def test_a_name_is_the_same_in_every_charset(path: str, charset: str, ask: Ask, capture: Capture) -> None:
    registry, address = path.split("/")
    old = {"lacnic": "Triara.com, S.A. de C.V.", "ripencc": "UDC"}[registry]
    text = capture(f"ipwhois/{path}.whois.txt").decode("latin-1").replace(old, "Telefónica São Über")
    found = ask(registry, "whois", address, text.encode(charset)).network
    assert found is not None
    assert found.holder.name == "Telefónica São Über"


# --- nonsense -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["created: 2015-02-30", "created:", "created: yesterday", "country: The Netherlands", "status:"]
)
def test_a_field_that_makes_no_sense_costs_the_field(line: str, ask: Ask) -> None:
    body = f"inetnum: 193.0.0.0 - 193.0.7.255\nnetname: N\ndescr: D\n{line}\nsource: RIPE\n"
    found = ask("ripencc", "whois", "193.0.0.1", body).network
    assert found is not None
    assert (found.registered, found.country, found.name) == (None, None, "N")


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("192.41.178.0", "192.41.197.255", 5),
        ("130.225.0.0", "130.244.255.255", 6),
        ("13.64.0.0", "13.107.255.255", 3),
    ],
)
def test_ranges_that_are_no_cidr_are_kept_whole(start: str, end: str, count: int, ask: Ask) -> None:
    by_rdap = ask("arin", "rdap", start, network(start, end, handle=None)).network
    by_whois = ask("arin", "whois", start, f"NetRange: {start} - {end}\nNetName: N\nOrgName: O\n").network
    assert by_rdap is not None
    assert by_whois is not None
    assert by_rdap.range == by_whois.range == Range.parse(f"{start}-{end}")
    assert len(by_rdap.range.cidrs()) == count


def test_a_legacy_network_hangs_under_the_whole_space(ask: Ask) -> None:
    text = network("25.0.0.0", "25.255.255.255", type="LEGACY", parentHandle="0.0.0.0 - 255.255.255.255")
    found = ask("ripencc", "rdap", "25.1.1.1", text).network
    assert found is not None
    assert (found.range, found.parent) == (Range.parse("25.0.0.0/8"), "0.0.0.0 - 255.255.255.255")
