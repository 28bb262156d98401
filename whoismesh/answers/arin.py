"""ARIN's port-43 answers: NetRange blocks, each followed by the organisation that holds it.

Several blocks come least specific first (rfc1036/whois #185: 103.81.230.0 is answered with APNIC's /8, then with RIPE
NCC's /23), each with its own referral. Of those that hold the address the narrowest counts, the last of equals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from whoismesh.addresses import Range
from whoismesh.answers.ipwhois_parser import read_whois
from whoismesh.answers.outcome import Reply
from whoismesh.answers.ranges import read_range
from whoismesh.answers.servers import registry_of_whois
from whoismesh.answers.text import MAX_VALUE_CHARS, clean, country_code, timestamp
from whoismesh.answers.verdict import Registration
from whoismesh.networks import Holder

_MAX_LINES = 400  # of one block and its organisation; real ones have some fifty

_Fields = dict[str, list[str]]


def read_arin(reply: Reply, text: str, bases: Mapping[str, str]) -> Registration | None:
    """Return the narrowest registration of an answer that holds the address asked; where none does, one to be judged.

    None where there is no NetRange at all.
    """
    blocks = _blocks(text)
    if not blocks:
        return None
    return _registration(
        *min(reversed(blocks), key=lambda block: (not block[0].holds(reply.family, reply.address), block[0].size)),
        bases,
    )


def read_arin_around(text: str, inner: Range, bases: Mapping[str, str]) -> Iterator[Registration]:
    """Yield the registrations of an answer that are wider than `inner` and hold it, the widest first."""
    for found, fields in sorted(_blocks(text), key=lambda block: -block[0].size):
        if found != inner and found.contains(inner):
            yield _registration(found, fields, bases)


def _registration(found: Range, fields: _Fields, bases: Mapping[str, str]) -> Registration:
    reading = read_whois("arin", found, fields)
    organisation, identifier = _named(_first(fields, "Organization") or _first(fields, "Customer"))
    holder = Holder(_first(fields, "OrgId") or identifier, reading.description or organisation)
    return Registration(
        range=found,
        handle=_first(fields, "NetHandle"),
        name=reading.name,
        type=_first(fields, "NetType"),
        country=country_code(reading.country),
        parent=_named(_first(fields, "Parent"))[1],
        holder=holder,
        holder_stated=holder != Holder(),
        registered=timestamp(reading.created),
        changed=timestamp(reading.updated),
        description=tuple(line for line in map(clean, fields.get("Comment", ())) if line),
        keeper=_keeper(fields, bases),
    )


def _keeper(fields: _Fields, bases: Mapping[str, str]) -> str | None:
    """Return the registry that the last referral to any registry leads to; referrals to rwhois servers do not count."""
    for value in reversed(fields.get("ReferralServer", ())):
        if registry := registry_of_whois(value, bases):
            return registry
    return None


def _blocks(text: str) -> list[tuple[Range, _Fields]]:
    """Return (range, attributes) of each NetRange and the lines behind it, up to the next one, in order."""
    found: list[tuple[Range, _Fields]] = []
    fields: _Fields | None = None
    count = 0
    for line in text.split("\n"):
        key, colon, value = line.lstrip("\r").partition(":")
        if not colon or key[:1] in ("#", " ", "\t", ""):
            continue
        value = value.strip()[:MAX_VALUE_CHARS]
        if key == "NetRange":
            covered = read_range(value)
            fields, count = {}, 0
            if covered is not None:
                found.append((covered, fields))
        elif fields is not None and value and count < _MAX_LINES:
            count += 1
            fields.setdefault(key, []).append(value)
            if key in ("RegDate", "Updated", "Country"):
                # The network's own come first; those of its organisation and contacts must not stand in for it.
                del fields[key][1:]
    return found


def _first(fields: _Fields, key: str) -> str | None:
    values = fields.get(key)
    return clean(values[0]) if values else None


def _named(text: str | None) -> tuple[str | None, str | None]:
    """Split `Google Inc. (GOGL)` and `NET74 (NET-74-0-0-0-0)` into name and identifier."""
    if text is None:
        return None, None
    name, bracket, identifier = text.rpartition("(")
    if not bracket or not identifier.endswith(")"):
        return text, None
    return clean(name), clean(identifier[:-1])
