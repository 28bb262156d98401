"""Colours: those of one map are apart for every kind of eyes, and letters can be read on all of them."""

from __future__ import annotations

from itertools import combinations

import pytest

from whoismesh.differences import CLASSES
from whoismesh.maps.layers import CHANGES, LAYERS, TOLD, Entry, Layer, Value, legend
from whoismesh.maps.looks import PATTERN_SIZE, PATTERNS, channels
from whoismesh.networks import UNHELD_KINDS
from whoismesh.registries import REGISTRIES

Matrix = tuple[tuple[float, float, float], ...]

#: What is seen without one kind of cones, as linear RGB: Machado, Oliveira, Fernandes 2009, severity 1.0.
EYES: dict[str, Matrix] = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
#: Differences (CIE 1976) above 2.3 are just noticeable; colours of a map lie apart, so they need several times as much.
FAR_ENOUGH = 10.0


def linear(colour: str) -> list[float]:
    """sRGB to linear light (IEC 61966-2-1)."""
    parts = (value / 255 for value in channels(colour))
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def lab(colour: str, eyes: Matrix) -> tuple[float, float, float]:
    seen = [min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear(colour), strict=True)))) for row in eyes]
    rows = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
    white = (0.95047, 1.0, 1.08883)
    ratios = [
        sum(a * b for a, b in zip(row, seen, strict=True)) / whole for row, whole in zip(rows, white, strict=True)
    ]
    x, y, z = (each ** (1 / 3) if each > 216 / 24389 else (24389 / 27 * each + 16) / 116 for each in ratios)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    lights = sorted(
        sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear(each), strict=True)) for each in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def full_legend(layer: Layer) -> list[Entry]:
    """Every line that a layer can have."""
    told = (*REGISTRIES, "", "0", "1", "2", "3", "4", "5", "rdap", "whois", "bulk", "delegated", *CLASSES, "X", "Y")
    values = [Value(TOLD, text) for text in told] + [Value(kind) for kind in (*UNHELD_KINDS, "not_asked")]
    return legend(layer, dict.fromkeys(values, 1))


@pytest.mark.parametrize("name", [*LAYERS, "changes"])
def test_all_colours_of_a_map_are_apart_for_all_kinds_of_eyes(name: str) -> None:
    found = full_legend(LAYERS.get(name, CHANGES))
    assert len({each.label for each in found}) == len(found) >= 8
    for eyes in EYES.values():
        for one, other in combinations({each.look.colour for each in found}, 2):
            apart = sum((a - b) ** 2 for a, b in zip(lab(one, eyes), lab(other, eyes), strict=True)) ** 0.5
            assert apart >= FAR_ENOUGH, (one, other)


def test_what_was_not_asked_is_told_from_what_is_not_there_by_more_than_colour() -> None:
    for layer in (*LAYERS.values(), CHANGES):
        found = full_legend(layer)
        assert len({each.look for each in found}) == len(found)
        patterns = {each.label: each.look.pattern for each in found}
        assert patterns["not asked"] and patterns["failed"] and patterns["not asked"] != patterns["failed"]
        assert not patterns["unallocated"] and not patterns["reserved"]
        # WCAG 2.2, 1.4.11: 3 to 1 for what is no text.
        assert all(contrast(each.look.colour, each.look.ink) >= 3 for each in found if each.look.pattern)


def test_letters_have_a_rim_that_is_seen_on_dark_and_are_seen_on_the_rim() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


def test_patterns_can_be_laid_side_by_side() -> None:
    for rows in PATTERNS.values():
        assert len(rows) == PATTERN_SIZE and all(0 < row < 1 << PATTERN_SIZE for row in rows)
