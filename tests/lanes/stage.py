"""What the tests of the worker's engine are told with: a worker with a clock, and what it did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from replies import BASES

from whoismesh.addresses import Range, parse_address
from whoismesh.answers import Reply
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import LeaseGrant, Peer, Result, Run
from whoismesh.gossip import events as gossip
from whoismesh.lanes import Lanes
from whoismesh.lanes.events import Ask, Event, Instruction, Keep, Received, Replied, Send, Tick
from whoismesh.lanes.lane import Lane
from whoismesh.messages import Discovered, Leases, Members, Message, Metrics, Permits, Renew, Renewed, Welcome
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.audits import audit_lanes

CRAWL = b"0123456789abcdef"
OTHER = b"x" * 16
UNLIMITED = tuple(REGISTRIES)
#: Stands for the coordinator's clock when it says something (see Host.hear).
CLOCK = 0.0
#: The list of members that a worker is told of after its welcome: itself.
ALONE = Members(CRAWL, 1, 1, 0, 100, (Peer(7, "tcp://me:1"),), ())


def told(origin: int, first: int, *where: str, registry: str = "ripencc", crawl: bytes = CRAWL) -> gossip.Heard:
    """Return news of blocks: from the coordinator's feed if `origin` is 0, else from a peer."""
    blocks = Blocks.of(Block(registry, Range.parse(each)) for each in where)
    return gossip.Heard(Discovered(crawl, (Run(origin, first, None, blocks),)), origin == 0)


class Host:
    """A worker's engine with a clock; keeps what it did, without metrics and exchanges, which come every second."""

    def __init__(
        self,
        *,
        protocols: tuple[str, ...] = ("rdap",),
        connections: int = 1,
        host_rate: float = math.inf,
        unlimited: tuple[str, ...] = UNLIMITED,
        compare: float = 0.0,
        join: bool = True,
        origins: tuple[int, float] | None = None,
        assignments: dict[int, int] | None = None,
        bases: Mapping[str, str] = BASES,
    ) -> None:
        lanes = {registry: Lane(registry, protocols, host_rate, connections, compare) for registry in REGISTRIES}
        self.lanes = Lanes(lanes, bases, "host", lambda: 0.5, "tcp://me:1", origins=origins, assignments=assignments)
        self.now = 100.0
        self.unlimited = unlimited
        self.grants = 0
        if join:
            self.do(Tick())
            self.join()

    def do(self, event: Event, after_s: float = 0.0, *, paused: bool = False) -> list[Instruction]:
        self.now += after_s
        if not paused:
            self.lanes._membership._looked_in_at = self.now - min(after_s, 0.5)  # the shell ticks all the time
        out = self.lanes.handle(event, self.now)
        audit_lanes(self.lanes)
        assert self.lanes._stopped or self.lanes.wake_at(self.now) > self.now, "it would spin"
        return [
            each
            for each in out
            if not isinstance(each, gossip.Open | gossip.Say | gossip.Close)
            and not (isinstance(each, Send) and isinstance(each.message, Metrics))
        ]

    def join(self, origin: int = 7) -> list[Instruction]:
        """Be welcomed, and renew until the coordinator's clock is known; return what was done beside renewing."""
        out = self.hear(Welcome(CRAWL, origin, 1, 2, 3, 2.0, self.unlimited, CLOCK))
        out += [each for each in self.hear(ALONE) if each != gossip.Listen(())]
        while renewals := sent(out, Renew):
            out = [each for each in out if not (isinstance(each, Send) and isinstance(each.message, Renew))]
            out += self.hear(Renewed(CRAWL, (), False, CLOCK, renewals[0].asked_s))
        return out

    def hear(self, message: Message, after_s: float = 0.0) -> list[Instruction]:
        """Hear what the coordinator says; its clock is this one, and its messages take no time."""
        if isinstance(message, Welcome | Renewed | Permits):
            message = replace(message, clock_s=self.now + after_s)
        return self.do(Received(message), after_s)

    def renew(self) -> list[Instruction]:
        """Hear the answer to a renewal of this moment."""
        return self.hear(Renewed(CRAWL, (), False, CLOCK, self.now))

    def lease(
        self, *ranges: str, registry: str = "ripencc", verify: bool = False, first: bool = False, questions: int = 0
    ) -> list[Instruction]:
        self.grants += 1
        where = tuple(map(Range.parse, ranges))
        grant = LeaseGrant(self.grants, registry, where, first, verify, questions=questions)
        return self.hear(Leases(CRAWL, (grant,)))

    def answer(self, ask: Ask, reply: Callable[..., Reply], *more: Any, after_s: float = 0.1) -> list[Instruction]:
        return self.do(self.reply_to(ask, reply, *more), after_s)

    def reply_to(self, ask: Ask, reply: Callable[..., Reply], *more: Any) -> Replied:
        return Replied(ask.lookup, reply(ask, *more))

    def lane(self, registry: str = "ripencc") -> Lane:
        return self.lanes.lanes[registry]


def asks(out: list[Instruction]) -> list[Ask]:
    return [each for each in out if isinstance(each, Ask)]


def only_ask(out: list[Instruction]) -> Ask:
    (ask,) = asks(out)
    return ask


def kept(out: list[Instruction]) -> Result:
    (keep,) = (each for each in out if isinstance(each, Keep))
    return keep.result


def sent(out: list[Instruction], kind: type[Message]) -> list[Any]:
    return [each.message for each in out if isinstance(each, Send) and isinstance(each.message, kind)]


def number(text: str) -> int:
    return parse_address(text)[1]
