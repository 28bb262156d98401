"""What is reckoned and asked for, without asking: exact values."""

from __future__ import annotations

import base64
import math
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from between_aws import console_of, host_key

from whoismesh.addresses import parse_space
from whoismesh.errors import ConfigError, UsageError
from whoismesh.fleet.ec2 import plan as planning
from whoismesh.fleet.ec2 import requests
from whoismesh.fleet.ec2.forecast import Pace, Work, pace, useful_hosts, work_of
from whoismesh.fleet.ec2.host_keys import keys_of, known_hosts, pinned
from whoismesh.fleet.ec2.inventory import Instance
from whoismesh.fleet.ec2.options import FleetOptions, counted
from whoismesh.fleet.ec2.shrink import leaving
from whoismesh.fleet.ec2.surroundings import operator_cidrs, read_public_key
from whoismesh.fleet.ec2.tags import checked_run, tags
from whoismesh.fleet.ec2.user_data import guard_script
from whoismesh.fleet.hosts import FleetHost
from whoismesh.prior_files import load_prior
from whoismesh.settings import load

NOW = datetime(2026, 11, 25, tzinfo=UTC)
IMAGE = requests.Image("ami-1", "x86_64", "/dev/xvda", 3, "admin")
A = requests.Place("subnet-a", "eu-west-1a", "vpc-1")
B = requests.Place("subnet-b", "eu-west-1b", "vpc-1")


# -- forecast ---------------------------------------------------------------------------------------------------------


def test_without_a_prior_the_density_of_2018_tells_and_is_called_an_estimate() -> None:
    work = work_of(parse_space(["193.0.0.0/8"]))
    # 2^24 of the 721,420,288 addresses that IANA gave RIPE NCC, 70,104 networks in them, 1.1 lookups each.
    assert work == {"ripencc": Work(math.ceil(70_104 * 2**24 / 721_420_288 * 1.1), 1631, "estimate")}
    assert work["ripencc"].lookups == 1794


def test_a_prior_tells_the_lookups_of_what_it_lists(tmp_path: Path) -> None:
    prior = tmp_path / "delegated"
    prior.write_text(
        "2|ripencc|20261125|2|19830705|20261125|+0000\n"
        "ripencc|*|ipv4|*|3|summary\n"
        + "".join(f"ripencc|NL|ipv4|193.0.{n * 64}.0|16384|20100101|allocated|holder-{n}\n" for n in range(3))
        + "ripencc||ipv4|193.0.192.0|16384||available|\n"
    )
    space = parse_space(["193.0.0.0/16"])
    assert work_of(space, load_prior([prior], space)) == {"ripencc": Work(4, 3, "prior")}  # 3.3, rounded up


def settings(tmp_path: Path, **rates: tuple[float, float]) -> dict[str, object]:
    file = tmp_path / "crawl.toml"
    lines = ["[crawl]", 'space = ["ipv4"]', 'contact = "noc@example.org"']
    for registry, (rate, host_rate) in rates.items():
        lines += [f"[registries.{registry}]", f"rate = {rate}", f"host_rate = {host_rate}", "connections = 4"]
    file.write_text("\n".join(lines))
    return dict(load(file, {}).registries)


def test_the_slowest_registry_decides_and_the_budget_says_how_many_hosts_are_of_use(tmp_path: Path) -> None:
    registries = settings(tmp_path, ripencc=(20.0, 4.0), lacnic=(0.5, 0.5))
    work = {"ripencc": Work(72_000, 70_000, "prior"), "lacnic": Work(3_600, 3_500, "estimate")}
    paces = pace(work, registries, 3)
    assert [(each.registry, each.rate, each.hours, each.useful_hosts) for each in paces] == [
        ("lacnic", 0.5, 2.0, 1),
        ("ripencc", 12.0, 72_000 / 12 / 3600, 5),  # three hosts at four a second
    ]
    assert pace(work, registries, 9)[1].rate == 20.0
    assert useful_hosts(paces) == 5
    # Without a rate connections decide: four, with a lookup in half a second each.
    endless = pace({"ripencc": Work(720, 700, "prior")}, settings(tmp_path, ripencc=(math.inf, math.inf)), 2)
    assert [(each.rate, each.useful_hosts) for each in endless] == [(16.0, None)]
    assert useful_hosts(endless) is None


# -- plan -------------------------------------------------------------------------------------------------------------


