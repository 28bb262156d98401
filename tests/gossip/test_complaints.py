"""What users of other gossip systems complain about, one scenario each, on real engines and a virtual clock."""

from __future__ import annotations

from random import Random

import pytest

from whoismesh.addresses import Range
from whoismesh.blocks import Block, BlockLog, Blocks
from whoismesh.compounds import Run
from whoismesh.gossip.exchange import INTERVAL_S
from whoismesh.gossip.logs import FORGET_S, MOST_CREDIT_BYTES, Logs
from whoismesh.gossip.peers import SKIP_S
from whoismesh.gossip.responder import SERVED_BYTES_S, Responder
from whoismesh.history import History, Joined, Left, Member
from whoismesh.ledger.hearsay import ADOPT_S
from whoismesh.ledger.leases import LEASE_TTL_S
from whoismesh.messages import MAX_SENT_BYTES, MAX_TAILS, Digest, Discovered, Members, Sent, decode, encode
from whoismesh.prefixes import PrefixTable
from whoismesh.simulation.gossip.links import COORDINATOR
from whoismesh.simulation.gossip.mesh import Mesh
from whoismesh.simulation.gossip.plan import AWAY, HERE, Plan
from whoismesh.simulation.gossip.run import MOST_TIMES, rounds_of

CRAWL = b"a crawl's id: 16"
KIND = {"loss": 0.0, "broken": 0.0, "crash": 0.0, "cut_s": 0.0}


def mesh_of(plan: Plan) -> Mesh:
    mesh = Mesh(plan)
    mesh.begin()
    return mesh


def run_until_alike(mesh: Mesh, within_s: float) -> None:
    deadline = mesh.clock.now + within_s
    while mesh.differs:
        assert mesh.clock.now < deadline, mesh.differs
        mesh.run(0.25)
    mesh.check()


def bound_s(nodes: int) -> float:
    return MOST_TIMES * rounds_of(nodes) * INTERVAL_S


def find(mesh: Mesh, host: int, *numbers: int) -> None:
    mesh.living[host].find(list(numbers))


def test_dead_incarnations_leave_no_trace() -> None:
    """quickwit-oss/chitchat#161, #155, #94, caio/foca#31: processes that are gone are gossiped for ever."""
    mesh = mesh_of(Plan(nodes=8, blocks=600, burst=3, crash=30.0, cut_s=0.0, lasting_s=60.0))
    mesh.unleash()
    mesh.run(60.0)
    assert mesh.starts > 60
    mesh.heal()
    mesh.run(LEASE_TTL_S + ADOPT_S + FORGET_S + bound_s(8))
    mesh.check()
    assert not mesh.differs
    assert len(mesh.live) == 8
    for process in mesh.live:
        logs, peers = process.gossip.replica.logs, process.gossip.peers
        assert logs.have() == (len(mesh.coordinator.log), {})
        assert not logs.tails
        assert sorted(peers.members) == sorted(each.gossip.origin for each in mesh.live)
        assert not process.gossip.replica.waiting


def test_a_restart_is_one_node_and_not_two() -> None:
    """quickwit-oss/chitchat#94: the process before still counts as a node, beside the one that took its address."""
    mesh = mesh_of(Plan(nodes=6, blocks=10, **KIND))  # type: ignore[arg-type]
    mesh.kill(3)
    mesh.start_process(3).start()
    mesh.run(2.0)
    assert mesh.living[3].gossip.origin == 7
    assert all(process.listens_to == {COORDINATOR, *range(6)} - {process.host} or process.host == 3
               for process in mesh.live)  # fmt: skip
    mesh.run(LEASE_TTL_S + 1.0)
    assert all(sorted(process.gossip.peers.members) == [1, 2, 3, 5, 6, 7] for process in mesh.live)


def spread_of(mesh: Mesh, healthy: range) -> float:
    """Have each healthy node find a block a second; return when the last healthy one had the last of them."""
    worst, number = 0.0, 0
    for _ in range(10):
        begun, numbers = mesh.clock.now, []
        for host in healthy[::4]:
            find(mesh, host, number)
            numbers.append(number)
            number += 1
        while not all(mesh.living[host].table.held[each] for host in healthy for each in numbers):
            mesh.run(0.05)
            worst = max(worst, mesh.clock.now - begun)
            assert mesh.clock.now - begun < bound_s(40)
        mesh.run(max(0.0, begun + 1.0 - mesh.clock.now))
    return worst


@pytest.mark.parametrize("sickness", ["stalled", "half deaf", "slow", "too slow"])
def test_one_sick_node_harms_nobody_else(sickness: str) -> None:
    """hashicorp/serf#269, hashicorp/consul#5567: one sick node makes thousands believe that others are dead."""
    plan = Plan(nodes=40, blocks=200, coordinator=AWAY, **KIND)  # type: ignore[arg-type]
    well = mesh_of(plan)
    well.coordinator.leave()
    without = spread_of(well, range(1, 40))
    mesh = mesh_of(plan)
    mesh.coordinator.leave()
    sick = mesh.living[0]
    if sickness == "stalled":
        sick.is_stalled = True
    elif sickness == "half deaf":
        sick.deaf = 0.5
    else:
        sick.slow_s = 1.0 if sickness == "slow" else 5.0
    assert spread_of(mesh, range(1, 40)) <= without + INTERVAL_S
    mesh.run(3 * SKIP_S)
    for process in mesh.live[1:]:
        assert set(process.gossip.peers._trouble) <= {0, sick.gossip.origin}, "only the sick node is in trouble"
        assert set(process.gossip.peers.members) == set(range(1, 41)), "nobody was declared dead"
    sick.deaf = sick.slow_s = 0.0
    if sick.is_stalled:
        sick.resume()
    run_until_alike(mesh, SKIP_S + bound_s(40))


