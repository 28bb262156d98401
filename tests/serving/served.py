"""`whoismesh serve` as a process, on free ports, and a small dump for it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from small_dumps import network, write

from whoismesh.addresses import Range
from whoismesh.networks import Holder, Network, Record, Unheld

RECORDS: tuple[Record, ...] = (
    network(
        "193.0.0.0/20",
        handle="193.0.0.0 - 193.0.15.255",
        name="OUTER",
        type="ALLOCATED PA",
        country="NL",
        holder=Holder("ORG-OUT1-RIPE", "Outer Holder"),
    ),
    network(
        "193.0.0.0/21",
        handle="193.0.0.0 - 193.0.7.255",
        name="INNER-NET",
        type="ASSIGNED PI",
        status=("active",),
        country="NL",
        parent="193.0.0.0 - 193.0.15.255",
        holder=Holder("ORG-RIEN1-RIPE", "Réseaux IP"),
        registered="1993-09-01T00:00:00Z",
        changed="2018-03-09T08:21:52Z",
        asn=3333,
        asn_cidr="193.0.0.0/21",
        source="whois",
        server="whois.ripe.net:43",
        fetched_at=1_500_000_000.0,
    ),
    network("193.0.16.0-193.0.18.255", "arin", name="ODD"),
    Unheld("unallocated", Range.parse("193.0.19.0/24"), "no registry knows a registration"),
    Unheld("failed", Range.parse("193.0.20.0/24"), "timed out"),
    network("193.0.21.0/24", "lacnic", name="A\r\n%ERROR:201: x\x00\x1b[31m\u202e", holder=Holder(None, "</b>\n")),
    network("2001:600::/32", "ripencc", handle="2001:600::/32", name="V6", country="DE", holder=Holder("ORG-6", "Six")),
)


def dump(folder: Path) -> Path:
    space = ["193.0.0.0/16", "2001:600::/32"]
    return write(folder / "results.msgpack", RECORDS, space)


class Served(NamedTuple):
    """Where a process serves."""

    whois_port: int
    rdap_port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rdap_port}/"


@contextlib.contextmanager
def serving(file: Path, *more: str) -> Iterator[Served]:
    """Serve a dump until the end of the context, where it must end by itself, and without complaint."""
    command = [sys.executable, "-m", "whoismesh", "serve", str(file), "--whois", "127.0.0.1:0", "--rdap", "127.0.0.1:0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None and child.stderr is not None
    try:
        ready = child.stdout.readline()
        found = re.search(r"WHOIS on 127\.0\.0\.1:(\d+), RDAP on http://127\.0\.0\.1:(\d+)/$", ready)
        assert found is not None, ready + child.stderr.read()
        yield Served(int(found[1]), int(found[2]), child.pid)
        child.send_signal(signal.SIGTERM)
        _, complaints = child.communicate(timeout=30)
        assert child.returncode == 0
        assert re.fullmatch(r"whoismesh: [a-z_0-9, ]+\n", complaints), complaints
    finally:
        child.kill()
        child.communicate()


def inner() -> Network:
    found = RECORDS[1]
    assert isinstance(found, Network)
    return found
