"""A million questions from a stream, answered a piece at a time.

A plain address is looked up in the index's tables by this loop, without a call to anything of ours, and answered by the
line that the index has of its record: about three microseconds. Everything else takes the way of single questions.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import IO

from whoismesh.addresses import Range
from whoismesh.errors import AddressError
from whoismesh.index import Index
from whoismesh.index_layout import NONE

#: Standard input is read so many bytes at a time: some 70,000 addresses.
PIECE_BYTES = 1024 * 1024
#: Longer lines are no address, whatever they are.
_LONGEST = 200


class Batch:
    """Questions, one a line, and a line for each; empty lines are passed over.

    Counts what the dump does not tell of (`missing`) and lines that ask nothing (`wrong`), which are answered all the
    same, so that answers keep to their questions.
    """

    def __init__(
        self, index: Index, answers: Callable[[Range], Iterable[tuple[str, bool]]], *, plain: bool = True
    ) -> None:
        """Answer by `answers`; `plain` says that its answer to an address is the index's line."""
        self._index = index
        self._answers = answers
        self._plain = plain
        self.missing = 0
        self.wrong = 0

    def run(self, questions: IO[bytes], out: IO[bytes]) -> None:
        """Answer all questions, in order."""
        answer = self._quick() if self._plain else lambda lines: map(self._slow, lines)
        while lines := questions.readlines(PIECE_BYTES):
            out.write(b"".join(answer(lines)))
            out.flush()

    def _quick(self) -> Callable[[Iterable[bytes]], Iterable[bytes]]:
        """Return what answers a piece of questions by the index's lines."""
        firsts, answers_4, highs, lows, answers_6, ends = self._index.copied(
            "first_4", "answer_4", "high_6", "low_6", "answer_6", "line_ends"
        )
        file, from_bytes = self._index.mapped, int.from_bytes

        def answer(lines: Iterable[bytes]) -> Iterator[bytes]:
            for line in lines:
                asked = line.strip()
                try:
                    # These take the forms of `parse_address`: no octets with leading zeros, no scope.
                    if b":" in asked:
                        packed = inet_pton(AF_INET6, asked.decode("ascii"))
                        text = inet_ntop(AF_INET6, packed)
                        if "." in text:  # RFC 5952 leaves the choice of this form; we write it otherwise
                            yield self._slow(asked)
                            continue
                        asked = text.encode()
                        high = from_bytes(packed[:8])
                        end = bisect_right(highs, high)
                        if end and highs[end - 1] == high:
                            end = bisect_right(lows, from_bytes(packed[8:]), bisect_left(highs, high, 0, end), end)
                        number = answers_6[end - 1]
                    else:
                        address = from_bytes(inet_pton(AF_INET, asked.decode("ascii")))
                        number = answers_4[bisect_right(firsts, address) - 1]
                except (OSError, ValueError):
                    yield self._slow(asked)
                    continue
                if number == NONE:
                    self.missing += 1
                    yield b"%b: not in this dump\n" % asked
                else:
                    yield b"%b: %b\n" % (asked, file[ends[number] : ends[number + 1]])

        return answer

    def _slow(self, line: bytes) -> bytes:
        asked = line.strip()
        if not asked:
            return b""
        try:
            wanted = Range.parse(asked[:_LONGEST].decode("utf-8", "replace"))
        except AddressError:
            self.wrong += 1
            return self._refusal(asked)
        lines = []
        for answer, known in self._answers(wanted):
            self.missing += not known
            lines.append(f"{answer}\n")
        return "".join(lines).encode()

    def _refusal(self, asked: bytes) -> bytes:
        """Return the answer to what is no question."""
        text = asked[:_LONGEST].decode("utf-8", "replace")
        if self._plain:
            return f"{text}: no address, CIDR or range\n".encode()
        import json

        return f"{json.dumps({'asked': text, 'kind': None, 'error': 'no address, CIDR or range'})}\n".encode()
