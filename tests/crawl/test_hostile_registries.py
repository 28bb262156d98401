"""A crawl of registries that do not answer: it goes on, ends, and its worker stays small (`bin/bench hostile`)."""

import asyncio
import contextlib

import pytest
from daemons import coordinator, worker
from hostile_registries import Hostile, HostileRegistries, Hostility, peak_kib

from whoismesh.addresses import Range
from whoismesh.answers.text import MAX_BODY_BYTES
from whoismesh.dump import open_dump, statistics
from whoismesh.lanes.outcomes import MOST_REDIRECTS, TRIES
from whoismesh.practice.compare import compare
from whoismesh.registries import REGISTRIES

SPACE = "193.104.0.0/18"
#: A few answers of the longest kind at once: as they come, unpacked, decoded, split.
MOST_GROWN_KIB = 16 * MAX_BODY_BYTES // 1024


@pytest.mark.slow
def test_none_holds_a_lane_for_long_or_takes_memory_without_bound(in_lab, table):
    small = [row.range for row in table.rows(Range.parse(SPACE)) if row.held and row.range.size == 256]
    hostile = Hostile(places=dict(zip(small[5::7], Hostility, strict=False)))
    assert len(hostile.places) == len(Hostility)

    def quick(text):
        text = text.replace("[crawl]", "[crawl]\nattempts = 1")
        return text.replace("connections = 16", "connections = 2\ntimeout_s = 0.5")

    async def crawl(lab):
        config = lab.config(SPACE, change=quick)
        coord = await coordinator(lab, config)
        one = await worker(lab, config, "one", coord.endpoint)
        at_first = at_last = peak_kib(one.process.pid)
        ending = asyncio.create_task(coord.ends())
        while not ending.done():
            with contextlib.suppress(OSError, ValueError):  # it has left
                at_last = peak_kib(one.process.pid)
            await asyncio.wait([ending], timeout=0.05)
        assert ending.result() == 1, "some of it failed"
        assert await one.ends() == 0
        assert at_last - at_first < MOST_GROWN_KIB

        dump = lab.folder / "out.msgpack"
        assert (await lab.run("dump", "--state", "coord", dump)).code == 0
        result = compare(dump, table)
        silent = {place for place, kind in hostile.places.items() if kind is not Hostility.BACKTRACK}
        assert {where for _, where in result.missing} == silent, "a text is just a text"
        assert not result.unexpected and not result.repeated
        with open_dump(dump) as records:
            found = statistics(records)
        assert found.settled == found.space
        assert found.failed == 256 * len(silent)

        asked = [(hostile.at(each.address), each.protocol) for each in lab.practice.requests]
        assert asked.count((Hostility.REDIRECTS, "rdap")) == MOST_REDIRECTS + 1
        assert asked.count((Hostility.TRICKLE, "rdap")) == asked.count((Hostility.TRICKLE, "whois")) == TRIES
        assert asked.count((Hostility.CIRCLE, "rdap")) == len(REGISTRIES), "each once"
        assert asked.count((Hostility.BACKTRACK, "rdap")) == 1

    in_lab(crawl, servers=HostileRegistries, hostile=hostile)
