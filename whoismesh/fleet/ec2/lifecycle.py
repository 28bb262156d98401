"""`fab grow`, `shrink`, `down` and `bake`: where what is done at EC2 and what is done on the hosts come together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from whoismesh.errors import WhoismeshError
from whoismesh.fleet.ec2 import bake as baking
from whoismesh.fleet.ec2 import on_hosts, tasks
from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.inventory import LIVE, instances
from whoismesh.fleet.ec2.options import FleetOptions
from whoismesh.fleet.ec2.tags import checked_run
from whoismesh.fleet.hosts import COORDINATOR
from whoismesh.fleet.outcomes import CHANGED, FAILED, Outcome, as_json, table
from whoismesh.fleet.run import FOLDERS, find_run, say, width
from whoismesh.fleet.ssh import Access, known_hosts_files


def grow(context: Any, options: FleetOptions, count: int, *, python: str = "") -> int:
    """Launch workers and bring them in; return the exit code. Raises what `tasks.grow` does."""
    folder = FOLDERS / options.run
    report = tasks.grow(options, count, folder, say)
    outcomes: list[Outcome] = []
    if not options.json:
        print(report.as_text(), flush=True)
    if report.new and (folder / "crawl.toml").is_file():
        run = find_run(context, options.run)
        outcomes = on_hosts.bring_in(run, report.new, python=python, quiet=options.json)
    elif report.new:
        say(f"nothing was deployed from here before: fab deploy --run {options.run} --config FILE, then fab start")
    if options.json:
        print(json.dumps({**report.as_map(), "outcomes": [asdict(each) for each in outcomes]}))
    elif outcomes:
        print(table(outcomes, width()), flush=True)
    return 1 if not report.new or any(each.state == FAILED for each in outcomes) else 0


def shrink(context: Any, name: str, count: int, *, python: str = "", in_json: bool) -> int:
    """Drain workers, end them, and revoke their keys; return the exit code.

    One that cannot be drained ends all the same: what it had not delivered is looked up again.
    """
    aws = Aws()
    gone = tasks.choose_leaving(aws, checked_run(name), count)
    names = [each.id for each in gone]
    run = find_run(context, name)
    drained = {each.host: each for each in on_hosts.drain(run, names, quiet=in_json)}
    left = set(tasks.end_workers(aws, name, gone))
    outcomes = []
    for one in names:
        stopped = drained.get(one, Outcome(one, FAILED, "not among the hosts that ssh knows"))
        how = "drained" if stopped.state != FAILED else f"not drained: {stopped.detail}"
        state, what = (FAILED, "still ending") if one in left else (CHANGED, "ended")
        outcomes.append(Outcome(one, state, f"{what}; {how}", stopped.seconds))
    try:
        outcomes += [each for each in on_hosts.revoke(run, names, python=python, quiet=in_json) if each.state == FAILED]
    except WhoismeshError as error:
        outcomes.append(Outcome("keys", FAILED, f"the coordinator still lets them in: {error}"))
    return _told(outcomes, in_json)


def down(context: Any, name: str, *, discard: bool, images: bool, in_json: bool) -> int:
    """End all of a run on EC2; return the exit code. Refuses while results were not pulled, unless they may go."""
    aws = Aws()
    checked_run(name)
    coordinates = any(each.role == COORDINATOR for each in instances(aws, name, LIVE))
    if coordinates and not discard and (why := on_hosts.at_stake(find_run(context, name))):
        raise WhoismeshError(f"nothing was ended: {why}; fab pull, or --discard-results")
    return tasks.down(aws, name, say, images=images, as_json=in_json)


def bake(context: Any, options: FleetOptions, *, replace_old: bool, list_only: bool) -> int:
    """Make an image of a run, or list those there are; return the exit code. Raises what `baking.bake` does."""
    aws = Aws()
    if list_only:
        images = baking.images_of(aws, options.run)
        if options.json:
            print(json.dumps([{"image": one, "made": when, "version": version} for one, when, version in images]))
        for one, when, version in () if options.json else images:
            print(f"{one}  {when}  version {version}")
        return 0
    folder = FOLDERS / options.run
    wanted = replace(tasks.wanted_fleet(aws, options, baked=False), max_hours=baking.BUILDER_HOURS)
    access = Access(context.config, known_hosts_files(None, folder, context.config))
    baked = baking.bake(
        aws,
        wanted,
        folder,
        lambda host: on_hosts.install_programs(host, access, folder),
        say,
        replace=replace_old,
    )
    print(json.dumps(asdict(baked)) if options.json else f"{baked.image}: version {baked.version}; `fab up` takes it")
    for each in () if options.json else baked.deleted:
        print(f"deleted {each.kind} {each.id}")
    return 0


def _told(outcomes: Sequence[Outcome], in_json: bool) -> int:
    print(as_json(outcomes) if in_json else table(outcomes, width()), flush=True)
    return 1 if any(each.state == FAILED for each in outcomes) else 0
