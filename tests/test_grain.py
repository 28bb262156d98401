"""How much a "not found" closes."""

from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range, parse_address
from whoismesh.grain import Grain
from whoismesh.rangesets import RangeSet


def single(text: str) -> Range:
    family, number = parse_address(text)
    return Range(family, number, number)


def test_it_closes_the_smallest_block_that_is_allocated():
    assert Grain().empty_block(single("193.0.6.139"), RangeSet()) == Range.parse("193.0.6.0/24")
    assert Grain().empty_block(single("2001:608::"), RangeSet()) == Range.parse("2001:608::/32")
    assert Grain().empty_block(single("2400:600::"), RangeSet()) == Range.parse("2400:600::/24")
    assert Grain().empty_block(single("2400:608::"), RangeSet()) == Range.parse("2400:608::/29"), (
        "and nothing before it"
    )


def test_in_a_shared_block_it_closes_the_smallest_registration():
    held = RangeSet([Range.parse("193.0.6.0/25")])
    assert Grain().empty_block(single("193.0.6.139"), held) == Range.parse("193.0.6.136/29")
    held = RangeSet([Range.parse("2001:608:1::/48")])
    assert Grain().empty_block(single("2001:608:8000::"), held) == Range.parse("2001:608:8000::/33")
    assert Grain().empty_block(single("2001:608:4000::"), held) == Range.parse("2001:608:4000::/34")
    assert Grain().empty_block(single("2001:608::"), held) == Range.parse("2001:608::/48")


def test_of_a_known_address_it_closes_no_more_than_that():
    held = RangeSet([Range.parse("193.0.6.0/24")])
    assert Grain().empty_block(single("193.0.6.139"), held) == single("193.0.6.139")


def test_a_network_that_ends_inside_a_24_makes_its_neighbourhood_fine():
    grain = Grain()
    assert grain.note(Range.parse("193.0.0.0/21")) == []
    assert grain.note(Range.parse("193.0.9.0-193.1.9.127")) == [(Range.parse("193.1.0.0/16"), 26)]
    assert grain.note(Range.parse("193.1.9.128/26")) == []
    assert grain.empty_block(single("193.1.77.139"), RangeSet()) == Range.parse("193.1.77.128/26")
    assert grain.empty_block(single("193.2.77.139"), RangeSet()) == Range.parse("193.2.77.0/24")


def test_an_ipv6_network_makes_the_bits_around_it_as_fine_as_where_it_begins():
    grain = Grain()
    assert grain.note(Range.parse("2a00:1000::/24")) == [], "where half of something begins"
    assert grain.note(Range.parse("2a00:1428::/32")) == [(Range.parse("2a00:1400::/25"), 29)]
    assert grain.note(Range.parse("2a00:1438::/32")) == [], "known by now"
    assert grain.empty_block(single("2a00:1450::"), RangeSet()) == Range.parse("2a00:1450::/29")
    assert grain.empty_block(single("2a00:1500::"), RangeSet()) == Range.parse("2a00:1500::/24")
    assert grain.note(Range.parse("2001:67c:4::/48")) == [(Range.parse("2001:67c::/42"), 46)]
    assert grain.note(Range.parse("2001:67c:1::/64")) == [(Range.parse("2001:67c::/44"), 48)]
    assert grain.empty_block(single("2001:67c:8::"), RangeSet()) == Range.parse("2001:67c:8::/48")
    assert grain.empty_block(single("2001:67c:18::"), RangeSet()) == Range.parse("2001:67c:18::/46")


@given(
    asked=st.integers(0, 2**16 - 1),
    networks=st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(1, 2_000)), max_size=20),
)
def test_it_holds_the_address_and_no_known_network(asked, networks):
    base = parse_address("193.0.0.0")[1]
    grain, held = Grain(), RangeSet()
    for first, size in networks:
        network = Range(4, base + first, base + first + size - 1)
        grain.note(network)
        held.add(network)
    where = Range(4, base + asked, base + asked)
    if not held.meets(where):
        block = grain.empty_block(where, held)
        assert block.contains(where)
        assert block.is_cidr()
        assert not held.meets(block)
        assert Range.of_prefix(4, where.first, 24).contains(block)
