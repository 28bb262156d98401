"""What the coordinator's clock says, as far as its messages tell.

Permits are moments of the coordinator's clock, because only one clock can keep the lookups of many workers apart. The
two clocks are compared by stamps alone, and each bounds the difference: no message comes before its stamp, and no
answer was stamped before its question was asked. The middle is taken, which is right if both ways are as long; how
wrong it can be is known as well. What the network holds up changes nothing, once there was an answer that it did not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Stamps are kept for one to two of these, seconds: clocks drift by up to 100 millionths, so by 6 ms a minute.
WINDOW_S = 30.0
#: So many answers are enough if the two bounds are that close, seconds: one at least was not held up. Where they stay
#: further apart, the coordinator is far away, and after so many more it is not waited for better ones.
ENOUGH_ANSWERS, CLOSE_S, MOST_ANSWERS = 4, 0.02, 12


@dataclass(slots=True)
class _Bounds:
    """How much our clock is ahead of the coordinator's, by the stamps since then, seconds."""

    since: float = -math.inf
    least_s: float = -math.inf
    most_s: float = math.inf
    answers: int = 0


class CoordinatorClock:
    """What is known of the coordinator's clock by the stamps of this window of time and of the one before."""

    __slots__ = ("_before", "_bounds")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: another coordinator's clock goes otherwise."""
        self._bounds = self._before = _Bounds()

    def heard(self, clock_s: float, now: float, asked_at: float | None = None) -> None:
        """Take in a stamp that came now, in answer to what we asked at that time of our own clock, if it was one."""
        bounds = self._bounds
        if now - bounds.since >= WINDOW_S:
            self._before = bounds if now - bounds.since < 2 * WINDOW_S else _Bounds()
            bounds = self._bounds = _Bounds(now)
        bounds.most_s = min(bounds.most_s, now - clock_s)
        if asked_at is not None:
            bounds.least_s = max(bounds.least_s, asked_at - clock_s)
            bounds.answers += 1

    @property
    def is_known(self) -> bool:
        """Tell whether there were answers enough to go by it."""
        answers = self._bounds.answers + self._before.answers
        return answers >= (ENOUGH_ANSWERS if self.unsure_s <= CLOSE_S else MOST_ANSWERS)

    def here(self, clock_s: float) -> float:
        """Return when, by this process's clock, the coordinator's says that; inf while it is not known."""
        return clock_s + self._most_s - self.unsure_s / 2 if self.is_known else math.inf

    @property
    def unsure_s(self) -> float:
        """How far apart the earliest and the latest that `here` may truly be are, seconds."""
        return max(0.0, self._most_s - max(self._bounds.least_s, self._before.least_s))

    @property
    def _most_s(self) -> float:
        return min(self._bounds.most_s, self._before.most_s)
