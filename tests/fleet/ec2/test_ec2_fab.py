"""`fab` as an operator runs it, as a process, against EC2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")

from between_aws import BetweenAws, host_key

from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.inventory import LIVE, instances

ROOT = Path(__file__).parents[3]


@dataclass
class Fab:
    folder: Path

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run a task; return its exit code, output and errors."""
        done = subprocess.run(
            [sys.executable, "-m", "fabric", "--search-root", str(ROOT), *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(self.folder), "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def fab(tmp_path: Path) -> Fab:
    """An operator's folder and home: a public key where ssh has it, and a configuration."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"{host_key('operator')} me@here\n")
    # moto's instances have addresses that are somebody else's: ssh goes nowhere from here.
    (tmp_path / ".ssh" / "config").write_text("Host *\n  HostName 127.0.0.1\n  Port 1\n")
    (tmp_path / "crawl.toml").write_text('[crawl]\nspace = ["193.0.0.0/16"]\ncontact = "noc@example.org"\n')
    return Fab(tmp_path)


def told(code: int, output: str, errors: str, expected: int = 0) -> Any:
    assert code == expected, errors
    assert "Traceback" not in errors
    return json.loads(output)


@pytest.mark.slow
def test_from_plan_to_down(ec2: BetweenAws, aws: Aws, fab: Fab) -> None:
    plan = told(*fab("plan", "--run", "world", "--config", "crawl.toml", "--workers", "2", "--json"))
    assert plan["workers"] == 2 and plan["usd_hour_at_most"] > plan["usd_hour"] > 0.0456 and plan["refused"] == []
    code, output, errors = fab("plan", "--config", "crawl.toml", "--max-price", "0.05")
    assert code == 1 and "refused: " in output and errors == ""
    code, output, errors = fab("up", "--run", "World", "--operator-cidr", "192.0.2.7/32")
    assert (code, output) == (2, "") and errors.startswith("fab up: --run 'World': expected small letters")
    assert instances(aws, "world") == []

    up = (
        "up",
        "--run",
        "world",
        "--config",
        "crawl.toml",
        "--workers",
        "2",
        "--operator-cidr",
        "192.0.2.7/32",
        "--json",
    )
    launched = told(*fab(*up))
    assert [host["role"] for host in launched["hosts"]] == ["coordinator", "worker", "worker"]
    assert all(host["new"] and host["host_keys"] for host in launched["hosts"])
    lines = (fab.folder / "fleet" / "world" / "known_hosts").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == [host["instance"] for host in launched["hosts"]]

    # The coordinator cannot be asked whether its results are home (these instances are moto's): nothing is thrown away.
    code, output, errors = fab("down", "--run", "world")
    assert (code, output) == (1, "") and "nothing was ended: the coordinator cannot be asked" in errors
    assert len(instances(aws, "world", LIVE)) == 3
    assert told(*fab("down", "--run", "world", "--discard-results", "--json")) == []
    assert instances(aws, "world") == []


def test_what_goes_wrong_is_a_line_and_a_code(ec2: BetweenAws, fab: Fab, monkeypatch: pytest.MonkeyPatch) -> None:
    code, output, errors = fab("grow", "2", "--run", "world")
    assert (code, output) == (2, "") and errors.strip() == (
        "fab grow: run world: has no coordinator; launch it with `fab up`"
    )
    code, _, errors = fab("up", "--run", "World")
    assert code == 2 and errors.startswith("fab up: --run 'World': expected small letters")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    code, _, errors = fab("plan")
    assert code == 78 and errors.startswith("fab plan: no AWS credentials: run `aws configure`")
