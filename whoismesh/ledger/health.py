"""Whether a registry can be reached at all, as far as the fleet's reports tell."""

from __future__ import annotations

from collections import deque
from itertools import repeat

#: A registry that was reached before is waited for so many times as long as one that never was: a wrong address shows
#: at once, an outage may pass. The crawl can be run again; nothing is lost by giving up.
PATIENCE_FACTOR = 30
#: The pace is measured over the last results, at most this many.
PACE_RESULTS = 200


class Health:
    """When one registry was last reached, and since when and why it is not.

    `give_up_s` is how long to try one that was never reached.
    """

    __slots__ = ("_give_up_s", "_recent", "banned", "reached_at", "reason", "trouble_since")

    def __init__(self, give_up_s: float) -> None:
        self._give_up_s = give_up_s
        self.reached_at: float | None = None
        self.trouble_since: float | None = None
        self.reason = ""
        self.banned = False
        self._recent: deque[float] = deque(maxlen=PACE_RESULTS)

    def reached(self, now: float, answers: int = 1) -> None:
        """Note that it answered, so often."""
        self.reached_at = now
        self.trouble_since = None
        self.banned = False
        self._recent.extend(repeat(now, min(answers, PACE_RESULTS)))

    def trouble(self, now: float, reason: str, *, banned: bool = False) -> bool:
        """Note that a host could not reach it or was refused; return whether this is the first of it."""
        self.reason = reason
        self.banned = self.banned or banned
        if self.trouble_since is not None:
            return False
        self.trouble_since = now
        return True

    def postpone(self, by_s: float) -> None:
        """Do not count a time in which nobody could be heard."""
        if self.trouble_since is not None:
            self.trouble_since += by_s

    def is_away(self, now: float) -> bool:
        """Tell whether it has been out of reach for so long that waiting makes no sense."""
        if self.trouble_since is None:
            return False
        factor = 1 if self.reached_at is None or self.banned else PATIENCE_FACTOR
        return now - self.trouble_since >= factor * self._give_up_s

    def pace(self, now: float) -> float:
        """Return the fleet's answers a second of late."""
        if len(self._recent) < 2:
            return 0.0
        return len(self._recent) / max(now - self._recent[0], 0.001)
