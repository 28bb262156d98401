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


@given(st.lists(blocks()))
def test_what_is_packed_reads_back(found: list[Block]) -> None:
    packed = Blocks.of(found)
    assert list(packed) == found
    assert len(packed) == len(found)
    assert Blocks.read(packed.packed) == packed
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
        (bytes((180,)), "no block starts with 180"),
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
        Blocks.read(packed)


@given(st.lists(blocks(), max_size=40), st.integers(1, 9), st.integers(0, 50))
def test_a_log_gives_back_what_was_put_in_from_any_number_on(found: list[Block], piece: int, after: int) -> None:
    log = BlockLog(piece)
    assert [log.append(each) for each in found] == list(range(1, len(found) + 1))
    assert len(log) == len(found)
    read: list[Block] = []
    while some := log.after(after + len(read)):
        assert len(some) <= piece
        read += some
    assert read == found[after:]
