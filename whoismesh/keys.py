"""Who may take part: CURVE key pairs (CurveZMQ, https://rfc.zeromq.org/spec/26), and the folders that hold them.

The coordinator's folder, made by `whoismesh keys new`:

    coordinator.key          its public key
    own.key_secret           its pair; nobody else may read it
    allowed/NAME.key         the public keys of those that may join
    revoked/NAME.key         of those that may not any more
    hosts/NAME/              what the host NAME needs, to be copied there: coordinator.key and own.key_secret

A worker's or listener's folder is one of those under hosts/. Files are ZeroMQ certificates, as pyzmq writes them.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import zmq.auth

from whoismesh.checks import KEY_CHARACTERS
from whoismesh.errors import ConfigError, UsageError

COORDINATOR, OWN = "coordinator.key", "own.key_secret"
ALLOWED, REVOKED, HOSTS = "allowed", "revoked", "hosts"
#: Names of hosts go into file names and logs.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Keys:
    """What a process needs to take part: its own pair and the coordinator's public key, all as Z85 bytes."""

    public: bytes
    secret: bytes = field(repr=False)
    coordinator: bytes

    @classmethod
    def load(cls, folder: Path) -> Keys:
        """Read a folder. Raises ConfigError if a key is missing, is none, or others may read the secret one."""
        secret_file = folder / OWN
        public, secret = _read(secret_file)
        mode = secret_file.stat().st_mode
        if mode & 0o077:
            raise ConfigError(
                f"{secret_file}: others may read it (mode {mode & 0o777:o}); chmod 600 it, and make new keys if it "
                "lay open where others are"
            )
        if secret is None:
            raise ConfigError(f"{secret_file}: holds no secret key; copy the whole folder that `whoismesh keys` made")
        return cls(public, secret, _read(folder / COORDINATOR)[0])


class AllowList:
    """The keys that may join: read from a coordinator's folder, and again whenever it has changed."""

    def __init__(self, folder: Path) -> None:
        """Read it. Raises ConfigError if there is none."""
        self._folder = folder / ALLOWED
        self._names: dict[bytes, str] = {}
        self._read_at: int | None = None
        self._problems: tuple[str, ...] = ()
        self._told: tuple[str, ...] = ()
        try:
            self._look()
        except OSError as error:
            raise ConfigError(f"{self._folder}: {error.strerror}; make it with `whoismesh keys new`") from None

    def name_of(self, public: bytes) -> str | None:
        """Return the name that a key was allowed under, or None."""
        self.problems()
        return self._names.get(public)

    def problems(self) -> tuple[str, ...]:
        """Look at the folder; return what is wrong with it. A file that is no key lets nobody in."""
        try:
            self._look()
        except OSError as error:
            # What was read last goes on counting.
            return (f"{self._folder}: {error.strerror}",)
        return self._problems

    def new_problems(self) -> list[str]:
        """Return what is wrong and was not when this was asked before."""
        before, self._told = self._told, self.problems()
        return [problem for problem in self._told if problem not in before]

    def _look(self) -> None:
        # Files come and go by renaming, which the folder's own time shows.
        changed = self._folder.stat().st_mtime_ns
        if changed == self._read_at:
            return
        names, problems = {}, []
        for path in sorted(self._folder.glob("*.key")):
            try:
                names[_read(path)[0]] = path.stem
            except ConfigError as error:
                problems.append(str(error))
        self._names, self._read_at, self._problems = names, changed, tuple(problems)


def make_coordinator(folder: Path) -> Keys:
    """Make a coordinator's folder with a new pair. Raises UsageError if it has one, ConfigError if it cannot be."""
    if (folder / OWN).exists():
        raise UsageError(f"{folder}: has a coordinator's keys already; give another folder, or remove it first")
    try:
        for each in (folder, folder / ALLOWED, folder / REVOKED, folder / HOSTS):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        public = _write_pair(folder / OWN)
        _publish(folder / COORDINATOR, public)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    return Keys.load(folder)


def add_host(folder: Path, name: str) -> Path:
    """Make a pair for a host and allow it; return the folder to copy there. Raises UsageError, ConfigError."""
    _checked(name)
    Keys.load(folder)
    there = folder / HOSTS / name
    if there.exists() or (folder / ALLOWED / f"{name}.key").exists():
        raise UsageError(f"{name}: has a key already; revoke it first, or give another name")
    try:
        there.mkdir(mode=0o700, parents=True)
        public = _write_pair(there / OWN)
        shutil.copyfile(folder / COORDINATOR, there / COORDINATOR)
        _publish(folder / ALLOWED / f"{name}.key", public)
        (folder / REVOKED / f"{name}.key").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{error.filename or there}: cannot be written: {error.strerror}") from None
    return there


def revoke_host(folder: Path, name: str) -> None:
    """Take a host's key off the list, and its secret out of the folder. Raises UsageError if it is not on it."""
    _checked(name)
    try:
        (folder / ALLOWED / f"{name}.key").rename(folder / REVOKED / f"{name}.key")
        shutil.rmtree(folder / HOSTS / name, ignore_errors=True)
    except FileNotFoundError:
        raise UsageError(f"{name}: is not allowed; `whoismesh keys list` shows who is") from None
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None


def listed(folder: Path) -> list[tuple[str, str, str]]:
    """Return (name, "allowed" or "revoked", public key) of all hosts, sorted. Raises ConfigError."""
    Keys.load(folder)
    return sorted(
        (path.stem, state, _read(path)[0].decode())
        for state in (ALLOWED, REVOKED)
        for path in (folder / state).glob("*.key")
    )


def _checked(name: str) -> None:
    if not _NAME.match(name):
        raise UsageError(f"{name!r} is no name; expected letters, digits and . _ -, 63 at most")


def _read(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{path}: holds no key: {told}; make one with `whoismesh keys`") from None
    if any(each is not None and len(each) != KEY_CHARACTERS for each in (public, secret)):
        raise ConfigError(f"{path}: holds no key of {KEY_CHARACTERS} characters; make one with `whoismesh keys`")
    return public, secret


def _write_pair(path: Path) -> bytes:
    """Write a new pair that only its owner may read; return the public key."""
    public, secret = zmq.curve_keypair()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(_certificate(public) + f'    secret-key = "{secret.decode()}"\n')
    return public


def _publish(target: Path, public: bytes) -> None:
    """Write the public key of a pair whole or not at all."""
    temporary = target.with_suffix(".new")
    temporary.write_text(_certificate(public), "ascii")
    temporary.chmod(0o644)
    temporary.rename(target)


def _certificate(public: bytes) -> str:
    return f'#   Written by `whoismesh keys`.\n\nmetadata\n\ncurve\n    public-key = "{public.decode()}"\n'
