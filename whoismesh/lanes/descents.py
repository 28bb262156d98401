"""The descents that a worker is on, and what becomes of their answers.

Rules of this file:
- What a descent finds goes out as records that settle nothing (`assignment`). Only when all of them are on the
coordinator's disk does the result follow that settles the network: a crash costs repeated questions, never a network.
- While a descent is under way its network is held: its gaps are not asked about, and its leases are kept.
- Where a registry cannot list, or the list makes no sense, its answer closes the smallest assignment around the address
asked and no more (`part`), so that the gaps lead to what else there is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from whoismesh.addresses import BITS, Range
from whoismesh.answers import Answer, Listing, Reply, Status, understand, understand_list
from whoismesh.blocks import Block
from whoismesh.compounds import ASSIGNMENT, PART
from whoismesh.gossip import Gossip
from whoismesh.lanes.descent import Descent, Way, is_final
from whoismesh.lanes.events import Instruction, Keep
from whoismesh.lanes.findings import Findings
from whoismesh.lanes.lane import Lane, Lookup
from whoismesh.lanes.origins import Origins
from whoismesh.networks import Network
from whoismesh.packing import pack
from whoismesh.rangesets import RangeSet

#: Registries whose port 43 knows -M, -L and -K: RIPE NCC's server and those made of it.
WITH_FLAGS = frozenset(("ripencc", "apnic", "afrinic"))
#: Descents in a row that one way has failed in, after which it is left for so many seconds.
FAILURES_TO_LEAVE, LEAVE_S = 5, 600.0
#: Blocks that one network is asked about by gaps, at the most; where there would be more, they are larger. So many has
#: an IPv4 /8 in /24s, and an IPv6 /32 in /48s.
MOST_BLOCKS = 1 << 16
#: Networks that were told of and are remembered, so that each is told of once; the rest is told of again.
MOST_TOLD = 100_000


@dataclass(slots=True)
class _Ending:
    """A descent that is through: what it settles, as soon as the records with these keys are acknowledged."""

    lane: Lane
    lookup: Lookup
    network: Network
    status: str
    settles: Range
    keys: set[tuple[int, int]]


class Descents:
    """The part of a worker's engine that looks for networks inside of networks.

    `lengths` are the prefix lengths of the smallest assignment by family, `bases` as for `understand`. Lanes, gossip,
    findings, counters and origins are shared with the engine.
    """

    def __init__(
        self,
        lengths: Mapping[int, int],
        lanes: Mapping[str, Lane],
        bases: Mapping[str, str],
        gossip: Gossip,
        findings: Findings,
        counters: Counter[str],
        origins: Origins | None,
    ) -> None:
        self._lengths = lengths
        self._lanes = lanes
        self._bases = bases
        self._gossip = gossip
        self._findings = findings
        self._counters = counters
        self._origins = origins
        self._descents: dict[int, tuple[Lane, Lookup, Descent]] = {}
        self._number = 0
        self._records: dict[int, set[tuple[int, int]]] = {}
        self._endings: list[_Ending] = []
        self._told: dict[tuple[str, Range], set[tuple[int, int]]] = {}
        self._small = RangeSet()
        self._failures: Counter[tuple[str, Way]] = Counter()
        self._left_until: dict[tuple[str, Way], float] = {}
        self._look = False

    # -- a network was found ------------------------------------------------------------------------------------

    def begin(self, lane: Lane, lookup: Lookup, answer: Answer, network: Network, now: float) -> list[Instruction]:
        """Take in an answer that names a network."""
        if not lane.open.holds(lookup.family, lookup.address):
            return []  # it is being descended into, or somebody else was faster
        self._note_small(network)
        way = self._way(lane, now, searchable=answer.relations is not None)
        told = self._told.get((lane.registry, network.range))
        if way is Way.GAPS and told is not None:
            self._end(lane, lookup, network, told, by_gaps=True)
            return []
        base = self._base(lane.registry) if network.source == "rdap" else ""
        descent = Descent(network, way, base, answer.relations)
        self._number += 1
        self._descents[self._number] = lane, lookup, descent
        self._records[self._number] = set()
        self._counters["descents"] += 1
        self._counters[f"descents_{way}"] += 1
        lane.hold(network.range)
        out: list[Instruction] = [self._tell(self._number, each, now) for each in answer.around]
        return out + self._go_on(self._number, now)

    def _way(self, lane: Lane, now: float, *, searchable: bool) -> Way:
        flags = lane.registry in WITH_FLAGS and "whois" in lane.protocols
        for way, offered in ((Way.SEARCH, searchable), (Way.FLAGS, flags)):
            if offered and now >= self._left_until.get((lane.registry, way), 0.0):
                return way
        return Way.GAPS

    def _base(self, registry: str) -> str:
        return next((base for base, known in self._bases.items() if known == registry and "://" in base), "")

    # -- answers ------------------------------------------------------------------------------------------------

    def listing(self, lookup: Lookup, reply: Reply) -> Listing:
        """Return what the answer to a question of a descent means."""
        assert lookup.question is not None
        if reply.protocol == "whois" and lookup.registry not in WITH_FLAGS:
            answer = understand(reply, self._bases)
            if answer.status is Status.NETWORK and answer.network is not None:
                return Listing((answer.network, *answer.around))
            return Listing() if answer.status in _NOBODY else Listing(failure=answer)
        return understand_list(reply, self._bases)

    def listed(self, lookup: Lookup, listing: Listing, now: float) -> list[Instruction]:
        """Take in what an answer lists."""
        found = self._descents.get(lookup.descent)
        if found is None or lookup.question is None:
            return []  # given up meanwhile
        lane, _, descent = found
        refused = descent.refused
        news = descent.listed(lookup.question, listing)
        self._counters["assignments_refused"] += descent.refused - refused
        lane.hold(descent.top.range)
        out: list[Instruction] = []
        for each in news:
            self._note_small(each)
            out.append(self._tell(lookup.descent, each, now))
        return out + self._go_on(lookup.descent, now)

    def goes_on(self, lookup: Lookup) -> bool:
        """Tell whether the descent of a question is still under way."""
        return lookup.descent in self._descents

    def failed(self, lookup: Lookup, now: float, *, for_good: bool = False) -> list[Instruction]:
        """Take in that a question got no answer that helps: go on another way. `for_good`: it never will."""
        found = self._descents.get(lookup.descent)
        if found is None:
            return []
        lane, _, descent = found
        if descent.way is Way.GAPS:
            descent.dropped()
            return self._go_on(lookup.descent, now)
        self._count_failure(lane.registry, descent.way, now, for_good=for_good)
        self._forget_questions(lane, lookup.descent)
        flags = descent.way is Way.SEARCH and self._way(lane, now, searchable=False) is Way.FLAGS
        descent.change_way(Way.FLAGS if flags else Way.GAPS)
        # Under another number: what the old way still has under way meets no descent any more.
        self._number += 1
        self._descents[self._number] = self._descents.pop(lookup.descent)
        self._records[self._number] = self._records.pop(lookup.descent)
        return self._go_on(self._number, now)

    def _count_failure(self, registry: str, way: Way, now: float, *, for_good: bool) -> None:
        self._counters[f"descents_failed_{way}"] += 1
        self._failures[registry, way] += 1
        if for_good or self._failures[registry, way] >= FAILURES_TO_LEAVE:
            self._left_until[registry, way] = math.inf if for_good else now + LEAVE_S
            self._failures.pop((registry, way))

    def _go_on(self, number: int, now: float) -> list[Instruction]:
        lane, lookup, descent = self._descents[number]
        if not lane.held.meets(descent.top.range):
            self._drop(number)  # somebody else is through with it
            return []
        if not descent.over:
            self._ask(number, lane, lookup, descent)
            return []
        del self._descents[number]
        keys = self._records.pop(number)
        self._counters["descents_cut"] += descent.cut
        by_gaps = descent.way is Way.GAPS or descent.cut
        if not by_gaps:
            self._failures.pop((lane.registry, descent.way), None)
            self._end(lane, lookup, descent.top, keys, by_gaps=False)
            return []
        out: list[Instruction] = []
        for network in {descent.top.range: descent.top, descent.found.range: descent.found}.values():
            told = self._told.get((lane.registry, network.range))
            if told is not None:
                keys |= told
            elif network is not descent.found or not self._is_small(network):
                out.append(self._record(lane.registry, network, keys, now))
        self._end(lane, lookup, descent.found, keys, by_gaps=True)
        self._release(lane, descent.top.range)
        return out

    def _ask(self, number: int, lane: Lane, lookup: Lookup, descent: Descent) -> None:
        protocol = {Way.SEARCH: "rdap", Way.FLAGS: "whois"}.get(descent.way, descent.found.source)
        for question in descent.waiting:
            where = question.range
            again = Lookup(0, lane.registry, where.family, where.first, lane.protocols.index(protocol))
            again.url, again.question, again.descent = question.url or None, question, number
            lane.again.append(again)
        descent.waiting.clear()

    # -- results ------------------------------------------------------------------------------------------------

    def _tell(self, number: int, network: Network, now: float) -> Keep:
        return self._record(self._descents[number][0].registry, network, self._records[number], now)

    def _record(self, registry: str, network: Network, keys: set[tuple[int, int]], now: float) -> Keep:
        where = network.range
        keep = self._findings.record(
            self._gossip.origin, registry, ASSIGNMENT, where.first, where, now, payload=_payload(network)
        )
        key = keep.result.origin, keep.result.sequence
        keys.add(key)
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told[registry, where] = {key}
        self._counters["assignments"] += 1
        if self._origins is not None:
            self._origins.found(registry, where)
        return keep

    def _end(self, lane: Lane, lookup: Lookup, network: Network, keys: set[tuple[int, int]], *, by_gaps: bool) -> None:
        """Settle a network when its records are delivered: all of it, or by gaps the block that was asked about."""
        status, settles = str(Status.NETWORK), network.range
        if by_gaps and not self._is_small(network):
            status, settles = PART, self._block(lookup, network.range)
        self._endings.append(_Ending(lane, lookup, network, status, settles, set(keys)))
        self._look = True
        lane.hold(settles)

    def finish(self, now: float) -> list[Instruction]:
        """Settle the networks whose records are on the coordinator's disk."""
        out: list[Instruction] = []
        if not self._look:
            return out
        self._look = False
        for ending in self._endings:
            ending.keys = {key for key in ending.keys if key in self._findings.unacknowledged}
        ready = [ending for ending in self._endings if not ending.keys]
        if ready:
            self._endings = [ending for ending in self._endings if ending.keys]
        for ending in ready:
            if not ending.lane.held.meets(ending.settles):
                continue  # somebody else was faster, or the lease is gone
            origin, registry = self._gossip.origin, ending.lane.registry
            asked, where = ending.lookup.address, ending.settles
            if ending.status == PART:
                self._counters["parts"] += 1
                out.append(self._findings.record(origin, registry, PART, asked, where, now))
            else:
                block = Block(registry, where)
                self._gossip.learn(block)
                if self._origins is not None:
                    self._origins.found(registry, where)
                payload = _payload(ending.network)
                out.append(
                    self._findings.record(
                        origin, registry, ending.status, asked, where, now, payload=payload, block=block
                    )
                )
            for lane in self._lanes.values():
                lane.close(where)
        return out

    def acknowledged(self) -> None:
        """Take in that the coordinator has something on disk."""
        self._look = bool(self._endings)

    # -- the end of a descent -----------------------------------------------------------------------------------

    def abandon(self, lane: Lane) -> None:
        """Give up all descents of a lane, which then gives its leases back: their gaps are gaps again."""
        self._endings = [ending for ending in self._endings if ending.lane is not lane]
        for number in [number for number, (own, _, _) in self._descents.items() if own is lane]:
            self._drop(number)
        for each in list(lane.held):
            lane.release(each)

    def _drop(self, number: int) -> None:
        lane, _, descent = self._descents.pop(number)
        del self._records[number]
        self._forget_questions(lane, number)
        self._release(lane, descent.top.range)

    def _release(self, lane: Lane, network: Range) -> None:
        """Make gaps of what is held of a network, but for what other descents and endings hold."""
        others = RangeSet(descent.top.range for own, _, descent in self._descents.values() if own is lane)
        for ending in self._endings:
            if ending.lane is lane:
                others.add(ending.settles)
        for part in others.missing(network):
            lane.release(part)

    def _forget_questions(self, lane: Lane, number: int) -> None:
        lane.again = [each for each in lane.again if each.descent != number]

    # -- blocks of the smallest assignment ----------------------------------------------------------------------

    def _is_small(self, network: Network) -> bool:
        """Tell whether nothing smaller is looked for in a network."""
        length = self._lengths[network.range.family]
        return is_final(network) or network.range.size <= 1 << (BITS[network.range.family] - length)

    def _note_small(self, network: Network) -> None:
        where = network.range
        if where.size < 1 << (BITS[where.family] - self._lengths[where.family]):
            self._small.add(where)

    def _block(self, lookup: Lookup, network: Range) -> Range:
        """Return the block around an address that is as small as an assignment; smaller where one smaller was seen."""
        bits = BITS[network.family]
        least = bits - ((network.size - 1) // MOST_BLOCKS).bit_length()
        length = min(self._lengths[network.family], least)
        block = Range.of_prefix(network.family, lookup.address, length)
        while length < bits and self._small.meets(block):
            length += 1
            block = Range.of_prefix(network.family, lookup.address, length)
        found = block.overlap(network)
        assert found is not None  # the network holds the address
        return found


_NOBODY = frozenset((Status.UNALLOCATED, Status.POOL, Status.PLACEHOLDER, Status.ELSEWHERE))


def _payload(network: Network) -> bytes:
    return pack(network.shortened().to_map())
