"""The five regional Internet registries: names, servers, and the pace at which each may be asked.

Sources: base URLs from IANA's RDAP bootstrap files (RFC 9224), WHOIS hosts from IANA's address space tables. The
rates are ours, not the registries': each stays well under every limit published or measured (docs/registries.md).
"""

from __future__ import annotations

from dataclasses import dataclass

#: The order in which a registry is tried when an answer says "elsewhere" without saying where: ARIN's answers carry
#: referrals to the others, so it is asked first.
REGISTRIES = ("arin", "ripencc", "apnic", "lacnic", "afrinic")

PROTOCOLS = ("rdap", "whois")

#: The name of Team Cymru's budget, in batches, beside those of the registries.
ORIGINS_BUDGET = "origins"


@dataclass(frozen=True, slots=True)
class RegistryDefaults:
    """What is known of a registry without any configuration; see `settings.RegistrySettings` for the fields."""

    rdap: str
    whois: str
    rate: float
    host_rate: float
    connections: int
    wait_s: float = 60.0


DEFAULTS = {
    # No number published; the terms ask for operational use only.
    "arin": RegistryDefaults("https://rdap.arin.net/registry/", "whois.arin.net:43", 1.0, 1.0, 2),
    # 3 connections an address (ConnectionPerIpLimitHandler in RIPE-NCC/whois), no published query rate.
    "ripencc": RegistryDefaults("https://rdap.db.ripe.net/", "whois.ripe.net:43", 2.0, 1.0, 2),
    # No number published; 3 connections in the server's 2015 source.
    "apnic": RegistryDefaults("https://rdap.apnic.net/", "whois.apnic.net:43", 1.0, 1.0, 2),
    # RDAP: 10 a minute and 1,000 an hour for one address; 9 a minute is 540 an hour. Its blocks last 300 s.
    "lacnic": RegistryDefaults("https://rdap.lacnic.net/rdap/", "whois.lacnic.net:43", 0.15, 0.15, 1, 300.0),
    # 5,000 person objects a day; half a lookup a second stays clear of it without contacts.
    "afrinic": RegistryDefaults("https://rdap.afrinic.net/rdap/", "whois.afrinic.net:43", 0.5, 0.5, 1),
}

#: Query parameters that carry an API key, where a registry gives one out (LACNIC: a key only raises the limit).
API_KEY_PARAMETERS = {"lacnic": "apikey"}

#: WHOIS host names under which a registry, or the national registry it works with, turns up in referrals.
WHOIS_HOSTS = {
    "whois.arin.net": "arin",
    "whois.ripe.net": "ripencc",
    "whois.apnic.net": "apnic",
    "whois.lacnic.net": "lacnic",
    "whois.afrinic.net": "afrinic",
    "whois.registro.br": "lacnic",
    "whois.nic.br": "lacnic",
    "whois.nic.mx": "lacnic",
    "whois.nic.ad.jp": "apnic",
    "whois.krnic.net": "apnic",
    "whois.kisa.or.kr": "apnic",
    "whois.twnic.net": "apnic",
}

#: RDAP hosts that are not in the settings and still belong to a registry (seen in redirects).
RDAP_HOSTS = {
    "rdap.arin.net": "arin",
    "rdap.db.ripe.net": "ripencc",
    "rdap.apnic.net": "apnic",
    "rdap.lacnic.net": "lacnic",
    "rdap.afrinic.net": "afrinic",
    "rdap.registro.br": "lacnic",
    "jpnic.rdap.apnic.net": "apnic",
}
