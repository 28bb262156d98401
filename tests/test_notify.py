"""Telling the service manager: what is sent, when, and that nothing stops a daemon that cannot tell."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from whoismesh.crawl import child_environment
from whoismesh.notify import MOST_STATUS, STATUS_S, Notifier

HALF_A_MINUTE_US = "30000000"


class NotifySocket:
    """A service manager's socket, with a clock and a log for the notifier that talks to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.now = 1000.0
        self.log = LogCapture()

    def notifier(self, **environment: str) -> Notifier:
        logger = structlog.wrap_logger(structlog.PrintLogger(), processors=[self.log])
        return Notifier(logger, {"NOTIFY_SOCKET": self.address} | environment, lambda: self.now)

    def heard(self) -> list[list[str]]:
        """Return the lines of each datagram that came."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def notify_socket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@whoismesh-test-{os.getpid()}"
    found = NotifySocket(address)
    with found.socket:
        yield found


def test_a_daemon_s_life_is_told(notify_socket: NotifySocket) -> None:
    notifier = notify_socket.notifier()
    notifier.starting("taking up the ledger", 400.0)
    notifier.ready("listening")
    notifier.stopping("draining")
    notifier.stopping("leaving")
    notifier.status("leaving")
    assert notify_socket.heard() == [
        ["EXTEND_TIMEOUT_USEC=400000000", "STATUS=taking up the ledger"],
        ["READY=1", "STATUS=listening"],
        ["STOPPING=1", "STATUS=draining"],
    ]


def test_a_line_is_told_when_it_is_new_and_not_too_often(notify_socket: NotifySocket) -> None:
    notifier = notify_socket.notifier()
    notifier.status("one")
    notifier.status("two")
    assert notify_socket.heard() == [["STATUS=one"]]
    notify_socket.now += STATUS_S
    notifier.status("one")
    notifier.status("two")
    assert notify_socket.heard() == [["STATUS=two"]]
    notify_socket.now += STATUS_S
    notifier.status("a line\nREADY=1 " + "x" * 5000)
    ((line,),) = notify_socket.heard()
    assert line.startswith("STATUS=a line READY=1 xxx") and len(line) == len("STATUS=") + MOST_STATUS


def test_beats_come_four_times_a_period_and_not_without_one(notify_socket: NotifySocket) -> None:
    notifier = notify_socket.notifier(WATCHDOG_USEC=HALF_A_MINUTE_US, WATCHDOG_PID=str(os.getpid()))
    beaten_at = []
    for _ in range(120):
        notify_socket.now += 0.5
        notifier.beat()
        beaten_at += [notify_socket.now] * len(notify_socket.heard())
    assert beaten_at == [1000.0 + 7.5 * (number + 1) for number in range(8)]


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": HALF_A_MINUTE_US, "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-5"}],
)
def test_who_is_not_watched_sends_no_beats(notify_socket: NotifySocket, environment: dict[str, str]) -> None:
    notifier = notify_socket.notifier(**environment)
    notify_socket.now += 1e6
    notifier.beat()
    assert notify_socket.heard() == []


def test_a_job_that_hangs_stops_the_beats_until_it_is_over_and_one_that_is_slow_does_not(
    notify_socket: NotifySocket,
) -> None:
    notifier = notify_socket.notifier(WATCHDOG_USEC=HALF_A_MINUTE_US)
    with notifier.expecting("storing results"), notifier.expecting("reading files", 10):
        notify_socket.now += 29.9
        notifier.beat()
        assert notify_socket.heard() == [["WATCHDOG=1"]]
        notify_socket.now += 0.1
        for _ in range(3):
            notifier.beat()
            notify_socket.now += 100.0
        assert notify_socket.heard() == []
        assert [(each["event"], each["job"]) for each in notify_socket.log.entries] == [("job_hung", "storing results")]
    notifier.beat()
    assert notify_socket.heard() == [["WATCHDOG=1"]]


def test_what_a_daemon_was_told_by_its_manager_is_not_told_its_children(
    notify_socket: NotifySocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"NOTIFY_SOCKET": notify_socket.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "HOME": "/"}
    Notifier(structlog.get_logger(), environment)
    assert environment == {"HOME": "/"}
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.setenv(name, "1")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & child_environment({}).keys()


def test_without_a_manager_nothing_is_sent() -> None:
    notifier = Notifier(structlog.get_logger(), {"WATCHDOG_USEC": "1"})
    assert not notifier.watchdog_s
    notifier.ready("ready")
    notifier.beat()
    notifier.stopping("stopping")


def test_a_socket_that_is_gone_is_told_of_once_and_used_again_when_it_is_back(
    notify_socket: NotifySocket, tmp_path: Path
) -> None:
    notifier = notify_socket.notifier(WATCHDOG_USEC=HALF_A_MINUTE_US)
    notify_socket.socket.close()
    if notify_socket.address.startswith("/"):
        Path(notify_socket.address).unlink()
    for _ in range(3):
        notify_socket.now += 10.0
        notifier.status(f"line {notify_socket.now}")
        notifier.beat()
    assert [each["event"] for each in notify_socket.log.entries] == ["service_manager_not_told"]
    with NotifySocket(notify_socket.address).socket as again:
        notifier.beat()
        assert again.recv(100) == b"WATCHDOG=1"


def test_a_manager_that_reads_nothing_holds_nobody_up_and_gets_its_beat_later(notify_socket: NotifySocket) -> None:
    notifier = notify_socket.notifier(WATCHDOG_USEC=HALF_A_MINUTE_US)
    for _ in range(1000):  # net.unix.max_dgram_qlen is 512 at the most common
        notify_socket.now += STATUS_S
        notifier.status(f"line {notify_socket.now}")
    assert [each["event"] for each in notify_socket.log.entries] == ["service_manager_not_told"]
    notify_socket.heard()
    notifier.beat()
    assert notify_socket.heard() == [["WATCHDOG=1"]]


@pytest.mark.parametrize("address", ["vsock:2:1", "/" + "x" * 200, "/nowhere/at/all", "@" + "x" * 200, "/\0"])
def test_an_address_that_is_none_ends_nobody(address: str) -> None:
    log = LogCapture()
    notifier = Notifier(structlog.wrap_logger(structlog.PrintLogger(), processors=[log]), {"NOTIFY_SOCKET": address})
    notifier.ready("ready")
    assert [each["event"] for each in log.entries] == ["service_manager_not_told"]
