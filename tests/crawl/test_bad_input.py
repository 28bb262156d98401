"""Bad input ends in one line that names the thing and the mend, with the right exit code, and loses nothing."""

import signal
import socket
import sqlite3
from collections import Counter

import pytest

from whoismesh.practice.compare import compare
from whoismesh.practice.faults import Weather


def edited(old, new):
    return lambda text: text.replace(old, new)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edited("[crawl]", "[crawl]\ncontakt = 'x'"), ["contakt", "contact"]),
        (edited("[crawl]", "[krawl]\nx = 1\n[crawl]"), ["krawl", "[crawl]"]),
        (edited("[registries.arin]", "[registries.iana]\nrate = 1\n[registries.arin]"), ["registries.iana", "arin"]),
        (edited('space = ["193.104.0.0/16"]', 'space = ["193.104.0.1/16"]'), ["193.104.0.1/16", "193.104.0.0/16"]),
        (edited('space = ["193.104.0.0/16"]', "space = []"), ["space is empty"]),
        (edited('"193.104.0.0/16"', '"193.104.0.0/16", "193.104.7.0/24"'), ["193.104.7.0/24", "overlap"]),
        (edited("connections = 16", "connections = 'many'"), ["connections", "many"]),
        (edited("rate = inf", "rate = -1"), ["rate", "-1"]),
        (edited("[crawl]", "[crawl"), ["is not TOML"]),
    ],
)
def test_a_bad_setting_is_named_before_anything_starts(in_lab, change, says):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16", change=change)
        ended = await lab.run("crawl", "--config", config)
        assert ended.code == 78
        assert "Traceback" not in ended.err
        first = ended.err.splitlines()[0]
        assert all(each in first for each in [*says, str(config) if "overlap" not in says else ""]), first
        assert not (lab.folder / "whoismesh-state").exists()

    in_lab(crawl)


def test_all_problems_are_told_at_once(in_lab):
    async def crawl(lab):
        config = lab.config("193.104.0.0/16", change=lambda text: text.replace("rate = inf", "rate = 0") + "\n[x]\n")
        ended = await lab.run("crawl", "--config", config)
        assert ended.code == 78
        assert len(ended.err.splitlines()) == 12  # six rates, five host rates and a section

    in_lab(crawl)


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (["193.104.0.0/33"], "prefix length"),
        (["193.104.0.9/16"], "did you mean 193.104.0.0/16"),
        (["somewhere"], "'somewhere'"),
        (["193.104.0.0/16", "193.104.1.0/24"], "overlap"),
    ],
)
def test_a_bad_space_on_the_command_line_is_a_usage_error(in_lab, space, says):
    async def crawl(lab):
        ended = await lab.run("crawl", *space, "--config", lab.config())
        assert ended.code == 2
        assert says in ended.error

    in_lab(crawl)


def test_the_real_registries_are_not_asked_without_a_contact(in_lab):
    async def crawl(lab):
        ended = await lab.run("crawl", "193.0.0.0/21")
        assert ended.code == 78
        assert "contact" in ended.error
        assert "--contact" in ended.error

    in_lab(crawl)


@pytest.mark.slow
def test_an_unreachable_registry_ends_the_crawl_when_nothing_else_is_left_and_it_goes_on_later(in_lab, table):
    async def crawl(lab):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            gone = f"127.0.0.1:{nobody.getsockname()[1]}"
        space = ("193.104.0.0/17", "216.0.0.0/13")

        def without_arin(text):
            text = text.replace(lab.practice.rdap_url("arin"), f"http://{gone}/")
            text = text.replace(lab.practice.whois_address("arin"), gone)
            return text.replace("[crawl]", "[crawl]\ngive_up_s = 1")

        command = ("crawl", "--state", "state", "--json", "--config")
        ended = await lab.run(*command, lab.config(*space, change=without_arin))
        assert ended.code == 69
        assert "arin" in ended.error
        assert gone in ended.error
        # What the others knew is there; what is mended goes on from there.
        asked = Counter(each.registry for each in lab.practice.requests)
        assert asked["ripencc"] > 50
        again = await lab.run(*command, lab.config(*space))
        assert again.code == 0, again.err
        assert compare(lab.folder / "results.msgpack", table).equal

    in_lab(crawl)


