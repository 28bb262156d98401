"""The coordinator's engine, event by event: exactly these instructions."""

from __future__ import annotations

import pytest
from scenes import ALICE, BOB, CRAWL, UNLIMITED, address, arrive, granted, join, lease, make, make_ledger, places

from whoismesh.addresses import Range
from whoismesh.blocks import Block, Blocks
from whoismesh.compounds import LeaseGrant, Peer, Run
from whoismesh.ledger import Budget, Ledger
from whoismesh.ledger.budgets import BORNE_LATENESS_S
from whoismesh.ledger.engine import ADOPTION_S
from whoismesh.ledger.events import (
    Asked,
    Collected,
    Finish,
    Instruction,
    Note,
    Publish,
    Received,
    Reply,
    Send,
    Store,
    StoreCounters,
    Stored,
    Tick,
)
from whoismesh.ledger.leases import AWAIT_S, LEASE_TTL_S
from whoismesh.ledger.status import status
from whoismesh.messages import (
    Acknowledge,
    Digest,
    Discovered,
    Feed,
    Join,
    LeaseRequest,
    Leases,
    Leave,
    Members,
    Metrics,
    PermitRequest,
    Permits,
    Refused,
    Renew,
    Renewed,
    Results,
    Return,
    Sent,
    Signal,
    Welcome,
)
from whoismesh.registries import REGISTRIES


def accepted(first: int, *blocks: Block) -> Discovered:
    """Return a part of the accepted log."""
    return Discovered(CRAWL, (Run(0, first, None, Blocks.of(blocks)),))


# -- members -------------------------------------------------------------------------------------------------------


def test_a_joiner_gets_an_origin_and_the_others_hear_of_it() -> None:
    ledger = make_ledger("193.0.0.0/16")
    first = ledger.handle(Received(ALICE, Join(b"", "a", "tcp://a", 0, ())), 0.0)
    one = Members(CRAWL, 1, 1, 0, 100, (Peer(100, "tcp://a"),), ())
    assert first == [
        Publish(one),
        Send(ALICE, Welcome(CRAWL, 100, 1, 2, 3, 2.0, UNLIMITED, 0.0)),
        Send(ALICE, one),
        Note("worker_joined", {"origin": 100, "host": "a"}),
    ]
    second = ledger.handle(Received(BOB, Join(b"", "b", "tcp://b", 0, ())), 1.0)
    peers = (Peer(100, "tcp://a"), Peer(101, "tcp://b"))
    assert second == [
        Publish(Members(CRAWL, 1, 2, 1, 101, peers[1:], ())),
        Send(BOB, Welcome(CRAWL, 101, 1, 2, 3, 2.0, UNLIMITED, 1.0)),
        Send(BOB, Members(CRAWL, 1, 2, 0, 101, peers, ())),
        Note("worker_joined", {"origin": 101, "host": "b"}),
    ]
    third = ledger.handle(Received(ALICE, Leave(CRAWL, 100, "a", {})), 2.0)
    assert Publish(Members(CRAWL, 1, 3, 2, 101, (), (100,))) in third


def test_no_more_workers_are_taken_in_than_the_mesh_may_have() -> None:
    ledger = make_ledger("193.0.0.0/16", most_members=1)
    origin = join(ledger)
    refused = [Send(BOB, Refused(CRAWL, "there are 1 workers already (mesh.most_members)", False))]
    assert ledger.handle(Received(BOB, Join(b"", "b", "", 0, ())), 1.0) == refused
    assert join(ledger, now=2.0) == origin, "who is in comes back"
    ledger.handle(Received(ALICE, Leave(CRAWL, origin, "alice", {})), 3.0)
    assert join(ledger, BOB, now=4.0) == origin + 1


def test_joining_twice_over_one_link_keeps_the_origin() -> None:
    ledger = make_ledger("193.0.0.0/16")
    assert join(ledger) == join(ledger, now=2.0) == 100


def test_a_worker_of_another_crawl_is_refused_for_good() -> None:
    ledger = make_ledger("193.0.0.0/16")
    refused = [Send(ALICE, Refused(CRAWL, "this coordinator runs another crawl", True))]
    assert ledger.handle(Received(ALICE, Join(b"x" * 16, "a", "", 0, ())), 0.0) == refused
    assert ledger.handle(Received(ALICE, Renew(b"x" * 16, 5, {})), 0.0) == refused


def test_whoever_is_not_known_is_asked_to_join_again() -> None:
    ledger = make_ledger("193.0.0.0/16")
    refused = [Send(ALICE, Refused(CRAWL, "not known here, join again", False))]
    assert ledger.handle(Received(ALICE, Renew(CRAWL, 100, {})), 0.0) == refused
    join(ledger)
    assert ledger.handle(Received(ALICE, Renew(CRAWL, 101, {})), 0.0) == refused, "another's origin"


