"""A fleet's whole life on EC2, through boto3's real clients against moto's server, on good days and bad ones."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from between_aws import IMAGES, Answer, BetweenAws, Call, console_of, host_key, refusal

from whoismesh.errors import ConfigError, TryAgainError, UnavailableError, UsageError, WhoismeshError
from whoismesh.fleet.ec2 import tasks
from whoismesh.fleet.ec2.aws import Aws, AwsError
from whoismesh.fleet.ec2.bake import bake, images_of
from whoismesh.fleet.ec2.end import left_of
from whoismesh.fleet.ec2.inventory import LIVE, find, instances
from whoismesh.fleet.ec2.options import FleetOptions
from whoismesh.fleet.ec2.plan import TooDearError
from whoismesh.fleet.ec2.surroundings import operator_cidrs
from whoismesh.fleet.hosts import FleetHost

RUN = "world"
#: Nothing here takes time but what a test makes slow; these end what hangs.
WAITS = tasks.Waits(running_s=60.0, keys_s=60.0, ended_s=60.0, poll_s=0.05)
Options = Callable[..., FleetOptions]


def quiet(line: str) -> None:
    """Say nothing."""


@pytest.fixture
def options(tmp_path: Path) -> Options:
    key = tmp_path / "id_ed25519.pub"
    key.write_text(f"{host_key('operator')} me@here\n")

    def make(**more: object) -> FleetOptions:
        given = {"run": RUN, "workers": 3, "public_key": str(key), "operator_cidr": "192.0.2.7/32"}
        return FleetOptions(**(given | more)).checked()  # type: ignore[arg-type]

    return make


def roles(aws: Aws, run: str = RUN) -> Counter[str]:
    return Counter(each.role for each in instances(aws, run, LIVE))


def test_a_fleet_is_launched_once_found_by_its_tag_and_ended_whole(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    ec2.page = 2
    folder = tmp_path / "fleet"
    report = tasks.up(options(), folder, quiet, WAITS, aws).checked()
    assert [each.role for each in report.live] == ["coordinator", "worker", "worker", "worker"]
    assert len(report.new) == 4 and not report.unknown

    # What the requests have.
    coordinator, workers = ec2.named("CreateFleet")
    for call, kind, count in ((coordinator, "on-demand", "1"), (workers, "spot", "3")):
        assert call.parameters["Type"] == "instant" and len(call.parameters["ClientToken"]) <= 64
        assert call.parameters["TargetCapacitySpecification.DefaultTargetCapacityType"] == kind
        assert call.parameters["TargetCapacitySpecification.TotalTargetCapacity"] == count
        assert call.parameters["TagSpecification.1.ResourceType"] == "fleet"
        assert RUN in call.values("TagSpecification.1.Tag")
    assert coordinator.parameters["ClientToken"] != workers.parameters["ClientToken"]
    assert workers.parameters["SpotOptions.AllocationStrategy"] == "price-capacity-optimized"
    pools = {
        (workers.parameters[name], workers.parameters[name.replace("InstanceType", "SubnetId")])
        for name in workers.parameters
        if name.endswith("InstanceType")
    }
    assert len({kind for kind, _ in pools}) >= 10 and len({subnet for _, subnet in pools}) == 3
    for call in ec2.named("CreateLaunchTemplate"):
        data = "LaunchTemplateData."
        assert call.parameters[f"{data}MetadataOptions.HttpTokens"] == "required"
        assert call.parameters[f"{data}MetadataOptions.HttpPutResponseHopLimit"] == "1"
        assert call.parameters[f"{data}InstanceInitiatedShutdownBehavior"] == "terminate"
        assert call.parameters[f"{data}BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
        assert call.parameters[f"{data}ImageId"] == IMAGES["amd64"]
        kinds = [value for name, value in call.parameters.items() if name.endswith("ResourceType")]
        assert sorted(kinds) == ["instance", "launch-template", "network-interface", "volume"]
        assert "poweroff" in base64.b64decode(call.parameters[f"{data}UserData"]).decode()
    opened = [
        (
            each["IpPermissions.1.FromPort"],
            each["IpPermissions.1.ToPort"],
            each.get("IpPermissions.1.IpRanges.1.CidrIp"),
        )
        for each in (call.parameters for call in ec2.named("AuthorizeSecurityGroupIngress"))
    ]
    assert opened == [("7700", "7703", None), ("7710", "7711", None), ("22", "22", "192.0.2.7/32")]

    # Everything carries the tag, and the hosts are found by it alone.
    kinds = Counter(each.kind for each in left_of(aws, RUN))
    assert kinds["instance"] == 4 and kinds["fleet"] == 2 and kinds["launch template"] == 2
    assert kinds["security group"] == 1 and kinds["key pair"] == 1
    hosts = find(RUN, folder, aws=aws)
    assert [host.coordinates for host in hosts] == [True, False, False, False]
    assert {host.user for host in hosts} == {"admin"} and all(host.name == host.instance for host in hosts)
    lines = (folder / "known_hosts").read_text().splitlines()
    assert lines == [f"{host.address} {host_key(host.instance)} {host.instance}" for host in hosts]

    # A fleet of which only the tag is left spoils a request that names it with others, and hides none of these.
    def long_gone(call: Call) -> Answer | None:
        many = len(call.values("FleetId")) > 1
        return refusal("InvalidFleetId.NotFound") if call.action == "DescribeFleets" and many else None

    ec2.rules.append(long_gone)
    assert sum(each.kind == "fleet" for each in left_of(aws, RUN)) == 2
    ec2.rules.clear()

    # Once more launches nothing; what is known of the hosts is not asked again.
    before = len(ec2.named("GetConsoleOutput"))
    again = tasks.up(options(), folder, quiet, WAITS, aws).checked()
    assert len(again.live) == 4 and not again.new
    assert len(ec2.named("CreateFleet")) == 2 and len(ec2.named("CreateLaunchTemplate")) == 2
    assert len(ec2.named("GetConsoleOutput")) == before

    # Another run's are left alone.
    other = options(run="other", workers=1)
    tasks.up(other, tmp_path / "other", quiet, WAITS, aws).checked()
    told: list[str] = []
    assert tasks.down(aws, RUN, quiet, images=False, as_json=False, out=told.append, waits=WAITS) == 0
    assert told == ["run world: nothing in eu-west-1 carries its tag any more, images aside"]
    assert left_of(aws, RUN) == [] and find(RUN, folder, aws=aws) == ()
    assert (folder / "known_hosts").read_text() == ""
    assert roles(aws, "other") == {"coordinator": 1, "worker": 1}
    ended = len(ec2.named("TerminateInstances"))
    assert tasks.down(aws, RUN, quiet, images=False, as_json=True, out=told.append, waits=WAITS) == 0
    assert told[1] == "[]" and len(ec2.named("TerminateInstances")) == ended

    # A second life is a new one: no token of the first brings its dead instances back.
    tasks.up(options(), folder, quiet, WAITS, aws).checked()
    assert roles(aws) == {"coordinator": 1, "worker": 3}


def test_a_plan_launches_nothing_and_a_dear_one_is_refused(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    told: list[str] = []
    config = tmp_path / "crawl.toml"
    config.write_text('[crawl]\nspace = ["193.0.0.0/8"]\ncontact = "noc@example.org"\n')
    assert tasks.plan(options(config=str(config)), tmp_path, told.append) == 0
    assert "t3.micro" in told[0] and "(Pricing API)" in told[0] and "ripencc" in told[0]
    assert tasks.plan(options(max_price=0.05), tmp_path, told.append) == 1
    assert "refused: " in told[1]
    with pytest.raises(TooDearError, match=r"nothing was launched: 0\.\d+ USD an hour is more than --max-price 0.05"):
        tasks.up(options(max_price=0.05), tmp_path, quiet, WAITS, aws)
    assert {call.action.startswith(("Describe", "Get")) for call in ec2.calls} == {True}
    # All pages of the prices are read.
    assert max(int(call.parameters.get("NextToken") or 0) for call in ec2.named("DescribeSpotPriceHistory")) >= 60

    # The Pricing API is not for everybody: then a list, and a price of one's own where the list has none.
    ec2.rules.append(lambda call: refusal("AccessDeniedException") if call.service == "pricing" else None)
    assert tasks.plan(options(), tmp_path, told.append) == 0
    assert "list price of us-east-1" in told[2]
    with pytest.raises(UsageError, match="give --coordinator-price"):
        tasks.plan(options(coordinator_type="c5.4xlarge"), tmp_path, told.append)


def test_what_is_lacking_is_said_and_what_came_is_used(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    ec2.capacity = 0
    with pytest.raises(TryAgainError, match=r"no worker is ready: .*InsufficientInstanceCapacity.*fab down"):
        tasks.show(tasks.up(options(), tmp_path, quiet, WAITS, aws), as_json=True, out=quiet)
    assert roles(aws) == {"coordinator": 1}
    # The second attempt is another request than the first, or EC2 would give the first one's answer.
    ec2.capacity, ec2.dry_zones = 1, {"eu-west-1a"}
    report = tasks.up(options(), tmp_path, quiet, WAITS, aws).checked()
    assert roles(aws) == {"coordinator": 1, "worker": 1}
    assert {each.zone for each in report.live if each.role == "worker"} == {"eu-west-1b"}
    text = report.as_text()
    assert "1 of 3 workers came; they are used" in text
    assert "t3.micro in eu-west-1a: InsufficientInstanceCapacity" in text
    told = report.as_map()
    assert told["workers_wanted"] == 3 and told["workers"] == 1
    assert {each["zone"] for each in told["errors"]} == {"eu-west-1a"}

    # Later only what is lacking is asked for, and it is another request.
    ec2.capacity = None
    tasks.up(options(), tmp_path, quiet, WAITS, aws).checked()
    _, _, first, second = ec2.named("CreateFleet")
    assert second.parameters["TargetCapacitySpecification.TotalTargetCapacity"] == "2"
    assert second.parameters["ClientToken"] != first.parameters["ClientToken"]
    assert roles(aws) == {"coordinator": 1, "worker": 3}


def test_without_a_coordinator_no_worker_is_paid_for(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    ec2.rules.append(lambda call: refusal("InsufficientInstanceCapacity") if call.action == "CreateFleet" else None)
    with pytest.raises(TryAgainError, match="no coordinator: every type in every zone: InsufficientInstanceCapacity"):
        tasks.up(options(), tmp_path, quiet, WAITS, aws)
    assert len(ec2.named("CreateFleet")) == 1 and roles(aws) == {}


@pytest.mark.parametrize("after", ["1 of 1 coordinator", "3 of 3 workers"])
def test_a_launch_that_was_cut_off_doubles_nothing(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path, after: str
) -> None:
    def cut(line: str) -> None:
        if line.startswith(after):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tasks.up(options(), tmp_path, cut, WAITS, aws)
    # EC2 is slow to show what it has made: nothing is there yet, by any name.
    launched = len(ec2.named("CreateFleet"))
    empty = {
        "DescribeInstances": b"<R><requestId>0</requestId><reservationSet/></R>",
        "DescribeTags": b"<R><requestId>0</requestId><tagSet/></R>",
    }

    def late(call: Call) -> Answer | None:
        seen = len(ec2.named("CreateFleet"))
        return Answer(200, empty[call.action]) if call.action in empty and seen < launched + 2 else None

    ec2.rules.append(late)
    report = tasks.up(options(), tmp_path, quiet, WAITS, aws).checked()
    assert len(report.live) == 4 and roles(aws) == {"coordinator": 1, "worker": 3}


def test_what_is_lost_on_its_way_or_not_shown_yet_is_launched_once(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    ec2.lost = ["CreateFleet", "CreateLaunchTemplate"]
    tasks.up(options(), tmp_path, quiet, WAITS, aws).checked()
    assert len(ec2.named("CreateFleet")) == 3  # one of them asked once more, with its token
    assert len({call.parameters["ClientToken"] for call in ec2.named("CreateFleet")}) == 2
    assert roles(aws) == {"coordinator": 1, "worker": 3}

    # Instances that only their fleet knows count, too.
    left = 4

    def late(call: Call) -> Answer | None:
        nonlocal left
        if call.action != "DescribeInstances" or not left:
            return None
        left -= 1
        return Answer(200, b"<R><requestId>0</requestId><reservationSet/></R>")

    ec2.rules.append(late)
    assert len(tasks.up(options(), tmp_path, quiet, WAITS, aws).checked().live) == 4
    assert not left and len(ec2.named("CreateFleet")) == 3


def test_throttling_and_what_cannot_end_yet_are_waited_out_and_told_when_they_last(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    refused = {
        "CreateFleet": (1, refusal("RequestLimitExceeded", status=503)),
        "DeleteFleets": (1, refusal("RequestLimitExceeded", status=503)),
        "DeleteSecurityGroup": (1, refusal("DependencyViolation", "resource has a dependent object")),
    }

    def busy(call: Call) -> Answer | None:
        left, answer = refused.get(call.action, (0, None))
        refused[call.action] = (max(0, left - 1), answer or Answer(200, b""))
        return answer if left else None

    ec2.rules.append(busy)
    tasks.up(options(workers=1), tmp_path, quiet, WAITS, aws).checked()
    assert roles(aws) == {"coordinator": 1, "worker": 1}
    told: list[str] = []
    refused["DeleteSecurityGroup"] = (10_000, refused["DeleteSecurityGroup"][1])
    hasty = replace(WAITS, ended_s=0.0)  # one round each: what hangs on instances has its turn when they are gone
    assert tasks.down(aws, RUN, quiet, images=False, as_json=False, out=told.append, waits=hasty) == 1
    assert tasks.down(aws, RUN, quiet, images=False, as_json=False, out=told.append, waits=hasty) == 1
    assert re.fullmatch(r"run world: left in eu-west-1; run it again:\n  security group sg-[0-9a-f]+ ", told[1])
    refused["DeleteSecurityGroup"] = (2, refused["DeleteSecurityGroup"][1])
    assert tasks.down(aws, RUN, quiet, images=False, as_json=False, out=told.append, waits=WAITS) == 0
    assert {left for left, _ in refused.values()} == {0}

    ec2.rules.append(lambda call: refusal("RequestLimitExceeded", status=503))
    with pytest.raises(AwsError, match=r"RequestLimitExceeded after all attempts: .* wait a minute") as error:
        instances(Aws(attempts=2), RUN)
    assert error.value.exit_code == TryAgainError.exit_code


def test_credentials_that_expire_in_the_middle_cost_a_login_and_no_instance(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    def expired(call: Call) -> Answer | None:
        return refusal("RequestExpired") if len(ec2.named("CreateFleet")) == 2 else None

    ec2.rules.append(expired)
    with pytest.raises(AwsError, match="credentials have expired: log in again") as told:
        tasks.up(options(), tmp_path, quiet, WAITS, aws)
    assert told.value.exit_code == 75
    ec2.rules.clear()
    tasks.up(options(), tmp_path, quiet, WAITS, aws).checked()
    assert roles(aws) == {"coordinator": 1, "worker": 3}


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("ExpiredToken", 75, "log in again"),
        ("UnauthorizedOperation", 78, "docs/fleet.md has the policy"),
        ("InvalidClientTokenId", 78, "does not accept the credentials"),
        ("InvalidParameterValue", 1, "DescribeInstances: InvalidParameterValue: told by the test"),
    ],
)
def test_a_refusal_becomes_one_line_that_says_what_to_do(
    ec2: BetweenAws, aws: Aws, code: str, exit_code: int, words: str
) -> None:
    ec2.rules.append(lambda call: refusal(code))
    with pytest.raises(AwsError) as told:
        instances(aws, RUN)
    assert told.value.exit_code == exit_code and words in str(told.value) and "\n" not in str(told.value)


def test_without_network_region_or_credentials_it_says_so(ec2: BetweenAws, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as gone:
        gone.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(UnavailableError, match="AWS does not answer"):
            instances(Aws(attempts=1), RUN)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="no AWS credentials"):
        instances(Aws(), RUN)
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConfigError, match="no AWS region"):
        Aws()


def test_a_host_whose_console_says_nothing_is_told_and_trusted_by_nobody(
    ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path
) -> None:
    ec2.consoles = lambda instance: "[    0.000000] Linux version 6.1.0"
    told: list[str] = []
    report = tasks.up(options(workers=1), tmp_path, told.append, replace(WAITS, keys_s=0.0), aws)
    assert len(report.unknown) == 2 and (tmp_path / "known_hosts").read_text() == ""
    assert any("no host keys yet of i-" in line for line in told)
    assert report.as_text().count("(no host keys yet)") == 2
    with pytest.raises(TryAgainError, match="no coordinator and no worker is ready"):
        report.checked()
    # They come in their time; the third look has them.
    looks: Counter[str] = Counter()

    def late(instance: str) -> str:
        looks[instance] += 1
        return console_of(instance) if looks[instance] > 2 else ""

    ec2.consoles = late
    hosts = find(RUN, tmp_path, aws=aws, patience_s=20, poll_s=0.02, say=quiet)
    assert set(looks.values()) == {3} and len((tmp_path / "known_hosts").read_text().splitlines()) == len(hosts) == 2

    # An instance that is not on Nitro shows what it wrote at its start.
    (tmp_path / "known_hosts").unlink()

    def not_nitro(call: Call) -> Answer | None:
        latest = call.action == "GetConsoleOutput" and "Latest" in call.parameters
        return refusal("UnsupportedOperation") if latest else None

    ec2.rules.append(not_nitro)
    find(RUN, tmp_path, aws=aws, patience_s=20, poll_s=0.02, say=quiet)
    assert len((tmp_path / "known_hosts").read_text().splitlines()) == 2


def test_a_fleet_grows_and_shrinks(ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no coordinator"):
        tasks.grow(options(), 1, tmp_path, quiet, WAITS)
    tasks.up(options(), tmp_path, quiet, WAITS, aws).checked()
    report = tasks.grow(options(), 2, tmp_path, quiet, WAITS).checked()
    assert len(report.new) == 2 and roles(aws) == {"coordinator": 1, "worker": 5}
    gone = tasks.choose_leaving(aws, RUN, 2)
    assert tasks.end_workers(aws, RUN, gone, WAITS) == []
    assert roles(aws) == {"coordinator": 1, "worker": 3}
    assert {each.id for each in gone}.isdisjoint(each.id for each in instances(aws, RUN, LIVE))
    with pytest.raises(UsageError, match="expected 1 to 3"):
        tasks.choose_leaving(aws, RUN, 4)
    # What a fleet launched a moment ago and is gone is not taken for what is not shown yet.
    tasks.up(options(workers=4), tmp_path, quiet, WAITS, aws).checked()
    assert roles(aws) == {"coordinator": 1, "worker": 4}


def baker(version: str, seen: list[FleetHost]) -> Callable[[FleetHost], str]:
    def install(host: FleetHost) -> str:
        seen.append(host)
        if not version:
            raise UnavailableError("no way there")
        return version

    return install


def test_an_image_is_baked_taken_and_deleted(ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path) -> None:
    seen: list[FleetHost] = []
    wanted = tasks.wanted_fleet(aws, options(), baked=False)
    with pytest.raises(UnavailableError, match="no way there"):
        bake(aws, wanted, tmp_path, baker("", seen), quiet, waits=WAITS)
    assert roles(aws) == {} and images_of(aws, RUN) == []  # the builder ends whatever happens
    first = bake(aws, wanted, tmp_path, baker("v1", seen), quiet, waits=WAITS)
    assert roles(aws) == {} and [each.user for each in seen] == ["admin", "admin"]
    assert host_key(seen[1].instance) in (tmp_path / "bake" / "known_hosts").read_text()
    builder = ec2.named("CreateFleet")[-1].parameters
    assert builder["TargetCapacitySpecification.DefaultTargetCapacityType"] == "on-demand"
    assert not wanted.image.baked

    # A fleet takes what was baked last, and `down` leaves it unless told.
    assert tasks.wanted_fleet(aws, options()).image.id == first.image
    second = bake(aws, wanted, tmp_path, baker("v2", seen), quiet, replace=True, waits=WAITS)
    assert [each.id for each in second.deleted if each.kind == "image"] == [first.image]
    assert [(one, version) for one, _, version in images_of(aws, RUN)] == [(second.image, "v2")]
    report = tasks.up(options(workers=1), tmp_path, quiet, WAITS, aws).checked()
    assert {each.image for each in report.live} == {second.image}
    told: list[str] = []
    assert tasks.down(aws, RUN, quiet, images=False, as_json=False, out=told.append, waits=WAITS) == 0
    assert told[-1].endswith(", images aside") and len(images_of(aws, RUN)) == 1
    assert tasks.down(aws, RUN, quiet, images=True, as_json=False, out=told.append, waits=WAITS) == 0
    assert images_of(aws, RUN) == []


def test_where_to_launch_must_be_known(ec2: BetweenAws, aws: Aws, options: Options, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --arch arm64"):
        tasks.wanted_fleet(aws, options(image=IMAGES["arm64"]))
    with pytest.raises(ConfigError, match=r"none of t9\.huge is offered"):
        tasks.wanted_fleet(aws, options(types="t9.huge"))
    with pytest.raises(AwsError, match=r"InvalidSubnetID\.NotFound"):
        tasks.wanted_fleet(aws, options(subnets="subnet-00000000"))
    with pytest.raises(AwsError, match=r"InvalidKeyPair\.NotFound"):
        tasks.up(options(public_key="", key_name="missing"), tmp_path, quiet, WAITS, aws)
    with pytest.raises(UnavailableError, match="does not tell our address"):
        operator_cidrs([], check_ip=ec2.url)  # answers, and not with an address
    assert roles(aws) == {}
    with pytest.raises(WhoismeshError):
        tasks.grow(options(), 0, tmp_path, quiet, WAITS)
