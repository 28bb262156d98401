"""The program that is sent to hosts: run here, where it may only look, and read as an old Python would."""

from __future__ import annotations

import ast
import ensurepip
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from whoismesh.fleet import on_host

fabric = pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")

from whoismesh.errors import UnavailableError  # noqa: E402
from whoismesh.fleet.ssh import Ran  # noqa: E402
from whoismesh.fleet.there import ask, ask_for_bytes, command  # noqa: E402


class Here:
    """A host that is this machine, without ssh and root: what is asked runs as whoever runs the tests."""

    def __init__(self) -> None:
        self.sent = b""

    def run(self, script: str, sent: Any, *, timeout_s: float, received: Any = None) -> Ran:
        self.sent = b"".join(sent)
        # Where the tests are not root's, a sudo that changes nobody.
        script = 'sudo() { shift 2; "$@"; }; ' + script.replace("exec sudo", "sudo")
        done = subprocess.run(
            ["sh", "-c", script], input=self.sent, capture_output=True, timeout=timeout_s, check=False
        )
        if received is not None:
            for at in range(0, len(done.stdout), 7):
                received(done.stdout[at : at + 7])
        return Ran(done.returncode, b"" if received else done.stdout, done.stderr.decode())


def test_an_old_python_reads_it() -> None:
    ast.parse(Path(on_host.__file__).read_text("utf-8"), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(Path(on_host.__file__).read_text("utf-8")))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_it_compares_content_mode_and_owner(tmp_path: Path) -> None:
    wanted = []
    for name, mode in (("same", 0o644), ("content", 0o644), ("mode", 0o600), ("absent", 0o644)):
        path = tmp_path / name
        digest = hashlib.sha256(name.encode()).hexdigest()
        wanted.append({"path": str(path), "mode": 0o644, "owner": "root", "sha256": digest})
        if name != "absent":
            path.write_text("other" if name == "content" else name)
            path.chmod(mode)
    (tmp_path / "link").symlink_to(tmp_path / "same")
    wanted.append(wanted[0] | {"path": str(tmp_path / "link")})
    request = {"do": "inspect", "folders": [], "exact": [str(tmp_path)], "files": wanted}
    found = ask(Here(), request, python=sys.executable)  # type: ignore[arg-type]
    differ = [Path(each).name for each in found["differ"]]
    assert differ == ["content", "mode", "absent", "link"] if os.geteuid() == 0 else "same" in differ
    assert found["extra"] == []
    assert found["facts"]["python"] == [*sys.version_info[:3]] and found["facts"]["missing"] == []
    (tmp_path / "more").touch()
    assert ask(Here(), request, python=sys.executable)["extra"] == [str(tmp_path / "more")]  # type: ignore[arg-type]


def test_bytes_may_follow_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nsys.stdin.readline()\nprint('{\"size\": 3}')\nprint('a\\nb', end='')\n")
    monkeypatch.setattr(
        "whoismesh.fleet.there._program", lambda: b"%d\n%s" % (program.stat().st_size, program.read_bytes())
    )
    came = bytearray()
    assert ask_for_bytes(Here(), {}, came.extend, timeout_s=30) == {"size": 3}  # type: ignore[arg-type]
    assert came == b"a\nb"


def test_a_failure_there_is_a_line_here(tmp_path: Path) -> None:
    request = {"do": "start", "unit": "whoismesh-worker.service"}
    with pytest.raises(UnavailableError, match=r"^there is no whoismesh-worker.service: deploy first$|systemctl"):
        ask(Here(), request, python=sys.executable)  # type: ignore[arg-type]


def test_a_host_without_python_says_what_to_do(tmp_path: Path) -> None:
    for name in ("sh", "id", "env"):
        (tmp_path / name).symlink_to(Path("/bin") / name if name == "sh" else Path("/usr/bin") / name)
    script = command("").replace("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH", str(tmp_path))
    done = subprocess.run(
        ["sh", "-c", 'sudo() { shift 2; "$@"; }; ' + script.replace("exec sudo", "sudo")],
        input="",
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 69 and "has no Python: install python3." in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="files get their owners from root alone")
def test_a_secret_is_never_anybodys_but_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"secret" * 50_000
    seen = set()

    class Reader:
        left = content

        def read(self, size: int) -> bytes:
            (part,) = tmp_path.glob(".key.part")
            seen.add(stat.S_IMODE(part.stat().st_mode))
            chunk, self.left = self.left[:size], self.left[size:]
            return chunk

    monkeypatch.setattr(on_host.sys, "stdin", type("Stdin", (), {"buffer": Reader()}))
    (tmp_path / ".key.part").write_text("of an attempt that was cut")
    (tmp_path / ".key.part").chmod(0o644)
    wanted = {"path": str(tmp_path / "key"), "mode": 0o640, "owner": "root", "size": len(content)}
    on_host.put(wanted | {"sha256": hashlib.sha256(content).hexdigest()})
    assert seen == {0o600}
    assert (tmp_path / "key").read_bytes() == content and stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


@pytest.mark.skipif(os.geteuid() != 0, reason="files get their owners from root alone")
@pytest.mark.parametrize(("came", "told"), [(b"short", "the connection ended"), (b"otherwise.", "another content")])
def test_what_did_not_come_whole_changes_nothing(
    came: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("before")
    parts = [came, b""]
    reader = type("Reader", (), {"read": lambda self, size: parts.pop(0)})()
    monkeypatch.setattr(on_host.sys, "stdin", type("Stdin", (), {"buffer": reader}))
    digest = hashlib.sha256(b"all of it!").hexdigest()
    with pytest.raises(SystemExit):
        on_host.put({"path": str(tmp_path / "key"), "mode": 0o640, "owner": "root", "size": 10, "sha256": digest})
    assert told in capsys.readouterr().err
    assert (tmp_path / "key").read_text() == "before"


def test_requests_are_a_line_after_the_program() -> None:
    here = Here()
    with pytest.raises(UnavailableError):
        ask(here, {"do": "nothing"}, [b"file"], python=sys.executable)  # type: ignore[arg-type]
    size, _, rest = here.sent.partition(b"\n")
    assert json.loads(rest[int(size) :].splitlines()[0]) == {"do": "nothing"} and rest.endswith(b"\nfile")


def make_wheel(folder: Path, version: str) -> str:
    """Write a wheel of a program that says its version."""
    name, info = f"whoismesh-{version}-py3-none-any.whl", f"whoismesh-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("whoismesh/__init__.py", f"__version__ = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: whoismesh\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return name


def test_versions_are_there_whole_and_the_one_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels, venvs, current = tmp_path / "wheels", tmp_path / "venvs", tmp_path / "current"
    for name, path in (("WHEELS", wheels), ("VENVS", venvs), ("CURRENT", current)):
        monkeypatch.setattr(on_host, name, path)
    wheels.mkdir()
    pip = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    shutil.copy(pip, wheels)
    # Two versions that are there, and an attempt at the third that was cut.
    for each in ("1", "2", "3"):
        (venvs / each / "half").mkdir(parents=True)
    current.symlink_to(venvs / "2")
    on_host.install("3", [pip.name, make_wheel(wheels, "3")])
    assert on_host.installed() == {"digest": "3", "version": "3"}
    assert sorted(each.name for each in venvs.iterdir()) == ["2", "3"] and not (venvs / "3" / "half").exists()
    said = subprocess.run(
        [current / "bin" / "python", "-I", "-c", "import whoismesh; print(whoismesh.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "3\n"
    # It is there: nothing is done, and nothing needed.
    shutil.rmtree(wheels)
    on_host.install("3", [])
    assert on_host.installed()["digest"] == "3"
