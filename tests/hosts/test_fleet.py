"""`fab` and hosts: from nothing to an exact dump and back, with what goes wrong on the way."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from fleet_at_seat import Fleet, wheelhouse
from lab import HostLab
from waiting import wait_until

from whoismesh.dump import open_dump, statistics
from whoismesh.fleet.on_host import COORDINATOR_UNIT, WORKER_UNIT
from whoismesh.practice.compare import compare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hosts_can_be_made"), pytest.mark.timeout(300)]

WAIT_S = 60
#: What a unit of the fleet may leave of `systemd-analyze security`: 0 is nothing at all, 10 all.
MOST_EXPOSED = 1.5


@pytest.fixture
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # Under xdist each process has a folder of its own in one that all share.
    return wheelhouse(base.parent if base.name.startswith("popen-") else base)


def check_exact(fleet: Fleet, dump: Path) -> None:
    with open_dump(dump) as records:
        found = statistics(records)
    assert found.complete and found.settled == found.space and found.failed == 0 and found.networks > 50
    assert compare(dump, fleet.table).equal


def check_units(lab: HostLab, host: str, unit: str) -> None:
    """systemd has nothing to say about a unit, and little is left open; no secret is in it."""
    path = f"/etc/systemd/system/{unit}"
    assert lab.ssh(host, "sh", "-c", f"systemd-analyze verify {path} 2>&1") == ""
    exposed = lab.ssh(host, "systemd-analyze", "security", "--no-pager", unit).rpartition("level for")[2]
    assert float(exposed.split()[1]) <= MOST_EXPOSED, exposed
    role = "coord" if unit == COORDINATOR_UNIT else "worker"
    secret = lab.ssh(host, "sed", "-n", 's/.*secret-key = "\\(.*\\)"/\\1/p', f"/etc/whoismesh/{role}/keys/own.key_secret")
    assert len(secret.strip()) == 40 and secret.strip() not in lab.ssh(host, "systemctl", "show", unit)
    modes = lab.ssh(host, "stat", "-c", "%a %U", f"/etc/whoismesh/{role}/keys/own.key_secret", f"/etc/whoismesh/{role}")
    assert modes == "600 whoismesh\n750 root\n"


def test_from_nothing_to_an_exact_dump_and_back_with_hosts_that_fail(tmp_path: Path, wheels: Path) -> None:
    everyone = ("coord", "one", "two", "shut", "doomed")
    living = everyone[:-1]
    with HostLab(*everyone) as lab:
        fleet = Fleet(lab, tmp_path, wheels, first_bytes=(61, 193), latency_s=0.2)
        # One host does not let us in, one is switched off while it is worked on.
        lab["shut"].run("systemctl", "stop", "ssh.service")
        task = fleet.begin("deploy", *fleet.python, "--config", fleet.config, "--json", hosts=everyone)
        wait_until(lab["doomed"].path("/opt/whoismesh/wheels").exists, "the deploy's first files", WAIT_S)
        lab["doomed"].power_off()
        output, errors = task.communicate(timeout=WAIT_S * 2)
        assert task.returncode == 1, errors
        outcomes = {each["host"]: each for each in json.loads(output)}
        assert {name: each["state"] for name, each in outcomes.items()} == {
            **dict.fromkeys(("coord", "one", "two"), "changed"),
            **dict.fromkeys(("shut", "doomed"), "failed"),
        }
        assert "refuses connections: is sshd running" in outcomes["shut"]["detail"]
        assert "connection was lost" in outcomes["doomed"]["detail"] or "does not answer" in outcomes["doomed"]["detail"]
        # Only what failed is tried again, of the hosts that are left.
        lab["shut"].run("systemctl", "start", "ssh.service")
        assert fleet.deploy("--failed", "--json", hosts=living).states == {"shut": "changed"}
        again = fleet.deploy("--json", hosts=living)
        assert again.code == 0 and again.states == dict.fromkeys(living, "unchanged")

        assert fleet.fab("start", hosts=living).code == 0
        check_units(lab, "coord", COORDINATOR_UNIT)
        check_units(lab, "one", WORKER_UNIT)
        rows = {row["host"]: row for row in fleet.fab("status", "--json", hosts=everyone).json}
        assert {name: row["state"] for name, row in rows.items()} == {
            **dict.fromkeys(living, "active"),
            "doomed": "unreachable",
        }
        assert rows["coord"]["status"] and rows["coord"]["version"]
        wait_until(lambda: fleet.asked() > 50, "the first lookups", WAIT_S)
        early = fleet.fab("pull", "--json", hosts=living).json
        assert not early["complete"] and early["settled"] < early["space"]

        # One is killed, one hangs: systemd starts both again.
        lab["one"].run("systemctl", "kill", "--signal=KILL", WORKER_UNIT)
        process = fleet.shown("two", WORKER_UNIT, "MainPID")
        lab["two"].run("kill", "-STOP", process)
        for name in ("one", "two"):
            wait_until(lambda name=name: fleet.shown(name, WORKER_UNIT, "NRestarts") == "1", f"restart of {name}", 120)

        wait_until(lambda: fleet.shown("coord", COORDINATOR_UNIT, "ActiveState") == "inactive", "the end", 120)
        assert "1" in fleet.fab("status", hosts=living).output
        assert "worker_joined" in fleet.fab("logs", "--lines", "1000", hosts=living).output
        assert fleet.fab("pull", "--json", hosts=living).json["complete"]
        check_exact(fleet, tmp_path / "results.msgpack")

        gone = fleet.fab("down", "--json", hosts=living)
        assert gone.code == 0 and {each["detail"] for each in gone.json} == {"nothing is left"}
        left = [lab.ssh(name, "sh", "-c", "find / -xdev -name '*whoismesh*' -not -path '/proc/*' | sort") for name in living]
        assert left == [before(lab, name) for name in living]
        assert fleet.fab("down", "--json", hosts=living).states == dict.fromkeys(living, "unchanged")


def before(lab: HostLab, name: str) -> str:
    """Return what a host that was never deployed to has of our name: what the machine has."""
    return ""
