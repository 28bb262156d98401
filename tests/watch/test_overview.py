"""What is gathered from a feed: workers come, fall silent and go; nonsense is counted and changes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.status import status
from whoismesh.messages import Metrics
from whoismesh.overview import MOST_GONE, MOST_WORKERS, Overview, event_text
from whoismesh.registries import REGISTRIES


def told(*workers, settled=0, members=None):
    ledger = Ledger(b"0" * 16, (), {registry: Budget(2.0, 1.0, 60.0) for registry in REGISTRIES})
    rows = [{"origin": origin, "host": f"h:{origin}", "leases": 1} for origin in workers]
    changed = {"workers": rows, "members": len(rows) if members is None else members, "space": 1000, "settled": settled}
    return json.loads(json.dumps(status(ledger, 0.0) | changed))


def metrics(origin, **counters):
    return Metrics(b"0" * 16, origin, f"h:{origin}", {name: float(count) for name, count in counters.items()})


def states(overview):
    return {row["origin"]: row["state"] for row in overview.workers()}


def test_a_worker_that_is_killed_is_silent_and_then_lost_and_one_that_leaves_has_left():
    overview = Overview()
    for now in range(8):
        overview.heard_status(told(1, 2, 3), now)
        for origin in (1, 2, 3) if now < 2 else (1,):
            overview.heard_metrics(metrics(origin, lookups=10 * now, asking_arin=2, hits=1, leases_held=3), now)
        if now == 3:
            overview.heard_event({"event": "worker_left", "origin": 3, "host": "h:3"}, now)
    assert states(overview) == {1: "working", 2: "silent", 3: "left"}
    first = overview.workers()[0]
    assert (first["lookups"], first["hits"], first["leases"], first["asking"]) == (70, 1, 3, {"arin": 2})
    assert first["rate"] == pytest.approx(9.4, abs=0.5), "10 a second"
    overview.heard_event({"event": "worker_lost", "origin": 2, "host": "h:2"}, 9)
    assert states(overview) == {1: "working", 2: "lost", 3: "left"}
    overview.heard_metrics(metrics(2), 10)
    assert states(overview)[2] == "working", "it was the coordinator that was away"


def test_who_is_not_in_a_whole_list_any_more_is_lost_also_where_the_event_was_missed():
    overview = Overview()
    overview.heard_status(told(1, 2), 0.0)
    overview.heard_status(told(1, members=2), 9.0)
    assert states(overview)[2] == "silent", "the list does not have all"
    overview.heard_status(told(1), 9.5)
    assert states(overview)[2] == "lost"


def test_what_is_kept_is_bounded():
    overview = Overview()
    for origin in range(MOST_WORKERS + 5):
        overview.heard_event({"event": "worker_joined", "origin": origin, "host": "h"}, 0.0)
    assert (len(overview.workers()), overview.dropped) == (MOST_WORKERS, 5)
    for origin in range(MOST_WORKERS):
        overview.heard_event({"event": "worker_left", "origin": origin, "host": "h"}, 1.0)
    assert len(overview.workers()) == MOST_GONE
    assert len(overview.events) == 200


def test_time_left_is_what_is_left_at_the_pace_of_late():
    overview = Overview()
    overview.heard_status(told(settled=100), 0.0)
    assert overview.left_s is None
    overview.heard_status(told(settled=200), 10.0)
    assert overview.left_s == 80.0
    overview.heard_status(told(settled=1000), 20.0)
    assert overview.left_s == 0.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(json_values, st.sampled_from(["space", "workers", "by_registry", "members", "ranges", None]))
def test_nonsense_is_counted_and_changes_nothing(value, name):
    overview = Overview()
    overview.heard_status(told(1), 0.0)
    before = overview.status
    overview.heard_status(value if name is None else told(1) | {name: value}, 1.0)
    assert overview.dropped == (overview.status is before)
    assert json.dumps(overview.workers())
    overview.heard_event(value, 1.0)
    overview.heard_event({"event": "worker_lost", "origin": value, "host": value}, 1.0)
    assert all(event_text(each) for each in overview.events)
