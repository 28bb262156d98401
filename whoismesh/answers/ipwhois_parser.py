"""ipwhois, the parser of most of an answer, and every quirk of it.

The only module that imports ipwhois (1.3.0). It is given answers that were fetched by whoismesh, cut down and
repaired first, because as they come:

- RDAP: a null `handle` or `parentHandle`, or `ipVersion` missing make it raise, and more than half of its time goes
  into CIDRs. Entities are read here, not there: null `entities` or a vCard value that is no text make it raise, one
  without a handle ends its loop, nested ones are not read (ARIN puts contacts inside the registrant) or are fetched
  over the network, and two of one handle overwrite one another.
- Port 43: its patterns are not anchored (a description that mentions `country:` wins over the country), run to the end
  of the text, and the one for `emails` backtracks for seconds on 2 kB. So it is given one registration, a few
  lines long, values of a strict form first, and is never asked for `emails`.
- `Net()` reads /etc/resolv.conf and raises without it. Parsing uses nothing of a Net but the text of its address, so
  one is made without running its constructor.

Nothing here raises and nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ipwhois.exceptions import BaseIpwhoisException
from ipwhois.net import Net
from ipwhois.rdap import RDAP
from ipwhois.whois import Whois

from whoismesh.addresses import Range, format_address
from whoismesh.answers.countries import code_of
from whoismesh.answers.text import clean, clean_list, country_code

# Real answers have up to about a dozen entities, three deep; the limits bound what a crafted one costs.
_MAX_ENTITIES = 48
_MAX_DEPTH = 4
_MAX_ITEMS = 32
_MAX_VCARD_PROPERTIES = 64
_MAX_LABEL_CHARS = 1000

_RAISES = (BaseIpwhoisException, AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class RdapEntity:
    """One registrant or organisation of an answer (RFC 9083 section 5.1); `name` is the vCard's fn, `org` its org."""

    handle: str | None
    roles: tuple[str, ...]
    kind: str | None
    name: str | None
    org: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class RdapReading:
    """What an ip network answer says (RFC 9083 section 5.4); `events` are (action, date) as they came."""

    handle: str | None
    name: str | None
    type: str | None
    country: str | None
    parent: str | None
    status: tuple[str, ...]
    events: tuple[tuple[str, str], ...]
    description: tuple[str, ...]
    entities: tuple[RdapEntity, ...]


@dataclass(frozen=True, slots=True)
class WhoisReading:
    """What one registration of a port-43 answer says; dates as they came."""

    name: str | None = None
    description: str | None = None
    country: str | None = None
    created: str | None = None
    updated: str | None = None


@cache
def _parsers() -> tuple[Any, Any]:
    net = Net.__new__(Net)
    net.address_str = "192.0.2.1"  # never asked and never compared with an answer
    return RDAP(net), Whois(net)


def read_rdap(document: Mapping[str, Any]) -> RdapReading | None:
    """Read an ip network whose range is already known; None if ipwhois refuses it all the same."""
    events = document.get("events")
    remarks = document.get("remarks")
    repaired = {
        "handle": clean(document.get("handle")) or "",
        # The range is known. What are no addresses it passes over, of version 6 only, and makes no CIDRs of them.
        "ipVersion": "v6",
        "startAddress": "",
        "endAddress": "",
        "name": clean(document.get("name")) or "",
        "type": clean(document.get("type")) or "",
        "country": country_code(document.get("country")) or "",
        "parentHandle": clean(document.get("parentHandle")) or "",
        "status": clean_list(document.get("status"), _MAX_ITEMS),
        "events": [
            {"eventAction": each["eventAction"], "eventDate": each["eventDate"]}
            for each in (events[:_MAX_ITEMS] if isinstance(events, list) else ())
            if isinstance(each, dict)
            and isinstance(each.get("eventAction"), str)
            and isinstance(each.get("eventDate"), str)
        ],
        # A remark without a title (RIPE NCC) or titled "description" (APNIC) holds the RPSL `descr:` lines.
        "remarks": [
            {"title": "description", "description": clean_list(each.get("description"), _MAX_ITEMS)}
            for each in (remarks[:_MAX_ITEMS] if isinstance(remarks, list) else ())
            if isinstance(each, dict) and each.get("title") in (None, "", "description")
        ],
    }
    try:
        network = _parsers()[0].lookup(response=repaired, bootstrap=True, root_ent_check=False, depth=0)["network"]
        return RdapReading(
            handle=network["handle"] or None,
            name=network["name"] or None,
            type=network["type"] or None,
            country=network["country"] or None,
            parent=network["parent_handle"] or None,
            status=tuple(network["status"] or ()),
            events=tuple((event["action"], event["timestamp"]) for event in network["events"] or ()),
            description=tuple(
                line
                for remark in network["remarks"] or ()
                for line in (remark["description"] or "").split("\n")
                if line
            ),
            entities=tuple(_entities(document.get("entities"))),
        )
    except _RAISES:
        return None


