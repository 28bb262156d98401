"""The figures of bin/bench: what is judged, and what a run is held to."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("suite", FOLDER / "suite.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("figures", None)


def test_a_ratio_is_judged_where_there_is_one(suite):
    beside = suite.Figure("known", 3e6, "/s", "pytricia", 1e6, goal=2)
    alone = suite.Figure("lookups per network", 1.002, "", goal=1.005, better="less")
    assert (beside.judged, beside.reached, alone.judged, alone.reached) == (3, True, 1.002, True)
    assert suite.Figure("known", 1e6, "/s", "pytricia", 1e6, goal=2).reached is False


def test_a_figure_below_its_floor_and_margin_is_named(suite):
    floors = {"hit": {"known": {"floor": 3.0, "margin": 0.1}, "per network": {"floor": 1.0}, "gone": {"floor": 1.0}}}
    good = [suite.Figure("known", 2.71, "/s"), suite.Figure("per network", 1.25, "", better="less")]
    bad = [suite.Figure("known", 2.69, "/s"), suite.Figure("per network", 1.26, "", better="less")]
    assert suite.misses("hit", good, floors) == ["hit: 'gone' has a floor and was not measured"]
    assert [line.split(":")[1] for line in suite.misses("hit", bad, floors)] == [
        " known",
        " per network",
        " 'gone' has a floor and was not measured",
    ]
    assert suite.misses("other", bad, floors) == []


def test_recorded_are_ratios_and_what_was_recorded(suite):
    floors = {"hit": {"count": {"floor": 9.0, "margin": 0.0}}}
    figures = [
        suite.Figure("ratio", 4.0, "/s", "bare", 2.0),
        suite.Figure("count", 7.0, ""),
        suite.Figure("s", 7.0, "s"),
        suite.Figure("bytes", 5.0, "bytes", margin=0.1),
    ]
    suite.record("hit", figures, floors)
    assert floors == {
        "hit": {
            "count": {"floor": 7.0, "margin": 0.0},
            "ratio": {"floor": 2.0},
            "bytes": {"floor": 5.0, "margin": 0.1},
        }
    }


def test_one_of_the_suite_with_options_of_its_own_is_a_study(suite, monkeypatch):
    seen = []
    monkeypatch.setitem(sys.modules, "gossip", type("module", (), {"main": lambda: seen.append(sys.argv[1:])}))
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert suite.main(["gossip", "--nodes", "16"]) == 0
    assert seen == [["--nodes", "16"]]
    with pytest.raises(SystemExit):
        suite.main(["gossip", "--json"])


def test_sides_take_turns(suite):
    order = []

    def side(name, value):
        return lambda: order.append(name) or next(value)

    figures = sys.modules["figures"]
    found = figures.alternate({"a": side("a", iter([1, 9, 3])), "b": side("b", iter([5, 4, 6]))}, rounds=3)
    assert found == {"a": 3, "b": 5}
    assert "".join(order) == "abbaab"
