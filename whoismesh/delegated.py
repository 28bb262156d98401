"""The statistics exchange format: what a registry says it gave out, line by line. Pure: lines to rows.

`delegated-<registry>-extended`, the older form without the opaque id, and the file in which the NRO joins all five
(https://www.apnic.net/about-apnic/corporate-documents/documents/resource-guidelines/rir-statistics-exchange-format/).
The version line, summaries and AS numbers are passed over; what is wrong with a line is kept with its number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from whoismesh.addresses import BITS, MAX_ADDRESS, Range
from whoismesh.errors import AddressError, ConfigError
from whoismesh.registries import REGISTRIES

#: Status words that say that somebody holds the block.
HELD = ("allocated", "assigned")
#: Status words of the format; "ianapool" is the NRO's for what IANA has not given out.
STATUSES = frozenset((*HELD, "available", "reserved", "ianapool"))
#: Registries a row may name; "iana" marks space that no registry lists.
SOURCES = frozenset((*REGISTRIES, "iana"))
#: So many problems are told before reading stops.
MAX_PROBLEMS = 10

#: Addresses of a known family: half a million of them are read twice as fast as by `parse_address`.
_ADDRESS = {4: IPv4Address, 6: IPv6Address}
_DATE = re.compile(r"\d{8}\Z")
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
#: So much of a wrong word is shown.
_SHOWN = 40


class Delegation(NamedTuple):
    """One row. `country` and `holder` (the registry's opaque id) may be "", so may `date` (YYYYMMDD)."""

    range: Range
    registry: str
    country: str
    status: str
    date: str
    holder: str

    @property
    def held(self) -> bool:
        """Tell whether somebody holds it: it is allocated or assigned by one of the five registries."""
        return self.status in HELD and self.registry != "iana"


class Problems:
    """What is wrong with files, each with the file and the line; raised all at once, up to MAX_PROBLEMS."""

    def __init__(self, file: str = "") -> None:
        self.file = file
        self._found: list[str] = []

    def add(self, line: int, what: str) -> None:
        """Note one. Raises ConfigError when there are enough."""
        self._found.append(f"{self.file}:{line}: {what}")
        if len(self._found) >= MAX_PROBLEMS:
            self.raise_any()

    def raise_any(self) -> None:
        """Raise ConfigError with all of them, if there are any."""
        if self._found:
            raise ConfigError(*self._found)


def read(lines: Iterable[str], problems: Problems) -> Iterator[Delegation]:
    """Yield the rows of addresses; lines that are none go to `problems`, which may raise ConfigError."""
    words: dict[str, str] = {}
    keep = words.setdefault  # one string object for each distinct word: 400,000 rows have few
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        fields = line.split("|")
        # The version line begins with a number, summary lines end with a word; neither is a record.
        if fields[0][:1].isdigit() or fields[-1] == "summary":
            continue
        if len(fields) < 7:
            problems.add(number, f"expected 7 or more fields between bars, found {len(fields)}")
            continue
        registry, country, kind, start, value, date, status = fields[:7]
        if kind == "asn":
            continue
        if kind not in ("ipv4", "ipv6"):
            problems.add(number, f"the type must be ipv4, ipv6 or asn, not {kind[:_SHOWN]!r}")
            continue
        holder = fields[7] if len(fields) > 7 else ""
        country = "" if country == "ZZ" else country  # the NRO's way to write "no country"
        date = "" if date == "00000000" else date  # older files have it where no date is known
        wrong = wrong_words(registry, country, status, date)
        if wrong:
            problems.add(number, wrong)
            continue
        try:
            found = _range(kind, start, value)
        except AddressError as error:
            problems.add(number, str(error))
            continue
        yield Delegation(
            found,
            keep(registry, registry),
            keep(country, country),
            keep(status, status),
            keep(date, date),
            keep(holder, holder),
        )


def wrong_words(registry: str, country: str, status: str, date: str) -> str:
    """Return what is wrong with the words of a row, or ""."""
    if registry not in SOURCES:
        return f"unknown registry {registry[:_SHOWN]!r}; expected {', '.join(REGISTRIES)} or iana"
    if status not in STATUSES:
        return f"unknown status {status[:_SHOWN]!r}; expected {', '.join(sorted(STATUSES))}"
    if country and not _COUNTRY.match(country):
        return f"{country[:_SHOWN]!r} is no country code of two capital letters"
    if date and not _DATE.match(date):
        return f"{date[:_SHOWN]!r} is no date; expected YYYYMMDD"
    return ""


def write(rows: Iterable[Delegation], date: str) -> Iterator[str]:
    """Yield the lines of a file in the form of the NRO's joined one, with a version line of that date (YYYYMMDD).

    An IPv6 row that is no single prefix becomes several.
    """
    yield f"2|nro|{date}|0|00000000|{date}|+0000"
    for row in rows:
        words = (row.registry, row.country or "ZZ", f"ipv{row.range.family}")
        rest = (row.date, row.status, row.holder)
        if row.range.family == 4:
            start = Range(4, row.range.first, row.range.first)
            yield "|".join((*words, str(start).partition("/")[0], str(row.range.size), *rest))
            continue
        for cidr in row.range.cidrs():
            yield "|".join((*words, *cidr.split("/"), *rest))


def _range(kind: str, start: str, value: str) -> Range:
    """Return the range of a record: a count of addresses follows an IPv4 start, a prefix length an IPv6 one."""
    family = int(kind[-1])
    try:
        first = int(_ADDRESS[family](start.replace("%", " ")))  # with a scope it is none, either
    except ValueError:
        raise AddressError(f"{start[:_SHOWN]!r} is no {kind} address") from None
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 12 else 0
    if family == 4:
        if not 0 < number <= MAX_ADDRESS[4] - first + 1:
            raise AddressError(f"{value[:_SHOWN]!r} is no count of addresses from {start[:_SHOWN]} on")
        return Range(4, first, first + number - 1)
    if not 0 < number <= BITS[6] or Range.of_prefix(6, first, number).first != first:
        raise AddressError(f"{start[:_SHOWN]}/{value[:_SHOWN]} is no IPv6 prefix")
    return Range.of_prefix(6, first, number)
