"""Discovered blocks as they travel and lie in memory: packed, about 4 bytes each for IPv4 and 6 for IPv6. Pure.

An entry is one code byte and as many address bytes as it needs:

    0 to 164     an IPv4 CIDR: 33 x registry + prefix length, then the bytes that the prefix reaches into (0 to 4)
    165 to 169   an IPv6 CIDR: 165 + registry, a byte of prefix length, then the bytes it reaches into (0 to 16)
    170 to 174   an IPv4 range that is no CIDR: 170 + registry, then first and last address (8 bytes)
    175 to 179   an IPv6 range that is no CIDR: 175 + registry, then first and last address (32 bytes)
    180          no block: a number of a log that was used up by a result that found no network

Registries are numbered in the order of REGISTRIES. There is one way to write a block: bits beyond the prefix are zero,
and a range that is a CIDR is written as one. Anything else is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from whoismesh.addresses import BITS, Range
from whoismesh.errors import MessageError
from whoismesh.registries import REGISTRIES

_LENGTHS = 33
_V6_CIDR = _LENGTHS * len(REGISTRIES)
_V4_RANGE = _V6_CIDR + len(REGISTRIES)
_V6_RANGE = _V4_RANGE + len(REGISTRIES)
_VOID = _V6_RANGE + len(REGISTRIES)
_INDEX = {registry: index for index, registry in enumerate(REGISTRIES)}

#: The longest entry, bytes: an IPv6 range.
MAX_ENTRY_BYTES = 33
#: Entries of one piece of a log.
PIECE_ENTRIES = 1_000
#: What tells logs apart that are equally long, bytes; all zero for an empty one.
LOG_HASH_BYTES = 8


class Block(NamedTuple):
    """A discovered block as gossip tells it: who answers for it and where it is."""

    registry: str
    range: Range


def pack_block(block: Block | None) -> bytes:
    """Return the entry of a block, or that of none."""
    if block is None:
        return bytes((_VOID,))
    name, (family, first, last) = block
    registry = _INDEX[name]
    hosts = first ^ last
    if hosts & (hosts + 1) or first & hosts:
        width = BITS[family] // 8
        code = (_V4_RANGE if family == 4 else _V6_RANGE) + registry
        return bytes((code,)) + first.to_bytes(width) + last.to_bytes(width)
    length = BITS[family] - hosts.bit_length()
    reached = (length + 7) // 8
    if family == 4:
        return bytes((_LENGTHS * registry + length,)) + (first >> 8 * (4 - reached)).to_bytes(reached)
    return bytes((_V6_CIDR + registry, length)) + (first >> 8 * (16 - reached)).to_bytes(reached)


def unpack_blocks(packed: bytes) -> Iterator[Block | None]:
    """Yield the blocks of entries that stand one after another. Raises MessageError for anything not canonical."""
    at, end = 0, len(packed)
    while at < end:
        code = packed[at]
        at += 1
        if code < _V4_RANGE:
            if code < _V6_CIDR:
                family, bits = 4, 32
                registry, length = divmod(code, _LENGTHS)
            else:
                family, bits, registry = 6, 128, code - _V6_CIDR
                if at == end or packed[at] > bits:
                    raise MessageError("expected a prefix length of 0 to 128")
                length = packed[at]
                at += 1
            reached = (length + 7) // 8
            if at + reached > end:
                raise MessageError("the last block is cut short")
            first = int.from_bytes(packed[at : at + reached]) << (bits - 8 * reached)
            at += reached
            host = (1 << (bits - length)) - 1
            if first & host:
                raise MessageError("a block has bits set beyond its prefix")
            yield Block(REGISTRIES[registry], Range(family, first, first | host))
        elif code < _VOID:
            family = 4 if code < _V6_RANGE else 6
            width = BITS[family] // 8
            if at + 2 * width > end:
                raise MessageError("the last block is cut short")
            middle = at + width
            found = Range(family, int.from_bytes(packed[at:middle]), int.from_bytes(packed[middle : middle + width]))
            at = middle + width
            if found.first > found.last or found.is_cidr():
                raise MessageError("a range has its ends mixed up, or is a CIDR and not written as one")
            yield Block(REGISTRIES[code - (_V4_RANGE if family == 4 else _V6_RANGE)], found)
        elif code == _VOID:
            yield None
        else:
            raise MessageError(f"no block starts with {code}")


class Blocks:
    """Some entries in order, packed. Compares equal to any other that holds the same.

    They may have come from a peer: whoever iterates over them gets MessageError where they are not what they claim.
    """

    __slots__ = ("_length", "packed")

    def __init__(self, packed: bytes, length: int) -> None:
        """Take entries as they are; `read` is for those that came from somewhere."""
        self.packed = packed
        self._length = length

    @classmethod
    def of(cls, blocks: Iterable[Block | None]) -> Blocks:
        """Pack blocks."""
        entries = [pack_block(block) for block in blocks]
        return cls(b"".join(entries), len(entries))

    @classmethod
    def read(cls, packed: bytes, length: int) -> Blocks:
        """Take entries that came from somewhere, at a glance: most are never looked into. Raises MessageError."""
        if not 0 < length <= len(packed) <= MAX_ENTRY_BYTES * length:
            raise MessageError(f"{length} blocks cannot make {len(packed)} bytes")
        return cls(packed, length)

    def pieces(self) -> Iterator[Blocks]:
        """Yield the same entries in order, at most PIECE_ENTRIES together. Raises MessageError."""
        if self._length <= PIECE_ENTRIES:
            yield self
            return
        entries = list(self)
        for start in range(0, len(entries), PIECE_ENTRIES):
            yield Blocks.of(entries[start : start + PIECE_ENTRIES])

    def __iter__(self) -> Iterator[Block | None]:
        """Yield the blocks, None for an entry without. Raises MessageError at the first that is wrong."""
        found = 0
        for block in unpack_blocks(self.packed):
            found += 1
            yield block
        if found != self._length:
            raise MessageError(f"expected {self._length} blocks, got {found}")

    def __len__(self) -> int:
        return self._length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocks) and self.packed == other.packed

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"Blocks({self.packed!r}, {self._length})"


def _after_entry(packed: bytes | bytearray, at: int) -> int:
    """Return where the entry after the one at `at` starts in what is known to be right."""
    code = packed[at]
    if code < _V6_CIDR:
        return at + 1 + (code % _LENGTHS + 7) // 8
    if code < _V4_RANGE:
        return at + 2 + (packed[at + 1] + 7) // 8
    if code < _VOID:
        return at + (9 if code < _V6_RANGE else 33)
    return at + 1


def _offset(packed: bytes | bytearray, entries: int) -> int:
    """Return where entry number `entries` (from 0) starts in what is known to be right."""
    at = 0
    for _ in range(entries):
        at = _after_entry(packed, at)
    return at


def _chain(before: bytes, packed: bytes) -> bytes:
    return blake2b(before + packed, digest_size=LOG_HASH_BYTES).digest()


class BlockLog:
    """Entries in the order of their numbers, without gaps: packed pieces, sent on as they are.

    The first number is 1, or what comes after `dropped`: the oldest can be dropped, a piece at a time.
    """

    __slots__ = ("_base", "_hashes", "_last", "_piece_entries", "_pieces", "_starts")

    def __init__(self, piece_entries: int = PIECE_ENTRIES, dropped: int = 0) -> None:
        self._piece_entries = piece_entries
        self._base = dropped
        self._pieces: list[bytes] = []
        self._hashes = [bytes(LOG_HASH_BYTES)]
        self._last = bytearray()
        self._starts = array("I")

    def append(self, block: Block | None) -> int:
        """Add an entry; return its number."""
        self._append(pack_block(block))
        return len(self)

    def extend(self, blocks: Blocks, skip: int = 0) -> None:
        """Add entries that are known to be right, all but the first `skip`."""
        at = _offset(blocks.packed, skip)
        for _ in range(len(blocks) - skip):
            end = _after_entry(blocks.packed, at)
            self._append(blocks.packed[at:end])
            at = end

    def _append(self, entry: bytes) -> None:
        self._starts.append(len(self._last))
        self._last += entry
        if len(self._starts) == self._piece_entries:
            self._pieces.append(bytes(self._last))
            self._hashes.append(_chain(self._hashes[-1], self._pieces[-1]))
            self._last = bytearray()
            self._starts = array("I")

    def after(self, number: int) -> Blocks:
        """Return the entries numbered above `number`, as far as their piece of the log goes; none past its end.

        What was dropped is not there: then it is those after that.
        """
        index, skip = divmod(max(number - self._base, 0), self._piece_entries)
        if index < len(self._pieces):
            piece = self._pieces[index]
            return Blocks(piece[_offset(piece, skip) :] if skip else piece, self._piece_entries - skip)
        if index > len(self._pieces) or skip >= len(self._starts):
            return Blocks(b"", 0)
        return Blocks(bytes(self._last[self._starts[skip] :]), len(self._starts) - skip)

    def hash_at(self, number: int) -> bytes:
        """Return the hash of the entries 1 to `number` of a log of which nothing was dropped.

        BLAKE2b of 8 bytes: of the hash at the last whole piece before, and what of the next piece is in it.
        """
        index, skip = divmod(number, self._piece_entries)
        if not skip:
            return self._hashes[index]
        if index < len(self._pieces):
            return _chain(self._hashes[index], self._pieces[index][: _offset(self._pieces[index], skip)])
        end = self._starts[skip] if skip < len(self._starts) else len(self._last)
        return _chain(self._hashes[index], bytes(self._last[:end]))

    def drop(self, number: int) -> None:
        """Drop the pieces that lie wholly at or below a number."""
        pieces = min((number - self._base) // self._piece_entries, len(self._pieces))
        if pieces > 0:
            del self._pieces[:pieces]
            self._base += pieces * self._piece_entries

    def __len__(self) -> int:
        """Return the highest number."""
        return self._base + self._piece_entries * len(self._pieces) + len(self._starts)

    def __iter__(self) -> Iterator[Block | None]:
        for piece in (*self._pieces, bytes(self._last)):
            yield from unpack_blocks(piece)
