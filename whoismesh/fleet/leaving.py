"""`fab down` for hosts that stay: all of ours leaves them, the results last."""

from __future__ import annotations

from whoismesh.errors import UnavailableError, UsageError, WhoismeshError
from whoismesh.fleet.hosts import FleetHost
from whoismesh.fleet.on_host import STATE, SYSTEMCTL_S
from whoismesh.fleet.outcomes import CHANGED, UNCHANGED, Outcome
from whoismesh.fleet.run import Run
from whoismesh.fleet.there import ask

#: Both daemons may take their time to stop.
LEAVE_S = 2 * SYSTEMCTL_S + 60


def leave(run: Run, *, discard: bool, quiet: bool) -> list[Outcome]:
    """Stop and remove all of ours. What was found stays there until its complete dump was pulled, or with `discard`."""
    may_discard, why = (True, "") if discard else _may_discard(run)

    def work(host: FleetHost) -> tuple[str, str]:
        with run.connect(host) as connection:
            told = ask(connection, {"do": "leave", "discard": may_discard}, timeout_s=LEAVE_S)
        if told["left"]:
            raise UnavailableError(f"left behind: {', '.join(told['left'])[:300]}")
        kept = f"{STATE} stays: {why}" if told["kept"] else "nothing is left"
        return (CHANGED, kept) if told["was"] else (UNCHANGED, kept)

    # Workers first: they deliver what they have while the coordinator is there.
    workers = run.on_each([host for host in run.chosen if not host.coordinates], work, quiet=quiet)
    return [*run.on_each([host for host in run.chosen if host.coordinates], work, quiet=quiet), *workers]


def _may_discard(run: Run) -> tuple[bool, str]:
    """Tell whether the crawl's results are home, or why not. Its state has a note of it (`on_host.pulled`)."""
    try:
        with run.connect(run.coordinator) as connection:
            told = ask(connection, {"do": "status"})
    except UsageError:
        return False, "no coordinator is among the hosts; --discard-results removes it"
    except WhoismeshError:
        return (
            False,
            "the coordinator's host cannot be asked whether the results were pulled; --discard-results removes it",
        )
    if told["pulled"]:
        return True, ""
    return False, "the complete results were not pulled; fab pull, or --discard-results"
