"""The listener's engine: what the coordinator says in, what to ask and to tell out.

Rules of this file:
- Subscribe first, then ask for the past: the first frame that is heard proves that the subscription is in force, and
names the crawl. What is missing before it is a hole in the accepted log like any other, and is repaired like one.
- Something is asked only when something was heard: requests to a coordinator that is away would gather, and be
answered all at once when it is back.
- One crawl: frames of another one mean that the coordinator's state was replaced. Their numbers have nothing to do with
ours, so nothing of them is taken in; the program is told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whoismesh.checks import MAX_COUNT
from whoismesh.gossip.exchange import TIMEOUT_S
from whoismesh.gossip.logs import MOST_CREDIT_BYTES
from whoismesh.gossip.replica import Replica
from whoismesh.history import History, Joined, Left, Member
from whoismesh.messages import Digest, Discovered, Feed, Sent

#: A member that the coordinator's status does not name for so long is lost, seconds. A restarted coordinator has no
#: members until its workers come back (sockets.RECONNECT_MOST_MS and a round trip).
MISSING_S = 10.0
#: A coordinator tells its status twice a second. After this silence the sockets are opened anew, seconds: a SUB socket
#: that met an over-long frame is deaf for good, and a name may mean another address by now.
REOPEN_S = 20.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A message came in, on whichever socket."""

    message: Discovered | Sent | Feed


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = Heard | Tick


@dataclass(frozen=True, slots=True)
class Opened:
    """The coordinator was heard for the first time: it is there, and this is its crawl."""

    crawl: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this to the coordinator's ROUTER of exchanges."""

    request: Digest


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """All that was accepted before this listener joined is known now. Comes once."""


@dataclass(frozen=True, slots=True)
class Wake:
    """There is something to read: events, blocks, or the end of the crawl."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """At that place another crawl goes on now. Comes once; what follows is ignored."""

    crawl: bytes


@dataclass(frozen=True, slots=True)
class Reopen:
    """Close the sockets and open them anew."""


Instruction = Opened | Ask | CaughtUp | Wake | Replaced | Reopen


class Listener:
    """The engine. `max_events` joins and leaves are kept for a program that does not read them."""

    def __init__(self, max_events: int) -> None:
        self.crawl = b""
        self.replica = Replica()
        self.history = History(self.replica.table, max_events)
        self.members: dict[int, Member] = {}
        self.counters: Counter[str] = Counter()
        #: Whether the accepted log as of joining is here.
        self.caught_up = False
        #: How long the accepted log was when last heard of.
        self.log_length = 0
        self._all_settled = False
        self._target: int | None = None
        self._replaced = False
        self._missing: dict[int, float] = {}
        # When the question that is not answered to its end yet was asked, or a part of the answer came.
        self._asked_at: float | None = None
        #: When the coordinator was last heard, None for never.
        self.heard_at: float | None = None
        self._quiet_since: float | None = None

    @property
    def complete(self) -> bool:
        """Whether every address of the space is settled, and all that was found is here."""
        return self._all_settled and self.replica.accepted >= self.log_length

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take in one event at a point of the monotonic clock; return what to do, in order."""
        if self._replaced:
            return []
        match event:
            case Heard(message):
                return self._heard(message, now)
            case Tick():
                if self._quiet_since is None:
                    self._quiet_since = now
                if now - self._quiet_since < REOPEN_S:
                    return []
                self._quiet_since = now
                return [Reopen()]

    def _heard(self, message: Discovered | Sent | Feed, now: float) -> list[Instruction]:
        if not message.crawl:
            self.counters["frames_unexpected"] += 1
            return []
        out: list[Instruction] = []
        if not self.crawl:
            self.crawl = message.crawl
            out.append(Opened(self.crawl))
        elif message.crawl != self.crawl:
            self._replaced = True
            return [Replaced(message.crawl)]
        self.heard_at = self._quiet_since = now
        events, blocks, complete = self.history.end, len(self.replica.table), self.complete
        match message:
            case Discovered(runs=runs):
                accepted = self.replica.accepted
                for run in runs:
                    self.replica.apply(run, now)
                    if run.origin == 0:
                        self.log_length = max(self.log_length, run.last)
                if self.replica.accepted > accepted and self._asked_at is not None:
                    self._asked_at = now
            case Sent(more=True, busy=False):
                self._asked_at = None
            case Feed():
                self._feed(message, now)
        if not self.caught_up and self._target is not None and self.replica.accepted >= self._target:
            self.caught_up = True
            out.append(CaughtUp())
        if (events, blocks, complete) != (self.history.end, len(self.replica.table), self.complete):
            out.append(Wake())
        return out + self._ask(now)

    def _ask(self, now: float) -> list[Instruction]:
        """Ask for what is missing of the accepted log, but not for what is still on its way."""
        if self.replica.accepted >= self.log_length:
            self._asked_at = None
            return []
        if self._asked_at is not None and now - self._asked_at < TIMEOUT_S:
            return []
        self._asked_at = now
        return [Ask(Digest(self.crawl, self.replica.accepted, {}, None, MOST_CREDIT_BYTES))]

    # -- the feed -----------------------------------------------------------------------------------------------

    def _feed(self, feed: Feed, now: float) -> None:
        try:
            payload = json.loads(feed.payload)
            if feed.topic == "status":
                self._status(payload, now)
            elif feed.topic == "event":
                self._event(payload)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self.counters["frames_unexpected"] += 1

    def _event(self, payload: Mapping[str, Any]) -> None:
        match payload["event"]:
            case "worker_joined":
                self._join(_member(payload))
            case "worker_left":
                self._lose(_member(payload).origin, "left")
            case "worker_lost":
                self._lose(_member(payload).origin, "lost")

    def _status(self, payload: Mapping[str, Any], now: float) -> None:
        length, members = _count(payload["accepted"]), _count(payload["members"])
        complete = payload["complete"] is True
        rows = payload["workers"]
        present = {member.origin: member for member in map(_member, rows)}
        self.log_length = max(self.log_length, length)
        self._all_settled = complete
        if self._target is None:
            self._target = self.log_length
        for member in present.values():
            self._missing.pop(member.origin, None)
            self._join(member)
        if len(rows) < members:
            return  # with as many as there are rows for it says nothing of who is not in it
        for origin in self.members.keys() - present.keys():
            if now - self._missing.setdefault(origin, now) >= MISSING_S:
                self._lose(origin, "lost")

    def _join(self, member: Member) -> None:
        if member.origin not in self.members:
            self.members[member.origin] = member
            self.history.note(Joined(member))

    def _lose(self, origin: int, how: str) -> None:
        self._missing.pop(origin, None)
        member = self.members.pop(origin, None)
        if member is not None:
            self.history.note(Left(member, how))


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(value)
    return value


def _member(row: Any) -> Member:
    if type(row["host"]) is not str:
        raise ValueError(row)
    return Member(_count(row["origin"]), row["host"])
