"""Bulk files made for practice: what three registries have of the table, and everything that is none of it."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

from whoismesh.addresses import Range
from whoismesh.bulk.files import read_files
from whoismesh.bulk.reading import Skipped
from whoismesh.practice.bulk_files import FILES, write_bulk_files
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.rangesets import RangeSet


def row(where: str, registry: str, status: str = "allocated", holder: str = "h", name: str = "Réseau Ω") -> Row:
    return Row(Range.parse(where), registry, "FR", status, "20010203", holder, name)


@pytest.mark.slow
def test_read_back_they_are_what_the_registries_have_in_the_table(tmp_path: Path) -> None:
    table = AllocationTable.load(packaged())
    paths = write_bulk_files(table, tmp_path / "bulk")
    skipped: Counter[Skipped] = Counter()
    found = Counter()
    for step in read_files(paths, RangeSet(table.space()), tmp_path, {}):
        found.update((each.registry, each.range) for each in step.networks)
        skipped.update(step.done.skipped if step.done else {})
    assert found == Counter(
        (each.registry, each.range) for each in table.rows() if each.held and each.registry in FILES
    )
    # All that real files hold is there, so that a reader meets it: only mirrors are not.
    assert {why for why, count in skipped.items() if count} >= set(Skipped) - {
        Skipped.OTHER_SOURCE, Skipped.REPEATED, Skipped.KNOWN,
    }  # fmt: skip


def test_both_families_and_names_beyond_the_charset(tmp_path: Path) -> None:
    table = AllocationTable(
        [row("193.0.0.0/21", "ripencc"), row("2001:600::/32", "ripencc"), row("196.0.0.0/24", "afrinic")]
    )
    paths = write_bulk_files(table, tmp_path)
    assert [path.name for path in paths] == [
        "ripe.db.inetnum.gz", "ripe.db.inet6num.gz", "apnic.db.inetnum.gz", "apnic.db.inet6num.gz", "afrinic.db.gz",
    ]  # fmt: skip
    steps = list(read_files(paths, RangeSet(table.space()), tmp_path, {}))
    found = [each for step in steps for each in step.networks]
    assert {str(each.range) for each in found} == {"193.0.0.0/21", "2001:600::/32", "196.0.0.0/24"}
    payloads = b"".join(each.payload for each in found)
    assert "Réseau ?".encode() in payloads  # RIPE NCC's files are of ISO 8859-1
    assert "Réseau Ω".encode() in payloads  # AFRINIC's are of UTF-8


@pytest.mark.slow
def test_the_command_writes_them_before_it_is_ready(tmp_path: Path) -> None:
    async def run() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "whoismesh", "practice", "--bulk-out", str(tmp_path / "bulk"),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        process.terminate()
        assert await process.wait() == 0
        return line.decode()

    said = asyncio.run(run())
    assert f"5 bulk files in {tmp_path / 'bulk'}" in said
    assert len(list((tmp_path / "bulk").iterdir())) == 5
