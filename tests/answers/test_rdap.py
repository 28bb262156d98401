"""RDAP: statuses, redirects, waits, ranges and holders."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from whoismesh.addresses import Range
from whoismesh.answers import CANNOT_TELL, Answer, Status
from whoismesh.networks import Holder, Network

Ask = Callable[..., Answer]

# 2026-11-22 06:00:00 UTC, as in conftest.
NOW = 1_795_327_200.0


def card(name: str | None = None, kind: str | None = None, *more: list[Any]) -> list[Any]:
    properties: list[Any] = [["version", {}, "text", "4.0"], *more]
    if name is not None:
        properties.append(["fn", {}, "text", name])
    if kind is not None:
        properties.append(["kind", {}, "text", kind])
    return ["vcard", properties]


def entity(handle: str | None, roles: list[str], vcard: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"objectClassName": "entity", "handle": handle, "roles": roles, "vcardArray": vcard, **more}


def body(start: str = "193.0.0.0", end: str = "193.0.7.255", **more: Any) -> str:
    version = "v6" if ":" in start else "v4"
    found = {"objectClassName": "ip network", "startAddress": start, "endAddress": end, "ipVersion": version}
    return json.dumps({**found, "handle": f"{start} - {end}", "name": "RIPE-NCC", **more})


def holder_of(answer: Answer) -> Holder:
    assert answer.network is not None, answer
    return answer.network.holder


# --- statuses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http_status", "status", "transient"),
    [
        (404, Status.UNALLOCATED, False),
        (429, Status.LIMITED, True),
        (403, Status.LIMITED, True),
        (400, Status.FAILED, False),
        (401, Status.FAILED, False),
        (408, Status.FAILED, True),
        (422, Status.FAILED, False),
        (500, Status.FAILED, True),
        (501, Status.FAILED, False),
        (502, Status.FAILED, True),
        (503, Status.FAILED, True),
        (504, Status.FAILED, True),
        (304, Status.FAILED, False),
        (0, Status.FAILED, False),
        (999, Status.FAILED, False),
    ],
)
@pytest.mark.parametrize("text", ["", "<html>busy</html>", '{"errorCode": 500}'])
def test_an_http_status_means(http_status: int, status: Status, transient: bool, text: str, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", text, http_status=http_status)
    assert (answer.status, answer.transient, answer.network) == (status, transient, None)
    assert answer.reason


@pytest.mark.parametrize(
    ("code", "status"),
    [(404, Status.UNALLOCATED), ("404", Status.UNALLOCATED), (429, Status.LIMITED), (500, Status.FAILED)],
)
def test_an_error_body_under_200_follows_its_code(code: object, status: Status, ask: Ask) -> None:
    assert ask("arin", "rdap", "8.8.8.8", json.dumps({"errorCode": code})).status is status


@pytest.mark.parametrize("code", [None, True, 200, 302, "x", [], -1, 10**30])
def test_an_error_body_without_a_code_is_malformed(code: object, ask: Ask) -> None:
    assert ask("arin", "rdap", "8.8.8.8", json.dumps({"errorCode": code})).status is Status.MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html></html>",
        "[]",
        "null",
        "{}",
        '"x"',
        "NaN",
        '{"objectClassName": "ip network"}',
        '{"objectClassName": "entity", "startAddress": "193.0.0.0", "endAddress": "193.0.7.255"}',
        '{"objectClassName": {}, "startAddress": "193.0.0.0", "endAddress": "193.0.7.255"}',
        body("193.0.7.255", "193.0.0.0"),
        body("193.0.0.0", "2001:600::"),
        body("193.0.0.256", "193.0.7.255"),
    ],
)
def test_no_network_in_the_body_is_malformed_and_worth_another_try(text: str, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", text)
    assert (answer.status, answer.transient) == (Status.MALFORMED, True)
    assert "expected" in answer.reason


def test_a_body_too_long_is_refused(ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", b" " * (1 << 20) + body().encode())
    assert (answer.status, answer.transient) == (Status.MALFORMED, False)


def test_an_unknown_protocol_fails(ask: Ask) -> None:
    assert ask("ripencc", "rwhois", "193.0.0.1", body()).status is Status.FAILED


# --- limits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 403, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("86401", 86_400.0),
        ("99999999999999999999", 86_400.0),
        ("Sun, 22 Nov 2026 06:01:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 06:01:30 -0000", 90.0),
        ("Sun, 22 Nov 2026 05:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
    ],
)
def test_retry_after_is_read(status: int, value: str, seconds: float, ask: Ask) -> None:
    answer = ask("arin", "rdap", "8.8.8.8", "", http_status=status, headers={"retry-after": value})
    assert (answer.status, answer.retry_after_s, answer.transient) == (Status.LIMITED, seconds, True)


@pytest.mark.parametrize(
    "value", ["-5", "", "soon", "\uff11\uff12", "1e3", "Sun, 99 Nov 2026", "9" * 70, "Sun, 22 Foo 2026 06:01:30"]
)
def test_a_retry_after_that_is_none_is_left_out(value: str, ask: Ask) -> None:
    answer = ask("arin", "rdap", "8.8.8.8", "", http_status=429, headers={"retry-after": value})
    assert (answer.status, answer.retry_after_s) == (Status.LIMITED, None)


def test_a_date_needs_a_clock_that_goes(ask: Ask) -> None:
    headers = {"retry-after": "Sun, 22 Nov 2026 06:01:30 GMT"}
    assert ask("arin", "rdap", "8.8.8.8", "", http_status=429, headers=headers, fetched_at=float("nan")) == Answer(
        Status.LIMITED, transient=True, reason="too many requests (429)"
    )


def test_the_rate_limit_notice_is_a_limit_whatever_the_status(ask: Ask) -> None:
    notice = {
        "title": "Rate Limit Notice",
        "description": ["Rate Limit is maxed at 10 queries per 1 minutes."],
    }
    for text in (json.dumps({"notices": [notice]}), body("200.57.128.0", "200.57.159.255", notices=[{}, notice])):
        for http_status in (200, 404, 500):
            headers = {"retry-after": "60"}
            answer = ask("lacnic", "rdap", "200.57.141.161", text, http_status=http_status, headers=headers)
            assert (answer.status, answer.retry_after_s, answer.transient) == (Status.LIMITED, 60.0, True)


def test_other_notices_are_no_limit(ask: Ask) -> None:
    text = body(notices=[{"title": "Filtered", "description": ["Rate Limit Notice"]}, None, {"title": []}])
    assert ask("ripencc", "rdap", "193.0.0.1", text).status is Status.NETWORK


@pytest.mark.parametrize("http_status", [403, 429])
def test_a_blocked_host_is_banned(http_status: int, ask: Ask) -> None:
    text = "Your host 192.0.2.7 has been blocked. Please contact support <contact@example.net> for assistance."
    answer = ask("ripencc", "rdap", "193.0.0.1", text, http_status=http_status)
    assert (answer.status, answer.transient) == (Status.BANNED, False)


def test_a_429_with_a_wait_is_a_limit_whatever_it_says(ask: Ask) -> None:
    text = "Your host 192.0.2.7 has been blocked. Please contact support <contact@example.net> for assistance."
    answer = ask("ripencc", "rdap", "193.0.0.1", text, http_status=429, headers={"retry-after": "3"})
    assert (answer.status, answer.retry_after_s) == (Status.LIMITED, 3.0)


def test_a_403_bans_where_it_says_so(ask: Ask) -> None:
    for text in ("Access permanently denied", "<p>Your IP has been blocked</p>", "You are BANNED."):
        assert ask("apnic", "rdap", "1.1.1.1", text, http_status=403).status is Status.BANNED
    assert ask("apnic", "rdap", "1.1.1.1", "Forbidden", http_status=403).status is Status.LIMITED


# --- redirects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("http_status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "registry"),
    [
        ("https://rdap.apnic.net/ip/157.49.33.127", "apnic"),
        ("https://rdap.lacnic.net/rdap/ip/157.49.33.127", "lacnic"),
        ("https://RDAP.APNIC.net:443/ip/157.49.33.127", "apnic"),
        ("https://rdap.registro.br/ip/157.49.33.127", "lacnic"),
        ("https://jpnic.rdap.apnic.net/ip/157.49.33.127", "apnic"),
        ("//rdap.afrinic.net/rdap/ip/157.49.33.127", "afrinic"),
    ],
)
def test_a_redirect_names_the_registry(http_status: int, location: str, registry: str, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "157.49.33.127", "", http_status=http_status, headers={"location": location})
    assert (answer.status, answer.elsewhere, answer.url) == (Status.ELSEWHERE, registry, None)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/ip/193.0.0.0/21", "https://rdap.db.ripe.net/ip/193.0.0.0/21"),
        ("ip/193.0.0.0#x", "https://rdap.db.ripe.net/ip/193.0.0.0"),
        ("https://rdap.db.ripe.net/ip/193.0.0.0", "https://rdap.db.ripe.net/ip/193.0.0.0"),
    ],
)
def test_a_redirect_within_the_registry_gives_the_url(location: str, url: str, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", "", http_status=301, headers={"location": location})
    assert (answer.status, answer.elsewhere, answer.url) == (Status.ELSEWHERE, "ripencc", url)


@pytest.mark.parametrize(
    "location",
    [
        "http://rdap.apnic.net/ip/1.1.1.1",  # from https to http
        "http://rdap.db.ripe.net/ip/1.1.1.1",
        "https://rdap.example.net/ip/1.1.1.1",
        "https://rdap.apnic.net@example.net/ip/1.1.1.1",
        "https://rdap.apnic.net.example.net/",
        "https://rdap.db.ripe.net:99999/ip/1",
        "https://[/ip/1.1.1.1",
        "ftp://rdap.apnic.net/",
        "javascript:alert(1)",
        "https://:443/",
        "https://rdap.apnic.net/" + "x" * 3000,
        "https://rdap.apnic.net/\x07",
    ],
)
def test_a_redirect_to_nowhere_fails(location: str, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "1.1.1.1", "", http_status=302, headers={"location": location})
    assert (answer.status, answer.transient, answer.url) == (Status.FAILED, False, None)
    assert answer.reason.startswith("HTTP 302")


def test_a_redirect_without_a_location_fails(ask: Ask) -> None:
    assert ask("ripencc", "rdap", "1.1.1.1", "", http_status=302).status is Status.FAILED


def test_practice_registries_are_told_apart_by_port(ask: Ask) -> None:
    bases = {"http://127.0.0.1:4711/": "arin", "http://127.0.0.1:4712/": "ripencc", "127.0.0.1:4713": "apnic"}
    for server in ("http://127.0.0.1:4711/", "http://127.0.0.1:4711/ip/1.1.1.1", "127.0.0.1:4711"):
        answers = [
            ask("arin", "rdap", "1.1.1.1", "", bases, server=server, http_status=301, headers={"location": location})
            for location in ("/ip/1.0.0.0", "http://127.0.0.1:4712/ip/1.1.1.1", "http://127.0.0.1:47110/ip/1.1.1.1")
        ]
        assert [(each.status, each.elsewhere, each.url) for each in answers] == [
            (Status.ELSEWHERE, "arin", "http://127.0.0.1:4711/ip/1.0.0.0"),
            (Status.ELSEWHERE, "ripencc", None),
            (Status.FAILED, None, None),
        ]


# --- ranges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"start": "193.000.000.000", "end": "193.000.007.255"}, "193.0.0.0/21"),
        ({"start": "193.0.0.0/32", "end": "193.0.7.255/32"}, "193.0.0.0/21"),
        ({"start": " 193.0.0.0 ", "end": "193.0.7.255"}, "193.0.0.0/21"),
        ({"ipVersion": None}, "193.0.0.0/21"),
        ({"ipVersion": "v6"}, "193.0.0.0/21"),
        ({"objectClassName": "ip network", "handle": None, "parentHandle": None, "name": None}, "193.0.0.0/21"),
        (
            {"start": "", "end": "", "cidr0_cidrs": [{"v4prefix": "193.0.0.0", "length": 21}]},
            "193.0.0.0/21",
        ),
        (
            {
                "start": "",
                "end": "",
                "cidr0_cidrs": [
                    {"v4prefix": "193.0.4.0", "length": 23},
                    {"v4prefix": "193.0.0.0", "length": 22},
                ],
            },
            "193.0.0.0-193.0.5.255",
        ),
    ],
)
def test_ranges_as_registries_write_them(fields: dict[str, Any], expected: str, ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", body(**fields))
    assert answer.network is not None, answer
    assert answer.network.range == Range.parse(expected)


def test_ipv6_ranges(ask: Ask) -> None:
    text = body("2001:0610:0000:0000:0000:0000:0000:0000", "2001:610:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF")
    answer = ask("ripencc", "rdap", "2001:610::1", text)
    assert answer.network is not None, answer
    assert answer.network.range == Range.parse("2001:610::/32")
    assert answer.network.asked == "2001:610::1"


@pytest.mark.parametrize(
    "cidrs",
    [
        [],
        {},
        [None],
        [{"v4prefix": "193.0.0.0"}],
        [{"v4prefix": "193.0.0.0", "length": 33}],
        [{"v4prefix": "193.0.0.1", "length": 21}],
        [{"v4prefix": "2001:600::", "length": 23}],
        [{"v4prefix": "193.0.0.0", "length": 24}, {"v4prefix": "193.0.2.0", "length": 24}],
        [{"v4prefix": "193.0.0.0", "length": 24}, {"v6prefix": "2001:600::", "length": 32}],
        [{"v4prefix": "193.0.0.0", "length": 24}] * 1000,
    ],
)
def test_cidrs_that_make_no_range(cidrs: object, ask: Ask) -> None:
    assert ask("ripencc", "rdap", "193.0.0.1", body("", "", cidr0_cidrs=cidrs)).status is Status.MALFORMED


def test_lacnic_echo_and_a_real_single_address(ask: Ask) -> None:
    text = {"start": "200.57.141.161", "end": "200.57.141.161"}
    echo = ask("lacnic", "rdap", "200.57.141.161", body(**text, handle="200.57.141.161"))
    assert (echo.status, echo.transient) == (Status.FAILED, False)
    assert echo.reason.startswith(CANNOT_TELL)
    real = ask("lacnic", "rdap", "200.57.141.161", body(**text, handle="200.57.141.161/32"))
    assert real.network is not None
    assert real.network.range.size == 1
    six = ask("lacnic", "rdap", "2801::1", body("2801::1", "2801:0::1", handle="2801:0:0::1"))
    assert six.reason.startswith(CANNOT_TELL)
    elsewhere = ask("ripencc", "rdap", "193.0.0.1", body("193.0.0.1", "193.0.0.1", handle="193.0.0.1"))
    assert elsewhere.status is Status.NETWORK


# --- the record -----------------------------------------------------------------------------------------------------


def test_every_field_of_the_record(ask: Ask) -> None:
    text = body(
        handle=" NET-1 ",
        name="Peña\tNieto & Söhne",
        type="ASSIGNED PA",
        country="nl",
        parentHandle="193.0.0.0 - 193.255.255.255",
        status=["active", None, "validated"],
        events=[
            {"eventAction": "last changed", "eventDate": "2024-02-29T01:02:03.5+02:00"},
            {"eventAction": "Registration", "eventDate": "2003-03-17"},
            {"eventAction": "registration", "eventDate": "1999-01-01T00:00:00Z"},
            {"eventAction": "reregistration"},
            None,
        ],
        entities=[entity("ORG-RIEN1-RIPE", ["registrant"], card("Müller Ünlü A.Ş.", "org"))],
    )
    assert ask("ripencc", "rdap", "193.0.0.1", text) == Answer(
        Status.NETWORK,
        network=Network(
            registry="ripencc",
            range=Range.parse("193.0.0.0/21"),
            handle="NET-1",
            name="Peña Nieto & Söhne",
            type="ASSIGNED PA",
            status=("active", "validated"),
            country="NL",
            parent="193.0.0.0 - 193.255.255.255",
            holder=Holder("ORG-RIEN1-RIPE", "Müller Ünlü A.Ş."),
            registered="2003-03-17T00:00:00Z",
            changed="2024-02-29T01:02:03.5+02:00",
            source="rdap",
            server="https://rdap.db.ripe.net/",
            asked="193.0.0.1",
            fetched_at=NOW,
        ),
    )


def test_a_latin_1_body_keeps_its_accents(ask: Ask) -> None:
    text = body(entities=[entity("O", ["registrant"], card("Peña Pobre", "org"))])
    raw = text.encode().replace(b"Pe\\u00f1a", "Peña".encode("latin-1"))
    assert holder_of(ask("ripencc", "rdap", "193.0.0.1", raw)) == Holder("O", "Peña Pobre")
    assert holder_of(ask("ripencc", "rdap", "193.0.0.1", b"\xef\xbb\xbf" + text.encode())) == Holder("O", "Peña Pobre")


def test_lone_surrogates_and_control_characters_do_not_get_in(ask: Ask) -> None:
    answer = ask("ripencc", "rdap", "193.0.0.1", body(name="a\ud800b\u0000c\u202ed"))
    assert answer.network is not None
    assert answer.network.name == "a b c d"


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        # the registrant, wherever it is, before other organisations
        ([entity("A", ["abuse"], card("Other", "org")), entity("B", ["registrant"], card("Us", "org"))], ("B", "Us")),
        (
            [entity("A", ["technical"], card("T", "group"), entities=[entity("B", ["registrant"], card("Us", "org"))])],
            ("B", "Us"),
        ),
        ([entity("B", ["Registrant"], card("Us", "ORG"))], ("B", "Us")),
        ([entity("B", ["registrant"], card("Us"))], ("B", "Us")),
        # an organisation that has no role
        ([entity("A", ["abuse"], card("Abuse", "group")), entity("B", [], card("Us", "org"))], ("B", "Us")),
        # an organisation before a person who is the registrant, the description before the person too
        (
            [entity("P", ["registrant"], card("A Person", "individual")), entity("B", ["abuse"], card("Us", "org"))],
            ("B", "Us"),
        ),
        ([entity("P", ["registrant"], card("A Person", "individual"))], (None, "Described")),
        # maintainers are nobody, whatever RIPE NCC calls them
        ([entity("EXAMPLE-MNT", ["registrant"], card("EXAMPLE-MNT", "individual"))], (None, "Described")),
        ([entity("MNT-X", ["registrant"], card("Y", "org"))], (None, "Described")),
        # a handle is no name
        ([entity("ORG-X", ["registrant"], card("ORG-X", "org"))], ("ORG-X", "Described")),
        # contacts are no holders
        ([entity("C", ["administrative"], card("A Person", "individual"))], (None, "Described")),
        ([entity("C", ["abuse"], card("Abuse Desk", "group"))], (None, "Described")),
        # no handle; two of one handle; nonsense
        ([entity(None, ["abuse"]), entity(None, ["registrant"], card("Us", "org"))], (None, "Us")),
        (
            [entity("H", ["abuse"], card("Abuse", "group")), entity("H", ["registrant"], card("Us", "org"))],
            ("H", "Us"),
        ),
        ([None, "x", [], {"roles": "registrant", "vcardArray": card("Us", "org")}], (None, "Us")),
    ],
)
def test_who_the_holder_is(entities: list[Any], expected: tuple[str, str], ask: Ask) -> None:
    remarks = [
        {"title": "remarks", "description": ["No"]},
        {"title": "description", "description": ["Described", "More"]},
    ]
    answer = ask("ripencc", "rdap", "193.0.0.1", body(entities=entities, remarks=remarks))
    assert holder_of(answer) == Holder(*expected)


@pytest.mark.parametrize(
    ("vcard", "expected"),
    [
        (card("A Person", "individual"), Holder("P", "A Person")),
        (card("A Person", "individual", ["org", {}, "text", "Acme"]), Holder("P", "Acme")),
        (card("A Person", "individual", ["org", {}, "text", ["Acme", "Unit"]]), Holder("P", "Acme")),
    ],
)
def test_a_person_only_where_there_is_nobody_else(vcard: list[Any], expected: Holder, ask: Ask) -> None:
    answer = ask("arin", "rdap", "8.8.8.8", body("8.8.8.0", "8.8.8.255", entities=[entity("P", ["registrant"], vcard)]))
    assert holder_of(answer) == expected


def test_lacnic_names_a_network_for_its_owner(ask: Ask) -> None:
    answer = ask("lacnic", "rdap", "200.57.141.161", body("200.57.128.0", "200.57.159.255", name="Peña, S.A."))
    assert holder_of(answer) == Holder(None, "Peña, S.A.")


@pytest.mark.parametrize(
    ("adr", "country"),
    [
        (["adr", {}, "text", ["", "", "", "", "", "14060", "MX"]], "MX"),
        (["adr", {"cc": "us", "label": "x"}, "text", ["", "", "", "", "", "", ""]], "US"),
        (["adr", {"label": "1 Main St\nUNITED STATES"}, "text", ["", "", "", "", "", "", ""]], "US"),
        (["adr", {"label": "1 Main St\\nUnited States\n"}, "text", ["", "", "", "", "", "", ""]], "US"),
        (["adr", {"label": "United States\n1 Main St"}, "text", ["", "", "", "", "", "", ""]], None),
        (["adr", {"label": 5}, "text", ["", "", "", "", "", "", 5]], None),
        (["adr", {}, "text", ["", "", "", "", "", "", "Mexico"]], "MX"),
        (["adr", None, "text", None], None),
        (["adr"], None),
    ],
)
def test_a_country_from_an_address_by_code_or_whole_name(adr: list[Any], country: str | None, ask: Ask) -> None:
    entities = [entity("O", ["registrant"], card("Us", "org", adr))]
    answer = ask("arin", "rdap", "8.8.8.8", body("8.8.8.0", "8.8.8.255", entities=entities))
    assert answer.network is not None
    assert answer.network.country == country
    named = ask("arin", "rdap", "8.8.8.8", body("8.8.8.0", "8.8.8.255", entities=entities, country="CA")).network
    assert named is not None
    assert named.country == "CA"


def test_port43_of_another_registry_leads_there(ask: Ask) -> None:
    text = body("192.41.178.0", "192.41.197.255", port43="whois.ripe.net")
    assert ask("arin", "rdap", "192.41.178.1", text).elsewhere == "ripencc"
    assert ask("ripencc", "rdap", "192.41.178.1", text).status is Status.NETWORK
    for own in ("whois.registro.br", "whois.nic.br", "whois.lacnic.net", "whois.unknown.example", None, 5, ""):
        answer = ask("lacnic", "rdap", "200.57.128.1", body("200.57.128.0", "200.57.159.255", port43=own))
        assert answer.status is Status.NETWORK


def test_an_answer_fetched_from_another_registry_leads_there(ask: Ask) -> None:
    """APNIC's server may pass on what another one said instead of redirecting (its rdap-ingressd)."""

    def linked(href: Any, **more: Any) -> Answer:
        text = body("192.41.178.0", "192.41.197.255", links=[{"rel": "self", "href": href}], **more)
        return ask("apnic", "rdap", "192.41.178.1", text)

    assert linked("https://rdap.db.ripe.net/ip/192.41.178.1", port43=None).elsewhere == "ripencc"
    assert linked("https://rdap.db.ripe.net/ip/192.41.178.1", port43="whois.apnic.net").status is Status.NETWORK
    for own in ("https://rdap.apnic.net/ip/1", "https://jpnic.rdap.apnic.net/", "https://nobody.example/", "", None, 5):
        assert linked(own, port43=None).status is Status.NETWORK, own


@pytest.mark.parametrize("nothing", [None, [], {}, "x", 5, [None], [[]], [{}], [{"vcardArray": [0, [None, [1]]]}]])
def test_what_ipwhois_would_choke_on_is_repaired(nothing: Any, ask: Ask) -> None:
    fields = ("handle", "name", "type", "country", "parentHandle", "status", "events", "remarks", "entities", "notices")
    for field in (*fields, "port43", "cidr0_cidrs", "links"):
        assert ask("ripencc", "rdap", "193.0.0.1", body(**{field: nothing})).status is Status.NETWORK, field
