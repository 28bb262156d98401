"""RPSL answers at port 43: inetnum and inet6num objects of RIPE NCC, APNIC and AFRINIC, and LACNIC's.

The first three write RFC 2622 and RFC 4012; LACNIC's look alike and use other attributes.
Objects are split by blank lines; lines that begin with `%` or `#` are comments; a line that begins with a blank or `+`
continues the one before. Of several networks in one answer the narrowest that holds the address counts; `route:`
objects are routing policy and `inetrev:` is reverse DNS: neither is a registration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from whoismesh.addresses import Range, format_address
from whoismesh.answers.ipwhois_parser import WhoisReading, read_whois
from whoismesh.answers.outcome import Reply
from whoismesh.answers.ranges import read_range
from whoismesh.answers.text import MAX_LISTED, MAX_VALUE_CHARS, clean, country_code, decode, timestamp
from whoismesh.answers.verdict import Registration
from whoismesh.networks import Holder

#: Attributes kept of one object: real ones have a few dozen.
_MAX_ATTRIBUTES = 200

_NETWORKS = ("inetnum", "inet6num")
_ORGANISATION = ORGANISATION = "organisation"

_Fields = dict[str, list[str]]

# What is read of an object of a bulk file, and lines that take the long way: continued ones, and capitals.
_READ = (
    "inetnum|inet6num|organisation|org-name|netname|descr|country|org|status|mnt-by|created|last-modified|parent|changed|"
    "owner|ownerid|inetnum-up|inet6num-up"
)
_ATTRIBUTES = re.compile(rf"^({_READ}):(.*)$", re.MULTILINE)
_REMARKED = re.compile(rf"^({_READ}|remarks):(.*)$", re.MULTILINE)
_UNUSUAL = re.compile(rb"\n[ \t+A-Z]")
# The placeholder texts of these two have been seen in either description or remarks.
_WITH_REMARKS = ("afrinic", "apnic")


def read_rpsl(reply: Reply, text: str) -> Registration | None:
    """Return the narrowest registration of an answer that holds the address asked.

    Where none does, one comes back to be judged as what it is; None where there is no network at all.
    """
    networks, organisations = _networks(text)
    if not networks:
        return None
    found, fields = min(networks, key=lambda each: (not each[0].holds(reply.family, reply.address), each[0].size))
    if reply.registry == "lacnic":
        return _lacnic(found, fields)
    return _ripe_like(reply.registry, found, fields, organisations)


def read_all_rpsl(registry: str, text: str) -> Iterator[Registration]:
    """Yield the registrations of an answer of RIPE NCC, APNIC or AFRINIC, in order, MAX_LISTED and one at most."""
    networks, organisations = _networks(text)
    for found, fields in networks[: MAX_LISTED + 1]:
        yield _ripe_like(registry, found, fields, organisations)


def _networks(text: str) -> tuple[list[tuple[Range, _Fields]], dict[str, _Fields]]:
    """Return the networks of an answer, and its organisations by their handles."""
    networks: list[tuple[Range, _Fields]] = []
    organisations: dict[str, _Fields] = {}
    for key, fields in _objects(text):
        if key == _ORGANISATION:
            organisations.setdefault(fields[key][0].upper(), fields)
            continue
        found = read_range(_value(fields, key))
        if found is not None:
            networks.append((found, fields))
    return networks, organisations


def _ripe_like(
    registry: str,
    found: Range,
    fields: _Fields,
    organisations: Mapping[str, _Fields],
    reading: WhoisReading | None = None,
) -> Registration:
    reading = reading or read_whois(registry, found, fields)
    description = tuple(line for line in map(clean, fields.get("descr", ())) if line)
    first_line = reading.description.partition("\n")[0] if reading.description else None
    org = _value(fields, "org")
    organisation = organisations.get(org.upper()) if org else None
    name = clean(organisation.get("org-name", [""])[0]) if organisation else None
    return Registration(
        range=found,
        handle=_handle(found),
        name=reading.name,
        type=_value(fields, "status"),
        country=country_code(_value(fields, "country")) or country_code(reading.country),
        parent=_parent(fields, "parent"),
        holder=Holder(org, name or first_line),
        holder_stated=org is not None,
        registered=timestamp(reading.created) or timestamp(_value(fields, "created")),
        changed=timestamp(reading.updated) or timestamp(_value(fields, "last-modified")) or _newest(fields),
        description=description + tuple(line for line in map(clean, fields.get("remarks", ())) if line)
        if registry in _WITH_REMARKS
        else description,
        maintainers=tuple(_uncommented(value) for value in fields.get("mnt-by", ())),
    )


def _lacnic(found: Range, fields: _Fields, reading: WhoisReading | None = None) -> Registration:
    reading = reading or read_whois("lacnic", found, fields)
    owner = reading.description.partition("\n")[0] if reading.description else None
    return Registration(
        range=found,
        handle=str(found),
        type=_value(fields, "status"),
        country=country_code(reading.country) or country_code(_value(fields, "country")),
        parent=_parent(fields, "inetnum-up") or _parent(fields, "inet6num-up"),
        holder=Holder(_value(fields, "ownerid"), owner),
        holder_stated=owner is not None,
        registered=timestamp(reading.created),
        changed=timestamp(reading.updated),
    )


def read_fields(registry: str, data: bytes) -> tuple[str, _Fields]:
    """Return class and attributes of one object of a bulk file, as they are in an answer: those that are read here."""
    if _UNUSUAL.search(data) or data[:1].isupper():
        found = _objects(decode(data))
        return found[0] if found else ("", {})
    fields: _Fields = {}
    for key, value in (_REMARKED if registry in _WITH_REMARKS else _ATTRIBUTES).findall(decode(data)):
        fields.setdefault(key, []).append(value)
    return next(iter(fields), ""), fields


def read_object(registry: str, found: Range, fields: _Fields, name_of: Callable[[str], str | None]) -> Registration:
    """Return the registration that an object of a bulk file is: what ipwhois makes of it, without its half millisecond.

    `name_of` an organisation's handle in capitals is what it is called, None where that is not known.
    """
    if registry == "lacnic":
        dates = (_value(fields, key) for key in ("created", "changed"))
        return _lacnic(found, fields, WhoisReading(None, _first(fields, "owner"), _value(fields, "country"), *dates))
    org = (_value(fields, "org") or "").upper()
    called = name_of(org) if org else None
    named = {org: {"org-name": [called]}} if called is not None else {}
    reading = WhoisReading(_first(fields, "netname"), _first(fields, "descr"))
    return _ripe_like(registry, found, fields, named, reading)


def _first(fields: _Fields, key: str) -> str | None:
    """Return the first line of an attribute that says anything."""
    return next((line for line in map(clean, fields.get(key, ())) if line), None)


def _objects(text: str) -> list[tuple[str, _Fields]]:
    """Return (class, attributes) of the networks and organisations in an answer, in order.

    Attribute names are in lower case, values as they came, continuation lines joined to them.
    """
    found: list[tuple[str, _Fields]] = []
    fields: _Fields | None = None  # None between objects, and in one of no interest
    values: list[str] | None = None
    inside = False
    count = 0
    for line in text.split("\n"):
        line = line.rstrip()
        if not line:
            inside, fields = False, None
            continue
        if line[0] in "%#":
            continue
        if inside and fields is None:
            continue
        if line[0] in " \t+":
            if fields is not None and values is not None:
                values[-1] = f"{values[-1]} {line[1:].strip()}".strip()[:MAX_VALUE_CHARS]
            continue
        key, colon, value = line.partition(":")
        if not colon:
            continue
        key = key.lower()
        if not inside:
            inside, count = True, 0
            if key not in _NETWORKS and key != _ORGANISATION:
                continue
            fields = {}
            found.append((key, fields))
        count += 1
        if fields is not None and count <= _MAX_ATTRIBUTES:
            values = fields.setdefault(key, [])
            values.append(value.strip()[:MAX_VALUE_CHARS])
    return found


def _uncommented(value: str) -> str:
    """Return a value without the comment behind it, as in `EU # Country is really world wide` (RFC 2622 section 2)."""
    return value.partition("#")[0].strip()


def _value(fields: Mapping[str, list[str]], key: str) -> str | None:
    """Return the first value of an attribute of strict form, without its comment."""
    values = fields.get(key)
    return clean(_uncommented(values[0])) if values else None


def _handle(found: Range) -> str:
    """Return the handle as the RDAP answers of this family of servers have it: `a - b`, or an IPv6 CIDR."""
    if found.family == 6 and found.is_cidr():
        return str(found)
    return f"{format_address(found.family, found.first)} - {format_address(found.family, found.last)}"


def _parent(fields: Mapping[str, list[str]], key: str) -> str | None:
    value = _value(fields, key)
    parent = read_range(value)
    if parent is None:
        return value
    return _handle(parent) if key == "parent" else str(parent)


def _newest(fields: Mapping[str, list[str]]) -> str | None:
    """Return the newest date of APNIC's older `changed: mail YYYYMMDD` lines; a line may lack the date."""
    days = [words[-1] for words in (_uncommented(value).split() for value in fields.get("changed", ())) if words]
    return max((day for day in map(timestamp, days) if day is not None), default=None)
