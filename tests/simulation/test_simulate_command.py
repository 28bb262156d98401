from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from whoismesh.cli import main
from whoismesh.ledger.intake import Intake

Capture = pytest.CaptureFixture[str]
SMALL = ["simulate", "--workers", "3", "--networks", "30", "--lasting", "15", "--jobs", "1"]
KIND = [word for name in ("loss", "crash", "partition", "pause", "trouble") for word in (f"--{name}", "0")]


def test_seeds_that_hold_are_told_with_what_they_cost(capsys: Capture) -> None:
    assert main([*SMALL, "--seed", "5", "--seeds", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("2 seeds, 3 workers, 30 networks: no invariant broken in ")
    rows = [line.split()[0] for line in out.splitlines()[2:-1]]
    assert rows == ["lookups", "lookups", "crawl,", "time", "most", "cpu,"]
    assert "messages lost" in out
    assert err == ""


def test_json_holds_the_same_for_programs(capsys: Capture) -> None:
    assert main([*SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seeds"] == 1
    assert found["broken"] == []
    costs = {"lookups_a_network", "lookups_over_ideal", "crawl_s", "time_over_ideal", "most_of_a_budget", "cpu_s"}
    assert set(found["costs"]) == costs
    assert list(found["traces"]) == ["1"]


def test_no_intensity_is_no_fault(capsys: Capture) -> None:
    assert main([*SMALL, "--json", *KIND]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert set(counts) <= {"addresses_failed", "blocks_abandoned", "note_worker_joined", "note_worker_left"}


def test_a_terminal_is_told_how_far_it_is() -> None:
    master, slave = os.openpty()
    command = [sys.executable, "-m", "whoismesh", *SMALL, *KIND, "--seeds", "2"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=slave, timeout=120, check=True)
    os.close(slave)
    shown = os.read(master, 4096)
    os.close(master)
    assert shown == b"\r1 of 2 seeds, 0 failed\r2 of 2 seeds, 0 failed\r\n"
    assert done.stdout.startswith(b"2 seeds, ")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def sift(_: Intake, results: Any) -> Any:
        return list(results), []

    monkeypatch.setattr(Intake, "sift", sift)


@pytest.mark.usefixtures("broken")
def test_a_broken_invariant_is_told_with_the_command_that_repeats_it_exactly(capsys: Capture) -> None:
    assert main([*SMALL, "--loss", "0.4123456789", "--partition", "1.5", "--seed", "7"]) == 1
    told = capsys.readouterr().out.splitlines()[:4]
    assert told[0].startswith("seed 7: stored-once broke at ")
    assert [line.split()[0] for line in told[1:]] == ["expected", "found", "replay"]
    program, *arguments = told[3].split()[1:]
    assert program == "whoismesh"
    assert main(arguments) == 1
    assert capsys.readouterr().out.splitlines()[:4] == told


@pytest.mark.usefixtures("broken")
def test_a_broken_invariant_is_in_the_json(capsys: Capture) -> None:
    assert main([*SMALL, "--loss", "0.5", "--seed", "7", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["broken"]
    assert (row["seed"], row["invariant"]) == (7, "stored-once")
    assert row["replay"].startswith("whoismesh simulate --seed 7 --workers 3 --networks 30 --loss 0.5 ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workers", "0"], "--workers 0: expected 1 to 1000"),
        (["--networks", "0"], "--networks 0: expected 1 to 100000"),
        (["--seeds", "0"], "--seeds 0: expected 1 to 1000000"),
        (["--seed", "-1"], "--seed -1: expected 0 to"),
        (["--jobs", "0"], "--jobs 0: expected 1 to 1024"),
        (["--loss", "1"], "--loss 1: expected 0 to 0.9"),
        (["--loss", "nan"], "--loss nan: expected 0 to 0.9"),
        (["--crash", "-0.1"], "--crash -0.1: expected 0 to 60"),
        (["--partition", "inf"], "--partition inf: expected 0 to 600"),
        (["--lasting", "0"], "--lasting 0: expected 1 to 86400"),
    ],
)
def test_bad_flags_are_usage_errors(capsys: Capture, flags: list[str], message: str) -> None:
    assert main(["simulate", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"whoismesh: {message}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("flags", [["--workers", "many"], ["--loss", "much"], ["--seeds"]])
def test_what_is_no_flag_is_refused_with_the_usage(capsys: Capture, flags: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["simulate", *flags])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: whoismesh simulate")
