"""What was lost with its finder before anybody heard of it must not keep what came after it from the mesh."""

from __future__ import annotations

from random import Random

from whoismesh.blocks import Blocks
from whoismesh.compounds import Peer, Run
from whoismesh.gossip.engine import Gossip
from whoismesh.gossip.events import Heard, Publish, Tick
from whoismesh.gossip.peers import Peers
from whoismesh.gossip.replica import HOLE_S
from whoismesh.messages import Discovered, Members
from whoismesh.simulation.gossip.table import Catalogue

CRAWL = b"a crawl's id: 16"
BLOCKS = Catalogue(20, Random(1)).blocks


def test_a_run_is_taken_in_when_nobody_has_what_comes_before_it() -> None:
    node = Gossip(lambda: 0.5, Peers())
    node.join(CRAWL, 1, 100.0)
    node.handle(Heard(Members(CRAWL, 1, 1, 0, 2, (Peer(2, "tcp://10.0.0.2:7711"),), ()), True), 100.0)
    late = Run(2, 4, None, Blocks.of(BLOCKS[:2]))
    node.handle(Heard(Discovered(CRAWL, (late,)), False), 101.0)
    assert len(node.replica.table) == 2  # hits at once,
    node.handle(Tick(), 101.0 + HOLE_S - 1)
    assert node.replica.logs.have() == (0, {})  # but nobody else can be told of them yet
    node.handle(Tick(), 101.0 + HOLE_S)
    assert node.replica.logs.have() == (0, {2: 5})
    assert node.totals()["gossip_holes"] == 1
    (told,) = node.replica.logs.delta((0, {}), 10_000)
    assert told == Run(2, 4, 0, late.blocks)  # what comes before needs nothing of the accepted log


def test_two_holes_are_filled_in_order_and_what_comes_in_time_fills_its_own() -> None:
    node = Gossip(lambda: 0.5, Peers())
    node.join(CRAWL, 1, 100.0)
    node.handle(Heard(Members(CRAWL, 1, 1, 0, 2, (Peer(2, "tcp://10.0.0.2:7711"),), ()), True), 100.0)
    for first, at in ((8, 0), (3, 2), (1, 4)):
        run = Run(2, first, None, Blocks.of(BLOCKS[at : at + 2]))
        node.handle(Heard(Discovered(CRAWL, (run,)), False), 101.0)
    assert node.replica.logs.have() == (0, {2: 4})
    out = node.handle(Tick(), 101.0 + HOLE_S)
    assert node.replica.logs.have() == (0, {2: 9})
    assert not [each for each in out if isinstance(each, Publish)]
    assert node.replica.waiting == 0


def test_a_hole_wider_than_a_log_may_be_is_not_filled() -> None:
    node = Gossip(lambda: 0.5, Peers())
    node.join(CRAWL, 1, 100.0)
    node.handle(Heard(Members(CRAWL, 1, 1, 0, 2, (Peer(2, "tcp://10.0.0.2:7711"),), ()), True), 100.0)
    node.handle(Heard(Discovered(CRAWL, (Run(2, 1 << 40, None, Blocks.of(BLOCKS[:2])),)), False), 101.0)
    node.handle(Tick(), 101.0 + HOLE_S)
    assert node.replica.logs.have() == (0, {})
    assert node.replica.waiting == 0
    assert node.totals()["gossip_refused_too_many"] == 2
