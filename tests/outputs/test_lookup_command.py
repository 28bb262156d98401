"""`whoismesh lookup`: ranges, parents, and questions from standard input."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from small_dumps import network, write

from whoismesh import batches
from whoismesh.addresses import Range
from whoismesh.cli import main
from whoismesh.networks import Holder, Unheld

Capture = pytest.CaptureFixture[str]

RECORDS = [
    network("193.0.0.0/16", name="WIDE", holder=Holder("ORG-W", "Wide")),
    network("193.0.0.0/21", name="MIDDLE", country="NL"),
    network("193.0.1.0-193.0.2.127", name="ODD"),
    Unheld("unallocated", Range.parse("194.0.0.0/24"), "nobody"),
    network("2001:600::/32", name="SIX"),
    network("2001:600:1::/48", name="SIX-A"),
]
ODD = "193.0.1.0-193.0.2.127, ODD, holder not named, ripencc"
MIDDLE = "193.0.0.0/21, MIDDLE, holder not named, NL, ripencc"
WIDE = "193.0.0.0/16, WIDE, Wide, ripencc"


@pytest.fixture
def dump(tmp_path: Path) -> str:
    return str(write(tmp_path / "results.msgpack", RECORDS))


def asked(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, text: str | bytes, *arguments: str
) -> tuple[int, list[str], str]:
    """Return exit code, lines and errors of a lookup that reads these questions."""
    data = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code = main(["lookup", *arguments])
    out, err = capsys.readouterr()
    return code, out.split("\n")[:-1], err


def test_a_range_is_answered_by_the_narrowest_record_that_holds_all_of_it(dump: str, capsys: Capture) -> None:
    for text, answer in (
        ("193.0.1.0/24", ODD),
        ("193.0.0.0/23", MIDDLE),
        ("193.0.0.9-193.0.0.10", MIDDLE),
        ("193.0.255.0/24", WIDE),
        ("193.0.0.0/16", WIDE),
    ):
        assert main(["lookup", dump, text]) == 0
        assert capsys.readouterr() == (f"{text}: {answer}\n", "")


def test_a_range_that_nothing_holds_is_answered_in_parts(dump: str, capsys: Capture) -> None:
    assert main(["lookup", dump, "193.0.0.0-194.0.0.255"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"193.0.0.0/24: {MIDDLE}",
        f"193.0.1.0-193.0.2.127: {ODD}",
        f"193.0.2.128-193.0.7.255: {MIDDLE}",
        f"193.0.8.0-193.0.255.255: {WIDE}",
        "193.1.0.0-193.255.255.255: not in this dump",
        "194.0.0.0/24: unallocated, 194.0.0.0/24 (nobody)",
    ]
    assert main(["lookup", dump, "193.0.255.0-193.1.0.255", "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["range"], each["part"], each["kind"]) for each in lines] == [
        ("193.0.255.0-193.1.0.255", "193.0.255.0/24", "network"),
        ("193.0.255.0-193.1.0.255", "193.1.0.0/24", None),
    ]


def test_parents_come_after_the_answer_the_narrowest_first(dump: str, capsys: Capture) -> None:
    assert main(["lookup", dump, "193.0.1.1", "2001:600:1::/49", "194.0.0.1", "--parents"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"193.0.1.1: {ODD}",
        f"  in {MIDDLE}",
        f"  in {WIDE}",
        "2001:600:1::/49: 2001:600:1::/48, SIX-A, holder not named, ripencc",
        "  in 2001:600::/32, SIX, holder not named, ripencc",
        "194.0.0.1: unallocated, 194.0.0.0/24 (nobody)",
    ]
    assert main(["lookup", dump, "193.0.1.1", "8.8.8.8", "--parents", "--json"]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["address"] == "193.0.1.1" and first["name"] == "ODD"
    assert [each["name"] for each in first["parents"]] == ["MIDDLE", "WIDE"]
    assert second == {"address": "8.8.8.8", "kind": None, "parents": []}


def test_standard_input_is_answered_line_by_line(dump: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "193.0.1.1\n\n 193.0.0.1 \r\n8.8.8.8\n2001:600:0001::1\n193.0.1.0/24\n::ffff:193.0.0.1\n2001:700::\n194.0.0.7"
    )
    code, lines, err = asked(monkeypatch, capsys, text, dump, "-")
    assert (code, err) == (1, "")
    assert lines == [
        f"193.0.1.1: {ODD}",
        f"193.0.0.1: {MIDDLE}",
        "8.8.8.8: not in this dump",
        "2001:600:1::1: 2001:600:1::/48, SIX-A, holder not named, ripencc",
        f"193.0.1.0/24: {ODD}",
        "::ffff:193.0.0.1: not in this dump",
        "2001:700::: not in this dump",
        "194.0.0.7: unallocated, 194.0.0.0/24 (nobody)",
    ]
    code, lines, _ = asked(monkeypatch, capsys, "193.0.1.1\n193.0.1.0/24\n", dump, "-", "--json")
    assert code == 0
    assert [json.loads(line)["name"] for line in lines] == ["ODD", "ODD"]


def test_what_asks_nothing_is_answered_and_counted(dump: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"193.0.1.1\nexample.org\n1.2.3\n010.0.0.1\n\xff\xfe\nfe80::1%eth0\n" + b"x" * 300_000 + b"\n193.0.1.1"
    code, lines, err = asked(monkeypatch, capsys, text, dump, "-")
    assert code == 1
    assert err == "whoismesh: standard input: 6 lines are no address, CIDR or range\n"
    assert len(lines) == 8
    assert lines[0] == lines[7] == f"193.0.1.1: {ODD}"
    assert lines[1] == "example.org: no address, CIDR or range"
    assert len(lines[6]) < 300
    code, lines, _ = asked(monkeypatch, capsys, "example.org\n", dump, "-", "--json")
    assert [json.loads(line) for line in lines] == [
        {"asked": "example.org", "kind": None, "error": "no address, CIDR or range"}
    ]


def test_many_questions_are_answered_as_one_by_one(dump: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick way and the way of single questions, over the seams of what is read at a time."""
    monkeypatch.setattr(batches, "PIECE_BYTES", 1000)
    chance = random.Random(7)
    near = [each.range for each in RECORDS]
    questions = []
    for _ in range(2_000):
        where = chance.choice(near)
        address = (
            where.first + chance.randrange(-300, 70_000) if where.family == 4 else where.first + chance.getrandbits(82)
        )
        questions.append(str(IPv4Address(address) if where.family == 4 else IPv6Address(address)))
    assert main(["lookup", dump, *questions]) == 1
    expected = capsys.readouterr().out.splitlines()
    code, lines, _ = asked(monkeypatch, capsys, "\n".join(questions), dump, "-")
    assert (code, lines) == (1, expected)


