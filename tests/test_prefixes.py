from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range, format_address
from whoismesh.errors import AddressError
from whoismesh.prefixes import PrefixTable

#: Blocks and questions lie in a window of this size at either end of a family, so that they meet.
WINDOW = 32


@st.composite
def blocks(draw: st.DrawFn) -> Range:
    family = draw(st.sampled_from((4, 6)))
    low = draw(st.sampled_from((0, MAX_ADDRESS[family] + 1 - WINDOW)))
    if draw(st.booleans()):
        bits = 32 if family == 4 else 128
        return Range.of_prefix(family, low + draw(st.integers(0, WINDOW - 1)), bits - draw(st.integers(0, 5)))
    first, last = sorted(draw(st.lists(st.integers(low, low + WINDOW - 1), min_size=2, max_size=2)))
    return Range(family, first, last)


def most_specific(known: list[Range], family: int, address: int) -> Range | None:
    """Return the smallest block that holds the address, of equal ones the later: plainly, block for block."""
    holding = [block for block in known if block.holds(family, address)]
    return min(holding, key=lambda block: (block.size, -block.first)) if holding else None


def check(known: list[Range], asked: list[Range]) -> None:
    table: PrefixTable[int] = PrefixTable()
    distinct = list(dict.fromkeys(known))
    for number, block in enumerate(known):
        assert table.add(block, number) == distinct.index(block)
    assert len(table) == len(distinct)
    assert [block for block, _ in table] == distinct
    values = dict(table)
    assert values == {block: number for number, block in enumerate(known)}
    for number, block in enumerate(distinct):
        assert table.entry(number) == (block, values[block])
        assert table.number_of(block) == number
        assert type(table.entry(number)[0]) is Range
    for block in asked:
        assert table.number_of(block) == (distinct.index(block) if block in values else None)
        assert (block in table) == (block in values)
    for family, most in MAX_ADDRESS.items():
        for address in (*range(WINDOW), *range(most + 1 - WINDOW, most + 1)):
            expected = most_specific(distinct, family, address)
            assert table.find(family, address) == expected
            assert table.holder(family, address) == (expected and (expected, values[expected]))
            assert table.get(format_address(family, address)) == (expected and values[expected])
            assert table.knows(family, address) == (expected is not None)
            assert table.number_at(family, address) == (expected and distinct.index(expected))
            assert table.next_gap(family, address) == next_free(distinct, family, address)


def next_free(known: list[Range], family: int, address: int) -> int | None:
    """Return the first address from there on that no block holds, plainly."""
    while address <= MAX_ADDRESS[family]:
        holding = most_specific(known, family, address)
        if holding is None:
            return address
        address = holding.last + 1
    return None


@given(st.lists(blocks(), max_size=12), st.lists(blocks(), max_size=4))
@example([Range(4, 0, 2), Range(4, 0, 4)], [Range(4, 0, 1), Range(4, 2, 2)])
@example([Range(4, 0, 4), Range(4, 0, 2)], [Range(4, 0, 3), Range(4, 4, 4)])
@example([Range(4, 0, 4), Range(4, 0, 3)], [Range(4, 4, 4)])
@example([Range(4, 0, 16), Range(4, 16, 31)], [Range(4, 0, 31)])
@example([Range(4, 16, 31), Range(4, 0, 16)], [Range(4, 0, 15)])
@example([Range(6, 1, 6), Range(6, 4, 9)], [Range(4, 1, 6)])
@example([Range(6, 4, 9), Range(6, 1, 6)], [])
@example([Range(4, 0, 31), Range(4, 3, 20), Range(4, 8, 11), Range(4, 19, 23), Range(4, 16, 31)], [])
def test_a_table_is_what_a_dict_and_a_linear_search_are(known: list[Range], asked: list[Range]) -> None:
    check(known, asked)


@given(st.lists(blocks(), max_size=6, unique=True), st.randoms(use_true_random=False))
def test_the_order_of_adding_does_not_matter(known: list[Range], random: object) -> None:
    shuffled = list(known)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = PrefixTable[None](), PrefixTable[None]()
    for block in known:
        one.add(block, None)
    for block in shuffled:
        other.add(block, None)
    for family, most in MAX_ADDRESS.items():
        for address in (*range(WINDOW), *range(most + 1 - WINDOW, most + 1)):
            assert one.find(family, address) == other.find(family, address)


def test_a_range_that_is_no_cidr_comes_back_whole() -> None:
    table: PrefixTable[str] = PrefixTable()
    block = Range.parse("200.3.12.0-200.3.14.255")
    table.add(block, "LACNIC")
    for address in ("200.3.12.0", "200.3.13.77", "200.3.14.255"):
        assert table.hit(address) == block
        assert table.get(address) == "LACNIC"
    for address in ("200.3.11.255", "200.3.15.0", "::200.3.12.0"):
        assert table.hit(address) is None
        assert table.get(address) is None


def test_a_known_block_takes_a_new_value() -> None:
    table: PrefixTable[str | None] = PrefixTable()
    block = Range.parse("2001:db8::/32")
    table.add(block, "old")
    table.add(block, None)
    assert len(table) == 1
    assert block in table
    assert table.get("2001:db8::1") is None
    assert table.hit("2001:db8::1") == block


def test_a_block_inside_another_is_not_the_other() -> None:
    table: PrefixTable[str] = PrefixTable()
    table.add(Range.parse("10.0.0.0/8"), "wide")
    assert Range.parse("10.0.0.0/9") not in table
    assert Range.parse("10.0.0.0/8") in table


def test_the_next_gap_is_after_all_that_is_covered() -> None:
    table: PrefixTable[None] = PrefixTable()
    table.add(Range.parse("10.0.0.0/8"), None)
    table.add(Range.parse("11.0.0.0-11.0.0.9"), None)
    assert table.next_gap(4, 10 << 24) == (11 << 24) + 10
    assert table.next_gap(4, 5) == 5
    table.add(Range.parse("11.0.0.10-255.255.255.255"), None)
    assert table.next_gap(4, 10 << 24) is None
    assert table.next_gap(6, 0) == 0


@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 1200)), min_size=1, max_size=10), st.data())
@settings(max_examples=25)
def test_what_is_known_is_so_however_blocks_cut_a_24(ends: list[tuple[int, int]], data: st.DataObject) -> None:
    table, known, base = PrefixTable[None](), set[int](), 10 << 24
    asked_after = data.draw(st.integers(0, len(ends)))
    for number, (one, other) in enumerate(ends):
        if number == asked_after:
            table.knows(4, base)
        first, last = sorted((one, other))
        table.add(Range(4, base + first, base + last), None)
        known |= set(range(first, last + 1))
    assert {each for each in range(-5, 1300) if table.knows(4, base + each)} == known


@pytest.mark.parametrize("text", ["", "10.0.0.0/8", "10.0.0.256", "nonsense", "fe80::1%eth0"])
def test_what_is_no_address_is_no_miss_but_an_error(text: str) -> None:
    table: PrefixTable[str] = PrefixTable()
    table.add(Range.parse("0.0.0.0/0"), "all")
    for ask in (table.hit, table.get):
        with pytest.raises(AddressError):
            ask(text)


@pytest.mark.parametrize("family", [4, 6])
def test_a_whole_family_is_one_block(family: int) -> None:
    table: PrefixTable[str] = PrefixTable()
    table.add(Range(family, 0, MAX_ADDRESS[family]), "all")
    assert table.find(family, MAX_ADDRESS[family]) == Range(family, 0, MAX_ADDRESS[family])
    assert table.find(10 - family, 0) is None
