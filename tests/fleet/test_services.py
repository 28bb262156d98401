"""What is told of daemons and their journals."""

import json
from typing import Any

import pytest

pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")

from whoismesh.fleet.hosts import given_hosts
from whoismesh.fleet.journal import Line, event_of
from whoismesh.fleet.on_host import COORDINATOR_UNIT, WORKER_UNIT
from whoismesh.fleet.services import Row, rows_of, status_json, status_table

COORD, WORK = given_hosts(["coord", "work"])


def shown(**more: str) -> dict[str, str]:
    return {
        "ActiveState": "active",
        "SubState": "running",
        "StatusText": "working",
        "NRestarts": "2",
        "Result": "success",
        "ExecMainStatus": "0",
        "StateChangeTimestamp": "then",
        "ActiveEnterTimestamp": "then",
    } | more


def told(unit: str, **more: str) -> dict[str, Any]:
    return {"units": {unit: shown(**more)}, "installed": {"version": "0.1", "digest": "abc"}}


@pytest.mark.parametrize(
    ("more", "state", "status"),
    [
        ({}, "active", "working"),
        ({"ActiveState": "inactive"}, "inactive", "ended with 0"),
        ({"ActiveState": "inactive", "ActiveEnterTimestamp": ""}, "inactive", ""),
        ({"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "78"}, "failed", "ended with 78"),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "Result": "watchdog", "ExecMainStatus": "6"},
            *("restarting", "ended by watchdog 6"),
        ),
    ],
)
def test_a_daemon_is_told_with_how_it_is_or_how_it_ended(more: dict[str, str], state: str, status: str) -> None:
    assert rows_of(WORK, told(WORKER_UNIT, **more)) == [Row("work", "worker", state, "then", 2, "0.1", "abc", status)]


def test_a_daemon_that_should_be_there_and_is_not_is_told_and_one_that_should_not_too() -> None:
    found = rows_of(COORD, told(WORKER_UNIT))
    assert [(row.role, row.state) for row in found] == [("coordinator", "absent"), ("worker", "active")]
    assert [row.state for row in rows_of(COORD, told(COORDINATOR_UNIT))] == ["active"]


def test_a_table_has_a_head_and_is_cut() -> None:
    rows = [Row("one", "worker", "unreachable", status="no way there " * 20)]
    lines = status_table(rows, 60).splitlines()
    assert lines[0].startswith("host  daemon  state        since  restarts  version  says")
    assert len(lines) == 2 and len(lines[1]) <= 60
    assert json.loads(status_json(rows))[0]["state"] == "unreachable"


def test_events_are_lines_of_json_with_their_host_and_the_rest_is_left_out() -> None:
    assert event_of(Line("one", '{"event": "worker_joined", "origin": 3}')) == (
        '{"host": "one", "event": "worker_joined", "origin": 3}'
    )
    for text in ("Started whoismesh-worker.service.", "[1]", "3", "", "Traceback {"):
        assert event_of(Line("one", text)) is None
