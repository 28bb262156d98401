from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest

from whoismesh.addresses import Range
from whoismesh.errors import ConfigError
from whoismesh.registries import DEFAULTS, REGISTRIES
from whoismesh.settings import MeshSettings, OriginSettings, RegistrySettings, Settings, load

#: All five registries on loopback, so that no contact is needed.
LOCAL = "".join(
    f'[registries.{registry}]\nrdap = "http://127.0.0.1:8{number}/"\nwhois = "127.0.0.1:43{number}"\n'
    for number, registry in enumerate(REGISTRIES)
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def problems(path: Path | None, environment: dict[str, str] | None = None, **flags: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, environment or {}, flags)
    assert all("\n" not in problem for problem in caught.value.problems)
    return list(caught.value.problems)


def test_without_a_file_the_real_registries_are_asked_at_a_careful_pace() -> None:
    settings = load(None, {}, {"space": ["193.0.0.0/8"], "contact": "noc@example.org"})
    assert settings.space == (Range.parse("193.0.0.0/8"),)
    assert settings.contact == "noc@example.org"
    assert settings.asks_the_real_registries
    assert (settings.lease_s, settings.attempts, settings.give_up_s) == (60.0, 3, 20.0)
    assert list(settings.registries) == list(REGISTRIES)
    for registry, default in DEFAULTS.items():
        expected = RegistrySettings(**dataclasses.asdict(default))  # type: ignore[arg-type]
        assert settings.registries[registry] == expected
        assert expected.rate <= 2


def test_every_key_of_the_file_is_read(config: Path) -> None:
    config.write_text(
        """
        [crawl]
        space = ["193.0.0.0/8", "200.3.12.0-200.3.15.255"]
        contact = "https://example.org/crawl"
        lease_s = 5
        attempts = 7
        give_up_s = inf
        depth = "assignments"
        assignment_v4 = 29
        assignment_v6 = 56
        asn = true
        bulk = ["ripe.db.inetnum.gz", "/data/afrinic.db"]
        prior = ["delegated-lacnic-extended-latest"]
        prior_settles = false
        [origins]
        whois = "127.0.0.1:4300"
        rate = 0.5
        batch = 500
        patience_s = 7
        timeout_s = 9
        connect_timeout_s = 3
        read_timeout_s = 4
        proxy = "http://proxy.example.org:3128"
        [mesh]
        links = 5
        [registries.lacnic]
        rdap = "http://[::1]:8080/rdap"
        whois = "[::1]:4343"
        protocols = ["whois"]
        rate = 4
        host_rate = 0.5
        connections = 9
        wait_s = 120
        timeout_s = 2.5
        connect_timeout_s = 1
        read_timeout_s = 2
        compare = 0
        proxy = "http://me:pass@proxy.example.org:3128"
        api_key = "123"
        """
    )
    settings = load(config, {})
    assert settings.space == (Range.parse("193.0.0.0/8"), Range.parse("200.3.12.0/22"))
    assert (settings.contact, settings.lease_s, settings.attempts) == ("https://example.org/crawl", 5.0, 7)
    assert settings.give_up_s == math.inf
    assert (settings.depth, settings.smallest_assignments) == ("assignments", {4: 29, 6: 56})
    assert settings.mesh == MeshSettings(1_000, 32, 5)
    assert settings.asn
    assert (settings.prior, settings.prior_settles) == ((Path("delegated-lacnic-extended-latest"),), False)
    assert settings.bulk == (Path("ripe.db.inetnum.gz"), Path("/data/afrinic.db"))
    assert settings.origins == OriginSettings(
        "127.0.0.1:4300", 0.5, 500, 7.0, 9.0, 3.0, 4.0, "http://proxy.example.org:3128"
    )
    assert settings.origins.whois_address == ("127.0.0.1", 4300)
    assert settings.registries["lacnic"] == RegistrySettings(
        "http://[::1]:8080/rdap/",
        "[::1]:4343",
        ("whois",),
        4.0,
        0.5,
        9,
        120.0,
        2.5,
        1.0,
        2.0,
        0.0,
        "http://me:pass@proxy.example.org:3128",
        "123",
    )
    assert settings.registries["lacnic"].whois_address == ("::1", 4343)
    assert settings.bases["http://[::1]:8080/rdap/"] == settings.bases["[::1]:4343"] == "lacnic"
    assert settings.bases["whois.ripe.net:43"] == "ripencc"
    # No key was forgotten above.
    assert {each.name for each in dataclasses.fields(RegistrySettings)} == {
        "rdap", "whois", "protocols", "rate", "host_rate", "connections", "wait_s", "timeout_s",
        "connect_timeout_s", "read_timeout_s", "compare", "proxy", "api_key",
    }  # fmt: skip
    assert {each.name for each in dataclasses.fields(OriginSettings)} == {
        "whois", "rate", "batch", "patience_s", "timeout_s", "connect_timeout_s", "read_timeout_s", "proxy",
    }  # fmt: skip
    assert {each.name for each in dataclasses.fields(Settings)} == {
        "space", "contact", "lease_s", "attempts", "give_up_s", "asn", "bulk", "depth", "assignment_v4",
        "assignment_v6", "prior", "prior_settles", "since", "older_than_s", "origins", "mesh", "registries",
    }  # fmt: skip


def test_the_readme_names_every_setting() -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
    named = set(re.findall(r"^\| `((?:crawl|mesh|origins|registries)\.[\w.]+)` \|", readme, re.MULTILINE))
    sections = {"mesh": MeshSettings, "origins": OriginSettings, "registries.NAME": RegistrySettings}
    expected = {f"{name}.{each.name}" for name, section in sections.items() for each in dataclasses.fields(section)}
    crawl = {each.name for each in dataclasses.fields(Settings)} - {"mesh", "origins", "registries"}
    assert named == expected | {f"crawl.{name}" for name in crawl}


def test_origins_are_asked_of_the_real_server_only_with_a_contact_and_never_for_practice(config: Path) -> None:
    config.write_text('[crawl]\nspace = ["193.0.0.0/8"]\nasn = true\n[origins]\nwhois = "whois.cymru.com:43"\n' + LOCAL)
    (problem,) = problems(config)
    assert "crawl.contact is missing" in problem
    assert load(config, {}, {"contact": "noc@example.org"}).asks_the_real_registries
    config.write_text('[crawl]\nspace = ["193.0.0.0/8"]\ncontact = "practice@example.org"\n' + LOCAL)
    assert not load(config, {}).asks_the_real_registries
    (problem,) = problems(config, asn=True)
    assert problem.startswith("crawl.asn: the registries are on loopback and Team Cymru is not")
    assert load(config, {"WHOISMESH_ORIGINS_WHOIS": "127.0.0.1:4300"}, {"asn": True}).origins.whois == "127.0.0.1:4300"


def test_variables_go_over_the_file_and_flags_over_both(config: Path) -> None:
    config.write_text('[crawl]\nspace = ["193.0.0.0/8"]\ncontact = "file@example.org"\nattempts = 2\n' + LOCAL)
    environment = {
        "WHOISMESH_CRAWL_CONTACT": "variable@example.org",
        "WHOISMESH_CRAWL_SPACE": "194.0.0.0/8, 195.0.0.0-195.0.0.9",
        "WHOISMESH_CRAWL_LEASE_S": "2.5",
        "WHOISMESH_REGISTRIES_ARIN_RATE": "inf",
        "WHOISMESH_REGISTRIES_ARIN_HOST_RATE": "3",
        "WHOISMESH_REGISTRIES_APNIC_PROTOCOLS": "whois,rdap",
        "WHOISMESH_REGISTRIES_AFRINIC_PROTOCOLS": '["rdap"]',
        "WHOISMESH_REGISTRIES_RIPENCC_RDAP": "http://localhost:1/",
        "WHOISMESH_REGISTRIES_RIPENCC_CONNECTIONS": "5",
        "PATH": "/bin",
        "whoismesh_crawl_contact": "lower@example.org",
    }
    settings = load(config, environment)
    assert settings.contact == "variable@example.org"
    assert settings.space == (Range.parse("194.0.0.0/8"), Range.parse("195.0.0.0-195.0.0.9"))
    assert (settings.lease_s, settings.attempts) == (2.5, 2)
    assert settings.registries["arin"].rate == math.inf
    assert settings.registries["arin"].host_rate == 3.0
    assert settings.registries["apnic"].protocols == ("whois", "rdap")
    assert settings.registries["afrinic"].protocols == ("rdap",)
    assert settings.registries["ripencc"].rdap == "http://localhost:1/"
    assert settings.registries["ripencc"].connections == 5

    flags = {"space": ["196.0.0.0/8"], "contact": "flag@example.org"}
    assert load(config, environment, flags).contact == "flag@example.org"
    assert load(config, environment, flags).space == (Range.parse("196.0.0.0/8"),)
    assert load(config, environment, {"space": [], "contact": ""}) == settings


def test_the_host_s_rate_follows_the_fleet_s_unless_it_is_said(config: Path) -> None:
    config.write_text("[registries.arin]\nrate = 40\n[registries.lacnic]\nhost_rate = 0.1\n")
    settings = load(config, {}, {"space": ["ipv4"], "contact": "noc@example.org"})
    assert (settings.registries["arin"].rate, settings.registries["arin"].host_rate) == (40.0, 40.0)
    assert (settings.registries["lacnic"].rate, settings.registries["lacnic"].host_rate) == (0.15, 0.1)
    assert settings.registries["ripencc"].host_rate == DEFAULTS["ripencc"].host_rate
    assert (settings.registries["lacnic"].wait_s, settings.registries["ripencc"].wait_s) == (300.0, 60.0)


def test_a_contact_is_needed_as_soon_as_one_server_is_not_on_loopback(config: Path) -> None:
    space = '[crawl]\nspace = ["193.0.0.0/8"]\n'
    config.write_text(space + LOCAL)
    assert not load(config, {}).asks_the_real_registries
    for changed in (
        LOCAL.replace("http://127.0.0.1:80/", "https://rdap.arin.net/registry/"),
        LOCAL.replace('"127.0.0.1:431"', '"whois.ripe.net:43"'),
        LOCAL.replace('"127.0.0.1:431"', '"192.168.0.1:43"'),
        LOCAL.replace("http://127.0.0.1:80/", "http://localhost.example.org/"),
    ):
        config.write_text(space + changed)
        (problem,) = problems(config)
        assert "crawl.contact is missing" in problem
        assert "--contact" in problem
        assert load(config, {}, {"contact": "noc@example.org"}).asks_the_real_registries


def test_a_worker_needs_no_space() -> None:
    assert load(None, {}, {"contact": "noc@example.org"}, needs_space=False).space == ()
    assert "space is empty" in problems(None, contact="noc@example.org")[0]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (
            "[crawl]\nrate = 1",
            "crawl.rate: no such setting; expected one of asn, assignment_v4, assignment_v6, attempts, bulk, contact",
        ),
        ("[registries.arin]\nrates = 1", "registries.arin.rates: no such setting; expected one of api_key, "),
        ("[registries.iana]\nrate = 1", "registries.iana: no such registry; expected one of arin, ripencc"),
        ("[worker]\nrate = 1", "worker: no such section"),
        ("[mesh]\nlink = 1", "mesh.link: no such setting; expected one of full_mesh, keys, links, most_members"),
        ("[mesh]\nlinks = 0", "mesh.links: expected a count of 1 to 10000, got 0"),
        ("crawl = 5", "crawl: expected a section"),
        ("registries = 5", "registries: expected sections"),
        ("[registries]\narin = 5", "registries.arin: expected a section"),
        ('[crawl]\nspace = "193.0.0.0/8"', "crawl.space: expected a list of texts"),
        ("[crawl]\nspace = [1]", "crawl.space: expected a list of texts"),
        ('[crawl]\nspace = ["193.0.0.0/99"]', "'193.0.0.0/99' is no CIDR"),
        ("[crawl]\ncontact = 5", "crawl.contact: expected a mail address or URL"),
        ('[crawl]\ncontact = "me"', "crawl.contact: expected a mail address or URL"),
        ('[crawl]\ncontact = "é@example.org"', "crawl.contact: expected a mail address or URL"),
        ('[crawl]\ncontact = "a@example.org\\r\\nX: y"', "crawl.contact: expected a mail address or URL"),
        (f'[crawl]\ncontact = "{"a" * 200}@example.org"', "crawl.contact: expected a mail address or URL"),
        ("[crawl]\nlease_s = 0", "crawl.lease_s: expected a number above 0"),
        ("[crawl]\nlease_s = nan", "crawl.lease_s: expected a number above 0"),
        ("[crawl]\nlease_s = inf", "crawl.lease_s: expected a number above 0"),
        ("[crawl]\ngive_up_s = -1", "crawl.give_up_s: expected a number above 0"),
        ('[crawl]\ndepth = "all"', 'crawl.depth: expected "allocations" or "assignments"'),
        ("[crawl]\ndepth = 2", 'crawl.depth: expected "allocations" or "assignments"'),
        ("[crawl]\nassignment_v4 = 33", "crawl.assignment_v4: expected a count of 1 to 32"),
        ("[crawl]\nassignment_v6 = 0", "crawl.assignment_v6: expected a count of 1 to 128"),
        ("[crawl]\nattempts = 0", "crawl.attempts: expected a count of 1 to 1000"),
        ("[crawl]\nattempts = 1.5", "crawl.attempts: expected a count of 1 to 1000"),
        ("[crawl]\nattempts = true", "crawl.attempts: expected a count of 1 to 1000"),
        ("[registries.arin]\nrate = 0", "registries.arin.rate: expected a number above 0"),
        ("[registries.arin]\nrate = -1", "registries.arin.rate: expected a number above 0"),
        ("[registries.arin]\nrate = nan", "registries.arin.rate: expected a number above 0"),
        ("[registries.arin]\nrate = true", "registries.arin.rate: expected a number above 0"),
        ('[registries.arin]\nrate = "fast"', "registries.arin.rate: expected a number above 0"),
        ("[registries.arin]\nhost_rate = 0", "registries.arin.host_rate: expected a number above 0"),
        ("[registries.arin]\ntimeout_s = inf", "registries.arin.timeout_s: expected a number above 0"),
        ("[registries.arin]\nconnections = 1001", "registries.arin.connections: expected a count of 1 to 1000"),
        ('[registries.arin]\nrdap = "ftp://example.org/"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "rdap.example.org"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://[::1"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://h:99999/"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://h/?q="', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://h/#top"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://h/a b"', "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nrdap = "http://h/\\n"', "registries.arin.rdap: expected an http or https URL"),
        ("[registries.arin]\nrdap = 5", "registries.arin.rdap: expected an http or https URL"),
        ('[registries.arin]\nwhois = "whois.arin.net"', "registries.arin.whois: expected HOST:PORT"),
        ('[registries.arin]\nwhois = ":43"', "registries.arin.whois: expected HOST:PORT"),
        ('[registries.arin]\nwhois = "[]:43"', "registries.arin.whois: expected HOST:PORT"),
        ('[registries.arin]\nwhois = "a b:43"', "registries.arin.whois: expected HOST:PORT"),
        ('[registries.arin]\nwhois = "h:0"', "registries.arin.whois: expected HOST:PORT"),
        ('[registries.arin]\nwhois = "h:65536"', "registries.arin.whois: expected HOST:PORT"),
        pytest.param(
            f'[registries.arin]\nwhois = "h:{"9" * 5_000}"', "registries.arin.whois: expected", id="endless port"
        ),
        ('[registries.arin]\nwhois = "h:٤٣"', "registries.arin.whois: expected HOST:PORT"),
        ("[registries.arin]\nwhois = 43", "registries.arin.whois: expected HOST:PORT"),
        ("[registries.arin]\nprotocols = []", "registries.arin.protocols: expected a list"),
        ('[registries.arin]\nprotocols = ["rdap", "rdap"]', "registries.arin.protocols: expected a list"),
        ('[registries.arin]\nprotocols = ["http"]', "registries.arin.protocols: expected a list"),
        ('[registries.arin]\nprotocols = [["rdap"]]', "registries.arin.protocols: expected a list"),
        ('[registries.arin]\nprotocols = "rdap"', "registries.arin.protocols: expected a list"),
    ],
)
def test_a_bad_value_is_one_problem_that_names_file_and_key(config: Path, text: str, where: str) -> None:
    config.write_text(text)
    flags: dict[str, Any] = {"contact": "noc@example.org"} if "contact" not in text else {}
    if "space" not in text:
        flags["space"] = ["193.0.0.0/8"]
    (problem,) = problems(config, **flags)
    assert problem.startswith(f"{config}: ")
    assert where in problem
    assert len(problem) < 400 + len(str(config))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WHOISMESH_CRAWL_ATTEMPTS", "many", "crawl.attempts: expected a count"),
        ("WHOISMESH_CRAWL_SPACE", "193.0.0.0/99", "'193.0.0.0/99' is no CIDR"),
        ("WHOISMESH_CRAWL_SPACE", "[1]", "crawl.space: expected a list of texts"),
        ("WHOISMESH_REGISTRIES_ARIN_RATE", "", "registries.arin.rate: expected a number"),
        ("WHOISMESH_REGISTRIES_ARIN_WHOIS", "43", "registries.arin.whois: expected HOST:PORT"),
    ],
)
def test_a_bad_value_of_a_variable_names_the_variable(config: Path, name: str, value: str, expected: str) -> None:
    config.write_text('[crawl]\nspace = ["193.0.0.0/8"]\ncontact = "noc@example.org"\n')
    (problem,) = problems(config, {name: value})
    assert problem.startswith(f"{name}: ")
    assert expected in problem


