"""A dump on its way home."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")

from whoismesh.dump_writer import write_dump
from whoismesh.errors import DumpError, UnavailableError, WhoismeshError
from whoismesh.fleet.hosts import given_hosts
from whoismesh.fleet.results import pull, told
from whoismesh.fleet.run import Run
from whoismesh.fleet.ssh import Access, Ran

#: Stands for `on_host` with a state: sends this file, and notes what it is told.
PROGRAM = """
import json, sys
request = json.loads(sys.stdin.readline())
if request["do"] == "dump":
    sent = open({dump!r}, "rb").read()
    sys.stdout.buffer.write(json.dumps({{"size": {size}}}).encode() + b"\\n" + sent)
else:
    open({notes!r}, "w").write(json.dumps(request["note"]))
    print("{{}}")
"""


class Here:
    """A connection to a process of this machine."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def run(self, command: str, sent: Any, *, timeout_s: float, received: Any = None) -> Ran:
        request = b"".join(sent).splitlines()[-1]
        command = [sys.executable, "-c", self._program]
        done = subprocess.run(command, input=request + b"\n", capture_output=True, check=True)
        if received is not None:
            for at in range(0, len(done.stdout), 100):
                received(done.stdout[at : at + 100])
        return Ran(0, b"" if received else done.stdout, "")


@pytest.fixture
def dump(tmp_path: Path, make_state: Callable[..., None], make_result: Callable[..., Any]) -> Path:
    """A complete dump of a few networks."""
    results = [make_result(each, "network", f"193.0.{each}.0/24", name=f"NET-{each}") for each in range(8)]
    (tmp_path / "state").mkdir()
    make_state(tmp_path / "state", ["193.0.0.0/21"], results)
    write_dump(tmp_path / "state", tmp_path / "there.msgpack")
    return tmp_path / "there.msgpack"


def fetch(tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch, size: int | None = None) -> Any:
    program = PROGRAM.format(dump=str(dump), size=size or dump.stat().st_size, notes=str(tmp_path / "notes"))
    monkeypatch.setattr(Run, "connect", lambda self, host: Here(program))
    hosts = given_hosts(["coord", "one"])
    return pull(Run("x", tmp_path, hosts, hosts, Access(None, ())), tmp_path / "here.msgpack")


def test_a_dump_comes_home_and_the_host_is_told(tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = fetch(tmp_path, dump, monkeypatch)
    assert pulled.complete and pulled.networks == 8 and pulled.settled == pulled.space == 2048
    assert (tmp_path / "here.msgpack").read_bytes() == dump.read_bytes()
    assert json.loads((tmp_path / "notes").read_text())["bytes"] == dump.stat().st_size
    assert told(pulled).startswith(f"{tmp_path}/here.msgpack: 8 networks, complete (")


def test_one_that_is_not_complete_is_told_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_state: Callable[..., None], make_result: Callable[..., Any]
) -> None:
    (tmp_path / "state").mkdir()
    make_state(tmp_path / "state", ["193.0.0.0/21"], [make_result(1, "network", "193.0.0.0/24")])
    write_dump(tmp_path / "state", tmp_path / "there.msgpack")
    pulled = fetch(tmp_path, tmp_path / "there.msgpack", monkeypatch)
    assert not pulled.complete and "not complete yet: 12.5 % of the space is settled" in told(pulled)
    assert (tmp_path / "here.msgpack").exists() and not (tmp_path / "notes").exists()


@pytest.mark.parametrize("fault", ["cut", "cut unnoticed", "changed", "something else"])
def test_what_is_not_whole_takes_no_place(
    fault: str, tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.msgpack").write_text("from before")
    whole, size = dump.read_bytes(), dump.stat().st_size
    match fault:
        case "cut":
            dump.write_bytes(whole[:-30])
        case "cut unnoticed":
            dump.write_bytes(whole[:-30])
            size = len(whole) - 30
        case "changed":
            dump.write_bytes(whole.replace(b"NET-3", b"NET-4", 1))
        case _:
            dump.write_bytes(b"Welcome to this host".ljust(size))
    expected: type[WhoismeshError] = UnavailableError if fault == "cut" else DumpError
    with pytest.raises(expected, match=r"bytes of|cut short|footer|no whoismesh dump"):
        fetch(tmp_path, dump, monkeypatch, size)
    assert (tmp_path / "here.msgpack").read_text() == "from before"
    assert not (tmp_path / "here.msgpack.part").exists() and not (tmp_path / "notes").exists()