def test_when_no_origin_is_left_a_joiner_is_told_to_come_later() -> None:
    ledger = Ledger(CRAWL, [], {registry: Budget(1.0, 1.0) for registry in REGISTRIES}, origins=range(0))
    assert ledger.handle(Received(ALICE, Join(b"", "a", "", 0, ())), 0.0)[0] == Send(
        ALICE, Refused(CRAWL, "no origin left for now, join again later", False)
    )


def test_messages_that_only_coordinators_send_are_counted_and_dropped() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    assert ledger.handle(Received(ALICE, Feed(CRAWL, "status", b"")), 0.0) == [
        Send(ALICE, Refused(CRAWL, "not known here, join again", False))
    ]
    odd = Signal(CRAWL, origin, "arin", "no such kind", None, "")
    assert ledger.handle(Received(ALICE, odd), 0.0) == []
    assert ledger.counters["messages_unexpected"] == 1


def test_a_silent_worker_is_lost_and_its_leases_are_not() -> None:
    ledger = make_ledger("193.0.0.0/20")
    origin = join(ledger)
    grants = lease(ledger, origin)
    lost_at = LEASE_TTL_S + 0.5
    assert ledger.handle(Tick(), lost_at) == [
        Note("lease_expired", {"lease": grants[0].lease, "origin": origin}, "warning"),
        Note("worker_lost", {"origin": origin, "host": "alice"}, "warning"),
        Publish(Members(CRAWL, 1, 2, 1, origin, (), (origin,))),
    ]
    assert places(ledger)["suspect ripencc"] == [str(grants[0].ranges[0])]


def test_leaving_makes_the_leases_awaited_and_then_suspect() -> None:
    ledger = make_ledger("193.0.0.0/20")
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    assert ledger.handle(Received(ALICE, Leave(CRAWL, origin, "alice", {})), 1.0) == [
        StoreCounters(origin, "alice", {}),
        Note("worker_left", {"origin": origin, "host": "alice"}),
        Publish(Members(CRAWL, 1, 2, 1, origin, (), (origin,))),
    ]
    assert places(ledger)[f"awaited {grant.lease}"] == [str(grant.ranges[0])]
    ledger.handle(Tick(), 1.0 + AWAIT_S)
    assert places(ledger)["suspect ripencc"] == [str(grant.ranges[0])]


# -- leases --------------------------------------------------------------------------------------------------------


def test_a_lease_is_an_aligned_piece_from_the_middle_and_one_eighth_at_most() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    out = ledger.handle(Received(ALICE, LeaseRequest(CRAWL, origin, {"ripencc": 0.0})), 0.0)
    grant = LeaseGrant((1 << 32) + 1, "ripencc", (Range.parse("193.0.128.0/19"),), False, False, (), 16)
    assert out == [Send(ALICE, Leases(CRAWL, (grant,)))]
    assert places(ledger) == {
        "pending ripencc": ["193.0.0.0/17", "193.0.160.0-193.0.255.255"],
        f"lease {grant.lease}": ["193.0.128.0/19"],
    }


def test_small_pending_ranges_are_gathered_but_a_first_comer_does_not_take_them_all() -> None:
    space = [f"193.0.{2 * number}.0/24" for number in range(64)]
    ledger = make_ledger(*space)
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    assert len(grant.ranges) == 8
    assert all(each.size == 256 for each in grant.ranges)


def test_a_wish_stands_until_there_is_something() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, alice)
    assert lease(ledger, bob, BOB, 1.0) == ()
    out = ledger.handle(Received(ALICE, Return(CRAWL, alice, grant.lease, grant.ranges)), 2.0)
    assert [each.to for each in out if isinstance(each, Send)] == [BOB]
    assert granted(out)[0].ranges == grant.ranges


def test_what_is_returned_unasked_is_pending_at_once_and_the_rest_is_awaited() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    unasked = (Range.parse("193.0.128.0/24"), Range.parse("9.0.0.0/8"))
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, unasked)), 1.0)
    assert places(ledger) == {
        "pending ripencc": ["193.0.0.0-193.0.128.255", "193.0.160.0-193.0.255.255"],
        f"awaited {grant.lease}": ["193.0.129.0-193.0.159.255"],
    }


def test_a_lease_can_only_be_returned_by_who_holds_it() -> None:
    ledger = make_ledger("193.0.0.0/16")
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, alice)
    ledger.handle(Received(BOB, Return(CRAWL, bob, grant.lease, grant.ranges)), 1.0)
    assert grant.lease in ledger.desk.leases


def test_a_suspect_range_is_leased_to_be_verified_and_stays_suspect_when_returned_unasked() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    assert not grant.verify
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, ())), 1.0)
    ledger.handle(Tick(), 1.0 + AWAIT_S)
    (again,) = lease(ledger, origin, now=12.0)
    assert again.verify
    ledger.handle(Received(ALICE, Return(CRAWL, origin, again.lease, again.ranges)), 13.0)
    assert "suspect ripencc" in places(ledger)


