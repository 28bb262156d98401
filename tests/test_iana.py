from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whoismesh import iana
from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.registries import REGISTRIES


def edges(family: int) -> list[int]:
    """Addresses at which something changes: where blocks and special-purpose ranges begin and end."""
    blocks = [block for block, _ in iana.delegations()] + list(iana.special_purpose())
    return sorted({edge for block in blocks if block.family == family for edge in (block.first, block.last)})


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    family = draw(st.sampled_from((4, 6)))
    near = st.sampled_from(edges(family)).flatmap(lambda edge: st.integers(edge - 2, edge + 2))
    addresses = st.integers(0, MAX_ADDRESS[family]) | near.map(lambda each: min(max(each, 0), MAX_ADDRESS[family]))
    first, last = sorted((draw(addresses), draw(addresses)))
    return Range(family, first, last)


@given(ranges())
@example(Range(4, 0, MAX_ADDRESS[4]))
@example(Range(6, 0, MAX_ADDRESS[6]))
def test_the_parts_of_any_range_are_in_order_and_make_it_up(space: Range) -> None:
    parts = iana.by_registry(space)
    at = space.first
    for part, registry in parts:
        assert part.family == space.family
        assert part.first == at
        assert part.last >= part.first
        assert registry is None or registry in REGISTRIES
        at = part.last + 1
    assert at == space.last + 1


@given(ranges())
def test_a_part_has_the_registry_that_holds_both_its_ends(space: Range) -> None:
    for part, registry in iana.by_registry(space):
        for address in (part.first, part.last, (part.first + part.last) // 2):
            home = iana.run_of(part.family, address)
            special = iana.special_purpose().holds(part.family, address)
            assert registry == (home[1] if home and not special else None)


@pytest.mark.parametrize("text", iana.SPECIAL_PURPOSE)
def test_special_purpose_space_belongs_to_nobody(text: str) -> None:
    block = Range.parse(text)
    assert {registry for _, registry in iana.by_registry(block)} == {None}
    assert not iana.is_plausible(block)


@pytest.mark.parametrize(
    ("address", "registry"),
    [
        ("8.8.8.8", "arin"),
        ("193.0.6.139", "ripencc"),
        ("1.1.1.1", "apnic"),
        ("200.3.14.10", "lacnic"),
        ("196.216.2.6", "afrinic"),
        ("192.175.48.1", "arin"),
        ("2620:4f:8000::6", "arin"),
        ("2001:500:4:13::80", "arin"),
        ("2001:67c:2e8:22::c100:68b", "ripencc"),
        ("2001:dc0:2001:11::211", "apnic"),
        ("2001:13c7:7002:4128::134", "lacnic"),
        ("2001:42d0::200:80:1", "afrinic"),
        ("10.0.0.1", None),
        ("255.255.255.255", None),
        ("::1", None),
        ("fe80::1", None),
        ("fc00::1", None),
        ("64:ff9b::1", None),
        ("ff02::1", None),
        ("4000::", None),
    ],
)
def test_an_address_belongs_to_the_registry_that_iana_gave_it_to(address: str, registry: str | None) -> None:
    where = Range.parse(address)
    assert iana.by_registry(where) == [(where, registry)]


@pytest.mark.parametrize(
    ("text", "plausible"),
    [
        ("0.0.0.0/0", False),
        ("::/0", False),
        ("2000::/3", False),
        ("8.0.0.0/8", True),
        ("8.0.0.0/9", True),
        ("193.0.0.0-193.0.7.255", True),
        ("193.0.0.0/32", True),
        ("192.168.0.0/16", False),
        ("192.168.1.1", False),
        ("192.160.0.0/11", False),  # holds 192.168/16
        ("192.88.98.0/23", False),  # holds the 6to4 relays
        ("40.0.0.0-41.255.255.255", False),  # across ARIN and AFRINIC
        ("1.0.0.0-2.255.255.255", False),  # across APNIC and RIPE NCC
        ("223.0.0.0-224.0.0.0", False),
        ("2001:600::/32", True),
        ("2001:db8:1::/48", False),
        ("fe80::/10", False),
    ],
)
def test_how_wide_a_network_can_be(text: str, plausible: bool) -> None:
    assert iana.is_plausible(Range.parse(text)) is plausible


def test_delegations_are_sorted_and_never_overlap() -> None:
    for (left, _), (right, _) in pairwise(iana.delegations()):
        assert left < right
        assert left.overlap(right) is None
    assert {registry for _, registry in iana.delegations()} == set(REGISTRIES)


def test_a_run_joins_neighbours_of_one_registry_only() -> None:
    for (left, left_registry), (right, right_registry) in pairwise(iana.runs()):
        touch = left.family == right.family and left.last + 1 == right.first
        assert not (touch and left_registry == right_registry)
    delegated = dict.fromkeys(REGISTRIES, 0)
    for block, registry in iana.delegations():
        delegated[registry] += block.size
        home = iana.run_of(block.family, block.first)
        assert home is not None
        assert home[0].contains(block)
        assert home[1] == registry
    joined = {registry: sum(run.size for run, of in iana.runs() if of == registry) for registry in REGISTRIES}
    assert joined == delegated


def test_most_of_ipv4_is_asked_about() -> None:
    asked = sum(part.size for part, registry in iana.by_registry(Range.parse("0.0.0.0/0")) if registry)
    assert 3.6e9 < asked < 3.75e9
