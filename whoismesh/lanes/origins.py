"""Who announces the networks that this worker found: asked of Team Cymru, in bulk, beside everything else.

Rules of this file:
- Never one query an address: what was found is asked about when a lease is over, all of it at once.
- Nothing depends on it. What is not answered after a few tries is counted and left out; no lookup waits for it, and the
end of a crawl waits for what is under way, and not for a server that does not answer.
- One batch at a time, each on a permit of the fleet's budget.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from whoismesh.addresses import Range
from whoismesh.answers.cymru import Address, Origin, read_bulk
from whoismesh.lanes.coordinator_clock import CoordinatorClock
from whoismesh.lanes.events import AskOrigins, Note

#: Tries of one batch; after a failure nothing is asked for the first wait, doubled with each up to the second, seconds.
TRIES, RETRY_S, LONGEST_RETRY_S = 3, 5.0, 600.0
#: A permit not used for this long has lapsed, seconds: batches are seconds apart, which leaves more room than lookups.
LAPSE_S = 0.5
#: Networks that wait, of a server that is away for long; the oldest are left out then (some 100 bytes each).
MOST_WAITING = 200_000
#: Origins of one result: of IPv6 networks 90 bytes each, so that they stay under checks.MAX_PAYLOAD_BYTES.
RECORDS_A_RESULT = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """Networks whose first addresses are asked about together. `failures` counts the tries that came to nothing."""

    number: int
    networks: tuple[Range, ...]
    failures: int = 0

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What is asked: a network's first address stands for it."""
        return tuple(dict.fromkeys((each.family, each.first) for each in self.networks))


