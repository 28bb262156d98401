"""Work on all hosts at once."""

import threading
from pathlib import Path

import pytest

from whoismesh.errors import ConfigError, UnavailableError
from whoismesh.fleet.each import on_each
from whoismesh.fleet.hosts import FleetHost, given_hosts
from whoismesh.fleet.outcomes import CHANGED, FAILED, UNCHANGED, Outcome, as_json, failed_before, keep_failed, table

HOSTS = given_hosts(["one", "two", "three"])


def test_a_host_that_fails_stops_no_other() -> None:
    def work(host: FleetHost) -> tuple[str, str]:
        if host.name == "two":
            raise UnavailableError("no way there")
        return CHANGED, "made"

    told: list[Outcome] = []
    outcomes = on_each(HOSTS, work, told.append)
    assert [(each.host, each.state, each.detail) for each in outcomes] == [
        ("one", CHANGED, "made"),
        ("two", FAILED, "no way there"),
        ("three", CHANGED, "made"),
    ]
    assert sorted(each.host for each in told) == ["one", "three", "two"]


def test_hosts_are_worked_on_at_once_and_no_more_than_so_many() -> None:
    both = threading.Barrier(2, timeout=10)
    now, most, lock = 0, 0, threading.Lock()

    def work(host: FleetHost) -> tuple[str, str]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()
        with lock:
            now -= 1
        return UNCHANGED, ""

    outcomes = on_each(given_hosts(["a", "b", "c", "d"]), work, at_once=2)
    assert [each.state for each in outcomes] == [UNCHANGED] * 4
    assert most == 2


def test_a_bug_is_no_outcome() -> None:
    def work(host: FleetHost) -> tuple[str, str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        on_each(HOSTS, work)


def test_no_hosts_are_no_outcomes() -> None:
    assert on_each((), lambda host: (CHANGED, "")) == []
    assert table([]) == "no hosts"


def test_a_table_has_a_line_a_host_and_a_sum() -> None:
    outcomes = [Outcome("one", CHANGED, "made", 1.25), Outcome("three", FAILED, "no way " * 40, 10.0)]
    assert table(outcomes, width=50).splitlines() == [
        "one    changed       1.2 s  made",
        "three  failed       10.0 s  no way no way no way n",
        "1 changed, 1 failed",
    ]
    assert as_json(outcomes[:1]) == '[{"host": "one", "state": "changed", "detail": "made", "seconds": 1.25}]'


def test_what_failed_is_known_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "run" / "failed.json"
    assert failed_before(path) == frozenset()
    keep_failed(path, [Outcome("one", CHANGED), Outcome("two", FAILED)])
    assert failed_before(path) == {"two"}
    path.write_text("{}")
    with pytest.raises(ConfigError, match="expected a list of hosts"):
        failed_before(path)
