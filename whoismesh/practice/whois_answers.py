"""WHOIS answers in each registry's own manner: from a verdict to the text of port 43 (RFC 3912; pure).

Recorded answers of all five were the models: comments before and after, spellings of ranges, the objects that follow
a network, and what each registry says of space that is another's. Contacts are roles, never persons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from whoismesh.addresses import Range
from whoismesh.practice import arin_answers, names, rpsl_answers
from whoismesh.practice.verdicts import Kind, Verdict
from whoismesh.practice.whois_queries import Query

#: Who encodes how, where a query asks for nothing else (servers_charset_list of rfc1036/whois).
CHARSETS = {"arin": "utf-8", "ripencc": "latin-1", "apnic": "latin-1", "lacnic": "utf-8", "afrinic": "utf-8"}

#: Both line ends occur out there; LACNIC's joint WHOIS is the one with CR LF here.
LINE_ENDS = {"lacnic": "\r\n"}

_LACNIC_HEAD = (
    "",
    "% Joint Whois - whois.lacnic.net",
    "%  This server accepts single ASN, IPv4 or IPv6 queries",
    " ",
    "% LACNIC resource: whois.lacnic.net",
    "",
    "",
    "% Copyright LACNIC lacnic.net",
    "%  The data below is provided for information purposes",
    "%  and to assist persons in obtaining information about or",
    "%  related to AS and IP numbers registrations",
    "%  By submitting a whois query, you agree to use this data",
    "%  only for lawful purposes.",
    "",
)

_LACNIC_FOOT = (
    "% whois.lacnic.net accepts only direct match queries.",
    "% Types of queries are: POCs, ownerid, CIDR blocks, IP",
    "% and AS numbers.",
    "",
)


def answer(registry: str, verdict: Verdict, query: Query) -> str:
    """Return what a registry answers to a query that holds an address."""
    if registry == "arin":
        lines = arin_answers.answer(verdict, query)
    elif registry == "lacnic":
        lines = _lacnic(verdict, query)
    else:
        lines = rpsl_answers.answer(registry, verdict, query)
    return _finish(registry, lines)


def listing(registry: str, verdicts: Sequence[Verdict], query: Query, most: int) -> str:
    """Return what a registry answers to a search for more or less specific networks."""
    return _finish(registry, rpsl_answers.listing(registry, verdicts, query, most))


def charset(registry: str, query: Query | None = None) -> str:
    """Return the encoding of an answer; what it cannot say becomes a question mark."""
    return "utf-8" if query is not None and query.utf8 else CHARSETS[registry]


def bad_query(registry: str, query: Query) -> str:
    """Return the answer to a line that holds no address."""
    if registry == "arin":
        lines = [*arin_answers.TERMS, f"No match found for {query.text}.", *arin_answers.TERMS]
    elif registry == "lacnic":
        lines = [*_LACNIC_HEAD, "% Invalid IP or CIDR block: " + query.text, "", *_LACNIC_FOOT]
    elif query.text:
        lines = rpsl_answers.no_entries(registry)
    else:
        lines = rpsl_answers.error(registry, 106, "no search key specified", "No search key specified")
    return _finish(registry, lines)


def limited(registry: str, client: str) -> str:
    """Return what a client hears that asks too fast, in the registry's own words."""
    if registry == "arin":
        lines = [*arin_answers.TERMS, "Unable to service request due to high volume.", *arin_answers.TERMS]
    elif registry == "lacnic":
        lines = [*_LACNIC_HEAD[:4], "% Query rate limit exceeded", ""]
    elif registry == "apnic":
        lines = rpsl_answers.error(
            registry,
            201,
            f"access control limit reached for {client}",
            "Queries from your IP address have passed the limit of returned contact information objects.",
            "This connection will be terminated now.",
            "Continued attempts to return excessive amounts of contact",
            "information will result in permanent denial of service.",
        )
    else:
        lines = rpsl_answers.error(
            registry,
            201,
            f"access denied for {client}",
            "Queries from your IP address have passed the daily limit of controlled objects.",
            "Access from your host has been temporarily denied.",
            "For more information, see",
            "http://www.ripe.net/data-tools/db/faq/faq-db/why-did-you-receive-the-error-201-access-denied",
        )
    return _finish(registry, lines)