def test_a_suspect_range_is_leased_in_pieces_as_large_as_a_pending_one() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    rounds = 0
    while ledger.desk.pending["ripencc"] and rounds < 100:
        rounds += 1
        for grant in lease(ledger, origin, now=0.1):
            ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, ())), 0.1)
    assert not ledger.desk.pending["ripencc"]
    ledger.handle(Tick(), 1.0 + AWAIT_S)
    (grant,) = lease(ledger, origin, now=12.0)
    assert sum(each.size for each in grant.ranges) == 1 << 13


def test_a_renewal_keeps_leases_alive_and_names_those_that_are_gone() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    for now in (10.0, 25.0, 40.0):
        out = ledger.handle(Received(ALICE, Renew(CRAWL, origin, {grant.lease: 1, 7: 1})), now)
        assert out == [Send(ALICE, Renewed(CRAWL, (7,), False, now, 0.0))]
        ledger.handle(Tick(), now + 0.1)
    assert grant.lease in ledger.desk.leases
    ledger.handle(Tick(), 40.0 + LEASE_TTL_S + 0.1)
    assert grant.lease not in ledger.desk.leases


def test_a_restarted_coordinator_gives_announced_leases_back() -> None:
    first = make_ledger("193.0.0.0/16")
    origin = join(first)
    (grant,) = lease(first, origin)
    result = make(origin, 1, "network", "193.0.129.1", "193.0.128.0/22")
    arrive(first, result)

    second = make_ledger("193.0.0.0/16", epoch=2)
    second.replay(result)
    refused = second.handle(Received(ALICE, Renew(CRAWL, origin, {grant.lease: 1})), 0.0)
    assert refused == [Send(ALICE, Refused(CRAWL, "not known here, join again", False))]
    out = second.handle(Received(ALICE, Join(CRAWL, "alice", "", origin, (grant,))), 0.1)
    assert out[1] == Send(ALICE, Welcome(CRAWL, origin, 1, 2, 3, 2.0, UNLIMITED, 0.1))
    assert places(second)[f"lease {grant.lease}"] == ["193.0.132.0-193.0.159.255"]
    assert second.handle(Received(ALICE, Renew(CRAWL, origin, {grant.lease: 1})), 1.0) == [
        Send(ALICE, Renewed(CRAWL, (), False, 1.0, 0.0))
    ]
    (other,) = lease(second, origin, now=ADOPTION_S)
    assert other.lease == (2 << 32) + 1


def test_an_announced_lease_is_given_back_only_as_far_as_it_is_free() -> None:
    first = make_ledger("193.0.0.0/24")
    (grant,) = lease(first, join(first))
    second = make_ledger("193.0.0.0/24", epoch=2)
    bob = join(second, BOB)
    assert lease(second, bob, BOB) == (), "whoever holds a lease gets time to announce it"
    assert granted(second.handle(Tick(), ADOPTION_S)) != ()
    second.handle(Received(ALICE, Join(CRAWL, "alice", "", 100, (grant,))), 0.1)
    out = second.handle(Received(ALICE, Renew(CRAWL, 100, {grant.lease: 1}, 7.5)), 1.0)
    assert out == [Send(ALICE, Renewed(CRAWL, (grant.lease,), False, 1.0, 7.5))]


# -- results -------------------------------------------------------------------------------------------------------


def test_nothing_is_settled_acknowledged_or_told_on_before_it_is_stored() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    result = make(origin, 1, "network", "193.0.6.139", "193.0.0.0/21")
    assert ledger.handle(Collected(Results(CRAWL, (result,))), 1.0) == [Store((result,))]
    assert ledger.coverage.settled.size == 0
    assert ledger.handle(Collected(Results(CRAWL, (result,))), 1.1) == [], "on its way to the disk"
    assert ledger.handle(Stored((result,)), 1.2) == [
        Send(ALICE, Acknowledge(CRAWL, origin, ((1, 1),))),
        Publish(accepted(1, Block("ripencc", Range.parse("193.0.0.0/21")))),
    ]
    assert ledger.coverage.held.size == 2048
    assert ledger.networks == {"ripencc": 1}


def test_a_repeated_result_is_acknowledged_again_and_counted_once() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    results = [make(origin, number, "network", f"193.0.{number}.1", f"193.0.{number}.0/24") for number in (1, 2, 4)]
    arrive(ledger, *results)
    out = ledger.handle(Collected(Results(CRAWL, tuple(results))), 2.0)
    assert out == [Send(ALICE, Acknowledge(CRAWL, origin, ((1, 2), (4, 4))))]
    assert ledger.counters["results"] == 3
    assert ledger.counters["results_repeated"] == 3
    assert ledger.networks["ripencc"] == 3


