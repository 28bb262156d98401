"""The command: what it prints and writes, how it ends, and how it fails."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from whoismesh.addresses import Range
from whoismesh.errors import ConfigError, UsageError
from whoismesh.practice import command, names
from whoismesh.practice.faults import FAULTS, Fault, RetryAfter
from whoismesh.practice.outdated import Before, Outdated
from whoismesh.practice.quirks import QUIRKS
from whoismesh.practice.table import AllocationTable, packaged

ROOT = Path(__file__).resolve().parents[2]


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


@contextmanager
def running(*arguments: str, pass_fds: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "whoismesh", "practice", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    config, log = tmp_path / "practice.toml", tmp_path / "log"
    with running("--config-out", str(config), "--log", str(log), "--space", "24.192.0.0/16", "61.0.0.0/16") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == f"practice registries ready: 8558 networks of 5 registries; config in {config}\n"
        settings = tomllib.loads(config.read_text())
        assert settings["crawl"]["space"] == ["24.192.0.0/16", "61.0.0.0/16"]
        host, _, port = settings["registries"]["arin"]["whois"].partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(b"n + 24.192.0.1\r\n")
            assert sock.recv(10)
        process.send_signal(number)
        assert process.wait(10) == 0
    assert log.read_text().endswith(",arin,whois,24.192.0.1,network\n")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_port_43_that_lags_behind_is_a_switch_away(tmp_path: Path) -> None:
    asked = Range.parse("24.200.0.1")
    row = AllocationTable.load(packaged()).find(asked.family, asked.first)
    assert row is not None and row.registry == "arin"
    seeds = {Outdated(1.0, seed).of(row): seed for seed in range(9)}
    for way in Before:
        config = tmp_path / f"{way}.toml"
        with running("--config-out", str(config), "--outdated", "1", "--seed", str(seeds[way])) as process:
            assert process.stdout is not None
            process.stdout.readline()
            host, _, port = tomllib.loads(config.read_text())["registries"]["arin"]["whois"].partition(":")
            with socket.create_connection((host, int(port)), timeout=10) as sock, sock.makefile() as answer:
                sock.sendall(f"n + {asked}\r\n".encode())
                text = answer.read()
        older = Outdated(1.0, seeds[way]).row(row, asked)
        assert f"{older.name} (" in text
        assert names.span(older.range) in text


def test_says_ready_and_ends_with_its_parent(tmp_path: Path) -> None:
    ready_out, ready_in = os.pipe()
    life_out, life_in = os.pipe()
    config = tmp_path / "practice.toml"
    arguments = ("--config-out", str(config), "--ready-fd", str(ready_in), "--lifeline-fd", str(life_out))
    with running(*arguments, pass_fds=(ready_in, life_out)) as process:
        os.close(ready_in)
        os.close(life_out)
        with os.fdopen(ready_out) as ready:
            assert ready.read() == "ready\n"  # to its end: the server has closed it
        assert config.exists()
        os.close(life_in)
        assert process.wait(10) == 0


def test_a_port_in_use_is_one_line_and_exit_69(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = min(sock.getsockname()[1], 65_526)
        config = tmp_path / "practice.toml"
        with running("--port", str(port), "--config-out", str(config)) as process:
            out, err = process.communicate(timeout=20)
        assert process.returncode == 69 and out == ""
        assert err.count("\n") == 1 and "in use" in err
        assert not config.exists()


def test_wrong_tables_settings_and_descriptors_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("nothing\n")
    with pytest.raises(ConfigError, match=r"table\.csv"):
        command.run(parse("--table", str(table)))
    with pytest.raises(ConfigError, match="overlap"):
        command.run(parse("--space", "24.0.0.0/8", "24.1.0.0/16"))
    for arguments in (
        ("--faults", "2"),
        ("--rate-limit", "0"),
        ("--latency", "-1"),
        ("--port", "70000"),
        ("--host", "x"),
        ("--quirks", "-1"),
        ("--outdated", "1.5"),
        ("--ban-after", "0"),
        ("--most-connections", "0"),
    ):
        with pytest.raises(UsageError):
            command.run(parse(*arguments))
    with pytest.raises(UsageError, match="lifeline"):
        command.run(parse("--lifeline-fd", "987"))
    with pytest.raises(UsageError, match="ready-fd"):
        command.run(parse("--ready-fd", "987"))


def test_kinds_are_named_one_by_one_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    args = parse("--fault-kinds", "cut, bomb", "--quirk-kinds", "all", "--retry-after", "date")
    assert args.fault_kinds == (Fault.CUT, Fault.BOMB)
    assert args.quirk_kinds == QUIRKS
    assert args.retry_after is RetryAfter.DATE
    assert parse().fault_kinds == FAULTS
    for arguments in (("--fault-kinds", "cut,rain"), ("--quirk-kinds", ""), ("--retry-after", "soon")):
        with pytest.raises(SystemExit) as caught:
            parse(*arguments)
        assert caught.value.code == 2
        assert arguments[0] in capsys.readouterr().err


def test_a_config_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with running("--config-out", str(tmp_path / "missing" / "practice.toml")) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 69 and "cannot write" in err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    assert "example:" in capsys.readouterr().out
