"""The policy in docs/fleet.md is what the tasks need: no call is missing from it, and none is in it for nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from between_aws import BetweenAws, host_key

from whoismesh.fleet.ec2 import tasks
from whoismesh.fleet.ec2.aws import Aws
from whoismesh.fleet.ec2.bake import bake
from whoismesh.fleet.ec2.options import FleetOptions

PAGE = Path(__file__).parents[3] / "docs" / "fleet.md"
#: What EC2 checks beside the call itself: a fleet's launch, tags at launch, and the first spot instance of an account.
CHECKED_WITH = {"ec2:RunInstances", "ec2:CreateTags", "iam:CreateServiceLinkedRole"}
#: Ends what only an instance that kept its disk would leave.
RARE = {"ec2:DeleteVolume"}


def actions() -> set[str]:
    policy = json.loads(re.findall(r"```json\n(\{.*?\n\})\n```", PAGE.read_text(), re.DOTALL)[0])
    found: list[str] = []
    for statement in policy["Statement"]:
        found += [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
    assert len(found) == len(set(found))
    return set(found)


def test_the_policy_has_what_is_called_and_no_more(ec2: BetweenAws, aws: Aws, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(host_key("operator"))
    options = FleetOptions(run="world", workers=1, public_key=str(key), operator_cidr="192.0.2.7/32")
    waits = tasks.Waits(poll_s=0.05)
    wanted = tasks.wanted_fleet(aws, options, baked=False)
    for _ in range(2):
        bake(aws, wanted, tmp_path, lambda host: "v1", print, replace=True, waits=waits)
    tasks.up(options, tmp_path, print, waits, aws).checked()
    tasks.choose_leaving(aws, "world", 1)
    assert tasks.down(aws, "world", print, images=True, as_json=True, waits=waits) == 0
    called = {f"{call.service}:{call.action}" for call in ec2.calls}
    assert called == actions() - CHECKED_WITH - RARE
