"""A mesh without async: the same, from any thread."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

import whoismesh


def run_in_field(in_field, test):
    """Run `test(endpoint)` on a thread, beside a coordinator and a worker that crawls to the end."""

    async def run(field):
        coordinator = await field.coordinator()
        await field.worker(coordinator)
        await asyncio.to_thread(test, coordinator.endpoint)

    in_field(run)


def test_a_script_has_everything_an_async_program_has(in_field):
    def script(endpoint):
        with whoismesh.join_blocking(endpoint) as mesh:
            assert len(mesh.crawl) == 16
            blocks = list(mesh.discoveries(known=True))
            assert mesh.complete
            mesh.caught_up(1)
            assert blocks == list(mesh.known_blocks())
            assert len(blocks) == len(mesh) > 100
            assert mesh.hit("193.104.1.1") in blocks
            assert mesh.dropped == {"events": 0, "frames": 0, "blocks": 0}
            assert mesh.silent_s < 5
            assert mesh.failure is None
            found = [
                each.block for each in mesh.events(known=True, quiet_s=0.1) if isinstance(each, whoismesh.Discovered)
            ]
            assert found == blocks
            assert list(mesh.discoveries()) == []
        assert mesh.hit("193.104.1.1") in blocks
        assert list(mesh.discoveries(known=True)) == blocks
        with pytest.raises(whoismesh.UsageError, match="was left"):
            mesh.caught_up()
        mesh.close()
        assert "whoismesh" not in {each.name for each in threading.enumerate()}

    run_in_field(in_field, script)


def test_hits_are_right_while_another_thread_takes_blocks_in(in_field):
    def script(endpoint):
        with whoismesh.join_blocking(endpoint) as mesh:
            done = threading.Event()

            def iterate():
                for _ in mesh.discoveries(known=True):
                    pass
                done.set()

            threading.Thread(target=iterate).start()
            answers = set()
            while not done.is_set():
                answers.add(mesh.hit("193.104.1.1"))
                assert len(list(mesh.known_blocks())) <= len(mesh)
            answers.add(mesh.hit("193.104.1.1"))
            assert {str(each) for each in answers if each} == {"193.104.1.0/24 ripencc"}

    run_in_field(in_field, script)


def test_leaving_ends_an_iteration_on_another_thread(in_field):
    async def run(field):
        coordinator = await field.coordinator()

        def script():
            mesh = whoismesh.join_blocking(coordinator.endpoint)
            ended = []
            reader = threading.Thread(target=lambda: ended.append(list(mesh.discoveries())))
            reader.start()
            # Whether it waits already or not yet: both must end.
            mesh.close()
            reader.join(10)
            assert ended == [[]]

        for _ in range(5):
            await asyncio.to_thread(script)

    in_field(run)


INTERRUPTED = """
import sys, whoismesh
with whoismesh.join_blocking(sys.argv[1]) as mesh:
    try:
        print("waiting", flush=True)
        for block in mesh.discoveries():
            print(block)
    except KeyboardInterrupt:
        print("interrupted", mesh.hit("193.104.1.1"), list(mesh.discoveries(quiet_s=0.01)))
"""


def test_an_interrupt_ends_the_waiting_and_not_the_mesh(in_field):
    async def run(field):
        coordinator = await field.coordinator()
        program = await field.program("-c", INTERRUPTED, coordinator.endpoint)
        assert await program.stdout.readline() == b"waiting\n"
        program.send_signal(signal.SIGINT)
        out, err = await program.communicate()
        assert (program.returncode, out) == (0, b"interrupted None []\n")
        assert b"Traceback" not in err

    in_field(run)


def test_nobody_there_is_an_error_and_leaves_no_thread():
    started = time.monotonic()
    with pytest.raises(whoismesh.UnavailableError, match="nobody answers"):
        whoismesh.join_blocking("tcp://127.0.0.1:9", timeout_s=0.2)
    assert time.monotonic() - started < 5
    assert "whoismesh" not in {each.name for each in threading.enumerate()}
