"""Results of descents: what the ledger makes of them, and what of them is in the dump and answers a lookup."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from whoismesh.addresses import Range, parse_space
from whoismesh.compounds import ASSIGNMENT, PART, Result
from whoismesh.dump import open_dump, statistics
from whoismesh.dump_writer import write_dump
from whoismesh.errors import MessageError, StateError
from whoismesh.index import open_index
from whoismesh.ledger.account import Account
from whoismesh.messages import Results, decode, encode
from whoismesh.networks import Holder, Network
from whoismesh.packing import pack
from whoismesh.store import LedgerStore

MakeState = Callable[[Path, Iterable[str], Iterable[Result]], None]

PARENT, CHILD = "193.0.0.0/22", "193.0.1.0/24"


def result(sequence: int, status: str, where: str, *, name: str = "", asked: str = "") -> Result:
    found = Range.parse(where)
    address = Range.parse(asked) if asked else Range(found.family, found.first, found.first)
    payload = pack(Network("ripencc", found, holder=Holder(None, name)).to_map()) if name else b""
    return Result(5, sequence, "ripencc", status, address, found, None, "", payload)


def settle(*results: Result, space: str = PARENT) -> Account:
    account = Account(parse_space([space]), 3)
    for each in results:
        account.settle(each, 0.0)
    return account


def test_an_assignment_settles_nothing_and_is_no_block() -> None:
    account = settle(result(1, ASSIGNMENT, CHILD, name="Child"))
    assert not account.coverage.settled and not account.coverage.held
    assert len(account.log) == 0 and not account.networks
    assert account.counters["assignments"] == 1
    assert account.desk.pending["ripencc"].size == 1024


def test_a_part_settles_its_block_as_held_and_has_no_number_in_the_accepted_log() -> None:
    account = settle(result(1, PART, CHILD))
    assert list(account.coverage.held) == [Range.parse(CHILD)]
    assert len(account.log) == 0 and not account.networks
    assert account.desk.pending["ripencc"].size == 768
    account = settle(*(result(n, PART, f"193.0.{n}.0/24") for n in range(4)))
    assert account.coverage.complete


def test_a_part_outranks_what_a_not_found_settled_and_a_network_around_comes_on_top() -> None:
    account = settle(result(1, "unallocated", "193.0.1.7"), result(2, PART, CHILD), result(3, "network", PARENT))
    assert account.coverage.complete and not account.coverage.unallocated
    assert account.networks["ripencc"] == 1 and len(account.log) == 1


@pytest.mark.parametrize(("where", "asked"), [("193.0.1.0/24", "193.0.2.1"), ("0.0.0.0/0", "193.0.1.1")])
def test_a_part_that_cannot_be_settles_nothing(where: str, asked: str) -> None:
    account = settle(result(1, PART, where, asked=asked))
    assert not account.coverage.held and not account.coverage.complete


def test_results_of_descents_travel_like_others() -> None:
    message = Results(b"0123456789abcdef", (result(1, ASSIGNMENT, CHILD, name="Child"), result(2, PART, CHILD)))
    assert decode(encode(message)) == message
    with pytest.raises(MessageError):
        decode(encode(Results(message.crawl, (result(1, ASSIGNMENT, "193.0.1.0/24", asked="2001:db8::"),))))


@pytest.fixture
def dump(tmp_path: Path, make_state: MakeState) -> Path:
    results = [
        result(1, ASSIGNMENT, CHILD, name="Child"),
        result(2, ASSIGNMENT, "193.0.1.128/25", name="Grandchild"),
        result(3, ASSIGNMENT, CHILD, name="Child, told again"),
        result(4, "network", PARENT, name="Parent"),
        result(5, ASSIGNMENT, "193.0.4.0/22", name="Parent by gaps"),
        result(6, PART, "193.0.4.0/24"),
        result(7, PART, "193.0.5.0/24"),
        result(8, ASSIGNMENT, "193.0.6.0/24", name="Beyond the space"),
    ]
    (tmp_path / "state").mkdir()
    make_state(tmp_path / "state", ["193.0.0.0-193.0.5.255"], results)
    write_dump(tmp_path / "state", tmp_path / "dump")
    return tmp_path / "dump"


def test_the_dump_has_parents_and_children_once_and_the_narrowest_answers(dump: Path) -> None:
    with open_dump(dump) as records:
        found = [(str(each.range), each.holder.name) for each in records if isinstance(each, Network)]
        assert found == [
            (PARENT, "Parent"),
            (CHILD, "Child, told again"),
            ("193.0.1.128/25", "Grandchild"),
            ("193.0.4.0/22", "Parent by gaps"),
        ]
    with open_index(dump) as index:
        asked = [Range.parse(text).first for text in ("193.0.0.1", "193.0.1.1", "193.0.1.200", "193.0.5.5")]
        answers = [index.record(index.find(4, each)) for each in asked]
    names = [each.holder.name for each in answers]
    assert names == ["Parent", "Child, told again", "Grandchild", "Parent by gaps"]


def test_addresses_in_networks_inside_of_networks_are_counted_once(dump: Path) -> None:
    with open_dump(dump) as records:
        counted = statistics(records)
    assert counted.complete
    assert (counted.networks, counted.addresses, counted.held, counted.settled) == (4, 2048, 1536, 1536)


def test_a_record_without_a_lookup_of_its_own_is_no_lookup(tmp_path: Path, dump: Path) -> None:
    store = LedgerStore.read(tmp_path / "state")
    try:
        assert store.counters() == {5: {"lookups": 3.0}}  # the network and the two parts
        assert store.count_duplicates() == 0
    finally:
        store.close()


def test_a_crawl_keeps_its_depth(tmp_path: Path) -> None:
    store = LedgerStore.open(tmp_path)
    space = parse_space([PARENT])
    try:
        assert store.begin(space, depth="assignments").depth == "assignments"
        assert store.begin(space, depth="assignments").epoch == 2
        with pytest.raises(StateError, match="holds a crawl of depth assignments, not allocations; give the same"):
            store.begin(space)
    finally:
        store.close()
