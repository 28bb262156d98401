"""Connections, with a real sshd on loopback: what a command says, how it ends, and that nothing waits for ever."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

fabric = pytest.importorskip("fabric", reason="the fleet's tasks are tested where fabric is")
paramiko = pytest.importorskip("paramiko")

from whoismesh.errors import ConfigError, UnavailableError  # noqa: E402
from whoismesh.fleet.hosts import FleetHost  # noqa: E402
from whoismesh.fleet.ssh import Access, Connection  # noqa: E402

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
pytestmark = pytest.mark.skipif(SSHD is None, reason="no sshd here (bin/setup-hosts installs it)")
DEADLINE_S = 30


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


class Server:
    """An sshd on loopback that lets the test's key in."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.key, self.known_hosts = folder / "key", folder / "known_hosts"
        public = make_key(folder / "host_key")
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        (folder / "authorized").write_text(make_key(self.key) + "\n")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/authorized\nUsePAM no\nPasswordAuthentication no\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd of root parts with its privileges
        self.log = open(folder / "log", "wb")  # noqa: SIM115 - closed by stop()
        assert SSHD is not None
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stderr=self.log)
        until = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < until, (folder / "log").read_text()

    def host(self) -> FleetHost:
        return FleetHost("here", "127.0.0.1", frozenset(), user=getpass.getuser(), port=self.port)

    def access(self, known_hosts: Path | None = None, key: Path | None = None, ssh_config: str = "") -> Access:
        options = {"key_filename": [str(key or self.key)], "allow_agent": False, "look_for_keys": False, "timeout": 10}
        config = fabric.Config(
            overrides={"connect_kwargs": options}, lazy=True, ssh_config=paramiko.SSHConfig.from_text(ssh_config)
        )
        return Access(config, (known_hosts or self.known_hosts,))

    def connect(self) -> Connection:
        return Connection(self.host(), self.access())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    try:
        made = Server(tmp_path_factory.mktemp("sshd"))
    except PermissionError as error:
        pytest.skip(f"sshd needs {error.filename}, which this user may not make")
    yield made
    made.stop()


def test_bytes_go_in_and_come_out(server: Server) -> None:
    with server.connect() as connection:
        data = bytes(range(256)) * 8192
        ran = connection.run("cat; echo failed >&2; exit 3", [data[:1000], data[1000:]], timeout_s=DEADLINE_S)
        assert (ran.code, ran.output, ran.errors) == (3, data, "failed")
        came = bytearray()
        assert connection.run("cat", [data], timeout_s=DEADLINE_S, received=came.extend).output == b""
        assert came == data
        # One that does not want all that is sent has its reason.
        ran = connection.run("echo no >&2; exit 1", [data] * 10, timeout_s=DEADLINE_S)
        assert (ran.code, ran.errors) == (1, "no")


def test_a_command_has_a_time_and_an_end_to_its_words(server: Server) -> None:
    with server.connect() as connection:
        with pytest.raises(UnavailableError, match="did not end within 1 s"):
            connection.run("sleep 60", timeout_s=1)
        with pytest.raises(UnavailableError, match="said more than 4 MiB"):
            connection.run("cat /dev/zero", timeout_s=DEADLINE_S)
        # And the connection is still good.
        assert connection.run("echo there", timeout_s=DEADLINE_S).output == b"there\n"


def test_lines_come_as_they_are_said_until_the_connection_ends(server: Server) -> None:
    with server.connect() as connection:
        lines = connection.lines("echo one; printf 'tw'; sleep 0.1; echo o; echo $PPID; exec sleep 60")
        assert [next(lines), next(lines)] == ["one", "two"]
        session = next(lines)
        # The server's process for this connection, gone without a word.
        threading.Timer(0.1, subprocess.run, [["kill", "-KILL", session]]).start()
        assert list(lines) == []
        with pytest.raises(UnavailableError, match="the connection was lost"):
            connection.run("true", timeout_s=DEADLINE_S)


def test_long_lines_are_cut(server: Server) -> None:
    with server.connect() as connection:
        assert list(connection.lines("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end", 1000))[-1] == "end"
        assert max(map(len, connection.lines("head -c 300000 /dev/zero | tr '\\0' x; echo", 1000))) <= 1000


def test_who_is_not_known_or_does_not_know_us_is_told_apart(server: Server, tmp_path: Path) -> None:
    nobody, other = tmp_path / "nobody", tmp_path / "other"
    nobody.touch()
    other.write_text(f"[127.0.0.1]:{server.port} {make_key(tmp_path / 'key')}\n")
    for known, told in ((nobody, "its host key is not in"), (other, "its host key is not the one in")):
        with pytest.raises(UnavailableError, match=rf"^\[127.0.0.1\]:{server.port}: {told} {known}"):
            Connection(server.host(), server.access(known)).__enter__()
    with pytest.raises(UnavailableError, match=r"refuses .*'s key"):
        Connection(server.host(), server.access(key=tmp_path / "key")).__enter__()
    with pytest.raises(ConfigError, match="cannot be read as known hosts"):
        Connection(server.host(), server.access(tmp_path)).__enter__()


def test_a_host_that_is_jumped_over_is_pinned_too(server: Server, tmp_path: Path) -> None:
    text = f"Host far\n HostName 127.0.0.1\n Port {server.port}\n ProxyJump near\n"
    text += f"Host near\n HostName localhost\n Port {server.port}\n"
    far = FleetHost("far", "far", frozenset(), user=getpass.getuser())
    with pytest.raises(UnavailableError, match=rf"^\[localhost\]:{server.port}: its host key is not in"):
        Connection(far, server.access(ssh_config=text)).__enter__()
    known = tmp_path / "known"
    known.write_text(server.known_hosts.read_text() + server.known_hosts.read_text().replace("127.0.0.1", "localhost"))
    with Connection(far, server.access(known, ssh_config=text)) as connection:
        assert connection.run("echo $SSH_CONNECTION", timeout_s=DEADLINE_S).output.startswith(b"127.0.0.1 ")


def test_one_that_never_answers_is_given_up(tmp_path: Path, server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = server.access()
        access.config.connect_kwargs["timeout"] = 1
        host = FleetHost("silent", "127.0.0.1", frozenset(), port=silent.getsockname()[1])
        with pytest.raises(UnavailableError, match=r"ssh failed|does not answer"):
            Connection(host, access).__enter__()
