"""`fab` and hosts: from nothing to an exact dump and back, with what goes wrong on the way."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from fleet_at_seat import Fleet, wheelhouse
from lab import HostLab
from programs import make_key
from waiting import wait_until

from whoismesh.dump import open_dump, statistics
from whoismesh.fleet.on_host import COORDINATOR_UNIT, WORKER_UNIT
from whoismesh.keys import add_host
from whoismesh.practice.compare import compare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hosts_can_be_made"), pytest.mark.timeout(300)]

WAIT_S = 60
#: What a unit of the fleet may leave of `systemd-analyze security`: 0 is nothing at all, 10 all.
MOST_EXPOSED = 2.0


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
    secret = lab.ssh(
        host, "sed", "-n", 's/.*secret-key = "\\(.*\\)"/\\1/p', f"/etc/whoismesh/{role}/keys/own.key_secret"
    )
    assert len(secret.strip()) == 40 and secret.strip() not in lab.ssh(host, "systemctl", "show", unit)
    modes = lab.ssh(host, "stat", "-c", "%a %U", f"/etc/whoismesh/{role}/keys/own.key_secret", f"/etc/whoismesh/{role}")
    assert modes == "600 whoismesh\n750 root\n"


def test_from_nothing_to_an_exact_dump_and_back_with_hosts_that_fail(tmp_path: Path, wheels: Path) -> None:
    everyone = ("coord", "one", "two", "shut", "doomed")
    living = everyone[:-1]
    with HostLab(*everyone) as lab:
        fleet = Fleet(lab, tmp_path, wheels, first_bytes=(61, 193), latency_s=0.4)
        began = time.monotonic()
        before = [traces(lab, name) for name in living]
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
        assert (
            "connection was lost" in outcomes["doomed"]["detail"] or "does not answer" in outcomes["doomed"]["detail"]
        )
        # Only what failed is tried again, of the hosts that are left.
        lab["shut"].run("systemctl", "start", "ssh.service")
        assert fleet.deploy("--failed", "--json", hosts=living).states == {"shut": "changed"}
        again = fleet.deploy("--json", hosts=living)
        assert again.code == 0 and again.states == dict.fromkeys(living, "unchanged")

        # The operator's own settings of a unit stay; a hung daemon is to be noticed within the time of a test.
        lab["two"].run("mkdir", f"/etc/systemd/system/{WORKER_UNIT}.d")
        lab["two"].write(f"/etc/systemd/system/{WORKER_UNIT}.d/test.conf", "[Service]\nWatchdogSec=10\n")
        lab["two"].run("systemctl", "daemon-reload")
        print(f"{time.monotonic() - began:.1f} s until all is deployed")
        events = tmp_path / "events"
        watching = fleet.begin("follow", "--events", hosts=living, output=events)
        assert fleet.fab("start", hosts=living).code == 0
        rows = fleet.fab("status", "--json", hosts=living).json
        assert {row["host"]: row["state"] for row in rows} == dict.fromkeys(living, "active")
        assert all(row["status"] and row["version"] for row in rows)
        # One is killed, one hangs: systemd starts both again. Who follows loses a host meanwhile, and finds it again.
        lab["one"].run("systemctl", "kill", "--signal=KILL", WORKER_UNIT)
        lab["two"].run("kill", "-STOP", fleet.shown("two", WORKER_UNIT, "MainPID"))
        lab["one"].run("systemctl", "kill", "--signal=KILL", "ssh.service")
        lab["one"].run("systemctl", "start", "ssh.service")
        check_units(lab, "coord", COORDINATOR_UNIT)
        check_units(lab, "shut", WORKER_UNIT)
        early = fleet.fab("pull", "--json", hosts=living).json
        assert not early["complete"] and early["settled"] < early["space"]
        for name in ("one", "two"):
            wait_until(
                lambda name=name: fleet.shown(name, WORKER_UNIT, "NRestarts") == "1", f"restart of {name}", WAIT_S
            )
        assert [row["state"] for row in fleet.fab("status", "--json", hosts=("doomed",), give_up_s=2).json] == [
            "unreachable"
        ]

        wait_until(lambda: fleet.shown("coord", COORDINATOR_UNIT, "ActiveState") == "inactive", "the end", 120)
        last = {("coord", "crawl_done"), *((name, "worker_stopped") for name in ("one", "two", "shut"))}
        wait_until(lambda: last <= told_of(events), "the last events of all hosts", WAIT_S)
        watching.send_signal(signal.SIGINT)
        _, complaints = watching.communicate(timeout=WAIT_S)
        assert watching.returncode == 0
        assert "one: the connection was lost" in complaints or "one: its journal ended" in complaints
        assert "one: is there again" in complaints
        ended = {row["host"]: row for row in fleet.fab("status", "--json", hosts=living).json}
        assert ended["coord"]["status"] == "ended with 0" and ended["two"]["restarts"] == 1
        assert "worker_joined" in fleet.fab("logs", "--lines", "1000", hosts=living).output
        assert fleet.fab("pull", "--json", hosts=living).json["complete"]
        check_exact(fleet, tmp_path / "results.msgpack")

        gone = fleet.fab("down", "--json", hosts=living)
        assert gone.code == 0 and {each["detail"] for each in gone.json} == {"nothing is left"}
        assert [traces(lab, name) for name in living] == before
        assert fleet.fab("down", "--json", hosts=living).states == dict.fromkeys(living, "unchanged")


def test_strangers_are_refused_and_one_host_does_both(tmp_path: Path, wheels: Path) -> None:
    only = ("only",)
    with HostLab(*only) as lab:
        fleet = Fleet(lab, tmp_path, wheels, first_bytes=(193,), latency_s=0.1)
        assert "has no configuration of an earlier deploy" in fleet.deploy(hosts=only).errors
        # Nobody is trusted because he answers: neither one that is not known, nor one with another key than before.
        hosts, other, wrong = tmp_path / "hosts", tmp_path / "other", tmp_path / "wrong"
        public = make_key(other)
        for text, what in (("", "is not in"), (f"{lab['only'].address} {public}", "is not the one in")):
            hosts.write_text(f"{text}\n")
            refused = fleet.deploy("--config", fleet.config, "--known-hosts", hosts, hosts=only)
            assert refused.code == 1 and f"its host key {what} {hosts}" in refused.output
        wrong.write_text(lab.ssh_config.read_text().replace(str(lab.key), str(other)))
        assert "refuses root's key" in fleet.fab("status", hosts=only, config=wrong).output
        # What is wrong with the settings is told before anything is sent.
        bad = tmp_path / "bad.toml"
        bad.write_text('[crawl]\nspace = ["nowhere"]\nlease_s = -1\n')
        refused = fleet.deploy("--config", bad, hosts=only)
        assert refused.code == 78 and refused.errors.count("fab deploy: ") == 2 and not refused.output
        assert not lab["only"].path("/opt/whoismesh").exists()

        assert fleet.deploy("--config", fleet.config, hosts=only).code == 0
        assert fleet.fab("start", hosts=only).code == 0
        rows = fleet.fab("status", "--json", hosts=only).json
        assert [(row["role"], row["state"]) for row in rows] == [("coordinator", "active"), ("worker", "active")]
        # A key more on the list is no reason to stop; other settings are.
        process = fleet.shown("only", COORDINATOR_UNIT, "MainPID")
        add_host(tmp_path / "fleet" / "whoismesh" / "keys", "listener")
        assert fleet.deploy("--json", hosts=only).json[0]["detail"] == "1 file"
        assert fleet.shown("only", COORDINATOR_UNIT, "MainPID") == process
        fleet.config.write_text(fleet.config.read_text() + "\n# other settings\n")
        changed = fleet.deploy("--config", fleet.config, "--json", hosts=only).json
        assert changed[0]["detail"] == "2 files; restarted the coordinator and the worker"
        assert fleet.shown("only", COORDINATOR_UNIT, "MainPID") != process

        # Stopped before the end is no failure. What was found stays until it is pulled, or not wanted.
        assert fleet.fab("stop", hosts=only).code == 0
        assert fleet.shown("only", COORDINATOR_UNIT, "ActiveState") == "inactive"
        left = fleet.fab("down", "--json", hosts=only).json
        assert "/var/lib/whoismesh stays: the complete results were not pulled" in left[0]["detail"]
        assert lab["only"].path("/var/lib/whoismesh/coord").exists()
        assert not lab["only"].path("/etc/whoismesh").exists()
        left = fleet.fab("down", "--discard-results", "--json", hosts=only).json
        assert left[0]["state"] == "changed" and left[0]["detail"] == "nothing is left"
        assert not lab["only"].path("/var/lib/whoismesh").exists()


def told_of(events: Path) -> set[tuple[str, str]]:
    """Return (host, event) of all that was told so far."""
    lines = events.read_text().rpartition("\n")[0].splitlines()
    return {(each["host"], each["event"]) for each in map(json.loads, lines)}


def traces(lab: HostLab, name: str) -> str:
    """Return all that a host has of our name where something could be left."""
    folders = "/opt /etc /var /run /tmp /usr/lib/systemd"
    found = f"find {folders} -xdev -name '*whoismesh*'; grep whoismesh /etc/passwd /etc/group"
    return lab.ssh(name, "sh", "-c", f"({found}) | sort")
