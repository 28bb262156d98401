"""How a crawl is going, gathered from its feed: what `whoismesh top` and the dashboard show. Pure.

Everything comes from a socket: fields are checked before they are kept, and what is kept is bounded. Workers are told
by their own counters (once a second), by events, and by the rows of the status, of which there are 200 at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from whoismesh.checks import MAX_COUNT, MAX_TEXT
from whoismesh.following import metrics_line
from whoismesh.messages import Metrics
from whoismesh.registries import REGISTRIES

#: Workers kept at most, of them so many that are gone; events kept.
MOST_WORKERS, MOST_GONE, MOST_EVENTS = 5_000, 100, 200
#: A worker tells its counters once a second: it is called silent after this, seconds. The coordinator calls it lost
#: when its leases end (ledger.leases.LEASE_TTL_S).
SILENT_S = 5.0
#: Progress is taken over this time, seconds, in so many steps.
PACE_S, PACE_STEPS = 120.0, 60

WORKING, SILENT, LEFT, LOST = "working", "silent", "left", "lost"


@dataclass(slots=True)
class Worker:
    """A worker as it was last heard of. `rate` is lookups a second of late, `asking` questions under way."""

    origin: int
    host: str
    seen_at: float
    gone: str = ""
    leases: int = 0
    lookups: int = 0
    hits: int = 0
    failed: int = 0
    unacknowledged: int = 0
    rate: float = 0.0
    asking: dict[str, int] = field(default_factory=dict)
    counted_at: float | None = None


class Overview:
    """The picture. Times are of the caller's monotonic clock."""

    def __init__(self) -> None:
        self.status: dict[str, Any] | None = None
        self.events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        #: Events and status messages that made no sense, and workers that were too many.
        self.dropped = 0
        self.heard_at: float | None = None
        self._workers: dict[int, Worker] = {}
        self._gone: deque[int] = deque()
        self._progress: deque[tuple[float, int]] = deque(maxlen=PACE_STEPS)

    # -- what comes ---------------------------------------------------------------------------------------------

    def heard_status(self, told: Any, now: float) -> None:
        """Take in the coordinator's status."""
        try:
            status = checked_status(told)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.dropped += 1
            return
        self.status, self.heard_at = status, now
        for row in status["workers"]:
            worker = self._worker(row["origin"], row["host"], now)
            if worker is not None:
                worker.leases = row["leases"]
        if len(status["workers"]) == status["members"]:
            present = {row["origin"] for row in status["workers"]}
            for worker in list(self._workers.values()):
                if worker.origin not in present and not worker.gone and now - worker.seen_at > SILENT_S:
                    self._lose(worker.origin, LOST)
        if not self._progress or now - self._progress[-1][0] >= PACE_S / PACE_STEPS:
            self._progress.append((now, status["settled"]))

    def heard_event(self, told: Any, now: float) -> None:
        """Take in an event."""
        if not isinstance(told, dict) or type(told.get("event")) is not str:
            self.dropped += 1
            return
        self.events.append({str(name)[:60]: _plain(value) for name, value in list(told.items())[:20]})
        origin, host = told.get("origin"), told.get("host")
        if type(origin) is not int or type(host) is not str:
            return
        match told["event"]:
            case "worker_joined":
                self._worker(origin, host[:MAX_TEXT], now)
            case "worker_left":
                self._lose(origin, LEFT)
            case "worker_lost":
                self._lose(origin, LOST)

    def heard_metrics(self, message: Metrics, now: float) -> None:
        """Take in a worker's counters."""
        worker = self._worker(message.origin, message.host, now)
        if worker is None:
            return
        line, counters = metrics_line(message, 0.0), message.counters
        lookups = int(counters.get("lookups", 0))
        if worker.counted_at is not None and now > worker.counted_at:
            rate = max(0, lookups - worker.lookups) / (now - worker.counted_at)
            worker.rate += (rate - worker.rate) / 3  # a mean of some seconds
        worker.lookups, worker.counted_at, worker.seen_at = lookups, now, now
        worker.hits, worker.failed = line["within_known_block"], line["failed"]
        worker.unacknowledged = int(counters.get("unacknowledged", 0))
        worker.leases = int(counters.get("leases_held", worker.leases))
        asking = {registry: int(counters.get(f"asking_{registry}", 0)) for registry in REGISTRIES}
        worker.asking = {registry: count for registry, count in asking.items() if count}

    def _worker(self, origin: int, host: str, now: float) -> Worker | None:
        worker = self._workers.get(origin)
        if worker is None:
            if len(self._workers) >= MOST_WORKERS:
                self.dropped += 1
                return None
            worker = self._workers[origin] = Worker(origin, host, now)
        elif worker.gone == LOST:
            worker.gone = ""  # the coordinator was away, or it was
            self._gone.remove(origin)
        return None if worker.gone else worker

    def _lose(self, origin: int, how: str) -> None:
        worker = self._workers.get(origin)
        if worker is None or worker.gone:
            return
        worker.gone, worker.rate, worker.leases, worker.asking = how, 0.0, 0, {}
        self._gone.append(origin)
        if len(self._gone) > MOST_GONE:
            del self._workers[self._gone.popleft()]

    # -- what is shown ------------------------------------------------------------------------------------------

    def workers(self) -> list[dict[str, Any]]:
        """Return a row a worker, those that are gone last."""
        # A coordinator that is away makes nobody silent.
        now = self.heard_at or 0.0
        rows = []
        for each in self._workers.values():
            silent_s = max(0.0, now - each.seen_at)
            state = each.gone or (SILENT if silent_s > SILENT_S else WORKING)
            rows.append(
                {
                    "origin": each.origin,
                    "host": each.host,
                    "state": state,
                    "silent_s": round(silent_s),
                    "leases": each.leases,
                    "rate": round(each.rate, 1),
                    "lookups": each.lookups,
                    "hits": each.hits,
                    "failed": each.failed,
                    "unacknowledged": each.unacknowledged,
                    "asking": each.asking,
                }
            )
        return sorted(rows, key=lambda row: (row["state"] in (LEFT, LOST), row["origin"]))

    @property
    def left_s(self) -> float | None:
        """Seconds until all is settled at the pace of late, None where that cannot be said."""
        if self.status is None or len(self._progress) < 2:
            return None
        (first_at, before), (last_at, now) = self._progress[0], self._progress[-1]
        left = self.status["space"] - self.status["settled"]
        if left <= 0:
            return 0.0
        return left * (last_at - first_at) / (now - before) if now > before else None


