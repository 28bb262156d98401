from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.blocks import PIECE_ENTRIES, Block, Blocks
from whoismesh.checks import CRAWL_ID_BYTES, KEY_CHARACTERS, MAX_COUNT, MAX_PAYLOAD_BYTES, MAX_TEXT, Z85
from whoismesh.compounds import OWN_STATUSES, Result, Run
from whoismesh.errors import MessageError
from whoismesh.messages import (
    DIGEST_HASH_BYTES,
    MAX_FRAME_BYTES,
    MAX_SENT_BYTES,
    TYPES,
    VERSION,
    Acknowledge,
    Discovered,
    Feed,
    Leases,
    Message,
    Metrics,
    Permits,
    Renew,
    Results,
    Signal,
    Welcome,
    decode,
    encode,
    topic,
)
from whoismesh.packing import MAX_ITEMS, pack, unpack
from whoismesh.prior import Aim
from whoismesh.registries import REGISTRIES

CRAWL = bytes(range(CRAWL_ID_BYTES))

counts = st.integers(0, MAX_COUNT)
numbers = st.floats(0, MAX_COUNT, allow_nan=False)
texts = st.text(max_size=30)
registries = st.sampled_from(REGISTRIES)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    family = draw(st.sampled_from((4, 6)))
    first, last = sorted(draw(st.lists(st.integers(0, MAX_ADDRESS[family]), min_size=2, max_size=2)))
    return Range(family, first, last)


@st.composite
def results(draw: st.DrawFn) -> Result:
    found = draw(ranges())
    first = draw(st.integers(found.first, found.last))
    return Result(
        origin=draw(counts),
        sequence=draw(counts),
        registry=draw(registries),
        status=draw(texts),
        asked=Range(found.family, first, first),
        range=found,
        elsewhere=draw(st.none() | registries),
        reason=draw(texts),
        payload=draw(st.binary(max_size=30)),
    )


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a field, from its annotation: a new message is covered as soon as it is defined."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(strategy(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(strategy, inner))
    if origin is dict:
        return st.dictionaries(*(texts if each is str else strategy(each) for each in inner), max_size=3)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(strategy, inner))
    if kind is Result:
        return results()
    if kind is Blocks:
        return st.lists(st.none() | st.builds(Block, registries, ranges()), min_size=1, max_size=3).map(Blocks.of)
    if kind is Run:
        first, sealed = st.integers(1, MAX_COUNT - 2), st.none() | counts
        return st.builds(Run, origin=counts, first=first, sealed=sealed, blocks=strategy(Blocks))
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return st.builds(
            kind, **{each.name: of_field(each.name, hints[each.name]) for each in dataclasses.fields(kind)}
        )
    return {
        int: counts,
        float: numbers,
        bool: st.booleans(),
        str: texts,
        bytes: st.binary(max_size=30),
        Range: ranges(),
        Aim: st.builds(Aim, ranges(), counts),
        type(None): st.none(),
    }[kind]


def of_field(name: str, kind: Any) -> st.SearchStrategy[Any]:
    if name == "crawl":
        return st.sampled_from((b"", CRAWL))
    if name == "registry":
        return registries
    if name in ("hash", "log_hash"):
        return st.binary(min_size=DIGEST_HASH_BYTES, max_size=DIGEST_HASH_BYTES)
    if name == "key":
        return st.just("") | st.text("".join(Z85), min_size=KEY_CHARACTERS, max_size=KEY_CHARACTERS)
    if name == "unlimited":
        return st.lists(registries, max_size=3).map(tuple)
    if name == "wants":
        return st.dictionaries(registries, numbers)
    return strategy(kind)


messages = st.sampled_from(list(TYPES.values())).flatmap(strategy)


