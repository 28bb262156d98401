"""Who gets which lease: splitting the slowest, waiting for another worker, and work that workers die of."""

from __future__ import annotations

from scenes import ALICE, BOB, CRAWL, address, arrive, granted, join, lease, make, make_ledger, places

from whoismesh.addresses import Range
from whoismesh.compounds import ABANDONED, LeaseGrant
from whoismesh.ledger import Ledger
from whoismesh.ledger.engine import ADOPTION_S
from whoismesh.ledger.events import Finish, Instruction, Note, Received, Send, Store, Stored, Tick
from whoismesh.ledger.leases import LEASE_TTL_S, SPLIT_AFTER_S, SPLIT_AGAIN_S
from whoismesh.ledger.losses import LOSSES_TO_GIVE_UP, LOSSES_TO_HALVE, Losses
from whoismesh.messages import Join, LeaseRequest, Leases, Renew, Return, Split, Yield
from whoismesh.simulation.audits import audit_ledger


def splits(out: list[Instruction]) -> list[Send]:
    return [each for each in out if isinstance(each, Send) and isinstance(each.message, Split)]


def wish(ledger: Ledger, origin: int, sender: bytes, now: float) -> list[Instruction]:
    return ledger.handle(Received(sender, LeaseRequest(CRAWL, origin, {"ripencc": 1.0})), now)


def test_when_nothing_is_pending_the_slowest_lease_is_split_and_its_half_goes_to_who_waits() -> None:
    ledger = make_ledger("193.0.0.0/16")
    alice, bob = join(ledger), join(ledger, BOB)
    grants = []
    while any("pending" in place for place in places(ledger)):
        grants += lease(ledger, alice)
    assert splits(wish(ledger, bob, BOB, SPLIT_AFTER_S - 0.1)) == [], "it has hardly begun"
    quick = grants[1]
    # Half of one lease is done, nothing of the others.
    first = quick.ranges[0]
    half = Range(4, first.first, first.first + first.size // 2 - 1)
    arrive(ledger, make(alice, 1, "network", str(half).partition("/")[0], str(half)), now=1.0)
    (split,) = splits(ledger.handle(Tick(), 1.5))
    number = split.message.lease  # type: ignore[attr-defined]
    assert split == Send(ALICE, Split(CRAWL, number))
    assert number != quick.lease
    chosen = next(each for each in grants if each.lease == number)
    given = Range(4, chosen.ranges[0].first + chosen.ranges[0].size // 2, chosen.ranges[0].last)
    out = ledger.handle(Received(ALICE, Yield(CRAWL, alice, number, (given,))), 1.6)
    (grant,) = granted(out)
    assert given.contains(grant.ranges[0])
    assert [each.to for each in out if isinstance(each, Send) and isinstance(each.message, Leases)] == [BOB]
    audit_ledger(ledger)


def holding(*ranges: str) -> tuple[Ledger, int, int, LeaseGrant]:
    """Return a ledger (restarted a while ago) all of whose space Alice holds in one lease, and Bob has joined."""
    ledger = make_ledger(*ranges, epoch=2)
    grant = LeaseGrant(77, "ripencc", tuple(map(Range.parse, ranges)), False, False)
    ledger.handle(Received(ALICE, Join(CRAWL, "alice", "", 150, (grant,))), -ADOPTION_S)
    return ledger, 150, join(ledger, BOB), grant


def test_a_lease_is_not_split_again_before_the_answer_is_in() -> None:
    ledger, alice, bob, grant = holding("193.0.0.0/22")
    split = Send(ALICE, Split(CRAWL, grant.lease))
    assert splits(wish(ledger, bob, BOB, 1.0)) == [split]
    assert splits(ledger.handle(Tick(), 1.0 + SPLIT_AGAIN_S - 0.1)) == []
    assert ledger.handle(Received(ALICE, Yield(CRAWL, alice, grant.lease, ())), 2.95) == []
    assert splits(ledger.handle(Tick(), 1.0 + SPLIT_AGAIN_S + 0.2)) == [split]
    assert ledger.counters["splits"] == 2


def test_a_lease_with_hardly_more_left_than_one_answer_settles_is_not_split() -> None:
    ledger, alice, bob, _ = holding("193.0.0.0/20")
    for number in range(20):
        first = Range.parse("193.0.0.0/20").first + 128 * number
        found = Range(4, first, first + 127)
        arrive(ledger, make(alice, number + 1, "network", str(found).partition("/")[0], str(found)), now=0.5)
    assert ledger.account.mean_closed("ripencc", 4) == 128
    assert len(splits(wish(ledger, bob, BOB, 1.0))) == 1
    wide = "193.0.10.0-193.0.14.255"
    arrive(ledger, make(alice, 21, "network", "193.0.10.0", wide), now=3.0)
    assert ledger.desk.slowest("ripencc", 9.0, {4: 512, 6: 1}) is None, "only a /24 is left"


def test_a_lease_is_no_smaller_than_what_an_answer_settles() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    for number in range(24):
        first = Range.parse("193.0.0.0/16").first + 2048 * number
        found = Range(4, first, first + 2047)
        arrive(ledger, make(origin, number + 1, "network", str(found).partition("/")[0], str(found)))
    assert ledger.desk.pending["ripencc"].size == 16384
    (grant,) = lease(ledger, origin)
    assert sum(each.size for each in grant.ranges) == 2048
    (grant,) = lease(ledger, origin)
    assert sum(each.size for each in grant.ranges) == 2048, "a fair share would be less"


def test_what_a_worker_does_not_announce_when_it_joins_again_is_not_waited_for_to_expire() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    (first,), (second,) = lease(ledger, origin), lease(ledger, origin)
    ledger.handle(Received(b"another link", Join(CRAWL, "alice", "", origin, (second,))), 1.0)
    assert list(ledger.desk.leases) == [second.lease]
    assert [each.lease.number for each in ledger.desk.awaited] == [first.lease]
    audit_ledger(ledger)


def test_a_lease_in_which_its_worker_sees_no_gap_is_not_split() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, alice)
    ledger.handle(Received(ALICE, Renew(CRAWL, alice, {grant.lease: 0})), 1.0)
    assert splits(wish(ledger, bob, BOB, 5.0)) == []


def test_only_who_holds_a_lease_can_give_a_part_of_it_back() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, alice)
    ledger.handle(Received(BOB, Yield(CRAWL, bob, grant.lease, grant.ranges)), 1.0)
    assert list(places(ledger)) == [f"lease {grant.lease}"]
    ledger.handle(Received(ALICE, Yield(CRAWL, alice, grant.lease, (Range.parse("193.0.0.0/16"),))), 1.0)
    assert list(places(ledger)) == ["pending ripencc"], "no more than what it holds"


