from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.packing import MAX_ITEMS, CutShortError, NotPackedError, pack, unpack, unpack_stream

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_plain_values_read_back(value: Any) -> None:
    assert unpack(pack(value)) == value


@given(st.lists(plain, max_size=8), st.integers(1, 200))
def test_a_stream_reads_back_however_it_is_cut_into_reads(values: list[Any], read_bytes: int) -> None:
    records = [pack(value) for value in values]
    found = list(unpack_stream(io.BytesIO(b"".join(records)), read_bytes))
    assert [value for value, _ in found] == values
    assert [ends for _, ends in found] == [sum(map(len, records[: n + 1])) for n in range(len(records))]


@given(st.lists(plain, min_size=1, max_size=5), st.data())
def test_a_stream_that_is_cut_short_says_how_far_it_was_whole(values: list[Any], data: st.DataObject) -> None:
    records = [pack(value) for value in values]
    cut = data.draw(st.integers(0, len(records[-1]) - 1))
    stream = b"".join(records[:-1]) + records[-1][:cut]
    found = []
    if cut:
        with pytest.raises(CutShortError) as caught:
            found.extend(unpack_stream(io.BytesIO(stream)))
        assert caught.value.records == len(values) - 1
        assert caught.value.bytes_read == len(stream) - cut
    else:
        found.extend(unpack_stream(io.BytesIO(stream)))
        assert [value for value, _ in found] == values[:-1]


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_values_or_an_error_of_ours(data: bytes) -> None:
    with suppress(NotPackedError):
        unpack(data)
    with suppress(NotPackedError, CutShortError):
        list(unpack_stream(io.BytesIO(data), 64))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01\x02", id="two values"),
        pytest.param(b"\xc1", id="the byte that is never used"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="a list of 4 thousand millions"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="a map of 4 thousand millions"),
        pytest.param(b"\xdc" + (MAX_ITEMS + 1).to_bytes(2) + bytes(MAX_ITEMS + 1), id="a list of one too many"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="4 thousand millions of bytes"),
        pytest.param(b"\xdb\xff\xff\xff\xff", id="a text as long"),
        pytest.param(b"\xa2\xff\xfe", id="a text that is no UTF-8"),
        pytest.param(b"\x91" * 100_000, id="deep nesting"),
        pytest.param(b"\x81\x90\x01", id="a list for a key"),
        pytest.param(b"\xd6\xff\x00\x00\x00", id="half a timestamp"),
        pytest.param(b"\xc7\x02\xff\x00\x00", id="a timestamp of a length there is not"),
    ],
)
def test_forged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NotPackedError) as caught:
        unpack(data)
    assert str(caught.value)
    stream = unpack_stream(io.BytesIO(data + b"\xc1" * 20))
    with pytest.raises((NotPackedError, CutShortError)):
        list(stream)


def test_a_record_longer_than_any_is_refused_and_not_collected() -> None:
    endless = b"\xdc\xc3\x50" + pack("x" * 1_000) * 4_000  # a list of 50,000 texts, the first 4,000 of them
    with pytest.raises(NotPackedError):
        list(unpack_stream(io.BytesIO(endless), 4_096))
    with pytest.raises(NotPackedError):
        list(unpack_stream(io.BytesIO(endless)))


def test_what_msgpack_does_not_know_goes_through_default() -> None:
    assert unpack(pack([{1}], sorted)) == [[1]]
    with pytest.raises(TypeError):
        pack([{1}])
