"""RDAP answers in each registry's own manner: from a verdict to status, headers and body (RFC 9083; pure).

Each registry's body has the members, conformance words, handles, time formats and entities that its service really
gives (recorded answers of all five were the models), so that a client meets the same differences here as out there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from whoismesh.addresses import BITS, Range, format_address
from whoismesh.practice import names
from whoismesh.practice.faults import CALM, Decision
from whoismesh.practice.names import WORDS
from whoismesh.practice.row import Row
from whoismesh.practice.verdicts import Kind, Verdict
from whoismesh.practice.wire import RdapReply

Json = dict[str, Any]

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

#: RFC 9083 section 4: what an RDAP body is served as.
CONTENT_TYPE = "application/rdap+json"

CONFORMANCE = {
    "arin": ["nro_rdap_profile_0", "rdap_level_0", "cidr0", "arin_originas0"],
    "ripencc": ["cidr0", "rdap_level_0", "nro_rdap_profile_0", "redacted"],
    "apnic": ["history_version_0", "nro_rdap_profile_0", "cidr0", "rdap_level_0"],
    "lacnic": ["nro_rdap_profile_0", "rdap_level_0", "cidr0", "lacnic_level_0"],
    "afrinic": ["nro_rdap_profile_0", "rdap_level_0", "cidr0"],
}

#: The notice each registry puts on every answer: title, first sentence, and the page it links to.
TERMS = {
    "arin": (
        "Terms of Service",
        "By using the ARIN RDAP/Whois service, you are agreeing to the RDAP/Whois Terms of Use",
        "https://www.arin.net/resources/registry/whois/tou/",
    ),
    "ripencc": (
        "Terms and Conditions",
        "This is the RIPE Database query service. The objects are in RDAP format.",
        "http://www.ripe.net/db/support/db-terms-conditions.pdf",
    ),
    "apnic": (
        "Terms and Conditions",
        "This is the APNIC WHOIS Database query service. The objects are in RDAP format.",
        "http://www.apnic.net/db/dbcopyright.html",
    ),
    "lacnic": (
        "Terms and Conditions",
        "This is the LACNIC RDAP service. Objects are in RDAP format.",
        "http://www.lacnic.net/web/lacnic/registration-data-access-protocol",
    ),
    "afrinic": (
        "ABOUT",
        "This is the AfriNIC RDAP server.",
        "http://www.afrinic.net/en/library/membership-documents/197-database-afrinic-database-reference-manual-",
    ),
}


@dataclass(frozen=True, slots=True)
class RdapAnswer:
    """One answer. `body` is a JSON object, a text for what a registry answers with plain text, or None for nothing."""

    status: int
    body: Json | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """What `body` is."""
        if isinstance(self.body, str):
            return "text/html" if self.body.startswith("<") else "text/plain; charset=utf-8"
        return CONTENT_TYPE


def as_reply(answer: RdapAnswer, decision: Decision = CALM, charset: str = "utf-8") -> RdapReply:
    """Return an answer as it goes over the wire; what the charset cannot say becomes a question mark."""
    body = answer.body
    if isinstance(body, str):
        payload = body.encode(charset, "replace")
    else:
        payload = b"" if body is None else _ENCODER.encode(body).encode(charset, "replace")
    headers = f"Content-Type: {answer.content_type}\r\n" if payload else ""
    headers += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    return RdapReply(answer.status, headers, payload, decision)


def answer(registry: str, verdict: Verdict, text: str, urls: Mapping[str, str]) -> RdapAnswer:
    """Return what a registry answers to `ip/{text}`, `urls` being the registries' base URLs, each with its slash."""
    if verdict.kind is Kind.ELSEWHERE and verdict.owner is not None:
        # RFC 7480 section 5.2: the query goes on unchanged at the other server.
        return RdapAnswer(301, None, {"Location": f"{urls[verdict.owner]}ip/{text}"})
    if verdict.kind is Kind.UNALLOCATED or verdict.row is None:
        return not_found(registry)
    value = f"{urls[registry]}ip/{text}"
    return RdapAnswer(200, _BODIES[registry](verdict.row, verdict, urls[registry], value))


def with_relations(registry: str, body: Json, base: str) -> Json:
    """Return an ip network, or a list of them, as a server that has relation searches gives it (RFC 9910)."""
    found = body.get("ipSearchResults")
    changed = dict(body)
    if found is None:
        changed["links"] = [*body.get("links", ()), *_relation_links(body, base)]
    else:
        changed["ipSearchResults"] = [
            {**each, "links": [*each.get("links", ()), *_relation_links(each, base)]} for each in found
        ]
    changed["rdapConformance"] = [*body["rdapConformance"], "rirSearch1", "ips", "ipSearchResults"]
    return changed


