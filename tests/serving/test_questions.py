"""Questions: what is meant, and what is wrong with what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.serving.questions import MAX_LINE_BYTES, RdapQuery, WhoisQuery, read_rdap, read_whois


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (b"193.0.6.139", "193.0.6.139"),
        (b"  193.0.6.139 ", "193.0.6.139"),
        (b"-r 193.0.6.139", "193.0.6.139"),
        (b"-rBG 193.0.0.0/21", "193.0.0.0/21"),
        (b"-r -T inetnum 193.0.0.0 - 193.0.7.255", "193.0.0.0/21"),
        (b"-rT inetnum,inet6num -s RIPE 2001:600::/32", "2001:600::/32"),
        (b"--no-personal --resource 193.0.0.0-193.0.7.255", "193.0.0.0/21"),
        (b"-V Md5.5 193.0.6.139", "193.0.6.139"),
        (b"n + 193.0.6.139", "193.0.6.139"),
        (b"n + > 2001:600::1", "2001:600::1"),
    ],
)
def test_a_range_is_read_from_among_flags(line: bytes, asked: str) -> None:
    assert read_whois(line) == WhoisQuery(Range.parse(asked))


def test_flags_that_change_what_is_meant() -> None:
    assert read_whois(b"-x 193.0.0.0/21").exact
    assert read_whois(b"-rl 193.0.0.0/21").parents == "l"
    assert read_whois(b"-L 193.0.0.0/21").parents == "L"
    assert read_whois(b"help").help and read_whois(b"?").help


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"", 106),
        (b"-r", 106),
        (b"   ", 106),
        (b"x" * (MAX_LINE_BYTES + 1), 107),
        ("193.0.6.139é".encode(), 108),
        (b"193.0.6.139\x00", 108),
        (b"\xff\xfe", 108),
        (b"example.org", 115),
        (b"AS3333", 115),
        (b"193.0.6.300", 115),
        (b"193.0.6.139 193.0.6.140", 115),
        (b"193.0.0.0 - 2001:600::", 115),
        (b"193.0.0.1/21", 115),
        (b"GET / HTTP/1.1", 115),
    ],
)
def test_what_is_no_query_gets_its_number(line: bytes, number: int) -> None:
    query = read_whois(line)
    assert query.problem is not None and query.problem[0] == number
    assert query.asked is None


@given(st.binary(max_size=60))
def test_any_bytes_are_a_query_or_an_error(line: bytes) -> None:
    query = read_whois(line)
    assert (query.asked is not None) + (query.problem is not None) + query.help == 1


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/ip/193.0.6.139", RdapQuery(Range.parse("193.0.6.139"))),
        ("/ip/193.0.0.0/21", RdapQuery(Range.parse("193.0.0.0/21"))),
        ("/ip/2001:600::/32", RdapQuery(Range.parse("2001:600::/32"))),
        ("/help", RdapQuery()),
    ],
)
def test_paths_of_rfc_9082(path: str, query: RdapQuery) -> None:
    assert read_rdap(path) == query


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 400),
        ("/ip", 400),
        ("/ip/", 400),
        ("/ip/193.0.6.300", 400),
        ("/ip/193.0.0.1/21", 400),
        ("/ip/193.0.0.0/33", 400),
        ("/ip/193.0.0.0-193.0.0.255", 400),
        ("/ip/ 193.0.0.0", 400),
        ("/ip/fe80::1%eth0", 400),
        ("/help/more", 400),
        ("/favicon.ico", 400),
        ("/domain/example.org", 501),
        ("/autnum/3333", 501),
        ("/entity/X", 501),
        ("/ips/rirSearch1/rdap-up/193.0.0.0", 501),
    ],
)
def test_other_paths_get_their_status(path: str, status: int) -> None:
    query = read_rdap(path)
    assert (query.status, query.asked, query.help) == (status, None, False)
    assert query.problem


@given(st.text(max_size=40))
def test_any_path_is_a_query_or_an_error(path: str) -> None:
    query = read_rdap(path)
    assert (query.asked is not None) + query.help + (query.status >= 400 and bool(query.problem)) == 1
