"""Settings: a TOML file, `WHOISMESH_*` variables over it, flags over both; frozen once read.

Every problem is reported at once, each with where the value came from. README.md documents the keys under "Settings".
"""

from __future__ import annotations

import ipaddress
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from whoismesh.addresses import Range, parse_space
from whoismesh.depth import ALLOCATIONS, ASSIGNMENTS, DEPTHS
from whoismesh.errors import ConfigError
from whoismesh.gossip.peers import FULL_MESH, LINKS
from whoismesh.registries import API_KEY_PARAMETERS, DEFAULTS, PROTOCOLS, REGISTRIES

ENVIRONMENT_PREFIX = "WHOISMESH_"
#: A contact goes into the User-Agent of every request.
MOST_CONTACT = 200
#: Members of one mesh: ports of one host's coordinator, four connections each.
MOST_MEMBERS = 10_000
#: 30 days: about as long as a holder may take to tell its registry of a change.
OLDER_THAN_S = 30 * 86_400.0
#: Addresses of one bulk query: 150 bytes of answer each, which stay under the longest answer that is read (1 MiB).
MOST_BATCH = 5_000


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """How one registry is asked. Rates are lookups a second, for the whole fleet and for one host; inf is no limit.

    `wait_s` is how long it is left alone after a "slow down" without a time. `timeout_s` is for a whole lookup,
    `connect_timeout_s` for its connection, `read_timeout_s` for a silence in it.
    Of the networks found, `compare` is the share that is asked about by the second protocol too, 0 to 1.
    `proxy` is an HTTP proxy's URL, `api_key` what the registry gave out; both are secrets and never shown.
    """

    rdap: str
    whois: str
    protocols: tuple[str, ...] = PROTOCOLS
    rate: float = 1.0
    host_rate: float = 1.0
    connections: int = 2
    wait_s: float = 60.0
    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 15.0
    compare: float = 0.0
    proxy: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)

    @property
    def whois_address(self) -> tuple[str, int]:
        """Host and port of the WHOIS server."""
        return _host_and_port(self.whois)


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """How Team Cymru is asked who announces an address, where `crawl.asn` wants it.

    `rate` is batches a second, for the whole fleet: no number is published, bulk queries of some thousand addresses are
    what it asks for, and who sends single queries in numbers is null-routed. `batch` is the most addresses of one,
    `patience_s` how long the end of a crawl waits for what is under way; the others are as in RegistrySettings.
    """

    whois: str = "whois.cymru.com:43"
    rate: float = 0.2
    batch: int = 1_000
    patience_s: float = 120.0
    timeout_s: float = 120.0
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    proxy: str = field(default="", repr=False)

    @property
    def whois_address(self) -> tuple[str, int]:
        """Host and port of the WHOIS server."""
        return _host_and_port(self.whois)


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """How many there are, how many listen to how many (see gossip.peers), and the folder of this host's keys."""

    most_members: int = 1_000
    full_mesh: int = FULL_MESH
    links: int = LINKS
    keys: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a crawl. `space` is empty where only a worker's part is needed.

    `prior` are files of the registries' published statistics; with `prior_settles` what they call free is not asked.
    `since` is an older dump: what it knows that is not older than `older_than_s` is not asked either.
    """

    space: tuple[Range, ...] = ()
    contact: str = ""
    prior: tuple[Path, ...] = ()
    prior_settles: bool = True
    lease_s: float = 60.0
    attempts: int = 3
    give_up_s: float = 20.0
    asn: bool = False
    bulk: tuple[Path, ...] = ()
    since: Path | None = None
    older_than_s: float = OLDER_THAN_S
    origins: OriginSettings = OriginSettings()
    depth: str = ALLOCATIONS
    assignment_v4: int = 24
    assignment_v6: int = 48
    mesh: MeshSettings = MeshSettings()
    registries: Mapping[str, RegistrySettings] = field(default_factory=dict)

    @property
    def smallest_assignments(self) -> dict[int, int]:
        """The prefix lengths of the smallest assignment that is looked for by gaps, by family."""
        return {4: self.assignment_v4, 6: self.assignment_v6}

    @property
    def asks_the_real_registries(self) -> bool:
        """Tell whether any server that is asked is not on this machine's loopback, Team Cymru's counted."""
        return not self.practises or (self.asn and not _is_loopback(self.origins.whois_address[0]))

    @property
    def practises(self) -> bool:
        """Tell whether all registries are on this machine's loopback."""
        servers = [(each.rdap, each.whois_address[0]) for each in self.registries.values()]
        return all(_is_loopback(urlsplit(rdap).hostname or "") and _is_loopback(host) for rdap, host in servers)

    @property
    def bases(self) -> dict[str, str]:
        """Which registry a server belongs to, as `answers.understand` takes it."""
        found = {}
        for registry, each in self.registries.items():
            found[each.rdap] = registry
            found[each.whois] = registry
        return found


