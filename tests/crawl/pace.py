"""How fast practice registries were asked, as far as an observer in the same event loop can know."""

import asyncio
import time
from bisect import bisect_left
from contextlib import asynccontextmanager
from itertools import pairwise

#: The observer looks up this often, seconds.
PULSE_S = 0.002
#: A gap between two looks that is longer than this is a stall. What came meanwhile is worked off for so long after it,
#: seconds: a new connection takes several turns of the loop until its question is read.
STALL_S, AFTERMATH_S = 0.01, 0.1


class Observer:
    """When requests can have arrived: a loop that was held up sees late what came meanwhile.

    A request arrived between the last time that the loop was awake before it was seen, and the time it was seen.
    """

    def __init__(self):
        self._awake = [time.monotonic()]
        self._since = [self._awake[0]]
        self._stalled_from = self._until = self._awake[0]

    @classmethod
    @asynccontextmanager
    async def watching(cls):
        observer = cls()
        task = asyncio.create_task(observer._watch())
        try:
            yield observer
        finally:
            task.cancel()

    async def _watch(self):
        while True:
            await asyncio.sleep(PULSE_S)
            now, before = time.monotonic(), self._awake[-1]
            # What is seen from now on may have come at this time, or while the loop stalled a moment ago.
            if now - before > STALL_S:
                self._stalled_from, self._until = self._since[-1], now + AFTERMATH_S
            self._awake.append(now)
            self._since.append(self._stalled_from if now < self._until else now)

    def longest_stall_s(self):
        return max((later - earlier for earlier, later in pairwise(self._awake)), default=0.0)

    def earliest(self, seen):
        """Return the earliest moment at which a request that was seen then can have come."""
        index = bisect_left(self._awake, seen) - 1
        return self._since[max(index, 0)]

    def shortest_s(self, requests, count):
        """Return the shortest time in which `count` + 1 requests came, at the most."""
        return min(
            (later.time - self.earliest(first.time) for first, later in zip(requests, requests[count:], strict=False)),
            default=float("inf"),
        )
