"""The coordinator's clock as its messages tell: whatever the network does, never too early, and steady."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.lanes.coordinator_clock import WINDOW_S, CoordinatorClock


def test_the_quickest_message_says_what_the_clock_says() -> None:
    clock = CoordinatorClock()
    for sent, came in ((1_000.0, 50.2), (1_001.0, 51.05), (1_002.0, 54.0)):
        clock.heard(sent, came)
    assert clock.here(1_003.0) == pytest.approx(53.05)


def test_nothing_heard_means_never() -> None:
    clock = CoordinatorClock()
    assert clock.here(1.0) == math.inf
    clock.heard(1.0, 1.0)
    clock.reset()
    assert clock.here(1.0) == math.inf


def test_a_clock_that_drifts_away_is_followed() -> None:
    clock = CoordinatorClock()
    clock.heard(0.0, 0.0)
    for second in range(1, 200):
        clock.heard(float(second), second * 1.001)
    assert 200.0 <= clock.here(200.0) <= 200.0 + 0.2
    assert clock.here(200.0) >= 200.0 + 0.2 - 2 * WINDOW_S * 0.001 - 1e-9


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.001, 3)), min_size=1, max_size=60))
def test_it_is_never_early_and_a_late_message_changes_nothing(messages: list[tuple[float, float]]) -> None:
    clock, sent, least = CoordinatorClock(), 100.0, math.inf
    for pause, took in messages:
        sent += pause
        before = clock.here(0.0)
        clock.heard(sent, sent + took)
        assert clock.here(0.0) >= 0.0, "never before the coordinator's own time"
        least = min(least, took)
        if took > 3 * least and before < math.inf and pause < 1e-9:
            assert clock.here(0.0) <= before
    assert clock.here(0.0) >= least - 1e-9
