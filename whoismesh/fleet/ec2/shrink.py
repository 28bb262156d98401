"""Which workers go when a fleet gets smaller. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from whoismesh.errors import UsageError
from whoismesh.fleet.hosts import WORKER

if TYPE_CHECKING:
    from whoismesh.fleet.ec2.inventory import Instance


def leaving(live: Sequence[Instance], count: int, prices: Mapping[tuple[str, str], float]) -> list[Instance]:
    """Return the workers that go: the dearest by `prices` (of type and zone), of those alike the youngest.

    Raises UsageError if there are not so many.
    """
    workers = [each for each in live if each.role == WORKER]
    if not 0 < count <= len(workers):
        raise UsageError(f"shrink by {count}: expected 1 to {len(workers)}, the workers there are")
    youngest_first = sorted(workers, key=lambda each: (str(each.launched_at), each.id), reverse=True)
    return sorted(youngest_first, key=lambda each: -prices.get((each.type, each.zone), 0.0))[:count]
