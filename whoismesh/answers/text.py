"""Text as registries send it: decoding, and the few kinds of value that need a form of their own.

Rules of this file: everything here takes any input and answers None where there is no such value; nothing raises,
and nothing takes longer than linear time.
"""

from __future__ import annotations

import re
from datetime import date

#: Longest answer that is read, in bytes. The largest real ones are some tens of kilobytes.
MAX_BODY_BYTES = 1 << 20

#: Longest value that is kept, in characters: real names stay far below, and a dump has millions of them.
MAX_VALUE_CHARS = 500

# RFC 3339 section 5.6; the date itself is checked by `date.fromisoformat`.
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]"
    r"((?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?)(Z|z|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_DAY = re.compile(r"(\d{4})(-?)(\d{2})\2(\d{2})", re.ASCII)


def decode(body: bytes) -> str:
    """Decode a whole answer: UTF-8 if all of it is, else ISO 8859-1, which every byte string is.

    Registries differ in charset and do not label it at port 43 (rfc1036/whois, servers_charset_list); deciding by the
    whole body keeps one stray byte from losing every accent.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def clean(value: object) -> str | None:
    """Return a value as one line of printable text of at most MAX_VALUE_CHARS; None if it is no text or empty."""
    if not isinstance(value, str):
        return None
    if len(value) > MAX_VALUE_CHARS:
        value = value[:MAX_VALUE_CHARS]
    if not value.isprintable():
        # Control characters, line ends and lone surrogates (which no encoder takes) become spaces.
        value = " ".join("".join(each if each.isprintable() else " " for each in value).split())
    return value.strip() or None


def clean_list(values: object, at_most: int) -> list[str]:
    """Return the cleaned texts among the first `at_most` items of a list; a lone text counts as a list of one."""
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list):
        return []
    return [text for text in map(clean, values[:at_most]) if text is not None]


def country_code(value: object) -> str | None:
    """Return a two-letter country code in upper case (ISO 3166-1 alpha-2, and the registries' own EU, AP and ZZ)."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    return value.upper() if len(value) == 2 and value.isascii() and value.isalpha() else None


def timestamp(value: object) -> str | None:
    """Return an RFC 3339 time as it came, or the midnight (UTC) of a date, `YYYY-MM-DD` or `YYYYMMDD`."""
    if not isinstance(value, str):
        return None
    value = value.strip()
    try:
        if instant := _INSTANT.fullmatch(value):
            day, clock, zone = instant.groups()
            date.fromisoformat(day)
            return f"{day}T{clock}{zone.upper()}"
        if day_only := _DAY.fullmatch(value):
            year, _, month, day = day_only.groups()
            return f"{date(int(year), int(month), int(day)).isoformat()}T00:00:00Z"
    except ValueError:
        pass
    return None
