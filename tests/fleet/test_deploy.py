"""What is checked and made before anything is sent."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")

from whoismesh import keys
from whoismesh.errors import ConfigError, UsageError
from whoismesh.fleet.deploy import take_config
from whoismesh.fleet.fleet_keys import FleetKeys
from whoismesh.fleet.hosts import given_hosts

CONFIG = '[crawl]\nspace = ["193.0.0.0/21"]\ncontact = "noc@example.org"\n'


def test_a_configuration_is_checked_and_kept_for_the_next_time(tmp_path: Path) -> None:
    given, kept = tmp_path / "crawl.toml", tmp_path / "fleet" / "crawl.toml"
    with pytest.raises(ConfigError, match="--config FILE is missing"):
        take_config(None, kept)
    given.write_text("[crawl]\nspace = []\nrate = 3\n")
    with pytest.raises(ConfigError) as caught:
        take_config(given, kept)
    assert len(caught.value.problems) > 1 and not kept.exists()
    given.write_text(CONFIG)
    assert take_config(given, kept).config == CONFIG.encode()
    # It may hold a proxy's password.
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    given.unlink()
    assert take_config(None, kept).config == CONFIG.encode()


def test_what_this_shell_says_is_nothing_to_the_fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHOISMESH_CRAWL_SPACE", "10.0.0.0/99")
    (tmp_path / "crawl.toml").write_text(CONFIG)
    assert take_config(tmp_path / "crawl.toml", tmp_path / "kept").config == CONFIG.encode()


def test_files_that_it_names_are_checked_and_two_of_one_name_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "delegated").write_text("ripencc|NL|ipv4|193.0.0.0|2048|19930901|allocated|x\n")
    config = tmp_path / "crawl.toml"
    config.write_text(CONFIG + 'prior = ["a/delegated"]\n')
    assert take_config(config, tmp_path / "kept").prior == (Path("a/delegated"),)
    config.write_text(CONFIG + 'prior = ["a/delegated", "b/delegated"]\n')
    with pytest.raises(ConfigError, match="two files are called delegated"):
        take_config(config, tmp_path / "kept")
    config.write_text(CONFIG + 'prior = ["nowhere"]\n')
    with pytest.raises(ConfigError, match="nowhere"):
        take_config(config, tmp_path / "kept")


def test_keys_are_made_when_they_are_needed_and_a_revoked_one_is_not_made_anew(tmp_path: Path) -> None:
    hosts = given_hosts(["coord", "one", "two"])
    made = FleetKeys(tmp_path / "keys", hosts)
    assert made.of(hosts[0]) is None and made.of(hosts[1]) == tmp_path / "keys" / "hosts" / "one"
    secret = (tmp_path / "keys/hosts/one/own.key_secret").read_bytes()
    keys.revoke_host(tmp_path / "keys", "two")
    again = FleetKeys(tmp_path / "keys", hosts)
    assert (tmp_path / "keys/hosts/one/own.key_secret").read_bytes() == secret and again.of(hosts[1])
    with pytest.raises(UsageError, match="its key was revoked; to let it in again: whoismesh keys add --keys"):
        again.of(hosts[2])
    # Allowed, but the secret was taken away from here: nobody can guess it, and it is not made anew behind one's back.
    keys.add_host(tmp_path / "keys", "two")
    for path in (tmp_path / "keys/hosts/two").iterdir():
        path.unlink()
    (tmp_path / "keys/hosts/two").rmdir()
    with pytest.raises(UsageError, match="has a key already"):
        FleetKeys(tmp_path / "keys", hosts).of(hosts[2])
