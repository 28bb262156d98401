"""Launching what a run lacks: each step looks at what is there before it makes anything.

A launch that was cut off can be run again. What it had made is found by the run's tag; what EC2 made and does not show
yet is not made twice, because the same step of the same state has the same client token.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from whoismesh.errors import TryAgainError, WhoismeshError
from whoismesh.fleet.ec2 import requests, tags
from whoismesh.fleet.ec2.aws import Aws, AwsError
from whoismesh.fleet.ec2.inventory import LIVE, NOT_GONE, Instance, instances
from whoismesh.fleet.ec2.requests import Image, Place, Pool
from whoismesh.fleet.hosts import COORDINATOR, WORKER

#: EC2 shows what it has made within seconds, as a rule; a fleet older than this hides nothing any more.
SHOWN_AFTER = timedelta(minutes=10)
#: Seconds until a group that was made can be used; mostly it can at once.
SHOWN_S = 60.0
#: Instances run within a minute.
RUNNING_S, POLL_S = 300.0, 5.0
#: describe_fleets takes so many names at once.
MOST_FLEETS = 100
#: What EC2 calls "not now" where a whole request fails instead of a pool of it.
NO_CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientCapacity",
        "MaxSpotInstanceCountExceeded",
        "InstanceLimitExceeded",
        "VcpuLimitExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fleet as it should be. `public_key` or `key_name` lets the operator in; hours and GiB as in `requests`."""

    run: str
    workers: int
    image: Image
    places: tuple[Place, ...]
    worker_pools: tuple[Pool, ...]
    coordinator_pools: tuple[Pool, ...]
    cidrs: tuple[str, ...]
    max_hours: float
    public_key: str = ""
    key_name: str = ""


@dataclass(frozen=True, slots=True)
class Ground:
    """The id of a run's security group, and the name of the key pair that lets the operator in."""

    group: str
    key_name: str


@dataclass(slots=True)
class Launched:
    """What came of a launch: ids by role, and of each pool that had nothing how often and why."""

    ids: dict[str, list[str]] = field(default_factory=dict)
    errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Census:
    """What there is of a run: live instances; by role the fleets, and what they launched and EC2 does not list yet."""

    live: tuple[Instance, ...]
    hidden: dict[str, frozenset[str]]
    fleets: dict[str, tuple[str, ...]]

    def count(self, role: str) -> int:
        """Return how many there are of a role."""
        return sum(each.role == role for each in self.live) + len(self.hidden.get(role, ()))


def census(aws: Aws, run: str, now: datetime | None = None) -> Census:
    """Look at what carries a run's tag, and at what its fleets say they launched."""
    fleets = run_fleets(aws, run)
    listed = instances(aws, run, (*NOT_GONE, "terminated"))
    known = {each.id for each in listed}
    hidden: dict[str, set[str]] = {}
    of_role: dict[str, list[str]] = {}
    for each in fleets:
        role = tags.read(each).get(tags.ROLE, "")
        of_role.setdefault(role, []).append(str(each["FleetId"]))
        created = each.get("CreateTime")
        if created is not None and (now or datetime.now(UTC)) - created > SHOWN_AFTER:
            continue
        ids = {one for group in each.get("Instances") or () for one in group.get("InstanceIds") or ()}
        hidden.setdefault(role, set()).update(ids - known)
    return Census(
        tuple(each for each in listed if each.state in LIVE),
        {role: frozenset(ids) for role, ids in hidden.items()},
        {role: tuple(sorted(names)) for role, names in of_role.items()},
    )


def run_fleets(aws: Aws, run: str) -> list[dict[str, Any]]:
    """Return the fleets of a run that were not deleted.

    Instant fleets are described by name only, and tags tell the names.
    """
    wanted = [
        {"Name": "resource-type", "Values": ["fleet"]},
        {"Name": "key", "Values": [tags.RUN]},
        {"Name": "value", "Values": [run]},
    ]
    names = sorted({str(each["ResourceId"]) for each in aws.pages("describe_tags", "Tags", Filters=wanted)})
    found = [
        each
        for begin in range(0, len(names), MOST_FLEETS)
        for each in _described(aws, names[begin : begin + MOST_FLEETS])
    ]
    return [each for each in found if not str(each.get("FleetState", "")).startswith("deleted")]


