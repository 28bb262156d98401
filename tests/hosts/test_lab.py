"""The maker of test hosts: its hosts are real ones, and nothing is left of them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import obstacles
import pytest
from host import BRIDGE, Host
from lab import HostLab
from leftovers import cgroup_here, sweep
from service import Service
from waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hosts_can_be_made")]

DEADLINE_S = 30


def traces() -> dict[str, object]:
    """Return all of this machine that a lab could leave something in, without what other labs have there."""
    names = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {
        "namespaces": names,
        "links": re.findall(r"^\d+: (\S+):", links, re.MULTILINE),
        # Without the disks that other tests mount meanwhile.
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/pytest-of-" not in line],
    }


def listen(host: Host, port: int) -> Service:
    """Let a host accept one connection and say what comes through it."""
    service = host.start(
        "listener",
        sys.executable,
        "-c",
        "import socket\n"
        f"with socket.create_server(('', {port})) as server:\n"
        '    print(\'{"event": "listening"}\', flush=True)\n'
        "    connection, _ = server.accept()\n"
        "    print(connection.makefile().read(), flush=True)\n",
    )
    service.says("listening", DEADLINE_S)
    return service


@pytest.fixture
def pair():
    with HostLab("one", "two") as lab:
        yield lab


def test_hosts_are_hosts_of_their_own(pair: HostLab) -> None:
    one, two = pair["one"], pair["two"]
    assert one.run("hostname") == "one\n"
    # Systemd is the first process, and all is well with it.
    assert one.run("cat", "/proc/1/comm") == "systemd\n"
    assert one.run("systemctl", "--failed", "--no-legend") == ""
    # Each has its own files, over the machine's.
    one.run("touch", "/root/mine", "/usr/bin/mine")
    assert one.path("/usr/bin/mine").exists()
    assert not two.path("/usr/bin/mine").exists() and not Path("/usr/bin/mine").exists()
    assert one.run("cat", "/etc/machine-id") != two.run("cat", "/etc/machine-id")
    # The machine's kernel is not theirs to change, its devices not theirs to see.
    with pytest.raises(RuntimeError, match="Read-only"):
        one.run("sh", "-c", "echo 60 > /proc/sys/vm/swappiness")
    assert not one.path("/dev/kmsg").exists()
    # The project's programs run in them.
    assert "whoismesh" in one.run(str(Path(sys.executable).parent / "whoismesh"), "--version")


def test_ssh_works_and_pins_the_hosts_keys(pair: HostLab) -> None:
    for name in ("one", "two"):
        assert pair.ssh(name, "hostname") == f"{name}\n"
    assert pair.ssh("one", "sh", "-c", "echo $0 'a b'", "x y") == "x y a b\n"
    # By name from host to host; each host answers with its own key.
    assert len({line.split()[2] for line in pair.known_hosts.read_text().splitlines()}) == 2
    swapped = pair.folder / "swapped"
    one, two = (line.split() for line in pair.known_hosts.read_text().splitlines())
    swapped.write_text(f"{one[0]} {two[1]} {two[2]}\n")
    with pytest.raises(RuntimeError, match="Host key verification failed"):
        pair.run("ssh", "-F", pair.ssh_config, "-o", f"UserKnownHostsFile={swapped}", "one", "true")


def test_ssh_with_another_key_is_refused(pair: HostLab, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    options = ["-o", f"UserKnownHostsFile={pair.known_hosts}", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
    with pytest.raises(RuntimeError, match="Permission denied"):
        pair.run("ssh", "-F", "none", "-i", tmp_path / "other", *options, f"root@{pair['one'].address}", "true")


def test_files_are_copied_over_ssh(pair: HostLab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    pair.run("scp", "-F", pair.ssh_config, tmp_path / "file", "two:/root/file")
    assert pair["two"].path("/root/file").read_text() == "text"


def test_daemons_start_speak_and_end(pair: HostLab) -> None:
    one = pair["one"]
    done = one.start("done", "/bin/sh", "-c", 'echo \'{"event": "hello", "n": 3}\'; exit 7')
    assert done.ends(DEADLINE_S) == "exited 7"
    assert done.says("hello", DEADLINE_S)["n"] == 3
    with pytest.raises(RuntimeError, match="ended without bye"):
        done.says("bye", DEADLINE_S)
    endless = one.start("endless", "/bin/sleep", "infinity")
    with pytest.raises(TimeoutError, match="end of endless"):
        endless.ends(0)
    endless.kill()
    assert endless.ends(DEADLINE_S) == "killed KILL"
    # Its name is free again.
    assert one.start("done", "/bin/true").ends(DEADLINE_S) == "exited 0"
    with pytest.raises(RuntimeError):
        one.start("none", "/no/such/program")


def test_names_lead_where_the_lab_points_them(pair: HostLab) -> None:
    assert pair["one"].run("getent", "hosts", "two").split() == [pair["two"].address, "two"]
    for host in ("one", "two"):
        pair.point("service", host)
        assert pair["one"].run("getent", "hosts", "service").split()[0] == pair[host].address


def round_trips_s(lab: HostLab, host: Host, count: int) -> list[float]:
    """Return the times of so many UDP round trips from the seat; lost ones are missing."""
    answer = (
        "import socket\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:\n"
        "    server.bind(('', 9999))\n"
        '    print(\'{"event": "listening"}\', flush=True)\n'
        "    while True:\n"
        "        server.sendto(*server.recvfrom(100))\n"
    )
    ask = (
        "import socket, time\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:\n"
        f"    client.connect(('{host.address}', 9999))\n"
        "    client.settimeout(2)\n"
        f"    sent = [client.send(str(time.monotonic()).encode()) for _ in range({count})]\n"
        "    try:\n"
        f"        for _ in range({count}): print(-float(client.recv(100)) + time.monotonic())\n"
        "    except TimeoutError:\n"
        "        pass\n"
    )
    echo = host.start("echo", sys.executable, "-c", answer)
    echo.says("listening", DEADLINE_S)
    found = [float(line) for line in lab.run(sys.executable, "-c", ask).split()]
    echo.kill()
    echo.ends(DEADLINE_S)
    return found


def test_a_bad_cable_loses_and_delays_until_it_is_mended(pair: HostLab) -> None:
    one = pair["one"]
    assert len(round_trips_s(pair, one, 200)) == 200
    one.impair(loss=0.2, delay_s=0.1)
    came = round_trips_s(pair, one, 200)
    # 0.8 * 0.8 = 64 %: 128 of 200, with a standard deviation of 7.
    assert 100 < len(came) < 156
    assert min(came) >= 0.2
    one.mend()
    # Checksums survive it, TCP gets through. (At 20 % it does, too, but sometimes waits for minutes.)
    one.impair(loss=0.02, delay_s=0.01)
    assert len(pair.ssh("one", "head", "-c", "500000", "/dev/zero")) == 500000
    one.mend()
    came = round_trips_s(pair, one, 200)
    assert len(came) == 200 and min(came) < 0.1


def test_a_partition_holds_nothing_back_but_packets(pair: HostLab) -> None:
    one = pair["one"]
    listener = listen(one, 7000)
    one.partition()
    with pytest.raises(RuntimeError):
        pair.run("ssh", "-F", pair.ssh_config, "-o", "ConnectTimeout=1", "one", "true")
    # The host does not notice: its cable looks plugged in.
    assert "LOWER_UP" in one.run("ip", "link", "show", "eth0")
    pair["two"].run("ip", "link", "show", "eth0")
    # A connection that was begun meanwhile comes to be after the end of the partition.
    knock = f"import socket; socket.create_connection(('{one.address}', 7000), 30).sendall(b'hello')"
    client = pair.start(sys.executable, "-c", knock)
    one.heal()
    assert client.wait(DEADLINE_S) == 0
    wait_until(lambda: "hello" in listener.output(), "what was sent", DEADLINE_S)


def test_a_host_switched_off_says_nothing(pair: HostLab) -> None:
    one, init = pair["one"], pair["one"].init
    listen(one, 7000)
    # A connected client hears neither an end nor a reset.
    code = (
        "import socket\n"
        f"connection = socket.create_connection(('{one.address}', 7000), 5)\n"
        "print('connected', flush=True)\n"
        "connection.settimeout(2)\n"
        "try:\n"
        "    print(connection.recv(1))\n"
        "except TimeoutError:\n"
        "    print('silence', flush=True)\n"
    )
    client = pair.start(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert client.stdout is not None and client.stdout.readline() == b"connected\n"
    one.power_off()
    assert not Path(f"/proc/{init}").exists()
    assert client.stdout.readline() == b"silence\n"
    one.power_off()  # once more does no harm
    assert pair.ssh("two", "hostname") == "two\n"


def test_nothing_is_left_behind_even_after_a_failure() -> None:
    before, lab = traces(), HostLab("one", "two")
    with contextlib.suppress(ZeroDivisionError), lab:
        lab["one"].impair(loss=0.5, delay_s=0.1)
        lab["two"].start("endless", "/bin/sleep", "infinity")
        lab.start("sleep", "infinity")
        inits = [lab[name].init for name in ("one", "two")]
        network = Path(f"/proc/{lab.seat}/ns/net").stat().st_ino
        assert network in networks()
        assert BRIDGE in lab.run("ip", "-o", "link")
        _ = 1 // 0
    assert traces() == before
    assert not lab.folder.exists() and not lab.cgroup.exists()
    assert not any(Path(f"/proc/{init}").exists() for init in inits)
    assert network not in networks()


def networks() -> set[int]:
    """Return the network namespaces of all processes of this machine."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add((process / "ns/net").stat().st_ino)
        except OSError:
            continue  # it ended, or is a dead one that nobody has asked about yet
    return found


