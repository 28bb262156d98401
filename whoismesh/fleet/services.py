"""`fab start`, `fab stop`, `fab status`: the daemons as units of their hosts' systemd."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from whoismesh.errors import WhoismeshError
from whoismesh.fleet.hosts import COORDINATOR, WORKER, FleetHost
from whoismesh.fleet.on_host import COORDINATOR_UNIT, SYSTEMCTL_S, UNITS, WORKER_UNIT
from whoismesh.fleet.outcomes import CHANGED, FAILED, UNCHANGED, Outcome
from whoismesh.fleet.run import Run
from whoismesh.fleet.there import ask

#: A start waits for READY and a stop for what is left to deliver; `on_host` has the limit of one.
WAIT_S = 2 * SYSTEMCTL_S + 30
UNIT_OF = {COORDINATOR: COORDINATOR_UNIT, WORKER: WORKER_UNIT}


def start(run: Run, *, quiet: bool) -> list[Outcome]:
    """Start the coordinator, and when it is ready the workers, all at once; at boot they start by themselves."""
    coordinators = [host for host in run.chosen if host.coordinates]
    outcomes = run.on_each(coordinators, lambda host: _start(run, host, COORDINATOR), quiet=quiet)
    workers = [host for host in run.chosen if host.works]
    if any(each.state == FAILED for each in outcomes):
        lost = [Outcome(host.name, FAILED, "not started: the coordinator is not ready") for host in workers]
        return [*outcomes, *(each for each in lost if each.host not in {done.host for done in outcomes})]
    started = run.on_each(workers, lambda host: _start(run, host, WORKER), quiet=quiet)
    return _joined(outcomes, started)


def _start(run: Run, host: FleetHost, role: str) -> tuple[str, str]:
    with run.connect(host) as connection:
        told = ask(connection, {"do": "start", "unit": UNIT_OF[role]}, timeout_s=WAIT_S)
    text = f"{role}: {told.get('StatusText') or told.get('ActiveState')}"
    return (UNCHANGED if told["ran"] else CHANGED), text


def stop(run: Run, *, quiet: bool) -> list[Outcome]:
    """Stop the workers, all at once, while the coordinator still takes in what they have, and then it."""

    def work(host: FleetHost, role: str) -> tuple[str, str]:
        with run.connect(host) as connection:
            told = ask(connection, {"do": "stop", "units": [UNIT_OF[role]]}, timeout_s=WAIT_S)
        return (CHANGED, f"{role}: stopped") if told["ran"] else (UNCHANGED, f"{role}: did not run")

    workers = [host for host in run.chosen if host.works]
    coordinators = [host for host in run.chosen if host.coordinates]
    stopped = run.on_each(workers, lambda host: work(host, WORKER), quiet=quiet)
    return _joined(run.on_each(coordinators, lambda host: work(host, COORDINATOR), quiet=quiet), stopped)


def _joined(coordinators: Sequence[Outcome], workers: Sequence[Outcome]) -> list[Outcome]:
    """Return one outcome a host, where one does both."""
    found = {each.host: each for each in coordinators}
    for each in workers:
        other = found.get(each.host)
        if other is not None:
            state = next((one for one in (FAILED, CHANGED) if one in (each.state, other.state)), UNCHANGED)
            each = Outcome(each.host, state, f"{other.detail}; {each.detail}", other.seconds + each.seconds)
        found[each.host] = each
    return list(found.values())


# -- status -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A daemon on a host, or a host without one: `state` is systemd's word, "absent" or "unreachable"."""

    host: str
    role: str
    state: str
    since: str = ""
    restarts: int = 0
    version: str = ""
    digest: str = ""
    status: str = ""


UNREACHABLE, ABSENT = "unreachable", "absent"


def rows_of(host: FleetHost, told: dict[str, Any]) -> list[Row]:
    """Return what a host told, as rows."""
    found = []
    for unit in UNITS:
        shown = told["units"].get(unit)
        role = next(name for name, each in UNIT_OF.items() if each == unit)
        if shown is None:
            if role in host.roles:
                found.append(Row(host.name, role, ABSENT, status="deploy first"))
            continue
        state = shown["ActiveState"]
        if state == "activating" and shown["SubState"] == "auto-restart":
            state = "restarting"
        # What a daemon said last stays there after its end; how it ended says more.
        status = shown["StatusText"] if state == "active" else _ended(shown)
        found.append(
            Row(
                host.name,
                role,
                state,
                shown["StateChangeTimestamp"],
                int(shown["NRestarts"] or 0),
                told["installed"]["version"],
                told["installed"]["digest"],
                status,
            )
        )
    return found


def _ended(shown: Mapping[str, str]) -> str:
    number = shown["ExecMainStatus"]
    if shown["Result"] in ("success", "exit-code"):
        return f"ended with {number}" if shown["ActiveEnterTimestamp"] else ""
    return f"ended by {shown['Result']} {number}"


def status(run: Run) -> list[Row]:
    """Return a row for each daemon, and for each host that cannot be asked."""
    rows: dict[str, list[Row]] = {}

    def work(host: FleetHost) -> tuple[str, str]:
        try:
            with run.connect(host) as connection:
                rows[host.name] = rows_of(host, ask(connection, {"do": "status"}))
        except WhoismeshError as error:
            rows[host.name] = [Row(host.name, "+".join(sorted(host.roles)), UNREACHABLE, status=str(error))]
        return UNCHANGED, ""

    run.on_each(run.chosen, work, quiet=True)
    return [row for host in run.chosen for row in rows[host.name]]


def status_table(rows: Sequence[Row], width: int) -> str:
    """Return a line a row below a head, cut to a width."""
    head = ("host", "daemon", "state", "since", "restarts", "version", "says")
    cells = [head] + [
        (each.host, each.role, each.state, each.since, str(each.restarts), each.version, each.status) for each in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = ["  ".join(f"{text:<{wide}}" for text, wide in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(line[:width].rstrip() for line in lines)


def status_json(rows: Sequence[Row]) -> str:
    """Return a JSON list."""
    return json.dumps([asdict(row) for row in rows])
