"""What there is of a run, found by its tag alone: instances, and the hosts that they are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from whoismesh.errors import ConfigError
from whoismesh.fleet.ec2 import tags
from whoismesh.fleet.ec2.aws import Aws, AwsError
from whoismesh.fleet.ec2.host_keys import keys_of, known_hosts, pinned
from whoismesh.fleet.hosts import COORDINATOR, FleetHost

#: States of an instance that works or will; those that are paid for or may be again; and all but what is gone.
LIVE = ("pending", "running")
NOT_GONE = (*LIVE, "stopping", "stopped", "shutting-down")

KNOWN_HOSTS = "known_hosts"
#: cloud-init writes the keys within a minute of the start; EC2 shows a console's output with some delay.
PATIENCE_S, POLL_S = 300.0, 5.0
TOLD_BY = timedelta(minutes=10)
#: Consoles that are asked for at once: each is a call, and calls are counted by account and region.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a run, as describe_instances has it."""

    id: str
    role: str
    state: str
    type: str
    zone: str
    spot: bool
    private_address: str
    public_address: str
    login: str
    launched_at: datetime | None = None
    image: str = ""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Instance:
        """Return what an answer says of one."""
        marks = tags.read(told)
        return cls(
            id=str(told["InstanceId"]),
            role=marks.get(tags.ROLE, ""),
            state=str((told.get("State") or {}).get("Name", "")),
            type=str(told.get("InstanceType", "")),
            zone=str((told.get("Placement") or {}).get("AvailabilityZone", "")),
            spot=told.get("InstanceLifecycle") == "spot",
            private_address=str(told.get("PrivateIpAddress") or ""),
            public_address=str(told.get("PublicIpAddress") or ""),
            login=marks.get(tags.LOGIN, ""),
            launched_at=told.get("LaunchTime"),
            image=str(told.get("ImageId") or ""),
        )

    @property
    def host(self) -> FleetHost:
        """The host that it is."""
        return FleetHost(
            self.id,
            self.public_address or self.private_address,
            frozenset({self.role}),
            mesh_address=self.private_address,
            user=self.login or None,
            instance=self.id,
            instance_type=self.type,
            zone=self.zone,
        )


def instances(aws: Aws, run: str, states: Iterable[str] = NOT_GONE) -> list[Instance]:
    """Return the instances that carry a run's tag, the coordinator first, then in the order of their launch."""
    wanted = [*tags.of_run(run), {"Name": "instance-state-name", "Values": list(states)}]
    found = [
        Instance.read(told)
        for reservation in aws.pages("describe_instances", "Reservations", Filters=wanted)
        for told in reservation["Instances"]
    ]
    return sorted(found, key=lambda each: (each.role != COORDINATOR, str(each.launched_at), each.id))


def find(
    run: str,
    folder: Path,
    *,
    aws: Aws | None = None,
    patience_s: float = PATIENCE_S,
    poll_s: float = POLL_S,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> tuple[FleetHost, ...]:
    """Return the hosts of a run, the coordinator first, and write `folder`/known_hosts with their keys.

    A host whose keys are not known when the time is over is told, and has no line in the file: ssh will refuse it.
    Raises what `Aws` does, and ConfigError if the file cannot be written.
    """
    aws = aws or Aws()
    live = [each for each in instances(aws, run, LIVE) if each.role in tags.ROLES and each.private_address]
    hosts = tuple(each.host for each in live)
    # What a console has not told by then it never will: it is looked at once more, and not waited for.
    if not any(each.launched_at is None or datetime.now(UTC) - each.launched_at < TOLD_BY for each in live):
        patience_s = 0.0
    pin_keys(aws, hosts, folder, patience_s=patience_s, poll_s=poll_s, say=say)
    return hosts


def pin_keys(
    aws: Aws,
    hosts: Iterable[FleetHost],
    folder: Path,
    *,
    patience_s: float = PATIENCE_S,
    poll_s: float = POLL_S,
    say: Callable[[str], None] = lambda line: None,
) -> frozenset[str]:
    """Write known_hosts for exactly these hosts, asking for the keys that it lacks; return whose are still unknown."""
    hosts = tuple(hosts)
    path = folder / KNOWN_HOSTS
    keys: dict[str, tuple[str, ...]] = {}
    try:
        keys = pinned(path.read_text("utf-8", "replace"))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    missing = {host.instance for host in hosts} - set(keys)
    until = time.monotonic() + patience_s
    told = False
    while missing:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for instance, console in zip(
                sorted(missing), pool.map(lambda each: _console(aws, each), sorted(missing)), strict=True
            ):
                if found := keys_of(console):
                    keys[instance] = found
                    missing.discard(instance)
        if not missing or time.monotonic() + poll_s > until:
            break
        if not told:
            say(f"waiting for the host keys of {len(missing)} hosts (their consoles tell them within minutes)")
            told = True
        time.sleep(poll_s)
    if missing:
        say(f"no host keys yet of {', '.join(sorted(missing))}: ssh will refuse them; run it again in some minutes")
    _write(path, known_hosts(hosts, keys))
    return frozenset(missing)


def _console(aws: Aws, instance: str) -> str:
    """Return a console's output, empty where there is none yet."""
    try:
        try:
            answer = aws.ec2("get_console_output", InstanceId=instance, Latest=True)
        except AwsError as error:
            if error.code != "UnsupportedOperation":  # instances that are not on Nitro: what they wrote at their start
                raise
            answer = aws.ec2("get_console_output", InstanceId=instance)
    except AwsError as error:
        if error.code.startswith("InvalidInstanceID") or error.code == "IncorrectInstanceState":
            return ""  # not known yet everywhere, or gone meanwhile
        raise
    return str(answer.get("Output") or "")  # botocore has decoded it


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(content, "utf-8")
        new.replace(path)
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: cannot be written: {error.strerror}") from None
