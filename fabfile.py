"""Tasks for `fab`. `fab --list` shows them, `fab --help TASK` a task's options; docs/fleet.md has the whole way.

Hosts are those that `-H one,two` names (the first coordinates), else the instances of EC2 that carry the run's tag.
"""

import json
from dataclasses import asdict
from pathlib import Path

from fabric import task
from invoke.context import Context

from whoismesh.fleet import deploy as deploying
from whoismesh.fleet import journal, leaving, results, services
from whoismesh.fleet.each import AT_ONCE
from whoismesh.fleet.ec2 import lifecycle
from whoismesh.fleet.ec2 import tasks as on_ec2
from whoismesh.fleet.ec2.options import REQUIRED, FleetOptions, counted, help_for, takes_options
from whoismesh.fleet.fleet_keys import FleetKeys
from whoismesh.fleet.run import FOLDERS, find_run, say, width
from whoismesh.fleet.ssh import fleet_task, hosts_given
from whoismesh.fleet.wheels import make_wheelhouse
from whoismesh.keys import listed, revoke_host

RUN = "whoismesh"
COMMON = {
    "run": "name of the fleet; its keys and wheels are in fleet/NAME/",
    "coordinator": "which of the hosts that -H names coordinates (default: the first)",
    "known-hosts": "file with the hosts' keys (default: the run's own, else ssh's)",
}
PYTHON = "path of the hosts' Python, where it is not in their search path"
MANY = COMMON | {"at-once": "hosts worked on at once", "json": "print JSON", "failed": "only hosts that failed before"}
#: Options that `grow` has no use for, and those that `bake` has none for.
SIZE = frozenset({"workers"})
NO_PLAN = frozenset({"workers", "types", "config", "coordinator_price", "max_hours", "max_price", "max_total", "days"})


@task  # type: ignore[untyped-decorator]
def check(context: Context) -> None:
    """Lint, type-check and test, as continuous integration does."""
    context.run("bin/test", pty=False)


@fleet_task(help={"run": COMMON["run"]})
def wheels(context: Context, run: str = RUN) -> int:
    """Make the wheelhouse that deploy sends: for when there is no package index where it runs."""
    made = make_wheelhouse(FOLDERS / run / "wheels", say)
    print(f"version {made.digest}: {len(made.files)} wheels in {made.files[0].parent}")
    return 0


@fleet_task(help=COMMON | {"revoke": "a host whose key is to count no more", "json": MANY["json"]})
def keys(
    context: Context,
    run: str = RUN,
    revoke: str = "",
    coordinator: str | None = None,
    known_hosts: str | None = None,
    json: bool = False,
) -> int:
    """Make the keys that hosts lack and list all; deploy takes them there. fab -H one,two keys"""
    folder = FOLDERS / run / "keys"
    if revoke:
        revoke_host(folder, revoke)
    else:
        FleetKeys(folder, find_run(context, run, coordinator=coordinator, known_hosts=known_hosts).hosts)
    rows = [{"name": name, "state": state, "key": key} for name, state, key in listed(folder)]
    print(_json(rows) if json else "\n".join("{state:<8} {key} {name}".format(**row) for row in rows))
    return 0


@fleet_task(
    help=MANY
    | {
        "config": "the crawl's settings (TOML); without it those of the last deploy",
        "python": PYTHON,
        "install": "install Python by apt-get where it is missing",
    }
)
def deploy(
    context: Context,
    run: str = RUN,
    config: str | None = None,
    coordinator: str | None = None,
    known_hosts: str | None = None,
    python: str = "",
    install: bool = False,
    failed: bool = False,
    at_once: int = AT_ONCE,
    json: bool = False,
) -> int:
    """Give hosts programs, keys, settings and units, where they differ. fab -H one,two deploy --config crawl.toml"""
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts, at_once=at_once)
    fleet = fleet.only_failed("deploy") if failed else fleet
    outcomes = deploying.deploy(fleet, Path(config) if config else None, python=python, install=install, quiet=json)
    return fleet.report("deploy", outcomes, json=json)


@fleet_task(help=MANY)
def start(
    context: Context,
    run: str = RUN,
    coordinator: str | None = None,
    known_hosts: str | None = None,
    failed: bool = False,
    at_once: int = AT_ONCE,
    json: bool = False,
) -> int:
    """Start the coordinator, then the workers; also at each boot from now on. fab -H one,two start"""
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts, at_once=at_once)
    fleet = fleet.only_failed("start") if failed else fleet
    return fleet.report("start", services.start(fleet, quiet=json), json=json)


@fleet_task(help=MANY)
def stop(
    context: Context,
    run: str = RUN,
    coordinator: str | None = None,
    known_hosts: str | None = None,
    failed: bool = False,
    at_once: int = AT_ONCE,
    json: bool = False,
) -> int:
    """Stop the workers, which deliver first, then the coordinator; start goes on. fab -H one,two stop"""
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts, at_once=at_once)
    fleet = fleet.only_failed("stop") if failed else fleet
    return fleet.report("stop", services.stop(fleet, quiet=json), json=json)


