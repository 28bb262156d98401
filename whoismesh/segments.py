"""Segments: the stretches of addresses that have the same most specific record. Pure: sorted records in, segments out.

Records come as a dump has them, by family and first address; they may lie in one another and overlap in any way. What
is held meanwhile is what lies over one address, however many records there are.

An address of either family is one number here, its place: IPv6 follows after IPv4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, Protocol, TypeVar

from whoismesh.addresses import Range

#: The place of the first IPv6 address.
IPV6_PLACE = 1 << 128


class Ranged(Protocol):
    """What has a range."""

    @property
    def range(self) -> Range:
        """First and last address."""
        ...


Item = TypeVar("Item", bound=Ranged)


class Segment(NamedTuple, Generic[Item]):
    """First and last place, inclusive, and what lies over them: the most specific first, so `over[0]` answers."""

    first: int
    last: int
    over: tuple[Item, ...]


def place(family: int, address: int) -> int:
    """Return the place of an address.

    >>> place(4, 5), place(6, 5) - IPV6_PLACE
    (5, 5)
    """
    return address if family == 4 else IPV6_PLACE + address


def range_of(first: int, last: int) -> Range:
    """Return the range of two places of one family."""
    return Range(4, first, last) if last < IPV6_PLACE else Range(6, first - IPV6_PLACE, last - IPV6_PLACE)


def segments(records: Iterable[Item]) -> Iterator[Segment[Item]]:
    """Yield the segments of records in order. The smallest record is the most specific; of equal ones the later.

    Two neighbours differ in what lies over them. Where nothing lies there is no segment. Raises ValueError where the
    records are not sorted by family and first address.
    """
    open_ones: list[tuple[int, int, int, Item]] = []  # a heap of (size, -number, last place, record)
    reached = 0  # all segments before this place are cut
    for number, record in enumerate(records):
        where = record.range
        first, last = place(where.family, where.first), place(where.family, where.last)
        if first < reached:
            raise ValueError(f"{where} comes after a record that begins later")
        yield from _until(open_ones, reached, first)
        reached = first
        # Most records lie over nothing and under nothing.
        if open_ones and open_ones[0][2] < first:
            open_ones = [each for each in open_ones if each[2] >= first]
            heapify(open_ones)
        heappush(open_ones, (where.size, -number, last, record))
    yield from _until(open_ones, reached, None)


def _until(open_ones: list[tuple[int, int, int, Item]], first: int, end: int | None) -> Iterator[Segment[Item]]:
    """Yield the segments from a place to before another one, of what is open; what has ended leaves the heap's top."""
    while True:
        while open_ones and open_ones[0][2] < first:
            heappop(open_ones)
        if not open_ones or (end is not None and first >= end):
            return
        over: tuple[Item, ...] = (open_ones[0][3],)
        last = open_ones[0][2]
        if len(open_ones) > 1:
            lying = sorted(each for each in open_ones if each[2] >= first)
            over, last = tuple(each[3] for each in lying), min(each[2] for each in lying)
        if end is not None:
            last = min(last, end - 1)
        yield Segment(first, last, over)
        first = last + 1


def overlaid(
    left: Iterable[Segment[Item]], right: Iterable[Segment[Item]]
) -> Iterator[tuple[int, int, tuple[Item, ...], tuple[Item, ...]]]:
    """Yield (first place, last place, what lies over them on the left, and on the right), where there is anything.

    No such stretch crosses an end of a segment of either side.
    """
    sides = [iter(left), iter(right)]
    heads = [next(side, None) for side in sides]
    first = 0
    while any(head is not None for head in heads):
        first = min(max(head.first, first) for head in heads if head is not None)
        last = min(head.last if head.first <= first else head.first - 1 for head in heads if head is not None)
        over = [head.over if head is not None and head.first <= first else () for head in heads]
        yield first, last, over[0], over[1]
        first = last + 1
        for number, head in enumerate(heads):
            if head is not None and head.last < first:
                heads[number] = next(sides[number], None)