def banned(registry: str, client: str) -> str:
    """Return what a client hears that went on asking too fast, in the registry's own words."""
    if registry == "arin":
        lines = ["#201 access denied", ""]
    elif registry == "lacnic":
        lines = [*_LACNIC_HEAD[:4], "% Permission denied.", ""]
    else:
        lines = rpsl_answers.error(
            registry,
            201,
            f"access denied for {client}",
            "Sorry, access from your host has been permanently",
            "denied because of a repeated abusive behaviour."
            if registry == "apnic"
            else "denied because of a repeated excessive querying.",
        )
    return _finish(registry, lines)


def too_many_connections(registry: str) -> str:
    """Return what a client hears that opens more connections than it may."""
    if registry == "arin":
        lines = [*arin_answers.TERMS, "Unable to service request due to high volume.", *arin_answers.TERMS]
    elif registry == "lacnic":
        lines = [*_LACNIC_HEAD[:4], "% Maximum concurrent connections limit exceeded", ""]
    else:
        text = "Number of connections from a single IP address has exceeded the maximum number allowed (3)."
        lines = rpsl_answers.error(registry, 306, "connections exceeded", text)
    return _finish(registry, lines)


def closed(registry: str) -> str:
    """Return what RIPE NCC's family says before it closes a connection; ARIN's and LACNIC's close without a word."""
    if registry in ("arin", "lacnic"):
        return ""
    return _finish(registry, rpsl_answers.error(registry, 305, "connection has been closed"))


def server_error(registry: str) -> str:
    """Return what a server says that failed; ARIN's and LACNIC's close without a word."""
    mailbox = {"ripencc": "ripe-dbm@ripe.net", "apnic": "helpdesk@apnic.net", "afrinic": "dbadmin@afrinic.net"}
    if registry not in mailbox:
        return ""
    text = f"Please contact {mailbox[registry]} if the problem persists."
    return _finish(registry, rpsl_answers.error(registry, 100, "internal software error", text))


def _lacnic(verdict: Verdict, query: Query) -> list[str]:
    if verdict.kind is Kind.ELSEWHERE:
        return [*_LACNIC_HEAD, f"% Not assigned to LACNIC: {query.text}", "", *_LACNIC_FOOT]
    row = verdict.row
    if verdict.kind is Kind.UNALLOCATED or row is None:
        line = f"% Unallocated and unassigned in LACNIC block: {query.text}"
        return [*_LACNIC_HEAD, line, "", *_LACNIC_FOOT]
    contact = names.contact_handle(row)
    prefix = names.short_cidr(row.range)
    fields = [
        ("inetnum" if row.range.family == 4 else "inet6num", prefix),
        *((("inetnum-up", names.short_cidr(verdict.parent)),) if verdict.wider else ()),
        ("status", names.status_word(row, verdict.home)),
        ("aut-num", "N/A"),
        ("owner", row.name),
        ("ownerid", names.holder_handle(row)),
        ("responsible", names.ROLE_NAME),
        ("address", row.country or "ZZ"),
        ("country", row.country or "ZZ"),
        ("owner-c", contact),
        ("tech-c", contact),
        ("abuse-c", contact),
        *(("inetrev", names.short_cidr(Range.parse(each))) for each in row.range.cidrs()),
        ("nserver", "NS1.EXAMPLE.NET"),
        ("nsstat", f"{row.date or '19700101'} AA"),
        ("nslastaa", row.date or "19700101"),
        ("created", row.date or "19700101"),
        ("changed", row.date or "19700101"),
    ]
    person = [
        ("nic-hdl", contact),
        ("person", names.ROLE_NAME),
        ("e-mail", names.ROLE_MAIL),
        ("country", row.country or "ZZ"),
        ("created", row.date or "19700101"),
        ("changed", row.date or "19700101"),
    ]
    return [*_LACNIC_HEAD, *names.attributes(fields, 13), "", *names.attributes(person, 13), "", *_LACNIC_FOOT]


def _finish(registry: str, lines: Iterable[str]) -> str:
    end = LINE_ENDS.get(registry, "\n")
    return end.join(lines) + end