def _described(aws: Aws, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return fleets by name; of those long gone only the tags are left, and one of them spoils the whole request."""
    try:
        return list(aws.pages("describe_fleets", "Fleets", FleetIds=list(names)))
    except AwsError as error:
        if not error.code.startswith("InvalidFleetId"):
            raise
        return [] if len(names) == 1 else [each for one in names for each in _described(aws, [one])]


def launch(aws: Aws, wanted: Wanted, say: Callable[[str], None]) -> Launched:
    """Launch what is lacking: first the coordinator, then workers. Raises TryAgainError if there is no coordinator."""
    ground = prepare(aws, wanted)
    launched = Launched()
    for role, count, pools in (
        (COORDINATOR, 1, wanted.coordinator_pools),
        (WORKER, wanted.workers, wanted.worker_pools),
    ):
        there = census(aws, wanted.run)
        lacking = count - there.count(role)
        launched.ids[role] = sorted(there.hidden.get(role, ()))
        if lacking <= 0:
            say(f"{there.count(role)} {role}{'s' * (count > 1)} there already")
            continue
        came = start_fleet(aws, wanted, ground, role, lacking, pools, there, launched.errors)
        launched.ids[role] += came
        say(f"{len(came)} of {lacking} {role}{'s' * (lacking > 1)} launched")
        if role == COORDINATOR and not came:
            raise TryAgainError(
                f"no coordinator: {told_errors(launched.errors)}; no worker was launched. Try again later"
            )
    return launched


def prepare(aws: Aws, wanted: Wanted) -> Ground:
    """Make what instances stand on, as far as it is not there."""
    return Ground(ensure_group(aws, wanted.run, wanted.places[0].vpc, wanted.cidrs), ensure_key(aws, wanted))


def start_fleet(
    aws: Aws,
    wanted: Wanted,
    ground: Ground,
    role: str,
    count: int,
    pools: Sequence[Pool],
    there: Census,
    errors: Counter[tuple[str, str, str]],
) -> list[str]:
    """Ask for instances of a role; return the ids of those that came, and count what did not by pool and reason."""
    template = ensure_template(
        aws,
        requests.launch_template(wanted.run, role, wanted.image, ground.group, ground.key_name, wanted.max_hours),
    )
    # The group is made anew with each life of a run, and each fleet of the role that was answered is known by its tag,
    # also one that brought nothing: a token is used again only by who saw nothing of what it brought.
    token = requests.client_token(wanted.run, ground.group, role, *there.fleets.get(role, ()))
    try:
        answer = aws.ec2("create_fleet", **requests.fleet(wanted.run, role, template, count, pools, token))
    except AwsError as error:
        if error.code not in NO_CAPACITY:
            raise
        errors["every type", "every zone", error.code] += 1
        return []
    zones = {place.subnet: place.zone for place in wanted.places}
    for each in answer.get("Errors") or ():
        override = (each.get("LaunchTemplateAndOverrides") or {}).get("Overrides") or {}
        zone = override.get("AvailabilityZone") or zones.get(override.get("SubnetId", ""), "?")
        errors[override.get("InstanceType", "?"), zone, each.get("ErrorCode", "?")] += 1
    return [one for group_ in answer.get("Instances") or () for one in group_.get("InstanceIds") or ()]


def told_errors(errors: Counter[tuple[str, str, str]]) -> str:
    """Return a line of what did not come."""
    return "; ".join(f"{kind} in {zone}: {code}" for kind, zone, code in sorted(errors)) or "EC2 gives no reason"


def ensure_group(aws: Aws, run: str, vpc: str, cidrs: Iterable[str]) -> str:
    """Return the id of the run's security group, made if need be, with the ports open that have to be."""
    groups = [
        each["GroupId"]
        for each in aws.pages("describe_security_groups", "SecurityGroups", Filters=tags.of_run(run))
        if each.get("VpcId") == vpc
    ]
    if groups:
        group = str(groups[0])
    else:
        try:
            group = str(aws.ec2("create_security_group", **requests.security_group(run, vpc))["GroupId"])
        except AwsError as error:
            if error.code != "InvalidGroup.Duplicate":
                raise
            raise WhoismeshError(
                f"{vpc} has a security group {requests.group_name(run)} without the tag of the run: if it was made a "
                "moment ago, run it again; else rename it, or give another --run"
            ) from None
        aws.wait("security_group_exists", SHOWN_S, 1.0, GroupIds=[group])
    for permission in requests.ingress(group, cidrs):
        try:
            aws.ec2("authorize_security_group_ingress", GroupId=group, IpPermissions=[permission])
        except AwsError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise
    return group


def ensure_key(aws: Aws, wanted: Wanted) -> str:
    """Return the name of the key pair that lets the operator in, imported if need be."""
    if wanted.key_name:
        aws.ec2("describe_key_pairs", KeyNames=[wanted.key_name])  # refused where there is none
        return wanted.key_name
    request = requests.key_pair(wanted.run, wanted.public_key)
    try:
        aws.ec2("import_key_pair", **request)
    except AwsError as error:
        if error.code != "InvalidKeyPair.Duplicate":  # its name has the key's digest in it
            raise
    return str(request["KeyName"])


def ensure_template(aws: Aws, request: dict[str, Any]) -> str:
    """Return the id of a launch template, made if need be: its name says what is in it."""
    by_name = [{"Name": "launch-template-name", "Values": [request["LaunchTemplateName"]]}]
    for each in aws.pages("describe_launch_templates", "LaunchTemplates", Filters=by_name):
        return str(each["LaunchTemplateId"])
    return str(aws.ec2("create_launch_template", **request)["LaunchTemplate"]["LaunchTemplateId"])


def wait_until_running(
    aws: Aws, run: str, launched: Iterable[str] = (), patience_s: float = RUNNING_S, poll_s: float = POLL_S
) -> list[Instance]:
    """Wait until no live instance of a run is pending, nor any of those launched hidden; return the live ones.

    What is still pending when the time is over is returned as it is.
    """
    until = time.monotonic() + patience_s
    expected = set(launched)
    while True:
        listed = instances(aws, run, (*NOT_GONE, "terminated"))
        live = [each for each in listed if each.state in LIVE]
        waits = expected - {each.id for each in listed} or any(
            each.state == "pending" or not each.private_address for each in live
        )
        if not waits or time.monotonic() + poll_s > until:
            return live
        time.sleep(poll_s)
