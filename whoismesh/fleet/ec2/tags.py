"""How what belongs to a run is marked: everything carries its tag from the moment it is launched. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from whoismesh.errors import UsageError
from whoismesh.fleet.hosts import COORDINATOR, WORKER

RUN, ROLE, LOGIN, IMAGE = "whoismesh:run", "whoismesh:role", "whoismesh:login", "whoismesh:image"
#: What an image is made on; it is no host of the fleet.
BUILDER = "builder"
ROLES = (COORDINATOR, WORKER)

#: It goes into names of launch templates, groups and files; 30 leave room for what is added to it.
_RUN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?\Z")


def checked_run(name: str) -> str:
    """Return the name of a run. Raises UsageError if it is none."""
    if not _RUN.match(name):
        raise UsageError(f"--run {name!r}: expected small letters, digits and hyphens, 30 at most, such as world-1")
    return name


def tags(run: str, role: str = "", **more: str) -> list[dict[str, str]]:
    """Return the tags of what belongs to a run, as EC2 takes them; `more` has others by name."""
    found = {"Name": f"whoismesh {run} {role}".rstrip(), RUN: run}
    if role:
        found[ROLE] = role
    return [{"Key": key, "Value": value} for key, value in {**found, **more}.items()]


def specifications(kinds: Iterable[str], marks: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Return TagSpecifications that mark resources of several kinds alike."""
    return [{"ResourceType": kind, "Tags": marks} for kind in kinds]


def of_run(run: str) -> list[dict[str, Any]]:
    """Return the filter of the describe calls that finds what belongs to a run."""
    return [{"Name": f"tag:{RUN}", "Values": [run]}]


def read(resource: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a resource."""
    return {str(each.get("Key")): str(each.get("Value")) for each in resource.get("Tags") or ()}
