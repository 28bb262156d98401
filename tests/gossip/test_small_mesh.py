"""The helpers of these tests do what real nodes do."""

from small_mesh import Coordinator, Node, block


def test_what_one_finds_the_other_has_after_an_exchange_and_the_coordinator_seals_it() -> None:
    one, two, coordinator = Node(1, 2), Node(2, 2), Coordinator(2)
    one.find(range(5))
    two.compare_with(one, 1.0)
    assert two.known == {block(number).range for number in range(5)} == one.known
    coordinator.accept(1, 1, range(5), 2.0)
    for node in (one, two):
        node.exchange(0, lambda sender, message: coordinator.answer(sender, message, 3.0), 3.0)
        node.gossip.replica.logs.trim(3.0)
        assert node.gossip.replica.logs.have() == (5, {})
    assert coordinator.ledger.workers.keys() == {1, 2}
