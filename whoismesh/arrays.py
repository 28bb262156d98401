"""A million addresses at once: a table of blocks, or a dump, frozen into numpy arrays.

The address space is cut into stretches with one answer each. For IPv4 an array with an item for each /24 says in which
stretch it lies, so that one step answers for all addresses of a question; only the few in a /24 that is cut are
searched for. IPv6 is searched, in one step for all addresses by halving.

numpy is an extra (`arrays`), which daemons do not need. Its quirks are here: what is searched for has the type of what
is searched (else `searchsorted` copies that each time), and integers of both signs together become floats.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.errors import UnavailableError, UsageError
from whoismesh.index import open_index
from whoismesh.index_layout import NONE
from whoismesh.prefixes import PrefixTable
from whoismesh.segments import place, segments

try:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
except ImportError:
    raise UnavailableError(
        "whoismesh.arrays needs the package numpy, which is not installed: pip install 'whoismesh[arrays]'"
    ) from None

#: The /24s of IPv4, and what says of one that it is cut into several stretches.
SLASH_24S, CUT = 1 << 24, -1
#: So many addresses at once: what comes between the steps stays in a processor's own cache, a third of the time.
PIECE = 1 << 16
_LOW = (1 << 64) - 1


class _Entry(NamedTuple):
    """A block, and its number."""

    range: Range
    number: int


class AddressArrays:
    """Answers for arrays of addresses, as of when it was made: what is added later is not in it.

    IPv4 addresses are an array of integers, IPv6 ones an array of (n, 2) with the upper and the lower 64 bits of each.
    `numbers` and `next_gaps` of IPv4 take 64 MiB, made at the first question, `known` 4 MiB.

    >>> table = PrefixTable()
    >>> table.add(Range.parse("193.0.0.0/21"), "RIPE NCC")
    0
    >>> arrays = AddressArrays.of_table(table)
    >>> arrays.numbers([3238002688, 3238004736]).tolist()
    [0, -1]
    >>> arrays.next_gaps([3238002688]).tolist() == [3238004736]
    True
    """

    def __init__(self, firsts_4: Any, numbers_4: Any, highs_6: Any, lows_6: Any, numbers_6: Any) -> None:
        """Take stretches in order, the first one from address 0 on; of each its first address, and its number or -1."""
        self._firsts_4: NDArray[np.uint32] = np.array(firsts_4, np.uint32)
        self._numbers_4: NDArray[np.int32] = np.array(numbers_4, np.int32)
        self._highs_6: NDArray[np.uint64] = np.array(highs_6, np.uint64)
        self._lows_6: NDArray[np.uint64] = np.array(lows_6, np.uint64)
        self._numbers_6: NDArray[np.int64] = np.array(numbers_6, np.int64)

    @classmethod
    def of_table(cls, table: PrefixTable[Any]) -> AddressArrays:
        """Freeze a table. A number is that of an entry: `table.entry(number)` is block and value."""
        entries = sorted(_Entry(block, number) for number, (block, _) in enumerate(table))
        four = list(_stretches((each for each in entries if each.range.family == 4), 4))
        six = list(_stretches((each for each in entries if each.range.family == 6), 6))
        return cls(
            [first for first, _ in four],
            [number for _, number in four],
            [first >> 64 for first, _ in six],
            [first & _LOW for first, _ in six],
            [number for _, number in six],
        )

    @classmethod
    def of_dump(cls, path: str | os.PathLike[str]) -> AddressArrays:
        """Read a dump by its index. A number is that of a record: `whoismesh.index.open_index(path).record(number)`.

        Records that say that nobody holds a range are records too. Raises DumpError.
        """
        with open_index(path) as index:
            first_4, answer_4, high_6, low_6, answer_6 = index.copied(
                "first_4", "answer_4", "high_6", "low_6", "answer_6"
            )
        answers = [np.array(each, np.int64) for each in (answer_4, answer_6)]
        for each in answers:
            each[each == NONE] = -1
        return cls(first_4, answers[0], high_6, low_6, answers[1])

    def numbers(self, addresses: ArrayLike) -> NDArray[np.int64]:
        """Return the number of the most specific block that holds each address, -1 where none does.

        Raises UsageError for what are no addresses.
        """
        asked = _asked(addresses)
        if asked.ndim == 2:
            return self._numbers_6[self._at_6(asked)]
        found = np.empty(len(asked), np.int64)
        for piece, out in _pieces(asked, found):
            out[:] = self._numbers_4.take(self._at_4(piece))
        return found

    def known(self, addresses: ArrayLike) -> NDArray[np.bool_]:
        """Return for each address whether any block holds it. Raises UsageError for what are no addresses."""
        asked = _asked(addresses)
        if asked.ndim == 2:
            return self._numbers_6[self._at_6(asked)] >= 0
        found = np.empty(len(asked), np.uint8)
        for piece, out in _pieces(asked, found):
            self._known_24s.take((piece >> np.uint32(10)).astype(np.intp), mode="wrap", out=out)
            out >>= (piece >> np.uint32(7)).astype(np.uint8) & np.uint8(6)
            out &= np.uint8(3)
            searched = np.flatnonzero(out == 2)
            out[searched] = self._numbers_4[self._search_4(piece[searched])] >= 0
        return found.view(np.bool_)

    def next_gaps(self, addresses: ArrayLike) -> NDArray[np.int64]:
        """Return for each IPv4 address the first one from there on that no block holds, -1 where there is none.

        Raises UsageError for what are no IPv4 addresses.
        """
        asked = _asked(addresses)
        if asked.ndim == 2:
            raise UsageError("next_gaps: expected an array of IPv4 addresses, got IPv6 ones")
        gaps, end = self._gaps_4
        found = np.empty(len(asked), np.int64)
        for piece, out in _pieces(asked, found):
            out[:] = np.maximum(gaps.take(self._at_4(piece)), piece)
            out[piece > end] = -1
        return found

    @cached_property
    def _stretch_24s(self) -> NDArray[np.int32]:
        """For each /24 the stretch that it lies in, or CUT."""
        firsts, counts = self._firsts_4.astype(np.int64), np.zeros(SLASH_24S, np.int32)
        # A stretch counts from the first /24 on that begins in it or after; those inside of a /24 cut it.
        begins = (firsts + 255) >> 8
        np.add.at(counts, begins[begins < SLASH_24S], 1)
        found = np.cumsum(counts, dtype=np.int32) - np.int32(1)
        found[firsts[firsts & 255 != 0] >> 8] = CUT
        return found

    @cached_property
    def _known_24s(self) -> NDArray[np.uint8]:
        """Two bits for each /24: 0 no block is there, 1 all is held, 2 it is cut. The first of four is lowest."""
        known = np.append((self._numbers_4 >= 0).astype(np.uint8), np.uint8(2))
        fours = known[self._stretch_24s].reshape(-1, 4)  # CUT is the last item
        packed: NDArray[np.uint8] = np.bitwise_or.reduce(fours << np.array([0, 2, 4, 6], np.uint8), axis=1)
        return packed

    @cached_property
    def _gaps_4(self) -> tuple[NDArray[np.uint32], int]:
        """For each stretch the first address of the next gap, 0 where it is one; and the last address in a gap, or -1.

        After that address there is no gap, whatever is said here.
        """
        free, firsts = self._numbers_4 < 0, self._firsts_4.astype(np.int64)
        after = np.append(firsts[1:], MAX_ADDRESS[4] + 1)
        gaps = np.minimum.accumulate(np.where(free, firsts, MAX_ADDRESS[4])[::-1])[::-1]
        gaps[free] = 0
        return gaps.astype(np.uint32), int(after[free].max(initial=0)) - 1

    def _at_4(self, asked: NDArray[Any]) -> NDArray[np.int32]:
        found: NDArray[np.int32] = self._stretch_24s.take((asked >> np.uint32(8)).astype(np.intp), mode="wrap")
        searched = np.flatnonzero(found == CUT)
        found[searched] = self._search_4(asked[searched])
        return found

    def _search_4(self, asked: NDArray[Any]) -> NDArray[np.intp]:
        return np.searchsorted(self._firsts_4, asked, "right") - 1

    def _at_6(self, asked: NDArray[Any]) -> NDArray[np.intp]:
        """Halve what is left for all addresses at once."""
        high, low = asked[:, 0], asked[:, 1]
        begin, end = np.zeros(len(asked), np.intp), np.full(len(asked), len(self._highs_6), np.intp)
        for _ in range(len(self._highs_6).bit_length()):
            middle = (begin + end) >> 1
            # Those that are done ask for a place after the last one, and stay.
            highs, lows = self._highs_6.take(middle, mode="clip"), self._lows_6.take(middle, mode="clip")
            after = (begin < end) & ((highs < high) | ((highs == high) & (lows <= low)))
            end = np.where(after, end, middle)
            begin = np.where(after, middle + 1, begin)
        return begin - 1


def _pieces(asked: NDArray[Any], found: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield both in pieces."""
    for begin in range(0, len(asked), PIECE):
        yield asked[begin : begin + PIECE], found[begin : begin + PIECE]


