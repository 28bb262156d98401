"""What the coordinator's clock says, as far as its messages tell.

Permits are moments of the coordinator's clock, because only one clock can keep the lookups of many workers apart. The
two clocks are not compared: what is known is how much later than its stamp a message came. The least of that over a
while is the way of the quickest message; so the coordinator's time is taken for that much earlier than it is, never for
later, and a message that the network held up changes nothing.
"""

from __future__ import annotations

import math

#: Stamps are kept for one to two of these, seconds: clocks drift by up to 100 millionths, so by 6 ms a minute.
WINDOW_S = 30.0


class CoordinatorClock:
    """The least that a stamp was behind this process's clock, in this window of time and the one before."""

    __slots__ = ("_before", "_least", "_since")

    def __init__(self) -> None:
        self._least = self._before = math.inf
        self._since = -math.inf

    def reset(self) -> None:
        """Forget everything: another coordinator's clock goes otherwise."""
        self._least = self._before = math.inf
        self._since = -math.inf

    def heard(self, clock_s: float, now: float) -> None:
        """Take in a stamp that came now."""
        if now - self._since >= WINDOW_S:
            self._before = self._least if now - self._since < 2 * WINDOW_S else math.inf
            self._least, self._since = math.inf, now
        self._least = min(self._least, now - clock_s)

    def here(self, clock_s: float) -> float:
        """Return when, by this process's clock, the coordinator's says that; never too early."""
        return clock_s + min(self._least, self._before)
