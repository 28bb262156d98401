"""Full disks, read-only disks and state of another version: one line, the right exit code, and it goes on when mended.

The disks are real: small file systems in memory, which need root.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess

import pytest
from daemons import coordinator, dumped, worker

from whoismesh import spool, store
from whoismesh.practice.compare import compare
from whoismesh.practice.faults import Weather

SPACE = ("193.104.0.0/15", "216.0.0.0/12")
KIB = 1024


class Disk:
    """A small file system and a ballast file on it."""

    def __init__(self, path):
        self.path = path
        self.ballast = path / "ballast"

    def fill(self, leave=0):
        """Fill it but for so many bytes."""
        found = os.statvfs(self.path)
        left = max(0, found.f_bavail * found.f_frsize - leave)
        with open(self.ballast, "ab", buffering=0) as file:
            while left > 0:
                try:
                    left -= file.write(bytes(min(left, KIB * KIB)))
                except OSError:
                    if leave:
                        raise
                    return  # somebody else was faster

    def mend(self):
        self.ballast.unlink()

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.path], check=True)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", path], capture_output=True)
    if made.returncode:
        pytest.skip(f"a file system of its own needs root: {made.stderr.decode().strip()}")
    yield Disk(path)
    subprocess.run(["umount", "-l", path], check=True)


def says_to_make_room(line):
    assert "make room" in line
    assert "run the same command again" in line
    return True


@pytest.mark.slow
@pytest.mark.parametrize(
    "kib", [100, *(pytest.param(kib, marks=pytest.mark.soak) for kib in (0, 4, 12, 36, 60, 200, 300))]
)
def test_a_crawl_on_a_full_disk_says_so_and_goes_on_when_there_is_room(in_lab, table, disk, kib):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE), "--state", disk.path / "state", "--json")
        disk.fill(leave=kib * KIB)
        ended = await lab.run(*command)
        assert ended.code == 75, ended.err
        assert str(disk.path / "state") in ended.error
        assert says_to_make_room(ended.error)
        disk.mend()
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl)


@pytest.mark.slow
@pytest.mark.parametrize("after", [500, pytest.param(1, marks=pytest.mark.soak)])
def test_a_disk_that_fills_during_a_crawl_loses_nothing(in_lab, table, disk, after):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE), "--state", disk.path / "state", "--json")
        first = await lab.start(*command)
        await lab.requests(after)
        disk.fill()
        ended = await lab.end(first)
        assert ended.code == 75, ended.err
        assert says_to_make_room(ended.error)
        with sqlite3.connect(f"file:{disk.path / 'state' / 'ledger.sqlite'}?mode=ro", uri=True) as database:
            stored = database.execute("SELECT count(*) FROM results").fetchone()[0]
        database.close()
        disk.mend()
        before = len(lab.practice.requests)
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal
        assert len(lab.practice.requests) - before <= again.summary["lookups"] - stored

    in_lab(crawl)


@pytest.mark.slow
def test_a_coordinator_whose_disk_fills_keeps_its_workers_waiting_until_it_is_mended(in_lab, table, disk):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config, state=disk.path / "coord")
        one = await worker(lab, config, "one", coord.endpoint)
        await lab.requests(200)
        disk.fill()
        assert await coord.ends() == 75
        assert says_to_make_room(coord.error)
        refused = await coordinator(lab, config, coord.endpoint, state=disk.path / "coord")
        assert await refused.ends() == 75
        disk.mend()
        back = await coordinator(lab, config, coord.endpoint, state=disk.path / "coord")
        assert await back.ends() == 0
        assert await one.ends() == 0
        await dumped(lab, table, disk.path / "coord")

    in_lab(crawl, weather=Weather(0.02, 0, 1))


@pytest.mark.slow
@pytest.mark.soak
def test_a_worker_whose_disk_fills_ends_and_delivers_when_it_is_mended(in_lab, table, disk):
    async def crawl(lab):
        config = lab.config(*SPACE)
        coord = await coordinator(lab, config)
        one = await worker(lab, config, "one", coord.endpoint, state=disk.path / "one")
        await lab.requests(200)
        disk.fill()
        assert await one.ends() == 75
        assert says_to_make_room(one.error)
        assert str(disk.path / "one") in one.error
        disk.mend()
        again = await worker(lab, config, "again", coord.endpoint, state=disk.path / "one")
        assert await coord.ends() == 0
        assert await again.ends() == 0
        await dumped(lab, table)

    in_lab(crawl, weather=Weather(0.02, 0, 1))


@pytest.mark.slow
def test_a_crawl_of_which_one_worker_has_a_full_disk_ends_with_that_worker_s_line(in_lab, table, disk):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE), "--state", "state", "--json")
        (lab.folder / "state").mkdir()
        (disk.path / "one").mkdir()
        (lab.folder / "state" / "worker-1").symlink_to(disk.path / "one")
        first = await lab.start(*command)
        await lab.requests(100)
        disk.fill()
        ended = await lab.end(first)
        assert ended.code == 75
        assert ended.error.startswith("whoismesh: state/worker-1: ")
        assert says_to_make_room(ended.error)
        disk.mend()
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl, weather=Weather(0.02, 0, 1))


@pytest.mark.slow
def test_a_daemon_whose_log_is_on_a_full_disk_goes_on_without_it(in_lab, table, disk):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        disk.fill()
        (disk.path / "coord.log").touch()
        (lab.folder / "coord.log").symlink_to(disk.path / "coord.log")
        (disk.path / "one.log").touch()
        (lab.folder / "one.log").symlink_to(disk.path / "one.log")
        coord = await coordinator(lab, config)
        one = await worker(lab, config, "one", coord.endpoint)
        assert await coord.ends() == 0
        assert await one.ends() == 0
        await dumped(lab, table)

    in_lab(crawl)


@pytest.mark.slow
def test_a_dump_on_a_full_disk_says_so_and_leaves_nothing(in_lab, table, disk):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        dump = disk.path / "out.msgpack"
        disk.fill(leave=8 * KIB)
        ended = await lab.run("crawl", "--config", config, "--state", "state", "--dump", dump, "--quiet")
        assert ended.code == 75
        assert says_to_make_room(ended.error)
        assert str(dump) in ended.error
        assert [each.name for each in disk.path.iterdir()] == ["ballast"]
        dumped = await lab.run("dump", "--state", "state", dump)
        assert dumped.code == 75
        assert says_to_make_room(dumped.error)
        disk.mend()
        assert (await lab.run("dump", "--state", "state", dump)).code == 0
        assert compare(dump, table).equal

    in_lab(crawl)


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_is_told_and_can_be_read(in_lab, table, disk):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config("193.104.0.0/16"), "--state", disk.path / "state", "--json")
        first = await lab.start(*command)
        await lab.requests(50)
        first.send_signal(signal.SIGTERM)
        assert (await lab.end(first)).code == 75
        disk.remount("ro")
        ended = await lab.run(*command)
        assert ended.code == 78, ended.err
        assert "Read-only" in ended.error
        assert str(disk.path / "state") in ended.error
        assert "--state" in ended.error
        probe = await lab.run("dump", "--state", disk.path / "state", "probe.msgpack")
        assert probe.code == 0, probe.err
        disk.remount("rw")
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl)


def test_a_folder_without_the_right_to_write_is_told(in_lab, disk):
    async def crawl(lab):
        disk.remount("ro")
        ended = await lab.run("crawl", "193.104.0.0/17", "--config", lab.config(), "--state", disk.path / "state")
        assert ended.code == 78
        assert "Read-only" in ended.error
        assert lab.asked() == []

    in_lab(crawl)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "version"), [("ledger.sqlite", store.VERSION), ("worker-1/spool.sqlite", spool.VERSION)]
)
def test_state_of_a_newer_version_is_refused_and_kept(in_lab, table, file, version):
    async def crawl(lab):
        command = ("crawl", "193.104.0.0/17", "--config", lab.config(), "--state", "state", "--quiet")
        first = await lab.start(*command)
        await lab.requests(30)
        log = lab.folder / "state" / "worker-1.log"
        async with asyncio.timeout(60):
            while "worker_ready" not in log.read_text():  # the others may have asked all of these before it was up
                await asyncio.sleep(0.01)
        first.send_signal(signal.SIGTERM)
        assert (await lab.end(first)).code == 75

        def mark(number):
            with sqlite3.connect(lab.folder / "state" / file) as database:
                database.execute(f"PRAGMA user_version = {number}")
            database.close()

        mark(9)
        before = (lab.folder / "state" / file).read_bytes()
        ended = await lab.run(*command)
        assert ended.code == 78
        assert f"{file}: was written by another version of whoismesh (format 9" in ended.error
        assert (lab.folder / "state" / file).read_bytes() == before
        mark(version)
        again = await lab.run(*command)
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl, weather=Weather(0.05, 0, 1))
