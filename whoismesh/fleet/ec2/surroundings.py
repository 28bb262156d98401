"""What a launch finds in an account and brings along: image, subnets, pools, the operator's network and public key."""

from __future__ import annotations

import ipaddress
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from whoismesh.errors import ConfigError, UnavailableError, UsageError
from whoismesh.fleet.ec2 import tags
from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.requests import ARM64, DEBIAN, DEBIAN_LOGIN, X86_64, Image, Place, Pool

#: AWS's own service that answers with the address a request came from.
CHECK_IP = "https://checkip.amazonaws.com"
CHECK_IP_S = 10
#: Networks wider than these are as good as everybody.
SHORTEST_PREFIX = {4: 8, 6: 24}
#: ssh's usual files, in the order in which it tries them, of the kinds that EC2 takes.
PUBLIC_KEYS = ("~/.ssh/id_ed25519.pub", "~/.ssh/id_rsa.pub")


def find_image(
    aws: Aws, run: str, arch: str, given: str | None = None, login: str | None = None, *, baked: bool = True
) -> Image:
    """Return the image to launch: the one given, else the newest `baked` for the run, else Debian's.

    Raises ConfigError if there is none, UsageError if it is for another architecture.
    """
    if arch not in DEBIAN:
        raise UsageError(f"--arch {arch}: expected {X86_64} or {ARM64}")
    told = []
    if given:
        told = list(aws.pages("describe_images", "Images", ImageIds=[given]))
    else:
        wanted = [
            *tags.of_run(run),
            {"Name": "architecture", "Values": [arch]},
            {"Name": "state", "Values": ["available"]},
        ]
        told = sorted(
            aws.pages("describe_images", "Images", Owners=["self"], Filters=wanted),
            key=lambda each: str(each.get("CreationDate")),
        )
    if not told and not given:
        answer = aws.call("ssm", "get_parameter", Name=DEBIAN[arch])
        told = list(aws.pages("describe_images", "Images", ImageIds=[answer["Parameter"]["Value"]]))
    if not told:
        raise ConfigError(f"{given or DEBIAN[arch]}: no such image in {aws.region}; give --image")
    image = told[-1]
    if image.get("Architecture", arch) != arch:
        raise UsageError(f"{image['ImageId']} is for {image['Architecture']}: give --arch {image['Architecture']}")
    marks = tags.read(image)
    sizes = [int((each.get("Ebs") or {}).get("VolumeSize") or 0) for each in image.get("BlockDeviceMappings") or ()]
    return Image(
        id=image["ImageId"],
        arch=arch,
        root_device=image.get("RootDeviceName") or "/dev/xvda",
        gib=max(sizes, default=0),
        login=login or marks.get(tags.LOGIN) or DEBIAN_LOGIN,
        baked=tags.IMAGE in marks,
    )


def find_places(aws: Aws, subnets: Sequence[str] = ()) -> tuple[Place, ...]:
    """Return the subnets to launch in: those given, else the default VPC's. Raises ConfigError, UsageError."""
    if subnets:
        told = list(aws.pages("describe_subnets", "Subnets", SubnetIds=list(subnets)))
    else:
        default = [{"Name": "is-default", "Values": ["true"]}]
        vpcs = [each["VpcId"] for each in aws.pages("describe_vpcs", "Vpcs", Filters=default)]
        if not vpcs:
            raise ConfigError(f"{aws.region} has no default VPC: give --subnets subnet-...,subnet-...")
        told = list(aws.pages("describe_subnets", "Subnets", Filters=[{"Name": "vpc-id", "Values": vpcs}]))
    places = sorted({Place(each["SubnetId"], each["AvailabilityZone"], each["VpcId"]) for each in told}, key=_by_zone)
    if not places:
        raise ConfigError(f"the default VPC of {aws.region} has no subnets: give --subnets subnet-...,subnet-...")
    if len({each.vpc for each in places}) > 1:
        raise UsageError("--subnets are of several VPCs: hosts of a mesh must reach each other, expected one")
    return tuple(places)


def _by_zone(place: Place) -> tuple[str, str]:
    return (place.zone, place.subnet)


def find_pools(aws: Aws, types: Sequence[str], places: Sequence[Place]) -> tuple[Pool, ...]:
    """Return each type in each subnet whose zone has it. Raises ConfigError if none has any."""
    wanted = [{"Name": "instance-type", "Values": list(types)}]
    offered = {
        (each["InstanceType"], each["Location"])
        for each in aws.pages(
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            LocationType="availability-zone",
            Filters=wanted,
        )
    }
    pools = tuple(Pool(kind, place) for kind in types for place in places if (kind, place.zone) in offered)
    if not pools:
        zones = ", ".join(sorted({each.zone for each in places}))
        raise ConfigError(f"none of {', '.join(types)} is offered in {zones}: give other --types or --subnets")
    return pools


def operator_cidrs(given: Sequence[str], *, open_to_all: bool = False, check_ip: str = CHECK_IP) -> tuple[str, ...]:
    """Return the networks that may use ssh: those given, else the address that AWS sees us come from.

    Raises UsageError for what is none, and for everybody's unless `open_to_all`; UnavailableError if nobody tells.
    """
    found = []
    for text in given or (_own_address(check_ip),):
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise UsageError(f"--operator-cidr {text!r}: expected a network such as 192.0.2.7/32") from None
        if network.prefixlen < SHORTEST_PREFIX[network.version] and not open_to_all:
            raise UsageError(
                f"--operator-cidr {network} lets nearly everybody try ssh: name your own network, or add --open-to-all"
            )
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def _own_address(check_ip: str) -> str:
    try:
        with urllib.request.urlopen(check_ip, timeout=CHECK_IP_S) as answer:  # noqa: S310 - ours, or a test's
            return str(ipaddress.ip_address(answer.read(100).decode("ascii").strip()))
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise UnavailableError(
            f"{check_ip} does not tell our address ({error}): give --operator-cidr, such as 192.0.2.7/32"
        ) from None


def read_public_key(path: Path | None) -> str:
    """Return the operator's public key: of the file, else of ssh's usual ones. Raises ConfigError, UsageError."""
    usual = [each for each in map(_home, PUBLIC_KEYS) if each.is_file()]
    if path is None and not usual:
        raise ConfigError(f"none of {', '.join(PUBLIC_KEYS)} is there: give --public-key FILE, or --key-name")
    file = path or usual[0]
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--public-key {file}: cannot be read: {error}") from None
    if "PRIVATE KEY" in text:
        raise UsageError(f"--public-key {file}: is a private key, which goes nowhere; expected the .pub file beside it")
    return text.strip()


def _home(path: str) -> Path:
    return Path(path).expanduser()
