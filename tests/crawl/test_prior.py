"""Real crawls with a prior: exact, a lookup a network, and exact also when the files are old."""

import asyncio
import signal
import sys

import pytest

from whoismesh.addresses import Range, parse_space
from whoismesh.delegated import Delegation, write
from whoismesh.dump import open_dump
from whoismesh.networks import Unheld
from whoismesh.practice.compare import compare
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable
from whoismesh.rangesets import RangeSet

#: Of all five registries, with transfers, networks that are no CIDR and unallocated gaps.
SPACE = ("102.160.0.0/12", "177.96.0.0/13", "193.104.0.0/15", "196.0.0.0/13", "202.128.0.0/11", "216.0.0.0/12")


def published(table, change=lambda row: [row]):
    rows = [each for row in table.rows() for each in change(Delegation(*row[:6]))]
    return "".join(f"{line}\n" for line in write(rows, "20181013"))


def delegated(dump):
    with open_dump(dump) as records:
        return RangeSet(each.range for each in records if isinstance(each, Unheld) and each.source == "delegated")


def free(table, space):
    rows = RangeSet(row.range for row in table.rows() if not row.held)
    return RangeSet(part for each in space for part in rows.present(each))


def test_a_prior_makes_it_a_lookup_a_network_and_settles_what_is_free_without_one(in_lab, table):
    async def crawl(lab):
        prior = lab.folder / "delegated"
        prior.write_text(published(table))
        command = ("crawl", "--config", lab.config(*SPACE), "--workers", "3", "--state", "state", "--json")
        ended = await lab.run(*command, "--prior", prior)
        assert ended.code == 0, ended.err
        dump = lab.folder / "results.msgpack"
        assert compare(dump, table).equal
        summary = ended.summary
        assert summary["settled"] == summary["space"]
        assert summary["lookups"] == len(lab.practice.requests) <= 1.05 * summary["networks"]
        assert delegated(dump) == free(table, parse_space(SPACE))
        assert summary["unallocated"] == delegated(dump).size
        # What was settled stays so without the files.
        again = await lab.run(*command)
        assert again.code == 0 and again.summary["lookups"] == summary["lookups"]
        assert delegated(dump) == free(table, parse_space(SPACE))

    in_lab(crawl)


@pytest.mark.slow
def test_killed_and_begun_again_with_or_without_its_prior_a_crawl_ends_exactly(in_lab, table):
    async def crawl(lab):
        prior = lab.folder / "delegated"
        prior.write_text(published(table))
        command = ("crawl", "--config", lab.config(*SPACE), "--workers", "2", "--state", "state", "--json")
        for more in (("--prior", prior), (), ("--prior", prior)):
            before = len(lab.practice.requests)
            process = await lab.start(*command, *more)
            await lab.requests(before + 300)
            process.send_signal(signal.SIGKILL)
            await lab.end(process)
        ended = await lab.run(*command)
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        assert delegated(lab.folder / "results.msgpack") == free(table, parse_space(SPACE))

    in_lab(crawl)


def outdated(row):
    """As if the file were years old: blocks not given out yet, given back since, split, and at another registry."""
    match row.range.first // row.range.size % 6:
        case 0:
            return [row._replace(status="available", holder="")]
        case 1:
            return [row._replace(registry="arin" if row.registry != "arin" else "apnic")]
        case 2:
            middle = row.range.first + row.range.size // 2
            halves = (Range(4, row.range.first, middle - 1), Range(4, middle, row.range.last))
            return [row._replace(range=half, status="allocated") for half in halves]
        case 3:
            return []
        case 4:
            return [row._replace(holder="one and the same", date="20000101", status="allocated")]
    return [row]


def test_an_old_prior_that_only_aims_costs_lookups_and_nothing_else(in_lab, table):
    async def crawl(lab):
        prior = lab.folder / "delegated"
        prior.write_text(published(table, outdated))
        space = SPACE[:1] + SPACE[2:4]
        ended = await lab.run(
            *("crawl", "--config", lab.config(*space), "--prior", prior, "--prior-aims-only", "--workers", "3"),
            "--json",
        )
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        assert not delegated(lab.folder / "results.msgpack")

    in_lab(crawl)


