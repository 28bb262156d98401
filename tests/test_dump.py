from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whoismesh.addresses import Range, parse_address, parse_space
from whoismesh.answers.cymru import NOBODY, Origin
from whoismesh.compounds import ORIGINS, Result
from whoismesh.dump import Dump, open_dump, statistics
from whoismesh.dump_writer import write_dump
from whoismesh.errors import DumpError, StateError
from whoismesh.index import open_index
from whoismesh.networks import COMPARED_FIELDS, Holder, Network, Record, Unheld, plain
from whoismesh.origins import pack_origins
from whoismesh.packing import pack, unpack_stream
from whoismesh.rangesets import RangeSet
from whoismesh.store import LedgerStore

MakeResult = Callable[..., Result]
MakeState = Callable[[Path, Iterable[str], Iterable[Result]], None]

#: What one "not found" closes is a /24 or a /32, so a few results settle all of it.
SPACE = ("193.0.2.0/24", "194.0.0.0/24", "2001:600::/31", "10.0.0.0/30")


@pytest.fixture
def state(tmp_path: Path, make_result: MakeResult, make_state: MakeState) -> Path:
    """A small crawl with everything odd in it: both families, networks in networks, no CIDRs, accents."""
    folder = tmp_path / "state"
    folder.mkdir()
    results = [
        make_result(1, "network", "193.0.2.0/24", name="OLD-NAME"),
        make_result(
            2,
            "network",
            "193.0.2.0/24",
            name="SOCIÉTÉ-GÉNÉRALE",
            holder=Holder("ORG-Ü1", "Société Générale — Zürich 東京"),
            status=("ASSIGNED PA", "active"),
            asn=3333,
        ),
        make_result(3, "network", "193.0.2.5-193.0.2.130", name="NO-CIDR", registry="arin"),
        make_result(4, "network", "193.0.1.0-193.0.2.63", name="BEYOND-THE-SPACE"),
        make_result(5, "failed", "194.0.0.200", reason="194.0.0.200: timed out"),
        make_result(6, "failed", "194.0.0.200", reason="second time"),
        make_result(7, "failed", "194.0.0.200", reason="third time"),
        make_result(8, "network", "2001:600::/33", registry="afrinic"),
        make_result(9, "unallocated", "2001:601::"),
    ]
    make_state(folder, SPACE, results)
    return folder


@pytest.fixture
def dump_file(state: Path, tmp_path: Path) -> Path:
    path = tmp_path / "results.msgpack"
    write_dump(state, path)
    return path


def records(path: Path) -> list[Record]:
    with open_dump(path) as dump:
        return list(dump)


def whole_records(path: Path) -> tuple[list[Record], str]:
    """Return what can be read, and what the error says then."""
    found = []
    with open_dump(path) as dump, pytest.raises(DumpError) as caught:
        found.extend(dump)
    return found, str(caught.value)


def test_a_dump_holds_the_networks_and_what_nobody_holds_in_order(dump_file: Path) -> None:
    found = records(dump_file)
    assert [(str(each.range), getattr(each, "name", None) or getattr(each, "kind", "")) for each in found] == [
        ("10.0.0.0/30", "reserved"),
        ("193.0.1.0-193.0.2.63", "BEYOND-THE-SPACE"),
        ("193.0.2.0/24", "SOCIÉTÉ-GÉNÉRALE"),
        ("193.0.2.5-193.0.2.130", "NO-CIDR"),
        ("194.0.0.0/24", "failed"),
        ("2001:600::/33", ""),
        ("2001:601::/32", "unallocated"),
    ]
    assert sorted(found, key=lambda each: each.range) == found
    assert found[2] == Network(
        "ripencc",
        Range.parse("193.0.2.0/24"),
        name="SOCIÉTÉ-GÉNÉRALE",
        holder=Holder("ORG-Ü1", "Société Générale — Zürich 東京"),
        status=("ASSIGNED PA", "active"),
        asn=3333,
    )
    assert found[4] == Unheld("failed", Range.parse("194.0.0.0/24"), "third time")