def test_the_first_lookup_in_a_large_dump_says_that_it_makes_an_index(tmp_path: Path) -> None:
    path = write(tmp_path / "big", [network(f"10.{n >> 8}.{n & 255}.0/24", name="N" * 1_000) for n in range(1_000)])
    command = [sys.executable, "-m", "whoismesh", "lookup", str(path), "10.1.2.3"]
    told = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "NO_COLOR": "1"})
        assert done.stdout.startswith("10.1.2.3: 10.1.2.0/24, NNN")
        told.append(done.stderr)
    assert told == [f"whoismesh: making {path}.index, once for this dump\n", ""]


def test_one_lookup_imports_little(dump: str) -> None:
    """A process is mostly its start: what is not needed for a line of text stays out."""
    write(Path(dump), [network(f"10.{n >> 8}.{n & 255}.0/24", name="N" * 1_000) for n in range(1_000)])
    assert main(["lookup", dump, "10.1.2.3"]) == 0
    script = (
        "import sys; from whoismesh.cli import main\n"
        f"code = main(['lookup', {dump!r}, '10.1.2.3'])\n"
        "names = ('sqlite3', 'logging', 'structlog', 'asyncio', 'hashlib', 'traceback', 'whoismesh.dump')\n"
        "print([each for each in names if each in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[] 0"


def test_a_closed_pipe_ends_a_batch_quietly(dump: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "whoismesh", "lookup", dump, "-"]
    done = subprocess.run(command, input=b"193.0.1.1\n" * 200_000, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
