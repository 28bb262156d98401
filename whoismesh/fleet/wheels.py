"""The wheelhouse: the project and all it needs as wheels, made once, so that hosts need neither index nor compiler."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import whoismesh
from whoismesh.errors import ConfigError, UnavailableError

#: What a wheel of the project is made of, in its clone.
SOURCES = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "NOTICE", "bin", "whoismesh")
#: Wheels made twice of the same sources are the same bytes: 1 January 2020.
EPOCH = "1577836800"
BUILD_S = 900
#: Hidden from the units (ProtectHome).
HOMES = ("/root/", "/home/", "/run/user/")


@dataclass(frozen=True, slots=True)
class Wheelhouse:
    """Wheels, what names exactly these, and what they need of a host: Python's minor version, machine, C library."""

    files: tuple[Path, ...]
    digest: str
    python: tuple[int, int]
    machine: str
    libc: tuple[str, str]

    def unfit(self, facts: Any) -> str:
        """Return why a host cannot use them, from what `on_host.facts` says of it; empty if it can."""
        python, wanted = tuple(facts["python"][:2]), _dotted(self.python)
        if python != self.python:
            return f"has Python {_dotted(python)}, not {wanted}: install {package(self.python)}, or give --python PATH"
        if facts["executable"].startswith(HOMES):
            return f"{facts['executable']} lies in a home, where no unit sees it: install {package(self.python)}"
        if facts["machine"] != self.machine:
            return f"is {facts['machine']}, and the wheels are for {self.machine}: run fab on a machine like the hosts"
        name, version = facts["libc"]
        if name != self.libc[0] or _numbers(version) < _numbers(self.libc[1]):
            return (
                f"has {name or 'another C library'} {version}, and the wheels need {' '.join(self.libc)}: "
                "run fab on a system that is as old as the oldest host"
            )
        if facts["missing"]:
            return f"Python lacks {', '.join(facts['missing'])}: install {package(self.python)}"
        if not facts["systemd"]:
            return "does not run systemd, and the daemons are its units"
        return ""


def package(python: tuple[int, int]) -> str:
    """Return how Debian calls a Python that has all its modules."""
    return f"python{_dotted(python)} python{_dotted(python)}-venv"


def make_wheelhouse(folder: Path, told: Callable[[str], None]) -> Wheelhouse:
    """Return the wheelhouse of this clone, made in `folder` unless it is there. Raises ConfigError, UnavailableError.

    What is installed beside this program is what hosts get, version by version.
    """
    if platform.system() != "Linux" or not platform.libc_ver()[0]:
        raise ConfigError(
            f"wheels for hosts are made on Linux with glibc, and this is {platform.system()}: run fab there"
        )
    root = Path(whoismesh.__file__).resolve().parents[1]
    if not (root / "setup.cfg").is_file():
        raise ConfigError(f"{root}: is no clone of whoismesh: run fab in one, with what `bin/setup fleet` installs")
    versions = _versions()
    target = folder / _key(root, versions)
    if not target.is_dir():
        told("making the wheelhouse ...")
        _build(root, versions, target)
    files = tuple(sorted(target.glob("*.whl")))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return Wheelhouse(files, digest.hexdigest()[:16], sys.version_info[:2], platform.machine(), platform.libc_ver())


def _versions() -> list[str]:
    found = {(each.name or "").lower(): each.version for each in importlib.metadata.distributions()}
    return sorted(f"{name}=={version}" for name, version in found.items() if name and name != "whoismesh")


def _key(root: Path, versions: list[str]) -> str:
    """Return what changes when the wheels may."""
    digest = hashlib.sha256("\n".join([sys.version, platform.machine(), *versions]).encode())
    for name in SOURCES:
        paths = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        for path in paths:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _build(root: Path, versions: list[str], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as work:
        # A copy: setuptools leaves its traces where it builds.
        source, wheels, constraints = Path(work, "source"), Path(work, "wheels"), Path(work, "constraints.txt")
        source.mkdir()
        for name in SOURCES:
            if (root / name).is_dir():
                shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, source)
        constraints.write_text("\n".join(versions), "utf-8")
        options = [
            "--quiet",
            "--disable-pip-version-check",
            "--constraint",
            str(constraints),
            "--wheel-dir",
            str(wheels),
        ]
        # pip comes along: where Debian has no python3-venv there is none.
        done = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", *options, str(source), "pip"],
            env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-1:]
            raise UnavailableError(f"pip wheel failed (is there a package index?): {' '.join(told)[:500]}")
        wheels.rename(target)


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
