"""MMDB, the database format of GeoIP programs (MaxMind DB File Format Specification 2.0, https://maxmind.github.io/MaxMind-DB/).

Our own writer, because those that there are build a tree of objects: gigabytes for a million networks. Here the
prefixes come in order, so that only the path to the last one is open: a node is two numbers in arrays, and a record
goes to the data section when it is met.

One tree for both families: IPv4 lies at ::/96, where every reader looks for it.
"""

from __future__ import annotations

import shutil
import struct
import sys
import tempfile
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from whoismesh.addresses import Range
from whoismesh.errors import UsageError
from whoismesh.networks import Network, Record
from whoismesh.segments import IPV6_PLACE, segments

_METADATA_MARKER = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR = bytes(16)
_RECORD_BITS = 32
#: The largest number that a record of the tree can hold.
_MOST = (1 << _RECORD_BITS) - 1
#: Where IPv4 ends in the tree.
_IPV4_END = 1 << 32
#: So many texts and records are remembered, so that each is written once.
_REMEMBERED = 200_000
#: Texts from so many bytes on are written once and pointed at; a pointer takes two to five.
_SHARED_BYTES = 4


class _Data:
    """The data section, as it is written. Offsets are from its beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        #: How each text is written from its second time on.
        self._texts: dict[str, bytes] = {}
        self._records: dict[int, int] = {}
        self.size = 0

    def record(self, number: int, record: Record) -> int:
        """Return where a record lies."""
        found = self._records.get(number)
        if found is None:
            if len(self._records) >= _REMEMBERED:
                self._records.clear()
            values = self._encoded(fields(record))
            found = self._records[number] = self.size
            self._put(values)
        return found

    def _put(self, encoded: bytes) -> None:
        self._file.write(encoded)
        self.size += len(encoded)

    def _encoded(self, value: Any) -> bytes:
        if isinstance(value, str):
            return self._shared(value)
        if isinstance(value, dict):
            parts = [_control(7, len(value))]
            for key, each in value.items():
                parts += (self._shared(key), self._encoded(each))
            return b"".join(parts)
        if isinstance(value, list):
            return _control(11, len(value)) + b"".join(map(self._encoded, value))
        return encode(value)

    def _shared(self, text: str) -> bytes:
        """Return a pointer to a text, which is written if it is not yet there; a short one as it is."""
        found = self._texts.get(text)
        if found is None:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            found = encode(text)
            if len(found) > _SHARED_BYTES:
                at = self.size
                self._put(found)
                found = _pointer(at)
            self._texts[text] = found
        return found


class _Tree:
    """The search tree. A record of it is a node's number, an offset of data as -1 - offset, or 0 for nothing."""

    def __init__(self) -> None:
        self._sides = array("q", [0]), array("q", [0])
        #: The nodes on the way to the last prefix, from the root on, and that prefix's address.
        self._path = [0]
        self._last = 0

    def __len__(self) -> int:
        return len(self._sides[0])

    def add(self, address: int, length: int, offset: int) -> None:
        """Put data at a prefix. Prefixes come in order, none in another one, and none is of length 0."""
        common = min(128 - (address ^ self._last).bit_length(), length - 1)
        del self._path[common + 1 :]
        left, right = self._sides
        for depth in range(len(self._path) - 1, length - 1):
            node = len(left)
            left.append(0)
            right.append(0)
            self._sides[address >> (127 - depth) & 1][self._path[-1]] = node
            self._path.append(node)
        self._sides[address >> (128 - length) & 1][self._path[length - 1]] = -1 - offset
        self._last = address

    def write(self, file: IO[bytes]) -> None:
        """Write the tree as the format has it."""
        count = len(self)
        for start in range(0, count, 65_536):
            records = array("I")
            for pair in zip(*(side[start : start + 65_536] for side in self._sides), strict=True):
                # Nothing is the number of nodes; data begins after them and the separator.
                records.extend(count - 1 - each + len(_SEPARATOR) if each < 0 else each or count for each in pair)
            if sys.byteorder == "little":
                records.byteswap()
            records.tofile(file)