def test_an_address_that_failed_at_one_worker_is_given_to_another() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice, bob = join(ledger), join(ledger, BOB)
    lease(ledger, alice)
    arrive(ledger, make(alice, 1, "failed", "193.0.0.128"), now=1.0)
    assert wish(ledger, alice, ALICE, 6.1) == []
    assert granted(wish(ledger, bob, BOB, 6.2))[0].ranges == (address("193.0.0.128"),)
    arrive(ledger, make(bob, 1, "failed", "193.0.0.128"), now=7.0)
    assert granted(ledger.handle(Tick(), 17.2)) != (), "it failed at everybody, so anybody may try"


def test_an_address_that_failed_waits_for_another_worker_only_for_a_while() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice = join(ledger)
    join(ledger, BOB)
    lease(ledger, alice)
    arrive(ledger, make(alice, 1, "failed", "193.0.0.128"), now=1.0)
    wish(ledger, alice, ALICE, 6.1)
    for now in (6.2, 10.0, 15.9):
        ledger.handle(Received(BOB, Renew(CRAWL, 101, {})), now)
        assert granted(ledger.handle(Received(ALICE, Renew(CRAWL, alice, {})), now)) == ()
    assert granted(ledger.handle(Tick(), 16.1))[0].ranges == (address("193.0.0.128"),)


# -- work that kills -----------------------------------------------------------------------------------------------


