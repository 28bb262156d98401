"""Every command in the pages on outputs is run, in the order of the page, and prints what the page says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def commands(text: str) -> list[tuple[str, str]]:
    """Return (command, what it prints) of all console blocks of a page."""
    found: list[tuple[str, str]] = []
    for block in text.split("```console\n")[1:]:
        for line in block.partition("```")[0].splitlines():
            if line.startswith("$ "):
                found.append((line[2:], ""))
            elif line.startswith("> "):  # the command goes on
                found[-1] = f"{found[-1][0]}\n{line[2:]}", ""
            else:
                command, printed = found[-1]
                found[-1] = command, f"{printed}{line}\n"
    return found


@pytest.mark.parametrize("page", ["outputs.md", "maps.md", "dump.md", "export.md"])
def test_every_command_of_a_page_prints_what_the_page_says(page: str, tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, call in (("python", ""), ("whoismesh", " -m whoismesh")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{call} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    found = commands((ROOT / "docs" / page).read_text("utf-8"))
    assert len(found) >= 3
    for command, expected in found:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr.decode()) == (0, ""), command
        assert done.stdout.decode() == expected, command


def test_the_queries_of_the_page_on_exports_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import duckdb
    import maxminddb

    from whoismesh.cli import main
    from whoismesh.practice import snapshot

    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    queries = [block.partition("```")[0] for block in page.split("```sql\n")[1:]]
    assert len(queries) == 5
    monkeypatch.chdir(tmp_path)
    assert (
        snapshot.main([str(ROOT / "tests/fixtures/two-levels.csv.gz"), "-o", "results.msgpack", "--levels", "2"]) == 0
    )
    for name in ("parquet", "mmdb"):
        assert main(["export", "results.msgpack", "--to", name, "-o", f"results.{name}"]) == 0
    with duckdb.connect() as connection:
        answers = [connection.execute(query).fetchall() for query in queries]
    assert sum(row[1] for row in answers[0]) == 531
    assert [row[0] for row in answers[1]] == ["193.240.35.0-193.240.42.255", "193.240.0.0/16"]
    assert answers[2] == [("193.240.35.0-193.240.42.255",)]
    assert len(answers[3]) == len(answers[4]) == 3
    code = page.partition("```python\n")[2].partition("```")[0]
    printed: list[object] = []
    exec(compile(code, "export.md", "exec"), {"maxminddb": maxminddb, "print": printed.append})
    assert printed == ["Level 3 Communications, Inc."]
