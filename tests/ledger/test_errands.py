"""Errands wait in one line or are lent in one lease, whatever moves them."""

from __future__ import annotations

from whoismesh.addresses import Range
from whoismesh.ledger.errands import Errand, Errands

ONE, TWO, THREE = (Range.parse(f"193.0.0.{number}") for number in (1, 2, 3))


def asked(errands: Errands, registry: str, now: float = 0.0, most: int = 10) -> list[Range]:
    return [errand.asked for errand in errands.due(registry, now, most)]


def test_errands_are_due_in_the_order_in_which_they_were_queued() -> None:
    errands = Errands()
    for each in (THREE, ONE, TWO):
        errands.queue(Errand(each, "arin"), "arin")
    assert asked(errands, "arin") == [THREE, ONE, TWO]
    assert asked(errands, "arin", most=2) == [THREE, ONE]
    assert asked(errands, "apnic") == []


def test_an_errand_that_waits_for_its_time_keeps_nobody_else_waiting() -> None:
    errands = Errands()
    errands.queue(Errand(ONE, "arin", not_before=9.0), "arin")
    errands.queue(Errand(TWO, "arin"), "arin")
    assert asked(errands, "arin", 1.0) == [TWO]
    assert asked(errands, "arin", 9.0) == [TWO, ONE]


def test_an_errand_that_moves_leaves_the_line_it_was_in() -> None:
    errands = Errands()
    errand = Errand(ONE, "arin")
    errands.queue(errand, "arin")
    assert asked(errands, "arin") == [ONE]
    errands.queue(errand, "apnic")
    assert asked(errands, "arin") == []
    assert asked(errands, "apnic") == [ONE]


def test_an_errand_that_is_put_off_is_not_due_at_its_former_time() -> None:
    errands = Errands()
    errand = Errand(ONE, "arin", not_before=5.0)
    errands.queue(errand, "arin")
    errand.not_before = 15.0
    errands.queue(errand, "arin")
    assert asked(errands, "arin", 10.0) == []
    assert asked(errands, "arin", 15.0) == [ONE]


def test_a_lent_errand_is_in_no_line_and_an_ended_one_nowhere() -> None:
    errands = Errands()
    first, second = Errand(ONE, "arin"), Errand(TWO, "arin")
    errands.queue(first, "arin")
    errands.queue(second, "arin")
    assert asked(errands, "arin", most=1) == [ONE]
    errands.lend(first, 7)
    assert asked(errands, "arin") == [TWO]
    assert errands.within(Range.parse("193.0.0.0/24")) == [first, second]
    errands.end(first)
    errands.end(second)
    assert asked(errands, "arin") == []
    assert errands.within(Range.parse("193.0.0.0/24")) == []
    assert len(errands) == 0
