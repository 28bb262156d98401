"""The main job: real daemons crawl practice registries, and everything is there, once."""

import asyncio
import signal

import pytest
from daemons import coordinator, dumped, worker
from pace import Observer

from whoismesh.addresses import Range, parse_address, parse_space
from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.compare import compare
from whoismesh.rangesets import RangeSet

#: Of all five registries, with transfers, networks that are no CIDR and unallocated gaps.
SPACE = ("102.160.0.0/12", "177.96.0.0/12", "193.104.0.0/14", "196.0.0.0/12", "202.128.0.0/10", "216.0.0.0/11")


def only_whois(config: str) -> str:
    return config.replace('protocols = ["rdap", "whois"]', 'protocols = ["whois"]')


def test_a_crawl_finds_every_network_once_by_either_protocol(in_lab, table):
    async def crawl(lab):
        found = {}
        for protocol, change in (("rdap", str), ("whois", only_whois)):
            config = lab.config(*SPACE, change=change, name=f"{protocol}.toml")
            dump = lab.folder / f"{protocol}.msgpack"
            before = len(lab.practice.requests)
            ended = await lab.run(
                "crawl", "--config", config, "--workers", "3", "--state", protocol, "--dump", dump, "--json"
            )
            assert ended.code == 0, ended.err
            assert compare(dump, table).equal
            summary = ended.summary
            assert summary["settled"] == summary["space"] == sum(each.size for each in parse_space(SPACE))
            assert summary["failed"] == 0
            assert summary["duplicates"] <= 0.02 * summary["networks"]
            assert summary["lookups"] == len(lab.practice.requests) - before
            assert min(row["networks"] for row in summary["by_registry"].values()) > 0
            with open_dump(dump) as records:
                found[protocol] = [(each.registry, each.range) for each in records if isinstance(each, Network)]
                assert records.header["format"] == "whoismesh-dump"
                assert records.footer["counts"]["network"] == summary["networks"]
        assert found["rdap"] == found["whois"]
        space = RangeSet(parse_space(SPACE))
        assert all(space.holds(*parse_address(text)) for text in lab.asked())

    in_lab(crawl)


def test_networks_that_reach_beyond_the_space_are_found_whole_and_nothing_outside_is_asked(in_lab, table):
    async def crawl(lab):
        config = lab.config()
        dump = lab.folder / "edge.msgpack"
        # The edges cut through networks on purpose.
        space = ("193.105.3.77-193.105.40.9", "216.3.1.1-216.9.200.200")
        ended = await lab.run("crawl", *space, "--config", config, "--dump", dump, "--json")
        assert ended.code == 0, ended.err
        assert compare(dump, table).equal
        summary = ended.summary
        assert summary["settled"] == summary["space"]
        assert summary["addresses"] > summary["held"]
        inside = RangeSet(parse_space(space))
        assert all(inside.holds(*parse_address(text)) for text in lab.asked())

    in_lab(crawl)


def test_special_purpose_space_is_settled_without_a_question(in_lab):
    async def crawl(lab):
        ended = await lab.run("crawl", "192.168.0.0/16", "10.0.0.0/8", "--config", lab.config(), "--json")
        assert ended.code == 0, ended.err
        assert ended.summary["reserved"] == 2**24 + 2**16
        assert ended.summary["settled"] == ended.summary["space"]
        assert lab.asked() == []

    in_lab(crawl)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 150, 700, 1800])
def test_a_crawl_killed_at_any_moment_goes_on_and_asks_nothing_again_that_was_acknowledged(in_lab, table, after):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE), "--workers", "2", "--state", "state", "--json")
        first = await lab.start(*command)
        await lab.requests(after)
        first.send_signal(signal.SIGKILL)
        await lab.end(first)
        # Children notice the death of their parent by the closed pipe; the new coordinator waits for their lock.
        probe = lab.folder / "between.msgpack"
        dumped = await lab.run("dump", "--state", "state", probe)
        assert dumped.code == 0, dumped.err
        with open_dump(probe) as records:
            stored = RangeSet(each.range for each in records if isinstance(each, Network))
        before = len(lab.practice.requests)
        second = await lab.run(*command)
        assert second.code == 0, second.err
        assert compare(lab.folder / "results.msgpack", table).equal
        asked_again = [text for text in lab.asked()[before:] if stored.holds(*parse_address(text))]
        assert asked_again == []

    in_lab(crawl)


