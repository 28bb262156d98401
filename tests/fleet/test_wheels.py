"""The wheelhouse, and which hosts it fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whoismesh.fleet.wheels import Wheelhouse

HOUSE = Wheelhouse((Path("x.whl"),), "abc", (3, 11), "x86_64", ("glibc", "2.36"))
FITS = {
    "python": [3, 11, 2],
    "executable": "/usr/bin/python3.11",
    "machine": "x86_64",
    "libc": ["glibc", "2.36"],
    "missing": [],
    "systemd": True,
}


def test_a_host_like_this_one_or_newer_fits() -> None:
    assert HOUSE.unfit(FITS) == ""
    assert HOUSE.unfit(FITS | {"libc": ["glibc", "2.100"]}) == ""


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            {"python": [3, 12, 1]},
            "has Python 3.12, not 3.11: install python3.11 python3.11-venv, or give --python PATH",
        ),
        ({"executable": "/root/.pyenv/bin/python3.11"}, "/root/.pyenv/bin/python3.11 lies in a home"),
        ({"machine": "aarch64"}, "is aarch64, and the wheels are for x86_64"),
        ({"libc": ["glibc", "2.31"]}, "has glibc 2.31, and the wheels need glibc 2.36"),
        ({"libc": ["", ""]}, "has another C library , and the wheels need glibc 2.36"),
        ({"missing": ["venv", "sqlite3"]}, "Python lacks venv, sqlite3: install python3.11 python3.11-venv"),
        ({"systemd": False}, "does not run systemd"),
    ],
)
def test_a_host_that_does_not_fit_is_told_why(other: dict[str, Any], told: str) -> None:
    assert HOUSE.unfit(FITS | other).startswith(told)
