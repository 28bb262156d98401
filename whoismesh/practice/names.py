"""The words a registry would have for a row: handles, netnames, statuses, dates, and what it calls its colleagues.

The tables tell ranges, holders' opaque ids and organisations' names, and nothing else; every handle and netname here
is derived from these, so that the same row has the same words in RDAP and WHOIS, today and tomorrow.
No person is named: contacts are roles.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from whoismesh.addresses import Range, format_address
from whoismesh.practice.row import Row

#: What contact objects are called; a role and no person.
ROLE_NAME = "Network Operations"

#: Where mail to a practice contact would go: nowhere (RFC 2606).
ROLE_MAIL = "abuse@example.net"


@dataclass(frozen=True, slots=True)
class Words:
    """How one registry is named in its own and in the others' answers."""

    label: str  #: what ARIN's NetType says, "Allocated to ..."
    full_name: str  #: its organisation object at ARIN
    arin_id: str  #: the id of that object
    country: str  #: and its country
    region: str  #: APNIC's "Transferred to the ... region"
    source: str  #: `source:` of its RPSL objects
    suffix: str  #: the end of its handles
    whois: str  #: its WHOIS host
    site: str  #: its web site


WORDS = {
    "arin": Words(
        "ARIN",
        "American Registry for Internet Numbers",
        "ARIN",
        "US",
        "ARIN",
        "ARIN",
        "ARIN",
        "whois.arin.net",
        "www.arin.net",
    ),
    "ripencc": Words(
        "RIPE NCC",
        "RIPE Network Coordination Centre",
        "RIPE",
        "NL",
        "RIPE",
        "RIPE",
        "RIPE",
        "whois.ripe.net",
        "www.ripe.net",
    ),
    "apnic": Words(
        "APNIC",
        "Asia Pacific Network Information Centre",
        "APNIC",
        "AU",
        "APNIC",
        "APNIC",
        "AP",
        "whois.apnic.net",
        "www.apnic.net",
    ),
    "lacnic": Words(
        "LACNIC",
        "Latin American and Caribbean IP address Regional Registry",
        "LACNIC",
        "UY",
        "LACNIC",
        "LACNIC",
        "LACNIC",
        "whois.lacnic.net",
        "www.lacnic.net",
    ),
    "afrinic": Words(
        "AfriNIC",
        "African Network Information Center",
        "AFRINIC",
        "MU",
        "AFRINIC",
        "AFRINIC",
        "AFRINIC",
        "whois.afrinic.net",
        "www.afrinic.net",
    ),
}

#: `status:` (RDAP `type`) of a registry's own allocations and assignments.
STATUS_WORDS = {
    "arin": {"allocated": "Direct Allocation", "assigned": "Direct Assignment"},
    "ripencc": {"allocated": "ALLOCATED PA", "assigned": "ASSIGNED PI"},
    "apnic": {"allocated": "ALLOCATED PORTABLE", "assigned": "ASSIGNED PORTABLE"},
    "lacnic": {"allocated": "allocated", "assigned": "assigned"},
    "afrinic": {"allocated": "ALLOCATED PA", "assigned": "ASSIGNED PI"},
}

#: The same of what lies in one of these: what a holder handed on, to be divided further or not.
DEEPER_STATUS_WORDS = {
    "arin": {"allocated": "Reallocated", "assigned": "Reassigned"},
    "ripencc": {"allocated": "SUB-ALLOCATED PA", "assigned": "ASSIGNED PA"},
    "apnic": {"allocated": "ALLOCATED NON-PORTABLE", "assigned": "ASSIGNED NON-PORTABLE"},
    "lacnic": {"allocated": "reallocated", "assigned": "reassigned"},
    "afrinic": {"allocated": "SUB-ALLOCATED PA", "assigned": "ASSIGNED PA"},
}

#: The Early Registration Transfer project moved blocks from ARIN's database to the regions from 2002 to 2005; what was
#: registered before is an "early registration" (RIPE NCC calls it LEGACY).
ERX_LAST_DATE = "20051231"

#: ARIN's answers spell a country out; its region and where else its holders sit. Any other keeps its code.
COUNTRY_NAMES = {
    "AG": "Antigua and Barbuda",
    "AI": "Anguilla",
    "AU": "Australia",
    "BB": "Barbados",
    "BM": "Bermuda",
    "BS": "Bahamas",
    "CA": "Canada",
    "CH": "Switzerland",
    "DE": "Germany",
    "DM": "Dominica",
    "FR": "France",
    "GB": "United Kingdom",
    "GD": "Grenada",
    "GP": "Guadeloupe",
    "JM": "Jamaica",
    "JP": "Japan",
    "KN": "Saint Kitts and Nevis",
    "KY": "Cayman Islands",
    "LC": "Saint Lucia",
    "NL": "Netherlands",
    "PR": "Puerto Rico",
    "TC": "Turks and Caicos Islands",
    "US": "United States",
    "VC": "Saint Vincent and the Grenadines",
    "VG": "Virgin Islands (British)",
    "VI": "Virgin Islands (U.S.)",
}

