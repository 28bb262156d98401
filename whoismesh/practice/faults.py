"""When a practice registry misbehaves: rate limits, latency and faults, decided without chance or clock (pure).

What happens to an answer follows from the seed, the registry, the protocol, the question, and how often it was asked
before. So a run with the same seed meets the same faults, whatever order the questions come in. The server
carries the decisions out.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from hashlib import blake2b

from whoismesh.errors import UsageError


class Fault(StrEnum):
    """Ways in which an answer goes wrong. The first five are the usual ones; the others come by name only."""

    ERROR = "error"  #: the server says that it failed: HTTP 500, %ERROR:100, an empty answer
    RESET = "reset"  #: the connection is reset instead of an answer
    CUT = "cut"  #: half an answer, then the end
    GARBAGE = "garbage"  #: bytes that are no answer
    SLOW = "slow"  #: a part of an answer, a long silence, then the end
    EMPTY = "empty"  #: nothing, in good order: HTTP 200 without a body, a connection closed without a word
    HTML = "html"  #: a web page, as load balancers and portals send it
    PARTIAL = "partial"  #: a part that says so (APNIC, AFRINIC, LACNIC), or ends in the middle
    MISPLACED = "misplaced"  #: the network of another address
    LOOP = "loop"  #: a redirect to itself; port 43 has none and closes the connection instead (%ERROR:305)
    CHAIN = "chain"  #: a redirect to another place at the same registry, and from there to the next
    ASTRAY = "astray"  #: a redirect to a registry that does not know either
    UNAVAILABLE = "unavailable"  #: HTTP 503 with a wait, or port 43's words for "too many at once"
    TRICKLE = "trickle"  #: the answer, a byte at a time
    FLOOD = "flood"  #: an answer of 100 MB
    BOMB = "bomb"  #: as much in a small gzip; at port 43, which has no compression, plain


#: What goes wrong unless it is told what else: each of these was met at real registries every day.
FAULTS = (Fault.ERROR, Fault.RESET, Fault.CUT, Fault.GARBAGE, Fault.SLOW)

#: Half of the latency is always there, half varies: distances do not change, queues do.
FIXED_SHARE_OF_LATENCY = 0.5

#: No answer waits longer than so many mean latencies: an exponential has no end, a test does.
MAX_LATENCIES = 8.0


class RetryAfter(StrEnum):
    """How a wait is told (RFC 9110 section 10.2.3), and how else servers do it."""

    SECONDS = "seconds"
    DATE = "date"
    ABSENT = "absent"
    ZERO = "zero"
    ABSURD = "absurd"  #: more seconds than there ever were

    def header(self, wait_s: float, now: float) -> str | None:
        """Return the header's value for a wait from `now` on, in seconds since 1970; None for no header.

        >>> RetryAfter.DATE.header(90, 1_795_327_200)
        'Sun, 22 Nov 2026 06:01:30 GMT'
        """
        match self:
            case RetryAfter.SECONDS:
                return str(max(1, math.ceil(wait_s)))
            case RetryAfter.DATE:
                return formatdate(math.ceil(now + wait_s), usegmt=True)
            case RetryAfter.ZERO:
                return "0"
            case RetryAfter.ABSURD:
                return "99999999999999999999"
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one answer: a delay before it, and a fault or none. `noise` seeds the garbage."""

    delay_s: float = 0.0
    fault: Fault | None = None
    noise: bytes = b""


#: What happens without latency and faults.
CALM = Decision()