def _entities(top: object) -> list[RdapEntity]:
    """Return the entities of an answer that may be the holder: top level first.

    That is registrants and organisations: contact persons are not even read, which also halves the time.
    """
    found: list[RdapEntity] = []
    seen = 0
    level = [top]
    for _ in range(_MAX_DEPTH):
        deeper = []
        for entities in level:
            if not isinstance(entities, list):
                continue
            for each in entities[: _MAX_ENTITIES - seen]:
                seen += 1
                if isinstance(each, dict):
                    kind, name, org, country = _vcard(each.get("vcardArray"))
                    roles = tuple(role.lower() for role in clean_list(each.get("roles"), _MAX_ITEMS))
                    if kind == "org" or "registrant" in roles:
                        found.append(RdapEntity(clean(each.get("handle")), roles, kind, name, org, country))
                    deeper.append(each.get("entities"))
        level = deeper
    return found


def _vcard(array: object) -> tuple[str | None, str | None, str | None, str | None]:
    """Return (kind, fn, org, country) of a jCard (RFC 7095); addresses, numbers and mail are left where they are."""
    kind = name = org = country = None
    if isinstance(array, list) and len(array) > 1 and isinstance(array[1], list):
        for each in array[1][:_MAX_VCARD_PROPERTIES]:
            if not (isinstance(each, list) and len(each) > 3):
                continue
            label, value = each[0], each[3]
            if label == "kind":
                kind = kind or (clean(value) or "").lower() or None
            elif label == "fn":
                name = name or clean(value)
            elif label == "org":
                org = org or clean(value[0] if isinstance(value, list) and value else value)
            elif label == "adr":
                country = country or _country_of(each[1], value)
    return kind, name, org, country


def _country_of(parameters: object, parts: object) -> str | None:
    """Return the country of an `adr`: by a parameter's code, by the country part, or by the last line of the label.

    RFC 8605 section 3.1 has the code in a parameter, RFC 6350 section 6.3.1 the name in the country part, where LACNIC
    puts the code, and ARIN has the name at the end of the label and nowhere else.
    """
    given = parameters if isinstance(parameters, dict) else {}
    part = clean(parts[6]) if isinstance(parts, list) and len(parts) > 6 else None
    label = given.get("label")
    # Line ends have been seen escaped twice.
    lines = label[-_MAX_LABEL_CHARS:].replace("\\n", "\n").split("\n") if isinstance(label, str) else []
    last = next((line for line in reversed(lines) if line.strip()), "")
    return country_code(given.get("cc")) or country_code(part) or code_of(part or "") or code_of(last)


# For each registry: the line a registration begins with, and the lines ipwhois has a pattern for, strict forms first.
_RPSL_HEAD = ("inetnum", "inet6num")
_LINES = {
    "arin": ("RegDate", "Updated", "Country", "NetName", "OrgName", "CustName"),
    "lacnic": ("created", "changed", "country", "owner"),
    "ripencc": ("created", "last-modified", "country", "netname", "descr"),
    # Its pattern for APNIC's `changed:` takes the last eight digits of the whole text, and AFRINIC has none.
    "apnic": ("country", "netname", "descr"),
    "afrinic": ("country", "netname", "descr"),
}
_FIELDS = ["name", "description", "country", "created", "updated"]


def read_whois(registry: str, found: Range, fields: Mapping[str, Sequence[str]]) -> WhoisReading:
    """Read one registration of a port-43 answer: its range and its fields, of which each may repeat.

    A registry that is not one of the five is read as RIPE NCC's.
    """
    dialect = registry if registry in _LINES else "ripencc"
    cidrs = ", ".join(found.cidrs())
    if dialect == "arin":
        first, last = (format_address(found.family, each) for each in (found.first, found.last))
        lines = [f"NetRange:       {first} - {last}", f"CIDR:           {cidrs}"]
    elif dialect == "lacnic":
        lines = [f"{_RPSL_HEAD[found.family == 6]}:     {cidrs}"]
    elif found.is_cidr():
        lines = [f"{_RPSL_HEAD[found.family == 6]}:        {cidrs}"]
    else:
        first, last = (format_address(found.family, each) for each in (found.first, found.last))
        lines = [f"{_RPSL_HEAD[found.family == 6]}:        {first} - {last}"]
    for key in _LINES[dialect]:
        lines += [f"{key}: {value}" for value in clean_list(list(fields.get(key, ())), _MAX_ITEMS)]
    lines += ["source: whoismesh", ""]  # its patterns want a line after the one they match
    try:
        nets = _parsers()[1].lookup(
            response="\n".join(lines), asn_data={"asn_registry": dialect}, is_offline=True, field_list=_FIELDS
        )["nets"]
        return WhoisReading(*(nets[0][field] for field in _FIELDS)) if nets else WhoisReading()
    except _RAISES:
        return WhoisReading()