def history() -> list[planning.Price]:
    def price(kind: str, zone: str, usd: float, hours: float) -> planning.Price:
        return planning.Price(kind, zone, usd, NOW - timedelta(hours=hours))

    return [
        *(price("t3.small", "eu-west-1a", usd, hours) for usd, hours in ((0.005, 1), (0.009, 20), (0.006, 50))),
        price("t3.small", "eu-west-1b", 0.02, 3),
    ]


def make_plan(**changes: object) -> planning.Plan:
    given: dict[str, object] = {
        "run": "world",
        "region": "eu-west-1",
        "workers": 10,
        "coordinator": planning.OnDemand("t3.medium", 0.04, "as given"),
        "offers": planning.offers(history()),
        "paces": (Pace("lacnic", Work(5_400, 5_000, "estimate"), 0.15, 9.2, 1),),
        "max_hours": 48.0,
        "days": 3.0,
    }
    return planning.Plan(**(given | changes))  # type: ignore[arg-type]


def test_an_offer_has_the_price_now_and_the_median_and_most_of_the_days_before() -> None:
    assert planning.offers(history()) == (
        planning.Offer("t3.small", "eu-west-1a", 0.005, 0.006, 0.009),
        planning.Offer("t3.small", "eu-west-1b", 0.02, 0.02, 0.02),
    )


def test_a_plan_has_addresses_and_disks_in_it_and_is_held_against_the_dearest_pool() -> None:
    plan = make_plan()
    host = 0.005 + 8 * 0.08 / 730
    assert plan.expected == pytest.approx(0.04 + host + 10 * (0.0125 + host))
    assert plan.at_most == pytest.approx(0.04 + host + 10 * (0.02 + host))
    assert plan.total == pytest.approx(plan.at_most * 10)  # the tenth hour counts whole
    assert plan.refusals(1.0, 50.0) == []
    assert [each.split(" is more than ")[1] for each in plan.refusals(0.2, 2.0)] == ["--max-price 0.2", "--max-total 2"]
    assert make_plan(offers=()).refusals(1.0, 50.0)[0].startswith("no spot price is known")


def test_a_plan_says_which_workers_are_useless_and_when_the_guard_is_too_early() -> None:
    assert make_plan().remarks == [
        "9 of 10 workers are useless but as a reserve: the budgets can use 1",
        "lookups are an estimate from the density of 2018 where no prior (crawl.prior) tells",
    ]
    early = make_plan(max_hours=4.0)
    assert "before the crawl would" in early.remarks[1]
    assert early.total == pytest.approx(early.at_most * 10)
    # Nothing runs on behind the guard's back: 2 hours for workers, 12 more for the coordinator.
    assert make_plan(max_hours=2.0, paces=(Pace("lacnic", Work(1, 1, "prior"), 0.0, math.inf, 1),)).total == (
        pytest.approx(make_plan().at_most * 14)
    )


def test_a_plan_can_be_read_by_people_and_programs() -> None:
    plan = make_plan()
    text = planning.as_text(plan, ["too dear"])
    assert "t3.small       eu-west-1a         0.0050   0.0060   0.0090" in text
    assert "refused: too dear" in text and max(map(len, text.splitlines())) <= 100
    told = planning.as_map(plan, [])
    assert told["useful_workers"] == 1 and told["hours"] == 9.2 and told["refused"] == []
    assert told["offers"][0] == {
        "type": "t3.small",
        "zone": "eu-west-1a",
        "now": 0.005,
        "median": 0.006,
        "most": 0.009,
    }


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_template_has_all_that_keeps_an_instance_safe_and_cheap() -> None:
    request = requests.launch_template("world", "worker", IMAGE, "sg-1", "key-1", 48.0)
    data = request["LaunchTemplateData"]
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/xvda",
            "Ebs": {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3", "VolumeSize": 8},
        }
    ]
    assert data["SecurityGroupIds"] == ["sg-1"] and data["KeyName"] == "key-1"
    marks = [
        {"Key": "Name", "Value": "whoismesh world worker"},
        {"Key": "whoismesh:run", "Value": "world"},
        {"Key": "whoismesh:role", "Value": "worker"},
        {"Key": "whoismesh:login", "Value": "admin"},
    ]
    assert data["TagSpecifications"] == [
        {"ResourceType": kind, "Tags": marks} for kind in ("instance", "volume", "network-interface")
    ]
    assert request["TagSpecifications"][0]["ResourceType"] == "launch-template"
    # The same content has the same name, another content another one.
    assert requests.launch_template("world", "worker", IMAGE, "sg-1", "key-1", 48.0) == request
    other = requests.launch_template("world", "worker", IMAGE, "sg-1", "key-1", 24.0)
    assert other["LaunchTemplateName"] != request["LaunchTemplateName"]
    assert len(request["LaunchTemplateName"]) <= 128 and len(request["ClientToken"]) <= 64


