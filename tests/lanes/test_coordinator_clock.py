"""The coordinator's clock as its messages tell: whatever the network does, wrong by half of a round trip at most."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.lanes.coordinator_clock import ENOUGH_ANSWERS, MOST_ANSWERS, WINDOW_S, CoordinatorClock


def asked(clock: CoordinatorClock, at: float, there: float, back: float, ahead: float = 0.0) -> float:
    """Have a question asked, stamped and answered; the coordinator's clock is `ahead`. Return when it was answered."""
    clock.heard(at + there + ahead, at + there + back, at)
    return at + there + back


def test_nothing_heard_means_never() -> None:
    clock = CoordinatorClock()
    assert clock.here(1.0) == math.inf
    for second in range(ENOUGH_ANSWERS):
        assert not clock.is_known
        asked(clock, float(second), 0.01, 0.01)
    assert clock.here(1.0) == pytest.approx(1.0)
    clock.reset()
    assert clock.here(1.0) == math.inf


def test_halfway_between_question_and_answer_is_when_it_was_stamped() -> None:
    clock = CoordinatorClock()
    for there, back in ((0.030, 0.008), (0.008, 0.030), (2.0, 3.0), (0.020, 0.020)):
        asked(clock, 50.0, there, back, 1_000.0)
    assert clock.unsure_s == pytest.approx(0.016), "the quickest there, the quickest back"
    assert clock.here(1_060.0) == pytest.approx(60.0)
    clock.heard(1_070.0, 70.002)
    assert clock.unsure_s == pytest.approx(0.010), "what was not asked for tells as well"
    assert clock.here(1_060.0) == pytest.approx(59.997)


def test_a_coordinator_that_is_far_away_is_known_after_more_answers() -> None:
    clock = CoordinatorClock()
    for _ in range(MOST_ANSWERS):
        assert not clock.is_known
        asked(clock, 50.0, 0.08, 0.06, 1_000.0)
    assert clock.here(1_060.0) == pytest.approx(59.99)
    assert clock.unsure_s == pytest.approx(0.14)


def test_what_was_known_is_not_after_a_long_silence() -> None:
    clock = CoordinatorClock()
    for _ in range(MOST_ANSWERS):
        asked(clock, 50.0, 0.001, 0.001)
    clock.heard(120.0, 120.001)
    assert not clock.is_known


def test_a_clock_that_drifts_away_is_followed() -> None:
    clock = CoordinatorClock()
    for second in range(200):
        clock.heard(float(second), second * 1.001, second * 1.001)
    assert clock.here(200.0) == pytest.approx(200.2, abs=2 * WINDOW_S * 0.001)


@given(st.lists(st.tuples(st.floats(0.01, 0.1), st.floats(0.001, 0.2), st.floats(0.001, 0.2)), min_size=1, max_size=4))
def test_it_is_wrong_by_no_more_than_half_of_what_it_says(trips: list[tuple[float, float, float]]) -> None:
    clock, now = CoordinatorClock(), 0.0
    for pause, there, back in trips * MOST_ANSWERS:
        now = asked(clock, now + pause, there, back)
    assert now <= WINDOW_S
    assert abs(clock.here(0.0)) <= clock.unsure_s / 2 + 1e-9
    assert clock.unsure_s <= min(there + back for _, there, back in trips) + 1e-9
