"""Pictures: what the pixels of a small snapshot are, that both kinds of file show the same, and hostile names."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.hilbert import Box, Grid
from whoismesh.maps import looks, png
from whoismesh.maps.cells import Run
from whoismesh.maps.drawing import LETTER_WIDTH, MOST_LETTERS, Drawing, ascii_only, label_text, plain
from whoismesh.maps.layers import Entry
from whoismesh.maps.looks import Look, channels
from whoismesh.maps.making import draw, draw_changes, smallest_block
from whoismesh.maps.svg import svg
from whoismesh.networks import Holder, Network, Record, Unheld

SVG = "{http://www.w3.org/2000/svg}"
BLOCK = Range.parse("193.0.0.0/24")


def network(text: str, registry: str = "ripencc", **more: object) -> Network:
    return Network(registry, Range.parse(text), **more)  # type: ignore[arg-type]


def unheld(kind: str, text: str, source: str = "") -> Unheld:
    return Unheld(kind, Range.parse(text), "", source)


RECORDS: list[Record] = [
    network("192.0.0.0/16", "arin"),  # beyond the map
    network("193.0.0.0/25", "ripencc", country="nl", registered="1989-12-31T00:00:00Z"),
    network("193.0.0.16/28", "arin", country="US", registered="2021", source="whois"),
    unheld("unallocated", "193.0.0.128/27"),
    unheld("unallocated", "193.0.0.160/27", "delegated"),
    unheld("reserved", "193.0.0.192/28"),
    unheld("failed", "193.0.0.208/28"),
    network("193.0.0.224-193.0.0.229", "apnic", registered="no date", source="bulk"),
    network("194.0.0.0/16", "lacnic"),
    network("2001:600::/23", "afrinic"),
]


def seen(drawing: Drawing, address: str) -> str:
    """Return what the map shows at an address."""
    x, y = drawing.grid.cell(Range.parse(address).first)
    return drawing.entries[png.cell_numbers(drawing)[y * drawing.grid.width + x]].label


def pixel(drawing: Drawing, address: str, right: int = 0, down: int = 0) -> tuple[int, ...]:
    x, y = drawing.grid.cell(Range.parse(address).first)
    box, scale = drawing.map_box, drawing.scale
    found = png.picture(drawing).getpixel((box.x + x * scale + right, box.y + y * scale + down))
    assert isinstance(found, tuple)
    return found


def test_every_address_of_a_small_snapshot_has_the_look_it_should_have() -> None:
    drawing = draw(RECORDS, "registry", BLOCK, 256, "now")
    assert (drawing.grid.bits, drawing.scale) == (8, 16)
    assert [(each.label, each.addresses) for each in drawing.entries] == [
        ("arin", 16),
        ("ripencc", 112),
        ("apnic", 6),
        ("failed", 16),
        ("reserved", 16),
        ("unallocated", 64),
        ("not asked", 26),
    ]
    expected = {"193.0.0.0": "ripencc", "193.0.0.16": "arin", "193.0.0.31": "arin", "193.0.0.32": "ripencc"}
    expected |= {"193.0.0.127": "ripencc", "193.0.0.128": "unallocated", "193.0.0.160": "unallocated"}
    expected |= {"193.0.0.192": "reserved", "193.0.0.208": "failed", "193.0.0.229": "apnic"}
    expected |= {"193.0.0.230": "not asked", "193.0.0.255": "not asked"}
    assert {address: seen(drawing, address) for address in expected} == expected
    # Three pixels from the corner there is neither a seam nor a letter.
    assert pixel(drawing, "193.0.0.0", 3, 3) == channels(looks.ORANGE)
    assert pixel(drawing, "193.0.0.16", 3, 3) == channels(looks.BLUE)
    assert pixel(drawing, "193.0.0.128", 3, 3) == channels(looks.UNALLOCATED.colour)
    assert pixel(drawing, "193.0.0.192", 3, 3) == channels(looks.RESERVED.colour)
    assert {pixel(drawing, "193.0.0.208", 3, down) for down in range(2, 6)} == {(0, 0, 0), channels(looks.VERMILLION)}
    assert {pixel(drawing, "193.0.0.255", 3, down) for down in range(1, 12)} == {
        (255, 255, 255),
        channels(looks.NOT_ASKED.ink),
    }


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ("country", {"193.0.0.0": "NL", "193.0.0.16": "US", "193.0.0.224": "no country told"}),
        ("age", {"193.0.0.0": "before 1990", "193.0.0.16": "2020 and later", "193.0.0.224": "not told"}),
        ("holder", {"193.0.0.0": "no holder told", "193.0.0.192": "reserved"}),
        (
            "status",
            {
                "193.0.0.0": "network, by RDAP",
                "193.0.0.16": "network, by WHOIS",
                "193.0.0.224": "network, from a file",
                "193.0.0.128": "unallocated",
                "193.0.0.160": "free, by statistics",
                "193.0.0.208": "failed",
                "193.0.0.255": "not asked",
            },
        ),
    ],
)
def test_each_layer_shows_what_it_is_called_after(layer: str, told: dict[str, str]) -> None:
    drawing = draw(RECORDS, layer, BLOCK, 256, "")
    assert {address: seen(drawing, address) for address in told} == told
    assert sum(each.addresses for each in drawing.entries) == BLOCK.size


def test_the_holders_of_most_addresses_have_colours_and_the_others_one_together() -> None:
    records = [network(f"193.0.0.{16 * n}/28", holder=Holder("X", f"H{n}")) for n in range(9)]
    records.append(network("193.0.0.144/28", holder=Holder("H8")))  # a handle stands for a name that is not told
    drawing = draw(records, "holder", BLOCK, 256, "")
    assert [each.label for each in drawing.entries] == [
        "H8",
        *(f"H{n}" for n in range(6)),
        "2 other holders",
        "not asked",
    ]
    assert [each.addresses for each in drawing.entries] == [32, *[16] * 6, 32, 96]


def test_changes_are_shown_by_class_and_what_nobody_holds_by_what_it_is() -> None:
    old = [network("193.0.0.0/26", name="A"), network("193.0.0.64/26"), unheld("reserved", "193.0.0.128/27")]
    new = [
        network("193.0.0.0/26", name="B"),
        unheld("unallocated", "193.0.0.64/26"),
        unheld("failed", "193.0.0.128/27"),
        network("193.0.0.160/27"),
    ]
    drawing = draw_changes(old, new, BLOCK, 256, "")
    shown = [seen(drawing, f"193.0.0.{each}") for each in (0, 64, 128, 160, 192)]
    assert shown == ["details", "removed", "failed", "not compared", "not asked"]
    assert seen(draw_changes(old, new, BLOCK, 256, "", ["name"]), "193.0.0.0") == "unchanged"


def test_ipv6_is_drawn_too() -> None:
    drawing = draw(RECORDS, "registry", Range.parse("2001:400::/22"), 256, "")
    assert (drawing.grid.width, drawing.grid.height) == (256, 256)
    assert [seen(drawing, each) for each in ("2001:400::", "2001:600::")] == ["not asked", "afrinic"]
    wide = draw(RECORDS, "registry", Range.parse("2001:600::/23"), 256, "")
    assert (wide.map_box.width, wide.map_box.height) == (256, 128)
    assert [each.label for each in wide.entries] == ["afrinic"]


@given(st.data())
def test_labels_stay_in_their_boxes_and_on_the_map(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from((4, 6)))
    bits = {4: 32, 6: 128}[family]
    length = data.draw(st.integers(0, bits))
    block = Range.of_prefix(family, data.draw(st.integers(0, 2**bits - 1)), length)
    drawing = draw([], "registry", block, data.draw(st.sampled_from((256, 512))), "")
    outer = drawing.map_box
    for x, y, size, text, box in drawing.labels():
        half = len(text) * LETTER_WIDTH * size / 2
        assert box.x < x - half and x + half < box.x + box.width
        assert box.y < y - size / 2 and y + size / 2 < box.y + box.height
        assert outer.x <= box.x and box.x + box.width <= outer.x + outer.width
        assert outer.y <= box.y and box.y + box.height <= outer.y + outer.height
    boxes = [box for _, box in drawing.label_boxes()]
    assert sum(box.width * box.height for box in boxes) == outer.width * outer.height


def test_where_labels_do_not_fit_there_are_fewer_of_them() -> None:
    drawing = draw([], "registry", Range.parse("2001:600::/23"), 512, "")
    assert [each.text for each in drawing.labels()][:3] == ["2001:600", "2001:610", "2001:620"]
    assert len(drawing.labels()) == len(drawing.label_boxes()) == 32


def test_letters_of_labels_are_not_wider_than_thought() -> None:
    from PIL import ImageFont

    for size in range(7, 14):
        font = ImageFont.load_default(size)
        assert all(font.getlength(letter) <= LETTER_WIDTH * size for letter in "0123456789abcdef.:")


def test_a_map_of_everything_names_the_blocks_of_8_bits() -> None:
    drawing = draw([], "registry", Range.parse("0.0.0.0/0"), 1024, "")
    assert sorted(int(each.text) for each in drawing.labels()) == list(range(256))
    assert [label_text(Range.parse(each)) for each in ("10.0.0.0/8", "10.1.0.0/16", "10.1.128.0/20", "0.0.0.0/0")] == [
        "10",
        "10.1",
        "10.1.128",
        "0",
    ]
    assert [label_text(Range.parse(each)) for each in ("2001:db8::/40", "::/3", "2001::1/128")] == [
        "2001:db8",
        "::",
        "2001::1",
    ]


HOSTILE = st.text(st.characters(exclude_categories=("Cs",)), max_size=60) | st.sampled_from(
    ("</title><script>alert(1)</script>", "\u202eevil\x00\x1b[31m", "]]>&amp;\"'", "a\nb", "中华人民共和国")
)


@given(st.lists(HOSTILE, min_size=1, max_size=9, unique=True))
def test_hostile_names_stay_text(names: list[str]) -> None:
    records = [network(f"193.0.0.{number}", holder=Holder(None, name)) for number, name in enumerate(names)]
    drawing = draw(records, "holder", BLOCK, 256, "\x07")
    root = ElementTree.fromstring("\n".join(svg(drawing)))
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {
        *("svg", "title", "defs", "pattern", "path", "rect", "text", "g"),
    }
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    assert all(text.isprintable() and len(text) <= 80 for text in texts)
    assert {plain(each.label) for each in drawing.entries} <= set(texts)
    png.picture(drawing)


def test_texts_are_cut_and_folded() -> None:
    assert plain("x" * 30) == f"{'x' * (MOST_LETTERS - 3)}..."
    assert plain(" a\u202e\tb\n ") == "a b"
    assert ascii_only("Société Łódź 中") == "Societe ?odz ?"


@given(st.data())
def test_both_kinds_of_file_show_the_same_cells(data: st.DataObject) -> None:
    grid = Grid(Range.parse("10.0.0.0/8"), data.draw(st.integers(0, 8)))
    ends = sorted(data.draw(st.sets(st.integers(1, 2**grid.bits - 1), max_size=6)) if grid.bits else set())
    starts = [0, *ends]
    runs = [
        Run(first, last, data.draw(st.integers(0, 2)))
        for first, last in zip(starts, [each - 1 for each in [*ends, 2**grid.bits]], strict=True)
    ]
    entries = [Entry(Look(f"#00000{number}"), f"line {number}", 1, ()) for number in range(3)]
    drawing = Drawing("", ("",), grid, 4, runs, entries)
    cells = png.cell_numbers(drawing)
    root = ElementTree.fromstring("\n".join(svg(drawing)))
    found: dict[tuple[int, int], int] = {}
    for path in root.iter(f"{SVG}path"):
        if (title := path.find(f"{SVG}title")) is not None:
            for values in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", path.get("d", "")):
                box = Box(*(int(each) // 4 for each in values))
                for y in range(box.y, box.y + box.height):
                    for x in range(box.x, box.x + box.width):
                        assert (x, y) not in found
                        found[x, y] = int((title.text or "")[-1])
    assert found == {(at % grid.width, at // grid.width): number for at, number in enumerate(cells)}


def test_the_smallest_block_holds_the_space_of_the_first_family() -> None:
    def of(*texts: str) -> str:
        return str(smallest_block(map(Range.parse, texts)))

    assert of("193.0.0.0/21") == "193.0.0.0/21"
    assert of("193.0.9.0/24", "193.0.0.0/24", "2001:600::/23") == "193.0.0.0/20"
    assert of("10.0.0.0/8", "200.0.0.0-200.0.0.5") == "0.0.0.0/0"
    assert of("2001:600::/32", "2001:601::/32") == "2001:600::/31"
    assert of("193.0.0.1") == "193.0.0.1/32"


def test_a_file_is_the_same_every_time(tmp_path: Path) -> None:
    drawing = draw(RECORDS, "country", BLOCK, 256, "now")
    for name in "ab":
        png.write_png(drawing, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
