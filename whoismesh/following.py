"""What is told of a crawl as lines, as one would have followed topics of a log: results, metrics, events. Pure.

The accepted log tells which networks are on the coordinator's disk, in order and without a hole; the feed tells the
results themselves, and may lose some. So a network's line comes with the block, and with what the feed told of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from whoismesh.addresses import Range, format_address
from whoismesh.answers.outcome import Status
from whoismesh.compounds import ORIGINS, Result
from whoismesh.errors import DumpError
from whoismesh.history import KnownBlock
from whoismesh.messages import Metrics
from whoismesh.networks import Network
from whoismesh.origins import read_origins
from whoismesh.packing import NotPackedError, unpack
from whoismesh.registries import REGISTRIES

TOPICS = ("results", "metrics", "events")
#: Results that wait for their block, some 1 kB each: a commit or two, and answers about networks that are known.
MOST_WAITING = 20_000
#: Statuses whose answers told of a network.
_GOT = tuple(f"answers_{each}" for each in (Status.NETWORK, Status.PLACEHOLDER, Status.POOL))
_FAILED = tuple(f"answers_{each}" for each in (Status.FAILED, Status.MALFORMED, Status.TRUNCATED))


class Details:
    """The newest results of networks whose block did not come yet."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: OrderedDict[tuple[str, Range], Result] = OrderedDict()

    def heard(self, results: Iterable[Result]) -> list[Result]:
        """Keep those that wait for their block; return the others."""
        others = []
        for result in results:
            if result.status != Status.NETWORK:
                others.append(result)
                continue
            self._waiting[result.registry, result.range] = result
            if len(self._waiting) > self._most:
                self._waiting.popitem(last=False)
        return others

    def of(self, block: KnownBlock) -> Network | None:
        """Return what was told of the network of a block, once; None if nothing was, or nothing that makes sense."""
        result = self._waiting.pop((block.registry, block.range), None)
        return None if result is None else record_of(result)


def record_of(result: Result) -> Network | None:
    """Return the network in a result's payload, or None: it is what a worker sent."""
    try:
        found = unpack(result.payload)
        return Network.from_map(found) if isinstance(found, dict) else None
    except (NotPackedError, DumpError):
        return None


def network_line(block: KnownBlock, details: Network | None) -> dict[str, Any]:
    """Return the line of a network that was accepted; without details the fields of them are nil."""
    plain = _plain(details or Network(block.registry, block.range, source=""))
    plain["source"] = plain["source"] or None
    plain["fetched_at"] = plain["fetched_at"] or None
    return {"status": str(Status.NETWORK), **_where(block.registry, block.range), **plain}


def other_lines(result: Result) -> Iterator[dict[str, Any]]:
    """Yield the lines of a result that is no network of the accepted log."""
    if result.status == ORIGINS:
        for first, last, asn, cidr in read_origins(result.payload):
            where = _where(result.registry, Range.from_bytes(first, last))
            yield {"status": result.status, **where, "asn": asn, "asn_cidr": cidr}
        return
    record = record_of(result) if result.payload else None
    asked = format_address(result.asked.family, result.asked.first)
    where = {**_where(result.registry, result.range), "asked": asked}
    told = {"elsewhere": result.elsewhere, "reason": result.reason}
    yield {"status": result.status, **where, **told, **(_plain(record) if record is not None else {})}


def metrics_line(message: Metrics, at: float) -> dict[str, Any]:
    """Return the line of a worker's counters: gaps that wait for a registry, questions under way, what came of them.

    `at` is when it came, seconds since 1970. Counts are since the process's start.
    """
    counters = message.counters

    def total(names: Iterable[str]) -> int:
        return int(sum(counters.get(name, 0.0) for name in names))

    return {
        "timestamp": at,
        "host": message.host,
        "origin": message.origin,
        "awaiting_registry": total(f"gaps_{registry}" for registry in REGISTRIES),
        "looking_up": total(f"asking_{registry}" for registry in REGISTRIES),
        "got": total(_GOT),
        "failed": total(_FAILED),
        "within_known_block": total(("hits",)),
        "counters": dict(sorted(counters.items())),
    }


def _where(registry: str, block: Range) -> dict[str, Any]:
    first, last = (format_address(block.family, each) for each in (block.first, block.last))
    return {"registry": registry, "first": first, "last": last, "cidrs": block.cidrs()}


def _plain(record: Network) -> dict[str, Any]:
    """Return the fields of a record beside where it lies: `status` is the result's, so its own is `network_status`."""
    values: Mapping[str, Any] = record.to_map()
    left_out = ("kind", "registry", "first", "last", "cidrs", "status", "also", "differs")
    plain = {name: value for name, value in values.items() if name not in left_out}
    return plain | {"network_status": values["status"]}


class Numbers:
    """The numbers of events as they come: which were missed. A coordinator that starts anew counts from 1 again."""

    def __init__(self) -> None:
        self.missed = 0
        self._last: int | None = None

    def heard(self, number: Any) -> int:
        """Note an event; return how many are missing before it."""
        if type(number) is not int:
            return 0
        missing = max(0, number - self._last - 1) if self._last is not None else 0
        self._last = number
        self.missed += missing
        return missing
