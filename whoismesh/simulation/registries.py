"""The registries of a simulated world: they answer from the table, and limit, ban, fail and vanish now and then.

They see lookups as real ones would, when they arrive, and keep the times: that is what the budget is checked against.
"""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from whoismesh.addresses import Range, format_address
from whoismesh.answers import Reply
from whoismesh.lanes.events import Ask, Broken, Replied
from whoismesh.practice.rdap_answers import answer, limited, server_error
from whoismesh.practice.verdicts import judge
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.broken import InvariantError
from whoismesh.simulation.clock import Clock
from whoismesh.simulation.plan import Plan

URLS = {registry: f"http://{registry}.test/" for registry in REGISTRIES}
BASES = {url: registry for registry, url in URLS.items()}

#: How long a lookup takes to get there, at most half of what the answer takes, seconds.
WAY_S = (0.001, 0.008)
#: After this long a worker gives up on a lookup that is not answered, seconds.
TIMEOUT_S = 4.0
#: Lookups of one host during a spell of limits, after which it is banned.
PATIENCE = 12
#: Share of single lookups that fail for no reason while there are faults, and of those how many get no answer at all.
FAILS, SILENT = 0.01, 0.3

BANNED = "Access from your host has been permanently denied after repeated excessive querying."


@dataclass(frozen=True, slots=True)
class Asked:
    """One lookup as the worker sent it."""

    at: float
    worker: int
    registry: str
    family: int
    address: int
    host: int = 0


@dataclass(slots=True)
class Watch:
    """One registry: the lookups of the last second, its trouble (until when), and whom it banned."""

    recent: deque[float] = field(default_factory=deque)
    by_host: dict[int, deque[float]] = field(default_factory=dict)
    trouble: str = ""
    until: float = 0.0
    banned: set[int] = field(default_factory=set)
    patience: Counter[int] = field(default_factory=Counter)


class Registries:
    """All five. `ill` may give an answer of a test's own for a lookup; `asked` are all lookups so far."""

    def __init__(self, clock: Clock, random: Random, plan: Plan, counts: Counter[str]) -> None:
        self.asked: list[Asked] = []
        self.ill: Callable[[Asked], Reply | None] = lambda asked: None
        self.watches = {registry: Watch() for registry in REGISTRIES}
        self.failed: Counter[tuple[int, int]] = Counter()
        self.most_of_budget = 0.0
        self._clock = clock
        self._random = random
        self._plan = plan
        self._counts = counts
        self._fails = FAILS if plan.faults.trouble else 0.0

    def heal(self) -> None:
        """End all trouble; bans and told waits stay."""
        self._fails = 0.0
        for watch in self.watches.values():
            watch.until = 0.0

    def trouble(self, registry: str, kind: str, lasts_s: float) -> None:
        """Begin a spell: "limiting", "failing", "silent" or "unreachable"."""
        watch = self.watches[registry]
        if watch.until <= self._clock.now:
            self._counts[f"spells_{kind}"] += 1
            watch.trouble, watch.until = kind, self._clock.now + lasts_s
            watch.patience.clear()

    def ban(self, registry: str, host: int) -> None:
        """Refuse a host for good."""
        self._counts["bans"] += 1
        self.watches[registry].banned.add(host)

    def ask(self, ask: Ask, worker: int, host: int, done: Callable[[Replied | Broken], None]) -> None:
        """Take a lookup on its way; `done` gets what comes of it."""
        asked = Asked(self._clock.now, worker, ask.registry, ask.family, ask.address, host)
        self.asked.append(asked)
        ill = self.ill(asked)
        takes: float = self._random.uniform(*self._plan.answer)
        way = min(self._random.uniform(*WAY_S), takes / 2)
        self._clock.after(way, self._arrived, asked, ask.lookup, ill, takes - way, done)

    def _arrived(
        self, asked: Asked, lookup: int, ill: Reply | None, takes: float, done: Callable[[Replied | Broken], None]
    ) -> None:
        self._check_pace(asked)
        event: Replied | Broken = Replied(lookup, ill) if ill is not None else self._event(asked, lookup)
        if isinstance(event, Broken):
            takes = TIMEOUT_S if not event.unreachable else takes
        self._clock.after(takes, done, event)

    # -- the budget ---------------------------------------------------------------------------------------------

    def _check_pace(self, asked: Asked) -> None:
        """Count the lookups of the last second, the fleet's and the host's. Raises InvariantError."""
        if asked.registry in self._plan.unlimited:
            return
        now, watch = self._clock.now, self.watches[asked.registry]
        for recent, rate, whose in (
            (watch.recent, self._plan.rate, "the fleet"),
            (watch.by_host.setdefault(asked.host, deque()), self._plan.host_rate, f"host {asked.host}"),
        ):
            if math.isinf(rate):
                continue
            recent.append(now)
            while recent[0] <= now - 1.0:
                recent.popleft()
            # A second may have seven where the rate is 6.9.
            most = math.ceil(rate)
            self.most_of_budget = max(self.most_of_budget, len(recent) / most)
            if len(recent) > most:
                raise InvariantError(
                    "budget-kept",
                    f"at most {most} lookups in any second at {asked.registry} by {whose}",
                    len(recent),
                )

    # -- answers ------------------------------------------------------------------------------------------------

    def _event(self, asked: Asked, lookup: int) -> Replied | Broken:
        watch = self.watches[asked.registry]
        trouble = watch.trouble if watch.until > self._clock.now else ""
        if not trouble and self._fails and self._random.random() < self._fails:
            self._counts["single_failures"] += 1
            trouble = "silent" if self._random.random() < SILENT else "failing"
        if trouble == "unreachable":
            return Broken(lookup, "connection refused", True)
        if asked.host in watch.banned:
            self._counts["answers_banned"] += 1
            return Replied(lookup, self._pack(asked, 403, BANNED, {}))
        if trouble == "silent":
            self.failed[asked.family, asked.address] += 1
            return Broken(lookup, "timed out", False)
        if trouble == "failing":
            self.failed[asked.family, asked.address] += 1
            said = server_error(asked.registry)
            return Replied(lookup, self._pack(asked, said.status, said.body, said.headers))
        if trouble == "limiting":
            watch.patience[asked.host] += 1
            if watch.patience[asked.host] > PATIENCE:
                self.ban(asked.registry, asked.host)
            self._counts["answers_limited"] += 1
            return Replied(lookup, self.slow_down(asked, math.ceil(watch.until - self._clock.now)))
        return Replied(lookup, self.reply(asked))

    def reply(self, asked: Asked) -> Reply:
        """Return what a registry says that is well."""
        single = Range(asked.family, asked.address, asked.address)
        text = format_address(asked.family, asked.address)
        said = answer(asked.registry, judge(self._plan.table, asked.registry, single), text, URLS)
        return self._pack(asked, said.status, said.body, said.headers)

    def slow_down(self, asked: Asked, wait_s: int) -> Reply:
        """Return what a registry says that is asked too fast."""
        said = limited(asked.registry, "192.0.2.1", wait_s)
        return self._pack(asked, said.status, said.body, said.headers)

    def _pack(self, asked: Asked, status: int, body: Any, headers: Any) -> Reply:
        data = body.encode() if isinstance(body, str) else json.dumps(body or {}).encode()
        names = {name.lower(): value for name, value in headers.items()}
        return Reply(
            asked.registry, "rdap", asked.family, asked.address, data, URLS[asked.registry], 0.0, status, names
        )
