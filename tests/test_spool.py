from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.compounds import Result
from whoismesh.errors import StateError
from whoismesh.spool import FILE, Spool

MakeResult = Callable[..., Result]

CRAWL, OTHER = b"1" * 16, b"2" * 16


def everything(spool: Spool) -> list[Result | None]:
    return [spool.get(key) for key in tuple(spool.keys())]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path)
    yield made
    made.close()


def test_what_is_added_is_there_until_it_is_forgotten(spool: Spool, make_result: MakeResult) -> None:
    results = [
        make_result(1, "network", "193.0.0.0/24", origin=7, name="Société Générale"),
        make_result(2, "unallocated", "2001:600::", origin=7),
        make_result(3, "failed", "193.0.1.0", origin=7, reason="timed out"),
        make_result(1, "network", "193.0.2.0-193.0.3.7", origin=8),
    ]
    spool.add(reversed(results))
    assert spool.keys() == ((7, 1), (7, 2), (7, 3), (8, 1))
    assert everything(spool) == results
    spool.forget(7, [(1, 1), (3, 9)])
    assert spool.keys() == ((7, 2), (8, 1))
    spool.forget(9, [(0, 100)])
    spool.forget(7, [])
    assert everything(spool) == [results[1], results[3]]


def test_it_survives_its_process(tmp_path: Path, make_result: MakeResult) -> None:
    result = make_result(1, "network", "193.0.0.0/24")
    for _ in range(2):
        spool = Spool(tmp_path)
        spool.belong_to(CRAWL)
        spool.add([result])  # the second time it is known already
        spool.close()
    spool = Spool(tmp_path)
    assert everything(spool) == [result]
    spool.close()


ends = st.integers(0, 13)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 12)), unique=True),
    st.lists(st.tuples(ends, ends), max_size=3),
)
def test_forgetting_runs_leaves_the_rest(
    tmp_path_factory: pytest.TempPathFactory,
    make_result: MakeResult,
    keys: list[tuple[int, int]],
    runs: list[tuple[int, int]],
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    spool.add(make_result(sequence, "failed", "193.0.0.0", origin=origin) for origin, sequence in keys)
    spool.forget(2, runs)
    gone = {(2, n) for first, last in runs for n in range(first, last + 1)}
    assert spool.keys() == tuple(sorted(set(keys) - gone))
    spool.close()


def test_results_of_another_crawl_are_not_given_away(tmp_path: Path, make_result: MakeResult) -> None:
    spool = Spool(tmp_path)
    spool.belong_to(CRAWL)
    spool.belong_to(CRAWL)
    spool.add([make_result(1, "network", "193.0.0.0/24"), make_result(2, "failed", "193.0.1.0")])
    with pytest.raises(StateError) as caught:
        spool.belong_to(OTHER)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / FILE}: holds 2 results of another crawl")
    assert "give another --state" in message
    assert len(everything(spool)) == 2
    spool.belong_to(CRAWL)
    spool.forget(1, [(1, 2)])
    spool.belong_to(OTHER)  # all delivered: free for another crawl
    spool.close()
    spool = Spool(tmp_path)
    spool.add([make_result(1, "network", "193.0.0.0/24")])
    with pytest.raises(StateError, match="another crawl"):
        spool.belong_to(CRAWL)
    spool.close()


def test_a_batch_is_kept_whole_or_not_at_all(spool: Spool, make_result: MakeResult) -> None:
    good = make_result(1, "network", "193.0.0.0/24")
    with pytest.raises(sqlite3.IntegrityError):
        spool.add([good, good._replace(sequence=None)])
    assert everything(spool) == []
    spool.add([good])
    assert everything(spool) == [good]


def test_a_damaged_row_is_an_error_that_says_what_to_do(tmp_path: Path, make_result: MakeResult) -> None:
    spool = Spool(tmp_path)
    spool.add([make_result(1, "network", "193.0.0.0/24")])
    spool.close()
    database = sqlite3.connect(tmp_path / FILE)
    for frame in (b"\x01\x14rubbish", b"\x01\x0d\x92\xc4\x00\x01"):  # no message at all, and one of another type
        database.execute("UPDATE results SET frame = ?", (frame,))
        database.commit()
        spool = Spool(tmp_path)
        with pytest.raises(StateError) as caught:
            everything(spool)
        spool.close()
        assert str(caught.value).startswith(f"{tmp_path / FILE}: is damaged")
        assert "remove it, its lookups are repeated" in str(caught.value)
    database.close()


def test_a_file_that_is_no_spool_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no spool at all" * 100)
    with pytest.raises(StateError, match="is no whoismesh state file"):
        Spool(tmp_path)
