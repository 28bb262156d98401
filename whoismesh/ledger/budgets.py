"""The budget of a registry: who may ask it when, for the whole fleet.

A budget is a row of slots, one lookup each, a fixed time apart. Workers say how many they could use; slots are dealt
out one by one in turn, never further ahead than a horizon, so that a worker that dies takes little with it. A limit
signal halves the rate for everyone and stops the dealing as long as the registry wants; quiet raises it again (additive
increase, multiplicative decrease).
"""

from __future__ import annotations

import math
from collections import OrderedDict

#: Share of the rate that is dealt out. The rest absorbs jitter: slots at 0.96 r that reach the registry up to 41 ms
#: late still never make more than r in any one second, for any whole r (and never more than the next whole number for
#: others: seven in a second where the rate is 6.9).
DEALT_SHARE = 0.96
BORNE_LATENESS_S = 1 / DEALT_SHARE - 1
#: How far ahead slots are dealt, seconds. A worker's round trip has to fit; what is dealt to a dead worker is lost.
HORIZON_S = 1.0
#: The most lookups that a worker may ask for at once; it learns of what is dealt and asks again.
MOST_REQUESTED = 1_000
#: No registry may stop a crawl for longer than this by one answer; an absurd Retry-After is cut to it. RIPE NCC and
#: AFRINIC really block for up to a day.
MAX_WAIT_S = 24 * 3600.0
#: Signals of one overload arrive together: within this time they halve the rate once.
ONE_SIGNAL_S = 5.0
#: After this much quiet the rate rises by a tenth of the set rate.
QUIET_S = 600.0
#: The rate is never halved below this share of what the operator set.
FLOOR_SHARE = 1 / 64


class Budget:
    """The slots of one registry. `rate` and `host_rate` are lookups a second (inf for no limit).

    `wait_s` is how long a limit signal without a time stops the dealing.
    """

    def __init__(self, rate: float, host_rate: float, wait_s: float = 60.0) -> None:
        self.set_rate = rate
        self.rate = rate
        self.host_rate = host_rate
        self._wait_s = wait_s
        self.asking: OrderedDict[int, int] = OrderedDict()
        self.limited_count = 0
        self._next_slot = 0.0
        self._alone_until = 0.0
        self._last_dealt = -math.inf
        self._host_next: dict[str, float] = {}
        self._host_of: dict[int, str] = {}
        self._limited_at = -math.inf
        self._raised_at = -math.inf

    @property
    def unlimited(self) -> bool:
        """Tell whether workers need no permits."""
        return math.isinf(self.rate) and math.isinf(self.host_rate)

    def request(self, origin: int, count: int, host: str = "") -> None:
        """Note that a worker could use `count` lookups; replaces what it asked for before.

        Workers of one `host` share its rate; without a name each is a host of its own.
        """
        self._host_of[origin] = host or str(origin)
        if count:
            self.asking[origin] = min(count, MOST_REQUESTED)
        else:
            self.asking.pop(origin, None)

    def forget(self, origin: int) -> None:
        """Drop a worker that left."""
        self.asking.pop(origin, None)
        self._host_of.pop(origin, None)

    def _host_free_at(self, origin: int) -> float:
        return self._host_next.get(self._host_of[origin], 0.0)

    def _next_asking(self, slot: float) -> int:
        """Return who gets a slot: the first in turn whose host may ask by then, else whose host may ask first."""
        free_at, host_of = self._host_next, self._host_of
        for origin in self.asking:
            if free_at.get(host_of[origin], 0.0) <= slot:
                return origin
        return min(self.asking, key=self._host_free_at)

    def resume(self, now: float) -> None:
        """Start after a coordinator that is no more: what it dealt may still be used, so wait until that is over."""
        if math.isfinite(self.rate):
            self._next_slot = max(self._next_slot, now + HORIZON_S + 1 / (self.rate * DEALT_SHARE))
        elif math.isfinite(self.host_rate):
            self._next_slot = max(self._next_slot, now + HORIZON_S + 1 / (self.host_rate * DEALT_SHARE))

    def waits_s(self, now: float) -> float:
        """Return how long the registry wants to be left alone."""
        return max(0.0, self._alone_until - now)

    def outstanding(self, now: float) -> bool:
        """Tell whether slots are dealt whose time has not come."""
        return self._last_dealt > now

    def deal(self, now: float) -> dict[int, list[float]]:
        """Return the delays (seconds from now) of the slots dealt to each worker."""
        if not self.asking:
            return {}
        self._raise_rate(now)
        dealt: dict[int, list[float]] = {}
        gap_s = 1 / (self.rate * DEALT_SHARE)
        host_gap_s = 1 / (self.host_rate * DEALT_SHARE)
        slot = max(self._next_slot, now)
        while self.asking:
            origin = self._next_asking(slot)
            at = max(slot, self._host_free_at(origin))
            if at > now + HORIZON_S:
                break
            dealt.setdefault(origin, []).append(at - now)
            slot = at + gap_s
            self._last_dealt = max(self._last_dealt, at)
            self._host_next[self._host_of[origin]] = at + host_gap_s
            self.asking[origin] -= 1
            if self.asking[origin]:
                self.asking.move_to_end(origin)
            else:
                del self.asking[origin]
        self._next_slot = slot
        return dealt

    def limit(self, now: float, wait_s: float | None, measured_rate: float) -> bool:
        """Halve the rate and wait, since the registry said "slow down"; return whether this was news.

        `measured_rate` stands in for an unlimited rate.
        """
        self.limited_count += 1
        wait_s = min(self._wait_s if wait_s is None else wait_s, MAX_WAIT_S)
        self._alone_until = max(self._alone_until, now + wait_s)
        # A worker's idea of our clock may be ahead: nobody asks before the wait is over.
        self._next_slot = max(self._next_slot, self._alone_until + BORNE_LATENESS_S)
        self._last_dealt = now
        if now - self._limited_at < ONE_SIGNAL_S:
            return False
        if math.isinf(self.set_rate):
            self.set_rate = self.rate = max(measured_rate, 1.0)
        self.rate = max(self.rate / 2, self.set_rate * FLOOR_SHARE)
        self._limited_at = self._raised_at = now
        return True

    def _raise_rate(self, now: float) -> None:
        while self.rate < self.set_rate and now - self._raised_at >= QUIET_S:
            self.rate = min(self.set_rate, self.rate + self.set_rate / 10)
            self._raised_at += QUIET_S

    @property
    def wake_at(self) -> float | None:
        """When to deal again, or None: half a horizon before the next slot, so that slots go out several at a time."""
        if not self.asking:
            return None
        host_free = self._host_free_at(self._next_asking(self._next_slot))
        return max(self._next_slot, host_free) - HORIZON_S / 2
