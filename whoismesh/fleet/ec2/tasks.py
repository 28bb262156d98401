"""`fab plan`, `up`, `grow`, `shrink` and `down` on EC2: what is asked in which order, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whoismesh.errors import TryAgainError, UsageError
from whoismesh.fleet.ec2 import plan as planning
from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.end import ENDED_S, Resource, end_run, terminate
from whoismesh.fleet.ec2.forecast import Pace, pace, work_of
from whoismesh.fleet.ec2.inventory import LIVE, PATIENCE_S, POLL_S, Instance, instances, pin_keys
from whoismesh.fleet.ec2.launch import RUNNING_S, Launched, Wanted, census, launch, told_errors, wait_until_running
from whoismesh.fleet.ec2.options import FleetOptions
from whoismesh.fleet.ec2.prices import on_demand, spot_history
from whoismesh.fleet.ec2.shrink import leaving
from whoismesh.fleet.ec2.surroundings import find_image, find_places, find_pools, operator_cidrs, read_public_key
from whoismesh.fleet.hosts import COORDINATOR, WORKER, FleetHost
from whoismesh.prior_files import load_prior
from whoismesh.settings import load

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Waits:
    """How long is waited for EC2, and how often it is asked meanwhile, seconds."""

    running_s: float = RUNNING_S
    keys_s: float = PATIENCE_S
    ended_s: float = ENDED_S
    poll_s: float = POLL_S


@dataclass(frozen=True, slots=True)
class Report:
    """What there is of a run after a launch: live instances, those whose host keys are `unknown`, what did not come."""

    wanted: int
    live: tuple[Instance, ...]
    unknown: frozenset[str]
    launched: Launched

    @property
    def ready(self) -> tuple[FleetHost, ...]:
        """The hosts that ssh can go to, the coordinator first."""
        return tuple(each.host for each in self.live if each.state == "running" and each.id not in self.unknown)

    @property
    def new(self) -> frozenset[str]:
        """The ids of what was launched just now."""
        return frozenset(one for ids in self.launched.ids.values() for one in ids)

    def checked(self) -> Report:
        """Return it. Raises TryAgainError unless the coordinator and a worker are ready."""
        missing = [role for role in (COORDINATOR, WORKER) if not any(role in host.roles for host in self.ready)]
        if missing:
            reason = f": {told_errors(self.launched.errors)}" if self.launched.errors else ""
            raise TryAgainError(
                f"no {' and no '.join(missing)} is ready{reason}; run it again to go on, or end what there is: fab down"
            )
        return self

    def as_map(self) -> dict[str, Any]:
        """Return it as it goes into JSON."""
        return {
            "workers_wanted": self.wanted,
            "workers": sum(each.role == WORKER for each in self.live),
            "hosts": [
                {
                    "instance": each.id,
                    "role": each.role,
                    "type": each.type,
                    "zone": each.zone,
                    "spot": each.spot,
                    "state": each.state,
                    "address": each.host.address,
                    "mesh_address": each.private_address,
                    "host_keys": each.id not in self.unknown,
                    "new": each.id in self.new,
                }
                for each in self.live
            ],
            "errors": [
                {"type": kind, "zone": zone, "code": code, "count": count}
                for (kind, zone, code), count in sorted(self.launched.errors.items())
            ],
        }

    def as_text(self) -> str:
        """Return it for people."""
        lines = [f"{'instance':<20} {'role':<12} {'type':<12} {'zone':<16} {'state':<9} address"]
        lines += [
            f"{each.id:<20} {each.role:<12} {each.type:<12} {each.zone:<16} {each.state:<9} {each.host.address}"
            + ("" if each.id not in self.unknown else "  (no host keys yet)")
            for each in self.live
        ]
        workers = sum(each.role == WORKER for each in self.live)
        if workers < self.wanted:
            lines.append(f"{workers} of {self.wanted} workers came; they are used. What did not come:")
            lines += [
                f"  {kind} in {zone}: {code}" + (f" ({count} times)" if count > 1 else "")
                for (kind, zone, code), count in sorted(self.launched.errors.items())
            ] or ["  EC2 gives no reason; run it again later"]
        return "\n".join(lines)


# -- plan -------------------------------------------------------------------------------------------------------------


def reckon(aws: Aws, options: FleetOptions, kept_config: Path, now: datetime | None = None) -> planning.Plan:
    """Return what a fleet would cost. Raises ConfigError for settings that are wrong."""
    config = Path(options.config) if options.config else kept_config if kept_config.is_file() else None
    history = spot_history(aws, options.worker_types, now or datetime.now(UTC), options.days)
    zones = {each.zone for each in find_places(aws, options.given_subnets)}
    return planning.Plan(
        run=options.run,
        region=aws.region,
        workers=options.workers,
        coordinator=on_demand(aws, options.coordinating_type, options.given_price),
        offers=tuple(each for each in planning.offers(history) if each.zone in zones),
        paces=tuple(_paces(config, options.workers)),
        max_hours=options.max_hours,
        days=options.days,
    )


def _paces(config: Path | None, workers: int) -> list[Pace]:
    if config is None:
        return []
    settings = load(config, {})
    prior = load_prior(settings.prior, settings.space, settles=settings.prior_settles) if settings.prior else None
    return pace(work_of(settings.space, prior), settings.registries, workers)


def plan(options: FleetOptions, folder: Path, out: Say = print) -> int:
    """Show what would be launched and what it would cost; return 1 if that is more than allowed."""
    found = reckon(Aws(), options, folder / "crawl.toml")
    refusals = found.refusals(options.max_price, options.max_total)
    out(json.dumps(planning.as_map(found, refusals)) if options.json else planning.as_text(found, refusals))
    return 1 if refusals else 0


# -- up and grow ------------------------------------------------------------------------------------------------------


def wanted_fleet(aws: Aws, options: FleetOptions, *, baked: bool = True) -> Wanted:
    """Return the fleet that options stand for in this account; nothing is made. Raises UsageError, ConfigError."""
    # What is wrong here is found before EC2 is asked.
    key = "" if options.key_name else read_public_key(Path(options.public_key) if options.public_key else None)
    cidrs = operator_cidrs(options.given_cidrs, open_to_all=options.open_to_all)
    places = find_places(aws, options.given_subnets)
    login = options.login or None
    return Wanted(
        run=options.run,
        workers=options.workers,
        image=find_image(aws, options.run, options.arch, options.image or None, login, baked=baked),
        places=places,
        worker_pools=find_pools(aws, options.worker_types, places),
        coordinator_pools=find_pools(aws, (options.coordinating_type,), places),
        cidrs=cidrs,
        max_hours=options.max_hours,
        public_key=key,
        key_name=options.key_name,
    )


def up(options: FleetOptions, folder: Path, say: Say, waits: Waits | None = None, aws: Aws | None = None) -> Report:
    """Launch what a run lacks, wait until it runs, and learn its host keys.

    Raises TooDearError beyond the caps, TryAgainError where there is no coordinator, and what `Aws` raises.
    """
    waits = waits or Waits()
    aws = aws or Aws()
    wanted = wanted_fleet(aws, options)
    found = reckon(aws, options, folder / "crawl.toml")
    if refusals := found.refusals(options.max_price, options.max_total):
        raise planning.TooDearError(f"nothing was launched: {'; '.join(refusals)}")
    say(f"{options.workers} workers: {found.expected:.2f} USD an hour, at most {found.at_most:.2f}")
    for remark in found.remarks:
        say(f"note: {remark}")
    launched = launch(aws, wanted, say)
    ids = [one for group in launched.ids.values() for one in group]
    live = wait_until_running(aws, options.run, ids, waits.running_s, waits.poll_s)
    fleet = [each for each in live if each.role in (COORDINATOR, WORKER)]
    hosts = [each.host for each in fleet if each.private_address]
    unknown = pin_keys(aws, hosts, folder, patience_s=waits.keys_s, poll_s=waits.poll_s, say=say)
    # Spot instances may be gone again by now.
    still = {each.id for each in instances(aws, options.run, LIVE)}
    return Report(options.workers, tuple(each for each in fleet if each.id in still), unknown, launched)


def show(report: Report, *, as_json: bool, out: Say = print) -> int:
    """Show what came of a launch; return 0. Raises TryAgainError unless the coordinator and a worker are ready."""
    out(json.dumps(report.as_map()) if as_json else report.as_text())
    report.checked()
    return 0


def grow(options: FleetOptions, count: int, folder: Path, say: Say, waits: Waits | None = None) -> Report:
    """Launch `count` workers more. Raises UsageError if there is no fleet, and what `up` raises."""
    if count < 1:
        raise UsageError(f"grow {count}: expected 1 at least")
    aws = Aws()
    there = census(aws, options.run)
    if not there.count(COORDINATOR):
        raise UsageError(f"run {options.run}: has no coordinator; launch it with `fab up`")
    return up(replace(options, workers=there.count(WORKER) + count).checked(), folder, say, waits, aws)


# -- shrink and down --------------------------------------------------------------------------------------------------


def choose_leaving(aws: Aws, run: str, count: int) -> list[Instance]:
    """Return the workers that go when a fleet gets smaller: the dearest now, then the youngest. Raises UsageError."""
    live = [each for each in instances(aws, run, LIVE) if each.role == WORKER]
    types = sorted({each.type for each in live})
    history = spot_history(aws, types, datetime.now(UTC), 0) if types else []
    return leaving(live, count, {(each.type, each.zone): each.now for each in planning.offers(history)})


def end_workers(aws: Aws, run: str, gone: Sequence[Instance], waits: Waits | None = None) -> list[str]:
    """Terminate workers and wait; return the ids of those that are not gone when the time is over."""
    waits = waits or Waits()
    return terminate(aws, run, [each.id for each in gone], patience_s=waits.ended_s, poll_s=waits.poll_s)


def down(
    aws: Aws, run: str, say: Say, *, images: bool, as_json: bool, out: Say = print, waits: Waits | None = None
) -> int:
    """End all that carries a run's tag, and show that nothing is left; return 1 if something is."""
    waits = waits or Waits()
    left = end_run(aws, run, images=images, say=say, patience_s=waits.ended_s, poll_s=waits.poll_s)
    out(json.dumps([_map(each) for each in left]) if as_json else _told_left(run, aws.region, left, images))
    return 1 if left else 0


def _map(each: Resource) -> dict[str, str]:
    return {"kind": each.kind, "id": each.id, "state": each.state}


def _told_left(run: str, region: str, left: Sequence[Resource], images: bool) -> str:
    if not left:
        return f"run {run}: nothing in {region} carries its tag any more" + ("" if images else ", images aside")
    return "\n".join(
        [f"run {run}: left in {region}; run it again:", *(f"  {each.kind} {each.id} {each.state}" for each in left)]
    )
