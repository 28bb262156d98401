"""RDAP answers: HTTP statuses (RFC 7480), errors and ip networks (RFC 9083 sections 5.4 and 6).

ipwhois reads the network (see `ipwhois_parser`); which of its entities is the holder is decided here.
"""

from __future__ import annotations

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from itertools import pairwise
from typing import Any

from whoismesh.addresses import Range
from whoismesh.answers import servers, signals
from whoismesh.answers.ipwhois_parser import RdapEntity, RdapReading, read_rdap
from whoismesh.answers.outcome import Answer, Listing, Reply, Status
from whoismesh.answers.ranges import read_address, read_range, spanning
from whoismesh.answers.text import MAX_BODY_BYTES, MAX_LISTED, clean, clean_list, decode, timestamp
from whoismesh.answers.verdict import CANNOT_TELL, Registration, judge, record
from whoismesh.networks import Holder, Network

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRY_AGAIN = frozenset({408, 425, 500, 502, 503, 504})
_SECONDS = re.compile(r"\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_PER = re.compile(r"\bper (\d{1,6}) (second|minute|hour)", re.ASCII | re.IGNORECASE)
#: RFC 9083 section 10.2.1 has three such types; RIPE NCC's server cuts at 100 and puts it into a title.
_TRUNCATED = ("result set truncated", "limited search results")
_UNITS_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
#: Links looked at in one answer; real ones have up to ten.
_MAX_LINKS = 32
#: Longest link that is followed; one with two IPv6 addresses in it has under 200 characters.
_MAX_HREF = 500
#: The extension's identifier in rdapConformance (RFC 9910 section 5), and the relations that are of use here.
RIR_SEARCH, RELATIONS = "rirSearch1", ("rdap-up", "rdap-down")


def understand_rdap(reply: Reply, bases: Mapping[str, str]) -> Answer:
    """Return what an RDAP answer means; see `answers.understand`."""
    status = reply.http_status
    if status in _REDIRECTS:
        return _redirect(reply, bases)
    if len(reply.body) > MAX_BODY_BYTES:
        return Answer(
            Status.MALFORMED, reason=f"expected at most {MAX_BODY_BYTES} bytes of RDAP, came {len(reply.body)}"
        )
    document = _document(reply.body)
    if document is not None and (notice := _limit_notice(document)):
        wait = retry_after(reply)
        return Answer(
            Status.LIMITED,
            retry_after_s=_notice_wait(notice) if wait is None else wait,
            transient=True,
            reason='the answer has a notice titled "Rate Limit Notice"',
        )
    if not 200 <= status < 300:
        return _failure(reply, status, document, bases)
    if document is None:
        return Answer(Status.MALFORMED, transient=True, reason="expected a JSON object, came something else")
    if "errorCode" in document:
        code = str(document["errorCode"])
        if re.fullmatch(r"[345]\d\d", code, re.ASCII) and int(code) not in _REDIRECTS:
            return _failure(reply, int(code), document, bases)
        return Answer(Status.MALFORMED, transient=True, reason="expected an ip network, came an error without a code")
    return _network(reply, document, bases)


def list_rdap(reply: Reply, bases: Mapping[str, str]) -> Listing:
    """Return what the answer to a relation search means (RFC 9910 section 3): one ip network, or ipSearchResults."""
    if len(reply.body) > MAX_BODY_BYTES:
        return Listing(too_wide=True)
    document = _document(reply.body)
    if 200 <= reply.http_status < 300 and document is not None and not _limit_notice(document):
        results = document.get("ipSearchResults", [document] if "errorCode" not in document else None)
        if isinstance(results, list):
            return _list(reply, document, results, bases)
    answer = understand_rdap(reply, bases)
    if answer.status is Status.UNALLOCATED:
        return Listing()  # RFC 7480 section 5.3: a search without results is "not found"
    if (answer.status is Status.FAILED and not answer.transient) or answer.status is Status.ELSEWHERE:
        return Listing(unsupported=True, failure=replace(answer, status=Status.FAILED))
    return Listing(failure=answer)


def _list(reply: Reply, document: Mapping[str, Any], results: list[Any], bases: Mapping[str, str]) -> Listing:
    networks: dict[Range, Network] = {}
    relations: dict[Range, Mapping[str, str]] = {}
    dropped = 0
    for each in results[:MAX_LISTED]:
        found = _range(each) if isinstance(each, dict) else None
        if found is None:
            dropped += 1
            continue
        # Each is judged as the answer about its own first address. Conformance is said once, of the whole answer.
        own = each | {"rdapConformance": document.get("rdapConformance")}
        answer = _network(replace(reply, family=found.family, address=found.first), own, bases)
        if answer.status is Status.NETWORK and answer.network is not None:
            networks.setdefault(found, answer.network)
            relations.setdefault(found, answer.relations or {})
        elif answer.status in (Status.MALFORMED, Status.FAILED):
            dropped += 1
    whole = len(results) <= MAX_LISTED and not _is_truncated(document)
    return Listing(tuple(networks.values()), whole, dropped, relations=relations)


def _is_truncated(document: Mapping[str, Any]) -> bool:
    """Tell whether a list is not all there is: by a notice (RFC 9083 section 10.2.1), or a next page (RFC 8977)."""
    notices, links = document.get("notices"), document.get("links")
    for each in notices[:_MAX_LINKS] if isinstance(notices, list) else ():
        if isinstance(each, dict) and any(
            (clean(each.get(key)) or "").lower().startswith(_TRUNCATED) for key in ("type", "title")
        ):
            return True
    links = links[:_MAX_LINKS] if isinstance(links, list) else ()
    return any(isinstance(each, dict) and each.get("rel") == "next" for each in links)


def retry_after(reply: Reply) -> float | None:
    """Return the seconds a Retry-After header asks for (RFC 9110 section 10.2.3), at most a day; None if it is none.

    A date counts from `reply.fetched_at`; one that has passed means 0.
    """
    value = reply.headers.get("retry-after")
    if not isinstance(value, str) or len(value) > 64:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), signals.MAX_WAIT_S)
    try:
        # The zone is GMT by definition; one that is missing must not become this machine's.
        until = email.utils.parsedate_to_datetime(value)
        wait = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - reply.fetched_at
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None
    # Written so that a fetched_at that is no number ends as None.
    return min(max(wait, 0.0), signals.MAX_WAIT_S) if wait == wait else None


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(decode(body).lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _limit_notice(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return LACNIC's limit, which comes as an answer with a notice of this title."""
    notices = document.get("notices")
    for each in notices[:64] if isinstance(notices, list) else ():
        if isinstance(each, dict) and (clean(each.get("title")) or "").lower() == "rate limit notice":
            return each
    return None


def _notice_wait(notice: Mapping[str, Any]) -> float | None:
    """Return the seconds in "maxed at 10 queries per 1 minutes": after so long the count begins anew."""
    for line in clean_list(notice.get("description"), 8):
        if match := _PER.search(line):
            return min(float(match[1]) * _UNITS_S[match[2].lower()], signals.MAX_WAIT_S)
    return None


def _redirect(reply: Reply, bases: Mapping[str, str]) -> Answer:
    location = reply.headers.get("location")
    server = reply.url or servers.url_of(reply.server, bases)
    url = servers.absolute(location, server) if isinstance(location, str) else None
    if url is None:
        return Answer(Status.FAILED, reason=f"HTTP {reply.http_status}: expected a Location with an http URL")
    if server.lower().startswith("https://") and not url.lower().startswith("https://"):
        return Answer(Status.FAILED, reason=f"HTTP {reply.http_status}: will not follow from https to {url[:200]}")
    registry = servers.registry_of_url(url, bases)
    if registry is None:
        return Answer(Status.FAILED, reason=f"HTTP {reply.http_status}: no registry's URL: {url[:200]}")
    reason = f"HTTP {reply.http_status} to {url[:200]}"
    same = registry == reply.registry
    return Answer(Status.ELSEWHERE, elsewhere=registry, url=url if same else None, reason=reason)


def _failure(reply: Reply, status: int, document: Mapping[str, Any] | None, bases: Mapping[str, str]) -> Answer:
    """Return what an HTTP status, or the errorCode that stands for one (RFC 9083 section 6), means."""
    if status == 404:
        if document is not None and (keeper := _linked(reply.registry, document, bases)):
            return Answer(Status.ELSEWHERE, elsewhere=keeper, reason=f"not found (404), with a link to {keeper}")
        return Answer(Status.UNALLOCATED, reason="not found (404)")
    wait = retry_after(reply)
    text = "\n".join([*_error_lines(document or {}), decode(reply.body)])
    if status == 403:
        signal = signals.forbidden(reply.registry, text, reply.fetched_at)
        if signal.status is Status.LIMITED and wait is None:
            wait = signal.retry_after_s
        return Answer(
            signal.status,
            retry_after_s=wait if signal.status is Status.LIMITED else None,
            transient=signal.transient,
            reason=signal.reason,
        )
    if status == 429:
        # A wait is a limit, whatever the words: only a block for good comes without one.
        if wait is None and (said := signals.refusal(reply.registry, text, reply.fetched_at)):
            reason = f"HTTP 429: {said.reason}"
            return Answer(said.status, retry_after_s=said.retry_after_s, transient=said.transient, reason=reason)
        return Answer(Status.LIMITED, retry_after_s=wait, transient=True, reason="too many requests (429)")
    if wait is not None:  # RFC 9110 has it for 503, and servers send it with others
        return Answer(Status.LIMITED, retry_after_s=wait, transient=True, reason=f"unavailable for a time ({status})")
    return Answer(Status.FAILED, transient=status in _TRY_AGAIN, reason=f"HTTP {status}")


def _error_lines(document: Mapping[str, Any]) -> list[str]:
    """Return the lines of an error's title and description (RFC 9083 section 6)."""
    description = document.get("description")
    values = [document.get("title"), *(description[:_MAX_LINKS] if isinstance(description, list) else [description])]
    return [line for value in values if isinstance(value, str) for line in value[:2000].splitlines()]


def _linked(
    registry: str, document: Mapping[str, Any], bases: Mapping[str, str], relation: str = "related"
) -> str | None:
    """Return the other registry to which an answer links as the one with more (rel `related`, RFC 8288), or None.

    One that links to itself (rel `self`) at another registry was fetched there by the one that was asked.
    """
    links = document.get("links")
    for each in links[:_MAX_LINKS] if isinstance(links, list) else ():
        if isinstance(each, dict) and each.get("rel") == relation and isinstance(each.get("href"), str):
            keeper = servers.registry_of_url(each["href"], bases)
            if keeper not in (None, registry):
                return keeper
    return None


def _network(reply: Reply, document: Mapping[str, Any], bases: Mapping[str, str]) -> Answer:
    kind = document.get("objectClassName", "ip network")  # missing at RIPE NCC in 2015
    if kind != "ip network":
        return Answer(Status.MALFORMED, transient=True, reason=f"expected an ip network, came {str(kind)[:80]!r}")
    found = _range(document)
    if found is None:
        return Answer(Status.MALFORMED, transient=True, reason="expected a start and an end address, came none")
    lone = Range(reply.family, reply.address, reply.address)
    # LACNIC's server of 2015 gave any address back as a network of its own; a real /32 has a CIDR as its handle.
    echo = reply.registry == "lacnic" and found == lone and not _is_cidr(document.get("handle"), lone)
    reading = read_rdap(document)
    registration = None if reading is None else _registration(reply, document, found, reading, bases)
    if echo:
        claimed = None if registration is None else record(reply, registration)
        reason = f"{CANNOT_TELL}: the answer gives the address asked as its range"
        return Answer(Status.FAILED, network=claimed, reason=reason)
    if registration is None:
        return Answer(Status.MALFORMED, transient=True, reason="expected an ip network, came what ipwhois cannot read")
    answer = judge(reply, registration)
    if answer.status is Status.NETWORK:
        relations = _relations(reply.registry, document, bases)
        return answer if relations is None else replace(answer, relations=relations)
    unnamed = answer.status in (Status.PLACEHOLDER, Status.ELSEWHERE) and answer.elsewhere is None
    if unnamed and (keeper := _linked(reply.registry, document, bases)):
        return Answer(Status.ELSEWHERE, elsewhere=keeper, reason=f"{answer.reason}, with a link to {keeper}")
    return answer


def _registration(
    reply: Reply, document: Mapping[str, Any], found: Range, reading: RdapReading, bases: Mapping[str, str]
) -> Registration:
    holder, stated, country = _holder(reply.registry, reading)
    events = {action.strip().lower(): date for action, date in reversed(reading.events)}  # the first of each counts
    return Registration(
        range=found,
        handle=reading.handle,
        name=reading.name,
        type=reading.type,
        status=reading.status,
        country=reading.country or country,
        parent=reading.parent,
        holder=holder,
        holder_stated=stated,
        registered=timestamp(events.get("registration")),
        changed=timestamp(events.get("last changed")),
        description=reading.description,
        keeper=servers.registry_of_whois(document.get("port43"), bases)
        or _linked(reply.registry, document, bases, "self"),
    )


def _relations(registry: str, document: Mapping[str, Any], bases: Mapping[str, str]) -> dict[str, str] | None:
    """Return the relation searches that an answer links to (RFC 9910 section 3), None where the server has none.

    A link to another server, or from https to http, is none. More statuses than "rdap-up" alone make another search.
    """
    conformance = document.get("rdapConformance")
    if not isinstance(conformance, list) or RIR_SEARCH not in conformance[:_MAX_LINKS]:
        return None
    found: dict[str, str] = {}
    links = document.get("links")
    for each in links[:_MAX_LINKS] if isinstance(links, list) else ():
        if not isinstance(each, dict) or each.get("rel") not in RELATIONS or not isinstance(each.get("href"), str):
            continue
        href = each["href"]
        if len(href) <= _MAX_HREF and any(href.startswith(base) for base, known in bases.items() if known == registry):
            found.setdefault(each["rel"], href)
    return found


def _is_cidr(handle: object, found: Range) -> bool:
    return isinstance(handle, str) and "/" in handle and read_range(handle) == found


def _range(document: Mapping[str, Any]) -> Range | None:
    """Return the range from start to end; where one of them is missing, what cidr0 makes up, or the handle says."""
    start, end = document.get("startAddress"), document.get("endAddress")
    if start and end:
        return spanning(read_address(start), read_address(end))
    found = _cidr0_range(document)
    if found is None:
        # RIPE NCC, APNIC and AFRINIC have the range for a handle, LACNIC the CIDR; a lone address may be anything.
        handle = document.get("handle")
        if isinstance(handle, str) and ("/" in handle or " - " in handle):
            found = read_range(handle)
    return found


def _cidr0_range(document: Mapping[str, Any]) -> Range | None:
    """Return the range that all cidr0 entries make up (cidr0 extension), in whatever order; None if it has holes."""
    entries = document.get("cidr0_cidrs")
    if not isinstance(entries, list) or not 0 < len(entries) <= 256:  # an IPv6 range has 254 at most
        return None
    pieces = []
    for entry in entries:
        if not isinstance(entry, dict):
            return None
        piece = read_range(f"{clean(entry.get('v4prefix') or entry.get('v6prefix'))}/{entry.get('length')}")
        if piece is None or piece.family != (4 if "v4prefix" in entry else 6):
            return None
        pieces.append(piece)
    pieces.sort()
    for left, right in pairwise(pieces):
        if left.family != right.family or left.last + 1 != right.first:
            return None
    return Range(pieces[0].family, pieces[0].first, pieces[-1].last)


def _holder(registry: str, reading: RdapReading) -> tuple[Holder, bool, str | None]:
    """Return (holder, whether the answer names it as one, its country).

    The registrant before other organisations; persons only where there is nobody else, and then by the organisation
    on their card if it has one. RPSL maintainers, which RIPE NCC lists as registrants, are nobody.
    """
    entities = [entity for entity in reading.entities if not _is_maintainer(entity.handle)]
    registrants = [entity for entity in entities if "registrant" in entity.roles]
    organisations = [entity for entity in registrants if entity.kind != "individual"]
    organisations += [entity for entity in entities if entity.kind == "org" and entity not in organisations]
    for entity in organisations:
        if name := _name(entity):
            return Holder(entity.handle, name), True, entity.country
    handle = next((entity.handle for entity in organisations if entity.handle), None)
    # LACNIC's networks have the owner's name for theirs; the others describe theirs, the holder first.
    described = reading.name if registry == "lacnic" else next(iter(reading.description), None)
    if handle or described:
        return Holder(handle, described), handle is not None, None
    for entity in registrants:
        if entity.org or entity.name:
            return Holder(entity.handle, entity.org or entity.name), True, entity.country
    return Holder(), False, None


def _name(entity: RdapEntity) -> str | None:
    """Return an entity's name; AFRINIC's server of 2015 gave the handle for one, which is none."""
    return next((name for name in (entity.name, entity.org) if name and name != entity.handle), None)


def _is_maintainer(handle: str | None) -> bool:
    """Tell an RPSL mntner by its handle (RFC 2622 section 3.1 reserves the prefix; registries use the suffix too)."""
    return handle is not None and (handle.upper().startswith(("MNT-", "MAINT-")) or handle.upper().endswith("-MNT"))
