"""How these tests ask: one call from a body to its answer, without the net that `understand` spreads under bugs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from whoismesh.addresses import parse_address
from whoismesh.answers import Answer, Reply, _read
from whoismesh.registries import DEFAULTS

CAPTURES = Path(__file__).parent.parent / "fixtures" / "captures"

#: 2026-11-22 06:00:00 UTC.
NOW = 1_795_327_200.0

BASES: Mapping[str, str] = {
    **{defaults.rdap: registry for registry, defaults in DEFAULTS.items()},
    **{defaults.whois: registry for registry, defaults in DEFAULTS.items()},
}


def make_reply(registry: str, protocol: str, address: str, body: str | bytes, **more: Any) -> Reply:
    """Return a reply as a shell would hand it over."""
    family, number = parse_address(address)
    defaults = DEFAULTS[registry]
    fields: dict[str, Any] = {
        "server": defaults.rdap if protocol == "rdap" else defaults.whois,
        "fetched_at": NOW,
        **more,
    }
    return Reply(registry, protocol, family, number, body.encode() if isinstance(body, str) else body, **fields)


Ask = Callable[..., Answer]


@pytest.fixture
def ask() -> Ask:
    """Return `ask(registry, protocol, address, body, bases=..., **fields of Reply)`; what is raised is seen."""

    def asking(
        registry: str, protocol: str, address: str, body: str | bytes, bases: Mapping[str, str] = BASES, **more: Any
    ) -> Answer:
        return _read(make_reply(registry, protocol, address, body, **more), bases)

    return asking


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """Return `make_reply`."""
    return make_reply


@pytest.fixture
def capture() -> Callable[[str], bytes]:
    """Return a function from the path of a capture to its bytes."""
    return lambda path: (CAPTURES / path).read_bytes()