_NOT_NETNAME = re.compile(r"[^A-Z0-9]+")


def status_word(row: Row, home: str | None) -> str:
    """Return the registry's own word for a row's status; `home` is the registry IANA gave the space to."""
    if row.level > 1:
        return DEEPER_STATUS_WORDS[row.registry][row.status]
    if row.registry == "ripencc" and home not in (None, "ripencc") and "" < row.date <= ERX_LAST_DATE:
        return "LEGACY"
    return STATUS_WORDS[row.registry][row.status]


def holder_handle(row: Row) -> str:
    """Return the handle of a row's organisation: the same for all rows of one holder, different for any other."""
    opaque = re.sub(r"[^0-9A-Za-z]", "", row.holder)[:8].upper() or f"{row.range.first:X}"
    if row.registry == "arin":
        return f"AR-{opaque}"
    if row.registry == "lacnic":
        return f"{row.country or 'ZZ'}-{opaque}-LACNIC"
    return f"ORG-{opaque}-{WORDS[row.registry].suffix}"


def contact_handle(row: Row) -> str:
    """Return the handle of the role that stands for a holder's contacts."""
    opaque = re.sub(r"[^0-9A-Za-z]", "", row.holder)[:8].upper() or f"{row.range.first:X}"
    return f"NO{opaque}-{WORDS[row.registry].suffix}"


def maintainer(row: Row) -> str:
    """Return the `mnt-by:` of a holder."""
    return f"MNT-{_stem(row.name)}"


def netname(row: Row) -> str:
    """Return the network's short name in its registry's manner."""
    stem = _stem(row.name)
    if row.registry == "ripencc":
        return "-".join(filter(None, (row.country, stem, row.date)))
    if row.registry == "apnic":
        return f"{stem}-{row.country or 'AP'}"
    if row.registry == "afrinic":
        return "-".join(filter(None, (stem, row.date)))
    return f"{stem}-{_dashes(row.range)}"


def arin_handle(found: Range, number: int = 1) -> str:
    """Return ARIN's handle of a network, `NET-74-125-0-0-1`; number 0 is a block as IANA gave it."""
    if found.family == 4:
        return f"NET-{format_address(4, found.first).replace('.', '-')}-{number}"
    groups = format_address(6, found.first).rstrip(":").replace(":", "-").upper()
    return f"NET6-{groups}-{number}"


def arin_parent(block: Range) -> str:
    """Return how ARIN's WHOIS writes a parent, `NET74 (NET-74-0-0-0-0)`."""
    if block.family == 4:
        return f"NET{block.first >> 24} ({arin_handle(block, 0)})"
    return f"NET6 ({arin_handle(block, 0)})"


def arin_name_and_handle(row: Row) -> str:
    """Return how ARIN's WHOIS writes a parent that is somebody's, `EXAMPLE-NET (NET-24-1-0-0-1)`."""
    return f"{netname(row)} ({arin_handle(row.range, row.level)})"


def range_handle(found: Range) -> str:
    """Return the handle of a network at RIPE NCC, APNIC and AFRINIC: `a - b`, or the prefix for IPv6."""
    if found.family == 6 and found.is_cidr():
        return str(found)
    return span(found)


def span(found: Range) -> str:
    """Return `a - b` for any range of either family (ARIN's NetRange)."""
    return f"{format_address(found.family, found.first)} - {format_address(found.family, found.last)}"


def attributes(fields: Iterable[tuple[str, str]], width: int = 16) -> list[str]:
    """Return `name: value` lines with the values from column `width` on, as WHOIS answers have them."""
    return [f"{name + ':':<{width}}{value}" for name, value in fields]


def short_cidr(found: Range) -> str:
    """Return LACNIC's inetnum: zero octets at the end left out, `200.57.128/19`; `a - b` where it is no CIDR."""
    if not found.is_cidr():
        return range_handle(found)
    if found.family == 6:
        return str(found)
    address, _, length = str(found).partition("/")
    octets = address.split(".")
    while len(octets) > 1 and octets[-1] == "0":
        octets.pop()
    return f"{'.'.join(octets)}/{length}"


def day(date: str) -> str:
    """Return `2007-03-13` for 20070313, "" for "" (ARIN's RegDate)."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else ""


def moment(date: str) -> str:
    """Return `2007-03-13T00:00:00Z` for 20070313 (RFC 3339); the beginning of 1970 where no date is known."""
    return f"{day(date) or '1970-01-01'}T00:00:00Z"


def eastern_moment(date: str) -> str:
    """Return ARIN's kind of time, with the offset of its office: -04:00 in summer."""
    offset = "-04:00" if "04" <= date[4:6] <= "10" else "-05:00"
    return f"{day(date) or '1970-01-01'}T00:00:00{offset}"


def _stem(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
    words = [word for word in _NOT_NETNAME.split(ascii_name) if word]
    return "-".join(words[:2])[:24].rstrip("-") or "NET"


def _dashes(found: Range) -> str:
    return re.sub(r"[^0-9a-fA-F]+", "-", format_address(found.family, found.first)).strip("-").upper()