def write_mmdb(records: Iterable[Record], path: Path, built_at: float) -> None:
    """Write a database in which an address has the most specific record that holds it.

    `built_at` is the time of the dump, seconds since 1970. What a dump tells of ::/96 itself gives way to IPv4. Raises
    UsageError if there is more than the format can hold (4 GiB of records), ValueError for records out of order.
    """

    class Numbered:
        __slots__ = ("number", "range", "record")

        def __init__(self, number: int, record: Record) -> None:
            self.number, self.record, self.range = number, record, record.range

    tree = _Tree()
    with tempfile.TemporaryFile() as section:
        data = _Data(section)
        for first, last, over in segments(Numbered(*each) for each in enumerate(records)):
            if first >= IPV6_PLACE:
                first, last = max(first - IPV6_PLACE, _IPV4_END), last - IPV6_PLACE
            if first > last:
                continue
            offset = data.record(over[0].number, over[0].record)
            for address, length in Range(6, first, last).prefixes():
                tree.add(address, length, offset)
        if len(tree) + len(_SEPARATOR) + data.size > _MOST:
            raise UsageError("the dump holds more than an MMDB file can (4 GiB); export it to another format")
        with open(path, "wb") as file:
            tree.write(file)
            file.write(_SEPARATOR)
            section.seek(0)
            shutil.copyfileobj(section, file)
            file.write(_METADATA_MARKER + _metadata(len(tree), built_at))


def fields(record: Record) -> dict[str, Any]:
    """Return what the database has of a record: the columns of a table that are known, and what GeoIP programs know.

    `country.iso_code`, `autonomous_system_number` and `autonomous_system_organization` are where they look for them.
    """
    found: dict[str, Any]
    if not isinstance(record, Network):
        found = {"kind": record.kind, "network": str(record.range), "reason": record.reason, "source": record.source}
        return {key: value for key, value in found.items() if value}
    found = {
        "kind": "network",
        "network": str(record.range),
        "registry": record.registry,
        "handle": record.handle,
        "name": record.name,
        "type": record.type,
        "status": list(record.status) or None,
        "country": {"iso_code": record.country} if record.country is not None else None,
        "parent": record.parent,
        "holder_handle": record.holder.handle,
        "holder_name": record.holder.name,
        "registered": record.registered,
        "changed": record.changed,
        "autonomous_system_number": record.asn,
        "asn_cidr": record.asn_cidr,
        "source": record.source,
        "server": record.server,
        "asked": record.asked,
        "fetched_at": record.fetched_at,
    }
    return {key: value for key, value in found.items() if value is not None}


def encode(value: Any) -> bytes:
    """Return a value in the format's encoding, without pointers. An int is a uint32."""
    match value:
        case str():
            text = value.encode("utf-8", "replace")
            return _control(2, len(text)) + text
        case float():
            return _control(3, 8) + struct.pack(">d", value)
        case int():
            number = value.to_bytes((value.bit_length() + 7) // 8)
            return _control(6, len(number)) + number
        case dict():
            return _control(7, len(value)) + b"".join(encode(key) + encode(each) for key, each in value.items())
        case list():
            return _control(11, len(value)) + b"".join(map(encode, value))
    raise TypeError(f"{type(value).__name__} has no place in a record")


def _control(kind: int, size: int) -> bytes:
    """Return the byte or bytes before a value: its type and its size."""
    first, extended = (kind << 5, b"") if kind <= 7 else (0, bytes([kind - 7]))
    if size < 29:
        return bytes([first | size]) + extended
    if size < 285:
        return bytes([first | 29]) + extended + bytes([size - 29])
    if size < 65_821:
        return bytes([first | 30]) + extended + (size - 285).to_bytes(2)
    return bytes([first | 31]) + extended + (size - 65_821).to_bytes(3)


def _pointer(at: int) -> bytes:
    """Return a pointer into the data section."""
    for kind, base, bits in ((0, 0, 11), (1, 2_048, 19), (2, 526_336, 27)):
        if at - base < 1 << bits:
            return ((1 << 5 | kind << 3) << 8 * (kind + 1) | at - base).to_bytes(kind + 2)
    return b"\x38" + at.to_bytes(4)


def _metadata(node_count: int, built_at: float) -> bytes:
    """Return the map at the end. Its numbers have types of their own: uint16 is 5, uint32 6, uint64 9."""

    def number(kind: int, value: int) -> bytes:
        packed = value.to_bytes((value.bit_length() + 7) // 8)
        return _control(kind, len(packed)) + packed

    values = {
        "binary_format_major_version": number(5, 2),
        "binary_format_minor_version": number(5, 0),
        "build_epoch": number(9, max(1, int(built_at))),  # readers take 0 for a damaged file
        "database_type": encode("whoismesh"),
        "description": encode({"en": "Who is registered as the holder of every IP address"}),
        "ip_version": number(5, 6),
        "languages": encode(["en"]),
        "node_count": number(6, node_count),
        "record_size": number(5, _RECORD_BITS),
    }
    return _control(7, len(values)) + b"".join(encode(key) + value for key, value in values.items())
