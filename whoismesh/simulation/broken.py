"""What an invariant says when it does not hold."""

from __future__ import annotations

from typing import Any


class InvariantError(AssertionError):
    """Something that must always hold does not: `name` of the invariant, what was `expected` and what was `found`."""

    def __init__(self, name: str, expected: str, found: Any) -> None:
        self.name = name
        self.expected = expected
        self.found = str(found)
        super().__init__(f"{name}: expected {expected}, found {self.found}")
