"""The texts by which registries say "slow down", "go away", "not found" and "not mine".

Each is matched at the start of a line only, after an optional carriage return, and only in the answers of the
registry that sends it: what holders write stands behind an attribute name, so a company called "Query rate limit
exceeded Ltd" is no limit. Nothing here raises, and every pattern is linear.

Sources, read in November 2026:
- RIPE NCC: RIPE-NCC/whois, QueryMessages.java and IpBlockListFilter; the block lifts at midnight UTC (RIPE Database
  documentation, "Access to personal data").
- APNIC: APNIC-net/whois, QueryMessagesMap.java. AFRINIC runs the same family of servers; a temporary block
  there lasts up to 24 h (its FAQ, "daily whois query limit").
- LACNIC and registro.br: the parsers of rfc1036/whois and Net::Whois::IANA.
- ARIN: the "No match found" text of its server; the other two from the matchers of clients.
docs/registries.md has each text with its class and its test.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import islice

from whoismesh.answers.outcome import Status

_DAY_S = 86_400.0

#: No wait is believed beyond this: a registry that means longer says so again.
MAX_WAIT_S = _DAY_S


@dataclass(frozen=True, slots=True)
class Signal:
    """What a text says about the asker or the address, whatever else the answer holds; fields as in `Answer`."""

    status: Status
    reason: str
    retry_after_s: float | None = None
    transient: bool = False
    host_only: bool = False


# Which of several signals in one answer counts, and whether a registration in the same answer outweighs it.
_SEVERITY = (
    Status.BANNED,
    Status.LIMITED,
    Status.TRUNCATED,
    Status.ELSEWHERE,
    Status.FAILED,
    Status.UNALLOCATED,
)

#: Signals looked at in one answer; real ones hold one or two.
_MAX_SIGNALS = 64

_RIPE_LIKE = ("ripencc", "apnic", "afrinic")

_ERROR = re.compile(r"^\r?%ERROR:(\d{3})\b.*", re.MULTILINE | re.ASCII)
_BLOCKED_HOST = re.compile(r"^\r?Your host \S{1,80} has been blocked\b", re.MULTILINE)
_LACNIC = re.compile(
    r"^\r?% ?(?:"
    r"(?P<reduced>Query rate limit exceeded\. Reduced information)"
    r"|(?P<limit>Query rate limit exceeded|(?P<connections>Maximum concurrent connections limit exceeded))"
    # "ã" can arrive as one character, or as two where UTF-8 was mixed with other bytes.
    r"|(?P<denied>Permission denied\.|Permiss.{1,2}o negada\.)"
    r"|(?P<foreign>Not assigned to LACNIC)"
    r"|(?P<free>Unallocated and unassigned in LACNIC block))",
    re.MULTILINE | re.IGNORECASE,
)
_LACNIC_RESOURCE = re.compile(r"^\r?% (\S{1,40}) resource: (\S{1,80})", re.MULTILINE)
_BLOCKED_FOR = re.compile(r"\bblocked for (\d{1,9}) seconds", re.ASCII)
_ARIN = re.compile(
    r"^\r?(?:(?P<limit>Unable to service request due to high volume|#201\b)|(?P<free>No match found for ))",
    re.MULTILINE,
)

#: How the reason begins where a server refuses a search: RIPE NCC's for -m and -M of very large ranges.
UNSUPPORTED = "%ERROR:112:"

# The numbered errors that mean the same at all three, 1xx for the query and 2xx, 3xx for the asker.
_ERRORS = {
    "100": (Status.FAILED, True, "internal software error"),
    "101": (Status.UNALLOCATED, False, "no entries found"),
    "112": (Status.FAILED, False, "unsupported query"),
    "202": (Status.LIMITED, True, "access control limit reached"),
    "203": (Status.FAILED, False, "not allowed to act as a proxy"),
    "305": (Status.FAILED, True, "connection has been closed"),
    "306": (Status.LIMITED, True, "too many connections at once"),
}


def find_signal(registry: str, text: str, now: float) -> Signal | None:
    """Return the gravest signal in a port-43 answer, or None. `now` is when it came, in seconds since 1970, UTC."""
    if registry == "lacnic":
        found = [_lacnic(match, text) for match in islice(_LACNIC.finditer(text), _MAX_SIGNALS)]
    elif registry == "arin":
        found = [
            Signal(Status.LIMITED, "the registry is too busy for us", transient=True)
            if match["limit"]
            else Signal(Status.UNALLOCATED, "no match found")
            for match in islice(_ARIN.finditer(text), _MAX_SIGNALS)
        ]
    elif registry in _RIPE_LIKE:
        found = [_numbered(registry, match, text, now) for match in islice(_ERROR.finditer(text), _MAX_SIGNALS)]
        if registry == "ripencc" and _BLOCKED_HOST.search(text):
            found.append(Signal(Status.BANNED, "this host has been blocked; contact the registry's support"))
    else:
        found = []
    return min(found, key=lambda signal: _SEVERITY.index(signal.status), default=None)


def foreign_resource(text: str) -> str | None:
    """Return the WHOIS host that LACNIC's joint service names as the keeper of a resource not its own, or None.

    Its answers say `% LACNIC resource: whois.lacnic.net` or `% Brazilian resource: whois.registro.br` for its own.
    """
    match = _LACNIC_RESOURCE.search(text)
    if match is None or match[1].lower().startswith(("lacnic", "brazil")):
        return None
    return match[2]


def refusal(registry: str, text: str, now: float) -> Signal | None:
    """Tell from the body of an HTTP 403 or 429 whether the host is banned, or limited for a time that it names.

    The servers of RIPE NCC's family put the words of port 43 into it. None where there are none.
    """
    signal = find_signal(registry, text, now)
    return signal if signal is not None and signal.status in (Status.BANNED, Status.LIMITED) else None


def forbidden(registry: str, text: str, now: float) -> Signal:
    """Tell what an HTTP 403 means by the words in its body: a ban where it speaks of one, else a limit.

    The bodies are HTML of load balancers or plain text and follow no standard, so the words are looked for anywhere.
    """
    if said := refusal(registry, text, now):
        return said
    words = text[:8192].casefold()
    if any(word in words for word in ("permanently", "has been blocked", "banned", "repeated excessive", "blacklist")):
        return Signal(Status.BANNED, "HTTP 403: this host is refused")
    return Signal(Status.LIMITED, "HTTP 403: refused, taken as a limit", transient=True)


def _lacnic(match: re.Match[str], text: str) -> Signal:
    if match["reduced"]:
        return Signal(Status.TRUNCATED, "query rate limit exceeded, reduced information", transient=True)
    if match["limit"]:
        blocked = _BLOCKED_FOR.search(_paragraph(text, match.start()))
        wait = min(float(blocked[1]), MAX_WAIT_S) if blocked else None
        return Signal(Status.LIMITED, match["limit"].lower(), wait, True, host_only=bool(match["connections"]))
    if match["denied"]:
        return Signal(Status.BANNED, "permission denied")
    if match["foreign"]:
        return Signal(Status.ELSEWHERE, "not assigned to LACNIC")
    return Signal(Status.UNALLOCATED, "unallocated and unassigned in LACNIC block")


def _numbered(registry: str, match: re.Match[str], text: str, now: float) -> Signal:
    number = match[1]
    if number != "201":
        status, transient, reason = _ERRORS.get(number, (Status.FAILED, number >= "300", match[0].strip()[:200]))
        # The connections of this host are nobody else's business; what 202 counts may be.
        return Signal(status, f"%ERROR:{number}: {reason}", transient=transient, host_only=number == "306")
    words = _paragraph(text, match.start())
    if "access control limit reached" in words and "truncated" in words:  # APNIC: a part of the answer, no ban
        return Signal(Status.TRUNCATED, "%ERROR:201: too many objects, output has been truncated", transient=True)
    if "permanently" in words or "repeated" in words:
        return Signal(Status.BANNED, "%ERROR:201: access denied for good")
    if "daily limit" in words or registry == "ripencc":
        return Signal(
            Status.LIMITED, "%ERROR:201: access denied until the block lifts", _until_lifted(registry, now), True
        )
    if "access denied" in words:  # APNIC's text without a limit is its permanent one
        return Signal(Status.BANNED, "%ERROR:201: access denied")
    return Signal(Status.LIMITED, "%ERROR:201: access control limit reached", transient=True)


def _paragraph(text: str, start: int) -> str:
    """Return the comment lines from `start` on, in lower case: the explanation follows the number's line."""
    lines = []
    for line in text[start : start + 2000].split("\n"):
        line = line.strip("\r")
        if line and not line.startswith("%"):
            break
        lines.append(line)
    return "\n".join(lines).lower()


def _until_lifted(registry: str, now: float) -> float | None:
    if registry == "ripencc":
        return _DAY_S - now % _DAY_S if math.isfinite(now) else None
    return _DAY_S if registry == "afrinic" else None