@dataclass(frozen=True, slots=True)
class Weather:
    """How badly practice registries behave. Raises UsageError for impossible values.

    `latency_s` is the mean delay of an answer, `share` the part of the answers that go wrong (0 to 1) in one of the
    ways of `kinds`.
    """

    latency_s: float = 0.0
    share: float = 0.0
    seed: int = 0
    kinds: tuple[Fault, ...] = FAULTS

    def __post_init__(self) -> None:
        if not (math.isfinite(self.latency_s) and self.latency_s >= 0):
            raise UsageError(f"latency {self.latency_s} is impossible; expected seconds, 0 or more")
        if not 0 <= self.share <= 1:
            raise UsageError(f"share of faults {self.share} is impossible; expected 0 to 1")
        if not self.kinds:
            raise UsageError(f"no kind of fault is named; expected some of {', '.join(Fault)}")

    @property
    def calm(self) -> bool:
        """Tell whether nothing ever happens."""
        return not self.latency_s and not self.share

    def decide(self, registry: str, protocol: str, question: str, nth: int) -> Decision:
        """Return what happens to the nth answer (from 0) to a question.

        >>> Weather(share=1.0, seed=7).decide("arin", "rdap", "24.192.0.1", 0).fault
        <Fault.ERROR: 'error'>
        """
        if self.calm:
            return CALM
        key = f"{self.seed}|{registry}|{protocol}|{question}|{nth}"
        digest = blake2b(key.encode("utf-8", "replace"), digest_size=32).digest()
        # 2**64 is never reached, so the parts of chance are below 1 and 1 - part above 0.
        whether, which, wait = (int.from_bytes(digest[at : at + 8]) / 2**64 for at in (0, 8, 16))
        delay = 0.0
        if self.latency_s:
            varying = -math.log(max(1 - wait, 2**-53)) * (1 - FIXED_SHARE_OF_LATENCY)
            delay = self.latency_s * min(FIXED_SHARE_OF_LATENCY + varying, MAX_LATENCIES)
        fault = self.kinds[int(which * len(self.kinds)) % len(self.kinds)] if whether < self.share else None
        return Decision(delay, fault, digest)


class RateLimit:
    """How many lookups a second one client may make at one registry: a bucket that holds one second's worth.

    A bucket of one second lets a client pace itself at the limit without being refused for a jitter of its own; in any
    n seconds it never gets more than (n + 1) seconds' worth, and at least one lookup. Refused lookups cost nothing, but
    a client that was refused `ban_after` times within BAN_S is banned for good.
    """

    #: The time in which refusals add up, seconds.
    BAN_S = 60.0

    #: Forget idle clients from this count on: a full bucket says the same as none.
    MAX_CLIENTS = 10_000

    def __init__(self, rate: float | None, ban_after: int | None = None) -> None:
        """Set the limits: lookups a second, and refusals; None is no limit. Raises UsageError unless above 0."""
        if rate is not None and not rate > 0:
            raise UsageError(f"rate limit {rate} is impossible; expected lookups a second, above 0")
        if ban_after is not None and ban_after < 1:
            raise UsageError(f"a ban after {ban_after} refusals is impossible; expected 1 or more")
        self.rate = rate
        self.ban_after = ban_after
        self.banned: set[tuple[str, str]] = set()
        self._refusals: dict[tuple[str, str], deque[float]] = {}
        self._holds = max(1.0, rate or 0.0)
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def ask(self, registry: str, client: str, now: float) -> float:
        """Take one lookup at monotonic time `now`; returns 0, the seconds until the next is free, or inf (banned)."""
        key = (registry, client)
        if key in self.banned:
            return math.inf
        if self.rate is None or math.isinf(self.rate):
            return 0.0
        tokens, since = self._buckets.get(key, (self._holds, now))
        tokens = min(self._holds, tokens + (now - since) * self.rate)
        if tokens < 1.0:
            self._buckets[key] = (tokens, now)
            return math.inf if self._refuse(key, now) else (1.0 - tokens) / self.rate
        if len(self._buckets) >= self.MAX_CLIENTS and key not in self._buckets:
            self._forget_idle(now)
        self._buckets[key] = (tokens - 1.0, now)
        return 0.0

    def _refuse(self, key: tuple[str, str], now: float) -> bool:
        """Count a refusal; tell whether it was the last one."""
        if self.ban_after is None:
            return False
        times = self._refusals.setdefault(key, deque(maxlen=self.ban_after))
        times.append(now)
        if len(times) < self.ban_after or times[0] < now - self.BAN_S:
            return False
        self.banned.add(key)
        return True

    def _forget_idle(self, now: float) -> None:
        rate = self.rate or 0.0
        full = [key for key, (tokens, at) in self._buckets.items() if tokens + (now - at) * rate >= self._holds]
        for key in full:
            del self._buckets[key]
            self._refusals.pop(key, None)
