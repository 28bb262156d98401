"""docs/registries.md says which test shows what: every one of them is there, and so is every word it may use."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from whoismesh.answers import Status
from whoismesh.practice.faults import Fault, RetryAfter
from whoismesh.practice.quirks import Quirk

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "registries.md").read_text("utf-8")


def test_every_test_it_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE))
    assert len(named) > 50
    there = set()
    for file in {file for file, _ in named}:
        (path,) = TESTS.rglob(file)
        there |= {(file, node.name) for node in ast.parse(path.read_text("utf-8")).body if hasattr(node, "name")}
    assert named - there == set()


def test_every_row_has_a_status_of_the_closed_set_and_a_test() -> None:
    words = {status.value for status in Status}
    for section in ("Texts at port 43", "HTTP and RDAP"):
        rows = PAGE.split(f"## {section}\n")[1].split("\n## ")[0].splitlines()
        for row in [row for row in rows if row.startswith("|")][2:]:
            _, _, status, test = row.split(" | ")
            first = re.match(r"`(\w+)`", status)
            assert first is None or first[1] in words, row
            assert "::test_" in test, row


def test_every_status_fault_quirk_and_form_is_on_it() -> None:
    for word in (*Status, *Fault, *Quirk, *RetryAfter):
        assert f"`{word}`" in PAGE, word
