"""What becomes of a lookup: a result, a wait, another try, or another registry's turn.

Rules of this file:
- An answer that names a network closes its whole range in every lane; "not found" closes a block; all else gives the
gap back.
- Both protocols' answers about one address are compared wherever there are two: because the first could not tell, or
because the lookup is of the share to be compared. What differs goes to the coordinator beside the network.
- A network that is known waits for one more question, to compare, and for nothing that goes wrong with it.
- A failure is the address's until five addresses in a row have failed: then it is the registry's, and the lane waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.answers import CANNOT_TELL, Answer, Reply, Status, understand
from whoismesh.answers.disagreement import Claim, claim_of, differing
from whoismesh.blocks import Block
from whoismesh.gossip import Gossip
from whoismesh.grain import smallest_block
from whoismesh.lanes.descents import Descents
from whoismesh.lanes.events import Broken, Instruction, Note, Replied, Send
from whoismesh.lanes.findings import Findings
from whoismesh.lanes.lane import Lane, Lookup
from whoismesh.lanes.origins import Origins
from whoismesh.ledger.budgets import MAX_WAIT_S
from whoismesh.messages import Return, Signal
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.rangesets import RangeSet

#: Tries of one lookup at one host by one protocol, the wait before the second (doubled after), seconds.
TRIES, RETRY_S = 3, 0.5
#: Failures in a row, of different addresses, after which the registry and not the address is the trouble.
FAILURES_IN_A_ROW = 5
#: Redirects that one lookup follows (RFC 7480 section 5.2 warns of loops).
MOST_REDIRECTS = 5
#: A "slow down" without a time makes this host wait so long; the coordinator paces it after that.
LIMITED_PAUSE_S = 5.0
#: What tells nothing of a registry's health, or nothing good.
NO_ANSWER = (Status.FAILED, Status.MALFORMED, Status.LIMITED, Status.BANNED)


class Outcomes:
    """The part of a worker's engine that takes answers in. It shares lanes, gossip, findings and counters with it."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        bases: Mapping[str, str],
        gossip: Gossip,
        findings: Findings,
        counters: Counter[str],
        origins: Origins | None = None,
        descents: Descents | None = None,
    ) -> None:
        self._lanes = lanes
        self._bases = bases
        self._gossip = gossip
        self._findings = findings
        self._counters = counters
        self._descents = descents
        self._origins = origins

    def _lookup(self, number: int, now: float) -> tuple[Lane, Lookup] | None:
        for lane in self._lanes.values():
            lookup = lane.take_lookup(number, now)
            if lookup is not None:
                return lane, lookup
        return None

    def ended(self, event: Replied | Broken, now: float) -> list[Instruction]:
        """Take in what came of a lookup."""
        return self._broken(event, now) if isinstance(event, Broken) else self._replied(event.lookup, event.reply, now)

    def _replied(self, number: int, reply: Reply, now: float) -> list[Instruction]:
        found = self._lookup(number, now)
        if found is None:
            return []
        lane, lookup = found
        if lookup.question is not None:
            return self._listed(lane, lookup, reply, now)
        answer = understand(reply, self._bases)
        self._counters[f"answers_{answer.status}"] += 1
        if claim := claim_of(reply, answer):
            lookup.claims[reply.protocol] = claim
        if answer.status is Status.TRUNCATED:
            lookup.part = answer.network or lookup.part
        if answer.status not in NO_ANSWER or answer.reason.startswith(CANNOT_TELL):
            lane.answered(now)
        match answer.status:
            case Status.ELSEWHERE if answer.elsewhere == lookup.registry and answer.url:
                return self._redirected(lane, lookup, answer, now)
            case _ if lookup.known is not None:
                return self._compared(lane, lookup, lookup.known, answer, now)
            case Status.NETWORK if answer.network is not None:
                if not lookup.claims.keys() - {reply.protocol} and lane.is_to_compare(lookup, now):
                    lookup.known = answer
                    self._next_protocol(lane, lookup)
                    return []
                return self._found(lane, lookup, answer, answer.network, now)
            case Status.UNALLOCATED | Status.POOL:
                if iana.home_of(lookup.asked) == lane.registry:
                    lane.aims.wrong(lookup.family, lookup.address)
                    lane.close(self._empty_block(lookup.asked))
                else:
                    # Only a hint sent the question here: the registry that has the space must say so too.
                    lane.give_up(lookup)
                return [self._findings.keep(self._gossip.origin, lookup, answer, now)]
            case Status.ELSEWHERE | Status.PLACEHOLDER:
                lane.give_up(lookup)
                return [self._findings.keep(self._gossip.origin, lookup, answer, now)]
            case Status.LIMITED:
                lane.again.append(lookup)
                return self._limited(lane, lookup, answer, now)
            case Status.BANNED:
                return self._banned(lane, answer, now)
        return self._failed(lane, lookup, answer, now)

    def _next_protocol(self, lane: Lane, lookup: Lookup) -> None:
        lookup.protocol += 1
        lookup.tries, lookup.url, lookup.hops = 0, None, ()
        lane.again.append(lookup)

    def _compared(self, lane: Lane, lookup: Lookup, known: Answer, answer: Answer, now: float) -> list[Instruction]:
        """Keep a network, whatever the other protocol says of it: that it knows of none, too, or fails, is counted."""
        assert known.network is not None, "what is compared is a network"
        claims = lookup.claims.keys() - {known.network.source}
        self._counters[f"{'compared' if claims else 'not_compared'}_{lookup.registry}"] += 1
        out = self._found(lane, lookup, known, known.network, now)
        match answer.status:
            case Status.LIMITED:
                out += self._limited(lane, lookup, answer, now)
            case Status.BANNED:
                out += self._banned(lane, answer, now)
        return out

    def keep_known(self, lane: Lane, now: float) -> list[Instruction]:
        """Keep the networks that only wait to be compared: their registry is not to be asked for a while."""
        out: list[Instruction] = []
        for lookup in [each for each in lane.again if each.known is not None]:
            lane.again.remove(lookup)
            out += self._failed(lane, lookup, Answer(Status.FAILED), now)
        return out

    def _listed(self, lane: Lane, lookup: Lookup, reply: Reply, now: float) -> list[Instruction]:
        """Take in the answer to a question of a descent."""
        assert self._descents is not None  # nobody else asks any
        listing = self._descents.listing(lookup, reply)
        failure = listing.failure
        self._counters[f"answers_{failure.status if failure is not None else 'list'}"] += 1
        if failure is None:
            lane.answered(now)
            return self._descents.listed(lookup, listing, now)
        if failure.status is Status.LIMITED:
            lane.again.append(lookup)
            return self._limited(lane, lookup, failure, now)
        if failure.status is Status.BANNED:
            return self._banned(lane, failure, now)
        if listing.unsupported:
            lane.answered(now)
            return self._descents.failed(lookup, now, for_good=True)
        return self._question_failed(lane, lookup, failure, now)

    def _question_failed(self, lane: Lane, lookup: Lookup, answer: Answer, now: float) -> list[Instruction]:
        """Ask a question of a descent again, or have it go on another way."""
        assert self._descents is not None
        lane.failing.add((lookup.family, lookup.address))
        if len(lane.failing) >= FAILURES_IN_A_ROW:
            return self._out_of_reach(lane, answer.reason, now)
        lookup.tries += 1
        if not answer.transient or lookup.tries >= TRIES or not self._descents.goes_on(lookup):
            return self._descents.failed(lookup, now)
        lookup.not_before = now + RETRY_S * 2 ** (lookup.tries - 1)
        lane.again.append(lookup)
        return []

    def _found(self, lane: Lane, lookup: Lookup, answer: Answer, network: Network, now: float) -> list[Instruction]:
        """Keep a network, and before it what another protocol said that differs: so it never comes after the end."""
        out: list[Instruction] = []
        for protocol, claim in lookup.claims.items():
            fields = differing(Claim(network), claim) if protocol != network.source else ()
            if fields:
                payload = pack(claim.network.shortened().to_map())
                where = network.range
                out.append(self._findings.keep_disagreement(self._gossip.origin, lookup, where, fields, payload, now))
                self._counters.update(f"disagreements_{lookup.registry}_{field}" for field in fields)
        if self._descents is not None:
            return out + self._descents.begin(lane, lookup, answer, network, now)
        block = Block(network.registry, network.range)
        self._gossip.learn(block)
        for each in self._lanes.values():
            each.close(network.range)
        if self._origins is not None:
            self._origins.found(lookup.registry, network.range)
        payload = pack(network.shortened().to_map())
        out.append(self._findings.keep(self._gossip.origin, lookup, answer, now, payload=payload, block=block))
        return out

    def _empty_block(self, asked: Range) -> Range:
        """Return the block that a "not found" closes: all of it where gossip knows a holder, who is not believed."""
        known = self._gossip.replica.table.coverage
        if known.holds(asked.family, asked.first):
            return smallest_block(asked)
        return self._gossip.replica.grain.empty_block(asked, known)

    def _redirected(self, lane: Lane, lookup: Lookup, answer: Answer, now: float) -> list[Instruction]:
        url = answer.url or ""
        if url in lookup.hops or len(lookup.hops) >= MOST_REDIRECTS:
            return self._failed(lane, lookup, Answer(Status.FAILED, reason=f"redirects go on after {url}"), now)
        lookup.hops += (url,)
        lookup.url = url
        lane.again.append(lookup)
        return []

    def _limited(self, lane: Lane, lookup: Lookup, answer: Answer, now: float) -> list[Instruction]:
        wait_s = None if answer.retry_after_s is None else min(answer.retry_after_s, MAX_WAIT_S)
        lane.paused_until = max(lane.paused_until, now + max(LIMITED_PAUSE_S, wait_s or 0.0))
        lookup.not_before = lane.paused_until
        out = self.keep_known(lane, now)
        if answer.host_only:
            return out  # too many connections from here: nobody else's business
        lane.revoke_permits()
        lane.limited_until = max(lane.limited_until, lane.paused_until)
        return [
            *out,
            Send(Signal(self._gossip.crawl, self._gossip.origin, lane.registry, "limited", wait_s, answer.reason)),
        ]

    def _banned(self, lane: Lane, answer: Answer, now: float) -> list[Instruction]:
        """Close the lane for good and hand its leases back: only a person can mend this."""
        lane.closed = True
        out: list[Instruction] = [
            Note("host_banned", {"registry": lane.registry, "reason": answer.reason}, "error"),
            Send(Signal(self._gossip.crawl, self._gossip.origin, lane.registry, "banned", None, answer.reason)),
        ]
        return out + self.give_back(lane, now)

    def _failed(self, lane: Lane, lookup: Lookup, answer: Answer, now: float) -> list[Instruction]:
        """Try again, by another protocol where this one cannot tell, or leave it to the coordinator."""
        if lookup.known is not None:
            return self._compared(lane, lookup, lookup.known, answer, now)
        if not answer.reason.startswith(CANNOT_TELL) and answer.status is not Status.TRUNCATED:
            lane.failing.add((lookup.family, lookup.address))
        if len(lane.failing) >= FAILURES_IN_A_ROW:
            return self._out_of_reach(lane, answer.reason, now)
        lookup.tries += 1
        if answer.transient and lookup.tries < TRIES:
            lookup.not_before = now + RETRY_S * 2 ** (lookup.tries - 1)
        elif lookup.protocol + 1 < len(lane.protocols):
            self._next_protocol(lane, lookup)
            return []
        elif lookup.part is not None:
            # A part of an answer that never came whole: better than none.
            return self._found(lane, lookup, replace(answer, status=Status.NETWORK), lookup.part, now)
        else:
            lane.give_up(lookup)
            failed = answer if answer.status is Status.MALFORMED else replace(answer, status=Status.FAILED)
            return [self._findings.keep(self._gossip.origin, lookup, failed, now)]
        lane.again.append(lookup)
        return []

    def _broken(self, event: Broken, now: float) -> list[Instruction]:
        found = self._lookup(event.lookup, now)
        if found is None:
            return []
        lane, lookup = found
        self._counters["answers_failed"] += 1
        if lookup.question is not None:
            if not event.unreachable:
                failed = Answer(Status.FAILED, reason=event.reason, transient=True)
                return self._question_failed(lane, lookup, failed, now)
            if lookup.protocol and self._descents is not None:
                return self._descents.failed(lookup, now)
            return self._out_of_reach(lane, event.reason, now)
        if not event.unreachable or lookup.known is not None:
            return self._failed(lane, lookup, Answer(Status.FAILED, reason=event.reason, transient=True), now)
        if lookup.protocol + 1 < len(lane.protocols):
            self._next_protocol(lane, lookup)
            return []
        return self._out_of_reach(lane, event.reason, now)

    def _out_of_reach(self, lane: Lane, reason: str, now: float) -> list[Instruction]:
        """Wait, longer each time: the registry is the trouble, not the address. Others may reach it meanwhile."""
        if now < lane.paused_until:
            return self.give_back(lane, now)
        wait_s = lane.pause(now)
        lane.failing.clear()
        return [
            Note("registry_unreachable", {"registry": lane.registry, "reason": reason, "wait_s": wait_s}, "warning"),
            Send(Signal(self._gossip.crawl, self._gossip.origin, lane.registry, "unreachable", None, reason)),
            *self.give_back(lane, now),
        ]

    def give_back(self, lane: Lane, now: float, *, wait: bool = False) -> list[Instruction]:
        """Return all leases of a lane; what is being asked at this moment is not for somebody else.

        With `wait`, a lease in which something is being asked is kept until it is known what the answer leaves of it.
        """
        out = self.keep_known(lane, now)
        if self._descents is not None:
            self._descents.abandon(lane)
        for number, lease in list(lane.leases.items()):
            if wait and any(lease.ranges.holds(each.family, each.address) for each in lane.lookups.values()):
                continue
            unasked = tuple(RangeSet(lane.unasked(lease)))
            out.append(Send(Return(self._gossip.crawl, self._gossip.origin, number, unasked)))
            lane.drop_lease(number)
        return out
