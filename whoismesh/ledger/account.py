"""What the stored results settle, one after another: the same code when they arrive and when they are replayed.

A result's status is any text that a worker sent. What names a holder or says "nobody" settles; "elsewhere" sends the
question on; all else counts as a failure, so that no answer that was not understood ever settles an address as free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from whoismesh import compounds, iana
from whoismesh.addresses import Range
from whoismesh.answers.outcome import Status
from whoismesh.blocks import Block, BlockLog
from whoismesh.compounds import Result
from whoismesh.ledger.bulk import Bulk
from whoismesh.ledger.coverage import Coverage
from whoismesh.ledger.errands import Errand
from whoismesh.ledger.leases import Desk
from whoismesh.networks import COMPARED_FIELDS
from whoismesh.packing import unpack
from whoismesh.prior import Prior
from whoismesh.registries import REGISTRIES

#: An address that could not be looked up is tried again after this long, doubled each time, seconds.
RETRY_S = 5.0
#: Registries that may point on to one another before the address is settled as failed.
MOST_HOPS = 5
#: Answers after which the mean is taken from them.
ENOUGH_ANSWERS = 20


class Account:
    """The coverage of a crawl, what is left of it, and what the results were."""

    def __init__(self, space: Iterable[Range], attempts: int, prior: Prior | None = None) -> None:
        self._prior = Prior() if prior is None else prior
        self.coverage = Coverage(space)
        self.bulk = Bulk(self.coverage)
        self.desk = Desk(self.coverage.unsettled, self._prior.aims)
        self.log = BlockLog()
        self.counters: Counter[str] = Counter()
        self.networks: Counter[str] = Counter()
        self.failures: list[tuple[Range, str]] = []
        self.delegated: list[tuple[Range, str]] = []
        #: Networks on which both protocols do not say the same, by registry and by (registry, field that differs).
        self.disagreements: Counter[str | tuple[str, str]] = Counter()
        self._attempts = attempts
        self._answers: Counter[tuple[str, int]] = Counter()
        self._closed: Counter[tuple[str, int]] = Counter()
        #: What results do that are no answers.
        self._acts: dict[str, Callable[[Result], object]] = {
            compounds.RETRY: lambda result: self._retry(),
            compounds.ADOPTED: self._log,
            compounds.DELEGATED: self._delegated,
            compounds.ORIGINS: lambda result: self._count("origins"),
            compounds.BULK: self._bulk,
            compounds.IMPORTED: self.bulk.stored,
            compounds.DISAGREEMENT: self._disagree,
            compounds.ASSIGNMENT: lambda result: self._count("assignments"),
        }
        for each in self.coverage.space:
            for part, registry in iana.by_registry(each):
                if registry is not None:
                    self.desk.pending[registry].add(part)
        for registry, aims in self._prior.aims.items():
            for where, _ in aims:
                self._place(where, registry)

    def _place(self, where: Range, registry: str) -> None:
        """Have a range asked about at the registry that the prior names, wherever IANA gave it to."""
        run = iana.run_of(where.family, where.first)
        if run is not None and run[1] == registry and run[0].contains(where):
            return
        for home, pending in self.desk.pending.items():
            if home != registry:
                for part in pending.present(where):
                    pending.remove(part)
                    self.desk.pending[registry].add(part)

    def free(self) -> Iterator[tuple[str, str, Range]]:
        """Yield (registry, status, range) for what the prior calls free and is not settled."""
        for (registry, status), ranges in self._prior.free.items():
            for each in ranges:
                for part in self.coverage.unsettled(each):
                    yield registry, status, part

    def settle(self, result: Result, now: float) -> None:
        """Take in one stored result."""
        self.counters["results"] += 1
        act = self._acts.get(result.status)
        if act is not None:
            act(result)
            return
        _, _, registry, status, asked, found, _, _, _ = result
        family, address, _ = asked
        settled = self.coverage.settled.holds(family, address)
        holds = found.first <= address <= found.last and found.family == family
        match status:
            case Status.NETWORK if holds and self._log(result):
                parts = self._network(result, settled=settled)
            case compounds.PART if holds and iana.is_plausible(found):
                parts = self.coverage.settle_network(found)
            case _ if settled:
                return
            case Status.UNALLOCATED | Status.POOL:
                parts = self._nobody(result, now)
            case Status.ELSEWHERE | Status.PLACEHOLDER:
                parts = self._elsewhere(result, now)
            case compounds.ABANDONED:
                parts = self._give_up(result)
            case _:
                parts = self._failed(result, now)
        kind = registry, family
        self._answers[kind] += 1
        for part in parts:
            self._closed[kind] += part.last - part.first + 1
            self.desk.settle(part)

    def _count(self, what: str) -> None:
        self.counters[what] += 1

    def answers(self, registry: str) -> int:
        """Return how many results of a registry settled something."""
        return sum(count for (each, _), count in self._answers.items() if each == registry)

    def mean_closed(self, registry: str, family: int) -> int | None:
        """Return how many addresses an answer of that registry settles, None while that is not known."""
        answers = self._answers[registry, family]
        return max(1, self._closed[registry, family] // answers) if answers >= ENOUGH_ANSWERS else None

    def _log(self, result: Result) -> bool:
        """Give a block its number in the accepted log, if it can be true: just what every replica takes in."""
        if not iana.is_plausible(result.range):
            return False
        self.log.append(Block(result.registry, result.range))
        return True

    def _disagree(self, result: Result) -> None:
        """Count a disagreement, one for a network, however many lookups told of it: it comes before its network.

        One that a broken link made late is not counted here; a dump counts all, and no memory is needed for it.
        """
        fields = set(result.reason.split(", ")) & set(COMPARED_FIELDS)
        if fields and not self.coverage.held.holds(result.asked.family, result.asked.first):
            self.disagreements[result.registry] += 1
            self.disagreements.update((result.registry, field) for field in fields)

    def _network(self, result: Result, *, settled: bool) -> list[Range]:
        if settled and self.coverage.held.holds(result.asked.family, result.asked.first):
            self.counters["duplicates"] += 1
        else:
            self.networks[result.registry] += 1
        return self._holder(result.range)

    def _holder(self, found: Range) -> list[Range]:
        """Settle a range that somebody holds; return its parts in the space."""
        for part in self.coverage.reopen_around(found):
            for piece, registry in iana.by_registry(part):
                if registry is not None:
                    self.desk.pending[registry].add(piece)
        return self.coverage.settle_network(found)

    def _bulk(self, result: Result) -> None:
        """Settle a network that a bulk file names; it is no answer, and says nothing of what answers settle."""
        self.bulk.settled()
        if self._log(result):
            self.networks[result.registry] += 1
            self.counters["bulk"] += 1
            for part in self._holder(result.range):
                self.desk.settle(part)

    def _nobody(self, result: Result, now: float) -> list[Range]:
        """Settle the block as unallocated, unless this registry was only a guess and there are more to try."""
        errand = self.desk.errands.get(result.asked)
        if errand is not None and errand.guessed and errand.registry == result.registry:
            return self._elsewhere(result, now)
        home = iana.home_of(result.asked)
        if errand is None and home is not None and home != result.registry:
            # Only the prior sent the question there: the registry that has the space from IANA must say so too.
            parts = self._elsewhere(result._replace(elsewhere=home), now)
            errand = self.desk.errands.get(result.asked)
            if errand is not None:
                self.desk.rehome(errand, home)
            return parts
        return self.coverage.settle_empty(result.asked)

    def _elsewhere(self, result: Result, now: float) -> list[Range]:
        """Send the question on; return what is settled instead where there is nobody left to ask."""
        asked = result.asked
        errand = self.desk.errands.get(asked) or Errand(asked, result.registry)
        if result.registry in errand.path:
            # The question has moved on already; whoever asked again has closed the gap, so it waits too.
            self._park(errand, result.registry)
            return []
        errand.path += (result.registry,)
        onward = result.elsewhere or next((each for each in REGISTRIES if each not in errand.path), None)
        errand.guessed = result.elsewhere is None
        if onward is None:
            return self.coverage.settle_empty(asked)
        if onward in errand.path or len(errand.path) > MOST_HOPS:
            # One of them pointed wrong: a failed attempt like another, and the next one begins here.
            self.counters["referral_loops"] += 1
            errand.path = ()
            return self._failed(result, now)
        self._go(errand, onward, result.registry)
        return []

    def _failed(self, result: Result, now: float) -> list[Range]:
        """Have the address tried again later; return what is settled as failed after the last attempt."""
        asked = result.asked
        errand = self.desk.errands.get(asked) or Errand(asked, result.registry)
        if errand.registry != result.registry:
            # The question has moved on; a failure at a registry that was asked before must not move it back.
            self._park(errand, result.registry)
            return []
        errand.failures += 1
        errand.failed_at.add(result.origin)
        errand.not_before = now + RETRY_S * 2 ** (errand.failures - 1)
        self._go(errand, result.registry, result.registry)
        # What is settled ends the errand, and what the worker has closed around the address is pending again at once.
        return self._give_up(result) if errand.failures >= self._attempts else []

    def _retry(self) -> None:
        """Make all that failed pending again."""
        for part in self.coverage.reopen_failed():
            for piece, registry in iana.by_registry(part):
                if registry is not None:
                    self.desk.pending[registry].add(piece)
        self.failures.clear()

    def _delegated(self, result: Result) -> None:
        """Settle what the prior calls free."""
        for first, last in unpack(result.payload):
            for part in self.coverage.settle_delegated(Range.from_bytes(first, last)):
                self.delegated.append((part, result.reason))
                self.desk.settle(part)

    def _give_up(self, result: Result) -> list[Range]:
        parts = self.coverage.settle_failed(result.asked)
        if parts:
            self.failures.append((result.asked, result.reason))
        return parts

    def _go(self, errand: Errand, registry: str, home: str) -> None:
        gap = self._gap(errand, home)
        if gap is not None:
            self.desk.send_on_errand(errand, registry, gap, home)

    def _park(self, errand: Errand, home: str) -> None:
        gap = self._gap(errand, home)
        if gap is not None:
            self.desk.park(errand, gap, home)

    def _gap(self, errand: Errand, home: str) -> Range | None:
        """Return the gap that an errand holds up: of what the prior takes for one network, no more than that."""
        family, address = errand.asked.family, errand.asked.first
        gap = self.coverage.gap_at(family, address)
        aim = self.desk.pending[home].aims.at(family, address)
        return gap if gap is None or aim is None else gap.overlap(aim.range)
