"""What a host has to have, and what follows from what it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whoismesh.fleet.desired import Desired, change, desired_state
from whoismesh.fleet.on_host import COORDINATOR_UNIT, WORKER_UNIT
from whoismesh.fleet.wheels import Wheelhouse
from whoismesh.keys import add_host, make_coordinator, revoke_host

COORD, WORKER = "/etc/whoismesh/coord", "/etc/whoismesh/worker"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_coordinator(tmp_path / "keys")
    for name in ("one", "two", "gone"):
        add_host(tmp_path / "keys", name)
    revoke_host(tmp_path / "keys", "gone")
    return tmp_path / "keys"


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Wheelhouse:
    wheels = [tmp_path / name for name in ("pip-1-py3-none-any.whl", "whoismesh-1-py3-none-any.whl")]
    for each in wheels:
        each.write_text(each.name)
    return Wheelhouse(tuple(wheels), "abc", (3, 11), "x86_64", ("glibc", "2.36"))


def coordinator(wheelhouse: Wheelhouse, keys: Path, config: bytes = b"[crawl]", **more: Any) -> Desired:
    return desired_state(
        wheelhouse, config, address="10.0.0.5", coordinator="10.0.0.5", coordinator_keys=keys, worker_keys=None, **more
    )


def worker(wheelhouse: Wheelhouse, keys: Path, name: str = "one") -> Desired:
    return desired_state(
        wheelhouse,
        b"[crawl]",
        address="10.0.0.6",
        coordinator="10.0.0.5",
        coordinator_keys=None,
        worker_keys=keys / "hosts" / name,
    )


def found(**more: Any) -> dict[str, Any]:
    return {"differ": [], "extra": [], "installed": {"digest": "abc"}, "units": {}, "pending": []} | more


def test_the_coordinator_gets_the_list_and_no_secret_of_a_worker(wheelhouse: Wheelhouse, keys: Path) -> None:
    files = {each.path: each for each in coordinator(wheelhouse, keys).files}
    assert {path.removeprefix(f"{COORD}/keys/") for path in files if path.startswith(f"{COORD}/keys/")} == {
        *("own.key_secret", "coordinator.key", "allowed/one.key", "allowed/two.key", "revoked/gone.key")
    }
    secret = files[f"{COORD}/keys/own.key_secret"]
    assert (secret.mode, secret.owner) == (0o600, "user")
    assert files[f"{COORD}/crawl.toml"].mode == 0o600
    held = [each.content for each in files.values() if b"secret-key" in b"".join(each.chunks())]
    assert held == [(keys / "own.key_secret").read_bytes()]


def test_a_worker_gets_its_own_folder_alone(wheelhouse: Wheelhouse, keys: Path) -> None:
    files = {each.path: each for each in worker(wheelhouse, keys).files}
    assert {path for path in files if "/keys/" in path} == {
        f"{WORKER}/keys/own.key_secret",
        f"{WORKER}/keys/coordinator.key",
    }
    assert files[f"{WORKER}/keys/own.key_secret"].content == (keys / "hosts/one/own.key_secret").read_bytes()
    # The user is made before a file can be its.
    assert next(iter(files)) == "/etc/sysusers.d/whoismesh.conf"
    # Nothing that is secret shows in what can be printed.
    assert "secret-key" not in repr(worker(wheelhouse, keys))


def test_nothing_differs_and_nothing_is_done(wheelhouse: Wheelhouse, keys: Path) -> None:
    desired = coordinator(wheelhouse, keys)
    assert change(desired, desired.question(), found()) is None


def test_a_list_alone_restarts_nothing(wheelhouse: Wheelhouse, keys: Path) -> None:
    desired = coordinator(wheelhouse, keys)
    answer = found(differ=[f"{COORD}/keys/allowed/two.key"], extra=[f"{COORD}/keys/allowed/gone.key"])
    to_do = change(desired, desired.question(), answer)
    assert to_do is not None
    assert to_do.request["restarts"] == [] and to_do.request["remove"] == [f"{COORD}/keys/allowed/gone.key"]
    assert to_do.told == "1 file, 1 removed"
    assert [each["path"] for each in to_do.request["files"]] == [f"{COORD}/keys/allowed/two.key"]


@pytest.mark.parametrize("name", ["crawl.toml", "keys/own.key_secret", "keys/coordinator.key", "files/delegated"])
def test_inputs_of_a_daemon_restart_it(name: str, wheelhouse: Wheelhouse, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "delegated").touch()
    desired = coordinator(wheelhouse, keys, prior=[tmp_path / "delegated"])
    to_do = change(desired, desired.question(), found(differ=[f"{COORD}/{name}"]))
    assert to_do is not None and to_do.request["restarts"] == [COORDINATOR_UNIT]


def test_another_version_restarts_all_that_a_host_runs(wheelhouse: Wheelhouse, keys: Path) -> None:
    desired = worker(wheelhouse, keys)
    to_do = change(desired, desired.question(), found(installed={"digest": "old"}))
    assert to_do is not None and to_do.request["restarts"] == [WORKER_UNIT]
    assert to_do.told == "version abc"
    assert to_do.request["wheels"] == ["pip-1-py3-none-any.whl", "whoismesh-1-py3-none-any.whl"]


def test_what_an_earlier_deploy_left_to_restart_is_restarted(wheelhouse: Wheelhouse, keys: Path) -> None:
    desired = worker(wheelhouse, keys)
    to_do = change(desired, desired.question(), found(pending=[WORKER_UNIT]))
    assert to_do is not None and to_do.request["restarts"] == [WORKER_UNIT] and to_do.told == "restarted"


def test_a_host_with_another_duty_than_before_loses_the_old_one(wheelhouse: Wheelhouse, keys: Path) -> None:
    desired = worker(wheelhouse, keys)
    answer = found(units={COORDINATOR_UNIT: {}, WORKER_UNIT: {}}, extra=[COORD])
    to_do = change(desired, desired.question(), answer)
    assert to_do is not None
    assert to_do.request["remove"] == [COORD, f"/etc/systemd/system/{COORDINATOR_UNIT}"]
