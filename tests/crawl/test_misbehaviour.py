"""Crawls of registries that do whatever registries do: the dump is the table's all the same."""

import pytest

from whoismesh.practice.compare import compare
from whoismesh.practice.faults import Fault, Weather
from whoismesh.practice.quirks import Quirks

SPACE = ("193.104.0.0/16", "102.160.0.0/13", "202.128.0.0/13")
#: All but two: refusals slow a crawl down, which is another test's, and an address that registries send in a circle is
#: settled as failed.
KINDS = tuple(fault for fault in Fault if fault not in (Fault.UNAVAILABLE, Fault.ASTRAY))


@pytest.mark.parametrize("first", ["rdap", "whois"])
def test_every_fault_and_every_quirk_at_once_lose_nothing(in_lab, table, first):
    def patient(text):
        text = text.replace("[crawl]", "[crawl]\nattempts = 9")
        if first == "whois":
            text = text.replace('["rdap", "whois"]', '["whois", "rdap"]')
        return text.replace("connections =", "timeout_s = 5\nconnections =")

    async def crawl(lab):
        config = lab.config(*SPACE, change=patient)
        ended = await lab.run("crawl", "--config", config, "--workers", "2", "--json")
        assert ended.code == 0, ended.err
        result = compare(lab.folder / "results.msgpack", table)
        assert result.equal, result
        assert len({kind for _, _, kind in lab.practice.counts if kind.startswith("fault:")}) >= 10

    in_lab(crawl, weather=Weather(0.002, 0.05, 11, KINDS), slow_s=0.2, quirks=Quirks(0.3, 11))
