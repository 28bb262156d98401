"""What the prior does to the coordinator's engine: what is lent first, what is settled without a question."""

from __future__ import annotations

from scenes import ALICE, BOB, CRAWL, address, arrive, join, lease, make, make_ledger, places

from whoismesh.addresses import Range
from whoismesh.compounds import DELEGATED
from whoismesh.delegated import Delegation
from whoismesh.ledger import Ledger
from whoismesh.ledger.events import Finish, Received
from whoismesh.ledger.own_results import FREE_A_RESULT
from whoismesh.messages import Return
from whoismesh.packing import unpack
from whoismesh.prior import Aim, Prior, prior_of
from whoismesh.rangesets import RangeSet
from whoismesh.simulation.audits import audit_ledger

SPACE = ("193.0.0.0/16", "2001:600::/24")


def row(where: str, status: str = "allocated", registry: str = "ripencc", holder: str = "") -> Delegation:
    return Delegation(Range.parse(where), registry, "", status, "20200101", holder)


def prior(*rows: Delegation, space: tuple[str, ...] = SPACE) -> Prior:
    return prior_of(rows, RangeSet(map(Range.parse, space)))


def begun(*rows: Delegation, space: tuple[str, ...] = SPACE) -> Ledger:
    ledger = make_ledger(*space, prior=prior(*rows, space=space))  # type: ignore[arg-type]
    for each in ledger.delegated():
        ledger.replay(each)
    audit_ledger(ledger)
    return ledger


def aims(grant: object) -> list[tuple[str, int]]:
    return [(str(where), rows) for where, rows in grant.aims]  # type: ignore[attr-defined]


def test_aims_are_lent_before_all_else_the_largest_first_and_ipv4_first() -> None:
    rows = [row(f"193.0.{4 * number}.0/24") for number in range(40)]
    ledger = begun(*rows, row("193.0.192.0/19"), row("193.0.224.0/20"), row("2001:608::/32"))
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    assert aims(grant)[:2] == [("193.0.192.0/19", 1), ("193.0.224.0/20", 1)]
    assert len(grant.aims) == 43 // 8, "no more than an eighth of them"
    assert RangeSet(grant.ranges) == RangeSet(where for where, _ in grant.aims)
    audit_ledger(ledger)
    seen = list(grant.aims)
    while seen[-1].range.family == 4:
        (grant,) = lease(ledger, origin)
        seen += grant.aims
    assert len(seen) == 43
    (grant,) = lease(ledger, origin)
    assert grant.aims == (), "the rest is gaps as ever"
    audit_ledger(ledger)


def test_an_aim_comes_back_as_an_aim_where_nothing_of_it_is_settled_and_else_as_a_gap() -> None:
    """The largest of both first: a network of the prior may be hundreds of small ones."""
    ledger = begun(row("193.0.128.0/18"), row("193.0.192.0/19", holder="h"), row("193.0.224.0/21", holder="i"))
    origin = join(ledger)
    (grant,) = lease(ledger, origin)
    assert aims(grant) == [("193.0.128.0/18", 1)]
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, grant.ranges)), 1.0)
    (grant,) = lease(ledger, origin, now=1.0)
    assert aims(grant) == [("193.0.128.0/18", 1)]
    arrive(ledger, make(origin, 1, "network", "193.0.128.0", "193.0.128.0/20"))
    left = Range.parse("193.0.144.0-193.0.191.255")
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, (left,))), 2.0)
    (grant,) = lease(ledger, origin, now=2.0)
    assert (grant.ranges, aims(grant)) == ((left,), [])
    arrive(ledger, make(origin, 2, "network", "193.0.144.0", "193.0.152.0-193.0.191.255"))
    left = Range.parse("193.0.144.0/21")
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, (left,))), 3.0)
    (grant,) = lease(ledger, origin, now=3.0)
    assert aims(grant) == [("193.0.192.0/19", 1)], "which is larger now"
    audit_ledger(ledger)


def test_rows_of_one_holder_are_one_aim_of_as_many_questions() -> None:
    ledger = begun(row("193.0.128.0/18", holder="h"), row("193.0.192.0/19", holder="h"))
    (grant,) = lease(ledger, join(ledger))
    assert grant.aims == (Aim(Range.parse("193.0.128.0-193.0.223.255"), 2),)


