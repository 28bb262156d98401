"""`--asn`: who announces what a crawl found, in the dump; and that a crawl never depends on whoever tells that."""

from __future__ import annotations

import pytest

from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.announcements import Announcements
from whoismesh.practice.compare import compare
from whoismesh.practice.faults import Fault, Weather
from whoismesh.store import LedgerStore

#: Of all five registries, with networks that are no CIDR and some that nobody announces.
SPACE = ("102.160.0.0/13", "177.96.0.0/13", "193.104.0.0/15", "202.128.0.0/12", "216.0.0.0/12")


def networks_of(lab, name="results.msgpack"):
    with open_dump(lab.folder / name) as records:
        return [each for each in records if isinstance(each, Network)]


def batches(lab):
    return [each for each in lab.practice.requests if each.registry == "cymru"]


@pytest.mark.slow
def test_every_network_has_the_origin_that_the_table_announces(in_lab, table):
    async def crawl(lab):
        ended = await lab.run("crawl", "--config", lab.config(*SPACE), "--asn", "--state", "state", "--json")
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        announcements = Announcements(table)
        found = networks_of(lab)
        for network in found:
            best = announcements.of(network.range.family, network.range.first)
            expected = (best[0].asn, str(best[0].prefix)) if best else (None, None)
            assert (network.asn, network.asn_cidr) == expected, network.range
        told = ended.summary["origins"]
        assert told["missing"] == told["failures"] == 0
        assert told["batches"] == len(batches(lab)) > 0
        assert ended.summary["announced"] == sum(each.asn is not None for each in found) < len(found)
        # In bulk: one batch a lease at the most, and one of each worker at the end.
        assert all(each.kind.startswith("bulk:") for each in batches(lab))
        store = LedgerStore.read(lab.folder / "state")
        leases = sum(each["leases"] for each in store.counters().values())
        store.close()
        assert len(batches(lab)) <= leases + 2
        asked = sum(int(each.kind.removeprefix("bulk:")) for each in batches(lab))
        assert asked <= len(found) + ended.summary["duplicates"]
        # What the summary counts as lookups are questions to registries.
        assert ended.summary["lookups"] == len(lab.practice.requests) - len(batches(lab))

    in_lab(crawl)


MANY = (Fault.CUT, Fault.GARBAGE, Fault.ERROR, Fault.RESET, Fault.HTML, Fault.MISPLACED, Fault.FLOOD)


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [(Fault.SLOW,), MANY], ids=["slow", "many"])
def test_a_server_that_misbehaves_costs_origins_and_nothing_else(in_lab, table, kinds):
    def hurry(config):
        return config.replace("[origins]", "[origins]\npatience_s = 2\nread_timeout_s = 1")

    async def crawl(lab):
        space = ("193.104.0.0/16", "216.0.0.0/14")
        ended = await lab.run("crawl", "--config", lab.config(*space, change=hurry), "--asn", "--json")
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        found = networks_of(lab)
        told = ended.summary["origins"]
        assert told["failures"] > 0
        assert 0 < told["missing"] <= len(found)
        # A part of an answer is better than none, and nothing else is believed.
        assert ended.summary["announced"] == sum(each.asn is not None for each in found)
        assert ended.summary["announced"] <= len(found) - told["missing"]
        announced = Announcements(table)
        for each in found:
            assert each.asn in {None, *(best.asn for best in announced.of(4, each.range.first))}
        if Fault.CUT not in kinds:
            assert told["missing"] == len(found)

    in_lab(crawl, slow_s=30.0, origin_weather=Weather(share=1.0, kinds=kinds))


@pytest.mark.slow
def test_a_server_that_is_away_delays_nothing(in_lab, table):
    def nowhere(config):
        lines = config.splitlines()
        at = lines.index("[origins]")
        return "\n".join([*lines[: at + 1], 'whois = "127.0.0.1:1"', "patience_s = 1", *lines[at + 2 :]])

    async def crawl(lab):
        ended = await lab.run("crawl", "193.104.0.0/16", "--config", lab.config(change=nowhere), "--asn", "--json")
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        assert ended.summary["complete"]
        assert ended.summary["origins"]["missing"] == ended.summary["networks"]

    in_lab(crawl)


@pytest.mark.slow
@pytest.mark.soak
def test_some_failures_are_made_up_for(in_lab, table):
    async def crawl(lab):
        ended = await lab.run("crawl", "193.104.0.0/16", "--config", lab.config(), "--asn", "--workers", "1", "--json")
        assert ended.code == 0, ended.err
        assert ended.summary["origins"]["failures"] > 0
        assert ended.summary["origins"]["missing"] == 0
        announced = Announcements(table)
        assert all((each.asn is not None) == bool(announced.of(4, each.range.first)) for each in networks_of(lab))

    in_lab(crawl, origin_weather=Weather(share=0.5, seed=1, kinds=(Fault.CUT, Fault.RESET)))


@pytest.mark.slow
def test_a_budget_of_batches_is_the_fleets(in_lab):
    def slowly(config):
        head, origins, rest = config.partition("[origins]")
        return head + origins + rest.replace("rate = inf", "rate = 2", 1)

    async def crawl(lab):
        config = lab.config("193.104.0.0/15", change=slowly)
        ended = await lab.run("crawl", "--config", config, "--asn", "--workers", "3", "--json")
        assert ended.code == 0, ended.err
        assert ended.summary["origins"]["missing"] == 0
        times = [each.time for each in batches(lab)]
        assert len(times) >= 3
        # Two a second are dealt half a second apart; a permit may be used half a second late (origins.LAPSE_S).
        assert all(later - first >= 0.5 for first, later in zip(times, times[2:], strict=False))

    in_lab(crawl)