@pytest.mark.parametrize("cls", TYPES.values())
@given(data=st.data())
def test_each_type_reads_back_and_starts_with_its_topic(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(strategy(cls))
    frame = encode(message)
    assert decode(frame) == message
    assert encode(decode(frame)) == frame
    assert frame.startswith(topic(cls))
    assert [each for each in TYPES.values() if frame.startswith(topic(each))] == [cls]


def test_types_are_numbered_once_and_fit_a_byte() -> None:
    # A dataclass with slots is made twice, so by name.
    assert {cls.__name__ for cls in TYPES.values()} == {cls.__name__ for cls in Message.__subclasses__()}
    assert all(0 < number < 128 for number in TYPES)
    for cls in TYPES.values():
        assert ["crawl", *cls.CHECKS] == [each.name for each in dataclasses.fields(cls)]


def refusal(frame: bytes) -> str:
    """Return the one line that says why a frame is refused, "" where it is a message. Any other error is raised."""
    try:
        message = decode(frame)
    except MessageError as error:
        return str(error)
    assert decode(encode(message)) == message
    return ""


def assert_short(problem: str) -> None:
    assert "\n" not in problem
    assert len(problem) < 400


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_a_message_error(data: bytes) -> None:
    for frame in (data, bytes((VERSION,)) + data, *(topic(cls) + data for cls in TYPES.values())):
        assert_short(refusal(frame))


@given(messages, st.data())
def test_a_changed_frame_raises_nothing_but_a_message_error(message: Message, data: st.DataObject) -> None:
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    for damaged in (bytes(frame), bytes(frame[:cut]), bytes(frame) + b"\x00"):
        assert_short(refusal(damaged))


#: Values that fit no field, or only some.
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-1, -(2**63), 2**53 + 1, 2**64 - 1, 0, 1])
    | st.sampled_from([math.nan, math.inf, -math.inf, -0.5, 1e300])
    | st.sampled_from(["", "x" * (MAX_TEXT + 1), "arin", "\n", b"", b"x" * 17, b"\0" * 4, b"\xff" * 16]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["arin", "x", 1, None]), inner),
    max_leaves=8,
)


@given(messages, st.data())
def test_a_field_of_the_wrong_kind_raises_nothing_but_a_message_error(message: Message, data: st.DataObject) -> None:
    frame = encode(message)
    body = unpack(frame[2:])
    where = data.draw(st.integers(0, len(body) - 1))
    body[where] = data.draw(odd)
    assert_short(refusal(frame[:2] + pack(body)))


def tampered(message: Message, field: int, value: Any) -> bytes:
    """Return the frame of a message with one field (0 is the crawl's id) replaced."""
    body = unpack(encode(message)[2:])
    body[field] = value
    return encode(message)[:2] + pack(body)


RENEW = Renew(CRAWL, 3, {1: 2, 2: 1})
SIGNAL = Signal(CRAWL, 3, "arin", "limited", 1.5, "slow down")
ADDRESS = Range(4, 1, 1)
RESULT = Result(1, 1, "arin", "network", ADDRESS, Range(4, 0, 255), None, "", b"")
LOOPS: list[Any] = []
for _ in range(1_000):
    LOOPS = [LOOPS]


@pytest.mark.parametrize("value", [-1, MAX_COUNT + 1, 2**64 - 1, 1.0, True, None, "1", b"1", [], {}, math.nan])
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match=r"Renew\.origin"):
        decode(tampered(RENEW, 1, value))


@pytest.mark.parametrize("value", [-0.1, -1, math.nan, math.inf, -math.inf, 1e300, 2**64 - 1, True, None, "1", [], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match=r"Permits\.delays_s"):
        decode(tampered(Permits(CRAWL, "arin", 0.0, (), 0.0), 3, [value]))
    with pytest.raises(MessageError, match=r"Metrics\.counters"):
        decode(tampered(Metrics(CRAWL, 1, "host", {}), 3, {"lookups": value}))


@pytest.mark.parametrize("value", ["x" * (MAX_TEXT + 1), b"x", 1, None, ["x"]])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match=r"Signal\.reason"):
        decode(tampered(SIGNAL, 5, value))


@pytest.mark.parametrize("value", ["iana", "", 0, None, ["arin"], {"arin": 1}, b"arin"])
def test_what_is_no_registry_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match=r"Signal\.registry"):
        decode(tampered(SIGNAL, 2, value))


@pytest.mark.parametrize(
    "value",
    [
        [b"\2\0\0\0", b"\1\0\0\0"],
        [b"\0" * 4, b"\0" * 16],
        [b"\0" * 5, b"\0" * 5],
        [b"\0" * 4],
        ["1.2.3.4", "1.2.3.5"],
        [[0] * 4, [0] * 4],
        b"\0" * 8,
        None,
    ],
)
def test_what_is_no_range_is_refused(value: Any) -> None:
    with pytest.raises(MessageError, match=r"Leases\.grants"):
        decode(tampered(Leases(CRAWL, ()), 1, [[1, "arin", [value], False, False]]))


@pytest.mark.parametrize("value", [b"x", b"x" * 17, None, "x" * 16, 1])
def test_what_is_no_crawl_is_refused(value: Any) -> None:
    with pytest.raises(MessageError):
        decode(tampered(RENEW, 0, value))


@pytest.mark.parametrize(
    "run",
    [
        [3, 1, None, 1, "text"],
        [3, 1, None, 1, None],
        [3, 1, None, 0, b""],
        [3, 1, None, 2, b"\xb4"],
        [3, 1, None, 1, bytes(34)],
        [3, 0, None, 1, b"\xb4"],
        [3, 1, -1, 1, b"\xb4"],
        [-1, 1, None, 1, b"\xb4"],
        [3, 1, None, b"\xb4"],
        b"\xb4",
        None,
    ],
)
def test_runs_that_are_none_are_refused(run: Any) -> None:
    with pytest.raises(MessageError, match=r"Discovered\.runs"):
        decode(tampered(Discovered(CRAWL, ()), 1, [run]))


