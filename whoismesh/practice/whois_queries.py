"""Reading a query line of port 43 in each registry's own language (pure).

RIPE NCC, APNIC and AFRINIC run the same family of servers and take its flags (RIPE Database documentation, "Types of
queries"); ARIN takes a record type and a `+` or `-` before the address; LACNIC takes the bare address.
"""

from __future__ import annotations

from dataclasses import dataclass

from whoismesh.addresses import Range
from whoismesh.errors import AddressError

#: Flags of one letter with a word after them: inverse, sources, types, template, verbose, tag, info, charset.
_WITH_WORD = frozenset("isTtvVqZ")

#: Their long forms, and the other long flags that take one.
_LONG_WITH_WORD = {
    "inverse": "i",
    "sources": "s",
    "select-types": "T",
    "template": "t",
    "verbose": "v",
    "client": "V",
    "charset": "Z",
}

#: Long forms of the flags without a word that change an answer here.
_LONG = {
    "no-referenced": "r",
    "exact": "x",
    "primary-keys": "K",
    "persistent-connection": "k",
    "no-filtering": "B",
    "one-less": "l",
    "all-less": "L",
    "one-more": "m",
    "all-more": "M",
}

#: Searches for less and more specific objects, of one level or of all.
RELATIONS = "lLmM"

#: Inverse searches and short answers are not served.
_UNSERVED = frozenset("iF")


@dataclass(frozen=True, slots=True)
class Query:
    """A query understood. `asked` is None where the line holds no address; `problem` then says why.

    `contacts` asks for the objects that a network refers to, `routes` for its route, `keys` for the keys only,
    `relation` is one of RELATIONS or "", `persistent` asks to keep the connection, `unserved` names a flag of a kind of
    search that practice registries do not have. `plain` is ARIN's query without record type, which is answered with a
    note.
    """

    asked: Range | None
    text: str = ""
    problem: str = ""
    contacts: bool = True
    routes: bool = True
    networks: bool = True
    keys: bool = False
    exact: bool = False
    unfiltered: bool = False
    relation: str = ""
    persistent: bool = False
    unserved: str = ""
    utf8: bool = False
    plain: bool = True


def read(registry: str, line: str) -> Query:
    """Read a line, without its line end, as `registry` would. Never raises."""
    words = line.split()
    if registry == "arin":
        return _read_arin(words)
    if registry == "lacnic":
        return _with_range(" ".join(words))
    return _read_flags(words)


def _read_arin(words: list[str]) -> Query:
    plain = True
    while words and (words[0] in ("n", "+", "-", "r", "z", "d") or words[0] in ("=", "<", ">")):
        plain = plain and words[0] not in ("n", "r", "z")
        words = words[1:]
    return _with_range(" ".join(words), plain=plain)


def _read_flags(words: list[str]) -> Query:
    flags: set[str] = set()
    values: dict[str, str] = {}
    rest: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            short = _LONG_WITH_WORD.get(name)
            if short is None:
                flags.add(_LONG.get(name, ""))
            elif equals:
                values[short] = value
            elif at < len(words):
                values[short] = words[at]
                at += 1
            continue
        if not word.startswith("-") or len(word) == 1:
            rest.append(word)
            continue
        for index, letter in enumerate(word[1:], 1):
            if letter not in _WITH_WORD:
                flags.add(letter)
                continue
            flags.add(letter)
            if index + 1 < len(word):  # the word follows at once: -Tinetnum
                values[letter] = word[index + 1 :]
            elif at < len(words):
                values[letter] = words[at]
                at += 1
            break
    types = {each.strip().lower() for each in values["T"].split(",")} if "T" in values else None
    query = _with_range(" ".join(rest))
    asked = query.asked
    wanted = "inet6num" if asked is not None and asked.family == 6 else "inetnum"
    route = "route6" if wanted == "inet6num" else "route"
    return Query(
        asked,
        query.text,
        query.problem,
        contacts="r" not in flags and (types is None or bool(types & {"organisation", "role", "person"})),
        routes=types is None or route in types,
        networks=types is None or wanted in types,
        keys="K" in flags,
        exact="x" in flags,
        unfiltered="B" in flags,
        relation=next((flag for flag in RELATIONS if flag in flags), ""),
        persistent="k" in flags,
        unserved=next((flag for flag in sorted(flags) if flag in _UNSERVED), ""),
        utf8=values.get("Z", "").lower() in ("utf-8", "utf8"),
    )


def _with_range(text: str, plain: bool = True) -> Query:
    if not text:
        return Query(None, text, "no search key", plain=plain)
    try:
        return Query(Range.parse(text), text, plain=plain)
    except AddressError as error:
        return Query(None, text, str(error), plain=plain)