def test_a_network_told_of_twice_is_one_network_and_one_duplicate() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    for sequence in (1, 2):
        arrive(ledger, make(origin, sequence, "network", "193.0.6.139", "193.0.0.0/21"))
    assert ledger.networks["ripencc"] == 1
    assert ledger.counters["duplicates"] == 1


def test_results_of_an_origin_that_is_gone_are_acknowledged_to_all_since_one_has_its_spool() -> None:
    ledger = make_ledger("193.0.0.0/16", epoch=2)
    join(ledger), join(ledger, BOB)
    out = arrive(ledger, make(7, 3, "unallocated", "193.0.6.139"))
    assert out == [Send(sender, Acknowledge(CRAWL, 7, ((3, 3),))) for sender in (ALICE, BOB)]


def test_results_of_another_crawl_are_counted_and_dropped() -> None:
    ledger = make_ledger("193.0.0.0/16")
    result = make(1, 1, "network", "193.0.6.139", "193.0.0.0/21")
    assert ledger.handle(Collected(Results(b"x" * 16, (result,))), 0.0) == []
    assert ledger.counters["messages_of_another_crawl"] == 1


@pytest.mark.parametrize("kind", ["unallocated", "pool"])
def test_what_nobody_holds_settles_a_24(kind: str) -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(ledger, make(1, 1, kind, "193.0.6.139"))
    assert list(ledger.coverage.unallocated) == [Range.parse("193.0.6.0/24")]


def test_a_placeholder_or_a_not_found_at_a_guessed_registry_sends_the_question_on_until_nobody_is_left() -> None:
    ledger = make_ledger("193.0.0.0/16")
    asked = address("193.0.6.139")
    arrive(ledger, make(1, 1, "placeholder", "193.0.6.139"))
    for sequence, registry in enumerate(("arin", "apnic", "lacnic", "afrinic"), 2):
        errand = ledger.desk.errands.get(asked)
        assert errand is not None
        assert errand.registry == registry
        assert ledger.coverage.settled.size == 0
        arrive(ledger, make(1, sequence, "unallocated", "193.0.6.139", registry=registry))
    assert ledger.desk.errands.get(asked) is None
    assert list(ledger.coverage.unallocated) == [Range.parse("193.0.6.0/24")]


def test_a_small_registration_opens_free_blocks_of_its_neighbourhood_again() -> None:
    ledger = make_ledger("193.0.0.0/15")
    arrive(ledger, make(1, 1, "unallocated", "193.0.6.139"))
    arrive(ledger, make(1, 2, "unallocated", "193.1.6.139"))
    assert ledger.coverage.unallocated.size == 512
    arrive(ledger, make(1, 3, "network", "193.0.9.7", "193.0.9.0/28"))
    # Of its own /16 only what was asked about stays closed; the next /16 is another neighbourhood.
    assert list(ledger.coverage.unallocated) == [Range.parse("193.0.6.128/26"), Range.parse("193.1.6.0/24")]
    assert ledger.desk.pending["ripencc"].covers(Range.parse("193.0.6.0/25"))
    assert ledger.coverage.settled.size == 64 + 256 + 16
    arrive(ledger, make(1, 4, "unallocated", "193.0.6.1"))
    assert ledger.coverage.settled.size == 2 * 64 + 256 + 16


@pytest.mark.parametrize("kind", ["truncated", "limited", "banned", "what is this"])
def test_a_status_that_settles_nothing_never_makes_space_free(kind: str) -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(ledger, make(1, 1, kind, "193.0.6.139"))
    assert ledger.coverage.settled.size == 0
    assert ledger.desk.errands.get(address("193.0.6.139")) is not None


@pytest.mark.parametrize("found", ["0.0.0.0/0", "192.0.0.0-223.255.255.255", "193.0.7.0/24"])
def test_a_network_that_cannot_be_never_becomes_a_hit(found: str) -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(ledger, make(1, 1, "network", "193.0.6.139", found))
    assert ledger.coverage.settled.size == 0
    assert len(ledger.log) == 0


def test_a_network_around_reserved_space_leaves_it_reserved() -> None:
    ledger = make_ledger("203.0.112.0/22")
    assert list(ledger.coverage.reserved) == [Range.parse("203.0.113.0/24")]
    ledger.coverage.settle_network(Range.parse("203.0.112.0/22"))
    assert list(ledger.coverage.reserved) == [Range.parse("203.0.113.0/24")]
    assert ledger.coverage.held.size == 3 * 256
    assert ledger.coverage.complete


# -- elsewhere and failures ----------------------------------------------------------------------------------------


