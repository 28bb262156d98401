"""Colours and patterns. Pure.

The colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with any of the three kinds of colour
blindness can tell apart; for ages six steps of viridis. What is no network has no colour but a grey of its own, and a
pattern where it is to be noticed. A test computes how far apart all colours of each layer are for all kinds of eyes.
"""

from __future__ import annotations

from typing import NamedTuple

ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
INDIGO = "#332288"
#: From dark to light (viridis of matplotlib at six equal steps).
SEQUENCE = ("#440154", "#414487", "#2A788E", "#22A884", "#7AD151", "#FDE725")

#: Each pattern in 8 by 8 pixels, by rows, the leftmost pixel first: where there is ink.
PATTERN_SIZE = 8
PATTERNS = {
    "hatch": (0b00000001, 0b00000010, 0b00000100, 0b00001000, 0b00010000, 0b00100000, 0b01000000, 0b10000000),
    "cross": (0b10000001, 0b01000010, 0b00100100, 0b00011000, 0b00011000, 0b00100100, 0b01000010, 0b10000001),
}


class Look(NamedTuple):
    """A colour as "#RRGGBB", and what is drawn over it: a name of PATTERNS or "", in the colour `ink`."""

    colour: str
    pattern: str = ""
    ink: str = ""


NOT_ASKED = Look("#FFFFFF", "hatch", "#8A8A8A")
UNALLOCATED = Look("#DDDDDD")
RESERVED = Look("#4D4D4D")
FAILED = Look("#000000", "cross", VERMILLION)
#: Networks that have no colour of their own in a layer, and those of which the dump does not tell it.
OTHERS = Look("#777777")
NOT_TOLD = Look(INDIGO)


def channels(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255.

    >>> channels("#0072B2")
    (0, 114, 178)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
