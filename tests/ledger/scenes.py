"""What the tests of the coordinator's engine are told with: a ledger, workers that join, lease and find."""

from __future__ import annotations

import math
from collections.abc import Iterable

from whoismesh.addresses import Range, parse_address
from whoismesh.compounds import LeaseGrant, Result
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.events import Collected, Event, Instruction, Received, Send, Store, Stored
from whoismesh.messages import Join, LeaseRequest, Leases, Results, Welcome
from whoismesh.registries import REGISTRIES

CRAWL = b"0123456789abcdef"
ALICE, BOB = b"alice", b"bob"
UNLIMITED = tuple(REGISTRIES)


class Attended(Ledger):
    """A ledger whose shell ticked all the time before each event."""

    def handle(self, event: Event, now: float) -> list[Instruction]:
        if self._handled_at is not None:
            self._handled_at = max(self._handled_at, now - 0.25)
        return super().handle(event, now)


def make_ledger(
    *space: str, rate: float = math.inf, host_rate: float = math.inf, epoch: int = 1, **more: int
) -> Ledger:
    budgets = {registry: Budget(rate, host_rate) for registry in REGISTRIES}
    origins = range(epoch * 100 - 1, epoch * 100 + 99)  # the first is the coordinator's own
    ranges = [Range.parse(each) for each in space]
    return Attended(CRAWL, ranges, budgets, epoch=epoch, origins=origins, ports=(1, 2, 3), **more)


def join(ledger: Ledger, sender: bytes = ALICE, now: float = 0.0) -> int:
    out = ledger.handle(Received(sender, Join(b"", sender.decode(), "", 0, ())), now)
    welcome = next(each.message for each in out if isinstance(each, Send) and isinstance(each.message, Welcome))
    return welcome.origin


def lease(
    ledger: Ledger, origin: int, sender: bytes = ALICE, now: float = 0.0, **wants: float
) -> tuple[LeaseGrant, ...]:
    wants = wants or {"ripencc": 0.0}
    out = ledger.handle(Received(sender, LeaseRequest(CRAWL, origin, wants)), now)
    return granted(out)


def granted(out: Iterable[Instruction]) -> tuple[LeaseGrant, ...]:
    return tuple(
        grant
        for each in out
        if isinstance(each, Send) and isinstance(each.message, Leases)
        for grant in each.message.grants
    )


def address(text: str) -> Range:
    family, number = parse_address(text)
    return Range(family, number, number)


def make(
    origin: int,
    sequence: int,
    kind: str,
    asked: str,
    found: str = "",
    *,
    registry: str = "ripencc",
    elsewhere: str | None = None,
) -> Result:
    single = address(asked)
    return Result(
        origin, sequence, registry, kind, single, Range.parse(found) if found else single, elsewhere, "why", b"p"
    )


def arrive(ledger: Ledger, *results: Result, now: float = 1.0) -> list[Instruction]:
    """Results come in and are stored at once; return what follows the storing."""
    out = ledger.handle(Collected(Results(CRAWL, results)), now)
    for each in out:
        if isinstance(each, Store):
            return ledger.handle(Stored(each.results), now)
    return out


def places(ledger: Ledger) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, where in ledger.desk.places():
        for part in ledger.coverage.unsettled(where):
            found.setdefault(place, []).append(str(part))
    return found