def checked_status(told: Any) -> dict[str, Any]:
    """Return the fields of a status that are shown. Raises KeyError, TypeError, ValueError, AttributeError."""
    counts = ("settled", "held", "unallocated", "reserved", "failed", "networks", "lookups", "hits", "duplicates")
    return {
        # Addresses of IPv6 are more than MAX_COUNT.
        **{name: _count(told[name], 2**129) for name in ("space", *counts, "members", "accepted")},
        "complete": told["complete"] is True,
        "ranges": [str(each)[:100] for each in _list(told.get("ranges", []), 100)],
        "by_registry": {
            registry: {
                "networks": _count(row["networks"]),
                "pending": _count(row["pending"], 2**129),
                "rate": _number(row["rate"]),
                "budget": None if row["budget"] is None else _number(row["budget"]),
                "limited": _count(row["limited"]),
                "trouble": str(row["trouble"])[:MAX_TEXT],
            }
            for registry, row in told["by_registry"].items()
            if registry in REGISTRIES
        },
        "workers": [
            {"origin": _count(row["origin"]), "host": str(row["host"])[:MAX_TEXT], "leases": _count(row["leases"])}
            for row in _list(told["workers"], MOST_WORKERS)
        ],
    }


def _list(value: Any, most: int) -> Iterable[Any]:
    if type(value) is not list:
        raise TypeError(value)
    return value[:most]


def _count(value: Any, most: int = MAX_COUNT) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(value)
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= MAX_COUNT:
        raise ValueError(value)
    return float(value)


def _plain(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, bool | int | float) else str(value)[:MAX_TEXT]


def event_text(event: Mapping[str, Any]) -> str:
    """Return an event as a line, without its time."""
    fields = (f"{name}={value}" for name, value in event.items() if name not in ("event", "level", "at", "number"))
    return " ".join((str(event["event"]).replace("_", " "), *fields))
