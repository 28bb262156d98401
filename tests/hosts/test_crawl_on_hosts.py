"""Crawls on real hosts, over networks that lose, delay and part: the same dump as on a quiet day."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from host import Host
from lab import HostLab
from mesh import COORDINATOR, Mesh, Outcome, networks, quiet_crawl
from waiting import wait_until

from whoismesh.dump import open_dump, statistics
from whoismesh.practice.compare import compare

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("hosts_can_be_made")]

#: A crawl takes about 50 s on a quiet machine, 90 s on a busy one.
CRAWL_S = 140
PARTITION_S = 10.0
WORKERS = ("steady", "lossy", "parted", "doomed")


def check(outcome: Outcome, mesh: Mesh, quiet: Path) -> None:
    """The dump is complete, exact, and the one of a quiet crawl."""
    with open_dump(outcome.dump) as records:
        found = statistics(records)
    assert found.complete and found.settled == found.space and found.failed == 0
    assert compare(outcome.dump, mesh.table).equal
    assert networks(outcome.dump) == networks(quiet)
    print(
        f"{found.networks} networks; {len(mesh.asked())} requests, of which {mesh.repeated()} had been made before; "
        f"{outcome.repeated} answers told what was known; results by origin: {dict(outcome.by_origin)}"
    )


def part(host: Host, mesh: Mesh) -> None:
    """Cut a host off for a while in which the others go on."""
    host.partition()
    began, asked = time.monotonic(), len(mesh.asked())
    wait_until(lambda: time.monotonic() - began >= PARTITION_S, "end of the partition", 2 * PARTITION_S)
    host.heal()
    assert len(mesh.asked()) > asked


def test_loss_delay_partition_and_a_host_gone_for_good_change_nothing(tmp_path: Path) -> None:
    with HostLab("coord", *WORKERS) as lab:
        lab.point(COORDINATOR, "coord")
        mesh = Mesh(lab, tmp_path, latency_s=0.25, connections=2)
        quiet = quiet_crawl(mesh, tmp_path)
        began = time.monotonic()
        coordinator = mesh.coordinate("coord")
        workers = mesh.work(*WORKERS)
        origins = {name: each.says("worker_joined", 0)["origin"] for name, each in workers.items()}
        mesh.wait_for_requests(400, CRAWL_S)
        lab["lossy"].impair(loss=0.2, delay_s=0.1)
        lab["doomed"].power_off()
        part(lab["parted"], mesh)
        coordinator.says("worker_lost", CRAWL_S)
        assert coordinator.ends(CRAWL_S) == "exited 0"
        print(f"{time.monotonic() - began:.0f} s")
        for name in ("steady", "parted"):
            assert workers[name].ends(30) == "exited 0"
        outcome = mesh.fetch("coord")
        check(outcome, mesh, quiet)
        # The lossy one had found about 100 of the first 400 before its cable went bad; it went on, if slowly.
        assert outcome.by_origin[origins["lossy"]] > 150
        assert origins["doomed"] in {each["origin"] for each in coordinator.events() if each["event"] == "worker_lost"}
        assert "Traceback" not in coordinator.output()


def test_the_coordinator_moves_to_another_address_of_its_name(tmp_path: Path) -> None:
    with HostLab("old", "new", "one", "two") as lab:
        lab.point(COORDINATOR, "old")
        mesh = Mesh(lab, tmp_path, latency_s=0.25, connections=2)
        quiet = quiet_crawl(mesh, tmp_path)
        began = time.monotonic()
        coordinator = mesh.coordinate("old")
        workers = mesh.work("one", "two")
        mesh.wait_for_requests(800, CRAWL_S)
        for name in workers:
            lab[name].expect_silence_of(lab["old"])
        # Its host goes silent. Workers go on with what they have leased, and keep what they find.
        lab["old"].partition()
        mesh.wait_for_requests(len(mesh.asked()) + 50, CRAWL_S)
        coordinator.kill()
        assert coordinator.ends(30) == "killed KILL"
        # Its disk is moved to another host, and so is its name.
        shutil.copytree(lab["old"].path("/root/coord"), lab["new"].path("/root/coord"))
        lab["old"].power_off()
        for name in workers:
            wait_until(lambda there=lab[name]: there.knocks_at(lab["old"]), f"{name} tries to connect again", 30)
        lab.point(COORDINATOR, "new")
        moved = mesh.coordinate("new")
        assert moved.ends(CRAWL_S) == "exited 0"
        print(f"{time.monotonic() - began:.0f} s")
        for each in workers.values():
            assert each.ends(30) == "exited 0"
            assert next(event for event in each.events() if event["event"] == "worker_stopped")["undelivered"] == 0
        check(mesh.fetch("new"), mesh, quiet)
        assert mesh.repeated() < 0.3 * len(mesh.asked())
