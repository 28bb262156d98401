"""The words of a lookup's outcome: what came over the wire, and what it means.

`Reply` is the bytes and their circumstances, `Answer` is what they mean. `Status` is a closed set: every reply means
exactly one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from whoismesh.addresses import Range
from whoismesh.networks import Network


class Status(StrEnum):
    """What a reply means for the address that was asked."""

    NETWORK = "network"  #: the registration that holds the address
    UNALLOCATED = "unallocated"  #: the registry knows of no registration
    ELSEWHERE = "elsewhere"  #: another registry (or, where the answer does not say, some other) knows
    PLACEHOLDER = "placeholder"  #: an object that stands for "we do not manage this"
    POOL = "pool"  #: the registry's own block as IANA gave it: nobody holds it yet
    LIMITED = "limited"  #: too fast: slow down and come back
    BANNED = "banned"  #: this host is refused for good, or until a person mends it
    TRUNCATED = "truncated"  #: a part of an answer: ask again
    FAILED = "failed"  #: no answer: network trouble, a server's error
    MALFORMED = "malformed"  #: an answer that makes no sense


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one lookup, before it is understood.

    `address` is the integer asked for, `http_status` and `headers` (lower-case names) are for RDAP only, `server` is
    the host or URL that answered, `fetched_at` seconds since 1970 in UTC. `url` is what was asked of it where that is
    not the address alone, after a redirect.
    """

    registry: str
    protocol: str
    family: int
    address: int
    body: bytes
    server: str
    fetched_at: float
    http_status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply means.

    `network` is set for NETWORK, for TRUNCATED where a part can be kept, and for FAILED where a protocol that cannot
    tell the range tells the rest (its range is the address asked then, and no network's). `elsewhere` names the
    registry that knows, for ELSEWHERE; None where the answer does not say which; where it names the registry that was
    asked, `url` is the address to ask there next (a redirect within one registry). `retry_after_s` is the wait a
    LIMITED reply demands, None if it names none; `host_only` tells that it speaks of this host's connections and not of
    anybody's pace. `transient` says that asking again may help. `reason` is one line for people and the dump.

    `around` are wider networks that stand in the same answer (ARIN's port 43). `relations` are the URLs of an answer's
    relation searches (RFC 9910) by their rel, "rdap-up" and "rdap-down"; None where the server offers none.
    """

    status: Status
    network: Network | None = None
    elsewhere: str | None = None
    url: str | None = None
    retry_after_s: float | None = None
    host_only: bool = False
    transient: bool = False
    reason: str = ""
    around: tuple[Network, ...] = ()
    relations: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What an answer that may hold many networks means: those below a range, or those around it.

    `networks` are holders' registrations, each once. `whole` tells that none is missing: not where a registry cut the
    list. `dropped` counts entries that make no sense. `too_wide` says that the range is more than the server answers
    for, `unsupported` that it does not know this kind of question. `failure` is set where the answer is no list: as
    for a lookup, it is LIMITED, BANNED, FAILED or MALFORMED. `relations` are those of the networks (see `Answer`).
    """

    networks: tuple[Network, ...] = ()
    whole: bool = True
    dropped: int = 0
    too_wide: bool = False
    unsupported: bool = False
    failure: Answer | None = None
    relations: Mapping[Range, Mapping[str, str]] = field(default_factory=dict)
