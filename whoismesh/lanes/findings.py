"""What this worker found and the coordinator does not have yet: numbered, sent, sent again, acknowledged."""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh.addresses import Range
from whoismesh.answers import Answer
from whoismesh.blocks import Block
from whoismesh.compounds import DISAGREEMENT, ORIGINS, Result
from whoismesh.lanes.events import Keep
from whoismesh.lanes.lane import Lookup
from whoismesh.registries import REGISTRIES

#: A result that is not acknowledged for this long is pushed again, seconds; doubled up to the second each time that
#: nothing at all was acknowledged in between, or a coordinator that is slow would be sent everything again and again.
RESEND_S, LONGEST_RESEND_S = 5.0, 60.0
#: Reasons are for people; a registry's page of text is cut to this many characters.
MOST_REASON = 500


class Findings:
    """The worker's results by (origin, sequence), with the time each was last sent.

    `recovered` are those of an earlier process, found in the spool.
    """

    def __init__(self) -> None:
        self.unacknowledged: dict[tuple[int, int], float] = {}
        self.recovered: set[tuple[int, int]] = set()
        self._resend_s = RESEND_S
        self._sequence = 0

    def recover(self, keys: Iterable[tuple[int, int]]) -> None:
        """Take in what the spool holds; it is due at once."""
        self.recovered = set(keys)
        self.unacknowledged.update(dict.fromkeys(self.recovered, 0.0))

    def keep(
        self,
        origin: int,
        lookup: Lookup,
        answer: Answer,
        now: float,
        *,
        payload: bytes = b"",
        block: Block | None = None,
    ) -> Keep:
        """Give a new result its number."""
        result = Result(
            origin=origin,
            sequence=self._sequence + 1,
            registry=lookup.registry,
            status=answer.status,
            asked=lookup.asked,
            range=block.range if block is not None else lookup.asked,
            elsewhere=answer.elsewhere,
            reason=answer.reason[:MOST_REASON],
            payload=payload,
        )
        return self._keep(result, block, now)

    def keep_origins(self, origin: int, network: Range, payload: bytes, now: float) -> Keep:
        """Give what Team Cymru told its number: a record that settles nothing. `network` is the first it tells of."""
        asked = Range(network.family, network.first, network.first)
        result = Result(origin, self._sequence + 1, REGISTRIES[0], ORIGINS, asked, asked, None, "", payload)
        return self._keep(result, None, now)

    def _keep(self, result: Result, block: Block | None, now: float) -> Keep:
        self._sequence = result.sequence
        self.unacknowledged[result.origin, result.sequence] = now
        return Keep(result, block)

    def record(
        self,
        origin: int,
        registry: str,
        status: str,
        asked: int,
        where: Range,
        now: float,
        *,
        payload: bytes = b"",
        block: Block | None = None,
    ) -> Keep:
        """Give a result of a descent its number: `where` is what it speaks of, `asked` an address in it."""
        address = Range(where.family, asked, asked)
        result = Result(origin, self._sequence + 1, registry, status, address, where, None, "", payload)
        return self._keep(result, block, now)

    def keep_disagreement(
        self, origin: int, lookup: Lookup, where: Range, fields: Iterable[str], payload: bytes, now: float
    ) -> Keep:
        """Give the other protocol's record of a network at `where` its number, with the fields in which it differs."""
        reason = ", ".join(fields)
        number = self._sequence + 1
        result = Result(origin, number, lookup.registry, DISAGREEMENT, lookup.asked, where, None, reason, payload)
        return self._keep(result, None, now)

    def acknowledged(self, origin: int, runs: Iterable[tuple[int, int]]) -> None:
        """Forget what is on the coordinator's disk: runs of (first, last) sequence numbers."""
        self._resend_s = RESEND_S
        for first, last in runs:
            # A run may name any numbers, so the shorter of it and what waits is gone through.
            if last - first < len(self.unacknowledged):
                keys = [(origin, sequence) for sequence in range(first, last + 1)]
            else:
                keys = [key for key in self.unacknowledged if key[0] == origin and first <= key[1] <= last]
            for key in keys:
                self.unacknowledged.pop(key, None)
                self.recovered.discard(key)

    def overdue(self, now: float) -> bool:
        """Tell whether anything was sent long ago and is not acknowledged."""
        return any(sent_at < now - self._resend_s for sent_at in self.unacknowledged.values())

    def sent(self, now: float) -> None:
        """Note that everything was sent again."""
        self._resend_s = min(2 * self._resend_s, LONGEST_RESEND_S)
        self.unacknowledged = dict.fromkeys(self.unacknowledged, now)
