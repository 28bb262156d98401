"""Records in a small world, in which they meet often, and dumps made of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.dump_file import header_of, write_records
from whoismesh.networks import UNHELD_KINDS, Holder, Network, Record, Unheld
from whoismesh.packing import pack
from whoismesh.segments import place

#: Where ranges begin and end: a few addresses, and the ends of both families.
NUMBERS = {family: (*range(40), *range(MAX_ADDRESS[family] - 3, MAX_ADDRESS[family] + 1)) for family in (4, 6)}
#: The places of all of them and of what lies beside.
PLACES = [place(f, each) for f in (4, 6) for each in (*range(45), *range(MAX_ADDRESS[f] - 5, MAX_ADDRESS[f] + 1))]


@st.composite
def records(draw: st.DrawFn, **fixed: Any) -> Record:
    family = draw(st.sampled_from((4, 4, 6)))
    first, last = sorted(draw(st.tuples(*(st.sampled_from(NUMBERS[family]),) * 2)))
    where = Range(family, first, last)
    if draw(st.integers(0, 3)) == 0:
        return Unheld(draw(st.sampled_from(UNHELD_KINDS)), where, draw(st.sampled_from(("", "why"))))
    return Network(
        draw(st.sampled_from(("arin", "ripencc"))),
        where,
        name=draw(st.sampled_from((None, "Élan", 'comma, "quote"\nline'))),
        country=draw(st.sampled_from((None, "NL"))),
        holder=Holder(draw(st.sampled_from((None, "ORG-1", "ORG-2"))), draw(st.sampled_from((None, "One", "Two")))),
        status=tuple(draw(st.lists(st.sampled_from(("active", "a;b")), max_size=2))),
        asn=draw(st.sampled_from((None, 0, 2**32 - 1))),
        fetched_at=draw(st.sampled_from((0.0, 1.5, 1e9))),
    )


def sorted_records(most: int = 12) -> st.SearchStrategy[list[Record]]:
    return st.lists(records(), max_size=most).map(lambda found: sorted(found, key=lambda each: each.range))


def kind_of(record: Record) -> str:
    return "network" if isinstance(record, Network) else record.kind


def write(path: Path, found: Iterable[Record], space: Iterable[str] = ("0.0.0.0/0", "::/0"), **more: Any) -> Path:
    ordered = sorted(found, key=lambda each: each.range)
    header = header_of(space, complete=True, **more)
    write_records(path, header, ((kind_of(each), pack(each.to_map())) for each in ordered))
    return path


def network(text: str, registry: str = "ripencc", **more: Any) -> Network:
    return Network(registry, Range.parse(text), **more)


def answer(found: list[Record], where: Range) -> Record | None:
    """Return what a lookup of an address would: the smallest record, of equal ones the later."""
    holding = [(each.range.size, -n, each) for n, each in enumerate(found) if each.range.contains(where)]
    return min(holding, key=lambda each: each[:2])[2] if holding else None
