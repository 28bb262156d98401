"""Answering peers that compare: without memory of who asked what, so that nobody can hold anything here.

A question is answered with a bounded amount, and all questions together with a bounded rate: a thousand joiners at
once are told to ask others, not queued.
"""

from __future__ import annotations

from collections.abc import Iterator

from whoismesh.compounds import Run
from whoismesh.gossip.events import Exchanged
from whoismesh.gossip.logs import MOST_CREDIT_BYTES, Logs, hash_of
from whoismesh.messages import Compare, Digest, Discovered, Members, Sent

#: What a node sends in answers at most, bytes a second: 32 Mbit/s, a tenth of what a small cloud host can; a joiner
#: takes in less (about 150,000 blocks a second, 700 kB).
SERVED_BYTES_S = 4 * 1024 * 1024
#: A question costs at least this, bytes: what it takes to look at it.
LEAST_COST_BYTES = 1_024
#: So much more for each log that is gone through, and for each member that is named.
LOG_COST_BYTES, MEMBER_BYTES = 64, 32
#: Runs that are sent together are as long as this, bytes: the receiver does other things between two messages.
MESSAGE_BYTES = 4 * 1024


class Responder:
    """Answers for the logs of a node."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._spent_bytes = 0.0
        self._spent_at = 0.0

    def digest(self, crawl: bytes, members: tuple[int, int], credit_bytes: int = MOST_CREDIT_BYTES) -> Digest:
        """Return what this node has."""
        accepted, tails = self._logs.have()
        return Digest(crawl, accepted, dict(tails), members, credit_bytes, self._logs.accepted_log.hash_at(accepted))

    def answer(self, message: Compare | Digest, members: Members, now: float) -> list[Exchanged]:
        """Return the answer to a question; `members` is the list of this node."""
        crawl, version = message.crawl, (members.epoch, members.version)
        if self._busy(now):
            return [Sent(crawl, True, True)]
        self._logs.trim(now)
        self._spent_bytes += LEAST_COST_BYTES + LOG_COST_BYTES * len(self._logs.tails)
        if isinstance(message, Compare):
            have = self._logs.have()
            if hash_of(have, version, self._logs.accepted_log.hash_at(have[0])) == message.hash:
                return [Sent(crawl, False, False)]
            return [self.digest(crawl, version)]
        out: list[Exchanged] = []
        if message.members is not None and message.members < version:
            out.append(members)
            self._spent_bytes += MEMBER_BYTES * len(members.peers)
        agreed = self._logs.agrees(message.accepted, message.log_hash)
        if not agreed:
            ours = self._logs.accepted_log.hash_at(message.accepted)
            out.append(Digest(crawl, message.accepted, {}, version, MOST_CREDIT_BYTES, ours))
        theirs, credit_bytes = (message.accepted, message.tails), min(message.credit_bytes, MOST_CREDIT_BYTES)
        runs = list(self._logs.delta(theirs, credit_bytes, agreed=agreed))
        out += messages_of(crawl, iter(runs))
        sent = {each.origin: each.last for each in runs}
        self._spent_bytes += sum(len(each.blocks.packed) for each in runs)
        accepted, tails = self._logs.have()
        more = max(message.accepted, sent.get(0, 0)) < accepted or any(
            max(message.tails.get(origin, 0), sent.get(origin, 0)) < last for origin, last in tails.items()
        )
        return [*out, Sent(crawl, more, False)]

    def _busy(self, now: float) -> bool:
        self._spent_bytes = max(0.0, self._spent_bytes - (now - self._spent_at) * SERVED_BYTES_S)
        self._spent_at = now
        return self._spent_bytes >= SERVED_BYTES_S


def messages_of(crawl: bytes, runs: Iterator[Run]) -> Iterator[Discovered]:
    """Yield runs as messages of about MESSAGE_BYTES."""
    together: list[Run] = []
    size = 0
    for run in runs:
        if together and size + len(run.blocks.packed) > MESSAGE_BYTES:
            yield Discovered(crawl, tuple(together))
            together, size = [], 0
        together.append(run)
        size += len(run.blocks.packed)
    if together:
        yield Discovered(crawl, tuple(together))
