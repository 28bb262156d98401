"""Port 43 at RIPE NCC, APNIC and AFRINIC, whose servers are of one family: RPSL objects (RFC 2622; pure)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from whoismesh.addresses import MAX_ADDRESS, Range, format_address
from whoismesh.practice import names
from whoismesh.practice.names import WORDS
from whoismesh.practice.row import Row
from whoismesh.practice.verdicts import Kind, Verdict
from whoismesh.practice.whois_queries import Query

#: One network in so many has a route object behind it.
ROUTE_EVERY = 3

HEAD = {
    "ripencc": (
        "% This is the RIPE Database query service.",
        "% The objects are in RPSL format.",
        "%",
        "% The RIPE Database is subject to Terms and Conditions.",
        "% See http://www.ripe.net/db/support/db-terms-conditions.pdf",
        "",
    ),
    "apnic": (
        "% [whois.apnic.net]",
        "% Whois data copyright terms    http://www.apnic.net/db/dbcopyright.html",
        "",
    ),
    "afrinic": ("% This is the AfriNIC Whois server.", ""),
}

FOOT = {
    "ripencc": ("% This query was served by the RIPE Database Query Service version 1.101 (PRACTICE)", "", ""),
    "apnic": ("% This query was served by the APNIC Whois Service version 1.88.15 (PRACTICE)", "", ""),
    "afrinic": ("", ""),
}

_FILTERED = (
    "% Note: this output has been filtered.",
    '%       To receive output for a database update, use the "-B" flag.',
    "",
)


def answer(registry: str, verdict: Verdict, query: Query) -> list[str]:
    """Return the lines of the answer to a query that holds an address."""
    row = verdict.row
    if query.unserved:
        text = f"'-{query.unserved}' queries are not served here."
        return error(registry, 112, "unsupported query", text)
    if verdict.kind is Kind.ELSEWHERE:
        found, lines = _PLACEHOLDERS[registry](verdict)
    elif verdict.kind is Kind.UNALLOCATED or row is None:
        return no_entries(registry)
    else:
        found, lines = row.range, _inetnum(registry, row, verdict)
    if not query.networks or (query.exact and found != query.asked):
        return no_entries(registry)
    if query.keys:
        return [*HEAD[registry], lines[0], "", *FOOT[registry]]
    key = names.range_handle(found)
    out = [*HEAD[registry]]
    if registry != "apnic" and not query.unfiltered:
        out += _FILTERED
    out += [f"% Information related to '{key}'", ""]
    if verdict.kind is Kind.NETWORK:
        out += [f"% Abuse contact for '{key}' is '{names.ROLE_MAIL}'", ""]
    elif registry != "apnic":
        out += [f"% No abuse contact registered for {key}", ""]
    out += [*lines, ""]
    if row is not None and verdict.kind is Kind.NETWORK:
        if query.contacts:
            out += [*_organisation(registry, row), "", *_role(registry, row), ""]
        if query.routes:
            out += _route(registry, row)
    return [*out, *FOOT[registry]]


def listing(registry: str, verdicts: Sequence[Verdict], query: Query, most: int) -> list[str]:
    """Return the lines of the answer to -m, -M, -l and -L: objects, or their keys.

    One with more than `most` objects below a range is refused, or cut at APNIC.
    """
    end: list[str] = []
    if query.relation in "lL":
        most = len(verdicts)
    if len(verdicts) > most:
        if registry != "apnic":
            return error(registry, 112, "unsupported query", "'-mM' queries are not allowed on very large ranges.")
        text = "Too many objects in response; output has been truncated."
        end = ["%ERROR:201: access control limit reached for this query", "%", f"% {text}", ""]
    if not verdicts or not query.networks:
        return no_entries(registry)
    out = [*HEAD[registry]]
    for each in verdicts[:most]:
        if each.row is None:
            continue
        lines = _inetnum(registry, each.row, each)
        if query.keys:
            out += [lines[0], ""]
            continue
        out += [f"% Information related to '{names.range_handle(each.row.range)}'", "", *lines, ""]
    return [*out, *end, *FOOT[registry]]


def error(registry: str, code: int, title: str, *texts: str) -> list[str]:
    """Return the lines of an error with its number (QueryMessages in RIPE-NCC/whois)."""
    lines = [f"% {text}" for text in texts]
    return [*HEAD[registry], f"%ERROR:{code}: {title}", "%", *lines, "", *FOOT[registry]]


def no_entries(registry: str) -> list[str]:
    """Return the lines that say there is no such object."""
    return error(registry, 101, "no entries found", f"No entries found in source {WORDS[registry].source}.")


def _inetnum(registry: str, row: Row, verdict: Verdict) -> list[str]:
    own = WORDS[registry]
    contact = names.contact_handle(row)
    filtered = " # Filtered" if registry == "afrinic" else ""
    fields = [
        (_class(row.range), names.range_handle(row.range)),
        ("netname", names.netname(row)),
        ("descr", row.name),
        ("country", row.country or "ZZ"),
        ("org", names.holder_handle(row)),
        ("admin-c", contact),
        ("tech-c", contact),
    ]
    if registry == "apnic":
        fields += [
            ("abuse-c", contact),
            ("status", names.status_word(row, verdict.home)),
            ("mnt-by", "APNIC-HM"),
            ("mnt-lower", names.maintainer(row)),
            ("mnt-irt", f"IRT-{contact}"),
            ("last-modified", names.moment(row.date)),
        ]
    elif registry == "ripencc":
        fields += [
            ("status", names.status_word(row, verdict.home)),
            ("mnt-by", "RIPE-NCC-HM-MNT"),
            ("mnt-by", names.maintainer(row)),
            ("created", names.moment(row.date)),
            ("last-modified", names.moment(row.date)),
        ]
    else:
        fields += [
            ("status", names.status_word(row, verdict.home)),
            ("mnt-by", "AFRINIC-HM-MNT"),
            ("mnt-lower", names.maintainer(row)),
        ]
    fields.append(("source", own.source + filtered))
    if registry == "afrinic" and (verdict.wider or verdict.delegated is not None):
        fields.append(("parent", names.range_handle(verdict.parent)))
    return names.attributes(fields)


def _organisation(registry: str, row: Row) -> list[str]:
    return names.attributes(
        (
            ("organisation", names.holder_handle(row)),
            ("org-name", row.name),
            ("org-type", "LIR" if row.status == "allocated" else "OTHER"),
            ("country", row.country or "ZZ"),
            ("mnt-by", names.maintainer(row)),
            ("source", f"{WORDS[registry].source} # Filtered"),
        )
    )


def _role(registry: str, row: Row) -> list[str]:
    return names.attributes(
        (
            ("role", names.ROLE_NAME),
            ("address", row.country or "ZZ"),
            ("nic-hdl", names.contact_handle(row)),
            ("abuse-mailbox", names.ROLE_MAIL),
            ("mnt-by", names.maintainer(row)),
            ("source", f"{WORDS[registry].source} # Filtered"),
        )
    )


def _route(registry: str, row: Row) -> list[str]:
    """Return a route object for some networks: it is no registration, and readers must know that."""
    first, length = next(row.range.prefixes())
    if (first >> 8) % ROUTE_EVERY:
        return []
    prefix = Range.of_prefix(row.range.family, first, length)
    # RFC 5398: an AS number for documentation; the table's rows of level 1 have none.
    fields = (
        ("route" if prefix.family == 4 else "route6", str(prefix)),
        ("descr", row.name),
        ("origin", "AS64496"),
        ("mnt-by", names.maintainer(row)),
        ("source", WORDS[registry].source),
    )
    return [f"% Information related to '{prefix}AS64496'", "", *names.attributes(fields), ""]


def _not_managed(verdict: Verdict) -> tuple[Range, list[str]]:
    """RIPE NCC's object over a run of space that is not its own."""
    found = verdict.foreign or verdict.asked
    fields = [
        (_class(found), names.range_handle(found)),
        ("netname", "NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK"),
        ("descr", f"IPv{found.family} address block not managed by the RIPE NCC"),
        ("remarks", "------------------------------------------------------"),
        ("remarks", ""),
        ("remarks", "For registration information,"),
        ("remarks", "you can consult the following sources:"),
        ("remarks", ""),
        ("remarks", "IANA"),
        ("remarks", "http://www.iana.org/assignments/ipv4-address-space"),
        ("remarks", ""),
        ("remarks", "AFRINIC (Africa)"),
        ("remarks", "http://www.afrinic.net/ whois.afrinic.net"),
        ("remarks", ""),
        ("remarks", "APNIC (Asia Pacific)"),
        ("remarks", "http://www.apnic.net/ whois.apnic.net"),
        ("remarks", ""),
        ("remarks", "ARIN (Northern America)"),
        ("remarks", "http://www.arin.net/ whois.arin.net"),
        ("remarks", ""),
        ("remarks", "LACNIC (Latin America and the Carribean)"),
        ("remarks", "http://www.lacnic.net/ whois.lacnic.net"),
        ("remarks", "------------------------------------------------------"),
        ("country", "EU # Country is really world wide"),
        ("admin-c", "IANA1-RIPE"),
        ("tech-c", "IANA1-RIPE"),
        ("status", "ALLOCATED UNSPECIFIED"),
        ("mnt-by", "RIPE-NCC-HM-MNT"),
        ("created", "2019-01-07T10:49:33Z"),
        ("last-modified", "2019-01-07T10:49:33Z"),
        ("source", "RIPE"),
    ]
    return found, names.attributes(fields)


