"""A pool is a set of addresses that gives its widest ranges first, whatever was done to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.ledger.pool import LEAST_HEAP, Pool
from whoismesh.rangesets import RangeSet

changes = st.lists(
    st.tuples(st.booleans(), st.sampled_from([4, 6]), st.integers(0, 60), st.integers(0, 20), st.booleans()),
    max_size=60,
)


@given(changes)
def test_a_pool_holds_what_a_set_holds_and_knows_the_widest(
    changes: list[tuple[bool, int, int, int, bool]],
) -> None:
    pool, plain = Pool(), RangeSet()
    for adds, family, first, more, looks in changes:
        where = Range(family, first, first + more)
        for each in (pool, plain):
            (each.add if adds else each.remove)(where)
        if looks:
            assert next(pool.widest(), None) == min(plain, key=_order, default=None)
    assert pool == plain
    assert list(pool.widest()) == sorted(plain, key=_order)
    assert list(pool.widest()) == sorted(plain, key=_order), "looking changes nothing"


def test_outdated_entries_do_not_gather() -> None:
    pool = Pool()
    pool.add(Range(4, 0, 1 << 20))
    for number in range(10_000):
        pool.remove(Range(4, number * 64, number * 64 + 9))
        pool.add(Range(4, number * 64, number * 64 + 9))
    assert len(pool) == 1
    assert len(pool._heap) <= LEAST_HEAP + 1


def _order(where: Range) -> tuple[int, int, int]:
    return where.family, -where.size, where.first
