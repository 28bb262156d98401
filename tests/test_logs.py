from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from whoismesh.logs import LEVELS, configure


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_lines_are_json_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    log = configure("info", daemon="worker")
    log.debug("not_shown")
    log.info("lease_granted", origin=3, text="two\nlines é", odd={1}, payload=b"\xff")
    try:
        raise ZeroDivisionError("really")
    except ZeroDivisionError:
        log.exception("lookup_failed")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "lease_granted",
        "level": "info",
        "daemon": "worker",
        "origin": 3,
        "text": "two\nlines é",
        "odd": "{1}",
        "payload": "b'\\xff'",
    }
    assert second["level"] == "error"
    assert second["exception"].endswith("ZeroDivisionError: really")


@pytest.mark.parametrize(("level", "shown"), list(zip(LEVELS, (4, 3, 2, 1), strict=True)))
def test_a_level_hides_what_is_below_it(monkeypatch: pytest.MonkeyPatch, level: str, shown: int) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    log = configure(level)
    for each in LEVELS:
        getattr(log, each)("happened")
    assert len(out.getvalue().splitlines()) == shown


@pytest.mark.parametrize("coloured", [True, False])
def test_lines_are_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch, coloured: bool) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    if coloured:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", "1")
    log = configure("info")
    log.info("lease_granted", origin=3)
    assert ("\x1b[" in out.getvalue()) == coloured
    assert "lease_granted" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_an_exception_is_shown_on_a_terminal_without_what_its_variables_held(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    log = configure("info")
    secret = "".join(["swo", "rdfish"])
    try:
        assert secret
        raise ZeroDivisionError("really")
    except ZeroDivisionError:
        log.exception("lookup_failed")
    assert "ZeroDivisionError: really" in out.getvalue()
    assert secret not in out.getvalue()