def test_header_and_footer_say_what_the_dump_is(dump_file: Path, state: Path) -> None:
    store = LedgerStore.read(state)
    crawl = store.crawl()
    store.close()
    with open_dump(dump_file) as dump:
        assert {key: dump.header[key] for key in ("format", "version", "crawl", "started_at", "complete")} == {
            "format": "whoismesh-dump",
            "version": 1,
            "crawl": crawl.id,
            "started_at": crawl.started_at,
            "complete": False,
        }
        assert dump.header["program"].startswith("whoismesh ")
        assert dump.header["written_at"] >= crawl.started_at
        assert dump.space == parse_space(SPACE)
        assert dump.footer is None
        list(dump)
        assert dump.footer is not None
        assert dump.footer["records"] == 7
        assert dump.footer["counts"] == {"network": 4, "reserved": 1, "failed": 1, "unallocated": 1}
        assert len(dump.footer["sha256"]) == 64
        assert len(list(dump)) == 7  # a second time


def test_a_dump_is_plain_msgpack_with_the_promised_keys(dump_file: Path) -> None:
    with open(dump_file, "rb") as file:
        values = [value for value, _ in unpack_stream(file)]
    assert values[3]["kind"] == "network"
    assert set(values[3]) == {
        "kind", "registry", "first", "last", "cidrs", "handle", "name", "type", "status", "country", "parent", "holder",
        "registered", "changed", "asn", "asn_cidr", "source", "server", "asked", "fetched_at",
    }  # fmt: skip
    assert (values[3]["first"], values[3]["last"]) == (b"\xc1\0\2\0", b"\xc1\0\2\xff")
    assert set(values[5]) == {"kind", "first", "last", "reason"}
    assert values[-1]["kind"] == "footer"


def test_a_file_cut_at_any_byte_is_read_to_its_last_whole_record_and_says_so(dump_file: Path) -> None:
    whole = dump_file.read_bytes()
    expected = records(dump_file)
    with open(dump_file, "rb") as file:
        ends = [ends for _, ends in unpack_stream(file)]
    for cut in range(len(whole)):
        dump_file.write_bytes(whole[:cut])
        if cut < ends[0]:
            with pytest.raises(DumpError, match="is no whoismesh dump"):
                open_dump(dump_file)
            continue
        found, problem = whole_records(dump_file)
        count = sum(end <= cut for end in ends[1:-1])
        assert found == expected[:count]
        assert problem == (
            f"{dump_file}: is cut short after {count} whole records; "
            "write it again with `whoismesh dump --state DIR FILE`"
        )


@pytest.mark.slow
def test_a_byte_changed_anywhere_is_noticed(dump_file: Path) -> None:
    whole = dump_file.read_bytes()
    for index in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF, 0x42):
            changed = bytearray(whole)
            changed[index] ^= flip
            dump_file.write_bytes(changed)
            with pytest.raises(DumpError) as caught:
                records(dump_file)
            message = str(caught.value)
            assert message.startswith(f"{dump_file}: ")
            assert "\n" not in message
            # And whoever only counts is told, too.
            try:
                with open_dump(dump_file) as dump:
                    assert statistics(dump).problem
            except DumpError:
                pass


@given(st.binary(min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=60)
def test_bytes_put_in_anywhere_are_noticed(
    tmp_path_factory: pytest.TempPathFactory, pristine: bytes, more: bytes, where: float
) -> None:
    path = tmp_path_factory.mktemp("dump") / "results.msgpack"
    index = int(where * len(pristine))
    path.write_bytes(pristine[:index] + more + pristine[index:])
    with pytest.raises(DumpError):
        records(path)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, make_result: MakeResult, make_state: MakeState) -> bytes:
    folder = tmp_path_factory.mktemp("state")
    make_state(folder, ["193.0.0.0/24"], [make_result(1, "network", "193.0.0.0/24", name="NAME")])
    write_dump(folder, folder / "results.msgpack")
    return (folder / "results.msgpack").read_bytes()


