"""What EC2 is asked for, built and not sent: pure.

What each of these requests has, whatever the options: the run's tag on all that is made; a token of our own where a
repeated call would make something twice; instances that speak IMDSv2 only, end when they are shut down, and have
encrypted volumes that end with them; no key or other secret in user data.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from whoismesh.errors import UsageError
from whoismesh.fleet.ec2 import tags
from whoismesh.fleet.ec2.user_data import guard_script
from whoismesh.fleet.hosts import COORDINATOR
from whoismesh.fleet.units import COORDINATOR_PORT, WORKER_PORT

X86_64, ARM64 = "x86_64", "arm64"
#: Ten types at least, of several families, sizes and generations: each is a pool of its own, and the more there are the
#: more is there when one runs dry (AWS's own advice for spot). A worker needs a core and a gigabyte. All are on Nitro,
#: whose consoles can be read at once.
WORKER_TYPES = {
    X86_64: (
        *("t3.micro", "t3a.micro", "t3.small", "t3a.small", "t3.medium", "t3a.medium"),
        *("c5.large", "c5a.large", "c6i.large", "c6a.large", "m5.large", "m5a.large", "m6i.large", "m6a.large"),
    ),
    ARM64: (
        *("t4g.micro", "t4g.small", "t4g.medium", "c6g.medium", "c7g.medium", "m6g.medium", "m7g.medium"),
        *("r6g.medium", "c6g.large", "c7g.large", "m6g.large", "m7g.large"),
    ),
}
#: The coordinator is on demand; a core or two and four gigabytes serve a thousand workers.
COORDINATOR_TYPES = {X86_64: "t3.medium", ARM64: "t4g.medium"}
#: Debian publishes its images under these names (https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm).
DEBIAN = {
    X86_64: "/aws/service/debian/release/12/latest/amd64",
    ARM64: "/aws/service/debian/release/12/latest/arm64",
}
DEBIAN_LOGIN = "admin"
#: First and last port of each daemon: a coordinator listens on four in a row, a worker on two.
MESH_PORTS = ((COORDINATOR_PORT, COORDINATOR_PORT + 3), (WORKER_PORT, WORKER_PORT + 1))
SSH_PORT = 22
#: EC2 takes so many overrides in one request.
MOST_OVERRIDES = 300
VOLUME_GIB = 8
#: The coordinator outlives its workers by so much: its dump can still be pulled when they are gone.
COORDINATOR_GRACE_H = 12


@dataclass(frozen=True, slots=True)
class Image:
    """What is launched: an AMI, how its first disk is called and how large it is at least, and whom ssh logs in as."""

    id: str
    arch: str
    root_device: str
    gib: int
    login: str
    baked: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A subnet that instances may be in."""

    subnet: str
    zone: str
    vpc: str


@dataclass(frozen=True, slots=True)
class Pool:
    """A type of instance in a zone: a market of its own."""

    type: str
    place: Place


def client_token(*parts: object) -> str:
    """Return a token that is the same for the same parts (64 characters at the most, says EC2)."""
    return f"whoismesh-{hashlib.sha256(json.dumps([str(each) for each in parts]).encode()).hexdigest()[:40]}"


def group_name(run: str) -> str:
    """Return what the security group of a run is called."""
    return f"whoismesh-{run}"


def security_group(run: str, vpc: str) -> dict[str, Any]:
    """Return the request that makes a run's security group."""
    return {
        "GroupName": group_name(run),
        "Description": f"whoismesh {run}: the mesh inside of the group, ssh for the operator",
        "VpcId": vpc,
        "TagSpecifications": tags.specifications(["security-group"], tags.tags(run)),
    }


def ingress(group: str, cidrs: Iterable[str]) -> list[dict[str, Any]]:
    """Return what may come in: the mesh's ports from the group itself, ssh from networks (a.b.c.d/n or IPv6)."""
    mesh = [
        {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "UserIdGroupPairs": [{"GroupId": group}]}
        for first, last in MESH_PORTS
    ]
    ssh = {"IpProtocol": "tcp", "FromPort": SSH_PORT, "ToPort": SSH_PORT}
    return [
        *mesh,
        *(
            {**ssh, "Ipv6Ranges": [{"CidrIpv6": cidr, "Description": "operator"}]}
            if ":" in cidr
            else {**ssh, "IpRanges": [{"CidrIp": cidr, "Description": "operator"}]}
            for cidr in cidrs
        ),
    ]


def key_pair(run: str, public_key: str) -> dict[str, Any]:
    """Return the request that gives EC2 the operator's public key. Raises UsageError if it is none that EC2 takes."""
    match public_key.split():
        case ["ssh-ed25519" | "ssh-rsa" as kind, text, *_]:
            digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        case _:
            raise UsageError("--public-key: expected a line 'ssh-ed25519 AAAA...' or 'ssh-rsa AAAA...' (a .pub file)")
    return {
        "KeyName": f"whoismesh-{run}-{digest}",
        "PublicKeyMaterial": f"{kind} {text}".encode(),
        "TagSpecifications": tags.specifications(["key-pair"], tags.tags(run)),
    }


def guard_hours(role: str, max_hours: float) -> float:
    """Return after how many hours an instance of this role ends by itself."""
    return max_hours + (COORDINATOR_GRACE_H if role == COORDINATOR else 0)


def launch_template(
    run: str, role: str, image: Image, group: str, key_name: str, max_hours: float, gib: int = VOLUME_GIB
) -> dict[str, Any]:
    """Return the request that makes the template of a role. Its name says what is in it, so that it is made once."""
    marks = tags.tags(run, role, **{tags.LOGIN: image.login})
    script = guard_script(guard_hours(role, max_hours), lasting=role != tags.BUILDER)
    data = {
        "ImageId": image.id,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device,
                "Ebs": {
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                    "VolumeType": "gp3",
                    "VolumeSize": max(gib, image.gib),
                },
            }
        ],
        "SecurityGroupIds": [group],
        "KeyName": key_name,
        "UserData": base64.b64encode(script.encode()).decode(),
        "TagSpecifications": tags.specifications(("instance", "volume", "network-interface"), marks),
    }
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]
    name = f"whoismesh-{run}-{role}-{digest}"
    return {
        "LaunchTemplateName": name,
        "ClientToken": client_token(name, "template"),
        "LaunchTemplateData": data,
        "TagSpecifications": tags.specifications(["launch-template"], tags.tags(run, role)),
    }


def fleet(run: str, role: str, template: str, count: int, pools: Sequence[Pool], token: str) -> dict[str, Any]:
    """Return the request for instances of one role: workers are spot, all else is on demand.

    An instant fleet is a question that is answered at once: with what came, and with an error for each pool that had
    nothing. It looks after nothing later, so that what was terminated stays so.
    """
    spot = role not in (COORDINATOR, tags.BUILDER)
    request: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": token,
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": count,
            "DefaultTargetCapacityType": "spot" if spot else "on-demand",
        },
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
                "Overrides": [
                    {"InstanceType": pool.type, "SubnetId": pool.place.subnet} for pool in pools[:MOST_OVERRIDES]
                ],
            }
        ],
        "TagSpecifications": tags.specifications(["fleet"], tags.tags(run, role)),
    }
    if spot:
        request["SpotOptions"] = {
            "AllocationStrategy": "price-capacity-optimized",
            "InstanceInterruptionBehavior": "terminate",
        }
    else:
        request["OnDemandOptions"] = {"AllocationStrategy": "lowest-price"}
    return request
