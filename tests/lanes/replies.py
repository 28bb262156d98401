"""Replies as registries give them, just large enough to be understood."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from whoismesh.addresses import Range, format_address
from whoismesh.answers import Reply
from whoismesh.lanes.events import Ask
from whoismesh.registries import REGISTRIES

URLS = {registry: f"https://{registry}.test/" for registry in REGISTRIES}
BASES = {url: registry for registry, url in URLS.items()}


def reply(ask: Ask, body: Any = None, status: int = 200, **headers: str) -> Reply:
    """Return what came back for a question: `body` is made JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    server = URLS[ask.registry]
    return Reply(ask.registry, ask.protocol, ask.family, ask.address, data, server, 1.0, status, names)


def network(ask: Ask, where: str | Range) -> Reply:
    """Return a registration."""
    found = Range.parse(where) if isinstance(where, str) else where
    body = {
        "objectClassName": "ip network",
        "handle": f"NET-{found.first:x}",
        "startAddress": format_address(found.family, found.first),
        "endAddress": format_address(found.family, found.last),
        "ipVersion": f"v{found.family}",
        "name": "EXAMPLE",
        "type": "ASSIGNED PA",
        "entities": [
            {
                "objectClassName": "entity",
                "handle": "ORG-EX1",
                "roles": ["registrant"],
                "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Example Ltd"]]],
            }
        ],
    }
    return reply(ask, body)


def inetnum(ask: Ask, where: str | Range, holder: str = "Example Ltd") -> Reply:
    """Return the same registration from a port 43 of RIPE NCC's kind, held by whom it is told."""
    found = Range.parse(where) if isinstance(where, str) else where
    span = f"{format_address(found.family, found.first)} - {format_address(found.family, found.last)}"
    text = f"inetnum: {span}\nnetname: EXAMPLE\ndescr: {holder}\norg: ORG-EX1\nsource: RIPE\n\n"
    return replace(whois(ask, text), protocol="whois")


def not_found(ask: Ask) -> Reply:
    """Return the answer for space that nobody holds."""
    return reply(ask, {"errorCode": 404, "title": "Not Found"}, 404)


def moved(ask: Ask, url: str) -> Reply:
    """Return a redirect."""
    return reply(ask, b"", 301, location=url)


def slow_down(ask: Ask, wait: str | None = "30") -> Reply:
    """Return what a client hears that asks too fast."""
    return reply(ask, b"", 429, **({"retry_after": wait} if wait else {}))


def broken(ask: Ask) -> Reply:
    """Return a server's error."""
    return reply(ask, b"", 500)


def garbage(ask: Ask) -> Reply:
    """Return what is no answer."""
    return reply(ask, b"<html>")


def cannot_tell(ask: Ask) -> Reply:
    """Return the address asked as a network of its own, as LACNIC's server does where it knows nothing."""
    text = format_address(ask.family, ask.address)
    body = {"objectClassName": "ip network", "handle": text, "startAddress": text, "endAddress": text}
    return reply(ask, body)


def whois(ask: Ask, text: str) -> Reply:
    """Return a text from port 43."""
    return reply(ask, text.encode())
