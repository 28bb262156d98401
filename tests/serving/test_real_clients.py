"""Programs of others, pointed at a served dump: Debian's whois, ipwhois, whoisit and asyncwhois."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator

import pytest
from served import Served, dump, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(dump(tmp_path_factory.mktemp("dump"))) as served:
        yield served


def debian_whois(server: Served, *query: str) -> str:
    if shutil.which("whois") is None:
        if "CI" in os.environ:
            pytest.fail("no `whois` here; bin/setup-hosts installs it")
        pytest.skip("no `whois` here; bin/setup-hosts installs it")
    command = ["whois", "-h", "127.0.0.1", "-p", str(server.whois_port), *query]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    return done.stdout.decode()


def test_debians_whois(server: Served) -> None:
    text = debian_whois(server, "193.0.6.139")
    assert "inetnum:        193.0.0.0 - 193.0.7.255" in text
    assert text.index("INNER-NET") < text.index("OUTER")
    assert "netname:        V6" in debian_whois(server, "2001:600::1")
    assert "netname:        OUTER" in debian_whois(server, "--", "-rBG -T inetnum 193.0.8.1")
    assert "%ERROR:101: no entries found" in debian_whois(server, "193.0.19.1")


def test_ipwhois_by_whois(server: Served) -> None:
    from ipwhois.net import Net
    from ipwhois.whois import Whois

    net = Net("193.0.6.139")
    text = net.get_whois("ripencc", retry_count=0, server="127.0.0.1", port=server.whois_port)
    asn_data = {"asn_registry": "ripencc", "asn_date": "", "asn": "3333", "asn_cidr": "", "asn_country_code": "NL"}
    first = Whois(net).lookup(response=text, asn_data=asn_data, is_offline=True)["nets"][0]
    assert (first["cidr"], first["name"], first["country"]) == ("193.0.0.0/21", "INNER-NET", "NL")
    assert first["description"] == "Rseaux IP"  # it drops what is no ASCII


def test_ipwhois_by_rdap(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    import ipwhois.rdap
    from ipwhois.net import Net

    monkeypatch.setitem(ipwhois.rdap.RIR_RDAP["ripencc"], "ip_url", f"{server.url}ip/{{0}}")
    found = ipwhois.rdap.RDAP(Net("193.0.6.139")).lookup(asn_data={"asn_registry": "ripencc"}, depth=0)
    assert found["network"]["cidr"] == "193.0.0.0/21"
    assert (found["network"]["name"], found["network"]["country"]) == ("INNER-NET", "NL")
    assert found["entities"] == ["ORG-RIEN1-RIPE"]


def bootstrap(server: Served) -> dict[str, object]:
    """What IANA publishes (RFC 9224), with this one server for all."""
    empty = {"services": [[["0"], ["https://127.0.0.1/"]]]}
    return {
        "ipv4": {"services": [[["193.0.0.0/8"], [server.url]]]},
        "ipv6": {"services": [[["2001:600::/23"], [server.url]]]},
        **dict.fromkeys(("asn", "dns", "object"), empty),
        "timestamp": int(time.time()),
    }


def test_whoisit(server: Served) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import whoisit
    whoisit.clear_bootstrapping()
    whoisit.load_bootstrap_data(json.dumps(bootstrap(server)), allow_insecure=True)
    found = whoisit.ip("193.0.6.139")
    assert found["network"] == ipaddress.ip_network("193.0.0.0/21")
    assert (found["name"], found["country"], found["handle"]) == ("INNER-NET", "NL", "193.0.0.0 - 193.0.7.255")
    assert found["registration_date"].year == 1993
    assert found["entities"]["registrant"][0]["name"] == "Réseaux IP"
    assert whoisit.ip("2001:600::/32")["network"] == ipaddress.ip_network("2001:600::/32")
    with pytest.raises(whoisit.errors.ResourceDoesNotExist) as missing:
        whoisit.ip("193.0.19.1")
    assert "unallocated" in missing.value.response
    whoisit.clear_session()


def test_asyncwhois_by_whois_and_rdap(server: Served) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import asyncwhois
        import whodap
        from asyncwhois.client import NumberClient

    client = NumberClient(authoritative_only=True)
    client.query_obj.whois_port = server.whois_port
    [text] = client.query_obj.run("193.0.6.139", "127.0.0.1")
    assert "INNER-NET" in text
    parsed = client.parse_obj.parse(text, ipaddress.IPv4Address("193.0.6.139"))
    assert parsed["net_range"] == "193.0.0.0 - 193.0.7.255"

    rdap = whodap.IPv4Client(None)
    rdap._set_iana_info({"services": [[["193.0.0.0/8"], [server.url]]]})
    rdap.httpx_client = whodap.IPv4Client._get_default_httpx_client()
    body, _ = asyncwhois.rdap("193.0.6.139", whodap_client=rdap)
    assert json.loads(body)["name"] == "INNER-NET"
    rdap.close()