def test_a_dump_of_several_reads_is_checked_to_its_end(
    tmp_path: Path, make_result: MakeResult, make_state: MakeState
) -> None:
    results = [make_result(n, "network", f"193.0.{n}.0/24", name=f"{n} " * 15_000) for n in range(60)]
    make_state(tmp_path, ["193.0.0.0/16"], results)
    path = tmp_path / "dump"
    write_dump(tmp_path, path)
    whole = path.read_bytes()
    assert len(whole) > 2 * 1024 * 1024
    assert len(records(path)) == 60
    for where in (len(whole) // 3, len(whole) // 2, len(whole) - 100_000):
        path.write_bytes(whole[:where] + b"#" + whole[where + 1 :])
        found, problem = whole_records(path)
        assert len(found) == 60
        assert problem.endswith("does not match its footer: it was changed; write it again from the state")


def test_records_that_are_left_out_swapped_or_repeated_are_noticed(tmp_path: Path, dump_file: Path) -> None:
    whole = dump_file.read_bytes()
    with open(dump_file, "rb") as file:
        ends = [0, *(ends for _, ends in unpack_stream(file))]
    parts = [whole[begin:end] for begin, end in pairwise(ends)]
    for changed in (
        [*parts[:3], *parts[4:]],
        [*parts[:2], parts[3], parts[2], *parts[4:]],
        [*parts[:3], parts[2], *parts[3:]],
        [*parts, parts[-1]],
        [*parts, parts[2]],
        [parts[0], parts[-1]],
        [parts[0], *parts],
    ):
        dump_file.write_bytes(b"".join(changed))
        with pytest.raises(DumpError):
            records(dump_file)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "is no whoismesh dump", id="empty"),
        pytest.param(b"shopping list\n" * 10_000, "is no whoismesh dump", id="text"),
        pytest.param(os.urandom(0) + bytes(range(256)) * 10_000, "is no whoismesh dump", id="bytes"),
        pytest.param(pack({"format": "other"}), "is no whoismesh dump", id="another format"),
        pytest.param(pack(["whoismesh-dump"]), "is no whoismesh dump", id="no map"),
        pytest.param(b"\xdc\xc3\x50" + pack("x" * 1_000) * 40_000, "is no whoismesh dump", id="endless record"),
        pytest.param(b"\x91" * 100_000, "is no whoismesh dump", id="nested"),
        pytest.param(
            pack({"format": "whoismesh-dump", "version": 2}), "is a dump of version 2, this program reads 1", id="newer"
        ),
        pytest.param(pack({"format": "whoismesh-dump"}), "is a dump of version None", id="no version"),
    ],
)
def test_a_file_that_is_no_dump_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DumpError, match=expected) as caught:
        open_dump(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "nothing", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(DumpError) as caught:
            open_dump(path)
        assert str(caught.value) == f"{path}: cannot be read: {reason}"


@pytest.mark.parametrize("space", [None, 5, "193.0.0.0/8", [5], ["nonsense"], {"a": 1}], ids=repr)
def test_a_header_without_a_space_is_said_to_be_one(tmp_path: Path, space: Any) -> None:
    path = tmp_path / "dump"
    path.write_bytes(pack({"format": "whoismesh-dump", "version": 1, "space": space}))
    with open_dump(path) as dump, pytest.raises(DumpError, match="its header names no space"):
        _ = dump.space


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"kind": "network"},
        {"kind": ["network"]},
        {"kind": "failed"},
        {"kind": "failed", "first": 1, "last": 2},
        {"kind": "failed", "first": [1, 2, 3, 300], "last": b"1234"},
        {"kind": "failed", "first": b"\2\0\0\0", "last": b"\1\0\0\0"},
        {"kind": "surprise", "first": b"1234", "last": b"1234"},
        {"kind": "network", "registry": ["arin"], "first": b"1234", "last": b"1234"},
        [],
        5,
    ],
    ids=repr,
)
def test_a_record_that_is_none_is_an_error_that_names_the_file(tmp_path: Path, record: Any) -> None:
    path = tmp_path / "dump"
    path.write_bytes(pack({"format": "whoismesh-dump", "version": 1, "space": ["193.0.0.0/8"]}) + pack(record))
    found, problem = whole_records(path)
    assert found == []
    assert problem.startswith(f"{path}: ")
    with open_dump(path) as dump:
        assert statistics(dump).problem == problem


# -- writing ------------------------------------------------------------------------------------------------------


def test_a_crawl_that_has_found_nothing_yet_has_a_dump(tmp_path: Path, make_state: MakeState) -> None:
    make_state(tmp_path, ["193.0.0.0/24"], [])
    write_dump(tmp_path, tmp_path / "dump")
    assert records(tmp_path / "dump") == []


def test_a_dump_appears_whole_or_not_at_all(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.msgpack"
    path.write_bytes(b"the one of yesterday")

    def broken(self: Range) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Unheld, "to_map", broken)
        with pytest.raises(KeyboardInterrupt):
            write_dump(state, path)
    assert path.read_bytes() == b"the one of yesterday"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["results.msgpack", "state"]
    write_dump(state, path)
    assert len(records(path)) == 7


