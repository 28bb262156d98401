"""`whoismesh map`: files, exit codes, and what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from whoismesh.addresses import Range
from whoismesh.cli import main
from whoismesh.dump_file import header_of, write_records
from whoismesh.networks import Network
from whoismesh.packing import pack

Capture = pytest.CaptureFixture[str]


def dump(path: Path, *texts: str, space: str = "193.0.0.0/21", **more: object) -> Path:
    found = [Network("ripencc", Range.parse(text)) for text in texts]
    header = header_of([space], complete=True) | {"written_at": 1_500_000_000.0} | more
    write_records(path, header, (("network", pack(each.to_map())) for each in found))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return dump(tmp_path / "results.msgpack", "193.0.0.0/22", "193.0.4.0/23")


def test_a_picture_is_written_and_said_to_be(file: Path, tmp_path: Path, capsys: Capture) -> None:
    from PIL import Image

    out = tmp_path / "map.PNG"
    assert main(["map", str(file), "-o", str(out)]) == 0
    said = f"{out}: 193.0.0.0/21: who registered it; a cell is one address\n"
    assert capsys.readouterr() == (said, "")
    with Image.open(out) as image:
        assert image.size == (16 + 1024 + 16 + 280 + 16, 76 + 512 + 16)
        assert image.text == {"Title": "193.0.0.0/21: who registered it"}  # type: ignore[attr-defined]


def test_an_svg_needs_no_pillow_and_is_the_same_in_every_process(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.svg"
    program = "import sys; sys.modules['PIL'] = None; from whoismesh.cli import main; sys.exit(main())"
    pictures = []
    for seed in "12":
        arguments = ["map", str(file), "-o", str(out), "--layer", "holder", "--size", "256"]
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        subprocess.run([sys.executable, "-c", program, *arguments], check=True, env=environment, capture_output=True)
        pictures.append(out.read_bytes())
    assert pictures[0] == pictures[1]
    assert ElementTree.parse(out).getroot().get("width") == str(16 + 256 + 16 + 280 + 16)
    assert "2017-07-14 02:40 UTC" in out.read_text("utf-8")


def test_without_pillow_it_says_what_to_do(file: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['PIL'] = None; from whoismesh.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "map", str(file), "-o", str(tmp_path / "map.png")],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == (
        "whoismesh: a PNG needs Pillow, which is not installed: pip install 'whoismesh[map]', or write an .svg\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "map.jpg"], "map.jpg: expected a name that ends in .png or .svg"),
        (["-o", "map.svg", "--space", "193.0.0.0-193.0.0.2"], "is no CIDR"),
        (["-o", "map.svg", "--space", "here"], "'here' is no IPv4 or IPv6 address"),
        (["-o", "map.svg", "--layer", "age", "--compare", "old"], "goes without --layer"),
        (["-o", "map.svg", "--ignore", "name"], "--ignore goes with --compare"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(file: Path, capsys: Capture, arguments: list[str], said: str) -> None:
    assert main(["map", str(file), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and said in err


def test_a_cut_dump_is_drawn_as_far_as_it_goes_and_nothing_else_appears(
    file: Path, tmp_path: Path, capsys: Capture
) -> None:
    file.write_bytes(file.read_bytes()[:-150])
    before = set(tmp_path.iterdir())
    out = tmp_path / "map.svg"
    assert main(["map", str(file), "-o", str(out), "--space", "ipv4", "--size", "256"]) == 1
    assert "is cut short after 1 whole records" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) - before == {out}


def test_changes_since_an_older_dump(file: Path, tmp_path: Path, capsys: Capture) -> None:
    old = dump(tmp_path / "old.msgpack", "193.0.0.0/21", written_at="yesterday")
    out = tmp_path / "map.svg"
    assert main(["map", str(file), "-o", str(out), "--compare", str(old)]) == 0
    assert "what changed" in capsys.readouterr().out
    text = out.read_text("utf-8")
    assert "from a time not told to 2017-07-14 02:40 UTC" in text
    assert "<title>split</title>" in text and "<title>not compared</title>" in text


def test_a_dump_that_is_not_in_order_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    file = dump(tmp_path / "results.msgpack", "193.0.4.0/23", "193.0.0.0/22")
    assert main(["map", str(file), "-o", str(tmp_path / "map.svg")]) == 1
    assert "is not in order" in capsys.readouterr().err
