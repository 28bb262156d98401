"""What one object of a bulk file means: a network, or why it is none. The judgement is that of live answers.

ipwhois is left out here: it takes half a millisecond an object, and these files have millions. Tests hold the two
readings together.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from whoismesh.addresses import Range
from whoismesh.answers.outcome import Reply, Status
from whoismesh.answers.ranges import read_range
from whoismesh.answers.rpsl import ORGANISATION, read_fields, read_object
from whoismesh.answers.verdict import judge, seems_ordinary
from whoismesh.networks import Network
from whoismesh.rangesets import RangeSet

#: The registry whose database an object is of, by its `source:`. Mirrors (APNIC-GRS) and others' data are not taken.
SOURCES = {"RIPE": "ripencc", "APNIC": "apnic", "AFRINIC": "afrinic", "LACNIC": "lacnic"}

_CLASSES = (b"inetnum", b"inet6num")
_ORGANISATION = ORGANISATION.encode()
_COMMENTS = (b"%", b"#")
_SOURCE = b"\nsource:"
_OCTETS = rb"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})"
_USUAL = re.compile(rb" *" + _OCTETS + rb" - " + _OCTETS + rb" *")


class Skipped(StrEnum):
    """Why an object is not taken."""

    OTHER_CLASS = "other_class"  #: a route, a person, a domain
    COMMENT = "comment"  #: nothing but lines that begin with % or #
    OUTSIDE = "outside"  #: not in the space of the crawl
    PLACEHOLDER = "placeholder"  #: stands for "we do not manage this"
    ELSEWHERE = "elsewhere"  #: another registry's, as the stub of what was transferred
    POOL = "pool"  #: the registry's own block
    OTHER_SOURCE = "other_source"  #: not of one of the registries' own databases
    MALFORMED = "malformed"  #: cannot be read, or cannot be true
    NESTED = "nested"  #: inside of another registration: an assignment of its holder
    REPEATED = "repeated"  #: the same range once more
    KNOWN = "known"  #: settled before the import


_OF_STATUS = {
    Status.PLACEHOLDER: Skipped.PLACEHOLDER,
    Status.ELSEWHERE: Skipped.ELSEWHERE,
    Status.POOL: Skipped.POOL,
}


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation object: what `org:` of a network stands for."""

    handle: str
    name: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """An object that is no network for us. `reason` is for people, and only where it is malformed."""

    why: Skipped
    reason: str = ""


def organisation_of(data: bytes) -> Organisation | None:
    """Return the organisation that an object is, or None."""
    if data[: len(_ORGANISATION)].lower() != _ORGANISATION:
        return None
    key, fields = read_fields("", data)
    name = fields.get("org-name")
    return Organisation(fields[key][0].strip().upper(), name[0].strip()) if key == ORGANISATION and name else None


def nobody(handle: str) -> str | None:
    """Return no name, whatever the handle: the organisations are not known."""
    return None


def candidate_of(data: bytes, space: RangeSet) -> tuple[str, Range] | NotTaken | None:
    """Return registry and range of an object that seems to be a network of the space, or why it is not taken.

    None is a mere comment. `network_of` has the last word; this one looks no further than it has to.
    """
    seen = _registration(data, space)
    if not isinstance(seen, _Seen):
        return seen
    if seems_ordinary(seen.range, seen.data):
        return seen.registry, seen.range
    found = _judged(seen, "", 0.0, nobody)
    return (found.registry, found.range) if isinstance(found, Network) else found


def network_of(
    data: bytes, space: RangeSet, file: str, fetched_at: float, name_of: Callable[[str], str | None]
) -> Network | NotTaken | None:
    """Return what an object is: a network that meets the space, or why it is not taken; None for a mere comment.

    `file` is named in the record as who answered, `fetched_at` (seconds since 1970) is the file's age; `name_of` the
    handle of an organisation in capitals is what it is called.
    """
    seen = _registration(data, space)
    return _judged(seen, file, fetched_at, name_of) if isinstance(seen, _Seen) else seen


@dataclass(frozen=True, slots=True)
class _Seen:
    """A registration at first sight: whose it is, its range, and its bytes without comments before it."""

    registry: str
    range: Range
    data: bytes


def _registration(data: bytes, space: RangeSet) -> _Seen | NotTaken | None:
    if data.startswith(_COMMENTS):
        data = _without_comments(data)
        if not data:
            return None
    key, colon, rest = data.partition(b":")
    if not colon:
        return NotTaken(Skipped.MALFORMED, f"expected `class: value`, got {data[:40].decode('latin-1')!r}")
    if key not in _CLASSES and key.lower() not in _CLASSES:
        return NotTaken(Skipped.OTHER_CLASS)
    value = rest.partition(b"\n")[0]
    found = _range(value)
    if found is None:
        return NotTaken(Skipped.MALFORMED, f"expected a range, got {value.strip()[:60].decode('latin-1')!r}")
    if not space.meets(found):
        return NotTaken(Skipped.OUTSIDE)
    source = _source(data)
    if source is None:
        return NotTaken(Skipped.MALFORMED, f"{found} has no source: its end is missing")
    registry = SOURCES.get(source)
    return _Seen(registry, found, data) if registry is not None else NotTaken(Skipped.OTHER_SOURCE)


def _judged(seen: _Seen, file: str, fetched_at: float, name_of: Callable[[str], str | None]) -> Network | NotTaken:
    _, fields = read_fields(seen.registry, seen.data)
    registration = read_object(seen.registry, seen.range, fields, name_of)
    reply = Reply(seen.registry, "bulk", seen.range.family, seen.range.first, b"", file, fetched_at)
    answer = judge(reply, registration)
    if answer.network is not None:
        return answer.network
    why = _OF_STATUS.get(answer.status, Skipped.MALFORMED)
    return NotTaken(why, answer.reason if why is Skipped.MALFORMED else "")


def _range(value: bytes) -> Range | None:
    """Read a range, the usual form without a detour."""
    if match := _USUAL.fullmatch(value):
        a, b, c, d, e, f, g, h = map(int, match.groups())
        if max(a, b, c, d, e, f, g, h) < 256:
            first, last = a << 24 | b << 16 | c << 8 | d, e << 24 | f << 16 | g << 8 | h
            return Range(4, first, last) if first <= last else None
    return read_range(value.partition(b"#")[0].decode("latin-1"))


def _source(data: bytes) -> str | None:
    at = data.rfind(_SOURCE)
    if at < 0:
        return None
    value = data[at + len(_SOURCE) :].partition(b"\n")[0].partition(b"#")[0]
    return value.strip().upper().decode("latin-1")


def _without_comments(data: bytes) -> bytes:
    """Return an object from its first line on that is none of a comment."""
    lines = data.split(b"\n")
    while lines and (not lines[0] or lines[0].startswith(_COMMENTS)):
        lines.pop(0)
    return b"\n".join(lines)