class Casualties:
    """Workers that join, take what they get and never come back, one after another."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now = 0.0
        self.stored: list[str] = []
        self.notes: list[str] = []

    def handle(self, event: Received | Tick) -> list[Instruction]:
        out = self.ledger.handle(event, self.now)
        for each in out:
            match each:
                case Store(results):
                    self.stored += [each.status for each in results]
                    out += self.ledger.handle(Stored(results), self.now)
                case Note(event=name):
                    self.notes.append(name)
        audit_ledger(self.ledger)
        return out

    def die(self) -> tuple[LeaseGrant, ...]:
        """Let a worker take all it can get and be lost with it; return what it had."""
        sender = b"worker at %d" % self.now
        origin = join(self.ledger, sender, self.now)
        found = granted(self.handle(Received(sender, LeaseRequest(CRAWL, origin, {"ripencc": 0.0}))))
        for _ in range(2):  # the lease expires, and what was awaited is suspect
            self.now += LEASE_TTL_S
            self.handle(Tick())
        return found


def test_a_block_that_workers_die_of_is_found_by_halving_and_given_up() -> None:
    ledger = make_ledger("193.0.0.0/21")
    casualties = Casualties(ledger)
    killer = address("193.0.3.7")
    for _ in range(40):
        if ledger.coverage.complete:
            break
        held = casualties.die()
        for grant in held:
            # Whoever does not hold the killer would have lived, and done its work.
            if not any(each.contains(killer) for each in grant.ranges):
                for each in grant.ranges:
                    asked = str(each).partition("/")[0].partition("-")[0]
                    arrive(ledger, make(50, each.first, "network", asked, str(each)), now=casualties.now)
    assert ledger.coverage.complete
    assert [str(each) for each in ledger.coverage.failed] == ["193.0.3.0/24"]
    assert casualties.stored == [ABANDONED]
    assert "block_abandoned" in casualties.notes
    ((asked, reason),) = ledger.failures
    assert asked == address("193.0.3.0")
    assert reason.startswith("given up: 5 workers or more were lost")
    assert isinstance(ledger.finished, Finish)


def test_what_workers_die_of_is_lent_alone_and_to_an_idle_worker_only() -> None:
    ledger = make_ledger("193.0.0.0/24", "8.0.0.0/24", "9.0.0.0/24")
    casualties = Casualties(ledger)
    for _ in range(LOSSES_TO_HALVE):
        casualties.die()
    now = casualties.now
    alice, bob = join(ledger, now=now), join(ledger, BOB, now)
    (other,) = lease(ledger, bob, BOB, now, arin=0.0)
    assert lease(ledger, bob, BOB, now) == (), "it holds something else"
    (grant,) = granted(ledger.handle(Received(BOB, Return(CRAWL, bob, other.lease, other.ranges)), now))
    assert (grant.ranges, grant.verify) == ((Range.parse("193.0.0.0/24"),), True)
    assert lease(ledger, bob, BOB, now, arin=0.0) == (), "nothing beside it"
    assert lease(ledger, alice, ALICE, now, arin=0.0) != ()


def test_an_errand_that_workers_die_of_is_given_up() -> None:
    ledger = make_ledger("193.0.0.0/24", attempts=99)
    casualties = Casualties(ledger)
    arrive(ledger, make(1, 1, "elsewhere", "193.0.0.128", elsewhere="ripencc", registry="arin"), now=0.0)
    for _ in range(LOSSES_TO_GIVE_UP):
        assert not ledger.coverage.complete
        casualties.die()
    assert ledger.coverage.complete
    assert ledger.coverage.failed.size == 256


def test_a_worker_that_leaves_in_order_is_no_loss() -> None:
    ledger = make_ledger("193.0.0.0/24")
    for number in range(LOSSES_TO_GIVE_UP + 1):
        sender = b"%d" % number
        origin = join(ledger, sender, number)
        (grant,) = lease(ledger, origin, sender, number)
        ledger.handle(Received(sender, Return(CRAWL, origin, grant.lease, grant.ranges)), number)
    assert ledger.desk.losses.worst(Range.parse("193.0.0.0/24")) is None


def test_losses_are_counted_by_address_and_forgotten_when_settled() -> None:
    losses = Losses()
    for where in ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"):
        losses.note(Range.parse(where))
    everything = Range.parse("0.0.0.0/0")
    assert losses.worst(everything) == (3, Range.parse("10.1.2.0/24"))
    losses.settle(Range.parse("10.1.2.0/25"))
    assert losses.worst(everything) == (3, Range.parse("10.1.2.128/25"))
    losses.settle(Range.parse("10.1.0.0/16"))
    assert losses.worst(everything) is None


# -- again ---------------------------------------------------------------------------------------------------------


def test_what_failed_is_pending_again_when_it_is_to_be_retried() -> None:
    ledger = make_ledger("193.0.0.0/23", attempts=1)
    ledger.replay(make(1, 1, "network", "193.0.1.0", "193.0.1.0/24"))
    ledger.replay(make(1, 2, "failed", "193.0.0.0"))
    assert ledger.coverage.failed.size == 256
    ledger.replay(make(9, 0, "retry", "0.0.0.0"))
    assert places(ledger) == {"pending ripencc": ["193.0.0.0/24"]}
    assert ledger.failures == []
    audit_ledger(ledger)


# -- time that nobody saw ------------------------------------------------------------------------------------------


def test_after_a_pause_of_the_coordinator_nobody_is_late() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    out = Ledger.handle(ledger, Tick(), 60.0)
    assert not [each for each in out if isinstance(each, Note)]
    assert places(ledger)[f"lease {grant.lease}"] == [str(each) for each in grant.ranges]
    assert ledger.counters["pauses"] == 1
    out = ledger.handle(Tick(), 60.0 + LEASE_TTL_S + 1)
    assert [each.event for each in out if isinstance(each, Note)] == ["lease_expired", "worker_lost"]
