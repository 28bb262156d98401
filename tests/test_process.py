from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys

import pytest

from whoismesh.errors import UsageError
from whoismesh.process import add_arguments, on_parent_death, on_signals, tell_ready


def test_a_child_says_that_it_is_ready_and_closes_the_line() -> None:
    reading, writing = os.pipe()
    tell_ready(writing, "tcp://127.0.0.1:5555")
    with os.fdopen(reading) as file:
        assert file.read() == "tcp://127.0.0.1:5555\n"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writing)


def test_nobody_needs_to_be_told() -> None:
    tell_ready(None, "ready")


def test_a_parent_that_is_gone_is_no_error_of_the_child_s() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    tell_ready(writing, "ready")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writing)


def closed_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_a_descriptor_that_is_none_is_a_usage_error() -> None:
    number = closed_descriptor()
    with pytest.raises(UsageError, match=rf"--ready-fd {number} cannot be written: Bad file descriptor"):
        tell_ready(number, "ready")

    async def watch(descriptor: int) -> None:
        on_parent_death(descriptor, lambda: None)

    with pytest.raises(UsageError, match=rf"--lifeline-fd {number} is no open pipe or socket"):
        asyncio.run(watch(number))


def test_a_file_cannot_be_a_lifeline() -> None:
    with open(__file__) as file:

        async def watch() -> None:
            on_parent_death(file.fileno(), lambda: None)

        with pytest.raises(UsageError, match=r"--lifeline-fd \d+ is no open pipe or socket"):
            asyncio.run(watch())


def test_the_end_of_the_lifeline_stops_the_child_once() -> None:
    reading, writing = os.pipe()

    async def run() -> int:
        stops: list[bool] = []
        stopped = asyncio.Event()

        def stop() -> None:
            stops.append(True)
            stopped.set()

        on_parent_death(reading, stop)
        os.write(writing, b"still here")
        heard = asyncio.Event()
        asyncio.get_running_loop().call_soon(heard.set)
        await heard.wait()
        assert not stops
        os.close(writing)
        async with asyncio.timeout(20):
            await stopped.wait()
        return len(stops)

    assert asyncio.run(run()) == 1
    os.close(reading)


def test_without_a_lifeline_nothing_is_watched() -> None:
    on_parent_death(None, lambda: None)  # no loop is needed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_second_quits(number: signal.Signals) -> None:
    async def run() -> list[str]:
        seen: asyncio.Queue[str] = asyncio.Queue()
        on_signals(lambda: seen.put_nowait("drain"), lambda: seen.put_nowait("quit"))
        order = []
        for sent in (number, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), sent)
            async with asyncio.timeout(20):
                order.append(await seen.get())
        return order

    assert asyncio.run(run()) == ["drain", "quit", "quit"]


def test_a_parent_has_its_two_options() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert vars(parser.parse_args([])) == {"ready_fd": None, "lifeline_fd": None}
    assert vars(parser.parse_args(["--ready-fd", "3", "--lifeline-fd", "4"])) == {"ready_fd": 3, "lifeline_fd": 4}


NEEDS = """
import resource
from whoismesh.process import need_descriptors
need_descriptors(300, "mesh.links = 9")
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ("ulimit -Sn 100", "(300, "),
        ("ulimit -Sn 400", "(400, "),
        ("ulimit -n 299", "mesh.links = 9 needs 300 open files, and this process may open 299: raise the limit"),
    ],
)
def test_the_limit_of_open_files_is_raised_or_what_needs_more_is_named(limits: str, says: str) -> None:
    command = ["bash", "-c", f'{limits} && exec "$0" -c "$1"', sys.executable, NEEDS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert says in ended.stdout + ended.stderr


def test_a_process_that_hangs_at_its_end_ends_all_the_same() -> None:
    program = """
import asyncio, time
from whoismesh import process

async def main():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)  # a name server that does not answer
    process.end_within(0.2, "state: something hangs")

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (75, "-c: state: something hangs\n")
