"""The examples of docs/serving.md: what clients are told there is what they are told."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

from served import Served, serving
from test_real_clients import debian_whois

from whoismesh.practice import snapshot

ROOT = Path(__file__).parent.parent.parent


def examples() -> list[tuple[str, str]]:
    """Return (command, what it prints) of the page."""
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    blocks = "".join(block.partition("```")[0] for block in page.split("```console\n")[1:])
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", blocks, re.MULTILINE)
    return [(command, printed) for command, printed in found]


def without_times(text: str) -> str:
    """The snapshot is made anew each time."""
    return re.sub(r"of 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "of then", text)


def run(command: str, server: Served) -> str:
    program, *arguments = shlex.split(command)
    if program == "whois":
        assert arguments[:4] == ["-h", "127.0.0.1", "-p", "4343"]
        return debian_whois(server, *arguments[4:])
    assert (program, arguments[0]) == ("curl", "-s")
    url = arguments[1].replace("http://127.0.0.1:8080/", server.url)
    try:
        with urllib.request.urlopen(url) as answer:
            found: bytes = answer.read()
    except urllib.error.HTTPError as error:
        found = error.read()
    return found.decode().replace(server.url, "http://127.0.0.1:8080/") + "\n"


def test_clients_are_told_what_the_page_says(tmp_path: Path) -> None:
    (make, made), (serve, served), *asked = examples()
    file = tmp_path / "two.msgpack"
    arguments = shlex.split(make)[3:]
    assert shlex.split(make)[:3] == ["python", "-m", snapshot.__name__]
    command = [sys.executable, "-m", snapshot.__name__, str(ROOT / arguments[0]), *arguments[1:-1], str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.stdout == made
    assert serve == "whoismesh serve two.msgpack"
    assert served == "serving two.msgpack: WHOIS on 127.0.0.1:4343, RDAP on http://127.0.0.1:8080/\n"
    assert len(asked) == 2
    with serving(file) as server:
        for command_line, expected in asked:
            assert without_times(run(command_line, server)) == without_times(expected), command_line
