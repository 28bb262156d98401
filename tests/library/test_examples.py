"""Every program in examples/ and every piece of the README's library section, as a process in a real mesh."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import pytest

import whoismesh

ROOT = Path(whoismesh.__file__).parent.parent
EXAMPLES = ROOT / "examples"
PROGRAMS = {
    "watch_discoveries.py", "watch_members.py", "who_holds.py", "sizes_notebook.py", "count_by_country.py",
}  # fmt: skip


def readme_pieces():
    section = (ROOT / "README.md").read_text("utf-8").partition("## The library")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


async def ended(program, standard_input=b""):
    out, err = await program.communicate(standard_input)
    assert "Traceback" not in err.decode()
    return program.returncode, out.decode(), err.decode()


async def crawled(field, *more):
    """Return a coordinator whose crawl is complete."""
    coordinator = await field.coordinator("tcp://127.0.0.1:0", *more)
    await field.worker(coordinator)
    async with whoismesh.join(coordinator.endpoint) as mesh:
        async for _ in mesh.discoveries(known=True):
            pass
    return coordinator


def test_each_use_has_a_short_program_that_says_how_to_use_it():
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert files - {"grafana-dashboard.json"} == PROGRAMS
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text("utf-8")
        assert text.count("\n") < 60
        assert f"usage: {path.name} " in text


@pytest.mark.slow
def test_watch_discoveries_prints_every_block_and_ends_with_the_crawl(in_field):
    async def run(field):
        coordinator = await field.coordinator()
        program = await field.program(EXAMPLES / "watch_discoveries.py", coordinator.endpoint)
        assert await program.stderr.readline() == b"joined; 0 workers\n"
        await field.worker(coordinator)
        code, out, err = await ended(program)
        lines = out.splitlines()
        assert code == 0
        assert sorted(lines) == sorted(f"{where} {registry}" for registry, where in field.networks())
        assert err == f"complete: {len(lines)} blocks\n"
        again = await field.program(EXAMPLES / "watch_discoveries.py", coordinator.endpoint, "--known")
        assert (await ended(again))[1].splitlines() == lines

    in_field(run)


def test_watch_members_prints_who_comes_and_goes_until_it_is_interrupted(in_field):
    async def run(field):
        coordinator = await field.coordinator()
        program = await field.program(EXAMPLES / "watch_members.py", coordinator.endpoint)
        assert await program.stderr.readline() == b"joined\n"
        worker = await field.worker(coordinator)
        came = (await program.stdout.readline()).decode().split()
        assert came[0] == "joined"
        # One that was not told yet that it is a member does not say goodbye.
        async with asyncio.timeout(60):
            while not field.practice.requests:
                await asyncio.sleep(0.01)
        await field.end(worker, signal.SIGTERM)
        went = (await program.stdout.readline()).decode()
        assert re.fullmatch(rf"left    {re.escape(came[1])}, \d+ blocks since the last one went\n", went)
        program.send_signal(signal.SIGINT)
        assert await ended(program) == (0, "", "")

    in_field(run, latency_s=0.2)


@pytest.mark.slow
def test_who_holds_answers_from_arguments_and_from_standard_input(in_field):
    async def run(field):
        coordinator = await crawled(field)
        program = await field.program(
            EXAMPLES / "who_holds.py", coordinator.endpoint, "193.104.1.1", "8.8.8.8", "nonsense"
        )
        code, out, err = await ended(program)
        assert (code, out) == (1, "193.104.1.1: 193.104.1.0/24 ripencc\n8.8.8.8: not known\n")
        assert err == "who_holds: 'nonsense' is no IPv4 or IPv6 address\n"
        program = await field.program(EXAMPLES / "who_holds.py", coordinator.endpoint)
        code, out, err = await ended(program, b"193.104.1.1\n\n 193.104.1.255\n")
        assert (code, err) == (0, "")
        assert out == "193.104.1.1: 193.104.1.0/24 ripencc\n193.104.1.255: 193.104.1.0/24 ripencc\n"

    in_field(run)


@pytest.mark.slow
def test_sizes_notebook_counts_what_is_known(in_field):
    async def run(field):
        coordinator = await crawled(field)
        code, out, err = await ended(await field.program(EXAMPLES / "sizes_notebook.py", coordinator.endpoint))
        assert (code, err) == (0, "")
        networks = field.networks()
        lines = out.splitlines()
        assert re.fullmatch(rf"{len(networks)} blocks from [01] workers", lines[0])
        assert lines[1].split() == ["ripencc", f"{sum(where.size for _, where in networks):,}", "addresses"]
        assert lines[2:] == ["193.0.6.139: not known"]

    in_field(run)


@pytest.mark.slow
def test_count_by_country_agrees_with_the_dump(in_field):
    async def run(field):
        await crawled(field)
        dump = field.folder / "results.msgpack"
        assert (await ended(await field.program("-m", "whoismesh", "dump", "--state", "coord", dump)))[0] == 0
        code, out, err = await ended(await field.program(EXAMPLES / "count_by_country.py", dump))
        assert (code, err) == (0, "")
        rows = [line.split() for line in out.splitlines()]
        assert sum(int(row[1]) for row in rows) == len(field.networks())
        assert sum(int(row[3]) for row in rows) == sum(where.size for _, where in field.networks())
        assert {"GB", "DE", "AT"} <= {row[0] for row in rows}

    in_field(run)


@pytest.mark.slow
def test_what_the_readme_shows_of_the_library_runs(in_field):
    async def run(field):
        coordinator = await crawled(field)
        dump = await field.program("-m", "whoismesh", "dump", "--state", "coord", "results.msgpack")
        assert (await ended(dump))[0] == 0
        outputs = []
        for piece in readme_pieces():
            code, out, err = await ended(
                await field.program("-c", piece.replace("tcp://10.0.0.5:7700", coordinator.endpoint))
            )
            assert (code, err) == (0, "")
            outputs.append(out)
        joined, blocking, dumped = outputs
        assert joined == "193.104.1.0/24 ripencc\n"
        assert blocking.startswith(f"{len(field.networks())} 193.104.1.0/24 ripencc (")
        assert blocking.count(" ripencc\n") == len(field.networks())
        assert dumped == "T-Mobile Austria GmbH 193.104.1.0/24\n"

    in_field(run)


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_without_arguments_an_example_says_how_to_use_it(in_field, name):
    async def run(field):
        code, out, err = await ended(await field.program(EXAMPLES / name))
        assert (code, out) == (2, "")
        assert err.startswith(f"usage: {name} ")
        assert err.count("\n") == 1

    in_field(run)


@pytest.mark.slow
def test_an_example_that_finds_nobody_says_so_in_one_line(in_field, tmp_path):
    async def run(field):
        async def fails(name, *arguments):
            code, out, err = await ended(await field.program(EXAMPLES / name, *arguments))
            assert out == ""
            assert err.startswith(f"{name.removesuffix('.py')}: ")
            assert err.count("\n") == 1
            return code

        names = sorted(PROGRAMS - {"count_by_country.py"})
        assert await asyncio.gather(*(fails(each, "tcp://127.0.0.1:9") for each in names)) == [69] * 4
        assert await asyncio.gather(*(fails(each, "127.0.0.1") for each in names)) == [2] * 4
        assert await fails("count_by_country.py", tmp_path / "none.msgpack") == 1

    in_field(run)
