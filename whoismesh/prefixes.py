"""Which known block holds an address: a Patricia trie a family, and the merged coverage of all blocks.

All of pytricia's traps are handled here and nowhere else (measured with 1.3.0): a malformed or over-long prefix is
stored as something else, host bits are kept, v4 and v6 share bits in one tree, v6 integers raise, a value of None
reads as a miss, `len()` walks the tree. So keys are canonical before they are inserted, each family has a tree
of its own, v6 keys are bytes, values are indexes into a list, and the count is kept beside.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from pytricia import PyTricia

from whoismesh.addresses import Range, format_address, parse_address
from whoismesh.rangesets import RangeSet

Value = TypeVar("Value")


class PrefixTable(Generic[Value]):
    """Blocks and what is known of each; the most specific block that holds an address wins: the smallest.

    Addresses are given as text ("193.0.6.139") or as (family, integer). A range that is not one CIDR is stored as
    the CIDRs it is made of and comes back as the whole range.

    >>> table = PrefixTable()
    >>> table.add(Range.parse("193.0.0.0/21"), "RIPE NCC")
    >>> table.get("193.0.6.139")
    'RIPE NCC'
    """

    __slots__ = ("_coverage", "_index", "_odd", "_ranges", "_trees", "_values")

    def __init__(self) -> None:
        self._trees = {4: PyTricia(32), 6: PyTricia(128)}
        self._ranges: list[Range] = []
        self._values: list[Value] = []
        self._index: dict[Range, int] = {}
        self._coverage = RangeSet()
        #: What blocks that are not one CIDR cover: only near them can blocks overlap without nesting.
        self._odd = RangeSet()

    def add(self, block: Range, value: Value) -> None:
        """Add a block, or give a known one a new value."""
        known = self._index.get(block)
        if known is not None:
            self._values[known] = value
            return
        # The tree comes last, and the count of ranges after their values: a thread that reads meanwhile finds whole
        # entries only.
        number = len(self._ranges)
        self._values.append(value)
        self._ranges.append(block)
        self._index[block] = number
        if block.is_cidr() and not self._odd.meets(block):
            ((first, length),) = block.prefixes()
            self._insert(block.family, first, length, number)
        else:
            self._insert_among_odd(block, number)
        self._coverage.add(block)

    def _insert(self, family: int, first: int, length: int, number: int) -> None:
        self._trees[family].insert(first if family == 4 else first.to_bytes(16), length, number)

    def _insert_among_odd(self, block: Range, number: int) -> None:
        """Insert a block that can overlap another without lying in it: the longest prefix is then not always right.

        The tree keeps one rule, whatever the order of adding: a prefix in it belongs to the most specific of the
        blocks that cover it. So a piece is left out where such a block covers it already, and pieces of less specific
        blocks inside it go.
        """
        tree, order = self._trees[block.family], _specificity(block)
        for first, length in block.prefixes():
            text = f"{format_address(block.family, first)}/{length}"
            above = tree.get(text)
            if above is not None and _specificity(self._ranges[above]) < order:
                continue
            self._insert(block.family, first, length, number)
            for below in tree.children(text):
                if _specificity(self._ranges[tree.get(below)]) > order:
                    tree.delete(below)
        if not block.is_cidr():
            self._odd.add(block)

    def find(self, family: int, address: int) -> Range | None:
        """Return the most specific block that holds the address, or None."""
        number = self._trees[family].get(address if family == 4 else address.to_bytes(16))
        return None if number is None else self._ranges[number]

    def hit(self, address: str) -> Range | None:
        """Return the most specific block that holds the address, or None. Raises AddressError."""
        return self.find(*parse_address(address))

    def get(self, address: str) -> Value | None:
        """Return the value of the most specific block that holds the address, or None. Raises AddressError."""
        family, number = parse_address(address)
        found = self._trees[family].get(number if family == 4 else number.to_bytes(16))
        return None if found is None else self._values[found]

    def holder(self, family: int, address: int) -> tuple[Range, Value] | None:
        """Return the most specific block that holds the address, with its value, or None."""
        found = self._trees[family].get(address if family == 4 else address.to_bytes(16))
        return None if found is None else (self._ranges[found], self._values[found])

    def entry(self, number: int) -> tuple[Range, Value]:
        """Return block and value of the entry with that number: they count from 0 in the order of adding."""
        return self._ranges[number], self._values[number]

    def next_gap(self, family: int, address: int) -> int | None:
        """Return the first address at or after `address` that no block holds, or None at the family's end."""
        return self._coverage.next_gap(family, address)

    @property
    def coverage(self) -> RangeSet:
        """What all blocks cover together. Treat it as read-only."""
        return self._coverage

    def number_of(self, block: Range) -> int | None:
        """Return the number of exactly this block, or None."""
        return self._index.get(block)

    def __contains__(self, block: Range) -> bool:
        """Tell whether exactly this block is in the table (not whether it is covered)."""
        return block in self._index

    def __len__(self) -> int:
        return len(self._ranges)

    def __iter__(self) -> Iterator[tuple[Range, Value]]:
        """Yield (block, value) in the order of adding."""
        yield from zip(self._ranges, self._values, strict=True)


def _specificity(block: Range) -> tuple[int, int]:
    """Return what sorts the most specific block first; the smaller one is, and of equal ones the later."""
    return block.size, -block.first
