"""From the bytes of a file to its objects, a piece at a time: RPSL objects are parted by empty lines (RFC 2622)."""

from __future__ import annotations

from collections.abc import Iterator

#: A longer object is none: real ones have a few kilobytes, and what is never ended must not fill the memory.
MAX_OBJECT_BYTES = 256 * 1024


class Splitter:
    """Takes the pieces of one file. `line` is the number of the line that the next object begins at."""

    def __init__(self) -> None:
        self.line = 1
        self._rest = b""
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes | None]]:
        """Yield (line, object) of all objects that are whole now; None stands for one that is too long."""
        data = self._rest + piece
        # A carriage return at the very end waits for what follows it.
        held = b"\r" if data.endswith(b"\r") else b""
        if b"\r" in data:
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n")
        *whole, rest = data.split(b"\n\n")
        for each in whole:
            yield from self._object(each, 2)
        if len(rest) > MAX_OBJECT_BYTES:
            if not self._skipping:
                yield self.line + _leading(rest), None
            self._skipping = True
            # The last byte stays: it may be the first of the two line ends.
            self.line += rest.count(b"\n", 0, len(rest) - 1)
            rest = rest[-1:]
        self._rest = rest + held

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield the object that the end of the file ends, if there is one."""
        rest, self._rest = self._rest, b""
        yield from self._object(rest, 0)

    def _object(self, data: bytes, line_ends: int) -> Iterator[tuple[int, bytes | None]]:
        line = self.line
        self.line += data.count(b"\n") + line_ends
        if self._skipping:
            self._skipping = False
        elif len(data) > MAX_OBJECT_BYTES:
            yield line, None
        elif found := data.strip(b"\n"):
            yield line + _leading(data), found


def _leading(data: bytes) -> int:
    return len(data) - len(data.lstrip(b"\n"))
