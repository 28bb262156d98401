"""Real answers of all five registries, each down to the exact record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from whoismesh.addresses import Range
from whoismesh.answers import CANNOT_TELL, Answer, Status
from whoismesh.networks import Holder, Network
from whoismesh.registries import DEFAULTS

Ask = Callable[..., Answer]
Capture = Callable[[str], bytes]

# 2026-11-22 06:00:00 UTC, as in conftest.
NOW = 1_795_327_200.0


def network(registry: str, source: str, asked: str, text: str, **fields: object) -> Network:
    server = DEFAULTS[registry].rdap if source == "rdap" else DEFAULTS[registry].whois
    return Network(
        registry,
        Range.parse(text),
        source=source,
        server=server,
        asked=asked,
        fetched_at=NOW,
        **fields,  # type: ignore[arg-type]
    )


EXPECTED = {
    "ipwhois/afrinic/196.11.240.215.rdap.json": network(
        "afrinic",
        "rdap",
        "196.11.240.215",
        "196.11.239.0-196.11.246.255",
        handle="196.11.239.0 - 196.11.246.255",
        name="ORG-VSA1-AFRINIC",
        type="ASSIGNED PI",
        status=("active",),
        country="ZA",
        parent="196.0.0.0 - 196.255.255.255",
        holder=Holder("ORG-VSA1-AFRINIC", None),  # the card gives the handle for a name
    ),
    "ipwhois/afrinic/196.11.240.215.whois.txt": network(
        "afrinic",
        "whois",
        "196.11.240.215",
        "196.11.239.0-196.11.246.255",
        handle="196.11.239.0 - 196.11.246.255",
        name="NET-196-11-239-0",
        type="ASSIGNED PI",
        country="ZA",
        parent="196.0.0.0 - 196.255.255.255",
        holder=Holder("ORG-VSA1-AFRINIC", "MTN SA"),
    ),
    "ipwhois/apnic/210.107.73.73.rdap.json": network(
        "apnic",
        "rdap",
        "210.107.73.73",
        "210.107.0.0/17",
        handle="210.107.0.0 - 210.107.127.255",
        name="BORANET-NET-210-107",
        type="ALLOCATED PORTABLE",
        country="KR",
        parent="210.0.0.0 - 210.255.255.255",
        holder=Holder(None, "DACOM Corp."),
        changed="2015-08-26T01:25:35Z",
    ),
    "ipwhois/apnic/210.107.73.73.whois.txt": network(
        "apnic",
        "whois",
        "210.107.73.73",
        "210.107.0.0/17",
        handle="210.107.0.0 - 210.107.127.255",
        name="BORANET-NET-210-107",
        type="ALLOCATED PORTABLE",
        country="KR",
        holder=Holder(None, "DACOM Corp."),
        changed="2002-10-25T00:00:00Z",
    ),
    "ipwhois/arin/74.125.225.229.rdap.json": network(
        "arin",
        "rdap",
        "74.125.225.229",
        "74.125.0.0/16",
        handle="NET-74-125-0-0-1",
        name="GOOGLE",
        country="US",
        parent="NET-74-0-0-0-0",
        holder=Holder("GOGL", "Google Inc."),
        registered="2007-03-13T12:09:54-04:00",
        changed="2012-02-24T09:44:34-05:00",
    ),
    "ipwhois/arin/74.125.225.229.whois.txt": network(
        "arin",
        "whois",
        "74.125.225.229",
        "74.125.0.0/16",
        handle="NET-74-125-0-0-1",
        name="GOOGLE",
        type="Direct Allocation",
        country="US",
        parent="NET-74-0-0-0-0",
        holder=Holder("GOGL", "Google Inc."),
        registered="2007-03-13T00:00:00Z",
        changed="2012-02-24T00:00:00Z",
    ),
    "ipwhois/lacnic/200.57.141.161.whois.txt": network(
        "lacnic",
        "whois",
        "200.57.141.161",
        "200.57.128.0/19",
        handle="200.57.128.0/19",
        type="allocated",
        country="MX",
        holder=Holder("MX-TSCV6-LACNIC", "Triara.com, S.A. de C.V."),
        registered="2000-12-04T00:00:00Z",
        changed="2014-07-16T00:00:00Z",
    ),
    "ipwhois/ripencc/62.239.237.1.rdap.json": network(
        "ripencc",
        "rdap",
        "62.239.237.1",
        "62.239.237.0/24",
        handle="62.239.237.0 - 62.239.237.255",
        name="BT-CORPORATE",
        type="ASSIGNED PA",
        country="GB",
        holder=Holder(None, "UDC"),  # BTENT-MNT, a nested registrant, is a maintainer
        changed="2008-08-14T16:54:30Z",
    ),
    "ipwhois/ripencc/62.239.237.1.whois.txt": network(
        "ripencc",
        "whois",
        "62.239.237.1",
        "62.239.237.0/24",
        handle="62.239.237.0 - 62.239.237.255",
        name="BT-CORPORATE",
        type="ASSIGNED PA",
        country="GB",
        holder=Holder(None, "UDC"),
        registered="2008-08-14T14:54:30Z",
        changed="2008-08-14T14:54:30Z",
    ),
    "whoisit/ip_v4.json": network(
        "apnic",
        "rdap",
        "1.1.1.1",
        "1.1.1.0/24",
        handle="1.1.1.0 - 1.1.1.255",
        name="APNIC-LABS",
        type="ASSIGNED PORTABLE",
        country="AU",
        holder=Holder(None, "APNIC and Cloudflare DNS Resolver project"),
        changed="2020-07-15T13:10:57Z",
    ),
    "whoisit/cidr_v6.json": network(
        "arin",
        "rdap",
        "2001:4860:4860::8888",
        "2001:4860::/32",
        handle="NET6-2001-4860-1",
        name="GOOGLE-IPV6",
        type="DIRECT ALLOCATION",
        status=("active",),
        country="US",
        parent="NET6-2001-4800-0",
        holder=Holder("GOGL", "Google LLC"),
        registered="2005-03-14T11:31:08-05:00",
        changed="2012-02-24T09:44:34-05:00",
    ),
    "rdap-20c/ip_206.41.110.0.json": network(
        "arin",
        "rdap",
        "206.41.110.0",
        "206.41.110.0/24",
        handle="NET-206-41-110-0-1",
        name="CHIX",
        type="DIRECT ALLOCATION",
        status=("active",),
        country="US",
        parent="NET-206-0-0-0-0",
        holder=Holder("UIEL", "United-IX"),
        registered="2014-10-17T18:32:20-04:00",
        changed="2021-12-14T20:28:45-05:00",
    ),
}


@pytest.mark.parametrize("path", EXPECTED)
def test_a_capture_becomes_exactly_its_record(path: str, ask: Ask, capture: Capture) -> None:
    expected = EXPECTED[path]
    assert ask(expected.registry, expected.source, expected.asked, capture(path)) == Answer(
        Status.NETWORK, network=expected
    )


@pytest.mark.parametrize(
    ("registry", "address", "cidrs"),
    [
        (
            "afrinic",
            "196.11.240.215",
            ["196.11.239.0/24", "196.11.240.0/22", "196.11.244.0/23", "196.11.246.0/24"],
        ),
        ("apnic", "210.107.73.73", ["210.107.0.0/17"]),
        ("arin", "74.125.225.229", ["74.125.0.0/16"]),
        ("ripencc", "62.239.237.1", ["62.239.237.0/24"]),
    ],
)
def test_both_protocols_agree(registry: str, address: str, cidrs: list[str], ask: Ask, capture: Capture) -> None:
    by_rdap = ask(registry, "rdap", address, capture(f"ipwhois/{registry}/{address}.rdap.json")).network
    by_whois = ask(registry, "whois", address, capture(f"ipwhois/{registry}/{address}.whois.txt")).network
    assert by_rdap is not None
    assert by_whois is not None
    assert (by_rdap.registry, by_rdap.range, by_rdap.handle) == (by_whois.registry, by_whois.range, by_whois.handle)
    assert by_rdap.range.cidrs() == cidrs


def test_lacnic_rdap_that_echoes_the_address_cannot_tell(ask: Ask, capture: Capture) -> None:
    answer = ask("lacnic", "rdap", "200.57.141.161", capture("ipwhois/lacnic/200.57.141.161.rdap.json"))
    assert (answer.status, answer.transient) == (Status.FAILED, False)
    assert answer.reason == f"{CANNOT_TELL}: the answer gives the address asked as its range"


def test_no_contact_person_is_kept(ask: Ask, capture: Capture) -> None:
    for path, expected in EXPECTED.items():
        answer = ask(expected.registry, expected.source, expected.asked, capture(path))
        assert "Contact Person" not in repr(answer)
        assert "@" not in repr(answer)
        assert "555-0100" not in repr(answer)


@pytest.mark.parametrize(
    ("path", "registry", "status"),
    [
        ("rdap-20c/entity_AS5496JP.json", "apnic", Status.UNALLOCATED),
        ("rdap-20c/entity_HH11825JP.json", "apnic", Status.FAILED),
        ("icann-rdap/error_ripe_net.json", "ripencc", Status.FAILED),
    ],
)
def test_an_error_body_follows_its_code(path: str, registry: str, status: Status, ask: Ask, capture: Capture) -> None:
    answer = ask(registry, "rdap", "1.2.3.4", capture(path))
    assert (answer.status, answer.transient) == (status, False)


def test_an_answer_for_another_address_is_malformed(ask: Ask, capture: Capture) -> None:
    for path, expected in EXPECTED.items():
        other = "2001:4860::1" if expected.range.family == 4 else "74.125.0.1"
        assert ask(expected.registry, expected.source, other, capture(path)).status is Status.MALFORMED
