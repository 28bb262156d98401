"""Oddities of registries' answers that are no faults: a reader has to take them as they come (pure).

Each was seen in a real answer or is told of by a client's source (docs/registries.md has where). Which question meets
which follows from the seed, as with faults, but asking again does not help: it is how the data is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from whoismesh.addresses import format_address
from whoismesh.errors import UsageError
from whoismesh.practice import arin_answers, names, rpsl_answers
from whoismesh.practice.names import WORDS
from whoismesh.practice.verdicts import Verdict

Json = dict[str, Any]


class Quirk(StrEnum):
    """Ways to write the truth."""

    PADDED = "padded"  #: zeros before octets and groups: 074.125.000.000 (ARIN), 2001:0240::/32 (APNIC)
    LENGTH_BEHIND = "length-behind"  #: a start address with a length that means nothing, 62.239.237.0/32 (RIPE NCC)
    ECHO = "echo"  #: LACNIC's RDAP of 2015: the address asked as start, end and handle
    NULLS = "nulls"  #: null for the handle, the parent, the entities
    BARE = "bare"  #: no objectClassName, ipVersion, cidr0, name, country; at port 43 no more than range and source
    CIDR0_ONLY = "cidr0-only"  #: the range in cidr0 entries alone
    ANCESTORS = "ancestors"  #: the block around the network in the same answer, before it
    LOOKALIKE = "lookalike"  #: holders who call themselves like a registry's refusal
    PROXIED = "proxied"  #: APNIC's RDAP: the other registry's own answer instead of a redirect (rdap-ingressd)
    OTHER_CHARSET = "other-charset"  #: UTF-8 where Latin-1 is usual, and the other way round
    OTHER_LINE_ENDS = "other-line-ends"  #: CR LF where LF is usual, and the other way round


QUIRKS = tuple(Quirk)

#: Names that read like refusals, and are none: they stand behind an attribute.
LOOKALIKES = (
    "Query rate limit exceeded Ltd",
    "%ERROR:201: access denied for 192.0.2.7",
    "% Permission denied.",
    "No match found for us, Inc.",
    "Transferred to the RIPE region on 2020-12-08T07:54:04Z.",
)


@dataclass(frozen=True, slots=True)
class Quirks:
    """How odd practice registries are: the part of the questions (0 to 1) whose answers are, and in which ways.

    Raises UsageError for impossible values.
    """

    share: float = 0.0
    seed: int = 0
    kinds: tuple[Quirk, ...] = QUIRKS

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UsageError(f"share of quirks {self.share} is impossible; expected 0 to 1")
        if not self.kinds:
            raise UsageError(f"no kind of quirk is named; expected some of {', '.join(Quirk)}")

    def of(self, registry: str, protocol: str, question: str) -> Quirk | None:
        """Return the oddity of the answer to a question, or None.

        >>> Quirks(share=1.0, seed=7).of("arin", "rdap", "24.192.0.1")
        <Quirk.CIDR0_ONLY: 'cidr0-only'>
        """
        if not self.share:
            return None
        key = f"quirk|{self.seed}|{registry}|{protocol}|{question}"
        digest = blake2b(key.encode("utf-8", "replace"), digest_size=16).digest()
        whether, which = (int.from_bytes(digest[at : at + 8]) / 2**64 for at in (0, 8))
        return self.kinds[int(which * len(self.kinds)) % len(self.kinds)] if whether < self.share else None


# --- RDAP -----------------------------------------------------------------------------------------------------------


def odd_network(quirk: Quirk, registry: str, body: Json, verdict: Verdict) -> Json:
    """Return an "ip network" with an oddity; unchanged where it has none of that kind."""
    change = _RDAP.get(quirk)
    return change(registry, dict(body), verdict) if change is not None and not _nameless(quirk, verdict) else body


def _padded(registry: str, body: Json, verdict: Verdict) -> Json:
    for key in ("startAddress", "endAddress"):
        body[key] = _pad(body[key]).upper()
    return body


def _length_behind(registry: str, body: Json, verdict: Verdict) -> Json:
    body["startAddress"] += "/32" if body["ipVersion"] == "v4" else "/128"
    return body


def _echo(registry: str, body: Json, verdict: Verdict) -> Json:
    if registry == "lacnic":
        address = format_address(verdict.asked.family, verdict.asked.first)
        body.update(startAddress=address, endAddress=address, handle=address)
        body.pop("cidr0_cidrs", None)
    return body


def _nulls(registry: str, body: Json, verdict: Verdict) -> Json:
    return body | {"handle": None, "parentHandle": None, "entities": None, "remarks": None, "events": None}


def _bare(registry: str, body: Json, verdict: Verdict) -> Json:
    for key in ("objectClassName", "ipVersion", "cidr0_cidrs", "name", "country", "events", "port43", "status"):
        body.pop(key, None)
    return body


def _cidr0_only(registry: str, body: Json, verdict: Verdict) -> Json:
    for key in ("startAddress", "endAddress"):
        body.pop(key, None)
    body["cidr0_cidrs"] = body["cidr0_cidrs"][::-1]  # in no order either
    return body


def _lookalike(registry: str, body: Json, verdict: Verdict) -> Json:
    words = _lookalike_of(verdict)
    return body | {"name": words, "remarks": [{"title": "description", "description": [words]}]}


_RDAP: dict[Quirk, Callable[[str, Json, Verdict], Json]] = {
    Quirk.PADDED: _padded,
    Quirk.LENGTH_BEHIND: _length_behind,
    Quirk.ECHO: _echo,
    Quirk.NULLS: _nulls,
    Quirk.BARE: _bare,
    Quirk.CIDR0_ONLY: _cidr0_only,
    Quirk.LOOKALIKE: _lookalike,
}


# --- port 43 --------------------------------------------------------------------------------------------------------

_RANGE_LINE = re.compile(r"^(inetnum|inet6num|NetRange|CIDR):( *)(.*)$", re.MULTILINE)
_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}:[0-9a-fA-F:]+)(?![\w.:])")
_NAMES = {"arin": ("OrgName", "Comment"), "lacnic": ("owner",)}
_WHOLE = {"arin": ("NetRange", "CIDR", "NetHandle"), "lacnic": ("inetnum", "inet6num")}


def odd_text(quirk: Quirk, registry: str, text: str, verdict: Verdict) -> str:
    """Return an answer of port 43 that holds a network, with an oddity; unchanged where it has none of that kind."""
    if _nameless(quirk, verdict):
        return text
    match quirk:
        case Quirk.PADDED:
            return _RANGE_LINE.sub(
                lambda line: f"{line[1]}:{line[2]}{_ADDRESS.sub(lambda each: _pad(each[0]), line[3])}", text
            )
        case Quirk.LOOKALIKE:
            lines = "".join(f"{key}: {_lookalike_of(verdict)}\n" for key in _NAMES.get(registry, ("descr", "remarks")))
            return _RANGE_LINE.sub(lambda line: f"{line[0]}\n{lines.rstrip()}", text, count=1)
        case Quirk.BARE:
            kept = _WHOLE.get(registry, ("inetnum", "inet6num", "source"))
            return "".join(
                line
                for line in text.splitlines(keepends=True)
                if line[:1] in "%#\r\n" or line.partition(":")[0] in kept
            )
        case Quirk.ANCESTORS:
            return _ancestor(registry, verdict) + text
        case Quirk.OTHER_LINE_ENDS:
            return text.replace("\r\n", "\n") if "\r\n" in text else text.replace("\n", "\r\n")
    return text


def _ancestor(registry: str, verdict: Verdict) -> str:
    """Return the registry's own block around a network as an answer would have it; "" where IANA lists none."""
    block, words = verdict.delegated, WORDS[registry]
    if block is None or registry == "lacnic" or verdict.home != registry:
        return ""
    fields: tuple[tuple[str, str], ...]
    if registry == "arin":
        fields = (
            ("NetRange", names.span(block)),
            ("CIDR", ", ".join(block.cidrs())),
            ("NetName", f"NET{block.first >> 24}" if block.family == 4 else "NET6"),
            ("NetHandle", names.arin_handle(block, 0)),
            ("NetType", "Allocated to ARIN"),
            ("Organization", f"{words.full_name} ({words.arin_id})"),
        )
        return "\n".join([*arin_answers.TERMS, *names.attributes(fields), "", ""])
    fields = (
        ("inetnum" if block.family == 4 else "inet6num", names.range_handle(block)),
        ("netname", f"EU-ZZ-{block.first >> 24}" if registry == "ripencc" else f"{words.arin_id}-AP"),
        ("descr", words.full_name),
        ("country", words.country),
        ("status", "ALLOCATED UNSPECIFIED"),
        ("mnt-by", f"{words.arin_id}-HM"),
        ("source", words.source),
    )
    return "\n".join([*rpsl_answers.HEAD[registry], *names.attributes(fields), "", ""])


def _nameless(quirk: Quirk, verdict: Verdict) -> bool:
    """Tell whether an oddity would leave a whole block of IANA's without a holder: nobody could tell it from a pool."""
    found = verdict.row.range if verdict.row is not None else None
    if found is None or quirk not in (Quirk.BARE, Quirk.NULLS):
        return found is None
    return verdict.delegated is not None and found.contains(verdict.delegated)


def _lookalike_of(verdict: Verdict) -> str:
    return LOOKALIKES[(verdict.asked.first >> 8) % len(LOOKALIKES)]


def _pad(address: str) -> str:
    """Return an address with all its zeros."""
    if ":" not in address:
        return ".".join(octet.zfill(3) for octet in address.split("."))
    head, double, tail = address.partition("::")
    groups = [part.zfill(4) for part in head.split(":") if part]
    if not double:
        return ":".join(groups)
    return ":".join(groups) + "::" + ":".join(part.zfill(4) for part in tail.split(":") if part)