def test_elsewhere_parks_the_gap_and_asks_the_named_registry_whose_answer_closes_all() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    arrive(ledger, make(origin, 1, "elsewhere", "193.0.144.0", elsewhere="arin"))
    assert places(ledger)["parked"] == ["193.0.128.0/19"]
    assert f"lease {grant.lease}" not in places(ledger)
    (errand,) = lease(ledger, origin, now=2.0, arin=0.0)
    assert errand == LeaseGrant((1 << 32) + 2, "arin", (address("193.0.144.0"),), True, False)
    arrive(ledger, make(origin, 2, "network", "193.0.144.0", "193.0.128.0/18", registry="arin"), now=3.0)
    assert ledger.coverage.held.size == 1 << 14
    assert places(ledger) == {"pending ripencc": ["193.0.0.0/17", "193.0.192.0/18"]}
    assert ledger.networks == {"arin": 1}
    assert len(ledger.desk.errands) == 0


def test_elsewhere_without_a_name_is_tried_at_arin_and_then_at_the_others_in_order() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    lease(ledger, origin)
    asked = []
    arrive(ledger, make(origin, 1, "elsewhere", "193.0.0.128"))
    for sequence in range(2, 6):
        registry = next(each.registry for each in ledger.desk.errands)
        asked.append(registry)
        (grant,) = lease(ledger, origin, now=float(sequence), **{registry: 0.0})
        assert grant.first_in_line
        arrive(ledger, make(origin, sequence, "elsewhere", "193.0.0.128", registry=registry), now=float(sequence))
    assert asked == ["arin", "apnic", "lacnic", "afrinic"]
    assert ledger.coverage.unallocated.size == 256, "all five say that it is not theirs"


def test_registries_that_point_at_one_another_make_the_address_failed() -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(ledger, make(1, 1, "elsewhere", "193.0.1.1", elsewhere="arin"))
    other = {"arin": "ripencc", "ripencc": "arin"}
    for sequence in range(2, 5):
        (errand,) = ledger.desk.errands
        assert not ledger.coverage.failed, "one of them may have pointed wrong"
        registry = errand.registry
        arrive(ledger, make(1, sequence, "elsewhere", "193.0.1.1", registry=registry, elsewhere=other[registry]))
    while not ledger.coverage.failed:
        sequence += 1
        assert sequence < 10
        (errand,) = ledger.desk.errands
        registry = errand.registry
        arrive(ledger, make(1, sequence, "elsewhere", "193.0.1.1", registry=registry, elsewhere=other[registry]))
    assert list(ledger.coverage.failed) == [Range.parse("193.0.1.0/24")]
    assert ledger.failures == [(address("193.0.1.1"), "why")]
    assert ledger.counters["referral_loops"] == 3, "as many as attempts"


def test_the_errand_of_an_address_that_another_answer_settled_ends_and_what_it_parked_is_pending() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    lease(ledger, origin)
    arrive(ledger, make(origin, 1, "elsewhere", "193.0.144.0", elsewhere="arin"))
    arrive(ledger, make(origin, 2, "network", "193.0.144.9", "193.0.144.0/24", registry="apnic"))
    assert len(ledger.desk.errands) == 0
    assert ledger.desk.pending["ripencc"].size == 65536 - 256


def test_after_a_restart_an_errand_does_not_park_all_that_is_pending() -> None:
    ledger = make_ledger("193.0.0.0/8")
    ledger.replay(make(1, 1, "elsewhere", "193.7.1.1", elsewhere="arin"))
    assert places(ledger)["parked"] == ["193.7.0.0/16"]


def test_with_one_attempt_what_lies_around_a_failed_address_is_pending_at_once() -> None:
    ledger = make_ledger("193.0.0.0/16", attempts=1)
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    (where,) = grant.ranges
    asked = str(Range(4, where.first, where.first)).partition("/")[0]
    arrive(ledger, make(origin, 1, "failed", asked))
    assert [each.size for each in ledger.coverage.failed] == [256]
    assert len(ledger.desk.errands) == 0
    assert ledger.desk.pending["ripencc"].size == 65536 - 256


def test_a_failure_is_tried_again_later_and_settled_with_its_reason_after_the_last_attempt() -> None:
    ledger = make_ledger("193.0.0.0/24", attempts=3)
    origin = join(ledger)
    lease(ledger, origin)
    now = 1.0
    for sequence, wait_s in ((1, 5.0), (2, 10.0)):
        arrive(ledger, make(origin, sequence, "failed", "193.0.0.128"), now=now)
        assert places(ledger) == {"parked": ["193.0.0.0/24"]}
        assert lease(ledger, origin, now=now + wait_s - 0.1) == ()
        out = ledger.handle(Tick(), now + wait_s + 0.3)
        (grant,) = granted(out)
        assert grant.first_in_line
        now += wait_s + 1.0
        ledger.handle(Received(ALICE, Renew(CRAWL, origin, {})), now)
    out = arrive(ledger, make(origin, 3, "malformed", "193.0.0.128"), now=now)
    assert ledger.failures == [(address("193.0.0.128"), "why")]
    assert Finish(True) in out
    assert ledger.coverage.failed.size == 256


