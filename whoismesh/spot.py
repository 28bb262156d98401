"""Spot hosts: from what the instance metadata service says to what a worker does about it.

EC2 tells a spot instance of its end two minutes before it (an interruption notice), and perhaps earlier that the end
has become likely (a rebalance recommendation), both at the instance metadata service, IMDSv2: a token is fetched by PUT
and shown with each GET, and 404 means that there is nothing to say. "Instance metadata" and "Spot Instance interruption
notices" in the EC2 User Guide.

Rules of this file:
- A notice is one only if it is complete: whatever else comes makes no worker stop.
- That the service cannot be asked is told when it begins and when it ends, and changes nothing.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass

#: The service is asked this often, seconds: what the EC2 User Guide recommends.
ASK_S = 5.0
#: A token is asked for as long as there are (six hours), and no longer used in its last minute, seconds.
TOKEN_TTL_S, TOKEN_MARGIN_S = 21_600, 60.0
#: More than a token or a notice can have, bytes.
MOST_BODY_BYTES = 4096

TOKEN = "/latest/api/token"  # noqa: S105 - a path, no secret
INSTANCE_ACTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"
TTL_HEADER, TOKEN_HEADER = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"

#: What may become of the instance (instance-action's `action`).
ACTIONS = ("terminate", "stop", "hibernate")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z")
_TOKEN = re.compile(rb"[\x21-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Replied:
    """The service answered the last Fetch; `body` may be cut after MOST_BODY_BYTES and one."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The last Fetch got no answer."""

    reason: str


Event = Tick | Replied | Broken


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the service for a path. One at a time."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rebalance:
    """The end of this host has become likely: begin nothing new. `notice_time` is the service's clock, RFC 3339."""

    notice_time: str


@dataclass(frozen=True, slots=True)
class Interruption:
    """The host ends at `time` (the service's clock, RFC 3339), two minutes after the notice: be gone by then."""

    action: str
    time: str


@dataclass(frozen=True, slots=True)
class Away:
    """From now on the service cannot be asked."""

    reason: str


@dataclass(frozen=True, slots=True)
class Back:
    """The service can be asked again."""


Instruction = Fetch | Rebalance | Interruption | Away | Back


class SpotWatch:
    """The engine: when to ask for what, and what the answers mean. `counters` counts what went wrong, by kind."""

    def __init__(self) -> None:
        #: When a Tick is due; inf once the end is known.
        self.wake_at = 0.0
        self.counters: Counter[str] = Counter()
        self._token = ""
        self._token_until = -math.inf
        self._asked = self._wanted = ""
        self._renewed = False
        self._is_away = False
        self._rebalance_known = False

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take in one event at a point of the monotonic clock; return what to do, in order, a Fetch last."""
        match event:
            case Tick():
                if self._asked or now < self.wake_at:
                    return []
                self.wake_at = now + ASK_S
                self._renewed = False
                return [self._fetch(INSTANCE_ACTION, now)]
            case Broken(reason):
                return self._trouble("no_answer", reason)
            case Replied(status, body):
                return self._replied(status, body, now)

    def _replied(self, status: int, body: bytes, now: float) -> list[Instruction]:
        asked = self._asked
        if status == 401 and asked != TOKEN and not self._renewed:
            self._token_until = -math.inf
            return [self._fetch(asked, now)]
        if status == 200 and asked == TOKEN:
            if not _TOKEN.fullmatch(body):
                return self._trouble("not_understood", "the token is none")
            self._token, self._token_until = body.decode(), now + TOKEN_TTL_S - TOKEN_MARGIN_S
            return [self._fetch(self._wanted, now)]
        if status not in (200, 404) or asked == TOKEN:
            return self._trouble(f"status_{status}", f"{asked} answered {status}")
        notice = _notice(asked, body) if status == 200 else None
        if status == 200 and notice is None:
            return self._trouble("not_understood", f"{asked} answered {body[:80]!r}")
        if isinstance(notice, Interruption):
            self._asked, self.wake_at = "", math.inf
            return [notice]
        if asked == INSTANCE_ACTION and not self._rebalance_known:
            return [self._fetch(REBALANCE, now)]
        out: list[Instruction] = [Back()] if self._is_away else []
        self._asked, self._is_away = "", False
        if notice is not None:
            self._rebalance_known = True
            out.append(notice)
        return out

    def _fetch(self, path: str, now: float) -> Fetch:
        """Return the question for a path, or for the token that it needs first."""
        if now < self._token_until:
            self._asked = path
            return Fetch("GET", path, ((TOKEN_HEADER, self._token),))
        self._asked, self._wanted, self._renewed = TOKEN, path, True
        return Fetch("PUT", TOKEN, ((TTL_HEADER, str(TOKEN_TTL_S)),))

    def _trouble(self, kind: str, reason: str) -> list[Instruction]:
        self._asked = ""
        self.counters[kind] += 1
        if self._is_away:
            return []
        self._is_away = True
        return [Away(reason)]


def _notice(asked: str, body: bytes) -> Rebalance | Interruption | None:
    """Read a notice, or return None if it is not complete."""
    if len(body) > MOST_BODY_BYTES:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    when = found.get("noticeTime" if asked == REBALANCE else "time")
    if not isinstance(when, str) or not _TIME.fullmatch(when):
        return None
    if asked == REBALANCE:
        return Rebalance(when)
    action = found.get("action")
    return Interruption(action, when) if action in ACTIONS else None
