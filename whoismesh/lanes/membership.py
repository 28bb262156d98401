"""Being a member of the mesh: joining until somebody answers, renewing, and being unsure after a pause."""

from __future__ import annotations

#: A worker that was not answered asks to join again after the first, doubled each time up to the second, seconds.
FIRST_JOIN_AGAIN_S, LONGEST_JOIN_AGAIN_S = 0.5, 4.0
#: The heartbeat until the coordinator names its own, and the fastest it may name, seconds.
RENEW_S, FASTEST_RENEW_S = 2.0, 0.1
#: A worker that was not run for this long (stopped, its host asleep) asks nothing before it has heard which of its
#: leases are still its own, or has waited in vain for twice the time between renewals. A shell looks in every 0.5 s.
PAUSE_S = 5.0


class Membership:
    """Whether the coordinator has taken this worker in, and when to speak to it next. Times are of one clock."""

    def __init__(self) -> None:
        self.joined = False
        self.join_at = 0.0
        self.renew_at = 0.0
        self.unsure_until = 0.0
        self._join_again_s = FIRST_JOIN_AGAIN_S
        self._renew_s = RENEW_S
        self._looked_in_at: float | None = None

    def look_in(self, now: float) -> bool:
        """Note that time goes by; return whether so much went by unseen that the leases may be somebody else's."""
        paused = self._looked_in_at is not None and now - self._looked_in_at > PAUSE_S
        self._looked_in_at = now
        if paused:
            self.renew_at = now
            self.unsure_until = now + 2 * self._renew_s
        return paused

    def ask_to_join(self, now: float) -> None:
        """Note that a Join goes out, and when the next one will."""
        self.joined = False
        self.join_at = now + self._join_again_s
        self._join_again_s = min(2 * self._join_again_s, LONGEST_JOIN_AGAIN_S)

    def taken_in(self, now: float, renew_s: float) -> None:
        """Note the welcome; the heartbeat is `renew_s` from now on. The first is due: its answer tells of the clock."""
        self.joined = True
        self.unsure_until = 0.0
        self._join_again_s = FIRST_JOIN_AGAIN_S
        self._renew_s = max(FASTEST_RENEW_S, renew_s)
        self.renew_at = now

    def renewing(self, now: float) -> None:
        """Note that a Renew goes out."""
        self.renew_at = now + self._renew_s

    def renewed(self) -> None:
        """Note the answer to a Renew: what leases are left are ours."""
        self.unsure_until = 0.0
