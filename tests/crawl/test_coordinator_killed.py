"""The coordinator killed at the worst moments: nothing is lost, nothing counted twice, and the crawl ends exact."""

import signal
import sqlite3
import sys
from pathlib import Path

import pytest
from daemons import BIN, Daemon, coordinator, dumped, kept_port, worker

from whoismesh.practice.faults import Weather

HERE = Path(__file__).parent
SPACE = ("193.104.0.0/15", "216.0.0.0/11")
PYTHON = sys.executable


def keys(path):
    """Return (origin, sequence) of the rows of a state file, in a list: some could be there twice."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        found = list(database.execute("SELECT origin, sequence FROM results"))
    database.close()
    return found


async def killed(lab, config, command, **environment):
    return await Daemon.start(
        lab,
        command,
        "coord",
        "--config",
        config,
        "--listen",
        f"tcp://127.0.0.1:{kept_port()}",
        "--exit-when-done",
        **environment,
    )


async def goes_on(lab, table, config, doomed):
    """Let workers deliver to a coordinator until it dies, start the normal one in its place, and look at everything."""
    workers = [await worker(lab, config, name, doomed.endpoint) for name in ("one", "two")]
    assert await doomed.ends() == -signal.SIGKILL
    for each in workers:
        # Held, so that the files can be looked at; what was acknowledged has left the spool by then.
        each.send(signal.SIGSTOP)
    stored = keys(lab.folder / "coord" / "ledger.sqlite")
    spooled = [key for name in ("one", "two") for key in keys(lab.folder / name / "spool.sqlite")]
    found = sorted({*stored, *spooled})
    for origin in {origin for origin, _ in found}:
        # Sequence numbers have no holes: what is in no spool any more is in the store.
        sequences = [sequence for each, sequence in found if each == origin]
        assert sequences == list(range(1, len(sequences) + 1))
    for each in workers:
        each.send(signal.SIGCONT)
    back = await coordinator(lab, config, doomed.endpoint)
    assert await back.ends() == 0
    for each in workers:
        assert await each.ends() == 0
    await dumped(lab, table)
    after = keys(lab.folder / "coord" / "ledger.sqlite")
    assert len(after) == len(set(after))
    assert set(stored) <= set(after)
    assert set(spooled) <= set(after)
    return len(after)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "n"),
    [
        ("store", 5),
        ("stored", 5),
        ("acknowledged", 4),
        *(
            pytest.param(where, n, marks=pytest.mark.soak)
            for where, n in (("store", 1), ("stored", 1), ("acknowledge", 1), ("acknowledge", 9), ("publish", 5))
        ),
    ],
)
def test_killed_between_taking_a_result_and_telling_of_it(in_lab, table, where, n):
    async def crawl(lab):
        config = lab.config(*SPACE)
        command = [PYTHON, HERE / "killed_coordinator.py", where, str(n)]
        await goes_on(lab, table, config, await killed(lab, config, command))

    in_lab(crawl, weather=Weather(0.02, 0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("n", [3, *(pytest.param(n, marks=pytest.mark.soak) for n in (4, 9))])
def test_killed_while_the_disk_is_told_to_keep_it(in_lab, table, fsync_killer, when, n):
    async def crawl(lab):
        config = lab.config(*SPACE)
        command = str(BIN / "whoismesh-coord")
        doomed = await killed(lab, config, [command], LD_PRELOAD=fsync_killer, KILL_AT=str(n), KILL_WHEN=when)
        await goes_on(lab, table, config, doomed)

    in_lab(crawl, weather=Weather(0.02, 0, 1))


@pytest.mark.slow
def test_a_ledger_put_back_from_a_copy_goes_on_from_there(in_lab, table):
    async def crawl(lab):
        config = lab.config(*SPACE)
        ledger, copy = lab.folder / "coord" / "ledger.sqlite", lab.folder / "copy.sqlite"
        coord = await coordinator(lab, config)
        workers = [await worker(lab, config, name, coord.endpoint) for name in ("one", "two")]
        await lab.requests(200)
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        await lab.requests(400)
        coord.kill()
        await coord.ends()
        for file in (lab.folder / "coord").iterdir():
            file.unlink()
        copy.rename(ledger)
        copied = keys(ledger)
        back = await coordinator(lab, config, coord.endpoint)
        assert await back.ends() == 0
        for each in workers:
            assert await each.ends() == 0
        await dumped(lab, table)
        assert 0 < len(copied) < len(keys(ledger))

    in_lab(crawl, weather=Weather(0.05, 0, 1))
