"""Frames as a hostile peer makes them: garbage, real ones bent, and well-formed lies. Chance is the caller's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from small_mesh import CRAWL, block

from whoismesh.addresses import Range
from whoismesh.blocks import Block, pack_block
from whoismesh.checks import MAX_COUNT
from whoismesh.messages import TYPES, VERSION, Compare, Digest, Discovered, Members, Sent
from whoismesh.packing import pack

#: Lies of origin, number and version; -1 and what is above MAX_COUNT are no counts at all.
BOUNDS = (MAX_COUNT - 1, MAX_COUNT, MAX_COUNT + 1, 2**64 - 1, -1)
NUMBERS = (0, 1, 2, 3, 5, 8, 9, 100, 1_000, 10_000, 2**31, 2**32, *BOUNDS)
IMPOSSIBLE = (
    "0.0.0.0/0",
    "::/0",
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.1/32",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "192.0.0.0/6",
    "128.0.0.0/1",
    "2000::/3",
    "fe80::/10",
    "2001:db8::/32",
    "::1/128",
    "193.0.0.0-224.0.0.0",
    "0.0.0.0-255.255.255.254",
)
ADDRESSES = ("", "tcp://", "tcp://10.0.0.2:7700", "tcp://[::1]:99999", "ipc:///etc/hosts", "x" * 1_000, "tcp://\0:1")
GOSSIP = (Compare, Digest, Discovered, Members, Sent)


class Attacker:
    """A source of frames. `heard` are real ones, to be replayed and bent."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.heard: list[bytes] = []
        self._entries = [self._entry() for _ in range(2_000)]
        self._kinds: list[tuple[float, Callable[[], bytes]]] = [
            (0.05, self._garbage),
            (0.1, self._replayed),
            (0.25, self._bent),
            (0.6, self._lie),
        ]

    def frame(self) -> bytes:
        """Return the next frame."""
        weights, makers = zip(*self._kinds, strict=True)
        (maker,) = self._chance.choices(makers, weights)
        return maker()

    # -- not well-formed ----------------------------------------------------------------------------------------

    def _garbage(self) -> bytes:
        start = bytes((VERSION, self._chance.choice(list(TYPES)))) if self._chance.random() < 0.7 else b""
        return start + self._chance.randbytes(self._chance.choice((0, 1, 2, 10, 100, 1_000)))

    def _replayed(self) -> bytes:
        return self._chance.choice(self.heard) if self.heard else self._garbage()

    def _bent(self) -> bytes:
        frame = bytearray(self._replayed() if self._chance.random() < 0.7 else self._lie())
        for _ in range(self._chance.choice((1, 1, 2, 5))):
            at = self._chance.randrange(len(frame) + 1)
            match self._chance.randrange(5):
                case 0 if at < len(frame):
                    frame[at] = self._chance.randrange(256)
                case 1 if at < len(frame):
                    frame[at] ^= 1 << self._chance.randrange(8)
                case 2:
                    del frame[at:]
                case 3:
                    frame[at:at] = self._chance.randbytes(self._chance.choice((1, 4, 30)))
                case _:
                    frame += frame[at : at + 40]
        return bytes(frame)

    # -- well-formed lies ---------------------------------------------------------------------------------------

    def _lie(self) -> bytes:
        kind = self._chance.choices(GOSSIP, (1, 3, 10, 1, 1))[0]
        crawl = CRAWL if self._chance.random() < 0.97 else self._chance.choice((b"", b"x" * 16, b"x"))
        fields: dict[type, Callable[[], list[Any]]] = {
            Compare: lambda: [self._chance.randbytes(self._chance.choice((8, 8, 7, 0)))],
            Digest: self._digest,
            Discovered: lambda: [[self._run() for _ in range(self._chance.choice((1, 1, 1, 2, 5)))]],
            Members: self._members,
            Sent: lambda: [self._chance.random() < 0.5, self._chance.random() < 0.3],
        }
        body = [crawl, *fields[kind]()]
        if self._chance.random() < 0.02:
            body[self._chance.randrange(len(body))] = self._chance.choice((None, -1, "", b"", [], {}, [[[]]], True))
        return bytes((VERSION, kind.TYPE)) + pack(body)

    def _number(self) -> int:
        return self._chance.choice(NUMBERS) if self._chance.random() < 0.3 else 1 + int(60 * self._chance.random())

    def _origin(self) -> int:
        return self._chance.choice(NUMBERS) if self._chance.random() < 0.1 else self._chance.randrange(10)

    def _digest(self) -> list[Any]:
        many = self._chance.choices((0, 3, 30, 20_001), (4, 4, 2, 0.01))[0]
        tails = {self._origin() if many < 100 else each: self._number() for each in range(many)}
        members = self._chance.choice((None, [1, 1], [0, 0], [self._number(), self._number()]))
        log_hash = self._chance.choice((bytes(8), self._chance.randbytes(8)))
        return [self._number(), tails, members, self._number(), log_hash]

    def _run(self) -> list[Any]:
        if self._chance.random() < 0.005:
            entries = [b"\xb4"] * self._chance.choice((1_001, 50_000, 999))
        else:
            entries = self._chance.choices(self._entries, k=self._chance.choice((1, 1, 1, 2, 5, 40)))
        packed = b"".join(entries)
        count = len(entries) if self._chance.random() < 0.95 else self._number()
        sealed = self._chance.choice((None, None, 0, 1, self._number()))
        return [self._origin(), self._number(), sealed, count, packed]

    def _entry(self) -> bytes:
        luck = self._chance.random()
        if luck < 0.05:
            return b"\xb4"
        if luck < 0.15:
            return pack_block(Block("arin", Range.parse(self._chance.choice(IMPOSSIBLE))))
        if luck < 0.17:
            return self._chance.randbytes(self._chance.randrange(1, 12))
        return pack_block(block(self._chance.randrange(100_000, 190_000), self._chance.choice(("apnic", "ripencc"))))

    def _members(self) -> list[Any]:
        peers = [[self._origin(), self._chance.choice(ADDRESSES)] for _ in range(self._chance.choice((0, 1, 3, 20)))]
        gone = [self._origin() for _ in range(self._chance.choice((0, 0, 3)))]
        since = self._chance.choice((0, 0, self._number()))
        return [self._number(), self._number(), since, self._number(), peers, gone]
