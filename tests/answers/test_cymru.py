"""Team Cymru's bulk answers, by exact text and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range, parse_address
from whoismesh.answers.cymru import MAX_ASN, NOBODY, Origin, bulk_query, read_bulk
from whoismesh.answers.text import MAX_BODY_BYTES

ASKED = tuple(map(parse_address, ("68.22.187.5", "207.229.165.18", "10.0.0.1", "2001:4860:4860::8888")))
ANSWER = b"""\
Bulk mode; whois.cymru.com [2026-06-17 17:51:43 +0000]
23028   | 68.22.187.5      | 68.22.187.0/24      | US | arin     | 2002-03-15 | TEAM-CYMRU, US
6079    | 207.229.165.18   | 207.229.128.0/18    | US | arin     | 1998-07-02 | RCN-AS, US
NA      | 10.0.0.1         | NA                  |    | other    |            | NA
15169   | 2001:4860:4860::8888                     | 2001:4860::/32      | US | arin     | 2005-03-14 | GOOGLE, US
"""


def read(*rows: str, asked: str = "68.22.187.5", end: str = "\n") -> Origin | None:
    address = parse_address(asked)
    found = read_bulk(("Bulk mode; whois.cymru.com\n" + "\n".join(rows) + end).encode("latin-1"), [address])
    assert found.keys() <= {address}
    return found.get(address)


def row(asn: object, prefix: str, asked: str = "68.22.187.5") -> str:
    return f"{asn:<7} | {asked:<16} | {prefix:<19} | US | arin     | 2002-03-15 | NAME, US"


def test_a_query_is_as_the_netcat_interface_wants_it() -> None:
    assert bulk_query(ASKED) == b"begin\nverbose\n68.22.187.5\n207.229.165.18\n10.0.0.1\n2001:4860:4860::8888\nend\n"


def test_an_answer_tells_of_each_address_and_of_those_that_nobody_announces() -> None:
    assert read_bulk(ANSWER, ASKED) == {
        ASKED[0]: Origin(23028, "68.22.187.0/24"),
        ASKED[1]: Origin(6079, "207.229.128.0/18"),
        ASKED[2]: NOBODY,
        ASKED[3]: Origin(15169, "2001:4860::/32"),
    }
    assert read_bulk(ANSWER.replace(b"\n", b"\r\n"), ASKED) == read_bulk(ANSWER, ASKED)
    header = b"AS      | IP               | BGP Prefix          | CC | Registry | Allocated  | AS Name\n"
    assert read_bulk(header + ANSWER, ASKED) == read_bulk(ANSWER, ASKED)


def test_rows_come_in_any_order_and_addresses_in_any_spelling() -> None:
    shuffled = b"\n".join(sorted(ANSWER.strip().split(b"\n"), reverse=True)) + b"\n"
    assert read_bulk(shuffled, ASKED) == read_bulk(ANSWER, ASKED)
    spelled = ANSWER.replace(b"2001:4860:4860::8888", b"2001:4860:4860:0:0:0:0:8888")
    assert read_bulk(spelled, ASKED) == read_bulk(ANSWER, ASKED)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("23028 | {} | 68.22.187.0/24", "4 | {} | 68.22.0.0/16"), Origin(23028, "68.22.187.0/24")),
        (("23028 | {} | 68.22.187.0/24", "4 | {} | 68.22.187.0/24"), Origin(4, "68.22.187.0/24")),
        (("23028 4 7018 | {} | 68.22.187.0/24",), Origin(4, "68.22.187.0/24")),
        (("NA | {} | NA", "4 | {} | 68.22.0.0/16"), Origin(4, "68.22.0.0/16")),
    ],
)
def test_of_several_origins_the_longest_prefix_and_the_lowest_number_count(
    rows: tuple[str, ...], expected: Origin
) -> None:
    filled = [each.format("68.22.187.5") + " | US | arin | | X" for each in rows]
    assert read(*filled) == read(*reversed(filled)) == expected


@pytest.mark.parametrize(
    "bad",
    [
        row("AS23028", "68.22.187.0/24"),
        row(0, "68.22.187.0/24"),
        row(MAX_ASN + 1, "68.22.187.0/24"),
        row("-4", "68.22.187.0/24"),
        row("\u0664", "68.22.187.0/24").encode("utf-8").decode("latin-1"),
        row(4, "68.22.188.0/24"),
        row(4, "68.22.187.5/24"),
        row(4, "68.22.187.0-68.22.187.6"),
        row(4, "0.0.0.0/0"),
        row(4, "68.22.187.0/33"),
        row(4, "2001:4860::/32"),
        row(4, "68.22.187.0/24", "68.22.187.6"),
        row(4, "68.22.187.0/24", "68.22.187"),
        row("4" * 5000, "68.22.187.0/24"),
        "4 | 68.22.187.5",
        "||||||",
        "Error: no ASN or IP match on line 3.",
        "<html><body>Sorry | 68.22.187.5 | 68.22.187.0/24</body></html>",
    ],
)
def test_what_is_no_row_tells_nothing(bad: str) -> None:
    assert read(bad) is None
    assert read(bad, row(23028, "68.22.187.0/24")) == Origin(23028, "68.22.187.0/24")


def test_a_default_route_is_nobodys_origin_in_either_family() -> None:
    assert read("4 | 2001:4860::1 | ::/0 | US", asked="2001:4860::1") is None


def test_a_last_line_without_its_end_is_not_believed() -> None:
    assert read(row(4, "68.22.0.0/16")[:40], end="") is None
    for cut in range(len(ANSWER)):
        found = read_bulk(ANSWER[:cut], ASKED)
        assert found.items() <= read_bulk(ANSWER, ASKED).items()


def test_no_more_is_read_than_an_answer_may_have() -> None:
    assert read(*["x" * 999] * (MAX_BODY_BYTES // 1000 + 1), row(4, "68.22.0.0/16")) is None


LINES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from(ANSWER.split(b"\n")),
        st.builds(
            lambda *parts: b" | ".join(parts),
            st.sampled_from((b"NA", b"1", b"4294967295", b"", b"1 2", b"x")),
            st.sampled_from((b"68.22.187.5", b"10.0.0.1", b"::", b"2001:4860:4860::8888", b"1.2.3")),
            st.sampled_from((b"68.22.187.0/24", b"NA", b"0.0.0.0/0", b"2001:4860::/32", b"/", b"10.0.0.0/8")),
            st.binary(max_size=8),
        ),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_comes_an_origin_holds_its_address(lines: list[bytes]) -> None:
    for address, origin in read_bulk(b"\n".join(lines) + b"\n", ASKED).items():
        assert address in ASKED
        if origin != NOBODY:
            assert origin.asn is not None
            assert origin.cidr is not None
            assert 0 < origin.asn <= MAX_ASN
            assert Range.parse(origin.cidr).holds(*address)
