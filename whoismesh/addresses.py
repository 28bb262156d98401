"""Addresses and ranges of both families, as integers.

Rules of this file: an address is a plain `int` beside its family (4 or 6), because engines handle millions of them; a
`Range` is a named tuple, so ranges sort as the dump does: by family, then first address, then last.
Text forms follow RFC 4632 (IPv4 CIDR), RFC 4291 section 2.3 and RFC 5952 (IPv6).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from whoismesh.errors import AddressError, ConfigError

BITS = {4: 32, 6: 128}
MAX_ADDRESS = {4: 2**32 - 1, 6: 2**128 - 1}

_LENGTH = re.compile(r"[0-9]{1,3}")
#: So much of a text is shown in an error.
_SHOWN = 80


class Range(NamedTuple):
    """First and last address, inclusive, of one family. A range need not be one CIDR.

    >>> Range.parse("193.0.0.0/21")
    Range(family=4, first=3238002688, last=3238004735)
    """

    family: int
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Range:
        """Read `a.b.c.d`, `a.b.c.d/n`, `first-last` and the IPv6 forms. Raises AddressError."""
        text = text.strip()
        if "-" in text:
            left, _, right = text.partition("-")
            family, first = parse_address(left.strip())
            family_last, last = parse_address(right.strip())
            if family != family_last or first > last:
                raise AddressError(
                    f"{_shown(text)} is no range: expected FIRST-LAST of one family, FIRST not above LAST"
                )
            return cls(family, first, last)
        address, slash, length_text = text.partition("/")
        family, first = parse_address(address)
        if not slash:
            return cls(family, first, first)
        if not (_LENGTH.fullmatch(length_text) and int(length_text) <= BITS[family]):
            raise AddressError(f"{_shown(text)} is no CIDR: expected a prefix length of 0 to {BITS[family]}")
        network = cls.of_prefix(family, first, int(length_text))
        if network.first != first:
            raise AddressError(f"{text!r} is no CIDR: it has host bits set; did you mean {network}?")
        return network

    @classmethod
    def of_prefix(cls, family: int, address: int, length: int) -> Range:
        """Return the CIDR block of `length` bits that `address` lies in."""
        host_mask = (1 << (BITS[family] - length)) - 1
        return cls(family, address & ~host_mask, address | host_mask)

    @classmethod
    def from_bytes(cls, first: bytes, last: bytes) -> Range:
        """Read two addresses of 4 or 16 bytes in network order. Raises AddressError."""
        family = {4: 4, 16: 6}.get(len(first))
        if family is None or len(last) != len(first):
            raise AddressError(f"expected two addresses of 4 or of 16 bytes, got {len(first)} and {len(last)}")
        found = cls(family, int.from_bytes(first), int.from_bytes(last))
        if found.first > found.last:
            raise AddressError(f"first address above last in {found.first}-{found.last}")
        return found

    @property
    def size(self) -> int:
        """Count of addresses."""
        return self.last - self.first + 1

    @property
    def first_bytes(self) -> bytes:
        """First address, 4 or 16 bytes in network order."""
        return self.first.to_bytes(BITS[self.family] // 8)

    @property
    def last_bytes(self) -> bytes:
        """Last address, 4 or 16 bytes in network order."""
        return self.last.to_bytes(BITS[self.family] // 8)

    def holds(self, family: int, address: int) -> bool:
        """Tell whether an address lies in this range."""
        return family == self.family and self.first <= address <= self.last

    def contains(self, other: Range) -> bool:
        """Tell whether all of `other` lies in this range."""
        return self.family == other.family and self.first <= other.first and other.last <= self.last

    def overlap(self, other: Range) -> Range | None:
        """Return what the two have in common, or None."""
        if self.family != other.family:
            return None
        first, last = max(self.first, other.first), min(self.last, other.last)
        return Range(self.family, first, last) if first <= last else None

    def prefixes(self) -> Iterator[tuple[int, int]]:
        """Yield the fewest (first address, prefix length) that make up the range, in order."""
        bits, first = BITS[self.family], self.first
        while first <= self.last:
            aligned = (first & -first).bit_length() - 1 if first else bits
            fits = (self.last - first + 1).bit_length() - 1
            host_bits = min(aligned, fits)
            yield first, bits - host_bits
            first += 1 << host_bits

    def cidrs(self) -> list[str]:
        """Return the fewest CIDRs that make up the range, as text, in order."""
        return [f"{format_address(self.family, first)}/{length}" for first, length in self.prefixes()]

    def is_cidr(self) -> bool:
        """Tell whether the range is exactly one CIDR."""
        size = self.size
        return size & (size - 1) == 0 and self.first % size == 0

    def __str__(self) -> str:
        """Return the CIDR, or `first-last` where the range is not one."""
        if self.is_cidr():
            return f"{format_address(self.family, self.first)}/{BITS[self.family] + 1 - self.size.bit_length()}"
        return f"{format_address(self.family, self.first)}-{format_address(self.family, self.last)}"


def parse_address(text: str) -> tuple[int, int]:
    """Return (family, integer) of one address. Raises AddressError; octets with leading zeros are refused."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise AddressError(f"{_shown(text)} is no IPv4 or IPv6 address") from None
    if "%" in text:
        raise AddressError(f"{_shown(text)} has a scope: expected a plain address")
    return address.version, int(address)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def format_address(family: int, address: int) -> str:
    """Return the canonical text of an address (RFC 5952 for IPv6)."""
    if family == 4:
        return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
    # As Python 3.13 has it, whose earlier ones write the end of such an address as two groups (RFC 5952, section 5).
    if address >> 32 == 0xFFFF:
        return f"::ffff:{format_address(4, address & 0xFFFFFFFF)}"
    return str(ipaddress.IPv6Address(address))


#: What `space` may name instead of a CIDR.
WHOLE = {"ipv4": Range(4, 0, MAX_ADDRESS[4]), "ipv6": Range(6, 0x2 << 124, (0x4 << 124) - 1)}


def parse_space(texts: Iterable[str]) -> tuple[Range, ...]:
    """Read the space of a crawl: CIDRs, `first-last` ranges, `ipv4` or `ipv6` (2000::/3); sorted.

    Raises ConfigError with every problem at once: a bad text, an overlap, nothing at all.
    """
    found: list[tuple[Range, str]] = []
    problems = []
    for text in texts:
        try:
            found.append((WHOLE.get(text.strip().lower()) or Range.parse(text), text))
        except AddressError as error:
            problems.append(f"space: {error}")
    found.sort()
    farthest: tuple[Range, str] | None = None  # of those before: it meets the next one if any of them does
    for space, text in found:
        if farthest and farthest[0].overlap(space):
            problems.append(f"space: {farthest[1]!r} and {text!r} overlap; name each address once")
        if farthest is None or (space.family, space.last) > (farthest[0].family, farthest[0].last):
            farthest = space, text
    if not found and not problems:
        problems.append('space is empty; name at least one CIDR or range, or "ipv4"')
    if problems:
        raise ConfigError(*problems)
    return tuple(space for space, _ in found)