def test_what_the_prior_calls_free_is_settled_by_few_results_that_a_replay_understands_without_it() -> None:
    many = [row(f"2001:600:{2 * number:x}::/48", "reserved") for number in range(FREE_A_RESULT + 1)]
    ledger = make_ledger(*SPACE, prior=prior(row("193.0.0.0/17", "available"), row("193.0.128.0/17"), *many))  # type: ignore[arg-type]
    results = ledger.delegated()
    assert [(each.status, len(unpack(each.payload))) for each in results] == [
        (DELEGATED, 1),
        (DELEGATED, FREE_A_RESULT),
        (DELEGATED, 1),
    ]
    assert {each.reason for each in results} == {
        "available by the statistics of ripencc",
        "reserved by the statistics of ripencc",
    }
    assert len({(each.origin, each.sequence) for each in results}) == 3
    again = make_ledger(*SPACE)
    for each in results:
        ledger.replay(each)
        again.replay(each)
    assert ledger.delegated() == [], "settled by now: a second start stores nothing"
    assert again.coverage.delegated == ledger.coverage.delegated == ledger.coverage.unallocated
    assert ledger.coverage.delegated.size == 2**15 + (FREE_A_RESULT + 1) * 2**80
    assert len(ledger.account.delegated) == FREE_A_RESULT + 2
    audit_ledger(ledger)
    audit_ledger(again)


def test_a_network_found_in_what_was_called_free_is_believed() -> None:
    ledger = begun(row("193.0.0.0/17", "available"), row("193.0.128.0/17"))
    origin = join(ledger)
    lease(ledger, origin)
    arrive(ledger, make(origin, 1, "network", "193.0.128.0", "193.0.64.0-193.0.255.255"))
    assert list(ledger.coverage.delegated) == [Range.parse("193.0.0.0/18")]
    assert ledger.coverage.held.holds(*address("193.0.64.0")[:2])
    audit_ledger(ledger)


def test_held_space_is_asked_about_where_the_prior_says() -> None:
    ledger = begun(row("193.0.128.0/17", registry="apnic"), space=("193.0.0.0/16",))
    origin = join(ledger)
    (grant,) = lease(ledger, origin, apnic=0.0)
    assert grant.registry == "apnic" and aims(grant) == [("193.0.128.0/17", 1)]
    out = arrive(ledger, make(origin, 1, "network", "193.0.128.0", "193.0.128.0/17", registry="apnic"))
    assert out and places(ledger) == {"pending ripencc": ["193.0.0.0/17"]}


def test_not_found_where_only_the_prior_sent_the_question_is_asked_at_home_too() -> None:
    ledger = begun(row("193.0.128.0/17", registry="apnic"), space=("193.0.0.0/16",))
    origin = join(ledger)
    (grant,) = lease(ledger, origin, apnic=0.0)
    arrive(ledger, make(origin, 1, "unallocated", "193.0.128.0", registry="apnic"))
    assert not ledger.coverage.settled
    ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, ())), 2.0)
    audit_ledger(ledger)
    errand = lease(ledger, origin, now=2.0)[0]
    assert errand.first_in_line and errand.ranges == (address("193.0.128.0"),)
    arrive(ledger, make(origin, 2, "unallocated", "193.0.128.0"))
    assert list(ledger.coverage.unallocated) == [Range.parse("193.0.128.0/24")]
    assert places(ledger)["pending ripencc"][-1] == "193.0.129.0-193.0.255.255", "the rest is the home's, too"
    audit_ledger(ledger)


def test_an_aim_that_is_elsewhere_holds_up_no_other() -> None:
    ledger = begun(*(row(f"193.0.{32 * number}.0/19") for number in range(8)), space=("193.0.0.0/16",))
    alice, bob = join(ledger), join(ledger, BOB)
    (grant,) = lease(ledger, alice)
    (other,) = lease(ledger, bob, BOB)
    assert grant.ranges[0].last + 1 == other.ranges[0].first
    arrive(ledger, make(alice, 1, "elsewhere", "193.0.0.0", elsewhere="arin"))
    assert places(ledger)["parked"] == ["193.0.0.0/19"]
    assert places(ledger)[f"lease {other.lease}"] == ["193.0.32.0/19"]
    audit_ledger(ledger)


def test_a_wrong_prior_ends_with_everything_settled_all_the_same() -> None:
    ledger = begun(row("193.0.0.0/18"), row("193.0.64.0/18", registry="arin"), space=("193.0.0.0/17",))
    origin = join(ledger)
    sequence = 0
    finished = None
    for now in range(2, 2_000):
        for registry in ("ripencc", "arin"):
            for grant in lease(ledger, origin, now=float(now), **{registry: 0.0}):
                where = grant.aims[0].range if grant.aims else grant.ranges[0]
                at = str(Range(where.family, where.first, where.first)).partition("/")[0]
                sequence += 1
                out = arrive(ledger, make(origin, sequence, "unallocated", at, registry=registry), now=float(now))
                ledger.handle(Received(ALICE, Return(CRAWL, origin, grant.lease, grant.ranges)), float(now))
                finished = next((each for each in out if isinstance(each, Finish)), finished)
        audit_ledger(ledger)
        if finished:
            break
    assert finished == Finish(True)
    assert list(ledger.coverage.unallocated) == [Range.parse("193.0.0.0/17")]