def test_a_dump_through_a_link_goes_where_the_link_points(state: Path, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to("results.msgpack")
    write_dump(state, link)
    assert link.is_symlink()
    assert len(records(tmp_path / "results.msgpack")) == 7


@pytest.mark.parametrize("name", ["nowhere/dump", "file/dump", "folder", ".", "x" * 300, "pipe", "folder/"])
def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left_behind(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    Path("file").write_text("x")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    with pytest.raises(DumpError) as caught:
        write_dump(state, Path(name))
    assert str(caught.value).startswith(f"{Path(name)}: cannot be written: ")
    assert str(caught.value).endswith("; give another file")
    assert sorted(each.name for each in work.iterdir()) == ["file", "folder", "pipe"]
    assert not list(Path("folder").iterdir())


def test_a_state_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="does not exist"):
        write_dump(tmp_path, tmp_path / "dump")
    LedgerStore.open(tmp_path).close()
    with pytest.raises(StateError, match="holds no crawl yet"):
        write_dump(tmp_path, tmp_path / "dump")
    assert not (tmp_path / "dump").exists()


def test_a_dump_is_written_while_the_crawl_goes_on(state: Path, tmp_path: Path, make_result: MakeResult) -> None:
    store = LedgerStore.open(state)
    store.append([make_result(20, "network", "194.0.0.0/25", name="LATE")], {})
    write_dump(state, tmp_path / "dump")
    assert "LATE" in [getattr(each, "name", None) for each in records(tmp_path / "dump")]
    store.append([make_result(21, "network", "194.0.0.128/25")], {})
    store.close()


def test_what_the_ledger_does_not_believe_is_not_in_the_dump(
    tmp_path: Path, make_result: MakeResult, make_state: MakeState
) -> None:
    elsewhere = make_result(3, "network", "193.0.1.0/24")._replace(asked=Range.parse("193.0.0.9"))
    results = [make_result(1, "network", "193.0.0.0/25"), make_result(2, "network", "0.0.0.0/0"), elsewhere]
    make_state(tmp_path, ["193.0.0.0/24"], results)
    write_dump(tmp_path, tmp_path / "dump")
    assert [each.range for each in records(tmp_path / "dump")] == [Range.parse("193.0.0.0/25")]


def test_an_address_is_failed_after_as_many_attempts_as_the_crawl_makes(
    tmp_path: Path, make_result: MakeResult
) -> None:
    store = LedgerStore.open(tmp_path)
    store.begin(parse_space(["193.0.0.0/24"]), attempts=2)
    for sequence in (1, 2):
        store.append([make_result(sequence, "failed", "193.0.0.7", reason="timed out")], {})
        write_dump(tmp_path, tmp_path / "dump")
        expected = [Unheld("failed", Range.parse("193.0.0.0/24"), "timed out")] if sequence == 2 else []
        assert records(tmp_path / "dump") == expected
    store.close()


def other_range() -> bytes:
    return pack(Network("arin", Range.parse("8.0.0.0/8")).to_map())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        pack(5),
        pack({}),
        pack({"kind": "footer", "records": 0}),
        pack({"kind": "network"}),
        pack({"kind": ["network"]}),
        other_range(),
        other_range() * 2,
    ],
    ids=repr,
)
def test_a_payload_that_is_no_record_of_its_network_spoils_nothing_else(
    tmp_path: Path, make_result: MakeResult, make_state: MakeState, payload: bytes
) -> None:
    """The coordinator does not look into payloads: one damaged host must not make a crawl impossible to read."""
    bad = make_result(1, "network", "193.0.0.0/25")._replace(payload=payload)
    good = make_result(2, "network", "193.0.0.128/25", name="GOOD")
    make_state(tmp_path, ["193.0.0.0/24"], [bad, good])
    write_dump(tmp_path, tmp_path / "dump")
    assert records(tmp_path / "dump") == [
        Network("ripencc", Range.parse("193.0.0.0/25")),
        Network("ripencc", Range.parse("193.0.0.128/25"), name="GOOD"),
    ]


# -- what is in it ------------------------------------------------------------------------------------------------

