"""200,000 hostile frames: nothing is raised, nothing impossible is believed, all ends, and all is counted.

Each part is a node, an honest peer and a coordinator, among whom things happen meanwhile; then the attack is over, and
what honest processes have found must be everywhere.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hostile_frames import Attacker
from small_mesh import CRAWL, Coordinator, Node, block, carried

from whoismesh.addresses import Range
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import Run
from whoismesh.errors import MessageError
from whoismesh.gossip import guard, logs, replica
from whoismesh.gossip.events import Answered, Asked, Heard, Learned, Publish, Tick
from whoismesh.gossip.guard import MOST_ORIGINS
from whoismesh.ledger import events as ledger
from whoismesh.ledger.hearsay import ADOPT_S
from whoismesh.messages import MAX_SENT_BYTES, Compare, Digest, Discovered, Members, Message, Sent, decode, encode

pytestmark = pytest.mark.slow

PARTS, FRAMES = 16, 12_500
MEMBERS = 8
#: Limits of the engines, made so low that the attack reaches them.
MOST_LOGS, MOST_ENTRIES = 6, 1_500
VICTIM, HONEST = 1, 2
IN_EXCHANGES = (Compare, Digest, Sent, Discovered, Members)


class Attack:
    """One part. What is refused for whom it comes from is counted here a second time, by rules of its own."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.attacker = Attacker(self.chance)
        self.coordinator = Coordinator(MEMBERS)
        self.victim, self.honest = Node(VICTIM, MEMBERS), Node(HONEST, MEMBERS)
        self.now = 1.0
        self.expected: Counter[str] = Counter()
        self.accepted: dict[int, int] = {VICTIM: 0, HONEST: 0}
        self.found: dict[int, list[int]] = {VICTIM: [], HONEST: []}
        self.looked_at = 0

    def play(self) -> None:
        """Let it all happen, beginning with a block in space that IANA gave to nobody: chance makes few of those."""
        nowhere = Block("arin", Range.parse("3000::/16"))
        self.handle(Heard(carried(Discovered(CRAWL, (Run(MEMBERS, 1, None, Blocks.of([nowhere])),))), on_feed=False))
        for turn in range(FRAMES):
            self.now += self.chance.expovariate(500)
            self.hostile(self.attacker.frame())
            if turn % 25 == 0:
                # Honest nodes pass on what they believed of the attacker: it is not counted a second time.
                before = self.refused()
                self.something_honest()
                self.expected += self.refused() - before
            if turn % 500 == 0:
                self.look()
        self.look()

    # -- the attack ---------------------------------------------------------------------------------------------

    def hostile(self, frame: bytes) -> None:
        """Have a frame come in somewhere, as the shells let it in."""
        try:
            message = decode(frame)
        except MessageError:
            self.expected["no message"] += 1
            return
        self.expected["messages"] += 1
        socket = self.chance.randrange(4)
        if socket == 0 and isinstance(message, Discovered):
            self.expect(message)
            self.handle(Heard(message, on_feed=False))
        elif socket == 1 and isinstance(message, Compare | Digest | Discovered | Members):
            self.expect(message)
            self.handle(Asked(b"attacker", message))
            self.coordinator.handle(ledger.Asked(b"attacker", message), self.now)
        elif socket == 2 and isinstance(message, Digest | Sent | Discovered | Members):
            self.expect(message)
            number = self.victim.gossip.exchanges._number - (self.chance.random() < 0.1)
            self.handle(Answered(number, message))
        elif isinstance(message, IN_EXCHANGES):  # what the sockets let nobody say, and the engine need not believe
            self.expect(message)
            self.handle(Asked(b"attacker", message))
            self.coordinator.handle(ledger.Asked(b"attacker", message), self.now)

    def handle(self, event: Heard | Asked | Answered | Tick) -> None:
        """Let the victim take an event in."""
        for instruction in self.victim.gossip.handle(event, self.now):
            if isinstance(instruction, Learned):
                assert all(guard.why_not(each.range) is None for each in instruction.blocks)
            message = getattr(instruction, "message", None)
            if isinstance(message, Message):
                frame = encode(message)
                assert len(frame) < MAX_SENT_BYTES and decode(frame) == message, "what it says others can read"
                if isinstance(instruction, Publish):
                    self.attacker.heard.append(frame)

    def expect(self, message: Message) -> None:
        """Count what has to be refused at the victim whatever else is known."""
        if message.crawl != CRAWL:
            self.expected["another crawl"] += 1
        elif isinstance(message, Discovered):
            for run in message.runs:
                if run.origin == VICTIM:
                    if run.last > self.victim.sequence:
                        self.expected[guard.NOT_MINE] += len(run.blocks)
                elif run.origin > self.victim.gossip.peers.given:
                    self.expected[guard.NOT_GIVEN] += len(run.blocks)

    # -- meanwhile ----------------------------------------------------------------------------------------------

    def something_honest(self) -> None:
        """Let an honest node find something, or the coordinator get it, or the two of them compare."""
        self.handle(Tick())
        origin = self.chance.choice((VICTIM, HONEST))
        node = self.victim if origin == VICTIM else self.honest
        match self.chance.randrange(4):
            case 0:
                numbers = [origin * 10_000 + len(self.found[origin]) + each for each in range(self.chance.randrange(4))]
                if numbers:
                    told = node.find(numbers, self.now)
                    self.found[origin] += numbers
                    self.attacker.heard.append(encode(told))
                    if self.chance.random() < 0.5:
                        other = self.honest if node is self.victim else self.victim
                        other.gossip.handle(Heard(carried(told), on_feed=False), self.now)
            case 1:
                self.accept(origin)
            case 2:
                if HONEST in self.victim.gossip.peers.members:
                    self.victim.compare_with(self.honest, self.now)
            case 3:
                self.with_coordinator(self.honest)
        del self.attacker.heard[:-50]

    def accept(self, origin: int) -> None:
        """Let the coordinator get what is new of an origin; the victim hears half of it on the feed."""
        numbers = self.found[origin][self.accepted[origin] :]
        for each in self.coordinator.accept(origin, self.accepted[origin] + 1, numbers, self.now):
            self.attacker.heard.append(encode(each))
            if self.chance.random() < 0.5:
                self.victim.gossip.handle(Heard(carried(each), on_feed=True), self.now)
        self.accepted[origin] += len(numbers)

    def with_coordinator(self, node: Node) -> None:
        """Let a node compare with the coordinator, when it has time."""
        self.now += 2.0
        node.exchange(0, lambda sender, message: self.coordinator.answer(sender, message, self.now), self.now)

    def refused(self) -> Counter[str]:
        """Return what the victim has refused, by reason."""
        return self.victim.gossip.replica.guard.by_reason()

    # -- what must hold -----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look whether all is within its bounds."""
        known = list(self.victim.gossip.replica.table)
        assert all(guard.why_not(each) is None for each, _ in known[self.looked_at :])
        self.looked_at = len(known)
        there = self.victim.gossip.replica
        honest = {block(number).range for numbers in self.found.values() for number in numbers}
        assert {each.range for each in self.coordinator.ledger.log if each} <= honest, "the attacker settled something"
        assert there._ahead_bytes <= replica.MOST_AHEAD_BYTES and len(there._ahead) < 1_000
        assert sum(not each for each in there._is_accepted) == there._unaccepted <= MOST_ENTRIES + len(honest)
        for each in (there.logs, self.coordinator.ledger._hearsay._logs):
            assert len(each.tails) <= MOST_LOGS
            assert sum(tail.last - tail.floor for tail in each.tails.values()) <= MOST_ENTRIES + len(honest)
        assert len(there.guard.refused) <= 8 * (MOST_ORIGINS + 1)
        assert len(encode(self.victim.gossip.peers.whole(CRAWL))) < MAX_SENT_BYTES

    def counted(self) -> None:
        """Check that what had to be refused is in the counters."""
        refused = self.refused()
        for reason in (guard.NOT_MINE, guard.NOT_GIVEN):
            assert refused[reason] == self.expected[reason] > 0
        counters = self.victim.gossip.counters
        assert counters["messages_of_another_crawl"] == self.expected["another crawl"] > 0
        for reason in (guard.MALFORMED, guard.RESERVED, guard.TOO_WIDE, guard.NOT_DELEGATED, guard.TOO_MANY):
            assert refused[reason] > 0, reason
        assert self.coordinator.ledger._hearsay.guard.by_reason()[guard.NOT_THE_COORDINATOR] > 0
        assert self.expected["messages"] > FRAMES / 2 and self.expected["no message"] > FRAMES / 20

    def after(self) -> None:
        """The attack is over: the coordinator gets all results, and one exchange with it repairs everything."""
        for origin in self.found:
            self.accept(origin)
        for node in (self.victim, self.honest):
            self.with_coordinator(node)
        log = list(self.coordinator.ledger.log)
        for node in (self.victim, self.honest):
            assert list(node.gossip.replica.logs.accepted_log)[: len(log)] == log
            assert {each.range for each in log if each} <= node.known
            assert node.gossip.peers.members.keys() >= set(range(1, MEMBERS + 1))
        assert len(log) == sum(map(len, self.found.values())) > 100
        self.victim.compare_with(self.honest, self.now + 3.0)

    def everybody_gone(self) -> None:
        """What the dead have left, or somebody said so, is adopted if it can be true, once; then there is no trace."""
        self.now += 30.0
        for _ in range(4):
            self.coordinator.handle(ledger.Tick(), self.now)
            self.now += 1.0 if self.coordinator.ledger.workers else ADOPT_S
        assert not self.coordinator.ledger.workers
        assert all(each and guard.why_not(each.range) is None for each in self.coordinator.ledger.log)
        assert self.coordinator.ledger._hearsay._logs.have()[1] == {}


@pytest.mark.parametrize("seed", range(PARTS))
def test_hostile_frames_do_no_lasting_harm(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_TAILS", MOST_LOGS)
    monkeypatch.setattr(logs, "MOST_WAITING_ENTRIES", MOST_ENTRIES)
    monkeypatch.setattr(replica, "MOST_WAITING_ENTRIES", MOST_ENTRIES)
    attack = Attack(seed)
    attack.play()
    attack.counted()
    attack.after()
    attack.everybody_gone()


def test_there_are_enough_frames() -> None:
    assert PARTS * FRAMES >= 200_000
