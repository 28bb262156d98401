"""The judge's checker, on histories whose verdict is known."""

from __future__ import annotations

from typing import Any

from set_full import Operation, check, quantiles

MS = 1_000_000


class History(list[Operation]):
    """A history told in milliseconds."""

    def add(self, element: int, began_ms: float, ended_ms: float | None = None, kind: str = "ok") -> None:
        self.note(began_ms, element, "invoke", "add", element)
        if ended_ms is not None:
            self.note(ended_ms, element, kind, "add", element)

    def read(self, values: list[int], began_ms: float, ended_ms: float, process: int = -1) -> None:
        self.note(began_ms, process, "invoke", "read")
        self.note(ended_ms, process, "ok", "read", values)

    def note(self, at_ms: float, process: int, kind: str, what: str, value: Any = None) -> None:
        self.append(Operation(int(at_ms * MS), process, kind, what, value))

    def verdict(self) -> dict[str, Any]:
        return check(sorted(self, key=lambda each: each.time_ns))


def test_all_there_is_valid() -> None:
    history = History()
    history.add(1, 0, 1)
    history.add(2, 2, 3)
    history.read([1, 2], 10, 11)
    verdict = history.verdict()
    assert verdict["valid?"] is True
    assert (verdict["attempt-count"], verdict["stable-count"], verdict["stale-count"]) == (2, 2, 0)
    assert verdict["stable-latencies"] == {0: 0, 0.5: 0, 0.95: 0, 0.99: 0, 1: 0}
    assert verdict["lost-latencies"] == {}


def test_nothing_stable_is_unknown_and_not_valid() -> None:
    assert History().verdict()["valid?"] == "unknown"
    history = History()
    history.add(1, 0, 1)
    verdict = history.verdict()
    assert verdict["valid?"] == "unknown" and verdict["never-read"] == [1]


def test_an_added_element_that_no_later_read_shows_is_lost() -> None:
    history = History()
    history.add(1, 0, 1)
    history.add(2, 0.5, 1.5)
    history.read([2], 10, 11)
    verdict = history.verdict()
    assert verdict["valid?"] is False and verdict["lost"] == [1] and verdict["stable-count"] == 1


def test_an_element_that_was_shown_and_then_is_not_is_lost() -> None:
    history = History()
    history.add(1, 0, 1, kind="info")
    history.read([1], 10, 11)
    history.read([], 20, 21)
    verdict = history.verdict()
    assert verdict["valid?"] is False and verdict["lost"] == [1]
    assert verdict["lost-latencies"][1] == 0  # it was last there before it was known to be


def test_a_crashed_add_may_be_missing_or_there() -> None:
    history = History()
    history.add(1, 0, 5, kind="info")
    history.add(2, 0, 5, kind="info")
    history.add(3, 0)  # never answered at all
    history.read([2], 10, 11)
    verdict = history.verdict()
    assert verdict["valid?"] is True
    assert (verdict["never-read"], verdict["stable-count"], verdict["lost"]) == ([1, 3], 1, [])


def test_a_late_element_is_stale_by_the_time_since_it_was_known() -> None:
    history = History()
    history.add(1, 0, 10)
    history.add(2, 0.1, 10.1)
    history.read([2], 60, 61)
    history.read([1, 2], 100, 101)
    verdict = history.verdict()
    assert verdict["valid?"] is True and verdict["stale"] == [1]
    ((worst),) = verdict["worst-stale"]
    assert worst["element"] == 1 and 50 < worst["stable-latency"] < 50.001


def test_the_read_that_began_last_decides() -> None:
    """A read that began before the add was known and ended after it says nothing of it."""
    history = History()
    history.add(1, 1, 5)
    history.read([1], 10, 11)
    history.read([], 9, 30, process=-2)
    verdict = history.verdict()
    assert verdict["valid?"] is True and verdict["stale"] == [1]
    history = History()
    history.add(1, 1, 5)
    history.read([], 2, 30)
    assert history.verdict()["never-read"] == [1]


def test_duplicated_and_unexpected_elements_are_faults() -> None:
    history = History()
    history.add(1, 0, 1)
    history.read([1, 1], 10, 11)
    assert history.verdict()["valid?"] is False and history.verdict()["duplicated"] == {1: 2}
    history = History()
    history.add(1, 0, 1)
    history.read([1, 7], 10, 11)
    assert history.verdict()["valid?"] is False and history.verdict()["unexpected"] == [7]


def test_quantiles_are_taken_by_rank() -> None:
    assert quantiles(range(100)) == {0: 0, 0.5: 50, 0.95: 95, 0.99: 99, 1: 99}
    assert quantiles([]) == {}