#: Networks of the brute-force tests lie around these two spaces of 64 addresses.
BASES = {4: Range.parse("193.0.0.64/26"), 6: Range.parse("2001:600::40/122")}


@st.composite
def small_results(draw: st.DrawFn) -> list[tuple[str, Range]]:
    found = []
    for _ in range(draw(st.integers(0, 8))):
        base = BASES[draw(st.sampled_from((4, 6)))]
        offsets = st.integers(-40, 100)
        first, last = sorted((base.first + draw(offsets), base.first + draw(offsets)))
        status = draw(st.sampled_from(("network", "network", "network", "unallocated", "failed")))
        found.append((status, Range(base.family, first, last)))
    return found


@pytest.fixture(scope="module")
def small_dump(
    tmp_path_factory: pytest.TempPathFactory, make_result: MakeResult, make_state: MakeState
) -> Callable[[list[tuple[str, Range]]], Path]:
    def make(small: list[tuple[str, Range]]) -> Path:
        folder = tmp_path_factory.mktemp("small")
        results = [
            make_result(n, status, where, registry=("arin", "apnic")[n % 2]) for n, (status, where) in enumerate(small)
        ]
        make_state(folder, map(str, BASES.values()), results)
        write_dump(folder, folder / "dump")
        return folder / "dump"

    return make


def addresses(ranges: Iterable[Range]) -> set[tuple[int, int]]:
    return {(each.family, number) for each in ranges for number in range(each.first, each.last + 1)}


@given(small=small_results())
@settings(max_examples=60)
def test_addresses_are_counted_once_however_many_networks_hold_them(
    small_dump: Callable[[list[tuple[str, Range]]], Path], small: list[tuple[str, Range]]
) -> None:
    path = small_dump(small)
    found = records(path)
    networks = [each for each in found if isinstance(each, Network)]
    wanted = RangeSet(BASES.values())
    # What lies beyond the space was not asked for.
    assert {each.range for each in networks} == {
        where for status, where in small if status == "network" and wanted.meets(where)
    }
    with open_dump(path) as dump:
        counted = statistics(dump)
    space = addresses(BASES.values())
    held = addresses(each.range for each in networks)
    unheld = {
        kind: addresses(each.range for each in found if isinstance(each, Unheld) and each.kind == kind)
        for kind in ("unallocated", "reserved", "failed")
    }
    assert counted.space == len(space) == 128
    assert counted.networks == len(networks)
    assert counted.addresses == len(held)
    assert counted.held == len(held & space)
    assert {kind: getattr(counted, kind) for kind in unheld} == {kind: len(those) for kind, those in unheld.items()}
    accounted = (held & space).union(*unheld.values())
    assert counted.settled == len(accounted)
    assert accounted <= space
    assert counted.complete == (accounted == space)
    assert counted.problem == ""
    for registry, row in counted.by_registry.items():
        mine = [each.range for each in networks if each.registry == registry]
        assert row == {
            "networks": len(mine),
            "addresses": len(addresses(mine)),
            "disagreements": dict.fromkeys(COMPARED_FIELDS, 0),
        }
    assert json.loads(json.dumps(counted.to_map()))["settled"] == counted.settled


@given(small=small_results())
@settings(max_examples=40)
def test_the_most_specific_record_is_found(
    small_dump: Callable[[list[tuple[str, Range]]], Path], small: list[tuple[str, Range]]
) -> None:
    path = small_dump(small)
    known = records(path)
    wanted = [(family, number) for family, base in BASES.items() for number in range(base.first - 45, base.last + 45)]
    with open_index(path) as index:
        assert index.problem == ""
        for address in wanted:
            holding = [each for each in known if each.range.holds(*address)]
            holding.sort(key=lambda each: (each.range.size, -each.range.first))
            assert [index.record(number) for number in index.around(*address)] == holding


def test_a_complete_crawl_has_settled_its_space(tmp_path: Path, make_result: MakeResult, make_state: MakeState) -> None:
    results = [make_result(1, "network", "193.0.0.0/24"), make_result(2, "unallocated", "193.0.1.77")]
    make_state(tmp_path, ["193.0.0.0/23", "192.168.0.0/24"], results)
    write_dump(tmp_path, tmp_path / "dump")
    with open_dump(tmp_path / "dump") as dump:
        found = statistics(dump)
    assert found.complete
    assert found.settled == found.space == 768
    assert (found.held, found.unallocated, found.reserved, found.failed) == (256, 256, 256, 0)
    assert set(found.to_map()) >= {
        "networks", "addresses", "space", "settled", "by_registry", "unallocated", "reserved", "failed"
    }  # fmt: skip