@pytest.mark.parametrize(
    "name",
    [
        "WHOISMESH_",
        "WHOISMESH_CRAWL",
        "WHOISMESH_CRAWL_",
        "WHOISMESH_CRAWL_RATE",
        "WHOISMESH_SPACE",
        "WHOISMESH_REGISTRIES",
        "WHOISMESH_REGISTRIES_ARIN",
        "WHOISMESH_REGISTRIES_ARIN_RATES",
        "WHOISMESH_REGISTRIES_IANA_RATE",
        "WHOISMESH_REGISTRIES_RATE",
    ],
)
def test_a_variable_that_is_no_setting_is_a_problem(name: str) -> None:
    (problem,) = problems(None, {name: "1"}, space=["ipv4"], contact="noc@example.org")
    assert problem == f"{name}: no such setting; see README.md, Settings"


def test_a_file_of_the_wrong_shape_is_reported_once_whatever_lies_over_it(config: Path) -> None:
    config.write_text('registries = 5\ncrawl = "x"')
    environment = {"WHOISMESH_REGISTRIES_ARIN_RATE": "2", "WHOISMESH_CRAWL_ATTEMPTS": "2"}
    found = problems(config, environment, contact="noc@example.org", space=["ipv4"])
    assert found == [
        f"{config}: crawl: expected a section",
        f"{config}: registries: expected sections [registries.NAME]",
    ]


