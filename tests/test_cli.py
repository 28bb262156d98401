from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import whoismesh
from whoismesh.cli import main
from whoismesh.cli.main import COMMANDS
from whoismesh.command import EXIT_CODES
from whoismesh.compounds import Result
from whoismesh.networks import Holder
from whoismesh.packing import pack

MakeResult = Callable[..., Result]
MakeState = Callable[[Path, Iterable[str], Iterable[Result]], None]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def state(tmp_path: Path, make_result: MakeResult, make_state: MakeState) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    results = [
        make_result(
            1,
            "network",
            "193.0.0.0/21",
            name="EXEMPLE-FR",
            country="FR",
            holder=Holder("ORG-EX1", "Société Exemple"),
        ),
        make_result(2, "network", "193.0.0.0-193.0.2.255", name="PART", holder=Holder("ORG-EX2")),
        make_result(3, "unallocated", "193.0.8.0"),
        make_result(4, "network", "2001:600::/32", name="V6"),
    ]
    make_state(folder, ["193.0.0.0-193.0.9.255", "2001:600::/32", "10.0.0.0/24"], results)
    return folder


@pytest.fixture
def dump_file(state: Path, tmp_path: Path, capsys: Capture) -> Path:
    path = tmp_path / "results.msgpack"
    assert main(["dump", "--state", str(state), str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    return path


@pytest.fixture
def cut_file(dump_file: Path) -> Path:
    dump_file.write_bytes(dump_file.read_bytes()[:-20])
    return dump_file


def one_line(capsys: Capture) -> tuple[str, str]:
    """Return what was printed; on standard error it is one line."""
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert err.startswith("whoismesh: ")
    return out, err


def test_stats_are_for_people(dump_file: Path, capsys: Capture) -> None:
    assert main(["stats", str(dump_file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("3 networks hold 79,228,162,514,264,337,593,543,952,384 addresses\n")
    assert "(100.00%, not complete):" in out
    assert "ripencc" in out


def test_stats_as_json_have_the_promised_keys(dump_file: Path, capsys: Capture) -> None:
    assert main(["stats", str(dump_file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    agreed = {"range": 0, "registry": 0, "handle": 0, "holder": 0, "country": 0}
    assert found == {
        "networks": 3,
        "announced": 0,
        "addresses": 2048 + 2**96,
        "space": 2560 + 256 + 2**96,
        "settled": 2304 + 256 + 2**96,
        "held": 2048 + 2**96,
        "unallocated": 256,
        "reserved": 256,
        "failed": 0,
        "disagreements": 0,
        "complete": False,
        "by_registry": {
            "arin": {"networks": 0, "addresses": 0, "disagreements": agreed},
            "ripencc": {"networks": 3, "addresses": 2048 + 2**96, "disagreements": agreed},
            "apnic": {"networks": 0, "addresses": 0, "disagreements": agreed},
            "lacnic": {"networks": 0, "addresses": 0, "disagreements": agreed},
            "afrinic": {"networks": 0, "addresses": 0, "disagreements": agreed},
        },
    }


def test_stats_of_a_cut_dump_count_what_is_whole_and_say_so(cut_file: Path, capsys: Capture) -> None:
    assert main(["stats", str(cut_file), "--json"]) == 1
    out, err = one_line(capsys)
    assert json.loads(out)["networks"] == 3
    assert f"{cut_file}: is cut short after 5 whole records; write it again with" in err
    assert main(["stats", str(cut_file)]) == 1
    out, _ = one_line(capsys)
    assert out.startswith("3 networks hold")


def test_lookup_says_who_holds_an_address(dump_file: Path, capsys: Capture) -> None:
    asked = ["193.0.6.139", "193.0.1.1", "193.0.8.9", "10.0.0.1", "2001:600::1"]
    assert main(["lookup", str(dump_file), *asked]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "193.0.6.139: 193.0.0.0/21, EXEMPLE-FR, Société Exemple, FR, ripencc",
        "193.0.1.1: 193.0.0.0-193.0.2.255, PART, ORG-EX2, ripencc",
        "193.0.8.9: unallocated, 193.0.8.0/24 (no registry knows a registration)",
        "10.0.0.1: reserved, 10.0.0.0/24 (special-purpose, or given to no registry by IANA)",
        "2001:600::1: 2001:600::/32, V6, holder not named, ripencc",
    ]


def test_lookup_of_what_the_dump_does_not_tell_ends_with_1(dump_file: Path, capsys: Capture) -> None:
    assert main(["lookup", str(dump_file), "8.8.8.8", "193.0.6.139"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("8.8.8.8: not in this dump\n193.0.6.139: ")


def test_lookup_prints_a_json_line_for_each_address(dump_file: Path, capsys: Capture) -> None:
    asked = ["193.0.6.139", "8.8.8.8", "193.0.6.139", "2001:0600:0::1"]
    assert main(["lookup", str(dump_file), "--json", *asked]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["address"] for line in lines] == ["193.0.6.139", "8.8.8.8", "193.0.6.139", "2001:600::1"]
    assert lines[0]["holder"] == {"handle": "ORG-EX1", "name": "Société Exemple"}
    assert (lines[0]["first"], lines[0]["last"], lines[0]["cidrs"]) == ("193.0.0.0", "193.0.7.255", ["193.0.0.0/21"])
    assert lines[1] == {"address": "8.8.8.8", "kind": None}


def test_lookup_in_a_cut_dump_answers_and_says_so(cut_file: Path, capsys: Capture) -> None:
    assert main(["lookup", str(cut_file), "193.0.6.139"]) == 1
    out, err = one_line(capsys)
    assert out == "193.0.6.139: 193.0.0.0/21, EXEMPLE-FR, Société Exemple, FR, ripencc\n"
    assert "is cut short after 5 whole records" in err


@pytest.mark.parametrize("address", ["193.0.0.1/21", "example.org", "1.2.3", "", "fe80::1%eth0"])
def test_a_bad_address_is_a_usage_error(dump_file: Path, capsys: Capture, address: str) -> None:
    assert main(["lookup", str(dump_file), "193.0.6.139", address]) == 2
    out, err = one_line(capsys)
    assert out == ""
    assert repr(address) in err


@pytest.mark.parametrize("command", [["stats"], ["lookup"]])
def test_a_file_that_is_missing_or_no_dump_is_named(tmp_path: Path, capsys: Capture, command: list[str]) -> None:
    path = tmp_path / "results.msgpack"
    more = ["8.8.8.8"] if command == ["lookup"] else []
    assert main([*command, str(path), *more]) == 1
    assert one_line(capsys) == ("", f"whoismesh: {path}: cannot be read: No such file or directory\n")
    path.write_text("notes")
    assert main([*command, str(path), *more]) == 1
    _, err = one_line(capsys)
    assert f"{path}: is no whoismesh dump" in err
    path.write_bytes(pack({"format": "whoismesh-dump", "version": 9}))
    assert main([*command, str(path), *more]) == 1
    _, err = one_line(capsys)
    assert "is a dump of version 9, this program reads 1" in err


def test_a_state_that_is_none_is_a_configuration_error(tmp_path: Path, capsys: Capture) -> None:
    assert main(["dump", "--state", str(tmp_path), str(tmp_path / "dump")]) == 78
    _, err = one_line(capsys)
    assert f"{tmp_path / 'ledger.sqlite'} does not exist; give the --state folder of a crawl" in err


def test_a_dump_that_cannot_be_written_ends_with_1(state: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["dump", "--state", str(state), str(tmp_path / "no" / "dump")]) == 1
    _, err = one_line(capsys)
    assert "cannot be written: No such file or directory; give another file" in err


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["--nonsense"], ["stats"], ["lookup", "file"], ["dump", "file"], ["stats", "a", "b"], ["stat"]],
    ids=repr,
)
def test_wrong_usage_ends_with_2(capsys: Capture, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: whoismesh")


@pytest.mark.parametrize("command", [[], *([name] for name, _, _ in COMMANDS)], ids=repr)
def test_the_help_of_every_command_has_an_example_and_the_exit_codes(capsys: Capture, command: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "example:" in out.lower()
    assert f"whoismesh {' '.join(command)}".strip() in out.lower().partition("example:")[2]
    assert out.endswith(f"{EXIT_CODES}\n")
    assert out.count("exit codes:") == 1


def test_the_help_lists_every_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert re.findall(r"^ {4}([a-z-]+)", out, re.MULTILINE) == [name for name, _, _ in COMMANDS]


def test_the_version_is_told(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"whoismesh {whoismesh.__version__}\n"


def test_only_the_command_that_is_used_is_imported() -> None:
    script = (
        "import sys; from whoismesh.cli import main\n"
        "code = main(['stats', '/nonexistent'])\n"
        "print([each for each in ('aiohttp', 'zmq', 'rich', 'ipwhois', 'netaddr') if each in sys.modules], code)"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert process.stdout == "[] 1\n"


@pytest.mark.parametrize("command", ["stats", "lookup", "diff"])
def test_a_closed_pipe_ends_quietly(dump_file: Path, command: str) -> None:
    more = {"lookup": ["193.0.6.139"] * 5, "diff": [str(dump_file), "--json"]}.get(command, [])
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "whoismesh", command, str(dump_file), *more],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        check=False,
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")
