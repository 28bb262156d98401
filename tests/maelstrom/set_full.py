"""What a history says about a grow-only set: Jepsen's set-full checker (jepsen/checker.clj), in its words. Pure.

A history is the list of what clients began and how it ended. Of each element that somebody tried to add it says:

    known    since its add was answered, or since a read showed it, whichever came first
    stable   the last read that could show it did: from some moment on every read had it
    lost     known, and the last read that could show it did not
    never-read    neither: no read began after it was known

A read that began later decides, not one that ended later. A *stale* element became stable only a while after it was
known: eventual consistency, not a fault. An add that was not answered may or may not have happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Latencies are told at these quantiles; so many of the most stale elements are shown.
QUANTILES = (0, 0.5, 0.95, 0.99, 1)
WORST = 8


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of a history. `kind` is invoke, ok, fail or info (nobody knows); `time_ns` is of one clock.

    `value` is the element of an add, of a read's ok all that it showed. One process does one thing at a time.
    """

    time_ns: int
    process: int
    kind: str
    what: str
    value: Any = None


@dataclass(slots=True)
class Element:
    """What is known of one element. Moments are (place in the history, time)."""

    value: int
    known: tuple[int, int] | None = None
    last_present: tuple[int, int] | None = None
    last_absent: tuple[int, int] | None = None

    def shown(self, began: tuple[int, int], ended: tuple[int, int]) -> None:
        """Take in a read that has it."""
        self.known = self.known or ended
        self.last_present = max(self.last_present or began, began)

    def hidden(self, began: tuple[int, int]) -> None:
        """Take in a read that does not have it."""
        self.last_absent = max(self.last_absent or began, began)

    @property
    def stable(self) -> bool:
        """Whether the read that began last has it."""
        return self.last_present is not None and (self.last_absent is None or self.last_absent < self.last_present)

    @property
    def lost(self) -> bool:
        """Whether it was known, and then the read that began last does not have it."""
        absent = self.last_absent
        if self.known is None or absent is None or self.known > absent:
            return False
        return self.last_present is None or self.last_present < absent

    def latency_ms(self) -> float:
        """Return how long after it was known it became what it is, stable or lost."""
        assert self.known is not None
        before = self.last_absent if self.stable else self.last_present
        return max(0, before[1] + 1 - self.known[1]) / 1e6 if before is not None else 0.0


def check(history: Iterable[Operation]) -> dict[str, Any]:
    """Return the verdict on a history, with Jepsen's keys. `valid?` is True, False or "unknown" (nothing is stable).

    Beyond Jepsen's, `unexpected` are elements that reads showed and nobody tried to add: also a fault.
    """
    elements: dict[int, Element] = {}
    begun: dict[int, tuple[int, int]] = {}
    duplicated: dict[int, int] = {}
    unexpected: set[int] = set()
    for place, operation in enumerate(history):
        moment = (place, operation.time_ns)
        match operation:
            case Operation(kind="invoke", what="add", value=value):
                elements.setdefault(value, Element(value))
            case Operation(kind="ok", what="add", value=value):
                elements[value].known = elements[value].known or moment
            case Operation(kind="invoke", what="read"):
                begun[operation.process] = moment
            case Operation(kind="ok", what="read", value=values):
                began = begun.pop(operation.process)
                counts = Counter(values)
                duplicated |= {value: count for value, count in counts.items() if count > 1}
                unexpected |= counts.keys() - elements.keys()
                for element in elements.values():
                    if element.value in counts:
                        element.shown(began, moment)
                    else:
                        element.hidden(began)
    return _verdict(elements, duplicated, sorted(unexpected))


def _verdict(elements: Mapping[int, Element], duplicated: Mapping[int, int], unexpected: list[int]) -> dict[str, Any]:
    stable = [each for each in elements.values() if each.stable]
    lost = [each for each in elements.values() if each.lost]
    never_read = [each.value for each in elements.values() if not each.stable and not each.lost]
    stale = sorted((each for each in stable if each.latency_ms() > 0), key=lambda each: -each.latency_ms())
    valid: bool | str = True
    if lost or duplicated or unexpected:
        valid = False
    elif not stable:
        valid = "unknown"
    return {
        "valid?": valid,
        "attempt-count": len(elements),
        "stable-count": len(stable),
        "lost-count": len(lost),
        "lost": sorted(each.value for each in lost),
        "never-read-count": len(never_read),
        "never-read": sorted(never_read),
        "stale-count": len(stale),
        "stale": sorted(each.value for each in stale),
        "worst-stale": [{"element": each.value, "stable-latency": each.latency_ms()} for each in stale[:WORST]],
        "stable-latencies": quantiles([each.latency_ms() for each in stable]),
        "lost-latencies": quantiles([each.latency_ms() for each in lost]),
        "duplicated": dict(duplicated),
        "unexpected": unexpected,
    }


def quantiles(values: Sequence[float]) -> dict[float, float]:
    """Return the values at QUANTILES, by rank as Jepsen takes them; nothing of nothing."""
    ranked = sorted(values)
    return {point: ranked[min(len(ranked) - 1, int(len(ranked) * point))] for point in QUANTILES} if ranked else {}