def test_a_long_partition_heals_without_help_from_outside() -> None:
    """hashicorp/serf#605, caio/foca#15: who lost all others never tries them again."""
    mesh = mesh_of(Plan(nodes=16, blocks=32, coordinator=AWAY, **KIND))  # type: ignore[arg-type]
    mesh.coordinator.leave()
    mesh.links.cut(frozenset(range(8)))
    for at in range(16):
        find(mesh, at, at, 16 + at)
        mesh.run(40.0)  # ten minutes in all
    one, other = mesh.living[0], mesh.living[8]
    assert len(one.table) == len(other.table) == 16
    mesh.links.cut(frozenset())
    run_until_alike(mesh, SKIP_S + bound_s(16))
    assert len(one.table) == 32


def test_all_connections_of_a_node_that_fail_together_cost_only_their_own_time() -> None:
    """grafana/dskit#1034: probes over other nodes fail together with the node's own network, and all are wrong."""
    mesh = mesh_of(Plan(nodes=20, blocks=60, coordinator=HERE, **KIND))  # type: ignore[arg-type]
    mesh.links.cut(frozenset({7}))
    for at in range(20):
        find(mesh, at, 3 * at, 3 * at + 1, 3 * at + 2)
    mesh.run(2 * LEASE_TTL_S)
    assert len(mesh.living[7].table) == 3
    others = [process for process in mesh.live if process.host != 7]
    assert all(len(process.table) == 57 for process in others)
    assert all(set(process.gossip.peers._trouble) <= {8} for process in others)
    mesh.links.cut(frozenset())
    run_until_alike(mesh, SKIP_S + bound_s(20))
    assert len(mesh.living[7].table) == 60
    assert mesh.living[7].gossip.origin == 8  # it came back as who it was


def test_an_event_queue_that_nobody_reads_is_bounded_and_counts_what_it_drops() -> None:
    """zeromq/zyre#500: after 2,000 members have come and gone, an unread pipe blocks the whole interface."""
    history = History(PrefixTable(), 100)
    for origin in range(1, 10_001):
        member = Member(origin, f"host{origin}:1")
        history.note(Joined(member))
        history.note(Left(member, "lost"))
    assert len(history._kept) == 100
    assert history.dropped == 20_000 - 100


def logs_with(accepted: int, tails: dict[int, list[Block]]) -> Logs:
    log = BlockLog()
    for number in range(accepted):
        log.append(Block("ripencc", Range.of_prefix(4, (193 << 24) + (number << 8), 24)))
    logs = Logs(log, lambda origin, number, block: False)
    for origin, blocks in tails.items():
        logs.extend(origin, logs.tail(origin, 0.0), Blocks.of(blocks))
    return logs


def digest_of(accepted: int, tails: dict[int, int]) -> Digest:
    return Digest(CRAWL, accepted, tails, None, MOST_CREDIT_BYTES, bytes(8))


NOBODY = Members(CRAWL, 1, 1, 0, 100, (), ())


def test_a_big_state_does_not_starve_a_small_one() -> None:
    """quickwit-oss/chitchat#119: 10 MB of one node come before the few bytes that matter."""
    news = {origin: [Block("arin", Range.of_prefix(4, (8 << 24) + (origin << 8), 24))] for origin in range(1, 31)}
    responder = Responder(logs_with(200_000, news))
    out = responder.answer(digest_of(0, {}), NOBODY, 0.0)
    told = [run for each in out if isinstance(each, Discovered) for run in each.runs]
    assert [run.origin for run in told[:30]] == sorted(news), "the news of now comes first"
    assert all(run.origin == 0 for run in told[30:])
    assert out[-1] == Sent(CRAWL, True, False)
    sizes = [len(encode(each)) for each in out]
    assert sum(sizes) <= 256 * 1024, "what is answered once (quickwit-oss/chitchat#170: frames beyond the budget)"


