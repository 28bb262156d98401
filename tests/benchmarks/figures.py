"""A measured figure: beside its floor or peer in the same run, and beside what it shall reach.

A floor is the bare part (a library that does only what cannot be avoided), a peer another program for the same purpose.
Both are measured in the process run of ours, in turn, several times, and medians are told: machines differ and are
shared, and ratios of one run hardly do.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Rounds of each side, of which the median counts.
ROUNDS = 5
#: Which way is better.
MORE, LESS = "more", "less"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a benchmark.

    `beside` is the same figure of the floor or peer named `than`; the ratio is ours to it. `goal` bounds the ratio, or
    the value where nothing is beside it: at least that much where more is `better`, else at most. One with a `margin`
    of its own has a floor recorded, with that margin, though nothing is beside it: no machine changes it.
    """

    name: str
    value: float
    unit: str
    than: str = ""
    beside: float | None = None
    goal: float | None = None
    better: str = MORE
    margin: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours to what is beside it."""
        return None if self.beside is None else self.value / self.beside

    @property
    def judged(self) -> float:
        """What the goal bounds: the ratio if there is one, else the value."""
        return self.value if self.ratio is None else self.ratio

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached, None where there is none."""
        return None if self.goal is None else is_within(self.judged, self.goal, self.better)


def is_within(judged: float, bound: float, better: str) -> bool:
    """Tell whether a figure is as good as a bound."""
    return judged >= bound if better == MORE else judged <= bound


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Measure each side in turn, in so many rounds, each round in another order; return the medians.

    A side does its work and returns its figure.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()
            found[name].append(sides[name]())
    return {name: statistics.median(values) for name, values in found.items()}


def cpu_rate(count: int, work: Callable[[], object]) -> Callable[[], float]:
    """Return a side that does work of so many items; its figure is items a second of this process's processor time."""

    def side() -> float:
        began = time.process_time()
        work()
        return count / (time.process_time() - began)

    return side


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) // 1024 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_mib": memory[0] if memory else None,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def table(figures: Iterable[Figure]) -> str:
    """Return figures as lines of text."""
    lines = []
    for each in figures:
        line = f"  {each.name:<44} {_number(each.value):>12} {each.unit}"
        if each.beside is not None:
            line += f", {each.than} {_number(each.beside)}: {_number(each.judged)} times"
        if each.goal is not None:
            bound = "at least" if each.better == MORE else "at most"
            line += f" ({'reached' if each.reached else 'NOT REACHED'}: {bound} {_number(each.goal)})"
        lines.append(line)
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def as_json(benchmarks: Mapping[str, Iterable[Figure]]) -> str:
    """Return all figures and the machine as JSON."""
    figures = {
        name: [asdict(each) | {"ratio": each.ratio, "reached": each.reached} for each in found]
        for name, found in benchmarks.items()
    }
    return json.dumps({"machine": machine(), "benchmarks": figures}, indent=1) + "\n"