def test_a_late_failure_of_a_registry_that_pointed_on_does_not_bring_the_question_back() -> None:
    ledger = make_ledger("193.0.0.0/16")
    arrive(ledger, make(1, 1, "elsewhere", "193.0.1.1", elsewhere="arin"))
    arrive(ledger, make(2, 1, "failed", "193.0.1.1"))
    arrive(ledger, make(2, 2, "elsewhere", "193.0.1.1", elsewhere="arin"))
    (errand,) = ledger.desk.errands
    assert (errand.registry, errand.path, errand.failures) == ("arin", ("ripencc",), 0)
    origin = join(ledger)
    assert lease(ledger, origin, now=2.0, arin=0.0)[0].ranges == (address("193.0.1.1"),)


def test_an_errand_whose_lease_expires_is_leased_again_to_be_verified() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    lease(ledger, origin)
    arrive(ledger, make(origin, 1, "elsewhere", "193.0.0.128", elsewhere="arin"))
    (grant,) = lease(ledger, origin, now=2.0, arin=0.0)
    assert not grant.verify
    ledger.handle(Tick(), 2.0 + LEASE_TTL_S)
    bob = join(ledger, BOB, 30.0)
    (again,) = lease(ledger, bob, BOB, 30.0, arin=0.0)
    assert again == LeaseGrant(again.lease, "arin", grant.ranges, True, True)


def test_an_errand_returned_unasked_is_due_at_once_and_a_silent_return_is_awaited() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    lease(ledger, origin)
    arrive(ledger, make(origin, 1, "elsewhere", "193.0.0.128", elsewhere="arin"))
    (grant,) = lease(ledger, origin, now=2.0, arin=0.0)
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, grant.ranges)), 3.0)
    (again,) = lease(ledger, origin, now=3.0, arin=0.0)
    ledger.handle(Received(ALICE, Return(CRAWL, origin, again.lease, ())), 4.0)
    assert lease(ledger, origin, now=5.0, arin=0.0) == ()
    assert [each.ranges for each in granted(ledger.handle(Tick(), 4.0 + AWAIT_S))] == [grant.ranges]


# -- permits and signals -------------------------------------------------------------------------------------------


def test_an_origin_is_its_keys_alone() -> None:
    ledger = make_ledger("193.0.0.0/16")
    welcome = ledger.handle(Received(ALICE, Join(b"", "a", "", 0, ()), "alice's"), 0.0)[1]
    assert isinstance(welcome, Send) and isinstance(welcome.message, Welcome)
    origin = welcome.message.origin
    (refused,) = ledger.handle(Received(BOB, Join(CRAWL, "b", "", origin, ()), "bob's"), 1.0)
    assert isinstance(refused, Send) and isinstance(refused.message, Refused) and refused.message.final
    assert ledger.workers[origin].sender == ALICE
    (refused,) = ledger.handle(Received(ALICE, Renew(CRAWL, origin, {}), "bob's"), 1.0)
    assert isinstance(refused, Send) and isinstance(refused.message, Refused)
    found = Results(CRAWL, (make(origin, 1, "network", "193.0.6.139", "193.0.0.0/21"),))
    assert ledger.handle(Collected(found, "bob's"), 2.0) == []
    assert ledger.counters["messages_of_another_key"] == 2
    assert any(isinstance(each, Store) for each in ledger.handle(Collected(found, "alice's"), 2.0))
    again = ledger.handle(Received(b"another link", Join(CRAWL, "a", "", origin, ()), "alice's"), 3.0)
    assert isinstance(again[1], Send) and isinstance(again[1].message, Welcome)


def test_permits_are_dealt_in_turn_a_little_under_the_rate() -> None:
    ledger = make_ledger("193.0.0.0/16", rate=10.0, host_rate=10.0)
    alice, bob = join(ledger), join(ledger, BOB)
    gap = 1 / 9.6
    out = ledger.handle(Received(ALICE, PermitRequest(CRAWL, alice, "ripencc", 2)), 100.0)
    assert out == [Send(ALICE, Permits(CRAWL, "ripencc", 100.0, (0.0, pytest.approx(gap)), 0.0))]
    out = ledger.handle(Received(BOB, PermitRequest(CRAWL, bob, "ripencc", 100)), 100.0)
    later = tuple(pytest.approx(number * gap) for number in range(2, 10))
    assert out == [Send(BOB, Permits(CRAWL, "ripencc", 100.0, later, 0.0))]
    assert ledger.wake_at <= 100.0 + 10 * gap