@pytest.mark.slow
def test_a_finished_crawl_run_again_asks_nothing(in_lab):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config("193.104.0.0/16"), "--state", "state", "--json")
        first = await lab.run(*command)
        asked = len(lab.practice.requests)
        again = await lab.run(*command)
        assert first.code == again.code == 0
        assert len(lab.practice.requests) == asked
        for name in ("networks", "lookups", "settled", "unallocated"):
            assert first.summary[name] == again.summary[name]

    in_lab(crawl)


@pytest.mark.slow
def test_terminated_politely_a_crawl_says_how_to_go_on(in_lab, table):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE), "--state", "state", "--json")
        first = await lab.start(*command)
        await lab.requests(300)
        first.send_signal(signal.SIGTERM)
        ended = await lab.end(first)
        assert ended.code == 75
        assert "state" in ended.error
        asked = lab.questions()
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal
        # What was under way was delivered before the end: no registry is asked about an address twice.
        assert not (lab.questions() - asked) & asked
        assert again.summary["duplicates"] <= 0.02 * again.summary["networks"]

    in_lab(crawl)


@pytest.mark.slow
def test_a_fleet_keeps_a_budget_and_uses_it(in_lab, table):
    rate, workers = 50, 8

    def paced(text):
        return text.replace("rate = inf", f"rate = {rate}").replace("host_rate = 50", "host_rate = inf")

    async def crawl(lab):
        config = lab.config("193.104.0.0/16", "216.0.0.0/10", change=paced)
        async with Observer.watching() as observer:
            coord = await coordinator(lab, config)
            sources = [f"127.0.0.{9 + number}" for number in range(1, workers + 1)]
            fleet = [worker(lab, config, each, coord.endpoint, "--source-address", each) for each in sources]
            await asyncio.gather(*fleet)
            assert await coord.ends() == 0
        await dumped(lab, table)
        for registry, own in (("ripencc", "193."), ("arin", "216.")):
            asked = [each for each in lab.practice.requests if each.registry == registry]
            # A process of this machine can be held up after it has decided, as long as this one was.
            assert observer.shortest_s(asked, rate) >= 1.0 - observer.longest_stall_s()
            # Transferred blocks are asked about when the other registry points here, maybe long after the rest.
            times = [each.time for each in asked if each.address.startswith(own)]
            assert len(times) > 200
            # Most of it where there is room (bin/bench registries); on a busy machine permits lapse.
            assert (len(times) - 1) / (times[-1] - times[0]) >= 0.5 * rate

    in_lab(crawl)


@pytest.mark.slow
def test_limits_latency_and_faults_slow_a_crawl_and_lose_nothing(in_lab, table):
    from whoismesh.practice.faults import Weather

    async def crawl(lab):
        config = lab.config("193.104.0.0/16", "102.160.0.0/13", "202.128.0.0/13")
        ended = await lab.run("crawl", "--config", config, "--workers", "2", "--json")
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        kinds = {kind for _, _, kind in lab.practice.counts if kind.startswith("fault:")}
        assert len(kinds) >= 3

    in_lab(crawl, weather=Weather(0.002, 0.05, 11), slow_s=0.2)


@pytest.mark.slow
def test_a_dump_can_be_written_while_a_crawl_runs(in_lab):
    async def crawl(lab):
        first = await lab.start("crawl", "--config", lab.config(*SPACE), "--state", "state", "--json")
        await lab.requests(800)
        early = lab.folder / "early.msgpack"
        assert (await lab.run("dump", "--state", "state", early)).code == 0
        stats = await lab.run("stats", early, "--json")
        assert stats.code == 0
        assert 0 < stats.summary["settled"] <= stats.summary["space"]
        assert (await lab.end(first)).code == 0

    in_lab(crawl)


def test_a_lookup_in_the_dump_names_the_holder(in_lab):
    async def crawl(lab):
        assert (await lab.run("crawl", "193.104.0.0/18", "--config", lab.config(), "--quiet")).code == 0
        ended = await lab.run("lookup", "results.msgpack", "193.104.1.1", "10.0.0.1", "--json")
        assert ended.code == 1
        assert '"registry": "ripencc"' in ended.out.splitlines()[0]
        assert '"kind": null' in ended.out.splitlines()[1]

    in_lab(crawl)


def test_ranges_print_as_they_are_read():
    assert [str(each) for each in parse_space(SPACE)] == sorted(SPACE, key=lambda text: Range.parse(text).first)
