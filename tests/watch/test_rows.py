"""Rows of the map: packed as the page takes them, only ever more, and bounded."""

from __future__ import annotations

from whoismesh.addresses import Range
from whoismesh.compounds import Result
from whoismesh.dashboard.rows import FAILED, NETWORK, ROW, ROWS_A_PIECE, UNALLOCATED, Label, Rows, found
from whoismesh.history import KnownBlock
from whoismesh.networks import Holder, Network

FOUR = KnownBlock(Range.parse("193.0.0.0/21"), "ripencc")
SIX = KnownBlock(Range.parse("2001:67c:2e8::/48"), "apnic")


def unpacked(rows, after=0):
    return [*ROW.iter_unpack(rows.after(after))]


def test_rows_are_what_was_added_in_order():
    rows = Rows()
    details = Network("ripencc", FOUR.range, "H\n1", "NET", country="nl", holder=Holder("O", "Org"), fetched_at=1e9)
    rows.add_block(FOUR, details)
    rows.add_block(SIX, None)
    for status in ("unallocated", "failed", "malformed", "elsewhere", "\x00"):
        address = Range.parse("10.1.2.3")
        rows.add_result(Result(1, 1, "arin", status, address, address, None, "", b""), 5.0)
    assert unpacked(rows) == [
        (0xC1000000, 0xC10007FF, 10**9, 1, NETWORK, b"NL"),
        (0x2001067C, 0x2001067C, 0, 2 + 128, NETWORK, b"\0\0"),
        (0x0A010200, 0x0A0102FF, 5, 0, UNALLOCATED, b"\0\0"),
        (0x0A010200, 0x0A0102FF, 5, 0, FAILED, b"\0\0"),
        (0x0A010200, 0x0A0102FF, 5, 0, FAILED, b"\0\0"),
    ]
    assert unpacked(rows, after=4) == unpacked(rows)[4:]
    assert rows.after(5) == rows.after(10**9) == b""
    assert rows.label(0) == Label("NET", "Org", "H 1", "NL")
    assert rows.label(1) == rows.label(7) == Label()
    assert [*rows.search("oRG")] == [0]
    assert [*rows.search("nobody")] == []
    told = found(0, FOUR, rows.label(0))
    assert (told["range"], told["first"], told["holder"]) == ("193.0.0.0/21", 0xC1000000, "Org")


def test_a_country_that_is_none_and_a_time_that_is_none_are_left_out():
    rows = Rows()
    for country, at in (("<b>", -1.0), ("EU1", 1e99), ("ß", float("inf")), ("A\n", 0.0)):
        rows.add_block(FOUR, Network("ripencc", FOUR.range, country=country, fetched_at=at))
    assert {row[2:] for row in unpacked(rows)} == {(0, 1, NETWORK, b"\0\0")}


def test_rows_are_bounded_and_what_is_too_much_is_counted():
    rows = Rows(most=2)
    for number in range(5):
        rows.add_block(FOUR, Network("ripencc", FOUR.range, name=f"N{number}"))
    assert (len(rows), rows.dropped) == (2, 3)
    assert [rows.label(number).name for number in range(5)] == ["N0", "N1", "", "", ""]


def test_an_answer_is_a_piece():
    rows = Rows()
    for _ in range(ROWS_A_PIECE + 1):
        rows.add_block(FOUR, None)
    assert len(rows.after(0)) == ROWS_A_PIECE * ROW.size
    assert len(rows.after(ROWS_A_PIECE)) == ROW.size