def test_what_is_whole_of_a_cut_dump_is_counted_and_found(dump_file: Path) -> None:
    with open_dump(dump_file) as dump:
        whole = statistics(dump)
    dump_file.write_bytes(dump_file.read_bytes()[:-1])
    with open_dump(dump_file) as dump:
        found = statistics(dump)
        assert "is cut short after 7 whole records" in found.problem
        assert not found.complete
        assert {**found.to_map(), "complete": 0} == {**whole.to_map(), "complete": 0}
    with open_index(dump_file) as index:
        number = index.find(*parse_address("193.0.2.6"))
        assert number is not None
        assert b"NO-CIDR" in index.line(number)
        assert index.problem == found.problem


def test_answers_are_plain_values(dump_file: Path) -> None:
    answers = [json.loads(json.dumps(plain(each))) for each in records(dump_file)]
    assert answers[2]["holder"]["name"] == "Société Générale — Zürich 東京"
    assert (answers[2]["first"], answers[2]["last"]) == ("193.0.2.0", "193.0.2.255")
    assert answers[4] == {"kind": "failed", "first": "194.0.0.0", "last": "194.0.0.255", "reason": "third time"}
    assert answers[6]["first"] == "2001:601::"


def test_a_dump_is_closed_with_its_block(dump_file: Path) -> None:
    with Dump(dump_file) as dump:
        pass
    with pytest.raises(ValueError, match="closed"):
        list(dump)


def origins_result(sequence: int, payload: bytes) -> Result:
    nowhere = Range(4, 0, 0)
    return Result(2, sequence, "arin", ORIGINS, nowhere, nowhere, None, "", payload)


def test_origins_are_joined_into_the_networks_they_tell_of(
    tmp_path: Path, make_result: MakeResult, make_state: MakeState
) -> None:
    blocks = [Range.parse(text) for text in ("193.0.2.0/24", "193.0.2.0-193.0.2.130", "193.0.3.0/24", "2001:600::/33")]
    results = [make_result(number, "network", each) for number, each in enumerate(blocks, 1)]
    told = [
        (blocks[0], Origin(64500, "193.0.0.0/22")),
        (blocks[1], NOBODY),
        (blocks[3], Origin(2**32 - 1, "2001:600::/32")),
    ]
    results.append(origins_result(5, pack_origins([(blocks[0], Origin(1, "193.0.2.0/24")), *told])))
    results.append(origins_result(6, pack_origins([told[0], (Range.parse("8.8.8.0/24"), Origin(15169, "8.8.8.0/24"))])))
    make_state(tmp_path, (*SPACE, "193.0.3.0/24"), results)
    write_dump(tmp_path, tmp_path / "out")
    with open_dump(tmp_path / "out") as dump:
        found = {each.range: (each.asn, each.asn_cidr) for each in dump if isinstance(each, Network)}
        assert statistics(dump).announced == 2
    assert found == {
        blocks[0]: (64500, "193.0.0.0/22"),  # the newest
        blocks[1]: (None, None),
        blocks[2]: (None, None),
        blocks[3]: (2**32 - 1, "2001:600::/32"),
    }
    store = LedgerStore.read(tmp_path)
    store.gather_origins()
    assert store.count_missing_origins() == 1
    assert 2 not in store.counters()  # no lookups
    store.close()


@given(
    st.binary(max_size=40)
    | st.lists(st.lists(st.binary(max_size=17) | st.integers(-1, 2**33) | st.none() | st.text(), max_size=5)).map(pack)
)
def test_origins_that_are_none_are_left_out(
    tmp_path_factory: pytest.TempPathFactory, make_result: MakeResult, make_state: MakeState, payload: bytes
) -> None:
    folder = tmp_path_factory.mktemp("state")
    make_state(folder, ["193.0.2.0/24"], [make_result(1, "network", "193.0.2.0/24"), origins_result(2, payload)])
    write_dump(folder, folder / "out")
    with open_dump(folder / "out") as dump:
        assert [each.range for each in dump] == [Range.parse("193.0.2.0/24")]
