"""What every daemon does as a process: say when it is ready, notice that its parent died, stop on signals."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from whoismesh.errors import ConfigError, TryAgainError, UsageError

#: From the signal to the end of the process, seconds, whatever hangs: half of the two minutes that a spot host has.
LONGEST_STOP_S = 60.0
#: Young objects, and looks at these, between two looks of Python's garbage collector at what is older. What lives long
#: here (numbers, tuples, arrays) is in no cycles, and the looks at 700 new ones each took 7 % of a coordinator's time.
COLLECT_AFTER = 50_000, 20, 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two options by which a parent process watches a child."""
    group = parser.add_argument_group("for a parent process")
    group.add_argument(
        "--ready-fd", type=int, metavar="N", help="write a line to this descriptor when ready, and close it"
    )
    group.add_argument("--lifeline-fd", type=int, metavar="N", help="stop at once when this descriptor reaches its end")


def add_keys_argument(parser: argparse.ArgumentParser) -> None:
    """Add --keys."""
    parser.add_argument(
        "--keys", type=Path, metavar="FOLDER", help="keys for all links, made by `whoismesh keys` (or mesh.keys)"
    )


def tell_ready(descriptor: int | None, line: str) -> None:
    """Write the line to the descriptor, if there is one, and close it. Raises UsageError if it cannot be written."""
    if descriptor is None:
        return
    try:
        # A parent that is gone needs no answer: whether to go on without it, the lifeline tells.
        with contextlib.suppress(BrokenPipeError):
            os.write(descriptor, f"{line}\n".encode())
        os.close(descriptor)
    except OSError as error:
        raise UsageError(f"--ready-fd {descriptor} cannot be written: {error.strerror}") from None


def collect_rarely() -> None:
    """Have the garbage collector leave alone what there is now, and look at new objects seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def need_descriptors(needed: int, what: str) -> None:
    """See that the process may open so many files: raise its own limit where it may. Raises ConfigError.

    ZeroMQ does not say so when it cannot accept a connection any more: it tries for ever.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{what} needs {needed} open files, and this process may open {hard}: "
            "raise the limit (ulimit -Hn, LimitNOFILE=) or lower the setting"
        )
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def on_signals(drain: Callable[[], None], quit_now: Callable[[], None]) -> None:
    """Call `drain` at the first SIGTERM or SIGINT and `quit_now` at the second. Needs the running loop."""
    loop = asyncio.get_running_loop()
    seen = []

    def caught() -> None:
        seen.append(True)
        (drain if len(seen) == 1 else quit_now)()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, caught)


def end_within(seconds: float, line: str) -> None:
    """End the process with 75 after so long, saying the line, should it still be there.

    A disk or a name server that does not answer holds up Python's own end, and for longer than there may be time. What
    is on disk stays as good as after a kill.
    """

    def end() -> None:
        with contextlib.suppress(OSError):
            os.write(2, f"{Path(sys.argv[0]).name}: {line}\n".encode())
        os._exit(TryAgainError.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def on_parent_death(descriptor: int | None, quit_now: Callable[[], None]) -> None:
    """Call `quit_now` when the other end of the descriptor is closed, as the kernel does for a dead process.

    Raises UsageError if it is no open pipe or socket.
    """
    if descriptor is None:
        return
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(descriptor, 1024):
            loop.remove_reader(descriptor)
            quit_now()

    try:
        loop.add_reader(descriptor, readable)
    except (OSError, ValueError) as error:
        raise UsageError(f"--lifeline-fd {descriptor} is no open pipe or socket: {error}") from None
