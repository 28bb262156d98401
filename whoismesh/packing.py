"""msgpack, with its quirks in one place.

Measured with 1.2.4: forged lengths and bad UTF-8 raise ValueErrors of several classes, deep nesting a RecursionError or
StackError, a map with a list for a key a TypeError; 64 KiB of empty maps become 8.8 MB, so what comes from outside
gets limits; integers of 64 bits and more do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgpack

#: More elements than this in one array or map are refused: no message and no record has as many.
MAX_ITEMS = 50_000
#: One record of a stream (a network is under 1 kB).
MAX_RECORD_BYTES = 1024 * 1024


class NotPackedError(ValueError):
    """The bytes are not what msgpack writes, or beyond the limits."""


class CutShortError(ValueError):
    """A stream ends in the middle of a record. `records` and `bytes_read` tell how far it was whole."""

    def __init__(self, records: int, bytes_read: int) -> None:
        self.records = records
        self.bytes_read = bytes_read
        super().__init__(f"cut short after {records} whole records, {bytes_read} bytes")


class Readable(Protocol):
    """What a stream is read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most that many bytes, none at the end."""


def pack(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return the msgpack bytes of plain values; others go through `default`."""
    return bytes(msgpack.packb(value, default=default))


def unpack(data: bytes | memoryview) -> Any:
    """Read exactly one value. Raises NotPackedError."""
    try:
        return msgpack.unpackb(data, strict_map_key=False, max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS)
    except (ValueError, RecursionError, TypeError) as error:
        raise NotPackedError(str(error) or type(error).__name__) from None


def unpack_stream(file: Readable, read_bytes: int = 1024 * 1024) -> Iterator[tuple[Any, int]]:
    """Yield (value, bytes read up to its end) for a file of values, holding no more than a record and a buffer.

    Raises CutShortError where the file ends inside a value, NotPackedError where it is not msgpack.
    """
    unpacker = msgpack.Unpacker(
        strict_map_key=False,
        max_buffer_size=read_bytes + MAX_RECORD_BYTES,
        max_array_len=MAX_ITEMS,
        max_map_len=MAX_ITEMS,
    )
    records = whole = fed = 0
    while chunk := file.read(read_bytes):
        try:
            unpacker.feed(chunk)
            fed += len(chunk)
            for value in unpacker:
                records += 1
                whole = unpacker.tell()
                yield value, whole
        except (ValueError, RecursionError, TypeError) as error:
            raise NotPackedError(str(error) or type(error).__name__) from None
        if fed - whole > MAX_RECORD_BYTES:
            # The unpacker collects an unfinished record outside of its buffer, without any limit.
            raise NotPackedError(f"a record of more than {MAX_RECORD_BYTES} bytes")
    if whole != fed:
        raise CutShortError(records, whole)
