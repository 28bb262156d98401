"""Single values: texts, dates, codes, addresses and ranges as registries write them, servers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range, format_address
from whoismesh.answers.countries import code_of
from whoismesh.answers.ranges import read_address, read_range
from whoismesh.answers.servers import registry_of_url, registry_of_whois
from whoismesh.answers.text import MAX_VALUE_CHARS, clean, clean_list, country_code, decode, timestamp


def test_a_body_is_utf_8_as_a_whole_or_latin_1() -> None:
    assert decode("Peña".encode()) == "Peña"
    assert decode("Peña".encode("latin-1")) == "Peña"
    assert decode("Peña".encode() + b" \xd4") == "PeÃ±a Ô"


@given(st.binary())
def test_every_body_decodes(body: bytes) -> None:
    decode(body)


@given(st.text())
def test_a_cleaned_value_can_be_stored(value: str) -> None:
    cleaned = clean(value)
    if cleaned is not None:
        assert cleaned == cleaned.strip() and cleaned.encode()
        assert not {unicodedata.category(each) for each in cleaned} & {"Cc", "Cs", "Zl", "Zp"}
        assert not set(cleaned) & set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
        assert clean(cleaned) == cleaned


def test_nothing_is_dropped_from_a_name() -> None:
    for name in ("Peña Nieto & Söhne", "Łódź Sieć", "日本電信電話", "می\u200cخواهم", "Zell\u00adstoff", "\U0001fac6"):
        assert clean(name) == name
    assert clean("Rotterdam\u202eevil") == "Rotterdam evil"


def test_windows_letters_among_latin_1_are_letters() -> None:
    assert decode("“Café” – O’Neill €".encode("windows-1252")) == "“Café” – O’Neill €"
    assert decode(b"\x81\xe9") == "\x81é"
    assert decode(b"\xef\xbb\xbfinetnum: x") == "inetnum: x"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("United States", "US"),
        (" UNITED STATES ", "US"),
        ("Curaçao", "CW"),
        ("Korea, Republic of", "KR"),
        ("Virgin Islands (British)", "VG"),
        ("CA 94043", None),
        ("United", None),
        ("x" * 999, None),
        ("", None),
    ],
)
def test_countries_by_name(name: str, code: str | None) -> None:
    assert code_of(name) == code


def test_clean() -> None:
    assert clean("  a\r\n b\x00c ") == "a b c"
    assert clean("\ud800") is None
    assert clean(5) is None
    assert clean(" ") is None
    assert clean("x" * 10_000) == "x" * MAX_VALUE_CHARS
    assert clean_list(["a", None, "b", "c"], 3) == ["a", "b"]
    assert clean_list("a", 3) == ["a"]
    assert clean_list({"a": 1}, 3) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2012-02-24T09:44:34-05:00", "2012-02-24T09:44:34-05:00"),
        ("2012-02-24t09:44:34.123z", "2012-02-24T09:44:34.123Z"),
        ("2012-02-24 09:44:34Z", "2012-02-24T09:44:34Z"),
        ("2007-03-13", "2007-03-13T00:00:00Z"),
        ("20070313", "2007-03-13T00:00:00Z"),
        (" 20070313 ", "2007-03-13T00:00:00Z"),
        ("2023-02-29", None),
        ("2023-02-29T00:00:00Z", None),
        ("20071313", None),
        ("2007-0313", None),
        ("00000000", None),
        ("2012-02-24T25:44:34Z", None),
        ("2012-02-24T09:44:34", "2012-02-24T09:44:34Z"),
        ("2012-02-24T09:44:34+0000", "2012-02-24T09:44:34+00:00"),
        ("2012-02-24T09:44:34-05", None),
        ("\uff12\uff10\uff10\uff17\uff10\uff13\uff11\uff13", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (20070313, None),
    ],
)
def test_timestamps(value: object, expected: str | None) -> None:
    assert timestamp(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("us", "US"), (" NL ", "NL"), ("ZZ", "ZZ"), ("USA", None), ("1A", None), ("ßß", None), (None, None)],
)
def test_country_codes(value: object, expected: str | None) -> None:
    assert country_code(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("074.125.000.000", "74.125.0.0"),
        ("010.0.0.1", "10.0.0.1"),
        ("62.239.237.0/32", "62.239.237.0"),
        (" 1.2.3.4 ", "1.2.3.4"),
        ("2001:0240::", "2001:240::"),
        ("2001:4860:0000:0000:0000:0000:0000:FFFF", "2001:4860::ffff"),
        ("2001:db8::/128", "2001:db8::"),
    ],
)
def test_addresses(text: str, expected: str) -> None:
    found = read_address(text)
    assert found is not None
    assert format_address(*found) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.-4",
        "1.2.3.0x4",
        "0001.2.3.4",
        "1..2.3",
        "::1%eth0",
        "12345::",
        "x" * 999,
        None,
        5,
        "\u0661.\u0662.\u0663.\u0664",
    ],
)
def test_no_addresses(text: object) -> None:
    assert read_address(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("62.239.237.0 - 62.239.237.255", "62.239.237.0/24"),
        ("62.239.237.0-62.239.237.255", "62.239.237.0/24"),
        ("200.57.128/19", "200.57.128.0/19"),
        ("200.160/20", "200.160.0.0/20"),
        ("200/8", "200.0.0.0/8"),
        ("2001:0240::/32", "2001:240::/32"),
        ("8.8.8.8", "8.8.8.8/32"),
    ],
)
def test_ranges(text: str, expected: str) -> None:
    assert read_range(text) == Range.parse(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "a - b",
        "2.2.2.2 - 1.1.1.1",
        "1.1.1.1 - ::1",
        "1.2.3.4/8",
        "1.2.3.0/33",
        "1.2.3.0/",
        "1.2.3.0/-1",
        "::/129",
        "1.2.3.4.0/8",
        "1.2.3.0/1000",
        None,
    ],
)
def test_no_ranges(text: object) -> None:
    assert read_range(text) is None


BASES = {
    "https://rdap.example.net/": "arin",
    "https://rdap.example.net/lacnic": "lacnic",
    "http://127.0.0.1:4711/": "ripencc",
    "127.0.0.1:4801": "afrinic",
    "[::1]:4801": "apnic",
}


@pytest.mark.parametrize(
    ("url", "registry"),
    [
        ("https://rdap.example.net/ip/1.1.1.1", "arin"),
        ("https://rdap.example.net/lacnic/ip/1.1.1.1", "lacnic"),
        ("https://rdap.example.net/lacnic", "lacnic"),
        ("https://rdap.example.net/lacnicx/ip", "arin"),
        ("http://127.0.0.1:4711/ip", "ripencc"),
        ("http://127.0.0.1/ip", None),
        ("https://127.0.0.1:4711/ip", None),
        ("http://rdap.arin.net/anything", "arin"),
        ("https://example.org/rdap.arin.net", None),
        ("127.0.0.1:4801", None),
        ("", None),
    ],
)
def test_whose_url(url: str, registry: str | None) -> None:
    assert registry_of_url(url, BASES) == registry


def test_another_path_of_the_only_registry_at_a_place() -> None:
    assert registry_of_url("https://r.example/other", {"https://r.example/rdap/": "lacnic"}) == "lacnic"
    assert (
        registry_of_url("https://r.example/o", {"https://r.example/a": "lacnic", "https://r.example/b": "arin"}) is None
    )


@pytest.mark.parametrize(
    ("server", "registry"),
    [
        ("whois.ripe.net", "ripencc"),
        ("WHOIS.RIPE.NET.", "ripencc"),
        ("whois://whois.apnic.net:43/", "apnic"),
        ("127.0.0.1:4801", "afrinic"),
        ("whois://[::1]:4801", "apnic"),
        ("rwhois://whois.ripe.net:4321", None),
        ("https://whois.ripe.net", None),
        ("whois.example.net", None),
        ("", None),
        (None, None),
        ("x" * 9999, None),
    ],
)
def test_whose_whois_server(server: object, registry: str | None) -> None:
    assert registry_of_whois(server, BASES) == registry
