"""Transferred blocks and early registrations: each is in the dump once, under the registry that has it now."""

from collections import Counter

import pytest

from whoismesh.dump import open_dump
from whoismesh.networks import Network, Unheld
from whoismesh.practice.compare import compare
from whoismesh.practice.quirks import Quirk, Quirks
from whoismesh.practice.verdicts import delegation_of
from whoismesh.rangesets import RangeSet

#: Space that IANA gave to ARIN, AFRINIC, APNIC and RIPE NCC, in which blocks are every other registry's today.
SPACE = (
    "164.128.0.0/10", "196.0.0.0/14", "61.14.128.0/17", "202.170.128.0/17", "195.128.0.0/18", "217.14.0.0/16"
)  # fmt: skip
MIXED = {"arin": "whois", "ripencc": "rdap", "apnic": "whois", "lacnic": "rdap", "afrinic": "whois"}
ORDERS = {
    "rdap first": dict.fromkeys(MIXED, "rdap"),
    "whois first": dict.fromkeys(MIXED, "whois"),
    "mixed": MIXED,
}
#: APNIC passes on what the others answer about some addresses, instead of pointing there.
QUIRKS = Quirks(0.5, 2, (Quirk.PROXIED,))


def ordered(preferred):
    """Return a change of the config: each registry's preferred protocol first."""

    def change(text):
        head, *sections = text.split("[registries.")
        for index, section in enumerate(sections):
            first = preferred[section.partition("]")[0]]
            other = "whois" if first == "rdap" else "rdap"
            sections[index] = section.replace('["rdap", "whois"]', f'["{first}", "{other}"]')
        return "[registries.".join([head, *sections])

    return change


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_every_transferred_block_is_there_once_under_its_registry(in_lab, table, order):
    async def crawl(lab):
        config = lab.config(*SPACE, change=ordered(ORDERS[order]))
        ended = await lab.run("crawl", "--config", config, "--workers", "2", "--json")
        assert ended.code == 0, ended.err
        result = compare(lab.folder / "results.msgpack", table)
        assert result.equal, result

        with open_dump(lab.folder / "results.msgpack") as dump:
            space = RangeSet(dump.space)
            records = list(dump)
        held = Counter((each.registry, each.range) for each in records if isinstance(each, Network))
        moved = []
        for row in table.rows():
            home = delegation_of(row.range.family, row.range.first)
            if row.held and home is not None and home[1] != row.registry and space.meets(row.range):
                moved.append((home[1], row.registry))
                assert held[row.registry, row.range] == 1, row
                holding = [each for each in records if each.range.contains(row.range)]
                assert len(holding) == 1, (row, "neither in a wider network nor in space that nobody holds")
        ways = Counter(moved)
        assert ways.total() > 200 and len(ways) >= 10, ways
        assert not any(isinstance(each, Unheld) and each.kind == "failed" for each in records)
        sources = {each.registry: each.source for each in records if isinstance(each, Network)}
        assert sources == {name: first for name, first in ORDERS[order].items() if name in sources}

    in_lab(crawl, quirks=QUIRKS)