def test_a_joiner_hears_the_news_of_now_while_it_catches_up_with_the_past() -> None:
    """quickwit-oss/chitchat#119, on a fleet: a joiner far behind hears of a new block long before it has the past."""
    mesh = mesh_of(Plan(nodes=6, blocks=15_000, **KIND))  # type: ignore[arg-type]
    mesh.kill(5)
    for at in range(0, 14_000, 500):
        find(mesh, at // 500 % 5, *range(at, at + 500))
        mesh.run(0.1)
    run_until_alike(mesh, bound_s(6))
    joiner = mesh.start_process(5)
    joiner.start()
    while not joiner.joined:
        mesh.run(0.01)
    find(mesh, 1, 14_999)
    heard_at = mesh.clock.now
    while not joiner.table.held[14_999]:
        mesh.run(0.01)
    heard_s = mesh.clock.now - heard_at
    assert heard_s < INTERVAL_S
    run_until_alike(mesh, bound_s(6))


def test_a_thousand_joiners_at_once_do_not_bring_one_node_down() -> None:
    """Snapshots for all at once (grafana/mimir, hashicorp/memberlist): one node answers so much and no more."""
    responder = Responder(logs_with(60_000, {}))
    answers = [responder.answer(digest_of(0, {}), NOBODY, 1.0) for _ in range(1_000)]
    served = [out for out in answers if out != [Sent(CRAWL, True, True)]]
    sent = sum(len(encode(each)) for out in served for each in out)
    assert sent <= SERVED_BYTES_S + 256 * 1024
    assert 10 < len(served) < 40
    assert responder.answer(digest_of(0, {}), NOBODY, 1.1) != [Sent(CRAWL, True, True)], "and is soon free again"


@pytest.mark.slow
def test_joiners_that_find_a_node_busy_ask_others() -> None:
    """A mass join on a fleet: hosts come all at once, and share the work of answering."""
    mesh = mesh_of(Plan(nodes=60, blocks=4_000, **KIND))  # type: ignore[arg-type]
    for host in range(10, 60):
        mesh.kill(host)
    for at in range(0, 4_000, 400):
        find(mesh, at // 400 % 10, *range(at, at + 400))
        mesh.run(0.1)
    mesh.run(LEASE_TTL_S + 1.0)
    for host in range(10, 60):
        mesh.start_process(host).start()
    mesh.run(1.0)
    assert len(mesh.live) == 60
    run_until_alike(mesh, bound_s(60))


@pytest.mark.slow
def test_a_restart_storm_is_over_when_it_is_over() -> None:
    """hashicorp/consul#1212, zeromq/zyre#677: everybody restarts at once, again and again, and the fleet flaps on."""
    mesh = mesh_of(Plan(nodes=60, blocks=600, loss=0.1, broken=0.01, crash=0.0, cut_s=0.0))
    number = 0
    for _ in range(4):
        for host in range(60):
            mesh.kill(host)
            mesh.start_process(host).start()
        mesh.run(2.0)
        for process in mesh.live:
            process.find([number])
            number += 1
        mesh.run(1.0)
    assert mesh.starts == 300
    mesh.heal()
    mesh.run(LEASE_TTL_S + 1.0)
    run_until_alike(mesh, bound_s(60))
    assert all(sorted(each.gossip.peers.members) == list(range(241, 301)) for each in mesh.live)


def test_a_digest_never_outgrows_its_frame() -> None:
    """quickwit-oss/chitchat#59, #170: with enough nodes the digest does not fit, and nothing is repaired any more."""
    random = Random(1)
    tails = {random.randrange(1 << 40, 1 << 50): random.randrange(1 << 40) for _ in range(MAX_TAILS)}
    frame = encode(digest_of(1 << 40, tails))
    assert len(frame) <= MAX_SENT_BYTES
    assert decode(frame) == digest_of(1 << 40, tails)
    logs = logs_with(10, {})
    for origin in range(1, 2 * MAX_TAILS):
        if logs.has_room(origin, ()):
            logs.extend(origin, logs.tail(origin, 0.0), Blocks.of([Block("arin", Range.of_prefix(4, 8 << 24, 24))]))
    assert len(logs.have()[1]) < MAX_TAILS, "more logs than fit are not begun"
    assert decode(encode(Responder(logs).digest(CRAWL, (1, 1)))).crawl == CRAWL


def test_a_block_told_at_the_last_moment_is_not_lost() -> None:
    """grafana/mimir#2401: the last messages before the end are lost."""
    mesh = mesh_of(Plan(nodes=12, blocks=1, coordinator=AWAY, **KIND))  # type: ignore[arg-type]
    mesh.coordinator.leave()
    find(mesh, 3, 0)
    mesh.kill(3)
    mesh.run(0.5)
    run_until_alike(mesh, bound_s(12))
    assert all(process.table.held[0] for process in mesh.live)
    mesh.coordinator.begin()
    mesh.run(ADOPT_S + LEASE_TTL_S + bound_s(12))
    assert mesh.coordinator.adopted == 1
    assert all(process.gossip.replica.logs.have() == (1, {}) for process in mesh.live)


def test_a_run_names_its_log_so_that_sizes_stay_small() -> None:
    """quickwit-oss/chitchat#59: identifiers of 16 bytes and more fill the digest; a thousand live logs fit in 16 kB."""
    logs = logs_with(0, {origin: [Block("arin", Range.of_prefix(4, 8 << 24, 24))] for origin in range(9_001, 10_001)})
    assert len(encode(Responder(logs).digest(CRAWL, (3, 20_000)))) < 16_000
    assert len(encode(Discovered(CRAWL, (Run(10_000, 1, None, Blocks.of([None])),)))) < 64