def load(
    path: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any] | None = None,
    *,
    needs_space: bool = True,
) -> Settings:
    """Read the settings. `flags` has those of [crawl] that were given on the command line, by name.

    Raises ConfigError with every problem found.
    """
    reader = _Reader()
    table = reader.file(path)
    reader.environment(table, environment)
    for name, value in (flags or {}).items():
        if value not in (None, "", []):
            reader.lay_over(table, ("crawl", name), value, "command line")
    settings = reader.settings(table, needs_space=needs_space)
    if settings.asks_the_real_registries and not settings.contact and not reader.problems:
        reader.problems.append(
            "crawl.contact is missing: the real registries are asked only with an address at which they can reach you; "
            'give --contact noc@example.org or contact = "noc@example.org"'
        )
    if settings.asn and settings.practises and "whois" not in table.get("origins", {}) and not reader.problems:
        reader.problems.append(
            "crawl.asn: the registries are on loopback and Team Cymru is not: expected the practice server in "
            "origins.whois (write the config anew with `whoismesh practice --config-out`)"
        )
    if reader.problems:
        raise ConfigError(*reader.problems)
    return settings


class _Reader:
    """Collects problems while it reads, and remembers which value came from where."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._file = "settings"
        self._sources: dict[str, str] = {}

    def file(self, path: Path | None) -> dict[str, Any]:
        if path is None:
            return {}
        self._file = str(path)
        try:
            return tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not TOML: {error}") from None

    def environment(self, table: dict[str, Any], environment: Mapping[str, str]) -> None:
        """Lay `WHOISMESH_CRAWL_CONTACT`, `WHOISMESH_REGISTRIES_ARIN_RATE` and so on over the table."""
        for name, text in sorted(environment.items()):
            if not name.startswith(ENVIRONMENT_PREFIX):
                continue
            keys = _VARIABLES.get(name)
            if keys is None:
                self.problems.append(f"{name}: no such setting; see README.md, Settings")
            else:
                # A key of digits alone is no number.
                value = text if keys[-1] in _TEXTS else _from_text(text, list_wanted=keys[-1] in _LISTS)
                self.lay_over(table, keys, value, name)

    def lay_over(self, table: dict[str, Any], keys: tuple[str, ...], value: Any, source: str) -> None:
        """Put a value into the table, unless the file has something else than sections there (reported later)."""
        section: Any = table
        for key in keys[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                return
        section[keys[-1]] = value
        self._sources[".".join(keys)] = source

    def settings(self, table: Mapping[str, Any], *, needs_space: bool) -> Settings:
        for key in table:
            if key not in ("crawl", "mesh", "origins", "registries"):
                self._problem(key, "no such section; expected [crawl], [mesh], [origins] or [registries.NAME]")
        crawl = self._section(table, "crawl", _CRAWL)
        mesh = self._section(table, "mesh", _MESH)
        space: tuple[Range, ...] = ()
        if needs_space and isinstance(table.get("crawl", {}), dict):
            texts = crawl.get("space", [])
            if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
                try:
                    space = parse_space(texts)
                except ConfigError as error:
                    self.problems += [f"{self._source('crawl.space')}: {problem}" for problem in error.problems]
            else:
                self._problem("crawl.space", "expected a list of texts", texts)
        registries = table.get("registries", {})
        if not isinstance(registries, dict):
            self._problem("registries", "expected sections [registries.NAME]")
            registries = {}
        for name in registries:
            if name not in REGISTRIES:
                self._problem(f"registries.{name}", f"no such registry; expected one of {', '.join(REGISTRIES)}")
        return Settings(
            space=space,
            contact=self._contact(crawl.get("contact", "")),
            prior=self._paths("crawl.prior", crawl.get("prior", [])),
            prior_settles=self._flag("crawl.prior_settles", crawl.get("prior_settles", True)),
            lease_s=self._seconds("crawl.lease_s", crawl.get("lease_s", 60.0)),
            attempts=self._count("crawl.attempts", crawl.get("attempts", 3)),
            give_up_s=self._number("crawl.give_up_s", crawl.get("give_up_s", 20.0)),
            asn=self._flag("crawl.asn", crawl.get("asn", False)),
            bulk=self._paths("crawl.bulk", crawl.get("bulk", [])),
            since=self._path("crawl.since", crawl.get("since", ""), "a file"),
            older_than_s=self._number("crawl.older_than_s", crawl.get("older_than_s", OLDER_THAN_S)),
            origins=self._origins(table),
            depth=self._depth("crawl.depth", crawl.get("depth", ALLOCATIONS)),
            assignment_v4=self._count("crawl.assignment_v4", crawl.get("assignment_v4", 24), 32),
            assignment_v6=self._count("crawl.assignment_v6", crawl.get("assignment_v6", 48), 128),
            mesh=MeshSettings(
                most_members=self._count(
                    "mesh.most_members", mesh.get("most_members", MeshSettings().most_members), MOST_MEMBERS
                ),
                full_mesh=self._count("mesh.full_mesh", mesh.get("full_mesh", FULL_MESH), MOST_MEMBERS),
                links=self._count("mesh.links", mesh.get("links", LINKS), MOST_MEMBERS),
                keys=self._path("mesh.keys", mesh.get("keys", ""), "a folder"),
            ),
            registries={registry: self._registry(registries, registry) for registry in REGISTRIES},
        )

    def _registry(self, registries: Mapping[str, Any], name: str) -> RegistrySettings:
        where = f"registries.{name}"
        section = self._section(registries, name, _REGISTRY, where)
        default = DEFAULTS[name]
        rate = self._number(f"{where}.rate", section.get("rate", default.rate))
        # Whoever sets the fleet's rate and says nothing of the host's has no other limit in mind.
        host_default = rate if "rate" in section else default.host_rate
        protocols = self._protocols(f"{where}.protocols", section.get("protocols", list(PROTOCOLS)))
        return RegistrySettings(
            rdap=self._url(f"{where}.rdap", section.get("rdap", default.rdap)),
            whois=self._host_port(f"{where}.whois", section.get("whois", default.whois)),
            protocols=protocols,
            rate=rate,
            host_rate=self._number(f"{where}.host_rate", section.get("host_rate", host_default)),
            connections=self._count(f"{where}.connections", section.get("connections", default.connections)),
            wait_s=self._seconds(f"{where}.wait_s", section.get("wait_s", default.wait_s)),
            timeout_s=self._seconds(f"{where}.timeout_s", section.get("timeout_s", 30.0)),
            connect_timeout_s=self._seconds(f"{where}.connect_timeout_s", section.get("connect_timeout_s", 10.0)),
            read_timeout_s=self._seconds(f"{where}.read_timeout_s", section.get("read_timeout_s", 15.0)),
            compare=self._compare(f"{where}.compare", section.get("compare", 0.0), protocols),
            proxy=self._proxy(f"{where}.proxy", section.get("proxy", "")),
            api_key=self._api_key(where, name, section.get("api_key", ""), section.get("rdap", default.rdap)),
        )

    def _origins(self, table: Mapping[str, Any]) -> OriginSettings:
        section = self._section(table, "origins", _ORIGINS)
        found = {each.name: section.get(each.name, each.default) for each in fields(OriginSettings)}
        return OriginSettings(
            whois=self._host_port("origins.whois", found["whois"]),
            rate=self._number("origins.rate", found["rate"]),
            batch=self._count("origins.batch", found["batch"], MOST_BATCH),
            proxy=self._proxy("origins.proxy", found["proxy"]),
            **{name: self._seconds(f"origins.{name}", found[name]) for name in found if name.endswith("_s")},
        )

    # -- one value each -----------------------------------------------------------------------------------------

    def _source(self, key: str) -> str:
        return self._sources.get(key, self._file)

    def _problem(self, key: str, text: str, *got: Any) -> None:
        shown = "".join(f", got {repr(value)[:_SHOWN]}" for value in got)
        self.problems.append(f"{self._source(key)}: {key}: {text}{shown}")

    def _section(self, table: Mapping[str, Any], name: str, known: frozenset[str], where: str = "") -> dict[str, Any]:
        section = table.get(name, {})
        if not isinstance(section, dict):
            self._problem(where or name, "expected a section")
            return {}
        for key in section:
            if key not in known:
                self._problem(f"{where or name}.{key}", f"no such setting; expected one of {', '.join(sorted(known))}")
        return section

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value <= 0:
            self._problem(key, "expected a number above 0", value)
            return 1.0
        return float(value)

    def _seconds(self, key: str, value: Any) -> float:
        if isinstance(value, float) and math.isinf(value):
            self._problem(key, "expected a number above 0 and below infinity", value)
            return 1.0
        return self._number(key, value)

    def _count(self, key: str, value: Any, most: int = 1_000) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            self._problem(key, f"expected a count of 1 to {most}", value)
            return 1
        return value

    def _depth(self, key: str, value: Any) -> str:
        if value in DEPTHS:
            return str(value)
        self._problem(key, f'expected "{ALLOCATIONS}" or "{ASSIGNMENTS}"', value)
        return ALLOCATIONS

    def _paths(self, key: str, value: Any) -> tuple[Path, ...]:
        if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
            return tuple(map(Path, value))
        self._problem(key, "expected a list of files", value)
        return ()

    def _flag(self, key: str, value: Any) -> bool:
        if not isinstance(value, bool):
            self._problem(key, "expected true or false", value)
            return False
        return value

    def _compare(self, key: str, value: Any, protocols: tuple[str, ...]) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self._problem(key, "expected a share of 0 to 1", value)
        elif value and len(protocols) < 2:
            self._problem(key, f"nothing to compare: protocols has {protocols[0]} alone; name both or leave this out")
        else:
            return float(value)
        return 0.0

    def _path(self, key: str, value: Any, what: str) -> Path | None:
        if isinstance(value, str):
            return Path(value) if value else None
        self._problem(key, f"expected {what}", value)
        return None

    def _contact(self, value: Any) -> str:
        if value == "":
            return ""
        # It goes into a header: one line of ASCII.
        plain = isinstance(value, str) and len(value) <= MOST_CONTACT and value.isprintable() and value.isascii()
        if not plain or ("@" not in value and "://" not in value):
            self._problem("crawl.contact", "expected a mail address or URL", value)
            return ""
        return str(value)

    def _url(self, key: str, value: Any) -> str:
        try:
            if isinstance(value, str) and _PLAIN.fullmatch(value):
                parts = urlsplit(value)
                if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
                    return value if value.endswith("/") else f"{value}/"
        except ValueError:
            pass
        self._problem(key, "expected an http or https URL", value)
        return "http://127.0.0.1:1/"

    def _proxy(self, key: str, value: Any) -> str:
        """Check a proxy's URL. What is wrong with it is told without it: it may hold a password."""
        try:
            if value == "":
                return ""
            if isinstance(value, str) and _PLAIN.fullmatch(value):
                parts = urlsplit(value)
                if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.path in ("", "/"):
                    return value
        except ValueError:
            pass
        self._problem(key, "expected http://[USER:PASSWORD@]HOST:PORT")
        return ""

    def _api_key(self, where: str, registry: str, value: Any, rdap: Any) -> str:
        """Check an API key, likewise; it goes nowhere in the clear."""
        key = f"{where}.api_key"
        if value == "":
            return ""
        if registry not in API_KEY_PARAMETERS:
            self._problem(key, f"{registry} takes no key; expected one for {', '.join(API_KEY_PARAMETERS)} only")
        elif not (isinstance(value, str) and _API_KEY.fullmatch(value)):
            self._problem(key, "expected up to 200 letters, digits and . _ ~ -")
        elif not (str(rdap).startswith("https://") or _is_loopback(_host_of(rdap))):
            self._problem(key, f"would be sent in the clear; expected an https URL in {where}.rdap")
        else:
            return value
        return ""

    def _host_port(self, key: str, value: Any) -> str:
        if isinstance(value, str) and _HOST_PORT.fullmatch(value) and 0 < int(value.rpartition(":")[2]) < 65536:
            return value
        self._problem(key, "expected HOST:PORT", value)
        return "127.0.0.1:1"

    def _protocols(self, key: str, value: Any) -> tuple[str, ...]:
        if (
            isinstance(value, list)
            and value
            and all(each in PROTOCOLS for each in value)
            and len(set(value)) == len(value)
        ):
            return tuple(value)
        self._problem(key, 'expected a list of "rdap" and "whois" in order of preference', value)
        return PROTOCOLS