def test_slow_down_takes_all_permits_back_halves_the_rate_and_waits_as_told() -> None:
    ledger = make_ledger("193.0.0.0/16", rate=10.0, host_rate=10.0)
    alice, bob = join(ledger), join(ledger, BOB)
    ledger.handle(Received(BOB, PermitRequest(CRAWL, bob, "ripencc", 5)), 100.0)
    told = Signal(CRAWL, alice, "ripencc", "limited", 30.0, "429")
    revoke = Permits(CRAWL, "ripencc", 100.1, (), pytest.approx(30.0))
    assert ledger.handle(Received(ALICE, told), 100.1) == [
        Note("registry_limited", {"registry": "ripencc", "host": "alice", "reason": "429", "rate": 5.0}, "warning"),
        Send(ALICE, revoke),
        Send(BOB, revoke),
    ]
    assert ledger.handle(Received(BOB, Signal(CRAWL, bob, "ripencc", "limited", 30.0, "429")), 100.2) == []
    assert ledger.handle(Received(BOB, PermitRequest(CRAWL, bob, "ripencc", 5)), 100.3) == []
    for each, origin in ((ALICE, alice), (BOB, bob)):
        ledger.handle(Received(each, Renew(CRAWL, origin, {})), 115.0)
    assert ledger.handle(Tick(), 129.1) == []
    (dealt,) = ledger.handle(Tick(), 129.8)
    assert isinstance(dealt, Send)
    assert isinstance(dealt.message, Permits)
    assert 129.8 + min(dealt.message.delays_s) == pytest.approx(130.2 + BORNE_LATENESS_S)
    assert ledger.budgets["ripencc"].rate == 5.0


def test_a_second_slow_down_soon_after_takes_back_what_was_dealt_in_between() -> None:
    ledger = make_ledger("193.0.0.0/16", rate=10.0, host_rate=10.0)
    alice, bob = join(ledger), join(ledger, BOB)
    told = Signal(CRAWL, alice, "ripencc", "limited", 1.0, "429")
    ledger.handle(Received(ALICE, told), 100.0)
    assert ledger.handle(Received(BOB, PermitRequest(CRAWL, bob, "ripencc", 5)), 101.5) != []
    revoke = Permits(CRAWL, "ripencc", 101.6, (), pytest.approx(1.0))
    assert ledger.handle(Received(ALICE, told), 101.6) == [Send(ALICE, revoke), Send(BOB, revoke)]


def test_a_limit_ends_the_freedom_of_an_unlimited_registry_also_for_those_who_join_later() -> None:
    ledger = make_ledger("193.0.0.0/16")
    alice = join(ledger)
    ledger.handle(Received(ALICE, Signal(CRAWL, alice, "arin", "limited", None, "429")), 1.0)
    out = ledger.handle(Received(BOB, Join(b"", "b", "", 0, ())), 2.0)
    assert isinstance(out[1], Send)
    assert isinstance(out[1].message, Welcome)
    assert out[1].message.unlimited == tuple(each for each in REGISTRIES if each != "arin")


def test_a_restarted_coordinator_deals_nothing_while_the_permits_of_the_former_may_be_used() -> None:
    ledger = make_ledger("193.0.0.0/16", rate=10.0, host_rate=10.0, epoch=2)
    origin = join(ledger, now=100.0)
    (out,) = ledger.handle(Received(ALICE, PermitRequest(CRAWL, origin, "ripencc", 5)), 100.5)
    assert isinstance(out, Send)
    assert isinstance(out.message, Permits)
    assert 100.5 + min(out.message.delays_s) >= 101.1


def test_unreachable_and_banned_are_noted_once_until_the_registry_answers() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    away = Signal(CRAWL, origin, "ripencc", "unreachable", None, "refused")
    note = Note("registry_unreachable", {"registry": "ripencc", "host": "alice", "reason": "refused"}, "warning")
    assert ledger.handle(Received(ALICE, away), 1.0) == [note]
    assert ledger.handle(Received(ALICE, away), 2.0) == []
    assert ledger.handle(Received(ALICE, Signal(CRAWL, origin, "ripencc", "answered", None, "")), 3.0) == []
    assert ledger.handle(Received(ALICE, away), 4.0) == [note]


def test_a_banned_host_wishes_for_nothing_more() -> None:
    ledger = make_ledger("193.0.0.0/24")
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, bob, BOB)
    assert lease(ledger, alice) == ()
    ledger.handle(Received(ALICE, Signal(CRAWL, alice, "ripencc", "banned", None, "abuse")), 1.0)
    assert granted(ledger.handle(Received(BOB, Return(CRAWL, bob, grant.lease, grant.ranges)), 1.0)) == ()


# -- the end -------------------------------------------------------------------------------------------------------


