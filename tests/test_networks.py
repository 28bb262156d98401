from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.errors import DumpError
from whoismesh.networks import Holder, Network
from whoismesh.packing import pack, unpack
from whoismesh.registries import REGISTRIES

maybe_text = st.none() | st.text(max_size=20)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    family = draw(st.sampled_from((4, 6)))
    first, last = sorted(draw(st.lists(st.integers(0, MAX_ADDRESS[family]), min_size=2, max_size=2)))
    return Network(
        registry=draw(st.sampled_from(REGISTRIES)),
        range=Range(family, first, last),
        handle=draw(maybe_text),
        name=draw(maybe_text),
        type=draw(maybe_text),
        status=tuple(draw(st.lists(st.text(max_size=10), max_size=3))),
        country=draw(maybe_text),
        parent=draw(maybe_text),
        holder=Holder(draw(maybe_text), draw(maybe_text)),
        registered=draw(maybe_text),
        changed=draw(maybe_text),
        asn=draw(st.none() | st.integers(0, 2**32 - 1)),
        asn_cidr=draw(maybe_text),
        source=draw(st.sampled_from(("rdap", "whois", "bulk"))),
        server=draw(maybe_text),
        asked=draw(maybe_text),
        fetched_at=draw(st.floats(0, 1e10)),
    )


@given(networks())
def test_a_network_reads_back_from_its_packed_record(network: Network) -> None:
    record = unpack(pack(network.to_map()))
    assert Network.from_map(record) == network
    assert record["kind"] == "network"
    assert record["cidrs"] == network.range.cidrs()


def test_a_record_with_what_it_needs_only_is_read() -> None:
    record = {"kind": "network", "registry": "arin", "first": b"\x08\0\0\0", "last": b"\x08\xff\xff\xff"}
    assert Network.from_map(record) == Network("arin", Range.parse("8.0.0.0/8"))


FULL = Network("arin", Range.parse("8.0.0.0/8"), status=("active",), asn=1, fetched_at=1.5).to_map()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("registry", None),
        ("registry", ["arin"]),
        ("registry", 1),
        ("first", None),
        ("first", "1234"),
        ("first", [8, 0, 0, 0]),
        ("first", [8, 0, 0, 300]),
        ("first", b"\x09\0\0\0"),
        ("first", 8),
        ("last", b"\x08"),
        ("last", b"\xff" * 16),
        ("name", 1),
        ("name", b"bytes"),
        ("handle", ["x"]),
        ("country", True),
        ("status", "active"),
        ("status", [1]),
        ("status", {"active": 1}),
        ("status", 5),
        ("holder", "Example"),
        ("holder", {"name": 1}),
        ("holder", ["a", "b"]),
        ("asn", "AS1"),
        ("asn", True),
        ("asn", 1.0),
        ("source", 1),
        ("fetched_at", "now"),
        ("fetched_at", [1]),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(key: str, value: Any) -> None:
    Network.from_map(FULL)
    with pytest.raises(DumpError) as caught:
        Network.from_map({**FULL, key: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["registry", "first", "last"])
def test_a_record_without_what_it_needs_is_refused(key: str) -> None:
    record = dict(FULL)
    del record[key]
    with pytest.raises(DumpError, match=key):
        Network.from_map(record)


@given(
    st.dictionaries(
        st.sampled_from(sorted(FULL)), st.none() | st.integers() | st.text() | st.binary() | st.lists(st.integers())
    )
)
def test_any_map_is_a_network_or_an_error_of_ours(changes: dict[str, Any]) -> None:
    with suppress(DumpError):
        found = Network.from_map({**FULL, **changes})
        assert Network.from_map(found.to_map()) == found


def test_a_record_of_endless_texts_is_shortened_and_keeps_its_range():
    endless = "x" * 100_000
    network = Network(
        "arin",
        Range.parse("8.0.0.0/9"),
        handle=endless,
        name=endless,
        status=(endless,) * 1_000,
        holder=Holder(None, endless),
    )
    short = network.shortened()
    assert (short.registry, short.range, short.holder.handle) == (network.registry, network.range, None)
    assert len(str(short.to_map())) < 30_000
    assert Network("arin", network.range, name="Level 3").shortened().name == "Level 3"
