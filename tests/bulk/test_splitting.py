"""Objects out of a file, however its bytes come."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whoismesh.bulk.splitting import MAX_OBJECT_BYTES, Splitter


def split(*pieces: bytes) -> list[tuple[int, bytes | None]]:
    splitter = Splitter()
    return [each for piece in pieces for each in splitter.feed(piece)] + list(splitter.end())


def test_objects_are_parted_by_empty_lines_and_have_their_line() -> None:
    text = b"# a comment\n\n\ninetnum: a\nsource: X\n\nroute: b\n"
    assert split(text) == [(1, b"# a comment"), (4, b"inetnum: a\nsource: X"), (7, b"route: b")]
    assert split(text.replace(b"\n", b"\r\n")) == split(text)
    assert split() == split(b"") == split(b"\n\n\n\n") == []


def naive(text: bytes) -> list[tuple[int, bytes]]:
    """Return the objects by looking at one line after the other."""
    found: list[tuple[int, list[bytes]]] = []
    inside = False
    for number, line in enumerate(text.replace(b"\r\n", b"\n").split(b"\n"), 1):
        if line and not inside:
            found.append((number, []))
        if line:
            found[-1][1].append(line)
        inside = bool(line)
    return [(number, b"\n".join(lines)) for number, lines in found]


@given(
    st.lists(st.sampled_from((b"a", b"bc: d", b"\n", b"\n\n", b"\r\n", b"\r", b" ")), max_size=30).map(b"".join),
    st.data(),
)
@example(b"a\r\n\r\nb", None)
def test_where_a_piece_ends_is_no_matter(text: bytes, data: st.DataObject | None) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6))) if data else list(range(len(text) + 1))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(*pieces) == naive(text)


@pytest.mark.parametrize("piece_bytes", [1000, 100_000, 10 * MAX_OBJECT_BYTES])
def test_an_object_without_end_is_one_problem_and_takes_no_memory(piece_bytes: int) -> None:
    text = b"a: 1\n\n" + b"remarks: x\n" * (3 * MAX_OBJECT_BYTES // 11) + b"\nb: 2\n"
    pieces = [text[at : at + piece_bytes] for at in range(0, len(text), piece_bytes)]
    tracemalloc.start()
    found = split(*pieces)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    last = text.count(b"\n")
    assert found == [(1, b"a: 1"), (3, None), (last, b"b: 2")]
    assert used < 4 * max(MAX_OBJECT_BYTES, piece_bytes)