def test_the_crawl_finishes_when_all_is_settled_and_everybody_is_told() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    out = arrive(ledger, make(origin, 1, "network", "193.0.0.1", "193.0.0.0/21"))
    assert out[2:] == [Finish(True), Send(ALICE, Renewed(CRAWL, (), True, 1.0))]
    renewed = Renewed(CRAWL, (), True, 2.0, 0.0)
    assert ledger.handle(Received(ALICE, Renew(CRAWL, origin, {})), 2.0) == [Send(ALICE, renewed)]
    assert ledger.handle(Tick(), 10.0) == []


@pytest.mark.parametrize("space", [["10.0.0.0/8"], ["224.0.0.0/4", "192.0.2.0/24"], ["fc00::/7"], []])
def test_a_space_without_anything_to_ask_is_finished_at_the_first_tick(space: list[str]) -> None:
    assert make_ledger(*space).handle(Tick(), 0.0) == [Finish(True)]


def test_a_crawl_whose_registries_are_all_out_of_reach_stops_and_may_still_be_completed() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    ledger.handle(Received(ALICE, Signal(CRAWL, origin, "ripencc", "unreachable", None, "refused")), 1.0)
    ledger.handle(Received(ALICE, Renew(CRAWL, origin, {})), 15.0)
    assert not [each for each in ledger.handle(Tick(), 20.5) if isinstance(each, Finish)]
    assert ledger.handle(Tick(), 21.5) == [Finish(False, "ripencc: refused")]
    assert ledger.handle(Tick(), 22.5) == []
    out = arrive(ledger, make(origin, 1, "network", "193.0.0.1", "193.0.0.0/24"), now=23.0)
    assert Finish(True) in out


def test_a_registry_that_says_slow_down_is_not_out_of_reach() -> None:
    ledger = make_ledger("193.0.0.0/24")
    origin = join(ledger)
    ledger.handle(Received(ALICE, Signal(CRAWL, origin, "ripencc", "unreachable", None, "refused")), 1.0)
    ledger.handle(Received(ALICE, Signal(CRAWL, origin, "ripencc", "limited", 3_600.0, "429")), 5.0)
    for now in range(10, 700, 10):
        ledger.handle(Received(ALICE, Renew(CRAWL, origin, {})), float(now))
        assert not [each for each in ledger.handle(Tick(), now + 0.5) if isinstance(each, Finish)]


# -- repairs and counters ------------------------------------------------------------------------------------------


def test_the_accepted_log_is_told_from_any_point() -> None:
    ledger = make_ledger("193.0.0.0/16")
    results = [make(1, number, "network", f"193.0.{number}.1", f"193.0.{number}.0/24") for number in (1, 2, 3)]
    arrive(ledger, *results)
    blocks = tuple(Block("ripencc", result.range) for result in results)

    def ask(after: int, crawl: bytes = CRAWL) -> list[Instruction]:
        return ledger.handle(Asked(BOB, Digest(crawl, after, {}, None, 1_000)), 1.0)

    end = Reply(BOB, Sent(CRAWL, False, False))
    assert ask(0) == [Reply(BOB, accepted(1, *blocks)), end]
    assert ask(2) == [Reply(BOB, accepted(3, blocks[2])), end]
    assert ask(3) == [end]
    assert ask(2**53) == [end]
    assert ask(0, b"x" * 16) == []


def test_the_last_counters_of_a_worker_that_left_stay_in_the_sums() -> None:
    ledger = make_ledger("193.0.0.0/16")
    origin = join(ledger)
    first = {"lookups": 6.0, "hits": 2.0}
    assert ledger.handle(Collected(Metrics(CRAWL, origin, "alice", first)), 1.0) == [
        StoreCounters(origin, "alice", first)
    ]
    last = {"lookups": 7.0, "hits": 2.0}
    out = ledger.handle(Received(ALICE, Leave(CRAWL, origin, "alice", last)), 1.1)
    assert out[0] == StoreCounters(origin, "alice", last)
    late = Metrics(CRAWL, origin, "alice", first)
    assert ledger.handle(Collected(late), 1.2) == [], "overtaken: another socket"
    seen = status(ledger, 2.0)
    assert (seen["lookups"], seen["hits"], seen["workers"]) == (7, 2, [])


def test_the_status_says_where_everything_stands() -> None:
    ledger = make_ledger("193.0.0.0/16", "10.0.0.0/24", rate=2.0)
    origin = join(ledger)
    lease(ledger, origin)
    arrive(ledger, make(origin, 1, "network", "193.0.130.1", "193.0.130.0/24"))
    arrive(ledger, make(origin, 2, "elsewhere", "193.0.140.1", elsewhere="arin"))
    seen = status(ledger, 2.0)
    assert (seen["space"], seen["settled"], seen["held"], seen["reserved"]) == (65536 + 256, 512, 256, 256)
    assert seen["by_registry"]["arin"]["errands"] == 1
    assert seen["by_registry"]["ripencc"]["budget"] == 2.0
    assert (seen["compared"], seen["disagreements"]) == (0, 0)
    assert seen["workers"][0]["leases"] == 1
