"""Crawls in which both protocols are asked: the dump is the preferred one's, with what the other says beside it."""

from collections import Counter

from whoismesh.addresses import parse_address
from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.compare import compare
from whoismesh.practice.outdated import Outdated
from whoismesh.registries import REGISTRIES

#: Networks of all five, most of them early registrations or transferred ones.
SPACE = ("164.128.0.0/9", "190.128.0.0/12", "119.0.0.0/11")
OUTDATED = Outdated(0.35, 3)


def compare_all(text):
    return text.replace("connections =", "compare = 1.0\nconnections =")


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
