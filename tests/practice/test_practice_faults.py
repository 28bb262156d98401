"""Rate limits, latency and faults as pure decisions."""

import math

import pytest

from whoismesh.errors import UsageError
from whoismesh.practice.faults import FAULTS, RateLimit, Weather


def decisions(weather: Weather, count: int = 2000) -> list[object]:
    return [weather.decide("arin", "rdap", f"24.192.0.{number}", number % 3) for number in range(count)]


def test_the_same_seed_makes_the_same_faults_in_any_order() -> None:
    weather = Weather(latency_s=0.05, share=0.2, seed=7)
    assert decisions(weather) == decisions(Weather(latency_s=0.05, share=0.2, seed=7))
    assert decisions(weather) != decisions(Weather(latency_s=0.05, share=0.2, seed=8))
    backwards = [weather.decide("arin", "rdap", f"24.192.0.{number}", number % 3) for number in reversed(range(2000))]
    assert backwards[::-1] == decisions(weather)


def test_the_share_of_faults_is_what_was_asked_for_and_all_kinds_come() -> None:
    weather = Weather(share=0.2, seed=1)
    faults = [weather.decide("ripencc", "whois", f"46.128.0.{number}", 0).fault for number in range(5000)]
    assert 0.17 < sum(fault is not None for fault in faults) / 5000 < 0.23
    assert set(faults) == {None, *FAULTS}


def test_asking_again_may_help() -> None:
    weather = Weather(share=0.5, seed=3)
    assert len({weather.decide("arin", "rdap", "24.192.0.1", nth).fault is None for nth in range(20)}) == 2


def test_latency_has_the_mean_asked_for_a_floor_and_an_end() -> None:
    weather = Weather(latency_s=0.1)
    delays = [weather.decide("arin", "rdap", str(number), 0).delay_s for number in range(5000)]
    assert math.isclose(sum(delays) / 5000, 0.1, rel_tol=0.05)
    assert min(delays) >= 0.05 and max(delays) <= 0.8
    assert Weather().decide("arin", "rdap", "x", 0).delay_s == 0


@pytest.mark.parametrize(
    ("latency", "share"), [(-1, 0), (math.inf, 0), (math.nan, 0), (0, -0.1), (0, 1.1), (0, math.nan)]
)
def test_impossible_weather_is_refused(latency: float, share: float) -> None:
    with pytest.raises(UsageError):
        Weather(latency, share)


def test_a_client_gets_its_rate_and_not_more() -> None:
    limit = RateLimit(10)
    granted = [now / 1000 for now in range(0, 10_000, 5) if limit.ask("arin", "127.0.0.1", now / 1000) == 0]
    assert 100 <= len(granted) <= 110
    for start in range(10):
        assert sum(start <= at < start + 1 for at in granted) <= 20


def test_a_client_that_paces_itself_is_never_refused() -> None:
    limit = RateLimit(4)
    jitter = [0.0, 0.01, -0.01, 0.02]
    assert all(limit.ask("arin", "c", 100 + number / 4 + jitter[number % 4]) == 0 for number in range(400))


def test_the_wait_told_is_enough() -> None:
    limit = RateLimit(0.5)
    assert limit.ask("lacnic", "c", 0.0) == 0
    wait = limit.ask("lacnic", "c", 0.5)
    assert 1.4 < wait <= 1.5
    assert limit.ask("lacnic", "c", 0.5 + wait) == 0


def test_clients_and_registries_have_limits_of_their_own() -> None:
    limit = RateLimit(1)
    assert (
        limit.ask("arin", "127.0.0.1", 0)
        == 0
        == limit.ask("arin", "127.0.0.2", 0)
        == limit.ask("apnic", "127.0.0.1", 0)
    )
    assert limit.ask("arin", "127.0.0.1", 0) > 0


def test_idle_clients_are_forgotten() -> None:
    limit = RateLimit(1)
    for number in range(RateLimit.MAX_CLIENTS):
        limit.ask("arin", str(number), 0.0)
    limit.ask("arin", "one more", 100.0)
    assert len(limit._buckets) == 1


def test_limits() -> None:
    assert RateLimit(None).ask("arin", "c", 0) == 0 == RateLimit(math.inf).ask("arin", "c", 0)
    for rate in (0, -1, math.nan):
        with pytest.raises(UsageError):
            RateLimit(rate)