_CRAWL = frozenset(
    {
        *("space", "contact", "prior", "prior_settles", "lease_s", "attempts", "give_up_s", "asn", "bulk"),
        *("depth", "assignment_v4", "assignment_v6", "since", "older_than_s"),
    }
)
_MESH = frozenset(each.name for each in fields(MeshSettings))
_ORIGINS = frozenset(each.name for each in fields(OriginSettings))
_REGISTRY = frozenset(each.name for each in fields(RegistrySettings))
_LISTS = frozenset({"space", "protocols", "prior", "bulk"})
_TEXTS = frozenset({"proxy", "api_key", "keys"})
#: Every variable there is, and the keys it goes to.
_VARIABLES = {
    ENVIRONMENT_PREFIX + "_".join(keys).upper(): keys
    for keys in (
        *(("crawl", key) for key in _CRAWL),
        *(("mesh", key) for key in _MESH),
        *(("origins", key) for key in _ORIGINS),
        *(("registries", registry, key) for registry in REGISTRIES for key in _REGISTRY),
    )
}
#: A base URL: addresses are appended, so neither query nor fragment can follow.
_PLAIN = re.compile(r"[^\s?#]+")
#: The characters that mean the same in a URL, quoted or not (RFC 3986 section 2.3).
_API_KEY = re.compile(r"[A-Za-z0-9._~-]{1,200}")
_HOST_PORT = re.compile(r"(\[[^\s\[\]]+\]|[^\s\[\]]+):[0-9]{1,5}")
#: So much of a wrong value is shown.
_SHOWN = 100


def _from_text(text: str, *, list_wanted: bool) -> Any:
    """Read a value from the environment as TOML would, with plain words and comma-separated lists besides."""
    if list_wanted and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _host_and_port(whois: str) -> tuple[str, int]:
    host, _, port = whois.rpartition(":")
    return host.strip("[]"), int(port)


def _host_of(url: Any) -> str:
    try:
        return urlsplit(url).hostname or "" if isinstance(url, str) else ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