def test_user_data_sets_the_guard_and_holds_nothing_else(tmp_path: Path) -> None:
    data = requests.launch_template("world", "coordinator", IMAGE, "sg-1", "key-1", 48.0)["LaunchTemplateData"]
    script = base64.b64decode(data["UserData"]).decode()
    assert script == guard_script(60.0)  # twelve hours more than the workers have
    assert "+3600 minutes" in script and "systemctl poweroff" in script
    assert "BEGIN SSH HOST KEY KEYS" in script and "ssh_host_*_key.pub" in script
    for secret in ("PRIVATE", "secret", "AKIA", "token", "password"):
        assert secret not in script
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    # What a builder is given goes with the running system: an image of it must not shut down its hosts.
    passing = guard_script(2.0, lasting=False)
    assert "shutdown -P +120" in passing and ".timer" not in passing


def test_workers_are_spot_over_many_pools_and_the_coordinator_is_on_demand() -> None:
    pools = [requests.Pool(kind, place) for kind in ("t3.small", "t3a.small") for place in (A, B)]
    request = requests.fleet("world", "worker", "lt-1", 5, pools, "token-1")
    assert request["Type"] == "instant" and request["ClientToken"] == "token-1"
    assert request["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 5,
        "DefaultTargetCapacityType": "spot",
    }
    assert request["SpotOptions"]["AllocationStrategy"] == "price-capacity-optimized"
    assert request["LaunchTemplateConfigs"][0]["Overrides"] == [
        {"InstanceType": kind, "SubnetId": subnet}
        for kind in ("t3.small", "t3a.small")
        for subnet in ("subnet-a", "subnet-b")
    ]
    assert request["TagSpecifications"] == [{"ResourceType": "fleet", "Tags": tags("world", "worker")}]
    coordinator = requests.fleet("world", "coordinator", "lt-1", 1, pools[:2], "token-2")
    assert coordinator["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == "on-demand"
    assert "SpotOptions" not in coordinator
    for types in requests.WORKER_TYPES.values():
        assert len(set(types)) >= 10


def test_a_group_opens_the_mesh_to_itself_and_ssh_to_the_operator() -> None:
    assert requests.ingress("sg-1", ["192.0.2.7/32", "2001:db8::/48"]) == [
        {"IpProtocol": "tcp", "FromPort": 7700, "ToPort": 7703, "UserIdGroupPairs": [{"GroupId": "sg-1"}]},
        {"IpProtocol": "tcp", "FromPort": 7710, "ToPort": 7711, "UserIdGroupPairs": [{"GroupId": "sg-1"}]},
        {
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "IpRanges": [{"CidrIp": "192.0.2.7/32", "Description": "operator"}],
        },
        {
            "IpProtocol": "tcp",
            "FromPort": 22,
            "ToPort": 22,
            "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/48", "Description": "operator"}],
        },
    ]


def test_a_token_is_the_same_for_the_same_step_of_the_same_state() -> None:
    token = requests.client_token("world", "sg-1", "worker", "fleet-1")
    assert token == requests.client_token("world", "sg-1", "worker", "fleet-1")
    others = {
        requests.client_token(*parts)
        for parts in (("world", "sg-2", "worker", "fleet-1"), ("world", "sg-1", "worker"), ("world", "sg-1worker"))
    }
    assert len(others | {token}) == 4


# -- what an operator gives -------------------------------------------------------------------------------------------


def test_everybody_is_let_in_only_if_said_twice() -> None:
    assert operator_cidrs(["192.0.2.7", "198.51.100.9/24"]) == ("192.0.2.7/32", "198.51.100.0/24")
    for everybody in ("0.0.0.0/0", "::/0", "0.0.0.0/1"):
        with pytest.raises(UsageError, match="add --open-to-all"):
            operator_cidrs([everybody])
    assert operator_cidrs(["0.0.0.0/0"], open_to_all=True) == ("0.0.0.0/0",)
    with pytest.raises(UsageError, match="expected a network such as"):
        operator_cidrs(["here"])


