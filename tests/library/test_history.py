"""What a listener tells its program: in order, to any number of readers, and never more than it may keep."""

from __future__ import annotations

from whoismesh.addresses import Range
from whoismesh.history import BlockCursor, Discovered, EventCursor, History, Joined, KnownBlock, Left, Member
from whoismesh.prefixes import PrefixTable

FIRST, SECOND = (KnownBlock(Range.parse(text), "apnic") for text in ("1.0.0.0/24", "1.0.1.0/24"))


def joined(number):
    return Joined(Member(number, f"host:{number}"))


def make(most=10):
    return History(PrefixTable(), most)


def add(history, block):
    history.table.add(block.range, block.registry)


def test_events_come_in_the_order_in_which_they_happened():
    history = make()
    history.note(joined(1))
    add(history, FIRST)
    history.note(joined(2))
    history.note(Left(Member(1, "host:1"), "left"))
    add(history, SECOND)
    expected = [joined(1), Discovered(FIRST), joined(2), Left(Member(1, "host:1"), "left"), Discovered(SECOND)]
    assert EventCursor(history, known=True).take(99) == expected
    one_by_one = EventCursor(history, known=True)
    assert [one_by_one.take(1)[0] for _ in expected] == expected
    assert one_by_one.take(1) == []


def test_readers_from_now_on_get_what_comes_and_each_gets_all_of_it():
    history = make()
    history.note(joined(1))
    add(history, FIRST)
    events, blocks, more = (
        EventCursor(history, known=False),
        BlockCursor(history, known=False),
        BlockCursor(history, known=True),
    )
    assert events.take(9) == blocks.take(9) == []
    history.note(joined(2))
    add(history, SECOND)
    assert events.take(9) == [joined(2), Discovered(SECOND)]
    assert blocks.take(9) == [SECOND]
    assert more.take(1) == [FIRST]
    assert more.take(9) == [SECOND]
    assert history.dropped == 0


def test_a_queue_that_nobody_reads_stays_short_and_counts_what_it_drops():
    history = make(most=3)
    add(history, FIRST)
    for number in range(1, 11):
        history.note(joined(number))
    assert history.dropped == 7
    late = EventCursor(history, known=True)
    assert late.take(99) == [Discovered(FIRST), joined(8), joined(9), joined(10)]
    assert late.missed == 0, "it came after they were gone"
    history.note(joined(11))
    assert history.dropped == 7, "the oldest one was read"


def test_a_slow_reader_knows_how_much_it_missed():
    history = make(most=3)
    slow, quick = EventCursor(history, known=True), EventCursor(history, known=True)
    for number in range(1, 6):
        history.note(joined(number))
        assert quick.take(9) == [joined(number)]
    assert slow.take(9) == [joined(3), joined(4), joined(5)]
    assert (slow.missed, quick.missed, history.dropped) == (2, 0, 0)


def test_discoveries_are_not_dropped_however_many_there_are():
    history = make(most=1)
    cursor = BlockCursor(history, known=False)
    blocks = [
        KnownBlock(Range(4, 2**24 + 256 * number, 2**24 + 256 * number + 255), "apnic") for number in range(5_000)
    ]
    for block in blocks:
        add(history, block)
    assert cursor.take(10_000) == blocks
    assert history.dropped == 0
