"""Wait for something to be so, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: How often to look, seconds.
LOOK_S = 0.05


def wait_until(look: Callable[[], T | None], what: str, deadline_s: float) -> T:
    """Look until there is something that is true, and return it. Raises TimeoutError that says what did not come."""
    until = time.monotonic() + deadline_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {deadline_s:.0f} s")
        time.sleep(LOOK_S)
