"""What can happen to a coordinator, and what its engine tells it to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whoismesh.addresses import Range
from whoismesh.compounds import Result
from whoismesh.gossip.events import Exchanged
from whoismesh.messages import Discovered, Members, Message, Metrics, Results


@dataclass(frozen=True, slots=True)
class Received:
    """A message came in over the lease channel from the peer with that routing id.

    `key` is the public key (Z85) that the connection proved, empty where there are no keys.
    """

    sender: bytes
    message: Message
    key: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """A message came in over PULL. `key` as in Received."""

    message: Results | Metrics
    key: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A node says something in an exchange that it began."""

    sender: bytes
    message: Exchanged


@dataclass(frozen=True, slots=True)
class Stored:
    """These results are on disk now, in this order."""

    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Import:
    """A part of the bulk files was read: networks as (registry, range, packed record); `progress` is for people.

    `inside` has, by a network's range, those that lie in it: they settle nothing.
    """

    networks: tuple[tuple[str, Range, bytes], ...]
    progress: Mapping[str, Any]
    inside: Mapping[Range, tuple[tuple[str, Range, bytes], ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Imported:
    """A bulk file was read to its end, and all that it held was given; `digest` names its content."""

    digest: str
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ImportOver:
    """All bulk files were read: lend."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = Received | Collected | Asked | Stored | Import | Imported | ImportOver | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message over the lease channel."""

    to: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a node in an exchange."""

    to: bytes
    message: Exchanged


@dataclass(frozen=True, slots=True)
class Store:
    """Put results on disk, then say Stored. Nothing is settled or acknowledged before."""

    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class StoreCounters:
    """Put a worker's counters on disk with the next results; the newest per origin counts."""

    origin: int
    host: str
    counters: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell every node."""

    message: Discovered | Members


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line in the log and in the feed of events. `level` is that of the log."""

    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Finish:
    """The crawl is over: `complete` (all settled), or nothing more can be done now for `reason`."""

    complete: bool
    reason: str = ""


Instruction = Send | Reply | Store | StoreCounters | Publish | Note | Finish
