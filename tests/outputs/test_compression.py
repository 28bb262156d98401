"""Compressed dumps: all commands read them, and a cut or damaged one is told like a plain one."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from small_dumps import kind_of, network, write

from whoismesh import compression
from whoismesh.cli import main
from whoismesh.dump import Dump, open_dump, statistics
from whoismesh.dump_file import header_of, write_records
from whoismesh.errors import DumpError, UnavailableError
from whoismesh.index import open_index
from whoismesh.packing import pack

CHANCE = random.Random(3)
#: Names that do not compress, so that there are several blocks of 128 KiB.
RECORDS = [network(f"10.{n >> 8}.{n & 255}.0/24", name=CHANCE.randbytes(300).hex()) for n in range(1_000)]


def compress(path: Path) -> Path:
    """Write the records compressed."""
    found = ((kind_of(each), pack(each.to_map())) for each in RECORDS)
    write_records(path, header_of(["10.0.0.0/8"], complete=True, written_at=1.0), found, "zstd")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return compress(tmp_path / "dump.zst")


def test_a_compressed_dump_reads_like_a_plain_one(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write(tmp_path / "plain", RECORDS, ["10.0.0.0/8"], written_at=1.0)
    assert path.stat().st_size < plain.stat().st_size / 1.5
    assert zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()) == plain.read_bytes()
    with open_dump(path) as dump:
        assert list(dump) == RECORDS == list(dump)  # a second time
        assert dump.footer is not None and dump.footer["records"] == 1_000
    with open_index(path) as index:
        assert [index.record(n) for n in (0, 500, 999)] == [RECORDS[0], RECORDS[500], RECORDS[999]]
    assert main(["stats", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["networks"] == 1_000
    assert main(["lookup", str(path), "10.1.2.3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == RECORDS[258].name
    assert main(["diff", str(path), str(plain), "--jsonl"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["merge", str(path), str(plain), "-o", str(tmp_path / "both"), "--compress", "zstd"]) == 0
    with open_dump(tmp_path / "both") as dump:
        assert dump.compressed and list(dump) == RECORDS


def test_a_compressed_dump_that_is_cut_reads_to_its_last_whole_record(path: Path) -> None:
    whole = path.read_bytes()
    read = []
    for cut in (*range(40), *range(40, len(whole), 7_001), len(whole) - 5):  # behind are four bytes of checksum
        path.write_bytes(whole[:cut])
        try:
            dump = open_dump(path)
        except DumpError as error:
            assert "is no whoismesh dump" in str(error)
            assert cut < 200_000
            continue
        with dump:
            found = list(dump.whole_records())
            assert found == RECORDS[: len(found)]
            assert f"is cut short after {len(found)} whole records" in dump.problem
            assert statistics(dump).networks == len(found)
        read.append(len(found))
    assert read == sorted(read)
    assert len(set(read)) >= 4 and read[-1] >= 900


def test_a_byte_changed_or_added_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for where in (
        *range(5),
        *range(6, 20),
        *range(20, len(whole), 9_973),
        len(whole) - 1,
    ):  # 5: how much memory it wants
        for changed in (
            whole[:where] + bytes([whole[where] ^ 0x11]) + whole[where + 1 :],
            whole[:where] + b"#" + whole[where:],
        ):
            path.write_bytes(changed)
            with pytest.raises(DumpError) as caught, open_dump(path) as dump:
                list(dump)
            assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    path.write_bytes(whole + b"#")
    with pytest.raises(DumpError, match="is damaged after"), open_dump(path) as dump:
        list(dump)


def test_a_small_file_that_becomes_endless_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    compressor = zstandard.ZstdCompressor()
    for content in (
        b"\0" * (256 << 20),
        pack({"format": "whoismesh-dump", "version": 1}) + b"\xc6\xff\xff\xff\xff" + b"\0" * (64 << 20),
    ):
        bomb.write_bytes(compressor.compress(content))
        with pytest.raises(DumpError), Dump(bomb) as dump:
            list(dump)


def test_without_the_package_the_command_says_what_to_install(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with open(path, "rb") as file, pytest.raises(UnavailableError):
        compression.compressed(file)
    assert main(["stats", str(path)]) == 69
    told = "whoismesh: zstd needs the package zstandard, which is not installed: pip install 'whoismesh[zstd]'\n"
    assert capsys.readouterr() == ("", told)
    plain = write(tmp_path / "plain", RECORDS[:3])
    assert main(["merge", str(plain), str(plain), "-o", str(tmp_path / "out"), "--compress", "zstd"]) == 69
    assert not (tmp_path / "out").exists()
    assert main(["stats", str(plain)]) == 0


def test_a_state_is_dumped_compressed(tmp_path: Path, make_result: object, make_state: object) -> None:
    make_state(tmp_path, ["193.0.0.0/24"], [make_result(1, "network", "193.0.0.0/24", name="A")])  # type: ignore[operator]
    command = [sys.executable, "-m", "whoismesh", "dump", "--state", str(tmp_path), "--compress", "zstd"]
    subprocess.run([*command, str(tmp_path / "out")], check=True, capture_output=True)
    assert (tmp_path / "out").read_bytes()[:4] == compression.ZSTD_MAGIC
    with open_dump(tmp_path / "out") as dump:
        assert [each.range.size for each in dump] == [256]
