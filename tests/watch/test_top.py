"""`whoismesh top`: on a terminal of any width, without one, with and without colours."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import struct
import sys
import termios

import pytest
from rich.console import Console

from whoismesh.messages import Metrics
from whoismesh.overview import Overview
from whoismesh.top import render


@pytest.mark.parametrize("width", [20, 40, 69, 80, 200])
@pytest.mark.parametrize("height", [8, 24, 60])
def test_it_fits_into_any_terminal(width, height):
    overview = Overview()
    row = {"networks": 1, "pending": 2**90, "rate": 1.5, "budget": 2.0, "limited": 3, "trouble": "[red]no answer" * 9}
    counts = dict.fromkeys(
        ("settled", "held", "unallocated", "reserved", "failed", "networks", "lookups", "hits", "duplicates"), 5
    )
    workers = [{"origin": n, "host": f"host-{n}.example:{n}", "leases": 2} for n in range(90)]
    overview.heard_status(
        counts | {"space": 10, "members": 90, "accepted": 5, "complete": False, "workers": workers,
                  "by_registry": dict.fromkeys(("arin", "ripencc", "apnic", "lacnic", "afrinic"), row)},
        0.0,
    )  # fmt: skip
    assert overview.status is not None
    overview.heard_metrics(Metrics(b"0" * 16, 89, "host-89.example:89", {"lookups": 7.0, "asking_arin": 2.0}), 0.0)
    overview.heard_event({"event": "worker_lost", "origin": 50, "host": "x", "level": "warning", "at": 1e9}, 0.0)
    console = Console(width=width, height=height, force_terminal=True, no_color=True, record=True, file=io.StringIO())
    console.print(render(overview, ["193.0.0.0/21 ripencc"] * 20, console, 7.0))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    # Five registries, a worker and what is around them are the least.
    assert len(lines) <= max(height, 16) or width < 40
    if width >= 69:
        assert "lost" in "".join(lines), "what is unusual is not what is cut off"
        assert "[red]" in "".join(lines), "text from a registry is text"


def test_once_without_a_terminal_and_live_on_one(in_field):
    async def watch(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        command = ["-m", "whoismesh", "top", "--coord", coordinator.endpoint]
        once = await field.program(*command)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 60, 0, 0))
        before = termios.tcgetattr(theirs)
        live = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=theirs, stdout=theirs, stderr=theirs,
            env=os.environ | {"NO_COLOR": "1", "TERM": "xterm"},
        )  # fmt: skip
        field.programs.append(live)
        seen = b""
        async with asyncio.timeout(60):
            while b"1 workers, 0 gone" not in seen or b"found last" not in seen:
                seen += await asyncio.to_thread(os.read, ours, 65_536)
        os.write(ours, b"q")
        reading = asyncio.create_task(asyncio.to_thread(os.read, ours, 65_536))
        assert await live.wait() == 0
        await reading
        assert termios.tcgetattr(theirs)[3] == before[3], "the terminal is as it was"
        assert b"\x1b[?1049h" in seen
        assert not any(b"\x1b[%dm" % colour in seen for colour in (31, 32, 33, 34)), "NO_COLOR"
        os.close(ours)
        os.close(theirs)
        out, err = await once.communicate()
        assert (once.returncode, err) == (0, b"")
        text = out.decode()
        assert "\x1b" not in text
        assert "networks, " in text and "ripencc" in text and "1 workers, 0 gone" in text
        assert "193.104." in text

    in_field(watch, latency_s=0.3)
