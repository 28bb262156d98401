"""The other protocol's record in the dump: beside the network it is about, told by stats and lookup."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whoismesh.addresses import Range
from whoismesh.cli.main import main
from whoismesh.compounds import DISAGREEMENT, Result
from whoismesh.dump import open_dump, statistics
from whoismesh.dump_writer import write_dump
from whoismesh.errors import DumpError
from whoismesh.networks import COMPARED_FIELDS, Holder, Network
from whoismesh.packing import pack, unpack_stream

MakeResult = Callable[..., Result]
MakeState = Callable[[Path, Iterable[str], Iterable[Result]], None]

ONE, TWO, THREE = (Range.parse(f"193.0.{number}.0/24") for number in (1, 2, 3))


def other(where: Range, **more: object) -> Network:
    holder = Holder("ORG-X", "Former Ltd")
    return replace(Network("ripencc", where, source="whois", holder=holder, country="NL"), **more)  # type: ignore[arg-type]


def beside(sequence: int, where: Range, fields: str = "holder", network: Network | None = None) -> Result:
    asked = Range(where.family, where.first, where.first)
    payload = pack((network or other(where)).to_map())
    return Result(1, sequence, "ripencc", DISAGREEMENT, asked, where, None, fields, payload)


@pytest.fixture
def dumped(tmp_path: Path, make_result: MakeResult, make_state: MakeState) -> Callable[..., Path]:
    """Return a function from results of the other protocol to the dump of a crawl with three networks."""

    def make(*others: Result) -> Path:
        found = [make_result(100 + each.first // 256 % 256, "network", each, name="X") for each in (ONE, TWO, THREE)]
        make_state(tmp_path, ["193.0.0.0/21"], [*others, *found])
        write_dump(tmp_path, tmp_path / "dump")
        return tmp_path / "dump"

    return make


def networks(path: Path) -> list[Network]:
    with open_dump(path) as dump:
        return [each for each in dump if isinstance(each, Network)]


def test_it_lies_beside_its_network(dumped: Callable[..., Path]) -> None:
    path = dumped(beside(1, TWO, "range, holder", other(Range.parse("193.0.2.0/25"))), beside(2, THREE))
    one, two, three = networks(path)
    assert (one.also, one.differs) == (None, ())
    assert two.also == other(Range.parse("193.0.2.0/25"))
    assert two.differs == ("range", "holder")
    assert (two.range, two.name, two.source) == (TWO, "X", "rdap")
    assert three.differs == ("holder",)
    with open_dump(path) as dump:
        counted = statistics(dump)
    assert (counted.networks, counted.disagreements) == (3, 2)
    assert counted.addresses == 3 * 256, "its range is nobody's"
    expected = {"range": 1, "registry": 0, "handle": 0, "holder": 2, "country": 0}
    assert counted.by_registry["ripencc"]["disagreements"] == expected


def test_records_without_one_are_as_ever(dumped: Callable[..., Path]) -> None:
    path = dumped(beside(1, TWO))
    with path.open("rb") as file:
        maps = [record for record, _ in unpack_stream(file) if record.get("kind") == "network"]
    assert ["also" in each for each in maps] == [False, True, False]
    assert maps[1]["also"]["holder"] == {"handle": "ORG-X", "name": "Former Ltd"}
    assert maps[1]["differs"] == ["holder"]


@pytest.mark.parametrize(
    "told",
    [
        [beside(1, Range.parse("193.0.0.0/24")), beside(2, Range.parse("193.0.9.0/24"))],  # of a network yet to come
        [beside(1, Range.parse("193.0.2.0/25"))],
        [beside(1, TWO)._replace(payload=b"\xc1")],
        [beside(1, TWO)._replace(payload=pack({"kind": "network"}))],
        [beside(1, TWO)._replace(payload=pack(7))],
        [beside(1, TWO, "nonsense")],
        [beside(1, TWO, network=other(TWO, source="rdap"))],  # what the dump has is that protocol's already
    ],
)
def test_what_is_none_is_left_out(dumped: Callable[..., Path], told: list[Result]) -> None:
    assert [each.also for each in networks(dumped(*told))] == [None] * 3


def test_the_newest_counts(dumped: Callable[..., Path]) -> None:
    newest = other(TWO, country="DE")
    path = dumped(beside(1, TWO), beside(2, TWO, "country", newest))
    assert networks(path)[1].also == newest
    assert networks(path)[1].differs == ("country",)


def test_a_chain_of_them_is_cut(dumped: Callable[..., Path]) -> None:
    deep = other(TWO)
    for _ in range(20):
        deep = replace(deep, also=deep, differs=("holder",))
    found = networks(dumped(beside(1, TWO, network=deep)))[1].also
    assert found is not None
    assert found.also is None


def test_a_record_that_is_none_beside_a_network_makes_the_record_none() -> None:
    record = Network("ripencc", TWO).to_map()
    for wrong in (7, [], "x", {"registry": "arin"}, {"registry": 4, "first": b"", "last": b""}):
        with pytest.raises(DumpError):
            Network.from_map({**record, "also": wrong})
    with pytest.raises(DumpError):
        Network.from_map({**record, "also": record, "differs": "holder"})


@given(st.sampled_from(COMPARED_FIELDS), st.text(max_size=9))
def test_a_record_with_another_beside_it_is_read_as_it_was_written(field: str, name: str) -> None:
    network = Network("ripencc", TWO, name="X", also=other(ONE, name=name), differs=(field,))
    assert Network.from_map(network.to_map()) == network


def test_stats_and_lookup_tell_of_it(dumped: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = str(dumped(beside(1, TWO)))
    assert main(["stats", path]) == 0
    assert "disagree on 1 networks, in these fields:\n  ripencc      holder 1\n" in capsys.readouterr().out
    assert main(["stats", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["disagreements"] == 1
    assert main(["lookup", path, "193.0.2.9"]) == 0
    assert "; whois says 193.0.2.0/24, Former Ltd, NL, ripencc" in capsys.readouterr().out
    assert main(["lookup", path, "193.0.2.9", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["differs"] == ["holder"]
    assert (answer["also"]["first"], answer["also"]["last"]) == ("193.0.2.0", "193.0.2.255")
