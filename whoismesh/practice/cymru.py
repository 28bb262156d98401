"""A stand-in for Team Cymru's bulk WHOIS: rows for the addresses between `begin` and `end`.

The format is told in `answers.cymru`. As the real one, it null-routes whoever sends single queries in numbers.
"""

from __future__ import annotations

from collections import Counter

from whoismesh.addresses import format_address, parse_address
from whoismesh.errors import AddressError
from whoismesh.practice.announcements import Announcements
from whoismesh.practice.bad_answers import HTML
from whoismesh.practice.faults import CALM, Decision, Fault
from whoismesh.practice.table import AllocationTable
from whoismesh.practice.wire import Delivery

#: Its name in the request log, beside those of the registries.
NAME = "cymru"

#: Single queries of one client after which it is null-routed: nothing it sends is answered any more.
MOST_SINGLES = 20

_HEAD = "Bulk mode; whois.cymru.com [2026-06-17 00:00:00 +0000]"
_COLUMNS = "AS      | IP               | BGP Prefix          | CC | Registry | Allocated  | AS Name"
#: Lines between `begin` and `end` that are options and no addresses.
_OPTIONS = frozenset({"verbose", "noverbose", "header", "noheader"})
_NULL_ROUTED = Delivery(b"", Decision(fault=Fault.SLOW))


class Cymru:
    """Answers of one practice server; `singles` counts the single queries of each client."""

    def __init__(self, table: AllocationTable) -> None:
        self._table = table
        self._announcements = Announcements(table)
        self.singles: Counter[str] = Counter()

    def null_routes(self, client: str, *, single: bool) -> bool:
        """Note a query; tell whether nothing of that client is answered any more."""
        self.singles[client] += single
        return self.singles[client] > MOST_SINGLES

    def answer(self, lines: list[str], *, single: bool) -> str:
        """Return the answer to the lines of a query, without `begin` and `end`."""
        out = [_COLUMNS if single else _HEAD]
        options = {line for line in lines if line in _OPTIONS}
        for number, line in enumerate(lines, 1 if single else 2):
            if line in _OPTIONS:
                continue
            try:
                family, address = parse_address(line)
            except AddressError:
                out.append(f"Error: no ASN or IP match on line {number}.")
                continue
            out += self._rows(family, address, verbose=single or "verbose" in options)
        return "".join(f"{line}\n" for line in out)

    def _rows(self, family: int, address: int, *, verbose: bool) -> list[str]:
        text = format_address(family, address)
        row = self._table.find(family, address)
        country, registry = (row.country, row.registry) if row is not None and row.held else ("", "other")
        date = f"{row.date[:4]}-{row.date[4:6]}-{row.date[6:]}" if row is not None and row.date else ""
        name = f"{row.name}, {row.country or 'ZZ'}" if row is not None else "NA"
        rows = [(str(each.asn), str(each.prefix), name) for each in self._announcements.of(family, address)]
        width = 16 if family == 4 else 40
        found = []
        # The worst one first: which row counts is for the reader to find out.
        for asn, prefix, called in reversed(rows or [("NA", "NA", "NA")]):
            found.append(
                f"{asn:<7} | {text:<{width}} | {prefix:<19} | {country:<2} | {registry:<8} | {date:<10} | {called}"
                if verbose
                else f"{asn:<7} | {text:<{width}} | {called}"
            )
        return found


def deliver(text: str, decision: Decision = CALM) -> Delivery:
    """Return an answer as it goes out, or what comes instead of it."""
    # Real AS names are ASCII; what a table has beyond that becomes a question mark.
    payload = text.encode("ascii", "replace")
    match decision.fault:
        case Fault.ERROR:
            lines = text.splitlines()
            payload = "".join(
                f"Error: no ASN or IP match on line {number}.\n" for number, _ in enumerate(lines[1:], 3)
            ).encode()
        case Fault.GARBAGE:
            payload = decision.noise * 8
        case Fault.HTML:
            payload = HTML.encode()
        case Fault.PARTIAL:
            lines = text.splitlines(keepends=True)
            payload = "".join(lines[: 1 + len(lines) // 2]).encode("ascii", "replace")
        case Fault.MISPLACED:
            payload = payload.replace(b" | ", b" | 192.0.2.1 | ")
        case Fault.EMPTY | Fault.UNAVAILABLE | Fault.LOOP | Fault.CHAIN | Fault.ASTRAY:
            payload = b""
    return Delivery(payload, decision)


def null_routed() -> Delivery:
    """Return what a client gets that is answered no more: silence."""
    return _NULL_ROUTED
