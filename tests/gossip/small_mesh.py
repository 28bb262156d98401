"""A few gossip engines and a coordinator's, with no network between them: what one says the other hears, as frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from whoismesh.addresses import Range, parse_space
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import Peer, Result
from whoismesh.gossip import Gossip
from whoismesh.gossip.engine import NEWS_S
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Close,
    Exchanged,
    Found,
    Heard,
    Instruction,
    Publish,
    Reply,
    Say,
    Tick,
)
from whoismesh.gossip.peers import COORDINATOR, Peers
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger import events as ledger
from whoismesh.messages import Discovered, Join, Members, Results, decode, encode
from whoismesh.registries import REGISTRIES

CRAWL = b"0123456789abcdef"

Answer = Callable[[bytes, Exchanged], list[Exchanged]]


class Chance:
    """A source of chance that says what it is told to."""

    def __init__(self) -> None:
        self.value = 0.5

    def __call__(self) -> float:
        return self.value


def block(number: int, registry: str = "ripencc") -> Block:
    """Return one of many blocks that can be true: IPv4 /24s in 193/8 to 195/8, then IPv6 /48s."""
    if number < 3 << 16:
        first = (193 << 24) + (number << 8)
        return Block(registry, Range(4, first, first + 255))
    first = (0x2A00 << 112) + (number << 80)
    return Block(registry, Range(6, first, first + (1 << 80) - 1))


def blocks(numbers: Iterable[int]) -> Blocks:
    """Return such blocks, packed."""
    return Blocks.of(map(block, numbers))


def carried(message: Exchanged) -> Exchanged:
    """Return a message as it arrives: its frame is made and read."""
    return decode(encode(message))  # type: ignore[return-value]


class Node:
    """One engine, and what it last published."""

    def __init__(self, origin: int, members: int, peers: Peers | None = None) -> None:
        self.chance = Chance()
        self.gossip = Gossip(self.chance, peers)
        self.gossip.join(CRAWL, origin, 0.0)
        self.sequence = 0
        self.exchanges = 0
        listed = tuple(Peer(each, f"tcp://10.0.0.{each}:7700") for each in range(1, members + 1))
        self.gossip.handle(Heard(Members(CRAWL, 1, 1, 0, members, listed, ()), on_feed=True), 0.0)

    @property
    def known(self) -> set[Range]:
        """All blocks that are hits here."""
        return {each for each, _ in self.gossip.replica.table}

    def find(self, numbers: Iterable[int], now: float = 0.0) -> Discovered:
        """Let it find blocks; return what it publishes."""
        found = list(map(block, numbers))
        for each in found:
            self.gossip.learn(each)
        out = self.gossip.handle(Found(self.sequence + 1, Blocks.of(found)), now)
        out += self.gossip.handle(Tick(), now + NEWS_S)
        self.sequence += len(found)
        told = [each.message for each in out if isinstance(each, Publish)]
        return Discovered(CRAWL, tuple(run for each in told for run in each.runs))

    def answer(self, sender: bytes, message: Exchanged, now: float) -> list[Exchanged]:
        """Return what it answers."""
        out = self.gossip.handle(Asked(sender, message), now)
        return [each.message for each in out if isinstance(each, Reply)]

    def begin(self, partner: int, now: float) -> list[Instruction]:
        """Let it begin an exchange with a member, whatever chance says."""
        exchanges, peers = self.gossip.exchanges, self.gossip.peers
        exchanges.open, exchanges.next_at = None, now
        able = [each for each in (COORDINATOR, *peers.members) if each != peers.origin]
        self.chance.value = (able.index(partner) + 0.5) / len(able)
        peers.answered(partner)
        out = self.gossip.handle(Tick(), now)
        self.chance.value = 0.5
        return out

    def exchange(self, partner: int, answer: Answer, now: float) -> None:
        """Let it compare with a partner until it closes."""
        todo = self.begin(partner, now)
        number = self.gossip.exchanges._number
        while todo:
            match todo.pop(0):
                case Say(message):
                    for each in answer(b"asker", carried(message)):
                        todo += self.gossip.handle(Answered(number, carried(each)), now)
                case Close():
                    return
        raise AssertionError("the exchange did not end")

    def compare_with(self, other: Node, now: float) -> None:
        """Let it compare with another node."""
        self.exchange(other.gossip.origin, lambda sender, message: other.answer(sender, message, now), now)


class Coordinator:
    """A ledger engine with a disk that is never late."""

    def __init__(self, members: int) -> None:
        self.ledger = Ledger(CRAWL, parse_space(["193.0.0.0/8"]), {each: Budget(1e9, 1e9) for each in REGISTRIES})
        for number in range(1, members + 1):
            join = Join(b"", f"host:{number}", f"tcp://10.0.0.{number}:7700", number, ())
            self.handle(ledger.Received(b"%d" % number, join), 0.0)

    def handle(self, event: ledger.Event, now: float) -> list[ledger.Instruction]:
        """Let it take an event in, and store what it says."""
        out = []
        todo = self.ledger.handle(event, now)
        while todo:
            instruction = todo.pop(0)
            if isinstance(instruction, ledger.Store):
                todo += self.ledger.handle(ledger.Stored(instruction.results), now)
            else:
                out.append(instruction)
        return out

    def accept(self, origin: int, first: int, numbers: Iterable[int], now: float) -> list[Discovered]:
        """Let results of an origin arrive; return what the feed tells."""
        results = []
        for sequence, number in enumerate(numbers, first):
            found = block(number)
            asked = Range(found.range.family, found.range.first, found.range.first)
            results.append(Result(origin, sequence, found.registry, "network", asked, found.range, None, "", b""))
        out = self.handle(ledger.Collected(Results(CRAWL, tuple(results))), now)
        return [
            each.message for each in out if isinstance(each, ledger.Publish) and isinstance(each.message, Discovered)
        ]

    def answer(self, sender: bytes, message: Exchanged, now: float) -> list[Exchanged]:
        """Return what it answers."""
        out = self.handle(ledger.Asked(sender, message), now)
        return [each.message for each in out if isinstance(each, ledger.Reply)]
