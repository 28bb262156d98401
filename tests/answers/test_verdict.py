"""What counts as a network: pools, placeholders and "not mine" never become one, in either protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from whoismesh.addresses import Range, format_address
from whoismesh.answers import Answer, Status

Ask = Callable[..., Answer]


def both(ask: Ask, registry: str, address: str, text: str, **fields: Any) -> list[Answer]:
    """Ask about one registration by RDAP and at port 43. Fields: name, type, org, handle, descr, country, mnt."""
    found = Range.parse(text)
    first, last = (format_address(found.family, each) for each in (found.first, found.last))
    name, kind, org, handle = (fields.get(key) for key in ("name", "type", "org", "handle"))
    descr, country = fields.get("descr"), fields.get("country")
    document: dict[str, Any] = {
        "startAddress": first,
        "endAddress": last,
        "handle": f"{first} - {last}",
        "name": name,
        "type": kind,
        "country": country,
    }
    if org or handle:
        card = ["vcard", [["fn", {}, "text", org], ["kind", {}, "text", "org"]]]
        document["entities"] = [{"handle": handle, "roles": ["registrant"], "vcardArray": card}]
    if descr:
        document["remarks"] = [{"title": "description", "description": [descr]}]
    if registry == "arin":
        lines = [("NetRange", f"{first} - {last}"), ("NetName", name), ("NetType", kind), ("Comment", descr)]
        lines += [("OrgName", org), ("OrgId", handle)]
    elif registry == "lacnic":
        lines = [("inetnum", str(found)), ("status", kind), ("owner", org), ("ownerid", handle)]
    else:
        key = "inetnum" if found.family == 4 else "inet6num"
        lines = [
            (key, f"{first} - {last}"),
            ("netname", name),
            ("descr", descr),
            ("country", country),
            ("status", kind),
        ]
        lines += [("descr", None if handle else org), ("org", handle), ("mnt-by", fields.get("mnt"))]
        if handle:
            lines += [("", ""), ("organisation", handle), ("org-name", org)]
    whois = "\n".join(f"{key}: {value}" if key else "" for key, value in lines if value is not None)
    answers = [ask(registry, "rdap", address, json.dumps(document)), ask(registry, "whois", address, whois + "\n")]
    assert answers[0].status == answers[1].status, answers
    assert answers[0].elsewhere == answers[1].elsewhere
    if answers[0].network is not None and answers[1].network is not None:
        assert answers[0].network.range == answers[1].network.range
        assert answers[0].network.registry == answers[1].network.registry
    return answers


@pytest.mark.parametrize(
    ("registry", "address", "text", "fields"),
    [
        ("ripencc", "193.200.0.1", "193.0.0.0/8", {"name": "EU-ZZ-193", "type": "ALLOCATED UNSPECIFIED"}),
        ("ripencc", "193.200.0.1", "193.128.0.0/9", {"name": "EU-ZZ-193-128", "type": "ALLOCATED UNSPECIFIED"}),
        ("ripencc", "193.200.0.1", "193.0.0.0/8", {"name": "X", "org": "Acme", "type": "ALLOCATED UNSPECIFIED"}),
        (
            "ripencc",
            "2a02::1",
            "2a00::/12",
            {"name": "EU-ZZ-2A00", "org": "RIPE NCC", "handle": "ORG-NCC1-RIPE"},
        ),
        ("ripencc", "2a02::1", "2a00::/11", {"name": "EU-ZZ", "handle": "ORG-NCC1-RIPE", "org": "x"}),
        ("apnic", "210.1.1.1", "210.0.0.0/7", {"name": "APNIC-AP", "descr": "Asia Pacific Network Information Centre"}),
        ("apnic", "1.1.1.1", "1.0.0.0/8", {"name": "APNIC-1"}),
        ("apnic", "1.1.1.1", "1.0.0.0/8", {"name": "APNIC-AP", "descr": "Some words"}),
        ("lacnic", "200.1.1.1", "200.0.0.0/8", {"type": "allocated"}),
        ("lacnic", "200.1.1.1", "200.0.0.0/7", {"org": "LACNIC", "handle": "LACNIC"}),
        ("afrinic", "196.1.1.1", "196.0.0.0/8", {"name": "NET196", "type": "ALLOCATED UNSPECIFIED"}),
        (
            "arin",
            "206.1.1.1",
            "206.0.0.0/8",
            {"name": "NET206", "org": "American Registry for Internet Numbers", "handle": "ARIN"},
        ),
        ("arin", "206.1.1.1", "206.0.0.0/8", {"name": "NET206", "type": "Allocated to ARIN"}),
        ("arin", "2600:4000::1", "2600::/12", {"name": "NET6-2600", "org": "ARIN", "handle": "ARIN"}),
    ],
)
def test_a_pool(registry: str, address: str, text: str, fields: dict[str, Any], ask: Ask) -> None:
    for answer in both(ask, registry, address, text, **fields):
        assert (answer.status, answer.network) == (Status.POOL, None), answer


@pytest.mark.parametrize(
    ("registry", "address", "text", "fields"),
    [
        ("arin", "19.1.1.1", "19.0.0.0/8", {"name": "FINET", "org": "Ford Motor Company", "handle": "FORDMO"}),
        ("arin", "17.1.1.1", "17.0.0.0/8", {"name": "APPLE-WWNET", "org": "Apple Inc.", "handle": "APPLEC-1-Z"}),
        ("arin", "18.1.1.1", "18.0.0.0/8", {"name": "NET-18", "org": "Acme University", "handle": "AU"}),
        ("arin", "6.1.1.1", "6.0.0.0/7", {"name": "ARMY", "org": "DoD", "handle": "DNIC"}),
        ("ripencc", "25.1.1.1", "25.0.0.0/8", {"name": "UK-MOD-19850128", "org": "UK MoD", "type": "LEGACY"}),
        ("ripencc", "25.1.1.1", "25.0.0.0/8", {"name": "UK-MOD-19850128", "descr": "UK Ministry of Defence"}),
        ("ripencc", "25.1.1.1", "25.0.0.0/8", {"name": "UK-MOD-19850128", "type": "LEGACY"}),
        ("ripencc", "193.0.0.1", "193.0.0.0/21", {"name": "RIPE-NCC", "org": "RIPE NCC", "handle": "ORG-NCC1-RIPE"}),
        ("ripencc", "193.0.0.1", "193.0.0.0/21", {"name": "RIPE-NCC"}),
        ("apnic", "1.1.1.1", "1.1.1.0/24", {"name": "APNIC-LABS", "descr": "APNIC Research"}),
        ("apnic", "1.1.1.1", "1.1.1.1", {"name": "ONE"}),
        ("afrinic", "196.11.240.1", "196.11.239.0-196.11.246.255", {"name": "MTN"}),
    ],
)
def test_a_network(registry: str, address: str, text: str, fields: dict[str, Any], ask: Ask) -> None:
    for answer in both(ask, registry, address, text, **fields):
        assert answer.status is Status.NETWORK, answer
        assert answer.network is not None
        assert (answer.network.registry, answer.network.range) == (registry, Range.parse(text))


@pytest.mark.parametrize(
    ("registry", "address", "text", "fields"),
    [
        ("ripencc", "49.14.0.1", "0.0.0.0/0", {"name": "IANA-BLK", "type": "ALLOCATED UNSPECIFIED", "country": "EU"}),
        ("ripencc", "49.14.0.1", "49.0.0.0/8", {"name": "IANA-BLK"}),
        ("afrinic", "49.14.0.1", "0.0.0.0/0", {"name": "ORG-IANA1-AFRINIC", "type": "ALLOCATED UNSPECIFIED"}),
        ("apnic", "2400::1", "::/0", {"name": "IANA-BLK"}),
        ("arin", "8.8.8.8", "0.0.0.0/0", {"name": "X", "org": "Acme", "handle": "ACME"}),
        ("arin", "240.0.0.1", "240.0.0.0/4", {"name": "SPECIAL", "type": "IANA Special Use", "org": "IANA"}),
        ("afrinic", "102.1.1.1", "102.0.0.0/8", {"name": "X", "descr": "Here for in-addr.arpa authentication"}),
    ],
)
def test_a_placeholder(registry: str, address: str, text: str, fields: dict[str, Any], ask: Ask) -> None:
    for answer in both(ask, registry, address, text, **fields):
        assert (answer.status, answer.network) == (Status.PLACEHOLDER, None), answer


MOVED = "Transferred to the {} region on 2020-12-08T07:54:04Z."
STUB = {"name": "STUB-1-179-112SLASH20", "country": "ZZ", "mnt": "APNIC-STUB"}


@pytest.mark.parametrize(
    ("registry", "address", "text", "fields", "keeper"),
    [
        ("ripencc", "49.14.0.1", "49.14.0.0-49.235.255.255", {"name": "NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK"}, None),
        ("ripencc", "49.14.0.1", "0.0.0.1-255.255.255.255", {"name": "NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK"}, None),
        ("afrinic", "196.1.1.1", "196.1.0.0/16", {"name": "AFRINIC-NET-TRANSFERRED-20200101"}, None),
        ("apnic", "1.179.112.1", "1.179.112.0/20", {**STUB, "descr": MOVED.format("RIPE")}, "ripencc"),
        ("apnic", "1.179.112.1", "1.179.112.0/20", {**STUB, "descr": MOVED.format("ARIN")}, "arin"),
        ("apnic", "1.179.112.1", "1.179.112.0/20", {**STUB, "descr": MOVED.format("LACNIC")}, "lacnic"),
        ("apnic", "1.179.112.1", "1.179.112.0/20", {**STUB, "descr": MOVED.format("AFRINIC")}, "afrinic"),
        (
            "apnic",
            "8.8.8.8",
            "8.0.0.0/8",
            {"name": "IANA-NETBLOCK-8", "descr": "This network range is not allocated to APNIC."},
            None,
        ),
        ("apnic", "8.8.8.8", "8.0.0.0/8", {"name": "X", "descr": "Not allocated by APNIC"}, None),
        ("apnic", "8.8.8.8", "8.0.0.0/8", {"name": "X", "descr": "not fully allocated to APNIC"}, None),
        ("apnic", "8.8.8.8", "8.0.0.0/8", {"name": "X", "descr": "Placeholder reference"}, None),
        (
            "apnic",
            "8.8.8.8",
            "8.0.0.0/8",
            {"name": "X", "descr": "This address range is not administered by APNIC."},
            None,
        ),
        ("arin", "1.1.1.1", "1.0.0.0/8", {"name": "APNIC-1", "type": "Allocated to APNIC"}, "apnic"),
        ("arin", "193.0.0.1", "193.0.0.0/8", {"name": "RIPE-193", "org": "RIPE NCC", "handle": "RIPE"}, "ripencc"),
    ],
)
def test_elsewhere(
    registry: str, address: str, text: str, fields: dict[str, Any], keeper: str | None, ask: Ask
) -> None:
    for answer in both(ask, registry, address, text, **fields):
        assert (answer.status, answer.elsewhere, answer.network) == (Status.ELSEWHERE, keeper, None), answer


@pytest.mark.parametrize(
    ("registry", "fields"),
    [
        # the words alone are a holder's; so are names that mean something at another registry
        ("apnic", {"name": "STUB-1-179-112SLASH20", "country": "AU", "descr": MOVED.format("RIPE"), "mnt": "MAINT-X"}),
        ("apnic", {"name": "ACME", "country": "ZZ", "descr": MOVED.format("RIPE"), "mnt": "MAINT-X"}),
        ("apnic", {**STUB, "descr": "We were Transferred to the RIPE region on 2020-12-08"}),
        ("apnic", {"name": "NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK"}),
        ("ripencc", {"name": "AFRINIC-NET-TRANSFERRED-X", "descr": "not allocated to APNIC"}),
        ("afrinic", {"name": "RIPE-ERX-1", "type": "Allocated to APNIC"}),
    ],
)
def test_the_words_of_a_holder_lead_nowhere(registry: str, fields: dict[str, Any], ask: Ask) -> None:
    for answer in both(ask, registry, "1.179.112.1", "1.179.112.0/20", **fields):
        assert answer.status is Status.NETWORK, answer


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("128.0.0.0/1", "193.0.0.1"),
        ("193.0.0.0-199.255.255.255", "193.0.0.1"),  # reaches into other registries' space
        ("0.0.0.1-255.255.255.255", "193.0.0.1"),
        ("193.0.8.0/24", "193.0.0.1"),  # elsewhere
        ("10.0.0.0/8", "10.0.0.1"),  # special space
        ("2000::/3", "2a00::1"),
    ],
)
def test_an_impossible_range_is_malformed(text: str, address: str, ask: Ask) -> None:
    for answer in both(ask, "ripencc", address, text, name="ACME", org="Acme", handle="ORG-A1-RIPE"):
        assert (answer.status, answer.network) == (Status.MALFORMED, None)
        assert "expected" in answer.reason
