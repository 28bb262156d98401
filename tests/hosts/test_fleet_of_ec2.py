"""`fab` from `up` to `down`: EC2 is moto's, and its instances are hosts of the lab."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fleet_at_seat import Fleet, wheelhouse
from lab import HostLab
from waiting import wait_until

from whoismesh.fleet.ec2.user_data import GUARD, guard_script
from whoismesh.fleet.on_host import WORKER_UNIT

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hosts_can_be_made"), pytest.mark.timeout(300)]

EC2 = Path(__file__).parents[1] / "fleet" / "ec2" / "ec2_at_seat.py"


class FleetOfEc2(Fleet):
    """An operator whose boto3 finds EC2 at the seat's loopback."""

    def serve_ec2(self) -> None:
        """Serve an account whose instances will be the hosts of the lab, in their order."""
        machines = [each for name in self.lab.names for each in (self.lab[name].address, self.lab[name].public_key)]
        process = self.lab.start(sys.executable, EC2, *machines, stdout=subprocess.PIPE)
        assert process.stdout is not None
        none = self.folder / "none"
        self.variables = {
            "AWS_ENDPOINT_URL": process.stdout.readline().decode().strip(),
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_CONFIG_FILE": str(none),
            "AWS_SHARED_CREDENTIALS_FILE": str(none),
        }

    def command(self, *words: str | Path, hosts: tuple[str, ...] = (), **more: Any) -> list[str]:
        """Return a call of fab at the seat; hosts are found by their tag."""
        before = len(self.lab.into_seat)
        called = super().command(*words, hosts=(), **more)
        return [
            *called[:before],
            "env",
            *(f"{name}={value}" for name, value in self.variables.items()),
            *called[before:],
        ]


@pytest.fixture
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # Under xdist each process has a folder of its own in one that all share.
    return wheelhouse(base.parent if base.name.startswith("popen-") else base)


def test_a_fleet_is_launched_grows_shrinks_and_ends(tmp_path: Path, wheels: Path) -> None:
    with HostLab("coord", "one", "two") as lab:
        fleet = FleetOfEc2(lab, tmp_path, wheels, first_bytes=(61, 193), latency_s=0.1)
        # It outlasts all that follows.
        fleet.config.write_text(re.sub(r"(?m)^rate = .*", "rate = 0.5", fleet.config.read_text()))
        fleet.serve_ec2()
        options = ["--config", fleet.config, "--login", "root", "--operator-cidr", f"{lab['coord'].address}/24"]
        options += ["--public-key", lab.key.with_suffix(".pub")]
        launched = fleet.fab("up", "--workers", "1", *options, "--json", hosts=()).json["hosts"]
        assert [each["address"] for each in launched] == [lab["coord"].address, lab["one"].address]
        # Known by their consoles alone: nobody was asked, and nothing else is known.
        pinned = (tmp_path / "fleet" / "whoismesh" / "known_hosts").read_text().splitlines()
        assert [line.split()[1:3] for line in pinned] == [lab[name].public_key.split()[:2] for name in ("coord", "one")]

        assert set(fleet.deploy("--config", fleet.config, "--json", hosts=()).states.values()) == {"changed"}
        assert fleet.fab("start", hosts=()).code == 0
        assert allowed(lab) == {f"{launched[1]['instance']}.key"}

        grown = fleet.fab("grow", "1", *fleet.python, *options, "--json", hosts=()).json
        assert [each["new"] for each in grown["hosts"]] == [False, False, True]
        assert [each["state"] for each in grown["outcomes"]] == ["changed", "changed"]
        assert fleet.shown("two", WORKER_UNIT, "ActiveState") == "active"
        assert len(allowed(lab)) == 2
        # One that the last look did not know has its line now, the others theirs as before.
        assert (tmp_path / "fleet" / "whoismesh" / "known_hosts").read_text().splitlines()[:2] == pinned

        gone = fleet.fab("shrink", "1", *fleet.python, "--json", hosts=()).json
        assert [(each["state"], each["detail"]) for each in gone] == [("changed", "ended; drained")]
        assert gone[0]["host"] not in {each["instance"] for each in launched}  # of two alike the younger
        assert fleet.shown("two", WORKER_UNIT, "ActiveState") == "inactive"
        assert fleet.shown("one", WORKER_UNIT, "ActiveState") == "active"
        assert allowed(lab) == {f"{launched[1]['instance']}.key"}

        refused = fleet.fab("down", hosts=())
        assert refused.code == 1 and "nothing was ended: its complete results were not pulled" in refused.errors
        assert fleet.fab("down", "--discard-results", "--json", hosts=()).json == []


def allowed(lab: HostLab) -> set[str]:
    """Return whose keys the coordinator lets in."""
    return set(lab["coord"].run("ls", "/etc/whoismesh/coord/keys/allowed").split())


def test_an_image_has_the_programs_and_nothing_of_its_builder(tmp_path: Path, wheels: Path) -> None:
    with HostLab("builder") as lab:
        fleet = FleetOfEc2(lab, tmp_path, wheels, first_bytes=(193,), latency_s=0.1)
        fleet.serve_ec2()
        builder = lab["builder"]
        # The lab's hosts have no cloud-init; this one only writes down what it was called for.
        builder.write("/usr/local/bin/cloud-init", '#!/bin/sh\necho "$@" > /run/cloud-init-called\n')
        builder.run("chmod", "755", "/usr/local/bin/cloud-init")
        options = ["--login", "root", "--operator-cidr", f"{builder.address}/24"]
        options += ["--public-key", lab.key.with_suffix(".pub")]
        baked = fleet.fab("bake", *options, "--json", hosts=()).json
        listed = fleet.fab("bake", "--list-only", "--json", hosts=()).json
        assert [(each["image"], each["version"]) for each in listed] == [(baked["image"], baked["version"])]

        assert builder.path(f"/opt/whoismesh/venvs/{baked['version']}/bin/whoismesh-worker").exists()
        assert builder.run("cat", "/run/cloud-init-called").split() == ["clean", "--logs", "--machine-id"]
        there = builder.run("sh", "-c", "ls /etc/whoismesh /etc/systemd/system/whoismesh-* /etc/ssh/ssh_host_* || true")
        assert there.split() == ["/etc/whoismesh:"]  # an empty folder, and nothing of the others
        assert not list(builder.path("/root/.ssh").glob("authorized_keys"))


def test_an_instance_ends_itself_in_time() -> None:
    with HostLab("only") as lab:
        host = lab["only"]
        host.write("/root/user-data", guard_script(2.0))
        host.run("sh", "/root/user-data")
        assert host.run("systemctl", "is-enabled", f"{GUARD}.timer").strip() == "enabled"  # after a restart, too
        shown = host.run("systemctl", "show", f"{GUARD}.timer", "--property=NextElapseUSecRealtime", "--value").strip()
        left = datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC) - datetime.now(UTC)
        assert timedelta(hours=1.8) < left <= timedelta(hours=2)
        host.run("systemctl", "start", "--no-block", f"{GUARD}.service")
        wait_until(lambda: host.ended, "the host's end", 60)
