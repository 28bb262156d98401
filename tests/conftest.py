"""What all tests share: hypothesis runs the same examples everywhere, and results and networks to fill stores with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from whoismesh.addresses import Range, parse_space
from whoismesh.compounds import Result
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.store import LedgerStore

# No deadline: the machines that run this differ too much. No database: a failure is in the output, with its seed.
settings.register_profile("whoismesh", derandomize=True, deadline=None, database=None)
settings.load_profile("whoismesh")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests: where several run at once, the last ones are then short."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def build_result(sequence: int, status: str, where: str | Range, /, **more: Any) -> Result:
    """Return a result as a worker sends it; a network's payload is its record, with `more` in it."""
    found = Range.parse(where) if isinstance(where, str) else where
    asked = Range(found.family, found.first, found.first)
    registry = more.pop("registry", "ripencc")
    origin = more.pop("origin", 1)
    reason = more.pop("reason", "")
    if status != "network":
        return Result(origin, sequence, registry, status, asked, asked, None, reason, b"")
    payload = pack(Network(registry, found, **more).to_map())
    return Result(origin, sequence, registry, status, asked, found, None, reason, payload)


@pytest.fixture(scope="session")
def make_result() -> Callable[..., Result]:
    return build_result


@pytest.fixture(scope="session")
def make_state() -> Callable[..., None]:
    """Fill a state folder with the results of a crawl, as a coordinator leaves it."""

    def make(folder: Path, space: Iterable[str], results: Iterable[Result]) -> None:
        store = LedgerStore.open(folder)
        store.begin(parse_space(space))
        store.append(results, {})
        store.close()

    return make