@fleet_task(help=COMMON | {"at-once": MANY["at-once"], "json": MANY["json"]})
def status(
    context: Context,
    run: str = RUN,
    coordinator: str | None = None,
    known_hosts: str | None = None,
    at_once: int = AT_ONCE,
    json: bool = False,
) -> int:
    """Show each daemon: its state, since when, restarts, version, and what it says. fab -H one,two status"""
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts, at_once=at_once)
    rows = services.status(fleet)
    print(services.status_json(rows) if json else services.status_table(rows, width()))
    return 1 if any(row.state == services.UNREACHABLE for row in rows) else 0


@fleet_task(help=COMMON | {"lines": "last lines of each host"})
def logs(
    context: Context,
    run: str = RUN,
    lines: int = 20,
    coordinator: str | None = None,
    known_hosts: str | None = None,
) -> int:
    """Print the last lines of each host's journal. fab -H one,two logs --lines 50"""
    return journal.print_logs(find_run(context, run, coordinator=coordinator, known_hosts=known_hosts), lines)


@fleet_task(help=COMMON | {"events": "the daemons' events alone, a JSON line each"})
def follow(
    context: Context,
    run: str = RUN,
    events: bool = False,
    coordinator: str | None = None,
    known_hosts: str | None = None,
) -> int:
    """Print all journals as they come, until Ctrl-C. fab -H one,two follow --events"""
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts)
    return journal.print_following(fleet, events=events)


@fleet_task(help=COMMON | {"output": "the file to write", "json": "print JSON"})
def pull(
    context: Context,
    run: str = RUN,
    output: str = "results.msgpack",
    coordinator: str | None = None,
    known_hosts: str | None = None,
    json: bool = False,
) -> int:
    """Fetch the dump and verify it; also during a crawl. fab -H one,two pull --output results.msgpack"""
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts)
    pulled = results.pull(fleet, Path(output))
    print(_json(asdict(pulled)) if json else results.told(pulled))
    return 0


@fleet_task(help=help_for())
@takes_options()
def plan(context: Context, options: FleetOptions) -> int:
    """Show what a fleet on EC2 would cost, and launch nothing. fab plan --config crawl.toml --workers 5"""
    return on_ec2.plan(options, FOLDERS / options.run)


@fleet_task(help=help_for())
@takes_options()
def up(context: Context, options: FleetOptions) -> int:
    """Launch what the fleet lacks on EC2 and learn its host keys. fab up --config crawl.toml --workers 5"""
    return on_ec2.show(on_ec2.up(options, FOLDERS / options.run, say), as_json=options.json)


@fleet_task(help=help_for(SIZE, count="workers to add", python=PYTHON))
@takes_options({"count": REQUIRED, "python": ""}, without=SIZE)
def grow(context: Context, options: FleetOptions, count: str, python: str = "") -> int:
    """Add spot workers: launch, deploy as before, start. fab grow 3"""
    return lifecycle.grow(context, options, counted(count), python=python)


@fleet_task(
    help={
        "count": "workers to end: the dearest, then the youngest",
        "run": COMMON["run"],
        "python": PYTHON,
        "json": MANY["json"],
    }
)
def shrink(context: Context, count: str, run: str = RUN, python: str = "", json: bool = False) -> int:
    """Drain and end workers on EC2, and revoke their keys. fab shrink 2"""
    return lifecycle.shrink(context, run, counted(count), python=python, in_json=json)


@fleet_task(help=help_for(NO_PLAN, replace="delete the run's older images", list_only="show its images, make none"))
@takes_options({"replace": False, "list_only": False}, without=NO_PLAN)
def bake(context: Context, options: FleetOptions, replace: bool = False, list_only: bool = False) -> int:
    """Make an image with everything installed and no key in it, for `fab up`. fab bake --replace"""
    return lifecycle.bake(context, options, replace_old=replace, list_only=list_only)


@fleet_task(
    help=MANY
    | {
        "discard-results": "also where the complete dump was not pulled",
        "images": "on EC2 also what `fab bake` made",
    }
)
def down(
    context: Context,
    run: str = RUN,
    discard_results: bool = False,
    images: bool = False,
    coordinator: str | None = None,
    known_hosts: str | None = None,
    failed: bool = False,
    at_once: int = AT_ONCE,
    json: bool = False,
) -> int:
    """Remove all of whoismesh from the hosts of -H; without -H end all of the run on EC2. fab down --run world"""
    if not hosts_given(context):
        return lifecycle.down(context, run, discard=discard_results, images=images, in_json=json)
    fleet = find_run(context, run, coordinator=coordinator, known_hosts=known_hosts, at_once=at_once)
    fleet = fleet.only_failed("down") if failed else fleet
    return fleet.report("down", leaving.leave(fleet, discard=discard_results, quiet=json), json=json)


def _json(found: object) -> str:
    return json.dumps(found)
