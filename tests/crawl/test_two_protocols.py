"""Crawls in which both protocols are asked: the dump is the preferred one's, with what the other says beside it."""

from collections import Counter

import pytest
from daemons import coordinator, dumped, kept_port, worker

from whoismesh.addresses import parse_address
from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.compare import compare
from whoismesh.practice.faults import Weather
from whoismesh.practice.outdated import Outdated
from whoismesh.registries import REGISTRIES

#: Networks of all five, most of them early registrations or transferred ones.
SPACE = ("164.128.0.0/9", "190.128.0.0/12", "119.0.0.0/11")
OUTDATED = Outdated(0.35, 3)


def compare_all(text):
    return text.replace("connections =", "compare = 1.0\nconnections =")


@pytest.mark.slow
def test_what_port_43_says_otherwise_is_kept_and_counted(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE, change=compare_all)
        ended = await lab.run("crawl", "--config", config, "--workers", "2", "--json")
        assert ended.code == 0, ended.err
        result = compare(lab.folder / "results.msgpack", table)
        assert result.equal, result

        with open_dump(lab.folder / "results.msgpack") as dump:
            networks = [each for each in dump if isinstance(each, Network)]
        assert {each.source for each in networks} == {"rdap"}
        rows = [table.find(each.range.family, each.range.first) for each in networks]
        wanted = Counter((row.registry, way.value) for row in rows if (way := OUTDATED.of(row)))
        assert {registry for registry, _ in wanted} == set(REGISTRIES)
        assert Counter((each.registry, field) for each in networks for field in each.differs) == wanted
        for each in networks:
            assert (each.also is None) == (not each.differs)
            if each.also is not None:
                assert each.also.source == "whois"
                assert (each.also.range != each.range) == ("range" in each.differs)
                assert (each.also.holder.name or "").startswith("Former holder") == ("holder" in each.differs)

        summary = ended.summary
        assert summary["disagreements"] == wanted.total() > 100
        assert summary["compared"] >= summary["networks"]
        counted = {
            (registry, field): count
            for registry, row in summary["by_registry"].items()
            for field, count in row["disagreements"].items()
            if count
        }
        assert counted == wanted
        served = {
            table.find(*parse_address(request.address))
            for request in lab.practice.requests
            if request.protocol == "whois" and request.kind == "network"
        }
        assert {row.range for row in served} == {each.range for each in networks}, "each was asked of both"
        told = Counter((row.registry, way.value) for row in served if (way := OUTDATED.of(row)))
        assert told == wanted

    in_lab(crawl, outdated=OUTDATED)


@pytest.mark.slow
def test_a_killed_coordinator_loses_no_disagreement_and_repeats_none(in_lab, table):
    """What comes once more from the spool is in the dump once, each network with what belongs to it."""

    async def crawl(lab):
        config = lab.config("164.128.0.0/10", change=compare_all)
        coord = await coordinator(lab, config, f"tcp://127.0.0.1:{(port := kept_port())}")
        one = await worker(lab, config, "one", coord.endpoint)
        await lab.requests(150)
        coord.kill()
        await coord.ends()
        coord = await coordinator(lab, config, f"tcp://127.0.0.1:{port}")
        assert await coord.ends() == 0
        assert await one.ends() == 0
        await dumped(lab, table)
        with open_dump(lab.folder / "out.msgpack") as dump:
            networks = [each for each in dump if isinstance(each, Network)]
        rows = [table.find(each.range.family, each.range.first) for each in networks]
        wanted = Counter((row.registry, way.value) for row in rows if (way := OUTDATED.of(row)))
        assert Counter((each.registry, field) for each in networks for field in each.differs) == wanted
        assert wanted.total() > 40

    in_lab(crawl, outdated=OUTDATED, weather=Weather(0.005))
