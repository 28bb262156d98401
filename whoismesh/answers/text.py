"""Text as registries send it: decoding, and the few kinds of value that need a form of their own.

Rules of this file: everything here takes any input and answers None where there is no such value; nothing raises,
and nothing takes longer than linear time.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date

#: Longest answer that is read, in bytes. The largest real ones are some tens of kilobytes.
MAX_BODY_BYTES = 1 << 20
#: Networks that are read of one answer: a list that goes on is taken as cut. Real ones end at 100 (RIPE NCC's RDAP), or
#: with their bytes.
MAX_LISTED = 2_000

#: Longest value that is kept, in characters: real names stay far below, and a dump has millions of them.
MAX_VALUE_CHARS = 500

# RFC 3339 section 5.6, and its zone in short (ISO 8601) or left out; `date.fromisoformat` checks the date itself.
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]"
    r"((?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?)(Z|z|([+-](?:[01]\d|2[0-3])):?([0-5]\d))?",
    re.ASCII,
)
_DAY = re.compile(r"(\d{4})(-?)(\d{2})\2(\d{2})", re.ASCII)


#: The bytes 0x80 to 0x9f are control characters in ISO 8859-1 and letters, quotes and dashes in what people really
#: type, windows-1252; so browsers read the one as the other (WHATWG Encoding Standard, section 4.2).
_CONTROLS = re.compile("[\x80-\x9f]")
_WINDOWS = {code: letter for code in range(0x80, 0xA0) if (letter := bytes([code]).decode("windows-1252", "ignore"))}

#: Characters that turn the direction of what follows them, on a terminal too (UAX #9). No name needs one.
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

#: Not printable to Python and yet parts of names: joiners and soft hyphens, letters newer than its tables.
_UNSEEN = frozenset(("Cf", "Co", "Cn"))


def decode(body: bytes) -> str:
    """Decode a whole answer: UTF-8 if all of it is, else the registry's charset, without a byte order mark.

    That charset is ISO 8859-1 for all five: RIPE NCC and APNIC write it, ARIN, LACNIC and AFRINIC write UTF-8, and
    registro.br, which answers for LACNIC, ISO 8859-1 again (rfc1036/whois, servers_charset_list). Nobody labels it at
    port 43. Deciding by the whole body keeps one stray byte from losing every accent, and every byte is a character.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("latin-1")
        return text.translate(_WINDOWS) if _CONTROLS.search(text) else text  # translating costs ten times the rest
    return text.removeprefix("\ufeff")


def clean(value: object) -> str | None:
    """Return a value as one line of text of at most MAX_VALUE_CHARS characters; None if it is no text or empty."""
    if not isinstance(value, str):
        return None
    if len(value) > MAX_VALUE_CHARS:
        value = value[:MAX_VALUE_CHARS]
    if not value.isprintable():
        # Control characters, line ends and lone surrogates (which no encoder takes) become spaces.
        value = " ".join("".join(each if _is_kept(each) else " " for each in value).split())
    return value.strip() or None


def _is_kept(each: str) -> bool:
    return each.isprintable() or (each not in _TURNS and unicodedata.category(each) in _UNSEEN)


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
    """Return a time as RFC 3339 has it, or the midnight (UTC) of a date, `YYYY-MM-DD` or `YYYYMMDD`.

    A zone that is left out is taken for UTC.
    """
    if not isinstance(value, str):
        return None
    value = value.strip()
    try:
        if instant := _INSTANT.fullmatch(value):
            day, clock, _, hours, minutes = instant.groups()
            date.fromisoformat(day)
            return f"{day}T{clock}" + (f"{hours}:{minutes}" if hours else "Z")
        if day_only := _DAY.fullmatch(value):
            year, _, month, day = day_only.groups()
            return f"{date(int(year), int(month), int(day)).isoformat()}T00:00:00Z"
    except ValueError:
        pass
    return None
