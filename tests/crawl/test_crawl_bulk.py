"""`--bulk`: what the registries publish is taken from files, and only what they lack is asked."""

from __future__ import annotations

import signal
import sqlite3

import pytest
from daemons import Daemon, coordinator, kept_port, worker

from whoismesh.addresses import parse_address
from whoismesh.dump import open_dump
from whoismesh.networks import Network
from whoismesh.practice.bulk_files import write_bulk_files
from whoismesh.practice.compare import compare
from whoismesh.rangesets import RangeSet

#: Of RIPE NCC's, APNIC's, ARIN's and AFRINIC's by IANA, with what was transferred between them.
SPACE = ("130.128.0.0/11", "193.104.0.0/15", "196.0.0.0/14", "202.128.0.0/12", "217.20.0.0/15")


@pytest.fixture(scope="session")
def bulk_files(table, tmp_path_factory):
    """Return the files of registries by the beginnings of their names."""
    paths = write_bulk_files(table, tmp_path_factory.mktemp("bulk"))
    return lambda *names: [path for path in paths if path.name.startswith(names)]


def networks_of(lab):
    with open_dump(lab.folder / "results.msgpack") as records:
        return [each for each in records if isinstance(each, Network)]


def rows(lab, state, status):
    with sqlite3.connect(f"file:{lab.folder / state / 'ledger.sqlite'}?mode=ro", uri=True) as database:
        found = list(database.execute("SELECT hex(first), hex(last) FROM results WHERE status = ?", (status,)))
    database.close()
    return found


@pytest.mark.slow
def test_only_what_the_files_lack_is_asked_and_the_dump_is_exact(in_lab, table, bulk_files):
    async def crawl(lab):
        files = bulk_files("ripe", "apnic")
        command = ("crawl", "--config", lab.config(*SPACE), "--bulk", *files, "--state", "state", "--json")
        ended = await lab.run(*command)
        assert ended.code == 0, ended.err
        assert compare(lab.folder / "results.msgpack", table).equal
        found = networks_of(lab)
        published = [each for each in found if each.registry in ("ripencc", "apnic")]
        assert {each.source for each in published} == {"bulk"}
        assert {each.source for each in found if each.registry not in ("ripencc", "apnic")} == {"rdap"}
        assert {each.server for each in published} == {"ripe.db.inetnum.gz", "apnic.db.inetnum.gz"}
        held = RangeSet(each.range for each in published)
        assert [text for text in lab.asked() if held.holds(*parse_address(text))] == []
        assert ended.summary["lookups"] == len(lab.asked()) > 0
        told = {each["file"]: each for each in ended.summary["imported"]}
        assert told["ripe.db.inetnum.gz"]["taken"] == sum(each.registry == "ripencc" for each in published)
        assert {"nested", "pool", "placeholder", "elsewhere", "malformed", "outside"} <= told["ripe.db.inetnum.gz"][
            "skipped"
        ].keys()
        assert "bulk_malformed" in (lab.folder / "state" / "coordinator.log").read_text()
        # Read again, also under another name, it brings nothing.
        before, asked = rows(lab, "state", "bulk"), len(lab.asked())
        other = lab.folder / "other-name.gz"
        other.write_bytes(files[0].read_bytes() + bytes(512))
        again = await lab.run(*command[:4], *files, other, *command[-3:])
        assert again.code == 0, again.err
        assert rows(lab, "state", "bulk") == before
        assert len(lab.asked()) == asked
        assert again.summary["networks"] == ended.summary["networks"]
        assert [each["known"] for each in again.summary["imported"][-1:]] == [
            len([each for each in published if each.server == files[0].name])
        ]

    in_lab(crawl)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "when"), [pytest.param(2, "after", marks=pytest.mark.soak), (4, "before")])
def test_an_import_that_was_killed_starts_over_without_a_double(in_lab, table, bulk_files, fsync_killer, at, when):
    async def crawl(lab):
        files = bulk_files("ripe", "apnic", "afrinic")
        config = lab.config("202.128.0.0/11", "217.0.0.0/9")
        environment = {"LD_PRELOAD": fsync_killer, "KILL_AT": str(at), "KILL_WHEN": when}
        more = ("--bulk", *map(str, files))
        doomed = await Daemon.start(
            lab, "whoismesh-coord", "coord", "--config", config, "--listen", f"tcp://127.0.0.1:{kept_port()}", *more,
            **environment,
        )  # fmt: skip
        assert await doomed.ends() == -signal.SIGKILL
        begun = rows(lab, "coord", "bulk")
        back = await Daemon.start(
            lab, "whoismesh-coord", "coord", "--config", config, "--listen", f"tcp://127.0.0.1:{kept_port()}",
            "--exit-when-done", *more,
        )  # fmt: skip
        first = await worker(lab, config, "one", back.endpoint)
        assert await back.ends() == 0
        assert await first.ends() == 0
        after = rows(lab, "coord", "bulk")
        assert len(after) == len(set(after)) > len(begun)
        assert set(begun) <= set(after)
        assert len(rows(lab, "coord", "imported")) == len(files)
        assert (await lab.run("dump", "--state", "coord", "results.msgpack")).code == 0
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl)


def test_a_file_that_is_not_there_is_told_before_anything_starts(in_lab):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16")
        ended = await lab.run("crawl", "--config", config, "--bulk", "none.gz", "--quiet")
        assert ended.code == 78
        assert "crawl.bulk: none.gz: cannot be read: No such file or directory" in ended.error
        assert lab.asked() == []

    in_lab(crawl)


@pytest.mark.slow
def test_the_coordinator_stopped_while_it_imports_goes_on_later(in_lab, table, bulk_files):
    async def crawl(lab):
        files = bulk_files("ripe")
        config = lab.config(
            "193.104.0.0/15",
            change=lambda text: text.replace(
                "[crawl]", f"[crawl]\nbulk = [{', '.join(repr(str(each)) for each in files)}]"
            ),
        )
        first = await coordinator(lab, config)
        first.send(signal.SIGTERM)
        assert await first.ends() in (0, 75)
        back = await coordinator(lab, config)
        one = await worker(lab, config, "one", back.endpoint)
        assert await back.ends() == 0
        assert await one.ends() == 0
        assert (await lab.run("dump", "--state", "coord", "results.msgpack")).code == 0
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl)
