"""The allocation table: both formats, their errors, lookups, and the packaged slice."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.errors import ConfigError
from whoismesh.practice import cut
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable, packaged
from whoismesh.registries import REGISTRIES

HEADER = "start,end,level,registry,country,asn,name,status,date,holder\n"
CSV = (
    HEADER
    + "16777216,16777471,1,apnic,AU,0,,assigned,20110811,A91872ED\n"
    + '16777216,16777343,2,apnic,AU,13335,"Small, Inc.",routed,,A91872ED\n'
    + '16777216,16777471,2,apnic,AU,13335,"Cloudflare, Inc.",routed,,A91872ED\n'
    + "16777472,16777727,1,apnic,CN,0,Named Already,allocated,20110414,A92E1062\n"
    + "16777472,16777727,2,apnic,CN,1,Never used,routed,,A92E1062\n"
    + "16777728,16778239,1,apnic,,0,,available,,\n"
    + "42540488558116655331872044393019998208,42540488637344817846136381986563948543,"
    + "1,ripencc,EU,0,,allocated,20161115,x\n"
)
DELEGATED = """\
# a comment
2.3|apnic|20181012|5|19830613|20181012|+1000
apnic|*|ipv4|*|3|summary
apnic|*|ipv6|*|1|summary
apnic|AU|ipv4|1.0.0.0|256|20110811|assigned|A91872ED
apnic|CN|ipv4|1.0.1.0|768|20110414|allocated|A92E1062
apnic||ipv4|1.0.4.0|256||available|
apnic|JP|asn|173|1|20020801|allocated|A91A7381
apnic|JP|ipv6|2001:200::|35|19990813|allocated|A916B6AA
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_csv_of_both_families_and_takes_the_name_of_the_largest_level_2_row(tmp_path: Path) -> None:
    table = AllocationTable.load(write(tmp_path / "t.csv", CSV))
    cloudflare = table.find(4, 0x01000005)
    assert cloudflare == Row(
        Range.parse("1.0.0.0/24"), "apnic", "AU", "assigned", "20110811", "A91872ED", "Cloudflare, Inc."
    )
    assert cloudflare.held
    named = table.find(4, 0x01000100)
    assert named is not None and named.name == "Named Already"
    gap = table.find(4, 0x01000200)
    assert gap is not None and not gap.held
    v6 = list(table.rows())[-1]
    assert v6.range.family == 6 and v6.name == "Holder x"
    assert table.find(4, 0x01000400) is None and table.find(4, 0) is None
    assert table.find(4, 0x01000005) is not None
    assert table.network_count == 3
    assert table.space()[0] == Range.parse("1.0.0.0-1.0.3.255")


def test_reads_gzip_by_content_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_bytes(gzip.compress(CSV.encode()))
    assert AllocationTable.load(path).network_count == 3


def test_reads_delegated_extended(tmp_path: Path) -> None:
    table = AllocationTable.load(write(tmp_path / "delegated-apnic-extended-20181012", DELEGATED))
    rows = list(table.rows())
    assert [str(row.range) for row in rows] == ["1.0.0.0/24", "1.0.1.0-1.0.3.255", "1.0.4.0/24", "2001:200::/35"]
    assert rows[1].name == "Holder A92E1062" and rows[1].country == "CN"
    assert not rows[2].held and rows[2].status == "available"


def test_reads_the_older_form_without_opaque_id(tmp_path: Path) -> None:
    text = "2|ripencc|1538777999|1|19830705|20181005|+0200\nripencc|NL|ipv4|193.0.0.0|2048|19930901|assigned\n"
    row = AllocationTable.load(write(tmp_path / "delegated", text)).find(4, 0xC1000001)
    assert row is not None and row.holder == "" and row.name == "Holder of 193.0.0.0/21"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("5,4,1,arin,US,0,,allocated,20000101,x", "no range"),
        ("0,4294967296,1,arin,US,0,,allocated,20000101,x", "one address family"),
        ("a,4,1,arin,US,0,,allocated,20000101,x", "decimal integers"),
        ("1,4,1,arin,US,0,,allocated,20000101", "expected 10 fields, found 9"),
        ("1,4,1,internic,US,0,,allocated,20000101,x", "unknown registry 'internic'"),
        ("1,4,1,arin,US,0,,legacy,20000101,x", "unknown status 'legacy'"),
        ("1,4,1,arin,usa,0,,allocated,20000101,x", "country code"),
        ("1,4,1,arin,US,0,,allocated,2000-01-01,x", "YYYYMMDD"),
        ("1,4,0,arin,US,0,,allocated,20000101,x", "level must be 1 or 2"),
        ("1,4,2,arin,US,0,A,routed,,x", "level-2 row must follow"),
    ],
)
def test_a_malformed_csv_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = write(tmp_path / "bad.csv", HEADER + line + "\n")
    with pytest.raises(ConfigError) as caught:
        AllocationTable.load(path)
    assert f"{path}:2: " in str(caught.value) and complaint in str(caught.value)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("arin|US|ipv4|1.0.0.0|0|20000101|allocated|x", "no count of addresses"),
        ("arin|US|ipv4|255.255.255.0|257|20000101|allocated|x", "no count of addresses"),
        ("arin|US|ipv4|2001::|1|20000101|allocated|x", "no ipv4 address"),
        ("arin|US|ipv6|2001:db8::1|32|20000101|allocated|x", "no IPv6 prefix"),
        ("arin|US|ipv4|1.0.0|256|20000101|allocated|x", "no ipv4 address"),
        ("arin|US|ipv5|1.0.0.0|256|20000101|allocated|x", "type must be"),
        ("arin|US|ipv4|1.0.0.0|256|20000101", "expected 7 or more fields"),
    ],
)
def test_a_malformed_delegated_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = write(tmp_path / "bad", DELEGATED + line + "\n")
    with pytest.raises(ConfigError) as caught:
        AllocationTable.load(path)
    assert f"{path}:10: " in str(caught.value) and complaint in str(caught.value)


