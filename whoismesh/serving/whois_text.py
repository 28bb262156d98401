"""Answers at port 43: objects that look like RPSL (RFC 2622), as clients of RIPE NCC's family read them. Pure.

What registries say may hold anything: a value is one line, whatever comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whoismesh.addresses import format_address
from whoismesh.networks import Network, Record
from whoismesh.serving.instants import instant
from whoismesh.serving.questions import WhoisQuery

#: `source:` of each registry's own database.
SOURCES = {"arin": "ARIN", "ripencc": "RIPE", "apnic": "APNIC", "lacnic": "LACNIC", "afrinic": "AFRINIC"}
_COLUMN = 16

HELP = """\
% Ask for an address, a CIDR or a range FIRST - LAST. The answer is the most specific
% network that holds all of it, and then those around it.
%   -x    only a network of exactly this range
%   -l    only those around it, not the most specific; -L: the same with it
% Other flags of RIPE NCC's server (-r, -B, -G, -T inetnum ...) are accepted and change nothing."""


def banner(name: str, written_at: str) -> str:
    """Return the lines before every answer."""
    when = f" of {written_at}" if written_at else ""
    return f"% whoismesh snapshot{when} ({_line(name)})\n% A copy: the registries themselves have the last word."


def answer(query: WhoisQuery, records: Sequence[Record], before: str) -> bytes:
    """Return the whole answer to a query. `records` hold the range asked about, the most specific first."""
    return encoded("\n".join([before, "", *_body(query, records)]))


def failure(number: int, title: str, text: str, before: str) -> bytes:
    """Return the whole answer that tells of an error."""
    return encoded("\n".join([before, "", *_error(number, title, text)]))


def encoded(text: str) -> bytes:
    """Return lines as they are sent: UTF-8, CR LF, an empty one at the end."""
    return f"{text}\n\n".replace("\n", "\r\n").encode("utf-8", "replace")


def _body(query: WhoisQuery, records: Sequence[Record]) -> Iterator[str]:
    if query.help:
        yield HELP
        return
    if query.problem is not None:
        yield from _error(*query.problem)
        return
    assert query.asked is not None
    if query.exact:
        records = [each for each in records if each.range == query.asked]
    if not records:
        text = "just this range" if query.exact else f"all of {query.asked}"
        yield from _error(101, "no entries found", f"This snapshot has no record that holds {text}.")
        return
    if not isinstance(records[0], Network):
        text = f"{records[0].range} is {records[0].kind}: {records[0].reason}"
        yield from _error(101, "no entries found", text)
        return
    for record in records[query.parents == "l" :]:
        if isinstance(record, Network):
            yield from _object(record)


def _error(number: int, title: str, text: str) -> Iterator[str]:
    yield f"%ERROR:{number}: {title}"
    yield "%"
    yield f"% {_line(text)}"


def _object(record: Network) -> Iterator[str]:
    family, first, last = record.range
    between = f"{format_address(family, first)} - {format_address(family, last)}"
    as_cidr = family == 6 and record.range.is_cidr()
    key = str(record.range) if as_cidr else between
    yield f"% Information related to '{key}'"
    yield ""
    holder = record.holder
    fetched = instant(record.fetched_at)
    learnt = f"by {record.source}" + (f" from {record.server}" if record.server else "")
    values = [
        ("inetnum" if family == 4 else "inet6num", key),
        ("netname", record.name or "-"),
        ("descr", holder.name),
        ("country", record.country),
        ("org", holder.handle),
        ("status", record.type or ", ".join(record.status)),
        ("handle", record.handle if record.handle != key else None),
        ("parent", record.parent),
        ("origin", f"AS{record.asn}" if record.asn is not None else None),
        ("remarks", f"{learnt}, {fetched}" if fetched else learnt),
        ("created", record.registered),
        ("last-modified", record.changed),
        ("source", SOURCES.get(record.registry, record.registry.upper())),
    ]
    for name, value in values:
        if value:
            yield f"{name + ':':<{_COLUMN}}{_line(value)}"
    yield ""


def _line(value: str) -> str:
    """Return a value in one line that begins with no mark of the protocol."""
    return " ".join("".join(each if each.isprintable() else " " for each in value).split()) or "-"
