"""What the tasks on EC2 can be told, with defaults that fit a first crawl; checked before anything is asked. Pure."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from whoismesh.errors import UsageError
from whoismesh.fleet.ec2.requests import COORDINATOR_TYPES, WORKER_TYPES, X86_64
from whoismesh.fleet.ec2.tags import checked_run

#: A year and a day would be a mistake; a fortnight is a long crawl.
MOST_HOURS = 24 * 31
MOST_WORKERS = 1_000


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """A fleet as it was asked for. Lists are separated by commas, prices are USD."""

    run: str = "whoismesh"
    workers: int = 3
    config: str | None = None
    arch: str = X86_64
    types: str = ""
    coordinator_type: str = ""
    coordinator_price: str = ""
    image: str = ""
    login: str = ""
    subnets: str = ""
    operator_cidr: str = ""
    open_to_all: bool = False
    public_key: str = ""
    key_name: str = ""
    max_hours: float = 48.0
    max_price: float = 2.0
    max_total: float = 50.0
    days: float = 3.0
    json: bool = False

    @property
    def worker_types(self) -> tuple[str, ...]:
        """The types of instance that workers may be."""
        return _listed(self.types) or WORKER_TYPES[self.arch]

    @property
    def coordinating_type(self) -> str:
        """The type of instance that the coordinator is."""
        return self.coordinator_type or COORDINATOR_TYPES[self.arch]

    @property
    def given_price(self) -> float | None:
        """The coordinator's price an hour, where it was given."""
        return float(self.coordinator_price) if self.coordinator_price else None

    @property
    def given_subnets(self) -> tuple[str, ...]:
        """The subnets that were given."""
        return _listed(self.subnets)

    @property
    def given_cidrs(self) -> tuple[str, ...]:
        """The operator's networks that were given."""
        return _listed(self.operator_cidr)

    def checked(self) -> FleetOptions:
        """Return these. Raises UsageError with all that is wrong with them."""
        checked_run(self.run)
        problems = [
            f"--{name.replace('_', '-')} {getattr(self, name):g}: expected more than 0"
            for name in ("max_hours", "max_price", "max_total", "days")
            if not 0 < getattr(self, name) < math.inf
        ]
        if self.max_hours > MOST_HOURS:
            problems.append(f"--max-hours {self.max_hours:g}: expected {MOST_HOURS} at most")
        if not 0 < self.workers <= MOST_WORKERS:
            problems.append(f"--workers {self.workers}: expected 1 to {MOST_WORKERS}")
        if self.arch not in WORKER_TYPES:
            problems.append(f"--arch {self.arch}: expected {' or '.join(WORKER_TYPES)}")
        if self.public_key and self.key_name:
            problems.append("--public-key and --key-name: expected one of them")
        try:
            if self.given_price is not None and not 0 < self.given_price < math.inf:
                raise ValueError
        except ValueError:
            problems.append(f"--coordinator-price {self.coordinator_price}: expected USD an hour, such as 0.05")
        if problems:
            raise UsageError("; ".join(problems))
        return self


HELP = {
    "run": "name of the fleet; everything on EC2 carries it as a tag",
    "workers": "spot instances, beside one coordinator on demand",
    "config": "the crawl's settings (TOML), which tell the hours (default: those of the last deploy)",
    "arch": "x86_64 or arm64; the wheels are made where fab runs, so the same as there",
    "types": "types of instance for workers, with commas (default: a dozen small ones)",
    "coordinator-type": "type of the coordinator's instance (default: t3.medium or t4g.medium)",
    "coordinator-price": "its USD an hour, where the Pricing API may not be asked",
    "image": "an AMI (default: what `fab bake` made for the run, else Debian 12)",
    "login": "user that ssh logs in as (default: the image's, admin for Debian)",
    "subnets": "subnets of one VPC, with commas (default: those of the default VPC)",
    "operator-cidr": "networks that may use ssh, with commas (default: the address that AWS sees you come from)",
    "open-to-all": "let --operator-cidr name everybody",
    "public-key": "file with your public ssh key (default: ~/.ssh/id_ed25519.pub or id_rsa.pub)",
    "key-name": "a key pair that EC2 has already, instead",
    "max-hours": "hosts end by themselves after so many hours, the coordinator 12 later",
    "max-price": "USD an hour that the fleet may cost at most",
    "max-total": "USD that the crawl may cost at most",
    "days": "days of spot prices to look back",
    "json": "print JSON",
}


def help_for(without: frozenset[str] = frozenset(), **more: str) -> dict[str, str]:
    """Return the help of the options but some, and of a task's own parameters."""
    own = {name.replace("_", "-"): text for name, text in more.items()}
    return own | {name: text for name, text in HELP.items() if name.replace("-", "_") not in without}


#: The default of a parameter that has none.
REQUIRED: Any = inspect.Parameter.empty


def takes_options(
    more: Mapping[str, Any] | None = None, without: frozenset[str] = frozenset()
) -> Callable[[Any], Callable[..., int]]:
    """Give a task a parameter for each option but some, behind `more` of its own (names and defaults).

    The task is called with a FleetOptions, checked, and its own by name.
    """

    def decorate(body: Callable[..., int]) -> Callable[..., int]:
        names = [each for each in fields(FleetOptions) if each.name not in without]

        @functools.wraps(body)
        def run(context: Any, *args: Any, **given: Any) -> int:
            options = {each.name: given.pop(each.name) for each in names if each.name in given}
            return body(context, FleetOptions(**options).checked(), *args, **given)

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter("context", kind),
                *(inspect.Parameter(name, kind, default=default) for name, default in (more or {}).items()),
                *(inspect.Parameter(each.name, kind, default=each.default) for each in names),
            ]
        )
        return run

    return decorate


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))


def counted(text: str) -> int:
    """Return a number of hosts. Raises UsageError."""
    if not text.isdecimal() or not 0 < int(text) <= MOST_WORKERS:
        raise UsageError(f"{text!r}: expected a number of workers, 1 to {MOST_WORKERS}")
    return int(text)
