from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whoismesh.addresses import BITS, MAX_ADDRESS, Range, format_address, parse_address, parse_space
from whoismesh.errors import AddressError, ConfigError


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    family = draw(st.sampled_from((4, 6)))
    addresses = st.integers(0, MAX_ADDRESS[family]) | st.integers(0, 20).map(lambda n: MAX_ADDRESS[family] - n)
    first, last = sorted((draw(addresses), draw(addresses)))
    return Range(family, first, last)


@st.composite
def small_ranges(draw: st.DrawFn) -> Range:
    """Short ranges near both ends of a family."""
    family = draw(st.sampled_from((4, 6)))
    offset = draw(st.sampled_from((0, 256, MAX_ADDRESS[family] - 511)))
    first, last = sorted((draw(st.integers(0, 511)), draw(st.integers(0, 511))))
    return Range(family, min(offset + first, MAX_ADDRESS[family]), min(offset + last, MAX_ADDRESS[family]))


def fewest_cidrs(first: int, last: int, low: int, high: int) -> int:
    """Count the CIDRs of a range by halving the block low..high: slow, and plainly right."""
    if first > high or last < low:
        return 0
    if first <= low and high <= last:
        return 1
    middle = (low + high) // 2
    return fewest_cidrs(first, last, low, middle) + fewest_cidrs(first, last, middle + 1, high)


@given(ranges() | small_ranges())
@example(Range(4, 0, MAX_ADDRESS[4]))
@example(Range(6, 0, MAX_ADDRESS[6]))
@example(Range(6, MAX_ADDRESS[6], MAX_ADDRESS[6]))
def test_a_range_splits_into_the_fewest_cidrs_that_make_it_up(found: Range) -> None:
    at = found.first
    pieces = list(found.prefixes())
    for first, length in pieces:
        size = 1 << (BITS[found.family] - length)
        assert first == at
        assert first % size == 0
        at += size
    assert at == found.last + 1
    assert len(pieces) == fewest_cidrs(found.first, found.last, 0, MAX_ADDRESS[found.family])
    assert found.is_cidr() == (len(pieces) == 1)
    standard = ipaddress.IPv4Address if found.family == 4 else ipaddress.IPv6Address
    expected = ipaddress.summarize_address_range(standard(found.first), standard(found.last))
    assert [ipaddress.ip_network(text) for text in found.cidrs()] == list(expected)


def test_a_range_that_is_no_cidr_splits_into_the_fewest() -> None:
    assert Range.parse("200.3.12.0-200.3.15.5").cidrs() == [
        "200.3.12.0/23",
        "200.3.14.0/24",
        "200.3.15.0/30",
        "200.3.15.4/31",
    ]


@given(ranges() | small_ranges())
@example(Range(4, 0, MAX_ADDRESS[4]))
def test_the_text_and_the_bytes_of_a_range_read_back(found: Range) -> None:
    assert Range.parse(str(found)) == found
    assert Range.parse(f" {found} ") == found
    assert Range.from_bytes(found.first_bytes, found.last_bytes) == found
    assert ("-" in str(found)) == (not found.is_cidr())


@given(st.sampled_from((4, 6)), st.data())
def test_the_text_of_an_address_reads_back_and_is_the_canonical_one(family: int, data: st.DataObject) -> None:
    address = data.draw(st.integers(0, MAX_ADDRESS[family]))
    text = format_address(family, address)
    assert parse_address(text) == (family, address)
    assert text == text.lower()
    assert text == str(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4/33",
        "1.2.3.4/-1",
        "1.2.3.4/",
        "1.2.3.4/٨",
        "::/129",
        "1.2.3.4-",
        "-1.2.3.4",
        "1.2.3.4-1.2.3.3",
        "1.2.3.4-::1",
        "10.0.0.0/8-10.0.0.9",
        "fe80::1%eth0",
        "1.2.3.4%1",
        "１.2.3.4",
        "example.org",
        "1.2.3.4/24/24",
        pytest.param("1.2.3.4/" + "9" * 5_000, id="a length beyond what int() takes"),
    ],
)
def test_what_is_no_range_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        Range.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_host_bits_are_refused_and_the_right_block_is_named() -> None:
    with pytest.raises(AddressError, match=r"did you mean 193\.0\.0\.0/8"):
        Range.parse("193.1.0.0/8")


@pytest.mark.parametrize(
    ("first", "last"), [(b"", b""), (b"1234", b"1" * 16), (b"1" * 5, b"1" * 5), (b"\2\0\0\0", b"\1\0\0\0")]
)
def test_impossible_bytes_are_refused(first: bytes, last: bytes) -> None:
    with pytest.raises(AddressError):
        Range.from_bytes(first, last)


@given(small_ranges(), small_ranges())
def test_two_ranges_compare_as_their_sets_of_addresses_do(left: Range, right: Range) -> None:
    mine = {(left.family, each) for each in range(left.first, left.last + 1)}
    other = {(right.family, each) for each in range(right.first, right.last + 1)}
    common = left.overlap(right)
    assert (
        {(left.family, each) for each in range(common.first, common.last + 1)} == mine & other
        if common
        else (not mine & other)
    )
    assert left.contains(right) == (other <= mine)
    assert left.size == len(mine)
    assert left.holds(right.family, right.first) == ((right.family, right.first) in mine)


@given(ranges(), st.integers(0, 128))
def test_the_block_of_an_address_is_an_aligned_cidr_that_holds_it(found: Range, length: int) -> None:
    length = min(length, BITS[found.family])
    block = Range.of_prefix(found.family, found.first, length)
    assert block.holds(found.family, found.first)
    assert block.is_cidr()
    assert block.size == 1 << (BITS[found.family] - length)


def test_a_space_is_read_and_sorted() -> None:
    assert parse_space(["2001:600::/23", "200.3.12.0-200.3.15.255", "193.0.0.0/8"]) == (
        Range.parse("193.0.0.0/8"),
        Range.parse("200.3.12.0/22"),
        Range.parse("2001:600::/23"),
    )


def test_whole_families_have_names() -> None:
    assert parse_space([" IPv6", "ipv4"]) == (Range(4, 0, MAX_ADDRESS[4]), Range.parse("2000::/3"))


def test_every_problem_of_a_space_is_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_space(["x", "10.0.0.0/8", "10.0.0.1", "10.2.0.0/16", "::/200"])
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for named in ("'x'", "'::/200'", "'10.0.0.0/8' and '10.0.0.1' overlap", "'10.0.0.0/8' and '10.2.0.0/16' overlap"):
        assert named in problems


@pytest.mark.parametrize("texts", [["10.0.0.0/8", "10.0.0.0/8"], ["ipv4", "193.0.0.0/8"], ["ipv6", "2001:600::/23"]])
def test_an_address_named_twice_is_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        parse_space(texts)


def test_no_space_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="space is empty"):
        parse_space([])