def test_all_problems_are_reported_at_once(config: Path) -> None:
    config.write_text(
        """
        [crawl]
        space = ["x", "10.0.0.0/8", "10.0.0.0/9"]
        contact = "me"
        colour = "blue"
        [registries.arin]
        rate = -1
        whois = "h"
        [registries.nowhere]
        [weather]
        """
    )
    found = problems(config, {"WHOISMESH_NOTHING": "1", "WHOISMESH_REGISTRIES_APNIC_TIMEOUT_S": "soon"})
    for part in (
        "WHOISMESH_NOTHING",
        "weather",
        "crawl.colour",
        "'x'",
        "overlap",
        "registries.nowhere",
        "crawl.contact",
        "registries.arin.rate",
        "registries.arin.whois",
        "registries.apnic.timeout_s",
    ):
        assert sum(part in problem for problem in found) == 1, part
    assert len(found) == 10


def test_what_is_wrong_on_the_command_line_is_not_said_of_the_file(config: Path) -> None:
    config.write_text(LOCAL)
    (problem,) = problems(config, space=["nonsense"])
    assert str(config) not in problem
    assert "space: 'nonsense' is no IPv4 or IPv6 address" in problem


@pytest.mark.parametrize("text", [b"[crawl", b"a = 1\na = 2", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(config: Path, text: bytes) -> None:
    config.write_bytes(text)
    (problem,) = problems(config)
    assert problem.startswith(f"{config}: is not TOML: ")


def test_a_file_that_cannot_be_read_is_named(config: Path, tmp_path: Path) -> None:
    assert problems(config) == [f"{config}: cannot be read: No such file or directory"]
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


@pytest.mark.parametrize(
    ("registry", "line", "problem"),
    [
        ("lacnic", 'api_key = "s3cret key"', "expected up to 200 letters, digits"),
        ("lacnic", "api_key = 31337", "expected up to 200 letters, digits"),
        ("arin", 'api_key = "s3cret"', "arin takes no key"),
        ("lacnic", 'api_key = "s3cret"\nrdap = "http://rdap.example.org/"', "would be sent in the clear"),
        ("arin", 'proxy = "socks5://me:s3cret@127.0.0.1:1080"', "expected http://[USER:PASSWORD@]HOST:PORT"),
        ("arin", 'proxy = "http://me:s3cret@127.0.0.1:port"', "expected http://[USER:PASSWORD@]HOST:PORT"),
        ("arin", "proxy = 31337", "expected http://[USER:PASSWORD@]HOST:PORT"),
    ],
)
def test_a_bad_secret_is_told_without_it(config: Path, registry: str, line: str, problem: str) -> None:
    config.write_text(f'[crawl]\nspace = ["193.0.0.0/8"]\ncontact = "a@example.org"\n[registries.{registry}]\n{line}\n')
    with pytest.raises(ConfigError) as caught:
        load(config, {})
    assert problem in str(caught.value)
    assert "s3cret" not in str(caught.value) and "31337" not in str(caught.value)


def test_a_key_from_the_environment_is_a_text(config: Path) -> None:
    config.write_text('[crawl]\nspace = ["193.0.0.0/8"]\ncontact = "a@example.org"\n')
    settings = load(config, {"WHOISMESH_REGISTRIES_LACNIC_API_KEY": "31337"})
    assert settings.registries["lacnic"].api_key == "31337"
    assert "31337" not in repr(settings)


def test_a_share_to_compare_is_one_and_needs_two_protocols(config: Path) -> None:
    config.write_text(
        '[crawl]\nspace = ["193.0.0.0/8"]\n' + LOCAL.replace("[registries.arin]", "[registries.arin]\ncompare = 0.01")
    )
    found = load(config, {"WHOISMESH_REGISTRIES_APNIC_COMPARE": "1"})
    shares = {registry: each.compare for registry, each in found.registries.items()}
    assert shares == {"arin": 0.01, "ripencc": 0.0, "apnic": 1.0, "lacnic": 0.0, "afrinic": 0.0}
    for wrong in ("-0.1", "1.5", "nan", "true", "x"):
        (problem,) = problems(config, {"WHOISMESH_REGISTRIES_APNIC_COMPARE": wrong})
        assert "registries.apnic.compare: expected a share of 0 to 1, got" in problem
    (problem,) = problems(config, {"WHOISMESH_REGISTRIES_ARIN_PROTOCOLS": "whois"})
    assert "registries.arin.compare: nothing to compare: protocols has whois alone" in problem
