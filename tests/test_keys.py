"""Keys in files: made, handed out, listed, revoked, and read again while a coordinator runs."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import zmq

from whoismesh.cli.main import main
from whoismesh.errors import ConfigError, UsageError
from whoismesh.keys import AllowList, Keys, add_host, listed, make_coordinator, revoke_host


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_coordinator(tmp_path / "keys")
    return tmp_path / "keys"


def test_a_host_gets_its_own_pair_and_the_coordinators_public_key(folder: Path) -> None:
    there = add_host(folder, "worker-1")
    host, coordinator = Keys.load(there), Keys.load(folder)
    assert host.coordinator == coordinator.public == coordinator.coordinator
    assert host.public not in (coordinator.public, host.secret)
    assert zmq.curve_public(host.secret) == host.public
    assert coordinator.secret not in b"".join(path.read_bytes() for path in there.iterdir())


def test_secrets_are_their_owners_alone_and_in_no_representation(folder: Path) -> None:
    there = add_host(folder, "worker-1")
    for path in (folder / "own.key_secret", there / "own.key_secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (folder, there):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    keys = Keys.load(there)
    assert keys.secret.decode() not in repr(keys)
    (there / "own.key_secret").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        Keys.load(there)


def test_the_list_is_read_again_when_it_has_changed(folder: Path) -> None:
    allowed = AllowList(folder)
    one = Keys.load(add_host(folder, "one"))
    assert allowed.name_of(one.public) == "one"
    two = Keys.load(add_host(folder, "two"))
    assert allowed.name_of(two.public) == "two"
    revoke_host(folder, "one")
    assert allowed.name_of(one.public) is None
    assert allowed.name_of(two.public) == "two"
    assert [(name, state) for name, state, _ in listed(folder)] == [("one", "revoked"), ("two", "allowed")]
    assert not (folder / "hosts" / "one").exists()


def test_a_revoked_name_gets_another_key(folder: Path) -> None:
    first = Keys.load(add_host(folder, "one")).public
    revoke_host(folder, "one")
    second = Keys.load(add_host(folder, "one")).public
    allowed = AllowList(folder)
    assert (allowed.name_of(first), allowed.name_of(second)) == (None, "one")


def test_what_is_no_key_in_the_list_lets_nobody_in_and_is_told(folder: Path) -> None:
    one = Keys.load(add_host(folder, "one"))
    (folder / "allowed" / "odd.key").write_text("public-key = short\n")
    allowed = AllowList(folder)
    assert allowed.name_of(one.public) == "one"
    (told,) = allowed.new_problems()
    assert "odd.key: holds no key" in told
    (folder / "allowed" / "other.key").write_text("")
    assert [each.partition(":")[0] for each in allowed.new_problems()] == [str(folder / "allowed" / "other.key")]
    assert allowed.new_problems() == []
    for each in ("odd.key", "other.key"):
        (folder / "allowed" / each).unlink()
    assert allowed.problems() == ()
    (folder / "allowed").rename(folder / "away")
    assert allowed.problems() == (f"{folder / 'allowed'}: No such file or directory",)
    assert allowed.name_of(one.public) == "one"


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 64, "a b", "ä"])
def test_a_name_is_a_name(folder: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name"):
        add_host(folder, name)


def test_nothing_is_made_twice(folder: Path) -> None:
    with pytest.raises(UsageError, match="has a coordinator's keys already"):
        make_coordinator(folder)
    add_host(folder, "one")
    with pytest.raises(UsageError, match="has a key already"):
        add_host(folder, "one")
    with pytest.raises(UsageError, match="is not allowed"):
        revoke_host(folder, "two")


def test_folders_that_are_none_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no key"):
        Keys.load(tmp_path)
    with pytest.raises(ConfigError, match="make it with `whoismesh keys new`"):
        AllowList(tmp_path)
    (tmp_path / "own.key_secret").write_text("no key\n")
    (tmp_path / "own.key_secret").chmod(0o600)
    with pytest.raises(ConfigError, match="holds no key"):
        Keys.load(tmp_path)


def test_the_command_does_all_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "keys")
    assert main(["keys", "new", "--keys", folder]) == 0
    assert main(["keys", "add", "--keys", folder, "one", "two"]) == 0
    assert main(["keys", "revoke", "--keys", folder, "one"]) == 0
    capsys.readouterr()
    assert main(["keys", "list", "--keys", folder, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["name"], row["state"]) for row in rows] == [("one", "revoked"), ("two", "allowed")]
    assert main(["keys", "list", "--keys", str(tmp_path / "none")]) == 78
    assert main(["keys", "new", "--keys", folder]) == 2