def _apnic_stub(verdict: Verdict) -> tuple[Range, list[str]]:
    """APNIC's stub where its own space was transferred, and its note on space that never was its own."""
    row, owner = verdict.row, WORDS[verdict.owner or "arin"]
    if verdict.home == "apnic" and row is not None:
        found = row.range
        prefix = str(next(iter(found.cidrs()))).replace(".", "-").replace(":", "-").replace("/", "SLASH")
        return found, names.attributes(
            (
                (_class(found), names.range_handle(found)),
                ("netname", f"STUB-{prefix}"),
                ("descr", f"Transferred to the {owner.region} region on {names.moment(row.date)}."),
                ("country", "ZZ"),
                ("admin-c", "STUB-AP"),
                ("tech-c", "STUB-AP"),
                ("status", "ALLOCATED PORTABLE"),
                ("mnt-by", "APNIC-STUB"),
                ("mnt-irt", "IRT-STUB-AP"),
                ("last-modified", names.moment(row.date)),
                ("source", "APNIC"),
            )
        )
    found = verdict.delegated or verdict.asked
    label = str(found.first >> 24) if found.family == 4 else format_address(6, found.first).split(":")[0].upper()
    return found, names.attributes(
        (
            (_class(found), names.range_handle(found)),
            ("netname", f"IANA-NETBLOCK-{label}"),
            ("descr", "This network range is not allocated to APNIC."),
            ("descr", ""),
            ("descr", "If your whois search has returned this message, then you have"),
            ("descr", "searched the APNIC whois database for an address that is"),
            ("descr", "allocated by another Regional Internet Registry (RIR)."),
            ("descr", ""),
            ("descr", "Please search the other RIRs at whois.arin.net or whois.ripe.net"),
            ("descr", "for more information about that range."),
            ("country", "AU"),
            ("admin-c", "IANA1-AP"),
            ("tech-c", "IANA1-AP"),
            ("remarks", "For general info on spam complaints email spam@apnic.net."),
            ("mnt-by", "MAINT-APNIC-AP"),
            ("mnt-lower", "MAINT-APNIC-AP"),
            ("status", "ALLOCATED PORTABLE"),
            ("last-modified", "2008-09-04T06:51:28Z"),
            ("source", "APNIC"),
        )
    )


