"""The units of the daemons."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from whoismesh.fleet.on_host import CURRENT, USER
from whoismesh.fleet.units import coordinator_unit, endpoint, sysusers, worker_unit


def directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, is_one, value = line.partition("=")
        if is_one and not line.startswith("#"):
            found.setdefault(name, []).append(re.sub(" +", " ", value))
    return found


COORDINATOR = coordinator_unit("10.0.0.5", ["/etc/whoismesh/coord/files/delegated latest"])
WORKER = worker_unit("10.0.0.5", "2001:db8::7")


@pytest.mark.parametrize("text", [COORDINATOR, WORKER])
def test_what_can_be_mended_by_a_start_is_started_again_for_ever(text: str) -> None:
    found = directives(text)
    assert found["Restart"] == ["on-failure"] and found["StartLimitIntervalSec"] == ["0"]
    assert found["RestartPreventExitStatus"] == ["1 2 78"] and found["RestartForceExitStatus"] == ["75"]
    assert found["Type"] == ["notify"] and found["NotifyAccess"] == ["main"] and found["WatchdogSec"] == ["60"]
    # A spot host has two minutes, and a daemon ends itself after one.
    assert 60 < int(found["TimeoutStopSec"][0]) < 120
    assert found["User"] == [USER] and found["CapabilityBoundingSet"] == [""] and found["ProtectSystem"] == ["strict"]
    assert found["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX AF_NETLINK"]


def test_daemons_are_told_where_to_listen_and_whom_to_join() -> None:
    assert directives(COORDINATOR)["ExecStart"] == [
        "/opt/whoismesh/current/bin/whoismesh-coord --config /etc/whoismesh/coord/crawl.toml "
        "--keys /etc/whoismesh/coord/keys --state /var/lib/whoismesh/coord --listen tcp://10.0.0.5:7700 "
        '--prior "/etc/whoismesh/coord/files/delegated latest" --exit-when-done'
    ]
    assert directives(WORKER)["ExecStart"] == [
        "/opt/whoismesh/current/bin/whoismesh-worker --config /etc/whoismesh/worker/crawl.toml "
        "--keys /etc/whoismesh/worker/keys --state /var/lib/whoismesh/worker --coord tcp://10.0.0.5:7700 "
        "--listen tcp://[2001:db8::7]:7710"
    ]
    watched = directives(worker_unit("10.0.0.5", "10.0.0.7", instance_metadata=True))["ExecStart"]
    assert watched[0].endswith(" --instance-metadata http://169.254.169.254")


def test_what_systemd_would_take_for_its_own_is_quoted() -> None:
    text = coordinator_unit("10.0.0.5", bulk=["/f/50%", "/f/$HOME", '/f/a"b', "/f/a;b", "/f/a\\b"])
    (command,) = directives(text)["ExecStart"]
    assert command.endswith('--bulk "/f/50%%" "/f/$$HOME" "/f/a\\"b" "/f/a;b" "/f/a\\\\b" --exit-when-done')
    assert endpoint("::1", 7700) == "tcp://[::1]:7700"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd here; tests/hosts verifies on hosts too"
)
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    paths = []
    for name, text in (("whoismesh-coord.service", COORDINATOR), ("whoismesh-worker.service", WORKER)):
        # The programs and the user are on hosts, not here.
        text = re.sub(rf"{CURRENT}/bin/\S+", "/bin/true", text).replace(f"={USER}\n", "=root\n")
        (tmp_path / name).write_text(text)
        paths.append(tmp_path / name)
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "whoismesh" in line]
    assert said == []


def test_the_user_has_no_shell() -> None:
    assert sysusers().splitlines()[1] == 'u whoismesh - "whoismesh daemons" /var/lib/whoismesh -'