def test_a_port_in_use_is_named(in_lab):
    async def crawl(lab):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            practice = await lab.run("practice", "--port", str(port))
            assert practice.code == 69
            assert str(port) in practice.error

    in_lab(crawl)


def test_a_corrupt_state_file_is_refused_and_left_as_it_is(in_lab):
    async def crawl(lab):
        state = lab.folder / "state"
        state.mkdir()
        (state / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
        before = (state / "ledger.sqlite").read_bytes()
        ended = await lab.run("crawl", "193.104.0.0/17", "--config", lab.config(), "--state", state, "--quiet")
        assert ended.code == 78
        assert "ledger.sqlite" in ended.error
        assert "--state" in ended.error
        assert (state / "ledger.sqlite").read_bytes() == before
        assert lab.asked() == []

    in_lab(crawl)


def test_a_state_file_of_another_program_is_refused(in_lab):
    async def crawl(lab):
        state = lab.folder / "state"
        state.mkdir()
        with sqlite3.connect(state / "ledger.sqlite") as database:
            database.execute("CREATE TABLE theirs (x)")
        database.close()
        ended = await lab.run("crawl", "193.104.0.0/17", "--config", lab.config(), "--state", state, "--quiet")
        assert ended.code == 78
        assert "another program" in ended.error

    in_lab(crawl)


def test_the_state_of_a_crawl_of_another_space_is_refused_and_kept(in_lab):
    async def crawl(lab):
        config = lab.config()
        first = await lab.run("crawl", "193.104.0.0/17", "--config", config, "--state", "state", "--json")
        assert first.code == 0
        other = await lab.run("crawl", "193.105.0.0/17", "--config", config, "--state", "state", "--quiet")
        assert other.code == 78
        assert "193.104.0.0/17" in other.error
        again = await lab.run("crawl", "193.104.0.0/17", "--config", config, "--state", "state", "--json")
        assert again.code == 0
        assert again.summary["networks"] == first.summary["networks"]

    in_lab(crawl)


@pytest.mark.slow
def test_a_second_crawl_with_the_same_state_is_told_to_wait(in_lab):
    async def crawl(lab):
        command = ("crawl", "--config", lab.config(), "--state", "state", "--quiet")
        first = await lab.start(*command)
        await lab.requests(50)
        second = await lab.run(*command)
        assert second.code == 75
        assert "in use by process" in second.error
        first.send_signal(signal.SIGKILL)

    in_lab(crawl, weather=Weather(0.2, 0, 1))


def test_a_dump_cut_short_is_counted_as_far_as_it_goes(in_lab):
    async def crawl(lab):
        assert (await lab.run("crawl", "193.104.0.0/17", "--config", lab.config(), "--quiet")).code == 0
        whole = (lab.folder / "results.msgpack").read_bytes()
        (lab.folder / "cut.msgpack").write_bytes(whole[: len(whole) // 2])
        ended = await lab.run("stats", "cut.msgpack", "--json")
        assert ended.code == 1
        assert "cut short" in ended.error
        assert ended.summary["networks"] > 0
        assert ended.summary["complete"] is False

    in_lab(crawl)


def test_a_state_that_is_no_folder_is_refused(in_lab):
    async def crawl(lab):
        (lab.folder / "state").write_text("a file")
        ended = await lab.run("crawl", "193.104.0.0/17", "--config", lab.config(), "--state", "state", "--quiet")
        assert ended.code == 78
        assert "state" in ended.error

    in_lab(crawl)


def test_a_state_folder_without_a_crawl_has_no_dump(in_lab):
    async def crawl(lab):
        ended = await lab.run("dump", "--state", "nowhere", "x.msgpack")
        assert ended.code == 78
        assert "nowhere" in ended.error
        assert not (lab.folder / "nowhere").exists()

    in_lab(crawl)