def test_a_lab_whose_maker_is_killed_dies_and_the_next_removes_the_rest() -> None:
    before = traces()
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from lab import HostLab\n"
        "with HostLab('one') as lab:\n"
        "    lab['one'].impair(loss=0, delay_s=0)\n"
        "    print(lab.folder, lab['one'].init, lab.seat, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    maker = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert maker.stdout is not None
    folder, init, seat = maker.stdout.readline().split()
    # Kept open, or the kernel gives the number of the network that is gone to one that another test makes.
    with open(f"/proc/{seat}/ns/net") as kept:
        network = os.fstat(kept.fileno()).st_ino
        # While it lives, another lab leaves it alone.
        sweep()
        assert Path(folder).exists() and Path(f"/proc/{init}").exists()
        maker.send_signal(signal.SIGKILL)
        maker.communicate()
        for pid in (init, seat):
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"end of {pid}", DEADLINE_S)
        sweep()  # or a lab of another test that has begun meanwhile: the folder may be gone already
        assert not Path(folder).exists() and not (cgroup_here() / Path(folder).name).exists()
        wait_until(lambda: network not in networks(), "end of all processes in its network", DEADLINE_S)
    assert traces() == before


def test_two_labs_at_once_do_not_meet() -> None:
    with HostLab("one") as first, HostLab("one") as second:
        assert first.folder != second.folder
        assert first["one"].address == second["one"].address
        first["one"].run("touch", "/root/first")
        assert "first" in first.ssh("one", "ls", "/root")
        assert "first" not in second.ssh("one", "ls", "/root")


def test_a_host_that_cannot_boot_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before, lab = traces(), HostLab("one", "two")
    monkeypatch.setattr("host.hidden_folders", lambda: ["/no/such/folder"])
    with pytest.raises(RuntimeError, match=r"one did not boot:(.|\n)*/no/such/folder"):
        lab.__enter__()
    assert traces() == before
    assert not lab.folder.exists() and not lab.cgroup.exists()


@pytest.mark.parametrize("program", ["sshd", "ip"])
def test_a_missing_program_is_named_with_the_mend(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == program else which(name, **more))
    assert re.fullmatch(
        rf"test hosts need {program} \(\S+\): run bin/setup-hosts as root", obstacles.obstacle(tmp_path)
    )


def test_a_kernel_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "TRIAL", "echo mount: permission denied >&2; exit 32")
    assert obstacles.obstacle(tmp_path) == "no test hosts can be made here: mount: permission denied"


def test_control_groups_that_are_read_only_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "cgroup_here", lambda: tmp_path / "missing")
    assert re.fullmatch(r"no test hosts can be made here: .*missing/whoismesh-trial-\d+'", obstacles.obstacle(tmp_path))
