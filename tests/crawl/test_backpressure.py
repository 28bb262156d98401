"""A coordinator whose disk is slow: it takes in what it has room for, and the rest waits at the workers."""

import sys
from pathlib import Path

import pytest
from daemons import Daemon, dumped, worker

from whoismesh.sockets import RESULT_BYTES

HERE = Path(__file__).parent


@pytest.mark.slow
def test_a_coordinator_with_a_slow_disk_has_a_bounded_number_of_results_in_memory(in_lab, table):
    async def crawl(lab):
        config = lab.config("193.104.0.0/15", "216.0.0.0/11")
        report = lab.folder / "report"
        coord = await Daemon.start(
            lab, [sys.executable, HERE / "slow_coordinator.py", report], "coord",
            "--config", config, "--listen", "tcp://127.0.0.1:0", "--exit-when-done",
        )  # fmt: skip
        workers = [await worker(lab, config, name, coord.endpoint) for name in ("one", "two")]
        assert await coord.ends() == 0
        for each in workers:
            assert await each.ends() == 0
        most_bytes, pauses = map(int, report.read_text().split())
        # It looks at its room after each message.
        assert most_bytes < 10_000 + RESULT_BYTES
        assert pauses > 3
        found = await dumped(lab, table)
        assert len(lab.practice.requests) < 1.3 * found.networks

    in_lab(crawl)
