"""Made-up networks of random sizes, as many as are wanted: records such as lookups bring."""

from __future__ import annotations

import random
import time

from whoismesh.addresses import Range
from whoismesh.iana import runs
from whoismesh.networks import Holder, Network

COUNTRIES = ("US", "GB", "DE", "JP", "CN", "BR", "FR", "KR", "ZA", "IN", "RU", "AU", "NL", "CA", "IT", "SE", "MX", "PL")


def networks(count: int) -> list[Network]:
    """Return networks of random sizes all over the space that registries have, in no order."""
    draw, found = random.Random(7), list[Network]()
    spaces = [(space, registry) for space, registry in runs() if space.family == 4]
    mean = sum(space.size for space, _ in spaces) / count
    for space, registry in spaces:
        at = space.first
        while at < space.last:
            size = 1 << max(8, min(20, round(draw.gauss(int(mean).bit_length() - 3, 2))))
            at = -(-at // size) * size
            if at + size - 1 <= space.last:
                found.append(network(registry, Range(4, at, at + size - 1), draw.choice(COUNTRIES), len(found)))
            at += size
    draw.shuffle(found)
    return found[:count]


def network(registry: str, block: Range, country: str | None, name: object) -> Network:
    """Return a record such as a lookup brings, and about as long."""
    day = "2009-11-25T00:00:00-05:00"
    return Network(
        registry, block, f"NET-{name}", f"HOLDER-{name}-OF-{country}", "DIRECT ALLOCATION", ("active",), country,
        f"NET-{block.first >> 24}-0-0-0-0", Holder(f"ORG-{name}", f"Holder {name} of {country}, Ltd."), day, day,
        server="https://rdap.example.net/registry/", asked=str(block).partition("/")[0], fetched_at=time.time(),
    )  # fmt: skip
