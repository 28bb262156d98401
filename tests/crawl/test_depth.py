"""Networks inside of networks, found by real crawls: by relation searches, by port 43's flags, and by gaps."""

import json
import os
import signal
from pathlib import Path

import pytest

from whoismesh.addresses import format_address
from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.compare import compare
from whoismesh.practice.table import AllocationTable
from whoismesh.registries import REGISTRIES

TABLE = Path(__file__).parent.parent / "fixtures" / "two-levels.csv.gz"
#: Of ARIN, APNIC, LACNIC, RIPE NCC and, with blocks of all the others, AFRINIC. A network of APNIC's has 102 children.
SPACE = ("64.132.0.0/16", "122.176.0.0/13", "189.125.0.0/16", "193.240.0.0/16", "196.0.0.0/15")
#: Gaps cost a question for each smallest assignment, which is a /27 in these.
NARROW = ("64.132.0.0/18", "189.125.0.0/18", "193.240.0.0/18")


@pytest.fixture(scope="module")
def levels():
    return AllocationTable.load(TABLE, 2)


def only(protocol, config):
    return config.replace('protocols = ["rdap", "whois"]', f'protocols = ["{protocol}"]')


async def crawled(lab, space, *arguments, change=str):
    dump = lab.folder / "out.msgpack"
    config = lab.config(*space, change=change)
    ended = await lab.run("crawl", "--config", config, "--dump", dump, "--json", *arguments)
    assert ended.code == 0, ended.err
    summary = ended.summary
    assert summary["settled"] == summary["space"] and summary["failed"] == 0
    assert summary["lookups"] == len(lab.practice.requests)
    return dump, summary


def test_relation_searches_find_every_network_and_the_narrowest_answers_a_lookup(in_lab, levels):
    async def crawl(lab):
        dump, summary = await crawled(lab, SPACE, "--depth", "assignments", change=lambda text: only("rdap", text))
        assert compare(dump, levels).equal
        assert summary["lookups"] < 2 * summary["networks"]
        child = next(row for row in levels.deeper() if row.registry == "apnic")
        found = await lab.run("lookup", dump, format_address(4, child.range.first), "--json")
        assert json.loads(found.out)["holder"]["name"] == child.name
        # Parents are there too, with their own holders.
        with open_dump(dump) as records:
            ranges = {each.range: each.holder.name for each in records if isinstance(each, Network)}
        around = levels.around(child.range)[-1]
        assert ranges[child.range] == child.name and ranges[around.range] == around.name

    in_lab(crawl, table=levels, rir_search=REGISTRIES)


def test_flags_of_port_43_find_every_network_where_lists_may_be_short(in_lab, levels):
    async def crawl(lab):
        space = ("122.176.0.0/13", "193.240.0.0/16")
        dump, _ = await crawled(lab, space, "--depth", "assignments", change=lambda text: only("whois", text))
        assert compare(dump, levels).equal
        kinds = {(each.protocol, each.address.split()[0]) for each in lab.practice.requests if " " in each.address}
        assert {("whois", "-M"), ("whois", "-L")} <= kinds

    in_lab(crawl, table=levels, most_listed=30)


def test_gaps_find_every_network_that_is_as_large_as_the_smallest_assignment(in_lab, levels):
    async def crawl(lab):
        dump, summary = await crawled(
            lab,
            NARROW,
            "--depth",
            "assignments",
            change=lambda text: only("rdap", text).replace("[crawl]\n", "[crawl]\nassignment_v4 = 27\n"),
        )
        assert compare(dump, levels).equal
        assert summary["networks"] > 70
        assert all(each.protocol == "rdap" and " " not in each.address for each in lab.practice.requests)

    in_lab(crawl, table=levels)


@pytest.mark.slow
def test_killed_workers_cost_questions_and_no_network(in_lab, levels):
    async def crawl(lab):
        config = lab.config(*SPACE, change=lambda text: text.replace("connections = 16", "connections = 2"))
        dump = lab.folder / "out.msgpack"
        crawling = await lab.start("crawl", "--config", config, "--depth", "assignments", "--dump", dump, "--json")
        await lab.requests(100)
        killed = workers_of(crawling.pid)
        assert len(killed) == 2
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        ended = await lab.end(crawling)
        assert ended.code == 0, ended.err
        assert compare(dump, levels).equal
        # Another depth is another crawl.
        refused = await lab.run("crawl", "--config", config, "--dump", dump)
        assert refused.code == 78 and "holds a crawl of depth assignments, not allocations" in refused.error

    in_lab(crawl, table=levels, rir_search=("arin", "lacnic", "ripencc"))


def workers_of(crawl):
    """Return the process ids of a crawl's workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            command = (path / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == crawl and b"whoismesh.worker" in command:
            found.append(int(path.name))
    return found


def test_a_crawl_of_allocations_ends_and_settles_all_where_registries_answer_with_the_narrowest(in_lab, levels):
    async def crawl(lab):
        dump, summary = await crawled(lab, SPACE)
        result = compare(dump, levels)
        assert not result.unexpected and not result.repeated
        assert result.missing  # what no address asked happened to lie in
        assert summary["lookups"] < 1.3 * summary["networks"]

    in_lab(crawl, table=levels, rir_search=REGISTRIES)
