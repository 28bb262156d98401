"""Packed blocks: small, one way to write each, and nothing wrong is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import BITS, MAX_ADDRESS, Range
from whoismesh.blocks import MAX_ENTRY_BYTES, Block, BlockLog, Blocks, pack_block, unpack_blocks
from whoismesh.errors import MessageError
from whoismesh.registries import REGISTRIES


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    family = draw(st.sampled_from((4, 6)))
    first = draw(st.integers(0, MAX_ADDRESS[family]))
    if draw(st.booleans()):
        found = Range.of_prefix(family, first, draw(st.integers(0, BITS[family])))
    else:
        found = Range(family, *sorted((first, draw(st.integers(0, MAX_ADDRESS[family])))))
    return Block(draw(st.sampled_from(REGISTRIES)), found)


@given(st.lists(st.none() | blocks()))
def test_what_is_packed_reads_back(found: list[Block | None]) -> None:
    packed = Blocks.of(found)
    assert list(packed) == found
    assert len(packed) == len(found)
    if found:
        assert Blocks.read(packed.packed, len(found)) == packed
    assert len(packed.packed) <= MAX_ENTRY_BYTES * len(found)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_as_what_would_be_written_or_refused(packed: bytes) -> None:
    try:
        found = list(unpack_blocks(packed))
    except MessageError:
        return
    assert b"".join(map(pack_block, found)) == packed


@pytest.mark.parametrize(
    ("where", "size"),
    [
        ("0.0.0.0/0", 1),
        ("193.0.0.0/8", 2),
        ("193.0.0.0/16", 3),
        ("193.0.0.0/21", 4),
        ("193.0.0.0/24", 4),
        ("193.0.0.8/29", 5),
        ("193.0.0.0-193.0.2.255", 9),
        ("2001:600::/32", 6),
        ("2001:600::/48", 8),
        ("2001:600::1/128", 18),
        ("2001:600::-2001:602:ffff:ffff:ffff:ffff:ffff:ffff", 33),
    ],
)
def test_an_entry_is_as_small_as_this(where: str, size: int) -> None:
    assert len(pack_block(Block("apnic", Range.parse(where)))) == size


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (bytes((181,)), "no block starts with 181"),
        (bytes((255,)), "no block starts"),
        (bytes((24, 193, 0)), "cut short"),
        (bytes((20, 193, 0, 1)), "bits set beyond"),
        (bytes((165,)), "prefix length"),
        (bytes((165, 129)) + b"\0" * 17, "prefix length"),
        (bytes((165, 32, 0x20, 1, 6)), "cut short"),
        (bytes((170, 1, 2, 3, 4, 1, 2, 3)), "cut short"),
        (bytes((170, 9, 0, 0, 0, 8, 0, 0, 0)), "mixed up"),
        (bytes((170, 8, 0, 0, 0, 8, 255, 255, 255)), "is a CIDR"),
    ],
)
def test_what_is_not_canonical_is_refused(packed: bytes, says: str) -> None:
    with pytest.raises(MessageError, match=says):
        list(unpack_blocks(packed))


@given(st.lists(st.none() | blocks(), max_size=40), st.integers(1, 9), st.integers(0, 50), st.integers(0, 40))
def test_a_log_gives_back_what_was_put_in_from_any_number_on(
    found: list[Block | None], piece: int, after: int, dropped: int
) -> None:
    log = BlockLog(piece)
    assert [log.append(each) for each in found] == list(range(1, len(found) + 1))
    dropped = min(dropped, len(found))
    log.drop(dropped)
    assert len(log) == len(found)
    after = max(after, dropped)
    read: list[Block | None] = []
    while some := log.after(after + len(read)):
        assert len(some) <= piece
        read += some
    assert read == found[after:]


def test_a_log_begins_after_what_was_dropped() -> None:
    found = [Block("arin", Range.of_prefix(4, each << 24, 8)) for each in range(10)]
    log = BlockLog(piece_entries=4, dropped=100)
    for block in found:
        log.append(block)
    assert len(log) == 110
    assert list(log.after(0)) == found[:4]
    log.drop(107)
    assert list(log.after(0)) == found[4:8], "a piece at a time"
    log.drop(10**9)
    assert list(log.after(0)) == found[8:], "what is still growing stays"
    assert len(log) == 110


def test_blocks_that_are_not_as_many_as_they_claim_are_found_out_when_they_are_read() -> None:
    two = Blocks.of([Block("arin", Range.parse("8.0.0.0/9"))] * 2).packed
    assert len(list(Blocks.read(two, 2))) == 2
    for claimed in (1, 3, 4):
        with pytest.raises(MessageError, match=f"expected {claimed} blocks, got 2"):
            list(Blocks.read(two, claimed))
    for claimed in (0, len(two) + 1):
        with pytest.raises(MessageError, match="cannot make"):
            Blocks.read(two, claimed)