@pytest.mark.parametrize("status", OWN_STATUSES)
def test_no_worker_speaks_for_the_coordinator(status: str) -> None:
    with pytest.raises(MessageError, match="only the coordinator"):
        decode(encode(Results(CRAWL, (RESULT._replace(status=status),))))


def test_a_result_is_about_one_address_of_the_range_s_family() -> None:
    decode(encode(Results(CRAWL, (RESULT,))))
    wide = RESULT._replace(asked=Range(4, 1, 2))
    mixed = RESULT._replace(asked=Range(6, 1, 1))
    for bad in (wide, mixed):
        with pytest.raises(MessageError, match=r"Results\.results"):
            decode(encode(Results(CRAWL, (bad,))))


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        pytest.param(RENEW, 2, [0] * (MAX_ITEMS + 1), id="too long a list"),
        pytest.param(RENEW, 2, [0] * 49_999 + [-1], id="a long list with one wrong item"),
        pytest.param(RENEW, 2, LOOPS, id="deep nesting"),
        pytest.param(RENEW, 1, LOOPS, id="deep nesting for a count"),
        pytest.param(SIGNAL, 5, LOOPS, id="deep nesting for a text"),
        pytest.param(Metrics(CRAWL, 1, "", {}), 3, {str(n): 1 for n in range(1_001)}, id="too big a map"),
        pytest.param(Metrics(CRAWL, 1, "", {}), 3, {1: 1}, id="a key of the wrong kind"),
        pytest.param(Metrics(CRAWL, 1, "", {}), 3, [["lookups", 1]], id="a list for a map"),
        pytest.param(Feed(CRAWL, "status", b""), 2, b"x" * (MAX_PAYLOAD_BYTES + 1), id="too long a payload"),
        pytest.param(Feed(CRAWL, "status", b""), 2, "text", id="a text for bytes"),
        pytest.param(Acknowledge(CRAWL, 1, ()), 2, [[1, 2, 3]], id="three ends of a run"),
        pytest.param(Acknowledge(CRAWL, 1, ()), 2, [1], id="a run that is none"),
        pytest.param(Welcome(CRAWL, 1, 2, 3, 4, 1.0, (), 0.0), 6, ["arin"] * 7, id="more budgets than there are"),
    ],
)
def test_what_is_too_much_or_of_the_wrong_shape_is_refused(message: Message, field: int, value: Any) -> None:
    with pytest.raises(MessageError) as caught:
        decode(tampered(message, field, value))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"", "too short"),
        (topic(Renew), "too short"),
        (b"\x02" + encode(RENEW)[1:], "version 2"),
        (bytes((VERSION, 99)) + encode(RENEW)[2:], "no message type 99"),
        (topic(Renew) + b"\x90", "Renew has 4 fields"),
        (topic(Renew) + b"\x80", "Renew has 4 fields"),
        (topic(Renew) + b"\xc1", "not msgpack"),
        (encode(RENEW) + b"\x00", "not msgpack"),
        (topic(Renew) + b"\x91" * 100_000, "not msgpack"),
        (bytes(MAX_FRAME_BYTES + 1), "at most"),
    ],
)
def test_a_frame_that_is_none_says_why(frame: bytes, expected: str) -> None:
    with pytest.raises(MessageError, match=expected):
        decode(frame)


def test_fields_more_or_less_are_refused() -> None:
    body = unpack(encode(RENEW)[2:])
    for wrong in ([*body, 0], body[:-1]):
        with pytest.raises(MessageError, match="4 fields"):
            decode(topic(Renew) + pack(wrong))


def test_what_cannot_travel_is_not_encoded() -> None:
    with pytest.raises(TypeError, match="cannot send set"):
        encode(Renew(CRAWL, {1}, {}))  # type: ignore[arg-type]


def test_a_full_piece_is_well_under_the_longest_frame() -> None:
    blocks = (Block("afrinic", Range(6, MAX_ADDRESS[6] - 2, MAX_ADDRESS[6])),) * PIECE_ENTRIES
    frame = encode(Discovered(CRAWL, (Run(0, MAX_COUNT - PIECE_ENTRIES, None, Blocks.of(blocks)),)))
    assert len(frame) < MAX_SENT_BYTES
    assert tuple(decode(frame).runs[0].blocks) == blocks  # type: ignore[attr-defined]


def test_the_longest_payload_is_taken() -> None:
    message = Results(CRAWL, (RESULT._replace(payload=b"x" * MAX_PAYLOAD_BYTES),))
    assert decode(encode(message)) == message
