"""Which known block holds an address: a Patricia trie a family, and the merged coverage of all blocks.

All of pytricia's traps are handled here and nowhere else (measured with 1.3.0): a malformed or over-long prefix is
stored as something else, host bits are kept, v4 and v6 share bits in one tree, v6 integers raise, a value of None
reads as a miss, `len()` walks the tree. So keys are canonical before they are inserted, each family has a tree
of its own, v6 keys are bytes, values are numbers of entries, and the count is kept beside. A prefix as a key is a
tuple of bytes and length, in and (with raw output) out.

A replica can hold millions of blocks, so an entry has no object of its own but the tree's number of it: a code and a
word in arrays say which block it is, and the tree says which number a block has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from pytricia import PyTricia

from whoismesh.addresses import BITS, MAX_ADDRESS, Range, parse_address
from whoismesh.columns import WideColumn, narrow_column
from whoismesh.rangesets import RangeSet

Value = TypeVar("Value")

#: Blocks are added to the coverage together, so many at once at the most: half a millisecond of work.
PENDING_BLOCKS = 256

#: A code is the prefix length of an IPv4 block; of an IPv6 block it begins here, and this is a block that is no CIDR.
CODE_6, ODD = 64, 255

#: How much of a /24 is covered, and how many there are.
NOTHING, WHOLE, PART = range(3)
SLASH_24S = 1 << 24

#: AF_INET (of which a tree makes nothing), and that a tree gives prefixes out as bytes and length.
_RAW_OUTPUT = 2, True
#: The host bits of a block, by its prefix length.
_HOSTS_4 = [MAX_ADDRESS[4] >> length for length in range(33)]
_HOSTS_6 = [MAX_ADDRESS[6] >> length for length in range(129)]
#: Makes a Range in half the time of calling it.
_new = tuple.__new__


class PrefixTable(Generic[Value]):
    """Blocks and what is known of each; the most specific block that holds an address wins: the smallest.

    Addresses are given as text ("193.0.6.139") or as (family, integer). A range that is not one CIDR is stored as
    the CIDRs it is made of and comes back as the whole range.

    >>> table = PrefixTable()
    >>> table.add(Range.parse("193.0.0.0/21"), "RIPE NCC")
    0
    >>> table.get("193.0.6.139")
    'RIPE NCC'
    """

    __slots__ = (
        "_codes",
        "_coverage",
        "_get_4",
        "_get_6",
        "_odd",
        "_odd_numbers",
        "_odd_ranges",
        "_pending",
        "_trees",
        "_slash_24s",
        "_values",
        "_wide_firsts",
        "_words",
    )

    def __init__(self) -> None:
        self._trees = {4: PyTricia(32, *_RAW_OUTPUT), 6: PyTricia(128, *_RAW_OUTPUT)}
        self._get_4, self._get_6 = self._trees[4].get, self._trees[6].get
        # An entry is a code (see `_code`), a word and a value. The word is the first address of an IPv4 block, and for
        # others where it is: in `_wide_firsts`, or in `_odd_ranges` if the block is not one CIDR.
        self._codes = bytearray()
        self._words = narrow_column()
        self._values: list[Value] = []
        self._wide_firsts = WideColumn()
        self._odd_ranges: list[Range] = []
        self._odd_numbers: dict[Range, int] = {}
        # Blocks that are not in `_coverage` yet: together and in order they are added faster than one by one.
        self._coverage = RangeSet()
        self._pending: list[Range] = []
        # A byte for each /24 (NOTHING, WHOLE or PART of it is covered), made when `knows` is first asked.
        self._slash_24s = bytearray()
        #: What blocks that are not one CIDR cover: only near them can blocks overlap without nesting.
        self._odd = RangeSet()

    def add(self, block: Range, value: Value) -> int:
        """Add a block, or give a known one a new value. Return its number: they count from 0 in the order of adding."""
        number = self.number_of(block)
        if number is not None:
            self._values[number] = value
            return number
        return self.append(block, value)

    def append(self, block: Range, value: Value) -> int:
        """Add a block that is known not to be in the table; return its number."""
        code = _code(block)
        # The value is what makes the entry count and comes after what it is made of, and the tree comes last: a thread
        # that reads meanwhile finds whole entries only.
        number = len(self._values)
        if code == ODD:
            self._words.append(len(self._odd_ranges))
            self._odd_ranges.append(block)
            self._odd_numbers[block] = number
        elif block.family == 4:
            self._words.append(block.first)
        else:
            self._words.append(len(self._wide_firsts))
            self._wide_firsts.append(block.first)
        self._codes.append(code)
        self._values.append(value)
        if code == ODD or (self._odd_ranges and self._odd.meets(block)):
            self._insert_among_odd(block, number)
        else:
            self._trees[block.family].insert(_prefix(block, code), number)
        self._pending.append(block)
        if len(self._pending) >= PENDING_BLOCKS:
            self._cover()
        return number

    def _cover(self) -> None:
        """Add what is pending to the coverage, neighbours as one."""
        pending, self._pending = self._pending, []
        pending.sort()
        joined = pending[0]
        for block in pending[1:]:
            if block.family == joined.family and block.first <= joined.last + 1:
                if block.last > joined.last:
                    joined = _new(Range, (joined.family, joined.first, block.last))
            else:
                self._cover_one(joined)
                joined = block
        self._cover_one(joined)

    def _cover_one(self, joined: Range) -> None:
        self._coverage.add(joined)
        if self._slash_24s and joined.family == 4:
            self._mark(joined.first, joined.last)

    def _mark(self, first: int, last: int) -> None:
        """Mark the /24s that a covered range lies in."""
        marks, begin, end = self._slash_24s, (first + 255) >> 8, (last + 1) >> 8
        if begin < end:
            marks[begin:end] = bytes((WHOLE,)) * (end - begin)
        for cut in {first >> 8, last >> 8}:
            if marks[cut] != WHOLE:
                marks[cut] = WHOLE if self._coverage.covers(Range(4, cut << 8, cut << 8 | 255)) else PART

    def _insert_among_odd(self, block: Range, number: int) -> None:
        """Insert a block that can overlap another without lying in it: the longest prefix is then not always right.

        The tree keeps one rule, whatever the order of adding: a prefix in it belongs to the most specific of the
        blocks that cover it. So a piece is left out where such a block covers it already, and pieces of less specific
        blocks inside it go. A block that is one CIDR is always there as it is, because what covers it is larger.
        """
        tree, order = self._trees[block.family], _specificity(block)
        for first, length in block.prefixes():
            prefix = first.to_bytes(BITS[block.family] // 8), length
            above = tree.get(prefix)
            if above is not None and _specificity(self._block(above)) < order:
                continue
            tree.insert(prefix, number)
            for below in tree.children(prefix):
                if _specificity(self._block(tree.get(below))) > order:
                    tree.delete(below)
        if not block.is_cidr():
            self._odd.add(block)

    def number_of(self, block: Range) -> int | None:
        """Return the number of exactly this block, or None if it is not in the table (even if it is covered)."""
        # Written out, not by `_code` and `_prefix`: a replica asks for every block that it hears of.
        family, first, last = block
        hosts = first ^ last
        if hosts & (hosts + 1) or first & hosts:
            return self._odd_numbers.get(block)
        number: int | None
        if family == 4:
            code = 32 - hosts.bit_length()
            number = self._trees[4].get((first.to_bytes(4), code))
        else:
            length = 128 - hosts.bit_length()
            code, number = CODE_6 + length, self._trees[6].get((first.to_bytes(16), length))
        # What the tree knows of this prefix or of one around it: the block itself only if it is as long.
        return number if number is not None and self._codes[number] == code else None

    def _block(self, number: int) -> Range:
        code, word = self._codes[number], self._words[number]
        if code <= 32:
            return _new(Range, (4, word, word | _HOSTS_4[code]))
        if code == ODD:
            return self._odd_ranges[word]
        first = self._wide_firsts[word]
        return _new(Range, (6, first, first | _HOSTS_6[code - CODE_6]))

    def knows(self, family: int, address: int) -> bool:
        """Tell whether any block holds the address: a third of the time of asking which one, for 16 MiB."""
        if self._pending:
            self._cover()
        if family == 4:
            try:
                mark = self._slash_24s[address >> 8]
            except IndexError:
                self._slash_24s = bytearray(SLASH_24S)
                for covered in self._coverage.present(Range(4, 0, MAX_ADDRESS[4])):
                    self._mark(covered.first, covered.last)
                return self._coverage.holds(4, address)
            if mark != PART:
                return mark == WHOLE
        return self._coverage.holds(family, address)

    def number_at(self, family: int, address: int) -> int | None:
        """Return the number of the most specific block that holds the address, or None."""
        number: int | None = self._get_4(address) if family == 4 else self._get_6(address.to_bytes(16))
        return number

    def find(self, family: int, address: int) -> Range | None:
        """Return the most specific block that holds the address, or None."""
        number: int | None
        if family != 4:
            number = self.number_at(family, address)
            return None if number is None else self._block(number)
        # Written out: half of the time of a hit is what comes after the tree.
        number = self._get_4(address)
        if number is None:
            return None
        code = self._codes[number]
        if code == ODD:
            return self._odd_ranges[self._words[number]]
        hosts = _HOSTS_4[code]
        last = address | hosts
        block: Range = _new(Range, (4, last ^ hosts, last))
        return block

    def hit(self, address: str) -> Range | None:
        """Return the most specific block that holds the address, or None. Raises AddressError."""
        return self.find(*parse_address(address))

    def get(self, address: str) -> Value | None:
        """Return the value of the most specific block that holds the address, or None. Raises AddressError."""
        found = self.number_at(*parse_address(address))
        return None if found is None else self._values[found]

    def holder(self, family: int, address: int) -> tuple[Range, Value] | None:
        """Return the most specific block that holds the address, with its value, or None."""
        number = self._get_4(address) if family == 4 else self._get_6(address.to_bytes(16))
        return None if number is None else (self._block(number), self._values[number])

    def entry(self, number: int) -> tuple[Range, Value]:
        """Return block and value of the entry with that number: they count from 0 in the order of adding."""
        return self._block(number), self._values[number]

    def next_gap(self, family: int, address: int) -> int | None:
        """Return the first address at or after `address` that no block holds, or None at the family's end."""
        return self.coverage.next_gap(family, address)

    @property
    def coverage(self) -> RangeSet:
        """What all blocks cover together, as of now. Treat it as read-only."""
        if self._pending:
            self._cover()
        return self._coverage

    def __contains__(self, block: Range) -> bool:
        """Tell whether exactly this block is in the table (not whether it is covered)."""
        return self.number_of(block) is not None

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[tuple[Range, Value]]:
        """Yield (block, value) in the order of adding."""
        yield from map(self.entry, range(len(self)))


def _specificity(block: Range) -> tuple[int, int]:
    """Return what sorts the most specific block first; the smaller one is, and of equal ones the later."""
    return block.size, -block.first


def _code(block: Range) -> int:
    """Return family and prefix length of a block in one byte, or ODD."""
    family, first, last = block
    hosts = first ^ last
    if hosts & (hosts + 1) or first & hosts:
        return ODD
    return 32 - hosts.bit_length() if family == 4 else CODE_6 + 128 - hosts.bit_length()


def _prefix(block: Range, code: int) -> tuple[bytes, int]:
    """Return a block that is one CIDR as the key of its tree."""
    return (block.first.to_bytes(4), code) if code <= 32 else (block.first.to_bytes(16), code - CODE_6)
