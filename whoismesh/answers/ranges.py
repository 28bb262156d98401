"""Addresses and ranges the way registries write them, which is laxer than `addresses.Range.parse`.

Seen in real answers: zero-padded octets (`074.125.000.000`, ARIN), a prefix length behind a single address
(`62.239.237.0/32`, RIPE NCC), shortened prefixes (`200.57.128/19`, LACNIC), zero-padded groups (`2001:0240::/32`,
APNIC). Nothing here raises.
"""

from __future__ import annotations

import ipaddress

from whoismesh.addresses import BITS, Range

#: Longer than any way to write an address: two of them and some blanks.
_MAX_CHARS = 120


def read_address(text: object) -> tuple[int, int] | None:
    """Return (family, integer) of an address, ignoring a prefix length behind it; None if it is none.

    Octets are decimal whatever zeros they begin with, as the registries mean them.
    """
    if not isinstance(text, str) or len(text) > _MAX_CHARS:
        return None
    text = text.partition("/")[0].strip()
    if ":" not in text:
        octets = text.split(".")
        return _of_octets(octets) if len(octets) == 4 else None
    if "%" in text:  # a scope has no meaning in a registry
        return None
    try:
        return 6, int(ipaddress.IPv6Address(text))
    except ValueError:
        return None


def read_range(text: object) -> Range | None:
    """Return the range that `a - b`, `a/n`, a shortened `a.b/n` or a lone address stands for; None if it is none."""
    if not isinstance(text, str) or len(text) > _MAX_CHARS:
        return None
    if "-" in text:
        left, _, right = text.partition("-")
        return spanning(read_address(left), read_address(right))
    address_text, slash, length_text = text.strip().partition("/")
    if not slash:
        address = read_address(address_text)
        return spanning(address, address)
    if ":" not in address_text:
        octets = address_text.split(".")
        address = _of_octets([*octets, *["0"] * (4 - len(octets))])
    else:
        address = read_address(address_text)
    if address is None or not (length_text.isascii() and length_text.isdigit() and len(length_text) <= 3):
        return None
    family, first = address
    length = int(length_text)
    if length > BITS[family]:
        return None
    found = Range.of_prefix(family, first, length)
    return found if found.first == first else None


def spanning(first: tuple[int, int] | None, last: tuple[int, int] | None) -> Range | None:
    """Return the range between two addresses read by `read_address`; None unless they are of one family, in order."""
    if first is None or last is None or first[0] != last[0] or first[1] > last[1]:
        return None
    return Range(first[0], first[1], last[1])


def _of_octets(octets: list[str]) -> tuple[int, int] | None:
    if len(octets) != 4:
        return None
    address = 0
    for octet in octets:
        if not (octet.isascii() and octet.isdigit() and len(octet) <= 3):
            return None
        value = int(octet)
        if value > 255:
            return None
        address = address << 8 | value
    return 4, address