def test_all_problems_come_at_once_up_to_ten(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.csv", HEADER + "x\n" * 3)
    with pytest.raises(ConfigError) as caught:
        AllocationTable.load(path)
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError) as caught:
        AllocationTable.load(write(tmp_path / "worse.csv", HEADER + "x\n" * 30))
    assert len(caught.value.problems) == 10


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x1f\x8b broken", b"\xff\xfe", HEADER.encode()])
def test_what_is_no_table_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "nothing"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="nothing"):
        AllocationTable.load(path)
    with pytest.raises(ConfigError, match="missing"):
        AllocationTable.load(tmp_path / "missing")


def test_overlapping_rows_are_refused(tmp_path: Path) -> None:
    line = "arin|US|ipv4|1.0.0.0|512|20000101|allocated|x\n"
    with pytest.raises(ConfigError, match="overlap"):
        AllocationTable.load(write(tmp_path / "d", line + line))


def test_runs_around_an_address() -> None:
    def row(text: str, registry: str) -> Row:
        return Row(Range.parse(text), registry, "", "allocated", "20000101", text, text)

    table = AllocationTable(
        [row("130.0.0.0/16", "ripencc"), row("130.1.0.0/16", "ripencc"), row("130.2.0.0/16", "arin")]
    )
    first = table.find(4, Range.parse("130.0.0.0").first)
    assert first is not None
    assert str(table.run_of(first, Range.parse("130.0.0.0/8"))) == "130.0.0.0/15"
    assert str(table.run_of(first, Range.parse("130.0.0.0/16"))) == "130.0.0.0/16"
    around = table.foreign_run("ripencc", 4, Range.parse("130.2.0.1").first)
    assert str(around) == "130.2.0.0-140.255.255.255"  # 141/8 is RIPE NCC's by IANA
    inside_own = Range.parse("130.0.0.1").first
    assert table.foreign_run("ripencc", 4, inside_own) == Range(4, inside_own, inside_own)


def test_the_packaged_slice_looks_like_a_real_space() -> None:
    assert packaged().stat().st_size <= 400_000
    table = AllocationTable.load(packaged())
    held = [row for row in table.rows() if row.held]
    by_registry = Counter(row.registry for row in held)
    assert set(by_registry) == set(REGISTRIES) and min(by_registry.values()) >= 500
    assert table.network_count == len(held) >= 6000
    assert {row.registry for row in held if not row.range.is_cidr()} == {"ripencc", "afrinic"}
    assert sum(not row.range.is_cidr() for row in held) >= 50
    homes = Counter((iana.by_registry(row.range)[0][1], row.registry) for row in held)
    assert sum(count for (home, registry), count in homes.items() if home != registry) >= 200
    named = sum(not row.name.startswith("Holder ") for row in held)
    assert named > 0.9 * len(held)


def test_the_packaged_slice_costs_about_one_lookup_a_network() -> None:
    table = AllocationTable.load(packaged())
    gaps = [row.range for row in table.rows() if not row.held]
    assert 50 <= sum(gap.size // 256 for gap in gaps) <= 400
    # A "not found" closes a /24, which must not hold a smaller registration.
    assert all(gap.first % 256 == 0 and (gap.last + 1) % 256 == 0 for gap in gaps)


def test_the_packaged_slice_is_whole_inside_its_edges_and_has_no_special_space() -> None:
    table = AllocationTable.load(packaged())
    assert [str(piece) for piece in table.space()] == list(cut.SLICES)
    assert not any(iana.special_purpose().meets(piece) for piece in table.space())
    assert all(iana.is_plausible(row.range) for row in table.rows() if row.held)


def test_cutting_the_packaged_table_again_gives_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again.csv.gz"
    assert cut.main([str(packaged()), str(out)]) == 0
    assert gzip.decompress(out.read_bytes()) == gzip.decompress(packaged().read_bytes())
    assert out.read_bytes()[:8] == packaged().read_bytes()[:8]  # no time in the header
    assert "networks" in capsys.readouterr().out


def test_cutting_through_a_row_or_special_space_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = AllocationTable.load(packaged())
    wide = next(row.range for row in table.rows() if row.held and row.range.size >= 1024)
    with pytest.raises(ConfigError, match="cuts through"):
        cut.cut(table, [Range(4, wide.first, wide.first + 255)])
    with pytest.raises(ConfigError, match="special-purpose"):
        cut.cut(table, [Range.parse("10.0.0.0/9")])
    assert cut.main([str(tmp_path / "missing"), str(tmp_path / "out")]) == 78
    assert "error:" in capsys.readouterr().err


def test_a_table_as_the_registries_would_publish_it_reads_back(tmp_path: Path) -> None:
    table = AllocationTable.load(write(tmp_path / "t.csv", CSV))
    again = AllocationTable.load(write(tmp_path / "delegated", table.published()))
    assert [row[:6] for row in again.rows()] == [row[:6] for row in table.rows()]
    assert table.published().splitlines()[0] == "2|nro|20161115|0|00000000|20161115|+0000"
