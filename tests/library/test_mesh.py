"""A program in the mesh, with a real coordinator and workers: whatever happens to them, it knows what they find."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import whoismesh
from whoismesh.addresses import Range, format_address


def known(mesh):
    return {(block.registry, block.range) for block in mesh.known_blocks()}


async def take(stream, count):
    return [await anext(stream) for _ in range(count)]


def test_a_listener_from_the_start_is_told_each_block_once(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        async with whoismesh.join(coordinator.endpoint) as mesh:
            await mesh.caught_up(1)
            assert len(mesh) == 0
            assert mesh.hit("193.104.1.1") is None
            assert not mesh.complete
            blocks = mesh.discoveries()
            await field.worker(coordinator)
            found = [block async for block in blocks]
            assert mesh.complete
            assert len(found) == len(set(found)) == len(mesh) > 100
            assert {(block.registry, block.range) for block in found} == known(mesh) == field.networks()
            assert str(mesh.hit("193.104.1.1")) == "193.104.1.0/24 ripencc"
            assert mesh.dropped == {"events": 0, "frames": 0, "blocks": 0}

    in_field(listen)


def test_a_listener_that_comes_late_has_all_that_was_accepted(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        async with whoismesh.join(coordinator.endpoint) as first:
            assert [block async for block in first.discoveries(known=True)] == list(first.known_blocks())
        async with whoismesh.join(coordinator.endpoint) as late:
            await late.caught_up(10)
            assert known(late) == known(first) == field.networks()
            assert late.complete
            assert [block async for block in late.discoveries()] == []

    in_field(listen)


def test_readers_that_run_at_once_each_get_everything(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        async with whoismesh.join(coordinator.endpoint) as mesh:

            async def read(known):
                return [block async for block in mesh.discoveries(known=known)]

            first, second = await asyncio.gather(read(True), read(True))
            assert first == second == list(mesh.known_blocks())

    in_field(listen, latency_s=0.01)


def test_workers_come_and_go_as_events_in_their_order(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator, "here-before")
        async with whoismesh.join(coordinator.endpoint) as mesh:
            events = mesh.events(known=True)
            seen = []

            async def until(kind):
                async for event in events:
                    if not isinstance(event, whoismesh.Discovered):
                        seen.append(event)
                        if isinstance(event, kind):
                            return event
                raise AssertionError(seen)

            assert (await until(whoismesh.Joined)).member.origin > 0
            late = await field.worker(coordinator, "late")
            member = (await until(whoismesh.Joined)).member
            assert {*mesh.members} == {seen[0].member, member}
            await field.end(late, signal.SIGTERM)
            assert await until(whoismesh.Left) == whoismesh.Left(member, "left")
            assert mesh.members == (seen[0].member,)

    in_field(listen, latency_s=1.0)  # both are there before the crawl is over


def test_events_that_nobody_reads_are_dropped_and_counted(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        async with whoismesh.join(coordinator.endpoint, max_events=1) as mesh:
            worker = await field.worker(coordinator)
            while not mesh.members:
                await mesh.news()
            await field.end(worker, signal.SIGTERM)
            while mesh.dropped["events"] < 1:
                await mesh.news()
            kept = [event async for event in mesh.events(known=True, quiet_s=0.1) if hasattr(event, "member")]
            assert [type(each) for each in kept] == [whoismesh.Left]
            assert mesh.dropped["events"] == 1

    in_field(listen, latency_s=0.2)


@pytest.mark.slow
def test_a_coordinator_that_is_killed_and_comes_back_is_followed_on(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        async with whoismesh.join(coordinator.endpoint) as mesh:
            blocks = mesh.discoveries(known=True)
            found = await take(blocks, 40)
            await field.end(coordinator)
            while mesh.silent_s < 1.5:
                # Nothing tells of a silence: it is looked at.
                await asyncio.sleep(0.1)
            assert mesh.hit(format_address(4, found[0].range.first)) == found[0]
            before = len(mesh)
            await field.coordinator(coordinator.endpoint)
            found += [block async for block in blocks]
            assert len(found) == len(mesh) > before
            assert known(mesh) == field.networks()
            assert mesh.failure is None
            # The worker was there all the time; when all is settled it leaves.
            events = [event async for event in mesh.events(known=True, quiet_s=0.1) if hasattr(event, "member")]
            assert events[0] == whoismesh.Joined(events[0].member)
            assert events[1:] in ([], [whoismesh.Left(events[0].member, "left")])

    in_field(listen, latency_s=0.1)


@pytest.mark.slow
def test_a_coordinator_whose_state_was_replaced_ends_the_news_and_not_the_knowledge(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        async with whoismesh.join(coordinator.endpoint) as mesh:
            blocks, events = mesh.discoveries(known=True), mesh.events()
            found = [block async for block in blocks]
            await field.end(coordinator)
            shutil.rmtree(field.folder / "coord")
            await field.coordinator(coordinator.endpoint)
            with pytest.raises(whoismesh.CrawlReplacedError, match="join again"):
                async for _ in events:
                    pass
            assert isinstance(mesh.failure, whoismesh.CrawlReplacedError)
            assert mesh.failure.exit_code == 75
            assert list(mesh.known_blocks()) == found
            assert mesh.hit(format_address(4, found[0].range.first)) == found[0]
        async with whoismesh.join(coordinator.endpoint) as again:
            assert again.crawl != mesh.crawl

    in_field(listen)


def test_leaving_ends_what_waits(in_field):
    async def listen(field):
        coordinator = await field.coordinator()
        async with whoismesh.join(coordinator.endpoint) as mesh:
            waiting = [asyncio.create_task(anext(each)) for each in (mesh.discoveries(), mesh.events())]
            assert [block async for block in mesh.discoveries(quiet_s=0.05)] == []
        for each in waiting:
            with pytest.raises(StopAsyncIteration):
                await each
        assert [block async for block in mesh.discoveries()] == []
        assert mesh.hit("193.104.1.1") is None
        with pytest.raises(whoismesh.UsageError, match="joined once"):
            await mesh.__aenter__()

    in_field(listen)


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [whoismesh.join, whoismesh.join_blocking])
@pytest.mark.parametrize(
    ("endpoint", "more"),
    [
        ("", {}),
        ("127.0.0.1:7700", {}),
        ("tcp://127.0.0.1", {}),
        ("tcp://127.0.0.1:0", {}),
        ("tcp://127.0.0.1:65533", {}),
        ("tcp://*:7700", {}),
        ("udp://127.0.0.1:7700", {}),
        ("tcp://127.0.0.1:7700", {"timeout_s": 0}),
        ("tcp://127.0.0.1:7700", {"timeout_s": float("nan")}),
        ("tcp://127.0.0.1:7700", {"max_events": 0}),
    ],
)
def test_a_bad_argument_is_a_usage_error_at_once(how, endpoint, more):
    with pytest.raises(whoismesh.UsageError):
        how(endpoint, **more)


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_nobody_there_says_what_to_check(host):
    async def listen():
        started = time.monotonic()
        with pytest.raises(whoismesh.UnavailableError) as caught:
            async with whoismesh.join(f"tcp://{host}:9", timeout_s=0.3):
                pass
        assert 0.3 <= time.monotonic() - started < 5
        assert str(caught.value) == (
            f"nobody answers at tcp://{host}:9 within 0.3 s; check the name, that whoismesh-coord runs there and takes "
            "no keys, and that its ports 9 to 12 are reachable from here"
        )

    asyncio.run(listen())


def test_a_mesh_that_was_not_joined_says_so():
    async def listen():
        mesh = whoismesh.join("tcp://127.0.0.1:9")
        assert mesh.hit("193.0.6.139") is None
        assert mesh.silent_s == float("inf")
        for waiting in (mesh.caught_up(), anext(mesh.discoveries())):
            with pytest.raises(whoismesh.UsageError, match="async with"):
                await waiting

    asyncio.run(listen())


def test_every_public_name_is_there_and_explained():
    for name in whoismesh.__all__:
        assert getattr(whoismesh, name).__doc__
        assert name in dir(whoismesh)


# -- hits ---------------------------------------------------------------------------------------------------------


@given(
    st.one_of(
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map(str),
        st.text("0123456789.:af/ \0", max_size=20),
        st.sampled_from(["1.2.3", "01.2.3.4", "1.2.3.4 ", "1.2.3.256", "::ffff:1.2.3.4", "fe80::1%eth0", "٣.1.1.1"]),
    )
)
def test_the_quick_way_to_a_hit_is_that_of_the_table(text):
    mesh = whoismesh.join("tcp://127.0.0.1:9")
    table = mesh._table
    for block in ("0.0.0.0/1", "1.2.0.0/16", "1.2.3.0/30", "200.0.0.0-220.1.2.3", "2001::/16", "::/8"):
        table.add(Range.parse(block), "arin")
    try:
        expected = table.hit(text)
    except whoismesh.AddressError as error:
        with pytest.raises(whoismesh.AddressError) as caught:
            mesh.hit(text)
        assert str(caught.value) == str(error)
    else:
        hit = mesh.hit(text)
        assert (hit.range if hit else None) == expected
