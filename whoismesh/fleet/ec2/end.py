"""Ending instances, or all of a run: asked for, waited for, and asked again whether anything is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from whoismesh.fleet.ec2 import tags
from whoismesh.fleet.ec2.aws import Aws, AwsError
from whoismesh.fleet.ec2.inventory import NOT_GONE, instances
from whoismesh.fleet.ec2.launch import run_fleets

#: Instances end within a minute or two; groups can be deleted when their network interfaces are gone.
ENDED_S, POLL_S = 600.0, 5.0
#: EC2 takes up to 1,000 instances in one request and advises fewer; 25 instant fleets.
MOST_INSTANCES, MOST_FLEETS = 200, 25

#: Refusals that time heals: what is deleted hangs on something that is going.
_IN_USE = frozenset(
    {"DependencyViolation", "VolumeInUse", "InvalidSnapshot.InUse", "IncorrectState", "IncorrectInstanceState"}
)


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that carries a run's tag."""

    kind: str
    id: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind is found by tag and deleted."""

    name: str
    describe: str
    listed: str
    id: str
    delete: str
    state: str = ""
    own: bool = False


#: In the order in which they can go.
_KINDS = (
    _Kind(
        "launch template", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", "delete_launch_template"
    ),
    _Kind("key pair", "describe_key_pairs", "KeyPairs", "KeyName", "delete_key_pair"),
    _Kind("volume", "describe_volumes", "Volumes", "VolumeId", "delete_volume", state="State"),
    _Kind("security group", "describe_security_groups", "SecurityGroups", "GroupId", "delete_security_group"),
)
_IMAGE_KINDS = (
    _Kind("image", "describe_images", "Images", "ImageId", "deregister_image", state="State", own=True),
    _Kind("snapshot", "describe_snapshots", "Snapshots", "SnapshotId", "delete_snapshot", state="State", own=True),
)
#: Kinds that are described by a plain call: botocore has no pages for them.
_UNPAGED = {"describe_key_pairs"}


def left_of(aws: Aws, run: str, *, images: bool = False) -> list[Resource]:
    """Return all that carries a run's tag and is not gone; images and their snapshots only where they are wanted."""
    found = [Resource("instance", each.id, each.state) for each in instances(aws, run, NOT_GONE)]
    found += [Resource("fleet", each["FleetId"], str(each.get("FleetState", ""))) for each in run_fleets(aws, run)]
    for kind in (*_KINDS, *(_IMAGE_KINDS if images else ())):
        found += _of_kind(aws, run, kind)
    return found


def end_run(
    aws: Aws,
    run: str,
    *,
    images: bool = False,
    say: Callable[[str], None] = lambda line: None,
    patience_s: float = ENDED_S,
    poll_s: float = POLL_S,
) -> list[Resource]:
    """Delete all that carries a run's tag; return what is left of it when all is gone or the time is over."""
    until = time.monotonic() + patience_s
    while True:
        left = left_of(aws, run, images=images)
        if not left:
            return []
        before = left
        for line in _delete(aws, left):
            say(line)
        left = left_of(aws, run, images=images)
        if not left or time.monotonic() + poll_s > until:
            return left
        if left == before or any(each.kind == "instance" for each in left):
            time.sleep(poll_s)


def terminate(
    aws: Aws,
    run: str,
    ids: Iterable[str],
    *,
    patience_s: float = ENDED_S,
    poll_s: float = POLL_S,
) -> list[str]:
    """Terminate instances of a run and wait; return the ids of those that are not gone when the time is over."""
    wanted = sorted(ids)
    _terminate(aws, wanted)
    until = time.monotonic() + patience_s
    while True:
        left = sorted({each.id for each in instances(aws, run, NOT_GONE)} & set(wanted))
        if not left or time.monotonic() + poll_s > until:
            return left
        time.sleep(poll_s)


def delete_images(aws: Aws, run: str, keep: Iterable[str] = ()) -> list[Resource]:
    """Delete the images of a run but some, and the snapshots they are made of; return what was deleted."""
    kept = set(keep)
    done: list[Resource] = []
    for image in aws.pages("describe_images", "Images", Owners=["self"], Filters=tags.of_run(run)):
        if image["ImageId"] in kept:
            continue
        snapshots = [(each.get("Ebs") or {}).get("SnapshotId") for each in image.get("BlockDeviceMappings") or ()]
        gone = [Resource("image", image["ImageId"]), *(Resource("snapshot", each) for each in snapshots if each)]
        for _ in _delete(aws, gone):
            pass
        done += gone
    return done


def _of_kind(aws: Aws, run: str, kind: _Kind) -> list[Resource]:
    request: dict[str, Any] = {"Filters": tags.of_run(run)}
    if kind.own:
        request["Owners" if kind.name == "image" else "OwnerIds"] = ["self"]
    if kind.describe in _UNPAGED:
        told = aws.ec2(kind.describe, **request).get(kind.listed) or []
    else:
        told = list(aws.pages(kind.describe, kind.listed, **request))
    return [Resource(kind.name, each[kind.id], str(each.get(kind.state, ""))) for each in told]


def _delete(aws: Aws, resources: Sequence[Resource]) -> Iterator[str]:
    """Ask for the end of resources in an order in which it may be had; yield what was asked, a line a kind."""
    fleets = [each.id for each in resources if each.kind == "fleet"]
    for begin in range(0, len(fleets), MOST_FLEETS):
        aws.ec2("delete_fleets", FleetIds=fleets[begin : begin + MOST_FLEETS], TerminateInstances=True)
    if fleets:
        yield f"{len(fleets)} fleets deleted"
    running = [each.id for each in resources if each.kind == "instance" and each.state != "shutting-down"]
    if running:
        _terminate(aws, running)
        yield f"{len(running)} instances told to end"
    if any(each.kind == "instance" for each in resources):
        return  # what hangs on them has its turn when they are gone
    for kind in (*_KINDS, *_IMAGE_KINDS):
        ids = [each.id for each in resources if each.kind == kind.name]
        gone = sum(_gone(aws, kind, one) for one in ids)
        if gone:
            yield f"{gone} {kind.name}{'s' * (gone > 1)} deleted"


def _terminate(aws: Aws, ids: Sequence[str]) -> None:
    for begin in range(0, len(ids), MOST_INSTANCES):
        some = list(ids[begin : begin + MOST_INSTANCES])
        try:
            aws.ec2("terminate_instances", InstanceIds=some)
        except AwsError as error:
            if error.code != "InvalidInstanceID.NotFound":
                raise
            if len(some) > 1:  # one that is unknown keeps the others alive
                for one in some:
                    _terminate(aws, [one])


def _gone(aws: Aws, kind: _Kind, one: str) -> bool:
    """Delete one resource. What is in use stays for the next round, what is not there any more is gone."""
    try:
        aws.ec2(kind.delete, **{kind.id: one})
    except AwsError as error:
        if (
            ".NotFound" in error.code
            or error.code.endswith("NotFoundException")
            or error.code == "InvalidAMIID.Unavailable"
        ):
            return True
        if error.code in _IN_USE:
            return False
        raise
    return True
