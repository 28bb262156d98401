"""docs/cli.md is what the commands say of themselves, and each says an example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from whoismesh.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 writes options in another way")
@pytest.mark.parametrize("columns", ["40", "300"])
def test_the_page_is_what_the_commands_say(columns: str) -> None:
    command = [sys.executable, str(ROOT / "tests" / "cli_page.py")]
    environment = {"PYTHONPATH": str(ROOT), "COLUMNS": columns, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert done.stdout.decode() == PAGE, f"run {' '.join(command)} > docs/cli.md"


def test_every_command_is_on_the_page_with_an_example() -> None:
    helps = dict(re.findall(r"^## ([^\n]+)\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    programs = {"whoismesh", "whoismesh-coord", "whoismesh-worker"}
    assert {f"whoismesh {name}" for name, _, _ in COMMANDS} | programs <= helps.keys()
    for name, text in helps.items():
        assert re.search(r"^example:", text, re.MULTILINE) or name.startswith("whoismesh keys "), name
        assert max(map(len, text.splitlines())) <= 160, name


def test_every_command_has_a_row_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = set(re.findall(r"^\| `whoismesh ([a-z-]+)", readme, re.MULTILINE))
    assert rows == {name for name, _, _ in COMMANDS}
