"""The statistics exchange format: rows, what is passed over, and what is wrong with lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.delegated import MAX_PROBLEMS, STATUSES, Delegation, Problems, read, write
from whoismesh.errors import ConfigError
from whoismesh.registries import REGISTRIES

FILE = """\
2|nro|20181013|6|00000000|20181013|+0000
nro|*|ipv4|*|3|summary
# a comment
iana|ZZ|ipv4|0.0.0.0|16777216|19810901|reserved|ietf|iana
apnic|AU|ipv4|1.0.0.0|768|20110811|assigned|A91872ED|e-stats

lacnic|BR|asn|173|1|20020801|allocated|A91A7381|e-stats
arin|ZZ|ipv6|2001:400::|23|00000000|available||e-stats
iana|ZZ|ipv6|2d00::|8|20200101|ianapool||iana
"""


def rows(text: str) -> list[Delegation]:
    problems = Problems("file")
    found = list(read(text.splitlines(), problems))
    problems.raise_any()
    return found


def test_rows_of_addresses_are_read_and_all_else_is_passed_over() -> None:
    assert rows(FILE) == [
        Delegation(Range.parse("0.0.0.0/8"), "iana", "", "reserved", "19810901", "ietf"),
        Delegation(Range.parse("1.0.0.0-1.0.2.255"), "apnic", "AU", "assigned", "20110811", "A91872ED"),
        Delegation(Range.parse("2001:400::/23"), "arin", "", "available", "", ""),
        Delegation(Range.parse("2d00::/8"), "iana", "", "ianapool", "20200101", ""),
    ]
    assert [row.held for row in rows(FILE)] == [False, True, False, False]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("ripe|NL|ipv4|193.0.0.0|2048|19930901|assigned|x", "unknown registry 'ripe'"),
        ("ripencc|NL|ipv4|193.0.0.0|2048|19930901|legacy|x", "unknown status 'legacy'"),
        ("ripencc|NL|ipv4|193.0.0.0|-1|19930901|assigned|x", "no count of addresses"),
        ("ripencc|NL|ipv4|255.255.255.0|257|19930901|assigned|x", "no count of addresses"),
        ("ripencc|NL|ipv4|2001:608::|32|19930901|assigned|x", "no ipv4 address"),
        ("ripencc|NL|ipv6|2001:608::1|32|19930901|assigned|x", "no IPv6 prefix"),
        ("ripencc|NL|ipv6|fe80::%eth0|64|19930901|assigned|x", "no ipv6 address"),
        ("ripencc|NL|ipv5|193.0.0.0|1|19930901|assigned|x", "the type must be"),
        ("ripencc|nl|ipv4|193.0.0.0|1|19930901|assigned|x", "no country code"),
        ("ripencc|NL|ipv4|193.0.0.0|1|1993|assigned|x", "no date"),
        ("ripencc|NL|ipv4|193.0.", "7 or more fields"),
        ("<html>", "7 or more fields"),
    ],
)
def test_a_wrong_line_is_told_with_file_and_number(line: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rows(f"{FILE}{line}\n")
    (problem,) = caught.value.problems
    assert problem.startswith("file:10: ") and complaint in problem


def test_problems_are_told_together_up_to_a_bound_and_long_words_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        rows("rip|NL|ipv4|193.0.0.0|2048|19930901|assigned|x\n" * 3)
    assert [each.partition(" ")[0] for each in caught.value.problems] == ["file:1:", "file:2:", "file:3:"]
    with pytest.raises(ConfigError) as caught:
        rows(f"{'x' * 5000}|NL|ipv4|193.0.0.0|2048|19930901|assigned|x\n" * 100)
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert all(len(each) < 250 for each in caught.value.problems)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    family = draw(st.sampled_from((4, 6)))
    first, last = sorted(draw(st.tuples(*[st.integers(0, MAX_ADDRESS[family])] * 2)))
    return Range(family, first, last)


delegations = st.builds(
    Delegation,
    ranges(),
    st.sampled_from((*REGISTRIES, "iana")),
    st.sampled_from(("", "NL", "BR")),
    st.sampled_from(sorted(STATUSES)),
    st.sampled_from(("", "20181013")),
    st.sampled_from(("", "A91872ED")),
)


@given(st.lists(delegations, max_size=20))
def test_what_is_written_reads_back(wanted: list[Delegation]) -> None:
    problems = Problems()
    found = list(read(write(wanted, "20181013"), problems))
    problems.raise_any()
    parts = [
        each._replace(range=part)
        for each in wanted
        for part in ([each.range] if each.range.family == 4 else map(Range.parse, each.range.cidrs()))
    ]
    assert found == parts


@given(st.lists(st.text(max_size=60) | st.just("ripencc|NL|ipv4|193.0.0.0|2048|19930901|assigned|x"), max_size=30))
def test_no_text_raises_anything_but_a_configuration_error(lines: list[str]) -> None:
    problems = Problems()
    try:
        for row in read(lines, problems):
            assert row.range.size > 0
        problems.raise_any()
    except ConfigError as error:
        assert error.problems