def _relation_links(body: Json, base: str) -> list[Json]:
    """Return the links that RIPE NCC puts into a network: its range stands in them as its handle writes it."""
    key = quote(f"{body['startAddress']} - {body['endAddress']}")
    cidr0 = body["cidr0_cidrs"]
    if len(cidr0) == 1:
        key = f"{body['startAddress']}/{cidr0[0]['length']}"
    return [
        {
            "value": f"{base}ip/{body['startAddress']}",
            "rel": relation,
            "href": f"{base}ips/rirSearch1/{relation}/{key}",
            "type": CONTENT_TYPE,
        }
        for relation in ("rdap-up", "rdap-down", "rdap-top", "rdap-bottom")
    ]


def listing(registry: str, verdicts: Sequence[Verdict], base: str, value: str, most: int) -> RdapAnswer:
    """Return the answer to a relation search with many results, of which `most` are given (RFC 9910 section 3)."""
    if not verdicts:
        return not_found(registry)
    results = [_BODIES[registry](each.row, each, base, value) for each in verdicts[:most] if each.row is not None]
    for each in results:
        del each["rdapConformance"], each["notices"]
    notices = [_terms(registry, value)]
    if len(verdicts) > most:
        title = f"limited search results to {most} maximum"
        notices.append({"title": title, "type": "result set truncated due to unexplainable reasons"})
    body: Json = {"rdapConformance": CONFORMANCE[registry], "notices": notices, "ipSearchResults": results}
    return RdapAnswer(200, body)


def not_found(registry: str) -> RdapAnswer:
    """Return the answer for space that nobody holds."""
    if registry == "arin":
        return _error(registry, 404, "Not Found", "The resource you are seeking is not here.")
    if registry == "ripencc":
        return _error(registry, 404, "404 Not Found", "Requested object not found")
    if registry == "apnic":
        return _error(registry, 404, "Not Found", "The server has not found anything matching the Request-URI.")
    return _error(registry, 404, "Not Found", "The server did not find a matching resource.")


def bad_request(registry: str) -> RdapAnswer:
    """Return the answer to what is no address and no prefix."""
    return _error(registry, 400, "Bad Request", "Request could not be understood, malformed syntax")


def not_implemented(registry: str) -> RdapAnswer:
    """Return the answer to lookups of other things than addresses."""
    return _error(registry, 501, "Not Implemented", "Only IP networks are served here")


def help_answer(registry: str) -> RdapAnswer:
    """Return the answer to `help` (RFC 9082 section 3.1.6)."""
    return RdapAnswer(200, {"rdapConformance": CONFORMANCE[registry], "notices": [_terms(registry, "")]})


def server_error(registry: str) -> RdapAnswer:
    """Return what a server says that failed."""
    return _error(registry, 500, "Internal Server Error", "An internal error occurred")