def test_an_old_prior_that_is_believed_misses_only_what_it_calls_free(in_lab, table):
    async def crawl(lab):
        prior = lab.folder / "delegated"
        prior.write_text(published(table, outdated))
        space = ("193.104.0.0/16",)
        ended = await lab.run("crawl", "--config", lab.config(*space), "--prior", prior, "--json")
        assert ended.code == 0, ended.err
        found = compare(lab.folder / "results.msgpack", table)
        called_free = RangeSet(
            each.range
            for row in table.rows(Range.parse(space[0]))
            for each in outdated(Delegation(*row[:6]))
            if each.status == "available"
        )
        assert found.missing and all(called_free.covers(where) for _, where in found.missing)
        assert not found.repeated and not found.unexpected

    in_lab(crawl)


def ipv6_table():
    """Sparse space as registries fill it: big blocks on halves, a dense corner, a pool of small assignments."""
    rows = []

    def add(where, held, number):
        status = ("allocated" if number % 2 else "assigned") if held else "available"
        rows.append(Row(where, "ripencc", "NL" if held else "", status, "20180101", f"o{number}" if held else "", "N"))

    def fill(block, taken):
        """Add rows: what is taken, and what is free between."""
        left = RangeSet([block])
        for number, where in enumerate(taken):
            left.remove(where)
            add(where, True, number)
        for number, where in enumerate(left):
            add(where, False, number)

    base = Range.parse("2a02::/20")
    sparse = [Range.of_prefix(6, base.first + (number << 98 + 4), 32 if number % 3 else 29) for number in range(64)]
    fill(base, sparse)
    pool = Range.parse("2001:67c::/32")
    fill(pool, [Range.of_prefix(6, pool.first + (4 * number << 80), 48) for number in range(1, 120)])
    return AllocationTable(rows)


def test_a_prior_makes_ipv6_exact_and_without_one_it_ends(in_lab):
    table = ipv6_table()

    async def crawl(lab):
        prior = lab.folder / "delegated"
        prior.write_text(published(table))
        config = lab.config("2a02::/20", "2001:67c::/32")
        ended = await lab.run("crawl", "--config", config, "--prior", prior, "--state", "with", "--json")
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        summary = ended.summary
        assert summary["networks"] == 64 + 119
        assert summary["lookups"] <= 1.2 * summary["networks"]
        ended = await lab.run("crawl", "--config", config, "--state", "without", "--dump", "without.msgpack", "--json")
        assert ended.code == 0, ended.err
        without = ended.summary
        assert without["settled"] == without["space"]
        assert without["lookups"] < 50 * summary["networks"]
        found = compare(lab.folder / "without.msgpack", table)
        assert not found.repeated and not found.unexpected and found.found >= 64

    in_lab(crawl, table=table)


def test_what_is_wrong_with_a_prior_is_said_before_anything_starts(in_lab):
    async def crawl(lab):
        bad = lab.folder / "bad"
        bad.write_text("ripe|NL|ipv4|193.0.0.0|2048|19930901|assigned|x\n<html>\n")
        command = ("crawl", "193.104.0.0/16", "--config", lab.config())
        ended = await lab.run(*command, "--prior", bad, lab.folder / "none")
        assert ended.code == 78
        assert f"{lab.folder / 'none'}: the prior cannot be read: No such file" in ended.err
        ended = await lab.run(*command, "--prior", bad)
        assert ended.code == 78
        assert f"{bad}:1: unknown registry 'ripe'" in ended.err and f"{bad}:2: expected 7" in ended.err
        assert "Traceback" not in ended.err
        assert not (lab.folder / "whoismesh-state").exists() and lab.asked() == []
        daemon = ("-m", "whoismesh.coordinator", "--listen", "tcp://127.0.0.1:0", "--state", "state")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *daemon, "--config", str(lab.config("193.104.0.0/16")), "--prior", str(bad)),
            cwd=lab.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        lab.processes.append(process)
        ended = await lab.end(process)
        assert ended.code == 78
        assert ended.err.startswith(f"whoismesh-coord: {bad}:1: unknown registry")

    in_lab(crawl)
