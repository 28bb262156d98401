"""The tasks as a person calls them: the real `fab`, which knows no traceback, and each task once for all hosts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

fabric = pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")

import invoke  # noqa: E402

from whoismesh.errors import WhoismeshError  # noqa: E402
from whoismesh.fleet.run import find_run  # noqa: E402

PROJECT = Path(__file__).resolve().parents[2]
FAB = Path(sys.executable).parent / "fab"
TASKS = """
from whoismesh.errors import ConfigError
from whoismesh.fleet.ssh import fleet_task, hosts_given

@fleet_task(help={})
def show(context, name="x"):
    "Show."
    print(name, hosts_given(context))
    return 0

@fleet_task(help={})
def fail(context):
    "Fail."
    raise ConfigError("one thing", "and another")

@fleet_task(help={})
def some(context):
    "Return."
    return 1
"""


def fab(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{PROJECT}"}
    return subprocess.run(
        [FAB, *words], cwd=cwd, capture_output=True, text=True, timeout=60, env=environment, check=False
    )


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    (tmp_path / "fabfile.py").write_text(TASKS)
    (tmp_path / "fabric.json").write_text((PROJECT / "fabric.json").read_text())
    return tmp_path


def test_a_task_runs_once_for_all_hosts(tasks: Path) -> None:
    assert fab("-H", "one,root@two:2222", "show", "--name", "y", "show", cwd=tasks).stdout.splitlines() == [
        "y ['one', 'root@two:2222']",
        "x ['one', 'root@two:2222']",
    ]
    assert fab("show", cwd=tasks).stdout == "x []\n"


def test_errors_are_lines_and_codes(tasks: Path) -> None:
    done = fab("fail", cwd=tasks)
    assert (done.returncode, done.stderr) == (78, "fab fail: one thing\nfab fail: and another\n")
    assert fab("some", cwd=tasks).returncode == 1


def test_without_its_executor_nothing_runs_many_times(tasks: Path) -> None:
    (tasks / "fabric.json").unlink()
    done = fab("-H", "one,two", "show", cwd=tasks)
    assert done.returncode == 78 and "fabric.json beside fabfile.py" in done.stderr and not done.stdout


def test_commands_of_fabrics_own_still_go_to_each_host(tasks: Path) -> None:
    # Nothing listens there: fabric tries, for the first one.
    done = fab("-H", "127.0.0.1:1", "--", "true", cwd=tasks)
    assert done.returncode != 0 and "NoValidConnectionsError" in done.stderr


def test_every_task_says_what_it_does_and_what_its_options_mean() -> None:
    spec = importlib.util.spec_from_file_location("fabfile", PROJECT / "fabfile.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tasks = invoke.Collection.from_module(module).tasks
    assert {"deploy", "start", "stop", "status", "logs", "follow", "pull", "down", "wheels", "keys", "check"} <= set(
        tasks
    )
    for name, task in tasks.items():
        assert task.help or name == "check"
        options = task.get_arguments()  # raises where a help is of no option
        assert (task.__doc__ or "").strip() and all(each.help for each in options), name


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    for words, code, told in (
        (["-H", "a b", "status"], 2, "fab status: 'a b' is no host"),
        (["-H", "a,b", "deploy"], 78, "fab deploy: --config FILE is missing"),
    ):
        done = fab("-r", PROJECT, *words, cwd=tmp_path)
        assert done.returncode == code and done.stderr.startswith(told) and len(done.stderr.splitlines()) == 1


def given(hosts: str) -> object:
    return type("Context", (), {"config": fabric.Config(overrides={"whoismesh_hosts": hosts})})()


@pytest.mark.parametrize(
    ("hosts", "options", "told"),
    [
        ("a,a", {}, "-H names a twice"),
        ("a,b", {"coordinator": "c"}, "c: is none of the hosts"),
        ("a,b", {"name": "../x"}, "--run '../x' is no name"),
        ("a,b", {"known_hosts": "nowhere"}, "--known-hosts nowhere: no such file"),
        ("a,b", {"at_once": 0}, "--at-once 0: expected 1 at least"),
        ("", {"coordinator": "c"}, "--coordinator goes with -H"),
    ],
)
def test_a_run_that_cannot_be_is_refused(hosts: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(WhoismeshError, match=re.escape(told)):
        find_run(given(hosts), **{"name": "x", **options})


def test_known_hosts_are_those_given_or_the_runs_or_the_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    own, mine = Path("fleet/x/known_hosts"), tmp_path / "mine"
    operators = (tmp_path / ".ssh/known_hosts", Path("/etc/ssh/ssh_known_hosts"))
    assert find_run(given("a"), "x").access.known_hosts == operators
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_run(given("a"), "x").access.known_hosts == (own,)
    mine.touch()
    assert find_run(given("a"), "x", known_hosts=str(mine)).access.known_hosts == (mine,)


def test_hosts_that_cannot_be_reached_are_rows_and_outcomes(tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    hosts = ["-r", PROJECT, "-H", "127.0.0.1:1,no-such-host.invalid"]
    done = fab("-t", "5", *hosts, "status", "--json", "--known-hosts", "known_hosts", cwd=tmp_path)
    assert done.returncode == 1 and not done.stderr
    rows = json.loads(done.stdout)
    assert [(row["host"], row["role"], row["state"]) for row in rows] == [
        ("127.0.0.1", "coordinator", "unreachable"),
        ("no-such-host.invalid", "worker", "unreachable"),
    ]
    assert "refuses connections" in rows[0]["status"] and "no such host" in rows[1]["status"]
    done = fab(*hosts, "start", "--known-hosts", "known_hosts", cwd=tmp_path)
    assert done.returncode == 1 and "not started: the coordinator is not ready" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 failed"


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    def listed(*words: str) -> list[tuple[str, str]]:
        # Elsewhere than the project, or its folder fleet/ would be meant.
        ran = fab("-r", PROJECT, "-H", "one,two,three", "keys", "--json", *words, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
        return [(row["name"], row["state"]) for row in json.loads(ran.stdout)]

    assert listed() == [("three", "allowed"), ("two", "allowed")]
    assert (tmp_path / "fleet/whoismesh/keys/hosts/two/own.key_secret").stat().st_mode & 0o077 == 0
    assert listed("--revoke", "two") == [("three", "allowed"), ("two", "revoked")]
    assert listed() == [("three", "allowed"), ("two", "revoked")]
    ran = fab("-r", PROJECT, "-H", "one,two", "keys", "--revoke", "nine", cwd=tmp_path)
    assert (ran.returncode, ran.stderr.strip()) == (
        2,
        "fab keys: nine: is not allowed; `whoismesh keys list` shows who is",
    )
