"""A million addresses at once: the same answers as one by one, from a table and from a dump."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whoismesh import AddressArrays, PrefixTable, Range, UsageError
from whoismesh.addresses import BITS, MAX_ADDRESS
from whoismesh.index import open_index
from whoismesh.practice import snapshot

ROOT = Path(__file__).parent.parent
#: Blocks and questions lie in so many addresses on either side of these, so that they meet, also across /24s.
WINDOW = 300
PLACES = {4: (0, 1 << 31, MAX_ADDRESS[4]), 6: (0, 1 << 64, MAX_ADDRESS[6])}


@st.composite
def addresses(draw, family):
    middle, most = draw(st.sampled_from(PLACES[family])), MAX_ADDRESS[family]
    return min(max(middle + draw(st.integers(-WINDOW, WINDOW)), 0), most)


@st.composite
def blocks(draw):
    family = draw(st.sampled_from((4, 6)))
    if draw(st.booleans()):
        return Range.of_prefix(family, draw(addresses(family)), BITS[family] - draw(st.integers(0, BITS[family])))
    return Range(family, *sorted((draw(addresses(family)), draw(addresses(family)))))


def ipv6(asked):
    return np.array([(each >> 64, each & ((1 << 64) - 1)) for each in asked], np.uint64).reshape(-1, 2)


def or_minus_1(found):
    return [-1 if each is None else each for each in found]


@given(
    st.lists(blocks(), max_size=12),
    st.lists(addresses(4), max_size=30),
    st.lists(addresses(6), max_size=30),
)
@example([Range(4, 0, 255), Range(4, 256, 256), Range(4, 511, 767)], [0, 255, 256, 257, 510, 511, 768], [])
@example([Range(4, 0, MAX_ADDRESS[4]), Range(6, 0, MAX_ADDRESS[6])], [0, MAX_ADDRESS[4]], [0, MAX_ADDRESS[6]])
@example([Range(6, 1 << 64, (1 << 64) + 1)], [], [0, (1 << 64) - 1, 1 << 64, (1 << 64) + 1, (1 << 64) + 2])
@settings(max_examples=40)  # each fills arrays for all /24s
def test_all_at_once_is_one_by_one(known, fours, sixes):
    table = PrefixTable()
    for block in known:
        table.add(block, None)
    arrays = AddressArrays.of_table(table)
    for family, asked, given_as in ((4, fours, fours), (6, sixes, ipv6(sixes))):
        assert arrays.numbers(given_as).tolist() == or_minus_1(table.number_at(family, each) for each in asked)
        assert arrays.known(given_as).tolist() == [table.knows(family, each) for each in asked]
    assert arrays.next_gaps(fours).tolist() == or_minus_1(table.next_gap(4, each) for each in fours)


def test_a_dump_is_asked_by_its_index(tmp_path):
    dump = tmp_path / "nested.msgpack"
    assert snapshot.main([str(ROOT / "tests/fixtures/two-levels.csv.gz"), "-o", str(dump), "--levels", "2"]) == 0
    arrays = AddressArrays.of_dump(dump)
    asked = np.random.default_rng(1).integers(193 << 24, 194 << 24, 5_000)
    asked[:2_000] = np.arange(2_000) * 32 + (193 << 24 | 240 << 16)
    with open_index(dump) as index:
        assert arrays.numbers(asked).tolist() == or_minus_1(index.find(4, int(each)) for each in asked)
        six = ipv6([0x2001 << 112])
        assert arrays.numbers(six).tolist() == or_minus_1([index.find(6, 0x2001 << 112)])
    assert set(arrays.known(asked)) == {False, True}


@pytest.mark.parametrize("bad", [[-1], [1 << 32], [1.0], ["10.0.0.0"], [[1, 2, 3]], 7, [[1], [2, 3]], [1 << 70]])
def test_what_are_no_addresses_is_refused(bad):
    arrays = AddressArrays.of_table(PrefixTable())
    for ask in (arrays.numbers, arrays.known, arrays.next_gaps):
        with pytest.raises(UsageError):
            ask(bad)


def test_without_numpy_one_line_says_what_to_install():
    code = """
import sys
sys.modules["numpy"] = None
import whoismesh
try:
    whoismesh.AddressArrays
except whoismesh.UnavailableError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("not installed: pip install 'whoismesh[arrays]'\n")