def _asked(addresses: ArrayLike) -> NDArray[Any]:
    """Return addresses as an array of uint32, or for IPv6 of (n, 2) of uint64."""
    try:
        found = np.asarray(addresses)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"no array of addresses: {error}") from None
    if found.size == 0 and found.ndim == 1:
        return found.astype(np.uint32)
    if found.dtype.kind not in "ui" or found.ndim not in (1, 2) or (found.ndim == 2 and found.shape[1] != 2):
        raise UsageError(
            f"expected integers, one for an IPv4 address or (n, 2) for IPv6, got {found.dtype} of shape {found.shape}"
        )
    if found.dtype.kind == "i" and found.size and found.min() < 0:
        raise UsageError(f"{found.min()} is no address")
    if found.ndim == 2:
        return found.astype(np.uint64, copy=False)
    if found.dtype != np.uint32:
        if found.max() > MAX_ADDRESS[4]:
            raise UsageError(f"{found.max()} is no IPv4 address; IPv6 ones are an array of (n, 2)")
        return found.astype(np.uint32)
    return found


def _stretches(entries: Iterable[_Entry], family: int) -> Iterator[tuple[int, int]]:
    """Yield (first address, number or -1) of the stretches of one family, from address 0 on."""
    base = place(family, 0)
    reached, before = 0, -2
    for segment in chain(segments(entries), [None]):
        first = MAX_ADDRESS[family] + 1 if segment is None else segment.first - base
        if first > reached and before != -1:
            yield reached, -1
            before = -1
        if segment is not None:
            number = segment.over[0].number
            if number != before:
                yield first, number
                before = number
            reached = segment.last - base + 1