class Origins:
    """What is to be asked, and when. `most` is how many networks a batch may have, `patience_s` how long an end waits.

    `counters` are the worker's: `origin_batches` asked, `origin_failures` of them, `origins_found` networks answered
    for and `origins_missing` networks given up.
    """

    def __init__(self, most: int, patience_s: float, counters: Counter[str]) -> None:
        self.unlimited = False
        self.clock = CoordinatorClock()
        self._most = most
        self._patience_s = patience_s
        self._counters = counters
        self._found: dict[str, list[Range]] = {}
        self._leases_ended: dict[str, int] = {}
        self._waiting: dict[Range, None] = {}
        self._batch: Batch | None = None
        self._asking = False
        self._number = 0
        self._failures = 0
        self._not_before = 0.0
        self._permit_s: float | None = None
        self._wished = False
        self._ends_at = math.inf

    # -- what was found -----------------------------------------------------------------------------------------

    def found(self, registry: str, network: Range) -> None:
        """Note a network of ours; it is asked about when a lease of that registry is over."""
        self._found.setdefault(registry, []).append(network)

    def leases_ended(self, registry: str, count: int) -> None:
        """Take in how many leases of a registry have ended here: what was found in the last one is due."""
        if self._leases_ended.get(registry) != count:
            self._leases_ended[registry] = count
            self._due(self._found.pop(registry, ()))

    def end(self, now: float, *, drain: bool) -> None:
        """Nothing more will be found: all is due. Nobody waits for it longer than `patience_s`; a drain tries once."""
        if math.isinf(self._ends_at):
            self._ends_at = now + self._patience_s
            for networks in list(self._found.values()):
                self._due(networks)
            self._found.clear()
        if drain and self._failures:
            self._give_up_all()

    def _due(self, networks: Iterable[Range]) -> None:
        self._waiting.update(dict.fromkeys(networks))
        excess = len(self._waiting) - MOST_WAITING
        for each in list(self._waiting)[: max(0, excess)]:
            del self._waiting[each]
            self._counters["origins_missing"] += 1

    def over(self, now: float) -> bool:
        """Tell, after `end`, whether there is nothing to wait for: all is answered or given up."""
        if not self._asking and self._failures >= TRIES:
            self._give_up_all()  # away for long: it will not come back for our sake
        if now >= self._ends_at:
            self._give_up_all()
        return self._batch is None and not self._waiting

    def _give_up_all(self) -> None:
        left = len(self._batch.networks) if self._batch is not None else 0
        self._counters["origins_missing"] += left + len(self._waiting)
        self._batch, self._asking = None, False
        self._waiting.clear()

    # -- permits ------------------------------------------------------------------------------------------------

    def permit(self, times_s: Iterable[float]) -> None:
        """Take permits in, for these times of the coordinator's clock; one is all that is ever asked for."""
        self.unlimited, self._wished = False, False
        self._permit_s = next(iter(times_s), None)

    def forget_permits(self, *, unlimited: bool) -> None:
        """Begin anew with a coordinator that has just taken us in."""
        self.unlimited, self._wished, self._permit_s = unlimited, False, None

    def wants_permit(self, now: float) -> bool:
        """Tell whether a permit is to be asked for now; it is then taken for asked."""
        if self._permit_s is not None and now > self.clock.here(self._permit_s) + LAPSE_S:
            self._permit_s = None
        if self.unlimited or self._wished or self._permit_s is not None or not self._ready(now):
            return False
        self._wished = True
        return True

    def _ready(self, now: float) -> bool:
        return not self._asking and now >= self._not_before and bool(self._batch or self._waiting)

    def _may_ask(self, now: float) -> bool:
        return self.unlimited or (self._permit_s is not None and now >= self.clock.here(self._permit_s))

    # -- asking -------------------------------------------------------------------------------------------------

    def ask(self, now: float) -> AskOrigins | None:
        """Return the next batch, if there is one and it may be asked now."""
        if not self._ready(now) or not self._may_ask(now):
            return None
        if self._batch is None:
            networks = tuple(self._waiting)[: self._most]
            for each in networks:
                del self._waiting[each]
            self._number += 1
            self._batch = Batch(self._number, networks)
        self._permit_s = None
        self._asking = True
        self._counters["origin_batches"] += 1
        return AskOrigins(self._batch.number, self._batch.addresses)

    def answered(self, number: int, body: bytes, now: float) -> tuple[list[list[tuple[Range, Origin]]], list[Note]]:
        """Take an answer in; return what it tells, a list for each result, and what to note.

        What it does not tell of is asked again; a part of an answer is better than none.
        """
        batch = self._batch
        if batch is None or batch.number != number or not self._asking:
            return [], []  # given up meanwhile
        told = read_bulk(body, batch.addresses)
        known = [(each, told[key]) for each in batch.networks if (key := (each.family, each.first)) in told]
        left = tuple(each for each in batch.networks if (each.family, each.first) not in told)
        self._counters["origins_found"] += len(known)
        self._batch = replace(batch, networks=left)
        notes: list[Note] = []
        if left:
            notes = self.failed(number, f"no answer for {len(left)} of {len(batch.networks)} networks", now)
        else:
            self._batch, self._asking, self._failures = None, False, 0
        return [known[at : at + RECORDS_A_RESULT] for at in range(0, len(known), RECORDS_A_RESULT)], notes

    def failed(self, number: int, reason: str, now: float) -> list[Note]:
        """Take in that a batch got no answer, or not all of one: try again later, at last give it up."""
        batch = self._batch
        if batch is None or batch.number != number or not self._asking:
            return []
        self._asking = False
        self._failures += 1
        self._counters["origin_failures"] += 1
        self._not_before = now + min(RETRY_S * 2 ** (self._failures - 1), LONGEST_RETRY_S)
        self._batch = replace(batch, failures=batch.failures + 1)
        fields: dict[str, object] = {"reason": reason, "networks": len(batch.networks), "tries": batch.failures + 1}
        if self._batch.failures < TRIES:
            return [Note("origins_failed", fields, "info")]
        self._counters["origins_missing"] += len(batch.networks)
        self._batch = None
        return [Note("origins_given_up", fields, "warning")]

    def wake_at(self, now: float) -> float:
        """When something may be asked, or is to be given up; infinity if that depends on something else."""
        if self._asking or not (self._batch or self._waiting):
            return self._ends_at if self._asking else math.inf
        at = self._not_before
        if not self.unlimited:
            if self._permit_s is None:
                at = math.inf if self._wished else at
            else:
                at = max(at, self.clock.here(self._permit_s))
        return max(now, min(at, self._ends_at))