def limited(registry: str, client: str, retry_after: str | int | None) -> RdapAnswer:
    """Return what a client hears that asks too fast (RFC 7480 section 5.5, RFC 6585 section 4)."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if registry == "ripencc":  # its HTTP front answers before RDAP does, with a web page
        words = f"<h2>HTTP ERROR 429</h2><p>Too Many Requests from {client}</p>"
        page = f"<html>\n<head><title>Error 429 Too Many Requests</title></head>\n<body>{words}</body>\n</html>\n"
        return RdapAnswer(429, page, headers)
    if registry == "lacnic":
        error = _error(registry, 429, "Rate Limit Exceeded", "Query rate limit exceeded.", headers=headers)
        body: Json = dict(error.body) if isinstance(error.body, dict) else {}
        notice = {"title": "Rate Limit Notice", "description": ["Rate Limit is maxed at 10 queries per 1 minutes."]}
        return RdapAnswer(429, {**body, "notices": [notice, *body["notices"]]}, headers)
    return _error(registry, 429, "Too Many Requests", "Query rate limit exceeded.", headers=headers)


def banned(registry: str, client: str) -> RdapAnswer:
    """Return what a client hears that went on asking too fast: no more, and no time at which to come back."""
    if registry == "ripencc":  # IpBlockListFilter in RIPE-NCC/whois
        return RdapAnswer(429, f"Your host {client} has been blocked. Please contact support <ripe-dbm@ripe.net>\n")
    if registry in ("apnic", "afrinic"):
        lines = [f"%ERROR:201: access denied for {client}", "", "Sorry, access from your host has been permanently"]
        return _error(registry, 403, "Forbidden", *lines, "denied because of a repeated excessive querying.")
    return _error(registry, 403, "Forbidden", "Access from your address has been blocked permanently.")


def _error(
    registry: str, code: int, title: str, *description: str, headers: Mapping[str, str] | None = None
) -> RdapAnswer:
    """Return an error object (RFC 9083 section 6)."""
    body = {
        "rdapConformance": CONFORMANCE[registry],
        "notices": [_terms(registry, "")],
        "errorCode": code,
        "title": title,
        "description": list(description),
    }
    return RdapAnswer(code, body, headers or {})


def _arin(row: Row, verdict: Verdict, base: str, value: str) -> Json:
    handle = names.arin_handle(row.range, 0 if verdict.kind is Kind.POOL else row.level)
    organisation = names.holder_handle(row)
    contact = names.contact_handle(row)
    first = format_address(row.range.family, row.range.first)
    country = names.COUNTRY_NAMES.get(row.country, row.country)
    events = _events(row, names.eastern_moment)
    role = {
        "handle": contact,
        "vcardArray": _vcard(names.ROLE_NAME, "group", label=country, mail=names.ROLE_MAIL, org=row.name),
        "roles": ["abuse", "administrative", "technical"],
        "links": [_self_link(f"{base}entity/{contact}", value)],
        "events": events,
        "status": ["validated"],
        "port43": "whois.arin.net",
        "objectClassName": "entity",
    }
    body = _network("arin", row, value)
    body.update(
        handle=handle,
        name=names.netname(row),
        type=names.status_word(row, verdict.home).upper(),
        parentHandle=names.arin_handle(verdict.parent, verdict.wider[0].level if verdict.wider else 0),
        events=events,
        links=[
            _self_link(f"{base}ip/{first}", value),
            {
                "value": value,
                "rel": "alternate",
                "type": "application/xml",
                "href": f"https://whois.arin.net/rest/net/{handle}",
            },
        ],
        entities=[
            {
                "handle": organisation,
                "vcardArray": _vcard(row.name, "org", label=country),
                "roles": ["registrant"],
                "links": [_self_link(f"{base}entity/{organisation}", value)],
                "events": events,
                "entities": [role],
                "port43": "whois.arin.net",
                "objectClassName": "entity",
            }
        ],
        arin_originas0_originautnums=[],
    )
    return body


def _ripencc(row: Row, verdict: Verdict, base: str, value: str) -> Json:
    status = names.status_word(row, verdict.home)
    body = _network("ripencc", row, value)
    body["notices"] = [
        {"title": "Filtered", "description": ["This output has been filtered."]},
        {"title": "Source", "description": ["Objects returned came from source", "RIPE"]},
        *body["notices"],
    ]
    # A legacy resource hangs directly under the whole address space there.
    legacy = status == "LEGACY" and row.range.family == 4
    body.update(
        handle=names.range_handle(row.range),
        name=names.netname(row),
        country=row.country or None,
        type=status,
        parentHandle="0.0.0.0 - 255.255.255.255" if legacy else names.range_handle(verdict.parent),
        events=_events(row, names.moment),
        entities=[
            _entity(names.holder_handle(row), ["registrant"], _vcard(row.name, "org"), base, value),
            _entity(
                names.contact_handle(row),
                ["technical", "administrative"],
                _vcard(names.ROLE_NAME, "group", label=row.country),
                base,
                value,
            ),
            {"handle": names.maintainer(row), "roles": ["registrant"], "objectClassName": "entity"},
        ],
        remarks=[{"description": [row.name]}],
        links=[
            _self_link(value, value),
            {
                "value": value,
                "rel": "copyright",
                "href": "http://www.ripe.net/data-tools/support/documentation/terms",
            },
        ],
    )
    return _without_none(body)


def _apnic(row: Row, verdict: Verdict, base: str, value: str) -> Json:
    body = _network("apnic", row, value)
    body["notices"] = [
        {"title": "Source", "description": ["Objects returned came from source", "APNIC"]},
        *body["notices"],
    ]
    first = format_address(row.range.family, row.range.first)
    body.update(
        handle=names.range_handle(row.range),
        name=names.netname(row),
        country=row.country or None,
        type=names.status_word(row, verdict.home),
        parentHandle=names.range_handle(verdict.parent),
        events=_events(row, names.moment),
        entities=[
            _entity(
                f"IRT-{names.contact_handle(row)}",
                ["abuse"],
                _vcard(f"IRT-{names.contact_handle(row)}", "group", label=row.country, mail=names.ROLE_MAIL),
                base,
                value,
            ),
            _entity(names.holder_handle(row), ["registrant"], _vcard(row.name, "org", label=row.country), base, value),
            _entity(
                names.contact_handle(row),
                ["administrative", "technical"],
                _vcard(names.ROLE_NAME, "group", label=row.country),
                base,
                value,
            ),
        ],
        remarks=[{"title": "description", "description": [row.name]}],
        links=[_self_link(f"{base}ip/{first}", value)],
    )
    return _without_none(body)


def _lacnic(row: Row, verdict: Verdict, base: str, value: str) -> Json:
    organisation = names.holder_handle(row)
    contact = _entity(
        names.contact_handle(row),
        ["administrative", "technical", "abuse"],
        _vcard(names.ROLE_NAME, "group", mail=names.ROLE_MAIL, org=row.name),
        base,
        value,
    )
    holder = _entity(organisation, ["registrant"], _vcard(row.name, "org"), base, value)
    holder["events"] = _events(row, names.moment)
    holder["entities"] = [{**contact, "roles": ["administrative", "registrant"]}]
    body = _network("lacnic", row, value)
    body.update(
        handle=str(row.range),
        name=row.name,
        country=row.country or None,
        type=names.status_word(row, verdict.home),
        events=_events(row, names.moment),
        entities=[contact, holder],
        links=[
            _self_link(f"{base}ip/{row.range}", value),
            {"value": TERMS["lacnic"][2], "rel": "copyright", "href": TERMS["lacnic"][2]},
        ],
        lang="en",
        lacnic_originAutnum=[],
        lacnic_legalRepresentative=names.ROLE_NAME,
    )
    return _without_none(body)


def _afrinic(row: Row, verdict: Verdict, base: str, value: str) -> Json:
    body = _network("afrinic", row, value)
    contact = _entity(
        names.contact_handle(row),
        ["technical", "administrative", "abuse"],
        _vcard(names.ROLE_NAME, "group", mail=names.ROLE_MAIL),
        base,
        value,
    )
    holder = _entity(names.holder_handle(row), ["registrant"], _vcard(row.name, "org"), base, value)
    for entity in (contact, holder):
        entity.update(status=["active"], port43="whois.afrinic.net", lang="en")
    body.update(
        handle=names.range_handle(row.range),
        name=names.netname(row),
        country=row.country or None,
        type=names.status_word(row, verdict.home),
        parentHandle=names.range_handle(verdict.parent),
        events=_events(row, names.moment),
        entities=[contact, holder],
        remarks=[{"title": "Remark", "description": [row.name]}],
        lang="en",
    )
    return _without_none(body)


_BODIES = {"arin": _arin, "ripencc": _ripencc, "apnic": _apnic, "lacnic": _lacnic, "afrinic": _afrinic}


def _network(registry: str, row: Row, value: str) -> Json:
    """Return the members that an "ip network" has everywhere (RFC 9083 section 5.4, cidr0 of the NRO profile)."""
    found = row.range
    return {
        "rdapConformance": CONFORMANCE[registry],
        "notices": [_terms(registry, value)],
        "objectClassName": "ip network",
        "startAddress": format_address(found.family, found.first),
        "endAddress": format_address(found.family, found.last),
        "ipVersion": f"v{found.family}",
        "status": ["active"],
        "port43": WORDS[registry].whois,
        "cidr0_cidrs": _cidr0(found),
    }


def _cidr0(found: Range) -> list[Json]:
    key = f"v{found.family}prefix"
    if found.is_cidr():
        length = BITS[found.family] + 1 - found.size.bit_length()
        return [{key: format_address(found.family, found.first), "length": length}]
    return [{key: format_address(found.family, first), "length": length} for first, length in found.prefixes()]


def _terms(registry: str, value: str) -> Json:
    title, sentence, page = TERMS[registry]
    link = {"rel": "terms-of-service", "type": "text/html", "href": page}
    return {"title": title, "description": [sentence], "links": [{"value": value, **link} if value else link]}


def _self_link(href: str, value: str) -> Json:
    return {"value": value, "rel": "self", "type": CONTENT_TYPE, "href": href}


def _events(row: Row, moment: Callable[[str], str]) -> list[Json]:
    """Return the events of a row: the table knows one date, and of some rows none."""
    if not row.date:
        return []
    return [{"eventAction": action, "eventDate": moment(row.date)} for action in ("registration", "last changed")]


def _entity(handle: str, roles: list[str], vcard: list[Any], base: str, value: str) -> Json:
    return {
        "handle": handle,
        "vcardArray": vcard,
        "roles": roles,
        "links": [_self_link(f"{base}entity/{handle}", value)],
        "objectClassName": "entity",
    }


def _vcard(name: str, kind: str, label: str = "", mail: str = "", org: str = "") -> list[Any]:
    """Return a jCard (RFC 7095): a name, what it is, an address label, a mail address, an organisation."""
    properties: list[list[Any]] = [["version", {}, "text", "4.0"], ["fn", {}, "text", name], ["kind", {}, "text", kind]]
    if label:
        properties.append(["adr", {"label": label}, "text", ["", "", "", "", "", "", ""]])
    if mail:
        properties.append(["email", {}, "text", mail])
    if org:
        properties.append(["org", {}, "text", org])
    return ["vcard", properties]


def _without_none(body: Json) -> Json:
    return {key: value for key, value in body.items() if value is not None}
