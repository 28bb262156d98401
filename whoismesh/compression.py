"""zstd, with its quirks in one place.

Measured with zstandard 0.25.0: a stream that is cut reads as far as its last whole block (128 KiB) and then just ends;
bytes after a frame are read only with `read_across_frames`, and without it would go unnoticed; a frame may ask for any
amount of memory unless `max_window_size` is set. The package is an extra: dumps need it only where they are compressed.
"""

from __future__ import annotations

from importlib import import_module
from typing import IO, Any

from whoismesh.errors import UnavailableError
from whoismesh.packing import NotPackedError, Readable

#: What a frame begins with (RFC 8878 section 3.1.1).
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: What `zstd` itself takes without being asked (its --long=27).
_MAX_WINDOW_BYTES = 1 << 27
#: zstd's own default: a dump becomes a tenth, and higher levels gain little.
_LEVEL = 3


def _zstandard() -> Any:
    try:
        return import_module("zstandard")
    except ImportError:
        raise UnavailableError(
            "zstd needs the package zstandard, which is not installed: pip install 'whoismesh[zstd]'"
        ) from None


class Decompressed:
    """The plain bytes of a compressed file, from its beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        """Begin. Raises UnavailableError if the package is missing."""
        zstandard = _zstandard()
        self._error = zstandard.ZstdError
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
        self._stream: Readable = decompressor.stream_reader(file, read_across_frames=True, closefd=False)

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end. Raises NotPackedError for what zstd cannot have written."""
        try:
            return self._stream.read(size)
        except self._error as error:
            raise NotPackedError(str(error)) from None


def compressed(file: IO[bytes]) -> Any:
    """Return what compresses into a file: it has `write`, and `close` ends it. Raises UnavailableError."""
    return _zstandard().ZstdCompressor(level=_LEVEL, write_checksum=True).stream_writer(file, closefd=False)
