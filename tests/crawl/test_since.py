"""`--since`: an older dump is taken over where it is young and true, and only the rest is asked."""

from __future__ import annotations

import dataclasses
import shlex
import time
from pathlib import Path

import pytest

from whoismesh.addresses import Range, parse_address
from whoismesh.dump import open_dump
from whoismesh.dump_file import header_of, write_records
from whoismesh.networks import Network, Unheld
from whoismesh.packing import pack
from whoismesh.practice.compare import compare
from whoismesh.practice.server import PracticeRegistries
from whoismesh.practice.table import AllocationTable
from whoismesh.rangesets import RangeSet

#: Of several registries, with what nobody holds.
SPACE = ("193.104.0.0/16", "196.4.0.0/15")
DAY_S = 86_400


def read(path: Path) -> list[Network | Unheld]:
    with open_dump(path) as dump:
        return list(dump)


def networks(path: Path) -> dict[Range, Network]:
    return {each.range: each for each in read(path) if isinstance(each, Network)}


def aged(source: Path, target: Path, every: int, depth: str = "allocations") -> set[Range]:
    """Write a dump again in which one network in so many is 40 days old; return the ranges of these."""
    records = read(source)
    old = {each.range for each in records[::every] if isinstance(each, Network)}
    changed = [
        dataclasses.replace(each, fetched_at=time.time() - 40 * DAY_S)
        if isinstance(each, Network) and each.range in old
        else each
        for each in records
    ]
    with open_dump(source) as dump:
        header = header_of(dump.header["space"], complete=True, depth=depth)
    kinds = ("network" if isinstance(each, Network) else each.kind for each in changed)
    write_records(target, header, zip(kinds, (pack(each.to_map()) for each in changed), strict=True))
    return old


def readme_command() -> list[str]:
    """Return the example of the README, with the files of the test."""
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text("utf-8")
    (line,) = (line for line in readme.splitlines() if line.startswith("$ whoismesh crawl") and " --since " in line)
    here = {
        "crawl.toml": "now.toml",
        "january.msgpack": "old.msgpack",
        "delegated-*-extended-latest": "prior.txt",
        "february": "two",
        "february.msgpack": "two.msgpack",
    }
    words = shlex.split(line)[2:]
    assert here.keys() <= set(words)
    return [here.get(word, word) for word in words]


def held_by(ranges: set[Range], text: str) -> bool:
    family, address = parse_address(text)
    return any(each.holds(family, address) for each in ranges)


