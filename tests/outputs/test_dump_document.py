"""docs/dump.md has every key that a dump has, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from small_dumps import network, write

from whoismesh.addresses import Range
from whoismesh.dump import FORMAT, VERSION
from whoismesh.networks import COMPARED_FIELDS, UNHELD_KINDS, Unheld
from whoismesh.packing import unpack_stream
from whoismesh.registries import REGISTRIES

PAGE = (Path(__file__).parent.parent.parent / "docs" / "dump.md").read_text("utf-8")
#: What a type of the page is here. A bin has as many bytes as it says.
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (float,), "bool": (bool,), "nil": (type(None),), "map": (dict,),
    "[str]": (list,), "bin(4)": (bytes,), "bin(16)": (bytes,),
}  # fmt: skip


def keys(section: str) -> dict[str, str]:
    """Return the keys of a table, each with its type."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", text, re.MULTILINE)
    return {key: kind for names, kind in rows for key in re.findall(r"`(\w+)`", names)}


def agrees(record: dict[str, Any], section: str, left_out: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    told = keys(section)
    assert set(record) == set(told) - left_out
    for key, value in record.items():
        allowed = [each for name in told[key].split(" or ") for each in TYPES[name]]
        assert type(value) in allowed, key
        if isinstance(value, bytes):
            assert f"bin({len(value)})" in told[key]


def test_the_page_has_the_keys_and_types_of_every_record(tmp_path: Path, make_state: Any, make_result: Any) -> None:
    from whoismesh.dump_writer import write_dump

    make_state(tmp_path, ["193.0.0.0/24"], [make_result(1, "network", "193.0.0.0/24", name="A")])
    write_dump(tmp_path, tmp_path / "crawled")
    other = network("193.0.0.0/25", source="whois")
    full = network("193.0.0.0/24", asn=1, status=("active",), also=other, differs=("range",), fetched_at=1.0)
    nobody = Unheld("unallocated", Range.parse("::/8"), "", "delegated")
    path = write(tmp_path / "dump", [full, nobody, network("2001:600::/32")])
    with open(tmp_path / "crawled", "rb") as crawled, open(path, "rb") as file:
        header, plain, _ = (each for each, _ in unpack_stream(crawled))
        _, found, unheld, _, footer = (each for each, _ in unpack_stream(file))
    agrees(header, "Header")
    agrees(plain, "Network", {"also", "differs"})
    agrees(found, "Network")
    agrees(found["also"], "Network", {"also", "differs"})
    agrees(unheld, "A range that nobody holds")
    agrees(footer, "Footer")


def test_the_page_has_the_words_of_closed_sets() -> None:
    assert f'"{FORMAT}"' in PAGE and f"| {VERSION} |" in PAGE
    for word in (*REGISTRIES, *UNHELD_KINDS):
        assert f'"{word}"' in PAGE
    assert f"in which of {', '.join(f'`{each}`' for each in COMPARED_FIELDS)} the two differ" in PAGE
