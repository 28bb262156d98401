"""`whoismesh follow`: lines of a real crawl, whatever happens to the coordinator and to who reads."""

from __future__ import annotations

import asyncio
import json

import pytest

from whoismesh.addresses import Range, parse_address


def block_of(line):
    first, last = (parse_address(line[name]) for name in ("first", "last"))
    return line["registry"], Range(first[0], first[1], last[1])


async def lines_of(program, until=None):
    """Return its lines up to the first for which `until` is true, or all."""
    found = []
    async for text in program.stdout:
        found.append(json.loads(text))
        if until is not None and until(found[-1]):
            return found
    return found


async def follow(field, coordinator, *arguments):
    return await field.program("-m", "whoismesh", "follow", *arguments, "--coord", coordinator.endpoint)


async def said(program):
    return (await program.stderr.readline()).decode()


def test_results_are_told_once_each_with_what_is_known_and_to_the_end(in_field):
    async def watch(field):
        coordinator = await field.coordinator()
        program = await follow(field, coordinator, "results", "--from-beginning", "--json")
        events = await follow(field, coordinator, "events", "--from-beginning")
        metrics = await follow(field, coordinator, "metrics", "--from-beginning")
        # These two say that there is no past once they run; the first has one, so nothing is missed meanwhile.
        assert "not kept" in await said(events)
        assert "since its start" in await said(metrics)
        worker = await field.worker(coordinator)
        results, happened, counted = await asyncio.gather(*map(lines_of, (program, events, metrics)))
        networks = [line for line in results if line["status"] == "network"]
        assert {block_of(line) for line in networks} == field.networks()
        assert len(networks) == len(field.networks())
        detailed = [line for line in networks if line["name"]]
        assert len(detailed) > len(networks) / 2, "only what came before it listened has no details"
        assert {"handle", "holder", "country", "fetched_at", "server", "source", "network_status"} <= detailed[0].keys()
        assert detailed[0]["source"] in ("rdap", "whois")
        assert [line["event"] for line in happened] == ["worker_joined", "worker_left"]
        last = counted[-1]
        assert last["host"].endswith(str(worker._process.pid))
        assert last["got"] + last["failed"] > 0
        assert last["counters"]["lookups"] >= last["got"]
        fields = ("awaiting_registry", "looking_up", "got", "failed", "within_known_block", "timestamp", "origin")
        assert all(type(last[name]) in (int, float) for name in fields)
        assert [await each.wait() for each in (program, events, metrics)] == [0, 0, 0]

        late = await follow(field, coordinator, "results", "--from-beginning")
        past = await lines_of(late)
        assert {block_of(line) for line in past} == field.networks()
        assert {line["name"] for line in past} == {None}, "the past has no details"
        assert await lines_of(await follow(field, coordinator, "results")) == []

    in_field(watch, latency_s=0.05)


@pytest.mark.slow
def test_a_coordinator_that_goes_and_comes_back_is_told_and_nothing_is_missed(in_field):
    async def watch(field):
        coordinator = await field.coordinator()
        program = await follow(field, coordinator, "results", "--from-beginning")
        nobody = await field.program("-m", "whoismesh", "follow", "events", "--coord", "tcp://127.0.0.1:9")
        await field.worker(coordinator)
        found = await lines_of(program, until=lambda line: line["status"] == "network")
        await field.end(coordinator)
        assert "says nothing any more" in await said(program)
        await field.coordinator(coordinator.endpoint)
        assert "is back" in await said(program)
        found += await lines_of(program)
        assert {block_of(line) for line in found if line["status"] == "network"} == field.networks()
        assert await program.wait() == 0
        out, err = await nobody.communicate()
        assert (nobody.returncode, out) == (69, b"")
        assert err.decode().startswith("whoismesh: nobody answers at tcp://127.0.0.1:9")
        assert err.count(b"\n") == 1

    in_field(watch, latency_s=0.1)


def test_a_pipe_that_nobody_reads_any_more_ends_it_quietly_also_while_nothing_comes(in_field):
    async def watch(field):
        coordinator = await field.coordinator()
        # No worker: there is nothing to write.
        follow = f"$0 -m whoismesh follow results --coord {coordinator.endpoint}"
        command = f"{{ {follow} & wait $!; echo code $? >&2; }} | true"
        program = await field.program("-c", SHELL, command)
        out, err = await program.communicate()
        assert (out, err) == (b"", b"code 0\n")

    in_field(watch)


SHELL = "import subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1], sys.executable])"
