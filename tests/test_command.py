from __future__ import annotations

import argparse
import errno
import os
import sqlite3
import subprocess
import sys

import pytest

import whoismesh
from whoismesh.command import EXIT_CODES, age_s, common_arguments, run_command, settings_arguments
from whoismesh.errors import ConfigError, TryAgainError, UsageError


def database_error(code: int, text: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def run_with(error: BaseException | None, *arguments: str) -> int:
    parser = argparse.ArgumentParser(prog="tool")
    common_arguments(parser)

    def run(args: argparse.Namespace) -> int:
        if error is not None:
            raise error
        return 3

    return run_command(parser, run, arguments)


def test_the_exit_code_is_the_command_s() -> None:
    assert run_with(None) == 3


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (UsageError("what is wrong"), 2, ["tool: what is wrong"]),
        (TryAgainError("later"), 75, ["tool: later"]),
        (ConfigError("one", "two"), 78, ["tool: one", "tool: two"]),
        (
            database_error(sqlite3.SQLITE_CORRUPT, "malformed"),
            78,
            ["tool: the state file: cannot be used: malformed; restore it from a copy or give another --state"],
        ),
        (
            database_error(sqlite3.SQLITE_FULL, "is full"),
            75,
            [
                "tool: the state file: cannot be used: is full; make room or mend the disk and run the same command "
                "again: nothing that was acknowledged is lost"
            ],
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "file"),
            75,
            ["tool: file: No space left on device; make room and run it again"],
        ),
        (KeyboardInterrupt(), 130, []),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, lines: list[str]
) -> None:
    assert run_with(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == lines


def test_a_bug_is_not_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_with(ZeroDivisionError("of ours")) == 70
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: of ours\n")


def test_the_help_ends_with_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="tool", epilog="example: tool --quick")
    settings_arguments(parser)
    with pytest.raises(SystemExit) as caught:
        run_command(parser, lambda args: 0, ["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.endswith(f"\nexample: tool --quick\n{EXIT_CODES}\n")
    assert "--config FILE" in out
    assert "--log-level" in out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_with(None, "--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"whoismesh {whoismesh.__version__}\n"


#: Without it a pipe breaks at the first line, and only then.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
SCRIPT = """
import argparse, sys
from whoismesh.command import run_command
def run(args):
    for _ in range(int(sys.argv[1])):
        print("a line of some length")
    return 0
sys.exit(run_command(argparse.ArgumentParser(prog="tool"), run, []))
"""


@pytest.mark.parametrize("lines", ["1", "100000"])
def test_a_reader_that_has_had_enough_is_no_error(lines: str) -> None:
    """As in `tool | head -0`: whether the pipe breaks while printing or only at the end."""
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, lines], stdout=writing, stderr=subprocess.PIPE, env=BUFFERED, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")


def test_no_output_at_all_is_no_error() -> None:
    script = f"exec {sys.executable} -c '{SCRIPT}' 1 >&-"
    process = subprocess.run(["/bin/sh", "-c", script], stderr=subprocess.PIPE, env=BUFFERED, check=False)
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("1.5h", 5400), ("30d", 2592000), ("2w", 1209600)]
)
def test_ages_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert age_s(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1e3d", "30 d", "soon", "infd", "1y"])
def test_what_is_no_age_is_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number and one of s, m, h, d and w"):
        age_s(text)
