"""`fab logs` and `fab follow`: the daemons' journals, from all hosts at once."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from whoismesh.errors import UnavailableError, WhoismeshError
from whoismesh.fleet.hosts import FleetHost
from whoismesh.fleet.on_host import UNITS
from whoismesh.fleet.outcomes import FAILED, UNCHANGED, Outcome
from whoismesh.fleet.run import Run, say
from whoismesh.fleet.there import as_root

#: Reading the end of a journal, seconds.
LOGS_S = 60
#: A host that went away is tried again after so long, seconds.
AGAIN_S = 5
_UNITS = " ".join(f"--unit={unit}" for unit in UNITS)


def read_logs(run: Run, lines: int) -> tuple[list[tuple[str, str]], list[Outcome]]:
    """Return (host, line) of the last lines of each journal, host by host, and what came of each host."""
    command = as_root(f"journalctl {_UNITS} --lines={lines} --output=short-iso --no-pager --quiet --no-hostname")
    found: dict[str, list[str]] = {}

    def work(host: FleetHost) -> tuple[str, str]:
        with run.connect(host) as connection:
            said = connection.run(command, timeout_s=LOGS_S)
        if said.code != 0:
            raise UnavailableError(said.errors[-300:] or "journalctl failed")
        found[host.name] = said.output.decode("utf-8", "replace").splitlines()
        return UNCHANGED, ""

    outcomes = run.on_each(run.chosen, work, quiet=True)
    return [(host.name, line) for host in run.chosen for line in found.get(host.name, ())], outcomes


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a daemon's journal as it came."""

    host: str
    text: str


def event_of(line: Line) -> str | None:
    """Return a line of a daemon's log as JSON with its host's name; None for what is no event."""
    try:
        event = json.loads(line.text)
    except ValueError:
        return None
    return json.dumps({"host": line.host, **event}) if isinstance(event, dict) else None


def follow(run: Run, told: Callable[[Line], None], stopped: threading.Event) -> None:
    """Tell every line of every journal from now on, until `stopped`. A host that goes away is tried again for ever."""
    command = as_root(f"exec journalctl {_UNITS} --follow --lines=0 --output=cat --quiet")
    lock = threading.Lock()

    def listen(host: FleetHost) -> None:
        reached = True
        while not stopped.is_set():
            try:
                with run.connect(host) as connection:
                    if not reached:
                        say(f"{host.name}: is there again")
                    reached = True
                    for text in connection.lines(command):
                        with lock:
                            if stopped.is_set():
                                return
                            told(Line(host.name, text))
                why = "its journal ended"
            except WhoismeshError as error:
                why = str(error)
            except BrokenPipeError:
                stopped.set()  # whoever reads has had enough
                return
            if reached and not stopped.is_set():
                say(f"{host.name}: {why}; trying again every {AGAIN_S} s")
            reached = False
            stopped.wait(AGAIN_S)

    # Daemons: one that waits for a silent host is not waited for at the end.
    for host in run.chosen:
        threading.Thread(target=listen, args=(host,), daemon=True, name=f"follow {host.name}").start()
    stopped.wait()


def print_logs(run: Run, lines: int) -> int:
    """Print the last lines of each journal, each with its host; return the exit code."""
    found, outcomes = read_logs(run, lines)
    wide = max((len(host) for host, _ in found), default=0)
    for host, line in found:
        print(f"{host:<{wide}}  {line}")
    sys.stdout.flush()
    failed = [each for each in outcomes if each.state == FAILED]
    for each in failed:
        say(f"{each.host}: {each.detail}")
    return 1 if failed else 0


def print_following(run: Run, *, events: bool) -> int:
    """Print all journals as they come, until Ctrl-C; with `events` the daemons' events alone, as JSON lines."""
    wide = max((len(host.name) for host in run.chosen), default=0)

    def told(line: Line) -> None:
        text = event_of(line) if events else f"{line.host:<{wide}}  {line.text}"
        if text is not None:
            print(text, flush=True)

    stopped = threading.Event()
    try:
        follow(run, told, stopped)
    except KeyboardInterrupt:
        stopped.set()
    return 0
