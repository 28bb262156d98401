"""What is sent when an answer goes wrong, as far as the bytes tell; what the connection does is in `wire` (pure)."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from whoismesh.practice import rdap_answers, rpsl_answers, whois_answers
from whoismesh.practice.faults import Decision, Fault
from whoismesh.practice.wire import FLOOD_BYTES, Delivery, RdapReply
from whoismesh.registries import REGISTRIES

HTML = (
    "<!DOCTYPE html>\n<html><head><title>Service Temporarily Unavailable</title></head>\n"
    "<body><h1>Sorry</h1><p>The page you are looking for is temporarily unavailable.</p></body></html>\n"
)
_JSON = "Content-Type: application/rdap+json\r\n"


def bad_rdap(
    decision: Decision, registry: str, text: str, urls: Mapping[str, str], retry_after: str | None
) -> RdapReply | None:
    """Return what comes instead of an answer to `ip/{text}`; None where that is sent, more or less of it.

    `urls` are the registries' base URLs, `retry_after` is the value of that header where a wait is asked for.
    """
    url = f"{urls[registry]}ip/{text}"
    match decision.fault:
        case Fault.ERROR:
            return rdap_answers.as_reply(rdap_answers.server_error(registry), decision)
        case Fault.GARBAGE:
            return RdapReply(200, _JSON, decision.noise * 8, decision)
        case Fault.EMPTY:
            return RdapReply(200, _JSON, b"", decision)
        case Fault.HTML:
            return RdapReply(200, "Content-Type: text/html\r\n", HTML.encode(), decision)
        case Fault.LOOP:
            return RdapReply(302, f"Location: {url}\r\n", b"", decision)
        case Fault.CHAIN:
            return RdapReply(302, f"Location: {url}?{decision.noise[:4].hex()}\r\n", b"", decision)
        case Fault.ASTRAY:
            other = REGISTRIES[(REGISTRIES.index(registry) + 1) % len(REGISTRIES)]
            return RdapReply(301, f"Location: {urls[other]}ip/{text}\r\n", b"", decision)
        case Fault.UNAVAILABLE:
            wait = f"Retry-After: {retry_after}\r\n" if retry_after is not None else ""
            return RdapReply(503, f"Content-Type: text/html\r\n{wait}", HTML.encode(), decision)
        case Fault.BOMB:
            return RdapReply(200, f"{_JSON}Content-Encoding: gzip\r\n", bomb(), decision)
    return None


def half_rdap(reply: RdapReply) -> RdapReply:
    """Return an answer of which a part is missing and whose length agrees with what is left."""
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def bad_whois(decision: Decision, registry: str) -> bytes | None:
    """Return what comes instead of an answer; None where the answer itself is sent, more or less of it."""
    match decision.fault:
        case Fault.ERROR:
            return whois_answers.server_error(registry).encode("ascii")
        case Fault.GARBAGE:
            return decision.noise * 8
        case Fault.EMPTY:
            return b""
        case Fault.HTML:
            return HTML.encode()
        case Fault.LOOP | Fault.CHAIN | Fault.ASTRAY:
            return whois_answers.closed(registry).encode("ascii")
        case Fault.UNAVAILABLE:
            return whois_answers.too_many_connections(registry).encode("ascii")
    return None


def part_of_whois(registry: str, text: str, client: str) -> str:
    """Return a part of an answer: with the words of those that say so, else ending in the middle."""
    if registry == "lacnic":
        return text.replace("% Joint Whois", "% Query rate limit exceeded. Reduced information.\r\n% Joint Whois", 1)
    if registry in ("apnic", "afrinic"):
        words = rpsl_answers.error(
            registry,
            201,
            f"access control limit reached for {client}",
            "Too many objects in response; output has been truncated.",
        )
        return text + "\n".join(words) + "\n"
    return text[: len(text) // 2]


def on_the_wire(delivery: Delivery) -> Delivery:
    """Port 43 has no compression: a bomb is a flood there."""
    if delivery.decision.fault is Fault.BOMB:
        return replace(delivery, decision=replace(delivery.decision, fault=Fault.FLOOD))
    return delivery


@cache
def bomb() -> bytes:
    """Return 100 MB of nothing, compressed. Making it takes a second or so, once."""
    return gzip.compress(b" " * FLOOD_BYTES, 9, mtime=0)