def _afrinic_placeholder(verdict: Verdict) -> tuple[Range, list[str]]:
    """AFRINIC's mark on space transferred out of its region, and its object over the whole address space."""
    row = verdict.row
    if verdict.home == "afrinic" and row is not None:
        found, name = row.range, f"AFRINIC-NET-TRANSFERRED-{row.date or '19700101'}"
        descr = "This network range has been transferred out of the AFRINIC region"
    else:
        family = verdict.asked.family
        found, name = Range(family, 0, MAX_ADDRESS[family]), "IANA-BLK"
        descr = f"The whole IPv{family} address space"
    return found, names.attributes(
        (
            (_class(found), names.range_handle(found)),
            ("netname", name),
            ("descr", descr),
            ("country", "EU # Country is really world wide"),
            ("org", "ORG-IANA1-AFRINIC"),
            ("admin-c", "IANA1-AFRINIC"),
            ("tech-c", "IANA1-AFRINIC"),
            ("status", "ALLOCATED UNSPECIFIED"),
            ("remarks", "The country is really worldwide."),
            ("mnt-by", "AFRINIC-HM-MNT"),
            ("source", "AFRINIC # Filtered"),
        )
    )


_PLACEHOLDERS: dict[str, Callable[[Verdict], tuple[Range, list[str]]]] = {
    "ripencc": _not_managed,
    "apnic": _apnic_stub,
    "afrinic": _afrinic_placeholder,
}


def _class(found: Range) -> str:
    return "inetnum" if found.family == 4 else "inet6num"
