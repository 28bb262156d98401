"""Gossip alone, many engines on a virtual clock: after whatever went wrong all replicas become alike, and in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from whoismesh.cli import main
from whoismesh.gossip.logs import Logs
from whoismesh.simulation.gossip.plan import AWAY, BACK, Plan
from whoismesh.simulation.gossip.run import Report, play, rounds_of

pytestmark = pytest.mark.slow

Capture = pytest.CaptureFixture[str]
SMALL = Plan(nodes=60, blocks=900, lasting_s=20.0, cut_s=8.0, crash=1.0)
#: The digest of a fleet that has seen 10,000 process starts stays below this, bytes.
MOST_DIGEST_BYTES = 16 * 1024


def well(report: Report) -> Report:
    assert (report.invariant, report.expected, report.found) == ("", "", "")
    print(json.dumps(report.to_map()))
    return report


@pytest.fixture(scope="module")
def small() -> Report:
    return well(play(SMALL))


def test_whatever_goes_wrong_all_replicas_become_alike(small: Report) -> None:
    assert small.live == 60
    assert small.starts > 65
    assert small.known >= 890  # what only the finder knew may have died with its disk
    assert small.frames["relayed"] > small.frames["own"]
    assert small.ways["1"]
    assert small.ways["2"]
    assert small.ways["feed"]
    assert small.ways["exchange"]
    # Half of all have a block after a moment, and not after the next exchange.
    assert small.all_s[0] < 0.5


def test_a_fleet_played_again_is_the_same_to_the_last_frame(small: Report) -> None:
    again = play(SMALL)
    assert {**again.to_map(), "cpu_s": 0} == {**small.to_map(), "cpu_s": 0}
    assert play(replace(SMALL, seed=2)).trace != small.trace


@pytest.mark.parametrize("coordinator", [AWAY, BACK])
def test_replicas_become_alike_while_the_coordinator_is_away_and_when_it_is_back(coordinator: str) -> None:
    well(play(replace(SMALL, nodes=40, blocks=400, crash=0.5, coordinator=coordinator)))


def test_exchanges_alone_tell_everybody(small: Report) -> None:
    report = well(play(replace(SMALL, blocks=300, latency_layer=False, broken=0.1)))
    assert set(report.ways) == {"found", "exchange"}
    assert report.all_s[0] > small.all_s[0]


def test_a_fifth_dead_and_a_tenth_lost_leaves_nobody_out() -> None:
    plan = Plan(nodes=80, blocks=300, loss=0.1, broken=0.1, crash=0.0, cut_s=0.0, dead=0.2, lasting_s=10.0)
    report = well(play(replace(plan, coordinator=AWAY)))
    assert (report.live, report.known) == (64, 300)
    relayed = sum(count for way, count in report.ways.items() if way.isdigit())
    assert relayed > 0.95 * sum(report.ways.values()), "relays reach nearly all without an exchange"


def test_a_fleet_of_short_lives_keeps_a_short_digest() -> None:
    report = well(play(Plan(nodes=12, blocks=300, burst=2, crash=12.0, cut_s=0.0, lasting_s=100.0)))
    assert report.starts > 150
    assert report.largest_digest_bytes < 1_000


def test_rounds_grow_as_the_logarithm_of_the_fleet() -> None:
    assert [rounds_of(nodes) for nodes in (2, 50, 200, 1_000)] == [7, 7, 9, 11]
    assert 9 < rounds_of(500) < 11 < rounds_of(5_000) < 14


# -- the command -----------------------------------------------------------------------------------------------

FEW = ["simulate-gossip", "--nodes", "12", "--blocks", "60", "--lasting", "5", "--cut", "2", "--quiet"]


def test_the_command_tells_what_it_took(capsys: Capture) -> None:
    assert main([*FEW, "--seeds", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("seed 1: all 12 live replicas alike ")
    assert "\nseed 2: all 12 live replicas alike " in out
    assert "rounds at most" in out
    assert err == ""


def test_json_holds_the_same_for_programs_and_can_be_repeated(capsys: Capture) -> None:
    assert main([*FEW, "--loss", "0.123456789", "--coordinator", "back", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["invariant"] == ""
    assert first["frames"]["feed"]
    program, *arguments = first["replay"].split()
    assert program == "whoismesh"
    assert main([*arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**again, "cpu_s": 0} == {**first, "cpu_s": 0}


def test_a_seed_is_the_same_in_another_process_with_other_hashes() -> None:
    traces = Counter[str]()
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "whoismesh", *FEW, "--crash", "6", "--json"]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=120, check=True)
        traces[json.loads(done.stdout)["trace"]] += 1
    assert len(traces) == 1


def test_replicas_that_stay_different_are_told_with_the_command_that_repeats_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Logs, "delta", lambda *args, **names: iter(()))
    assert main([*FEW, "--loss", "0.5", "--coordinator", "away"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("seed 1: replicas-converge broke at ")
    assert [line.split()[0] for line in told[1:4]] == ["expected", "found", "replay"]
    arguments = told[3].split()[2:]
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines()[:4] == told[:4]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--nodes", "1"], "--nodes 1: expected 2 to 10000"),
        (["--loss", "1"], "--loss 1.0: expected 0 to 0.9"),
        (["--crash", "nan"], "--crash nan: expected 0 to 60"),
        (["--lasting", "0"], "--lasting 0.0: expected 1 to 86400"),
        (["--seeds", "0"], "--seeds 0: expected 1 to "),
    ],
)
def test_bad_flags_are_usage_errors(capsys: Capture, flags: list[str], message: str) -> None:
    assert main(["simulate-gossip", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"whoismesh: {message}")
    assert err.count("\n") == 1


# -- the long form ---------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(1_800)  # on a quiet machine it takes a fifth of that
def test_a_thousand_nodes_and_twenty_thousand_blocks() -> None:
    well(play(Plan()))


@pytest.mark.soak
@pytest.mark.timeout(1_800)  # on a quiet machine it takes a fifth of that
@pytest.mark.parametrize("broken", [0.0, 0.1])
def test_a_thousand_nodes_without_pub_sub(broken: float) -> None:
    plan = Plan(blocks=1_000, lasting_s=10.0, cut_s=0.0, crash=0.0, broken=broken, latency_layer=False)
    report = well(play(plan))
    assert report.rounds <= 3 * 11


@pytest.mark.soak
@pytest.mark.timeout(1_800)  # on a quiet machine it takes a fifth of that
@pytest.mark.parametrize(("coordinator", "crash", "lasting_s"), [("here", 10.0, 3_200.0), (BACK, 20.0, 4_800.0)])
def test_ten_thousand_process_starts_leave_a_small_digest(coordinator: str, crash: float, lasting_s: float) -> None:
    plan = Plan(nodes=40, blocks=8_000, burst=3, crash=crash, cut_s=0.0, lasting_s=lasting_s, coordinator=coordinator)
    report = well(play(plan))
    assert report.origins >= 10_000
    assert report.largest_digest_bytes < MOST_DIGEST_BYTES


@pytest.mark.soak
@pytest.mark.timeout(1_800)  # on a quiet machine it takes a fifth of that
def test_a_fifth_of_a_thousand_dead_and_a_tenth_lost() -> None:
    plan = Plan(blocks=1_000, loss=0.1, broken=0.1, crash=0.0, cut_s=0.0, dead=0.2, lasting_s=10.0, coordinator=AWAY)
    assert well(play(plan)).live == 800
