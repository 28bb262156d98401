"""Who gets which lease, and how large: the coordinator's answer to workers that wish for work.

- A lease is sized to keep a worker busy for a set time at its pace, and is at most a fair share of what is pending; but
it is never smaller than what an answer settles: workers with a part each of one network would all ask about it.
- Errands go first. One that failed at a worker goes to another, if there is one; what workers were lost with over and
over goes alone, to a worker that holds nothing else.
- Where nothing is pending the slowest lease is split: the end of a crawl is not one host's tail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from whoismesh.compounds import LeaseGrant
from whoismesh.ledger.account import Account
from whoismesh.ledger.budgets import Budget
from whoismesh.ledger.errands import Errand
from whoismesh.ledger.leases import LEASE_TTL_S, SMALLEST_PIECE, Lease
from whoismesh.ledger.losses import LOSSES_TO_HALVE
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES

#: Lookups that a worker's first lease is meant for, until its pace is known.
FIRST_LOOKUPS = 64.0
#: What a mean registration spans before anything is known, addresses: v4 2^32 over about 200,000 delegations; v6 a /32.
FIRST_GUESS = {4: 1 << 14, 6: 1 << 96}
#: How long a failed address waits for a worker that it did not fail at yet, seconds.
ANOTHER_WORKER_S = 10.0
#: Questions of one lease, at most: what is left of it goes back in one message of twice as many ranges. At first, when
#: it is not known where networks are, they are as few as this.
QUESTIONS_A_LEASE, FEWEST_QUESTIONS = 1_000, 16
#: Aims of one lease: a frame of them has some 30 KiB, and a worker that is lost takes a few seconds' work with it.
AIMS_A_LEASE = 512
#: A slowest lease is looked for this often, seconds: it takes a look at every lease of the registry.
SPLIT_LOOK_S = 0.25


@dataclass(slots=True)
class Worker:
    """A member of the mesh, as the coordinator sees it. `alone_with` is a lease beside which it gets no other.

    `key` is the public key (Z85) that its connection proved, empty where there are no keys. One that is `resting` takes
    no new lease.
    """

    origin: int
    sender: bytes
    host: str
    gossip: str
    seen_at: float
    alone_with: int = 0
    key: str = ""
    resting: bool = False


class Lending:
    """The wishes of workers and the leases that answer them.

    `workers` are the members by origin, kept by the engine; `numbers` gives each lease its own.
    """

    def __init__(
        self,
        account: Account,
        budgets: Mapping[str, Budget],
        workers: Mapping[int, Worker],
        numbers: Iterator[int],
        lease_s: float,
    ) -> None:
        self._account = account
        self._desk = account.desk
        self._budgets = budgets
        self._workers = workers
        self._numbers = numbers
        self._lease_s = lease_s
        self._hungry: dict[str, dict[int, float]] = {registry: {} for registry in REGISTRIES}
        self._all_rest = False
        self._looked_at = dict.fromkeys(REGISTRIES, 0.0)

    def wish(self, origin: int, registry: str, pace: float) -> None:
        """Note a standing wish for work at a registry; `pace` is the worker's lookups a second there, 0 if unknown."""
        self._hungry[registry][origin] = pace

    def forget(self, origin: int, registry: str) -> None:
        """Drop a worker's wish."""
        self._hungry[registry].pop(origin, None)

    def forget_all(self, origin: int) -> None:
        """Drop a worker's wishes at all registries."""
        for registry in self._hungry:
            self.forget(origin, registry)

    def rest(self, worker: Worker) -> None:
        """Lend a worker nothing from now on."""
        worker.resting = True
        self.forget_all(worker.origin)

    def nobody_takes(self) -> bool:
        """Tell, once each time that it comes to that, that there are workers and all of them rest."""
        before, workers = self._all_rest, self._workers.values()
        self._all_rest = bool(workers) and all(each.resting for each in workers)
        return self._all_rest and not before

    def serve(self, now: float) -> Iterator[tuple[Worker, tuple[LeaseGrant, ...]]]:
        """Yield (worker, grants) for whoever waits for work, as long as there is something."""
        for registry, hungry in self._hungry.items():
            for origin, pace in list(hungry.items()):
                if not self._desk.anything(registry, now):
                    break
                grants = self._grants(registry, self._workers[origin], pace, now)
                if grants:
                    del hungry[origin]
                    yield self._workers[origin], grants

    def split(self, now: float) -> Iterator[tuple[Worker, Lease]]:
        """Yield the leases to be split, because there are idle workers and nothing else for them."""
        for registry, hungry in self._hungry.items():
            if not hungry or now < self._looked_at[registry] or self._desk.anything(registry, now):
                continue
            self._looked_at[registry] = now + SPLIT_LOOK_S
            lease = self._desk.slowest(registry, now, {each: self._least(registry, each) for each in SMALLEST_PIECE})
            if lease is not None and lease.origin in self._workers:
                lease.split_at = now
                yield self._workers[lease.origin], lease

    def adopt(self, origin: int, grant: LeaseGrant, now: float) -> None:
        """Give a lease back to the worker that holds it, as far as it is still free (the coordinator restarted)."""
        lease = self._desk.leases.get(grant.lease)
        if lease is not None:
            lease.origin, lease.deadline = origin, now + LEASE_TTL_S
            return
        if grant.first_in_line:
            return
        taken = RangeSet()
        for each in grant.ranges:
            for place in (self._desk.pending[grant.registry], self._desk.suspect[grant.registry]):
                for part in place.present(each):
                    place.remove(part)
                    taken.add(part)
        if taken:
            lease = _lease(grant.lease, origin, grant.registry, taken, now)
            lease.verify = grant.verify
            self._desk.lend(lease)

    def _grants(self, registry: str, worker: Worker, pace: float, now: float) -> tuple[LeaseGrant, ...]:
        if worker.alone_with in self._desk.leases:
            return ()

        def idle() -> bool:
            return not any(lease.origin == worker.origin for lease in self._desk.leases.values())

        def avoid(errand: Errand) -> bool:
            if errand.losses >= LOSSES_TO_HALVE and not idle():
                return True
            if worker.origin not in errand.failed_at or now >= errand.not_before + ANOTHER_WORKER_S:
                return False
            return any(origin not in errand.failed_at and not each.resting for origin, each in self._workers.items())

        grants = []
        errands = self._desk.due_errands(registry, now, avoid)
        if errands:
            lease = self._new_lease(worker, registry, RangeSet(errand.asked for errand in errands), now)
            lease.errands, lease.verify = True, any(errand.suspect for errand in errands)
            self._desk.lend(lease, errands)
            singles = tuple(errand.asked for errand in errands)
            grants.append(LeaseGrant(lease.number, registry, singles, True, lease.verify))
            if errands[0].losses >= LOSSES_TO_HALVE:
                worker.alone_with = lease.number
                return tuple(grants)
        lookups = self._lookups(registry, pace)
        taken = self._desk.take_pending(registry, self._most(registry, lookups), self._aims(registry, lookups), idle)
        if taken is not None:
            lease = self._new_lease(worker, registry, taken.ranges, now)
            lease.verify = taken.verify
            self._desk.lend(lease)
            questions = 0 if taken.verify else lookups
            grants.append(
                LeaseGrant(lease.number, registry, tuple(taken.ranges), False, taken.verify, taken.aims, questions)
            )
            if taken.alone:
                worker.alone_with = lease.number
        return tuple(grants)

    def _least(self, registry: str, family: int) -> int:
        """Return how many addresses a lease needs to have left to be worth two."""
        return 2 * max(SMALLEST_PIECE[family], self._account.mean_closed(registry, family) or 0)

    def _new_lease(self, worker: Worker, registry: str, ranges: RangeSet, now: float) -> Lease:
        return _lease(next(self._numbers), worker.origin, registry, ranges, now)

    def _lookups(self, registry: str, pace: float) -> int:
        """Return how many lookups a lease is meant for: at first few, so that large gaps come first everywhere."""
        affordable = min(pace * self._lease_s or FIRST_LOOKUPS, self._budgets[registry].rate * self._lease_s)
        early = max(FEWEST_QUESTIONS, self._account.answers(registry) // self._parts)
        return max(1, int(min(affordable, early, QUESTIONS_A_LEASE)))

    def _most(self, registry: str, lookups: int) -> dict[int, tuple[int, int]]:
        """Return how many addresses a lease should hold, by family: one of pending space, and one of suspect space.

        The first is given back after so many lookups, so it is wide: the largest gaps are asked about first, wherever
        they are. The second is worked off.
        """
        most = {}
        for family, smallest in SMALLEST_PIECE.items():
            mean = self._account.mean_closed(registry, family)
            least = max(smallest, mean or 0)
            share = self._desk.waiting(registry, family) // self._parts
            most[family] = max(least, share), max(least, min(lookups * (mean or FIRST_GUESS[family]), share))
        return most

    def _aims(self, registry: str, lookups: int) -> int:
        """Return how many of the prior's aims a lease should hold."""
        return max(1, min(lookups, self._desk.pending[registry].aims_left // self._parts, AIMS_A_LEASE))

    @property
    def _parts(self) -> int:
        """A lease is at most one of so many parts of what is pending."""
        return 4 * max(2, len(self._workers))


def _lease(number: int, origin: int, registry: str, ranges: RangeSet, now: float) -> Lease:
    return Lease(number, origin, registry, ranges, now + LEASE_TTL_S, granted_at=now, size=ranges.size)
