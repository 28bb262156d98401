from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range, parse_space
from whoismesh.checks import CRAWL_ID_BYTES, MAX_COUNT
from whoismesh.compounds import Result
from whoismesh.errors import StateError
from whoismesh.registries import REGISTRIES
from whoismesh.store import FILE, ORIGINS_A_START, VERSION, LedgerStore

MakeResult = Callable[..., Result]

SPACE = parse_space(["193.0.0.0/16", "2001:600::/32"])


@st.composite
def results(draw: st.DrawFn) -> Result:
    family = draw(st.sampled_from((4, 6)))
    first, last = sorted(draw(st.lists(st.integers(0, MAX_ADDRESS[family]), min_size=2, max_size=2)))
    return Result(
        draw(st.integers(0, MAX_COUNT)),
        draw(st.integers(0, MAX_COUNT)),
        draw(st.sampled_from(REGISTRIES)),
        draw(st.sampled_from(("network", "failed"))),
        Range(family, first, first),
        Range(family, first, last),
        draw(st.none() | st.sampled_from(REGISTRIES)),
        draw(st.text(max_size=20)),
        draw(st.binary(max_size=20)),
    )


@pytest.mark.slow
@given(st.lists(st.lists(results(), max_size=4), max_size=4))
def test_results_survive_close_and_open_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Result]]
) -> None:
    folder = tmp_path_factory.mktemp("state")
    for batch in batches:
        store = LedgerStore.open(folder)
        store.append(batch, {})
        store.close()
    store = LedgerStore.open(folder)
    assert list(store.results()) == [result for batch in batches for result in batch]
    store.close()


def test_a_new_crawl_begins_with_an_id_of_its_own(tmp_path: Path) -> None:
    ids = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        store = LedgerStore.open(tmp_path / name)
        record = store.begin(SPACE)
        store.close()
        assert record.space == SPACE
        assert record.epoch == 1
        assert record.origins == range(1, 1 + ORIGINS_A_START)
        assert len(record.id) == CRAWL_ID_BYTES
        assert record.started_at > 1.7e9
        ids.add(record.id)
    assert len(ids) == 2


def test_a_restart_goes_on_in_the_next_epoch_with_fresh_origins(tmp_path: Path) -> None:
    records = []
    for _ in range(3):
        store = LedgerStore.open(tmp_path)
        records.append(store.begin(SPACE))
        store.close()
    assert [record.epoch for record in records] == [1, 2, 3]
    assert len({record.id for record in records}) == 1
    assert len({record.started_at for record in records}) == 1
    origins = [origin for record in records for origin in record.origins]
    assert len(origins) == len(set(origins)) == 3 * ORIGINS_A_START
    assert 0 not in origins


def test_the_newest_start_says_how_many_attempts_are_made(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path)
    assert store.begin(SPACE).attempts == 3
    assert store.begin(SPACE, attempts=7).attempts == 7
    assert store.crawl().attempts == 7
    store.close()


def test_another_space_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path)
    first = store.begin(SPACE)
    with pytest.raises(StateError) as caught:
        store.begin(parse_space(["194.0.0.0/8"]))
    assert str(caught.value) == (
        f"{tmp_path / FILE}: holds a crawl of 193.0.0.0/16, 2001:600::/32, not of 194.0.0.0/8; "
        "give the same space or another --state"
    )
    assert store.crawl() == replace(first, origins=range(0))
    assert store.begin(SPACE).origins.start == first.origins.stop
    store.close()


def test_a_space_that_is_no_cidr_is_the_same_after_a_restart(tmp_path: Path) -> None:
    space = parse_space(["200.3.12.0-200.3.14.255", "ipv6"])
    store = LedgerStore.open(tmp_path)
    store.begin(space)
    assert store.begin(space).space == space
    store.close()


def test_a_file_without_a_crawl_says_so(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path)
    with pytest.raises(StateError, match=r"holds no crawl yet; run one with this --state first"):
        store.crawl()
    store.close()


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path, make_result: MakeResult) -> None:
    store = LedgerStore.open(tmp_path)
    good = make_result(1, "network", "193.0.0.0/24")
    bad = make_result(2, "failed", "193.0.1.0")._replace(reason=None)
    with pytest.raises(sqlite3.IntegrityError):
        store.append([good, bad], {1: ("host", {"lookups": 2.0})})
    assert list(store.results()) == []
    assert store.counters() == {}
    store.append([good], {})
    assert list(store.results()) == [good]
    store.close()


def test_the_newest_counters_of_an_origin_count(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path)
    store.append([], {1: ("a", {"lookups": 2.0}), 2: ("b", {"lookups": 5.0})})
    store.append([], {1: ("a", {"lookups": 3.0, "hits": 1.0})})
    store.close()
    store = LedgerStore.read(tmp_path)
    assert store.counters() == {1: {"lookups": 3.0, "hits": 1.0}, 2: {"lookups": 5.0}}
    store.close()


