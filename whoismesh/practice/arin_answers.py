"""Port 43 at ARIN: networks, and the pointers to the other registries' space (pure)."""

from __future__ import annotations

from whoismesh.addresses import Range, format_address
from whoismesh.practice import names
from whoismesh.practice.names import WORDS
from whoismesh.practice.row import Row
from whoismesh.practice.verdicts import Kind, Verdict
from whoismesh.practice.whois_queries import Query

TERMS = (
    "",
    "#",
    "# ARIN WHOIS data and services are subject to the Terms of Use",
    "# available at: https://www.arin.net/resources/registry/whois/tou/",
    "#",
    "# If you see inaccuracies in the results, please report at",
    "# https://www.arin.net/resources/registry/whois/inaccuracy_reporting/",
    "#",
    "",
)


def answer(verdict: Verdict, query: Query) -> list[str]:
    """Return the lines of the answer to a query that holds an address."""
    out = [*TERMS]
    if query.plain:
        out += [
            "#",
            "# Query terms are ambiguous.  The query is assumed to be:",
            f'#     "n {query.text}"',
            "#",
            '# Use "?" to get help.',
            "#",
            "",
        ]
    if verdict.kind is Kind.UNALLOCATED or (verdict.row is None and verdict.kind is not Kind.ELSEWHERE):
        return [*out, f"No match found for n + {query.text}.", *TERMS]
    if verdict.kind is Kind.ELSEWHERE:
        return [*out, *_elsewhere(verdict), *TERMS]
    row = verdict.row
    assert row is not None  # the kinds without a row are above
    # What a network lies in comes first, each with its organisation.
    for index in reversed(range(len(verdict.wider))):
        parent = names.arin_parent(verdict.delegated or row.range)
        if index + 1 < len(verdict.wider):
            parent = names.arin_name_and_handle(verdict.wider[index + 1])
        out += _registration(verdict.wider[index], parent, verdict)
    parent = names.arin_parent(verdict.delegated or row.range)
    return [
        *out,
        *_registration(row, names.arin_name_and_handle(verdict.wider[0]) if verdict.wider else parent, verdict),
        *TERMS,
    ]


def _registration(row: Row, parent: str, verdict: Verdict) -> list[str]:
    when = names.day(row.date)
    organisation = names.holder_handle(row)
    handle = names.arin_handle(row.range, 0 if verdict.kind is Kind.POOL else row.level)
    first = format_address(row.range.family, row.range.first)
    out = names.attributes(
        (
            ("NetRange", names.span(row.range)),
            ("CIDR", ", ".join(row.range.cidrs())),
            ("NetName", names.netname(row)),
            ("NetHandle", handle),
            ("Parent", parent),
            ("NetType", names.status_word(row, verdict.home)),
            ("OriginAS", ""),
            ("Organization", f"{row.name} ({organisation})"),
            ("RegDate", when),
            ("Updated", when),
            ("Ref", f"https://rdap.arin.net/registry/ip/{first}"),
        )
    )
    out += ["", "", ""]
    out += names.attributes(
        (
            ("OrgName", row.name),
            ("OrgId", organisation),
            ("Address", ""),
            ("City", ""),
            ("StateProv", ""),
            ("PostalCode", ""),
            ("Country", row.country),
            ("RegDate", when),
            ("Updated", when),
            ("Ref", f"https://rdap.arin.net/registry/entity/{organisation}"),
        )
    )
    contact = names.contact_handle(row)
    out += ["", ""]
    for kind in ("Abuse", "Tech"):
        out += [
            f"Org{kind}Handle: {contact}",
            f"Org{kind}Name:   {names.ROLE_NAME}",
            f"Org{kind}Email:  {names.ROLE_MAIL}",
            f"Org{kind}Ref:    https://rdap.arin.net/registry/entity/{contact}",
            "",
        ]
    return out


def _elsewhere(verdict: Verdict) -> list[str]:
    """ARIN's pointers: IANA's block of another registry, and the block transferred to a third; the last one counts."""
    out: list[str] = []
    block = verdict.delegated or verdict.asked
    if verdict.home not in (None, "arin"):
        words = WORDS[verdict.home or ""]
        number = block.first >> 24 if block.family == 4 else f"{block.first >> 112:X}"
        out += _pointer(block, block, f"{words.arin_id}-{number}", f"Allocated to {words.label}", words, "", 0)
    owner = verdict.owner or ""
    if owner != verdict.home:
        row = verdict.row
        words = WORDS[owner]
        date = row.date if row is not None else ""
        run = verdict.run or (row.range if row is not None else verdict.asked)
        early = date <= names.ERX_LAST_DATE
        name = names.arin_handle(run).replace("NET", f"{words.arin_id}-ERX", 1)[:-2] if early else words.arin_id
        kind = f"Early Registrations, Transferred to {words.label}"
        out += ["", *_pointer(run, block, name, kind, words, date, 1)]
    return out


def _pointer(found: Range, block: Range, name: str, kind: str, words: names.Words, date: str, number: int) -> list[str]:
    first = format_address(found.family, found.first)
    fields = [
        ("NetRange", names.span(found)),
        ("CIDR", ", ".join(found.cidrs())),
        ("NetName", name),
        ("NetHandle", names.arin_handle(found, number)),
    ]
    if number:
        fields.append(("Parent", names.arin_parent(block)))
    fields += [
        ("NetType", kind),
        ("OriginAS", ""),
        ("Organization", f"{words.full_name} ({words.arin_id})"),
        ("RegDate", names.day(date)),
        ("Updated", names.day(date)),
        ("Comment", "This IP address range is not registered in the ARIN database."),
        ("Comment", f"For details, refer to the {words.label} Whois Database via"),
        ("Comment", f"{words.whois.upper()} or https://{words.site}/"),
        ("Ref", f"https://rdap.arin.net/registry/ip/{first}"),
    ]
    organisation = [
        ("OrgName", words.full_name),
        ("OrgId", words.arin_id),
        ("Country", words.country),
        ("Ref", f"https://rdap.arin.net/registry/entity/{words.arin_id}"),
    ]
    return [
        *names.attributes(fields),
        "",
        f"ResourceLink:  https://{words.site}/",
        f"ResourceLink:  {words.whois}",
        "",
        *names.attributes(organisation),
        "",
        f"ReferralServer:  whois://{words.whois}",
        f"ResourceLink:  https://{words.site}/",
        "",
    ]
