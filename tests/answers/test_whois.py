"""Port 43: every text a registry sends instead of a network, and every way it writes one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from whoismesh.addresses import Range
from whoismesh.answers import Answer, Status
from whoismesh.networks import Holder

Ask = Callable[..., Answer]

RIPE = """% This is the RIPE Database query service.

inetnum:        193.0.0.0 - 193.0.7.255
netname:        {name}
descr:          {descr}
country:        NL
status:         ASSIGNED PA
mnt-by:         EXAMPLE-MNT
source:         RIPE # Filtered
"""
LACNIC = """% Joint Whois - whois.lacnic.net
% LACNIC resource: whois.lacnic.net

inetnum:     200.57.128/19
status:      allocated
owner:       {owner}
ownerid:     MX-TSCV6-LACNIC
country:     MX
inetrev:     200.57.128/19
created:     20001204
changed:     20140716
"""
ARIN = """
NetRange:       74.125.0.0 - 74.125.255.255
CIDR:           74.125.0.0/16
NetName:        GOOGLE
NetHandle:      NET-74-125-0-0-1
Parent:         NET74 (NET-74-0-0-0-0)
NetType:        Direct Allocation
Organization:   {org} (GOGL)
RegDate:        2007-03-13

OrgName:        {org}
OrgId:          GOGL
Country:        US
"""
RIPE_LIKE = {"ripencc": "193.0.0.1", "apnic": "1.1.1.1", "afrinic": "196.11.240.215"}
ADDRESS = {**RIPE_LIKE, "lacnic": "200.57.141.161", "arin": "74.125.225.229"}

DENIED = "%ERROR:201: access denied for 192.0.2.7\n%\n% Sorry, access from your host has been "
DAILY = (
    "%ERROR:201: access denied for 192.0.2.7\n%\n"
    "% Queries from your IP address have passed the daily limit of controlled objects.\n"
)
PERMANENT = DENIED + "permanently\n% denied because of a repeated excessive querying.\n"
ABUSIVE = DENIED + "permanently\n% denied because of a repeated abusive behaviour.\n"
REACHED = (
    "%ERROR:201: access control limit reached for 192.0.2.7\n%\n% Queries from your IP address have passed the limit.\n"
)
TRUNCATED = (
    "%ERROR:201: access control limit reached for 192.0.2.7\n"
    "% Too many objects in response; output has been truncated.\n"
)
BLOCKED = "Your host 192.0.2.7 has been blocked. Please contact support <contact@example.net> for assistance.\n"

TEXTS = [
    # RIPE NCC; the block lifts at midnight UTC and it is six in the morning
    ("ripencc", DAILY, Status.LIMITED, 64_800.0, True),
    ("ripencc", "%ERROR:201: access denied for 192.0.2.7\n", Status.LIMITED, 64_800.0, True),
    ("ripencc", PERMANENT, Status.BANNED, None, False),
    ("ripencc", BLOCKED, Status.BANNED, None, False),
    ("ripencc", "%ERROR:306: connections exceeded\n%\n% maximum number allowed (3)\n", Status.LIMITED, None, True),
    ("ripencc", "%ERROR:305: connection has been closed\n", Status.FAILED, None, True),
    ("ripencc", "%ERROR:202: access control limit reached\n", Status.LIMITED, None, True),
    ("ripencc", "%ERROR:203: you are not allowed to act as a proxy\n", Status.FAILED, None, False),
    (
        "ripencc",
        "%ERROR:101: no entries found\n%\n% No entries found in source RIPE.\n",
        Status.UNALLOCATED,
        None,
        False,
    ),
    ("ripencc", "%ERROR:112: unsupported query '-mM'\n", Status.FAILED, None, False),
    ("ripencc", "%ERROR:100: internal software error\n", Status.FAILED, None, True),
    ("ripencc", "%ERROR:108: bad character in input\n", Status.FAILED, None, False),
    ("ripencc", "%ERROR:399: something new\n", Status.FAILED, None, True),
    # APNIC: 201 has three meanings
    ("apnic", "%ERROR:201: access denied for 192.0.2.7\n", Status.BANNED, None, False),
    ("apnic", ABUSIVE, Status.BANNED, None, False),
    ("apnic", REACHED, Status.LIMITED, None, True),
    ("apnic", TRUNCATED, Status.TRUNCATED, None, True),
    ("apnic", "%ERROR:101: no entries found\n", Status.UNALLOCATED, None, False),
    ("apnic", "%ERROR:306: connections exceeded\n", Status.LIMITED, None, True),
    # AFRINIC: both families of texts
    ("afrinic", DAILY, Status.LIMITED, 86_400.0, True),
    ("afrinic", PERMANENT, Status.BANNED, None, False),
    ("afrinic", REACHED, Status.LIMITED, None, True),
    ("afrinic", TRUNCATED, Status.TRUNCATED, None, True),
    ("afrinic", "%ERROR:101: no entries found\n", Status.UNALLOCATED, None, False),
    # LACNIC and registro.br
    ("lacnic", "% Query rate limit exceeded\n", Status.LIMITED, None, True),
    ("lacnic", "% Query rate limit exceeded. Blocked for 300 seconds.\n", Status.LIMITED, 300.0, True),
    ("lacnic", "% Query rate limit exceeded. Blocked for 999999 seconds.\n", Status.LIMITED, 86_400.0, True),
    ("lacnic", "% Query rate limit exceeded. Reduced information.\n", Status.TRUNCATED, None, True),
    ("lacnic", "% Maximum concurrent connections limit exceeded\n", Status.LIMITED, None, True),
    ("lacnic", "% Permission denied.\n", Status.BANNED, None, False),
    ("lacnic", "% Permissão negada.\n", Status.BANNED, None, False),
    ("lacnic", "% Not assigned to LACNIC\n", Status.ELSEWHERE, None, False),
    ("lacnic", "% Unallocated and unassigned in LACNIC block: 200.0.0.0/8\n", Status.UNALLOCATED, None, False),
    # ARIN
    ("arin", "No match found for n + 74.125.225.229.\n", Status.UNALLOCATED, None, False),
    ("arin", "Unable to service request due to high volume\n", Status.LIMITED, None, True),
    ("arin", "#201 denied\n", Status.LIMITED, None, True),
    # what the three of one family say alike
    *(
        (registry, f"%ERROR:{number}: {words}\n", status, None, transient)
        for registry in ("apnic", "afrinic")
        for number, words, status, transient in (
            (100, "internal software error", Status.FAILED, True),
            (108, "bad character in input", Status.FAILED, False),
            (112, "unsupported query '-mM'", Status.FAILED, False),
            (202, "access control limit reached", Status.LIMITED, True),
            (203, "you are not allowed to act as a proxy", Status.FAILED, False),
            (305, "connection has been closed", Status.FAILED, True),
            (306, "connections exceeded", Status.LIMITED, True),
        )
    ),
    ("lacnic", "% Query rate limit exceeded\n% Blocked for 300 seconds.\n", Status.LIMITED, 300.0, True),
]


@pytest.mark.parametrize(("registry", "text", "status", "wait", "transient"), TEXTS)
@pytest.mark.parametrize("before", ["", "\r", "% A line before\r\n\r\n", "\n\n"])
def test_a_text_means(
    registry: str, text: str, status: Status, wait: float | None, transient: bool, before: str, ask: Ask
) -> None:
    for body in (before + text, before + text.replace("\n", "\r\n")):
        answer = ask(registry, "whois", ADDRESS[registry], body)
        assert (answer.status, answer.retry_after_s, answer.transient) == (status, wait, transient)
        assert answer.network is None
        assert answer.elsewhere is None
        assert answer.reason


@pytest.mark.parametrize(("registry", "text"), [(registry, text) for registry, text, *_ in TEXTS])
def test_a_text_means_nothing_in_another_registry(registry: str, text: str, ask: Ask) -> None:
    family = "ripe" if registry in RIPE_LIKE else registry
    for other in ADDRESS:
        if ("ripe" if other in RIPE_LIKE else other) != family:
            assert ask(other, "whois", ADDRESS[other], text).status is Status.MALFORMED
    if text == BLOCKED:
        assert ask("apnic", "whois", ADDRESS["apnic"], text).status is Status.MALFORMED


@pytest.mark.parametrize(("registry", "text"), [(registry, text) for registry, text, *_ in TEXTS])
def test_a_text_that_a_holder_wrote_means_nothing(registry: str, text: str, ask: Ask) -> None:
    words = " ".join(text.split())
    template = {"lacnic": LACNIC.replace("{owner}", "{0}"), "arin": ARIN.replace("{org}", "{0}")}.get(
        registry, RIPE.replace("{name}", "NET").replace("{descr}", "{0}")
    )
    address = "193.0.0.1" if registry in RIPE_LIKE else ADDRESS[registry]
    for written in (words, f"{words} Ltd", f"x\n        {words}", f"x\n+       {words}"):
        if registry == "arin" and "\n" in written:
            continue
        answer = ask(registry, "whois", address, template.format(written))
        assert answer.status is Status.NETWORK, answer


def test_a_company_called_like_a_limit(ask: Ask) -> None:
    name = "Query rate limit exceeded Ltd"
    answer = ask("lacnic", "whois", "200.57.141.161", LACNIC.format(owner=name))
    assert answer.network is not None
    assert answer.network.holder == Holder("MX-TSCV6-LACNIC", name)


def test_a_part_of_an_answer_is_kept(ask: Ask) -> None:
    body = "% Query rate limit exceeded. Reduced information.\n" + LACNIC.format(owner="Triara")
    answer = ask("lacnic", "whois", "200.57.141.161", body)
    assert (answer.status, answer.transient) == (Status.TRUNCATED, True)
    assert answer.network is not None
    assert answer.network.range == Range.parse("200.57.128.0/19")
    body = RIPE.format(name="N", descr="D").replace("193.0.", "1.1.") + "\n" + TRUNCATED
    answer = ask("apnic", "whois", "1.1.1.1", body)
    assert answer.status is Status.TRUNCATED
    assert answer.network is not None
    assert answer.network.range == Range.parse("1.1.0.0/21")


def test_the_gravest_of_several_signals_counts(ask: Ask) -> None:
    limited = RIPE.format(name="N", descr="D") + "\n" + DAILY + "\n%ERROR:101: no entries found\n"
    assert ask("ripencc", "whois", "193.0.0.1", limited).status is Status.LIMITED
    assert ask("ripencc", "whois", "193.0.0.1", limited + "\n" + PERMANENT).status is Status.BANNED
    found = "%ERROR:101: no entries found\n\n" + RIPE.format(name="N", descr="D") + "\n%ERROR:305: connection closed\n"
    assert ask("ripencc", "whois", "193.0.0.1", found).status is Status.NETWORK


@pytest.mark.parametrize("body", ["", "\r\n", "\n\n  \n"])
def test_an_empty_answer_is_a_closed_connection(body: str, ask: Ask) -> None:
    for registry, address in ADDRESS.items():
        answer = ask(registry, "whois", address, body)
        assert (answer.status, answer.transient) == (Status.FAILED, True)


@pytest.mark.parametrize(
    "body", ["% hello\n", "<html></html>", "inetnum: nonsense\n", "NetRange: x\nOrgName: y\n", ":\n"]
)
def test_no_network_in_it_is_malformed(body: str, ask: Ask) -> None:
    for registry, address in ADDRESS.items():
        answer = ask(registry, "whois", address, body)
        assert (answer.status, answer.transient) == (Status.MALFORMED, True)


# --- RIPE NCC, APNIC, AFRINIC ---------------------------------------------------------------------------------------


def rpsl(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def test_every_field_of_a_ripe_record(ask: Ask) -> None:
    body = rpsl(
        "% Information related to '193.0.0.0 - 193.0.7.255'",
        "",
        "inetnum:        193.0.0.0 - 193.0.7.255",
        "netname:        EXAMPLE-NET",
        "descr:          see country: XX, created: never",
        "descr:          second line",
        "country:        nl # really",
        "country:        BE",
        "org:            org-ex1-ripe",
        "status:         ASSIGNED PA # a comment",
        "mnt-by:         EXAMPLE-MNT",
        "created:        2003-03-17T12:15:57Z",
        "last-modified:  2017-12-04T14:42:31Z",
        "source:         RIPE # Filtered",
        "",
        "organisation:   ORG-EX1-RIPE",
        "org-name:       Müller",
        "                & Söhne",
        "address:        inetnum: 193.0.0.0 - 193.0.0.0",
        "source:         RIPE",
        "",
        "person:         Contact Person",
        "nic-hdl:        CP1-RIPE",
        "",
        "route:          193.0.0.0/24",
        "descr:          a route",
        "origin:         AS3333",
    )
    for raw in (body.encode(), body.encode("latin-1"), body.replace("\n", "\r\n").encode()):
        network = ask("ripencc", "whois", "193.0.0.1", raw).network
        assert network is not None
        assert network.range == Range.parse("193.0.0.0/21")
        assert network.handle == "193.0.0.0 - 193.0.7.255"
        assert (network.name, network.type, network.country) == ("EXAMPLE-NET", "ASSIGNED PA", "NL")
        assert network.holder == Holder("org-ex1-ripe", "Müller & Söhne")
        assert (network.registered, network.changed) == ("2003-03-17T12:15:57Z", "2017-12-04T14:42:31Z")
        assert (network.registry, network.source, network.server) == ("ripencc", "whois", "whois.ripe.net:43")


def test_without_the_organisation_object_its_handle_and_the_description(ask: Ask) -> None:
    body = rpsl("inetnum: 193.0.0.0 - 193.0.7.255", "descr: RIPE Meeting", "org: ORG-EX1-RIPE")
    network = ask("ripencc", "whois", "193.0.0.1", body).network
    assert network is not None
    assert network.holder == Holder("ORG-EX1-RIPE", "RIPE Meeting")


@pytest.mark.parametrize("order", [1, -1])
def test_the_narrowest_network_that_holds_the_address_counts(order: int, ask: Ask) -> None:
    blocks = [
        rpsl("inetnum: 1.1.0.0 - 1.1.255.255", "netname: WIDE"),
        rpsl("inetnum: 1.1.1.0 - 1.1.1.255", "netname: NARROW"),
        rpsl("inetnum: 1.1.2.0 - 1.1.2.15", "netname: BESIDE"),
        rpsl("route: 1.1.1.0/28", "descr: no registration"),
    ]
    network = ask("apnic", "whois", "1.1.1.1", "\n".join(blocks[::order])).network
    assert network is not None
    assert (network.name, network.range) == ("NARROW", Range.parse("1.1.1.0/24"))


@pytest.mark.parametrize(
    ("written", "handle"),
    [
        ("2001:0240::/32", "2001:240::/32"),
        ("2001:0240:0000::/32", "2001:240::/32"),
        ("2001:240:: - 2001:240:ffff:ffff:ffff:ffff:ffff:ffff", "2001:240::/32"),
    ],
)
def test_ipv6_with_padded_groups(written: str, handle: str, ask: Ask) -> None:
    network = ask("apnic", "whois", "2001:240::1", rpsl(f"inet6num:       {written}", "netname: IIJ-V6")).network
    assert network is not None
    assert (network.range, network.handle, network.name) == (Range.parse("2001:240::/32"), handle, "IIJ-V6")


def test_apnic_dates_of_both_kinds(ask: Ask) -> None:
    head = ["inetnum: 1.1.1.0 - 1.1.1.255", "descr: since 20990101"]
    old = [*head, "changed: contact@example.net 20050101", "changed: contact@example.net 20110811", "changed: none"]
    network = ask("apnic", "whois", "1.1.1.1", rpsl(*old)).network
    assert network is not None
    assert network.changed == "2011-08-11T00:00:00Z"
    network = ask("apnic", "whois", "1.1.1.1", rpsl(*old, "last-modified:  2020-07-15T13:10:57Z")).network
    assert network is not None
    assert network.changed == "2020-07-15T13:10:57Z"


def test_afrinic_parent_and_unaligned_range(ask: Ask) -> None:
    body = rpsl("inetnum: 196.11.239.0 - 196.11.246.255", "parent:         196.0.0.0 - 196.255.255.255")
    network = ask("afrinic", "whois", "196.11.240.215", body).network
    assert network is not None
    assert network.parent == "196.0.0.0 - 196.255.255.255"
    assert network.range.cidrs() == ["196.11.239.0/24", "196.11.240.0/22", "196.11.244.0/23", "196.11.246.0/24"]


# --- LACNIC ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("200.57.128/19", "200.57.128.0/19"),
        ("200.57/16", "200.57.0.0/16"),
        ("200.57.128.0/19", "200.57.128.0/19"),
        ("200.57.128.0 - 200.57.160.255", "200.57.128.0-200.57.160.255"),
        ("200.57.141.161/32", "200.57.141.161/32"),
    ],
)
def test_lacnic_prefixes_in_short(written: str, expected: str, ask: Ask) -> None:
    body = LACNIC.format(owner="Peña Pobre, S.A.").replace("inetnum:     200.57.128/19", f"inetnum:     {written}")
    body += "inetnum-up:  200.57/16\n"
    network = ask("lacnic", "whois", "200.57.141.161", body.encode("latin-1")).network
    assert network is not None
    assert network.range == Range.parse(expected)
    assert network.handle == expected
    assert network.holder == Holder("MX-TSCV6-LACNIC", "Peña Pobre, S.A.")
    assert (network.parent, network.type, network.country) == ("200.57.0.0/16", "allocated", "MX")
    assert (network.registered, network.changed) == ("2000-12-04T00:00:00Z", "2014-07-16T00:00:00Z")


def test_lacnic_ipv6(ask: Ask) -> None:
    body = rpsl("% LACNIC resource: whois.lacnic.net", "", "inet6num:    2801:0:40::/48", "owner: Universidad")
    network = ask("lacnic", "whois", "2801:0:40::1", body).network
    assert network is not None
    assert (network.range, network.handle) == (Range.parse("2801:0:40::/48"), "2801:0:40::/48")


@pytest.mark.parametrize(
    ("line", "keeper"),
    [
        ("% RIPENCC resource: whois.ripe.net", "ripencc"),
        ("% APNIC resource: whois.apnic.net", "apnic"),
        ("% ARIN resource: whois.arin.net", "arin"),
        ("% AfriNIC resource: whois.afrinic.net", "afrinic"),
        ("% Foreign resource: whois.example.net", None),
    ],
)
def test_lacnic_speaks_for_others(line: str, keeper: str | None, ask: Ask) -> None:
    body = rpsl("% Joint Whois - whois.lacnic.net", line, "", "inetnum: 193.0.0.0 - 193.0.7.255", "netname: X")
    answer = ask("lacnic", "whois", "193.0.0.1", body)
    assert (answer.status, answer.elsewhere) == (Status.ELSEWHERE, keeper)


@pytest.mark.parametrize("line", ["% Brazilian resource: whois.registro.br", "% LACNIC resource: whois.lacnic.net"])
def test_brazil_is_lacnics(line: str, ask: Ask) -> None:
    body = rpsl("% Joint Whois - whois.lacnic.net", line, "", "inetnum: 200.160/20", "owner: NIC.br", "created: x")
    network = ask("lacnic", "whois", "200.160.0.8", body).network
    assert network is not None
    assert (network.range, network.registered) == (Range.parse("200.160.0.0/20"), None)


# --- ARIN -----------------------------------------------------------------------------------------------------------


def test_every_field_of_an_arin_record(ask: Ask) -> None:
    network = ask("arin", "whois", "74.125.225.229", ARIN.format(org="Café (Paris) Inc.").encode("latin-1")).network
    assert network is not None
    assert network.range == Range.parse("74.125.0.0/16")
    assert (network.handle, network.name, network.type) == ("NET-74-125-0-0-1", "GOOGLE", "Direct Allocation")
    assert network.holder == Holder("GOGL", "Café (Paris) Inc.")
    assert (network.parent, network.country) == ("NET-74-0-0-0-0", "US")
    assert (network.registered, network.changed) == ("2007-03-13T00:00:00Z", None)


def test_a_customer_is_a_holder(ask: Ask) -> None:
    body = rpsl(
        "NetRange:       8.8.8.0 - 8.8.8.255",
        "CIDR:           8.8.8.0/24",
        "NetName:        LVLT",
        "NetHandle:      NET-8-8-8-0-1",
        "Parent:         LVLT-ORG-8-8 (NET-8-0-0-0-1)",
        "NetType:        Reassigned",
        "Customer:       Acme (C00000001)",
        "",
        "CustName:       Acme",
        "Country:        CA",
    )
    network = ask("arin", "whois", "8.8.8.8", body).network
    assert network is not None
    assert (network.holder, network.country, network.type) == (Holder("C00000001", "Acme"), "CA", "Reassigned")


def test_unaligned_arin_range(ask: Ask) -> None:
    body = rpsl(
        "NetRange:       13.64.0.0 - 13.107.255.255", "CIDR:           13.104.0.0/14, 13.64.0.0/11", "OrgName: M"
    )
    network = ask("arin", "whois", "13.64.0.1", body).network
    assert network is not None
    assert network.range.cidrs() == ["13.64.0.0/11", "13.96.0.0/13", "13.104.0.0/14"]


APNIC_PARENT = rpsl(
    "NetRange:       103.0.0.0 - 103.255.255.255",
    "CIDR:           103.0.0.0/8",
    "NetName:        APNIC-103",
    "NetType:        Allocated to APNIC",
    "",
    "OrgName:        Asia Pacific Network Information Centre",
    "OrgId:          APNIC",
    "",
    "ReferralServer:  whois://whois.apnic.net",
)
RIPE_CHILD = rpsl(
    "NetRange:       103.81.230.0 - 103.81.231.255",
    "CIDR:           103.81.230.0/23",
    "NetName:        RIPE",
    "NetType:        Early Registrations, Transferred to RIPE NCC",
    "",
    "OrgName:        RIPE Network Coordination Centre",
    "OrgId:          RIPE",
    "",
    "ReferralServer:  whois://whois.ripe.net",
)


def test_the_last_block_and_its_referral_win(ask: Ask) -> None:
    assert ask("arin", "whois", "103.81.230.0", APNIC_PARENT + "\n" + RIPE_CHILD).elsewhere == "ripencc"
    assert ask("arin", "whois", "103.81.230.0", APNIC_PARENT).elsewhere == "apnic"
    own = ARIN.format(org="Acme").replace("74.125.", "103.81.")
    assert ask("arin", "whois", "103.81.230.0", APNIC_PARENT + own).status is Status.NETWORK


@pytest.mark.parametrize(
    ("line", "keeper"),
    [
        ("NetType:        Allocated to APNIC", "apnic"),
        ("NetType:        Allocated to RIPE NCC", "ripencc"),
        ("NetType:        Allocated to LACNIC", "lacnic"),
        ("NetType:        Allocated to AfriNIC", "afrinic"),
        ("NetType:        Early Registrations, Transferred to RIPE NCC", "ripencc"),
        ("NetType:        Early Registrations, Maintained by AFRINIC", "afrinic"),
        ("ReferralServer: whois://whois.lacnic.net", "lacnic"),
        ("ReferralServer: whois://whois.ripe.net:43", "ripencc"),
        ("ReferralServer: whois.nic.ad.jp", "apnic"),
        ("ReferralServer: rwhois://rwhois.example.net:4321\nReferralServer: whois://whois.apnic.net", "apnic"),
        ("OrgId:          RIPE", "ripencc"),
        ("OrgId:          AFRINIC", "afrinic"),
        ("NetName:        RIPE-ERX-192-41-178-0", "ripencc"),
        ("NetName:        APNIC-ERX-150-0-0-0", "apnic"),
        ("NetName:        RIPE", "ripencc"),
        ("Comment:        These addresses are not registered in the ARIN database.", None),
    ],
)
def test_arin_says_whose_it_is(line: str, keeper: str | None, ask: Ask) -> None:
    body = rpsl("NetRange:       192.41.178.0 - 192.41.197.255", "CIDR: 192.41.178.0/23", line, "OrgName: x")
    answer = ask("arin", "whois", "192.41.178.1", body)
    assert (answer.status, answer.elsewhere) == (Status.ELSEWHERE, keeper)


@pytest.mark.parametrize(
    "line",
    [
        "ReferralServer: rwhois://rwhois.example.net:4321",
        "ReferralServer: rwhois://whois.ripe.net:4321",
        "ReferralServer: whois://whois.example.net",
        "ReferralServer: whois://whois.arin.net",
        "ReferralServer: ",
        "NetType:        Early Registrations, Maintained by ARIN",
        "NetType:        Direct Assignment",
        "NetName:        RIPEX-ERX",
        "OrgName:        APNIC Fans",
        "Comment:        Transferred to nobody",
    ],
)
def test_arin_keeps_what_is_its_own(line: str, ask: Ask) -> None:
    body = rpsl("NetRange:       192.41.178.0 - 192.41.197.255", "CIDR: 192.41.178.0/23", line, "OrgName: x")
    assert ask("arin", "whois", "192.41.178.1", body).status is Status.NETWORK


def test_referrals_to_practice_registries(ask: Ask) -> None:
    bases = {"127.0.0.1:4801": "arin", "127.0.0.1:4802": "ripencc"}
    body = "NetRange: 192.41.178.0 - 192.41.197.255\nReferralServer: whois://127.0.0.1:{}\n"
    answer = ask("arin", "whois", "192.41.178.1", body.format(4802), bases, server="127.0.0.1:4801")
    assert answer.elsewhere == "ripencc"
    for own in (4801, 4803):
        assert ask("arin", "whois", "192.41.178.1", body.format(own), bases).status is Status.NETWORK