def test_a_process_made_at_least_as_many_lookups_as_there_are_results_of_it(
    tmp_path: Path, make_result: MakeResult
) -> None:
    store = LedgerStore.open(tmp_path)
    results = [make_result(n, "failed", "193.0.0.0", origin=origin) for origin in (1, 2, 3) for n in (1, 2)]
    store.append(results, {1: ("a", {"lookups": 1.0, "hits": 4.0}), 2: ("b", {"lookups": 5.0})})
    assert store.counters() == {1: {"lookups": 2.0, "hits": 4.0}, 2: {"lookups": 5.0}, 3: {"lookups": 2.0}}
    store.close()


def test_networks_come_sorted_and_of_equal_ranges_the_newest(tmp_path: Path, make_result: MakeResult) -> None:
    store = LedgerStore.open(tmp_path)
    told = ["2001:600::/32", "193.0.0.0/24", "193.0.0.0/16", "9.0.0.0/8", "193.0.0.0/24", "193.0.0.0-193.0.0.7"]
    results = [make_result(n, "network", text, name=f"NAME-{n}") for n, text in enumerate(told)]
    store.append([*results, make_result(9, "unallocated", "1.0.0.0"), make_result(10, "failed", "1.0.1.0")], {})
    found = [(str(where), payload) for where, _, payload in store.networks()]
    assert [text for text, _ in found] == [
        "9.0.0.0/8",
        "193.0.0.0/29",
        "193.0.0.0/24",
        "193.0.0.0/16",
        "2001:600::/32",
    ]
    assert dict(found)["193.0.0.0/24"] == results[4].payload
    assert {registry for _, registry, _ in store.networks()} == {"ripencc"}
    assert store.count_duplicates() == 1
    store.close()


def test_a_v4_and_a_v6_network_of_the_same_bytes_are_two(tmp_path: Path, make_result: MakeResult) -> None:
    store = LedgerStore.open(tmp_path)
    store.append([make_result(1, "network", "32.1.6.0"), make_result(2, "network", "2001:600::")], {})
    assert len(list(store.networks())) == 2
    assert store.count_duplicates() == 0
    store.close()


def test_a_snapshot_does_not_see_what_is_written_meanwhile(tmp_path: Path, make_result: MakeResult) -> None:
    writer = LedgerStore.open(tmp_path)
    writer.begin(SPACE)
    first, second = make_result(1, "network", "193.0.0.0/24"), make_result(2, "network", "193.0.1.0/24")
    writer.append([first], {})
    reader = LedgerStore.read(tmp_path)
    with reader.snapshot():
        writer.append([second], {})
        assert list(reader.results()) == [first]
        assert reader.crawl().epoch == 1
    assert list(reader.results()) == [first, second]
    reader.close()
    writer.close()


def test_what_was_stored_survives_a_process_that_is_killed(tmp_path: Path, make_result: MakeResult) -> None:
    store = LedgerStore.open(tmp_path)
    first = store.begin(SPACE)
    result = make_result(1, "network", "193.0.0.0/24")
    store.append([result], {1: ("host", {"lookups": 1.0})})
    # What lies on the disk now is what the next process finds: the file and its log, not yet put together.
    left = tmp_path / "left"
    left.mkdir()
    for name in (FILE, f"{FILE}-wal"):
        assert (tmp_path / name).stat().st_size
        (left / name).write_bytes((tmp_path / name).read_bytes())
    store.close()
    again = LedgerStore.open(left)
    assert list(again.results()) == [result]
    assert again.counters() == {1: {"lookups": 1.0}}
    record = again.begin(SPACE)
    assert (record.id, record.epoch) == (first.id, 2)
    again.close()


def test_a_store_is_read_only_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"ledger\.sqlite does not exist; give the --state folder of a crawl"):
        LedgerStore.read(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path, make_result: MakeResult) -> None:
    LedgerStore.open(tmp_path).close()
    store = LedgerStore.read(tmp_path)
    with pytest.raises(sqlite3.OperationalError):
        store.append([make_result(1, "network", "193.0.0.0/24")], {})
    store.close()


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    LedgerStore.open(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute(f"PRAGMA user_version={VERSION + 1}")
    database.close()
    before = (tmp_path / FILE).read_bytes()
    for way in (LedgerStore.open, LedgerStore.read):
        with pytest.raises(StateError, match=rf"format {VERSION + 1}, this one reads {VERSION}"):
            way(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_retry_is_stored_as_a_result_of_the_coordinator_s_own_and_counts_as_no_lookup(
    tmp_path: Path, make_result: Callable[..., Result]
) -> None:
    space = parse_space(["193.0.0.0/23"])
    store = LedgerStore.open(tmp_path)
    store.begin(space)
    store.append([make_result(1, "failed", "193.0.0.0")], {})
    record = store.begin(space, retry_failed=True)
    found = list(store.results())
    assert [each.status for each in found] == ["failed", "retry"]
    assert (found[1].origin, found[1].sequence) == (record.origins.start, 0)
    assert store.counters() == {1: {"lookups": 1.0}}
    store.close()