@pytest.mark.slow
def test_only_what_is_old_is_asked_and_the_dump_is_exact(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        first = await lab.run("crawl", "--config", config, "--state", "one", "--dump", "one.msgpack", "--json")
        assert first.code == 0, first.err
        old = aged(lab.folder / "one.msgpack", lab.folder / "old.msgpack", 5)
        before = networks(lab.folder / "old.msgpack")
        assert len(before) > 200 and len(old) >= len(before) // 6
        lab.practice.requests.clear()
        command = ("crawl", "--config", config, "--state", "two", "--dump", "two.msgpack", "--json")
        second = await lab.run(*command, "--since", "old.msgpack", "--older-than", "30d")
        assert second.code == 0, second.err
        assert compare(lab.folder / "two.msgpack", table).equal
        young = before.keys() - old
        assert [text for text in lab.asked() if held_by(young, text)] == []
        assert second.summary["lookups"] == len(lab.asked()) < first.summary["lookups"] / 2
        after = networks(lab.folder / "two.msgpack")
        assert {each: after[each] for each in young} == {each: before[each] for each in young}
        assert all(after[each].fetched_at > before[each].fetched_at + 30 * DAY_S for each in old)
        for name in ("settled", "held", "unallocated", "addresses"):
            assert second.summary[name] == first.summary[name]
        (told,) = second.summary["imported"]
        assert (told["objects"], told["taken"], told["skipped"]) == (len(before), len(young), {"old": len(old)})
        # It is not read again, and the older dump is not needed for a dump.
        asked = len(lab.asked())
        assert (await lab.run(*command, "--since", "old.msgpack", "--older-than", "30d")).code == 0
        (lab.folder / "old.msgpack").unlink()
        assert (await lab.run("dump", "--state", "two", "again.msgpack")).code == 0
        assert networks(lab.folder / "again.msgpack") == after
        assert len(lab.asked()) == asked

    in_lab(crawl)


@pytest.mark.slow
def test_what_the_prior_says_has_changed_is_asked_and_the_dump_is_exact(in_lab, table):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16", name="then.toml")
        assert (await lab.run("crawl", "--config", config, "--state", "one", "--dump", "old.msgpack")).code == 0
        rows = [row for row in table.rows() if Range.parse("193.104.0.0/16").contains(row.range)]
        held = [row for row in rows if row.held]
        tomorrow = time.strftime("%Y%m%d", time.gmtime(time.time() + DAY_S))
        given_back, sold, moved = held[3], held[10], held[20]
        assert {each.registry for each in (given_back, sold, moved)} == {"ripencc"}
        changed = {
            given_back: given_back._replace(status="available", holder="", date="", country=""),
            sold: sold._replace(holder="another", date=tomorrow, name="Another Holder"),
            moved: moved._replace(registry="arin", holder="arin-holder", country="US"),
        }
        now = AllocationTable([changed.get(row, row) for row in table.rows()])
        (lab.folder / "prior.txt").write_text(now.published())
        async with PracticeRegistries(now) as later:
            (lab.folder / "now.toml").write_text(later.config_text([Range.parse("193.104.0.0/16")]))
            ended = await lab.run(*readme_command(), "--json")
            asked = [request.address for request in later.requests]
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "two.msgpack", now).equal
        after = networks(lab.folder / "two.msgpack")
        assert after[sold.range].holder != networks(lab.folder / "old.msgpack")[sold.range].holder
        assert after[moved.range].registry == "arin"
        assert given_back.range not in after
        touched = RangeSet([sold.range, moved.range])
        assert asked and all(touched.holds(*parse_address(text)) for text in asked)
        (told,) = ended.summary["imported"]
        assert told["skipped"] == {"changed": 3}
        assert told["taken"] == len(held) - 3

    in_lab(crawl)


@pytest.mark.slow
def test_networks_in_networks_are_taken_over_together(in_lab):
    table = AllocationTable.load(Path(__file__).parent.parent / "fixtures" / "two-levels.csv.gz", 2)

    async def crawl(lab):
        config = lab.config("193.240.0.0/17")
        deep = ("crawl", "--config", config, "--depth", "assignments")
        first = await lab.run(*deep, "--state", "one", "--dump", "one.msgpack", "--json")
        assert first.code == 0, first.err
        before = networks(lab.folder / "one.msgpack")
        assert len(before) > 10
        asked = len(lab.asked())
        second = await lab.run(*deep, "--state", "two", "--dump", "two.msgpack", "--since", "one.msgpack", "--json")
        assert second.code == 0, second.err
        assert networks(lab.folder / "two.msgpack") == before
        assert compare(lab.folder / "two.msgpack", table).equal
        free = [each for each in read(lab.folder / "one.msgpack") if isinstance(each, Unheld)]
        assert all(held_by({each.range for each in free}, text) for text in lab.asked()[asked:])
        shallow = await lab.run("crawl", "--config", config, "--state", "x", "--since", "one.msgpack", "--quiet")
        assert shallow.code == 78
        assert "was crawled with depth assignments, and this crawl has allocations" in shallow.error

    in_lab(crawl, table=table, rir_search=("ripencc",))


def test_a_dump_that_cannot_be_taken_over_is_refused_before_anything_is_asked(in_lab):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config("193.104.0.0/24"), "--quiet", "--since", "old.msgpack")
        old = lab.folder / "old.msgpack"
        old.write_bytes(b"no dump")
        ended = await lab.run(*command)
        assert (ended.code, "crawl.since: old.msgpack: is no whoismesh dump" in ended.error) == (78, True)
        record = Network("ripencc", Range.parse("193.104.0.0/24"), fetched_at=time.time())
        write_records(old, header_of(["193.104.0.0/24"], complete=True), [("network", pack(record.to_map()))])
        old.write_bytes(old.read_bytes()[:-30])
        ended = await lab.run(*command)
        assert (ended.code, "crawl.since: old.msgpack: is cut short after 1 whole records" in ended.error) == (78, True)
        assert lab.asked() == []

    in_lab(crawl)