def test_a_private_key_goes_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "id_ed25519"
    secret.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n")
    with pytest.raises(UsageError, match="is a private key"):
        read_public_key(secret)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_public_key(tmp_path / "missing.pub")
    for bad in ("", "ecdsa-sha2-nistp256 AAAA me", "ssh-ed25519"):
        with pytest.raises(UsageError, match="expected a line"):
            requests.key_pair("world", bad)
    request = requests.key_pair("world", f"{host_key('me')} me@here")
    assert request["PublicKeyMaterial"] == host_key("me").encode()  # the comment stays at home
    assert request["TagSpecifications"][0]["ResourceType"] == "key-pair"


def test_all_that_is_wrong_with_options_is_told_at_once() -> None:
    with pytest.raises(UsageError) as told:
        FleetOptions(workers=0, max_hours=-1, max_price=math.nan, arch="vax", coordinator_price="much").checked()
    for part in ("--workers 0", "--max-hours -1", "--max-price nan", "--arch vax", "--coordinator-price much"):
        assert part in str(told.value)
    for bad in ("", "World", "a b", "-x", "x" * 31, "$(id)"):
        with pytest.raises(UsageError):
            checked_run(bad)
    assert checked_run("world-1") == "world-1"
    assert counted("3") == 3
    for bad in ("0", "-1", "x", "1e3", "100000"):
        with pytest.raises(UsageError):
            counted(bad)


# -- host keys --------------------------------------------------------------------------------------------------------


def test_host_keys_are_those_of_the_last_whole_block() -> None:
    assert keys_of(console_of("i-1")) == (host_key("i-1"),)
    assert keys_of(console_of("i-1") + console_of("i-2")) == (host_key("i-2"),)
    begun = console_of("i-1") + "-----BEGIN SSH HOST KEY KEYS-----\n" + host_key("i-3")
    assert keys_of(begun) == (host_key("i-1"),)
    assert keys_of("") == () and keys_of("Debian GNU/Linux 12 login:") == ()


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519 AAAA",  # too short
        "ssh-rsa " + host_key("i-1").split()[1],  # says another type than it is
        "ssh-dss " + host_key("i-1").split()[1],
        "ssh-ed25519 " + "!" * 68,
        "* cert-authority",
    ],
)
def test_what_has_not_the_shape_of_a_key_is_none(line: str) -> None:
    block = f"-----BEGIN SSH HOST KEY KEYS-----\n{line}\n{host_key('i-9')} root@x\n-----END SSH HOST KEY KEYS-----\n"
    assert keys_of(block) == (host_key("i-9"),)


def test_known_hosts_remember_whose_a_key_is() -> None:
    host = FleetHost("i-1", "198.51.100.7", frozenset({"worker"}), mesh_address="10.0.0.7", instance="i-1")
    content = known_hosts([host], {"i-1": (host_key("i-1"),), "i-2": (host_key("i-2"),)})
    assert content == f"198.51.100.7,10.0.0.7 {host_key('i-1')} i-1\n"
    assert pinned(content + "# a remark\n198.51.100.8 ssh-ed25519 AAAA i-3\n") == {"i-1": (host_key("i-1"),)}


# -- shrink -----------------------------------------------------------------------------------------------------------


def test_the_dearest_go_first_and_of_those_alike_the_youngest() -> None:
    def worker(name: str, zone: str, hours: int, role: str = "worker") -> Instance:
        return Instance(name, role, "running", "t3.small", zone, True, "", "", "", NOW - timedelta(hours=hours))

    live = [
        worker("i-c", "a", 9, "coordinator"),
        worker("i-old", "a", 5),
        worker("i-young", "a", 1),
        worker("i-dear", "b", 7),
    ]
    prices = {("t3.small", "a"): 0.005, ("t3.small", "b"): 0.006}
    assert [each.id for each in leaving(live, 2, prices)] == ["i-dear", "i-young"]
    assert [each.id for each in leaving(live, 1, {})] == ["i-young"]
    for bad in (0, 4):
        with pytest.raises(UsageError, match="expected 1 to 3"):
            leaving(live, bad, prices)
