"""What a task did to each host, told as a table or as JSON, and kept so that what failed can be tried again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from whoismesh.errors import ConfigError

#: How a task ended on a host.
CHANGED, UNCHANGED, FAILED = "changed", "unchanged", "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task did to one host: `state` is changed, unchanged or failed, `detail` one line of what, or why not."""

    host: str
    state: str
    detail: str = ""
    seconds: float = 0.0


def table(outcomes: Sequence[Outcome], width: int = 100) -> str:
    """Return one line a host and a sum below, cut to a width."""
    longest = max((len(each.host) for each in outcomes), default=0)
    lines = [f"{each.host:<{longest}}  {each.state:<9}  {each.seconds:6.1f} s  {each.detail}" for each in outcomes]
    counts = Counter(each.state for each in outcomes)
    summary = ", ".join(f"{counts[state]} {state}" for state in (CHANGED, UNCHANGED, FAILED) if counts[state])
    return "\n".join([*(line[:width].rstrip() for line in lines), summary or "no hosts"])


def as_json(outcomes: Sequence[Outcome]) -> str:
    """Return a JSON list."""
    return json.dumps([asdict(each) for each in outcomes])


def keep_failed(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write down which hosts failed, for `failed_before`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([each.host for each in outcomes if each.state == FAILED]), "utf-8")


def failed_before(path: Path) -> frozenset[str]:
    """Return which hosts failed when the task was last run; none where it was not. Raises ConfigError."""
    try:
        names = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}; remove it, and run the task without --failed") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: expected a list of hosts; remove it, and run the task without --failed")
    return frozenset(names)
