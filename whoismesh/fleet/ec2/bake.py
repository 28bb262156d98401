"""`fab bake`: an image with everything installed and nothing secret, so that a new worker only needs its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from whoismesh.errors import TryAgainError, WhoismeshError
from whoismesh.fleet.ec2 import tags
from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.end import Resource, delete_images, terminate
from whoismesh.fleet.ec2.inventory import pin_keys
from whoismesh.fleet.ec2.launch import (
    Launched,
    Wanted,
    census,
    prepare,
    start_fleet,
    told_errors,
    wait_until_running,
)
from whoismesh.fleet.ec2.tasks import Waits
from whoismesh.fleet.hosts import FleetHost

#: A builder that was forgotten ends by itself.
BUILDER_HOURS = 2.0
#: A snapshot of a few gigabytes takes minutes, on a bad day a quarter of an hour.
AVAILABLE_S = 1800.0


@dataclass(frozen=True, slots=True)
class Baked:
    """An image that was made, what it has installed, and what was deleted for it."""

    image: str
    version: str
    deleted: tuple[Resource, ...] = ()


def bake(
    aws: Aws,
    wanted: Wanted,
    folder: Path,
    install: Callable[[FleetHost], str],
    say: Callable[[str], None],
    *,
    replace: bool = False,
    waits: Waits | None = None,
    now: datetime | None = None,
) -> Baked:
    """Launch a builder, have `install` put everything there (it returns the version), and make an image of it.

    With `replace` the run's older images go. The builder ends whatever happens. Raises TryAgainError where EC2 has no
    capacity or takes too long.
    """
    waits = waits or Waits()
    ground = prepare(aws, wanted)
    launched = Launched()
    there = census(aws, wanted.run)
    builders = [each.id for each in there.live if each.role == tags.BUILDER]
    try:
        if not builders:
            pools = wanted.coordinator_pools
            builders = start_fleet(aws, wanted, ground, tags.BUILDER, 1, pools, there, launched.errors)
        if not builders:
            raise TryAgainError(f"no builder: {told_errors(launched.errors)}")
        say(f"builder {builders[0]} launched")
        live = wait_until_running(aws, wanted.run, builders, waits.running_s, waits.poll_s)
        host = next((each.host for each in live if each.id == builders[0] and each.state == "running"), None)
        if host is None:
            raise TryAgainError(f"{builders[0]}: does not run after {waits.running_s:.0f} s; run it again")
        if pin_keys(aws, [host], folder / "bake", patience_s=waits.keys_s, poll_s=waits.poll_s, say=say):
            raise TryAgainError(f"{host.name}: its host keys are not known; run it again")
        version = install(host)
        say(f"version {version} installed; making the image")
        image = _image(aws, wanted, host, version, now or datetime.now(UTC), waits)
    finally:
        if builders:
            left = terminate(aws, wanted.run, builders, patience_s=waits.ended_s, poll_s=waits.poll_s)
            say(f"builder {builders[0]} " + ("is still ending" if left else "ended"))
    deleted = delete_images(aws, wanted.run, keep=[image]) if replace else []
    return Baked(image, version, tuple(deleted))


def _image(aws: Aws, wanted: Wanted, host: FleetHost, version: str, now: datetime, waits: Waits) -> str:
    marks = tags.tags(wanted.run, **{tags.IMAGE: version, tags.LOGIN: wanted.image.login})
    answer = aws.ec2(
        "create_image",
        InstanceId=host.instance,
        Name=f"whoismesh-{wanted.run}-{wanted.image.arch}-{now:%Y%m%d-%H%M%S}",
        Description=f"whoismesh {version}",
        TagSpecifications=tags.specifications(("image", "snapshot"), marks),
    )
    image = str(answer["ImageId"])
    aws.wait("image_available", AVAILABLE_S, waits.poll_s, ImageIds=[image])
    told = next(iter(aws.pages("describe_images", "Images", ImageIds=[image])), None)
    if told is None or told.get("State") != "available":
        raise WhoismeshError(f"{image}: was made and is not available; `fab bake` again makes another")
    return image


def images_of(aws: Aws, run: str) -> list[tuple[str, str, str]]:
    """Return (id, when, version) of a run's images, the newest first."""
    told = aws.pages("describe_images", "Images", Owners=["self"], Filters=tags.of_run(run))
    found = [(each["ImageId"], str(each.get("CreationDate")), tags.read(each).get(tags.IMAGE, "")) for each in told]
    return sorted(found, key=lambda each: each[1], reverse=True)
