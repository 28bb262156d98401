"""Metrics of a daemon as text for Prometheus. Pure: figures in, text out.

Names follow https://prometheus.io/docs/practices/naming/, the text https://prometheus.io/docs/instrumenting/exposition_formats/
(0.0.4). Labels are of closed sets: registry, kind, status, topic; never an address, a host or a holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import whoismesh
from whoismesh.answers.outcome import Status
from whoismesh.registries import REGISTRIES

CONTENT_TYPE = "text/plain; version=0.0.4"
GAUGE, COUNTER = "gauge", "counter"


Samples = dict[tuple[str, ...], float]


@dataclass(slots=True)
class Family:
    """One metric with its samples: label values, in the order of `labels`, to a figure."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    samples: Samples = field(default_factory=dict)


def text(families: Iterable[Family]) -> str:
    """Return families as Prometheus reads them."""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for values, figure in family.samples.items():
            pairs = ",".join(f'{label}="{value}"' for label, value in zip(family.labels, values, strict=True))
            # What floats cannot hold (IPv6 counts) is near enough; whole numbers are written as such.
            number = str(figure) if isinstance(figure, int) and abs(figure) < 2**53 else repr(float(figure))
            lines.append(f"{family.name}{{{pairs}}} {number}" if pairs else f"{family.name} {number}")
    return "\n".join(lines) + "\n"


def build_info(daemon: str) -> Family:
    """Return which program this is."""
    samples: Samples = {(whoismesh.__version__, daemon): 1.0}
    return Family("whoismesh_build_info", GAUGE, "The program's version.", ("version", "daemon"), samples)


def of_coordinator(status: Mapping[str, Any], started_at: float, frames_dropped: int) -> list[Family]:
    """Return a coordinator's metrics from its status (ledger.status)."""
    by_registry: Mapping[str, Mapping[str, Any]] = status["by_registry"]

    def single(name: str, kind: str, told: str, figure: float) -> Family:
        return Family(f"whoismesh_{name}", kind, told, samples={(): figure})

    def each(name: str, kind: str, told: str, key: str) -> Family:
        samples: Samples = {(registry,): row[key] for registry, row in by_registry.items() if row[key] is not None}
        return Family(f"whoismesh_{name}", kind, told, ("registry",), samples)

    settled: Samples = {(kind,): status[kind] for kind in ("held", "unallocated", "reserved", "failed")}
    troubled: Samples = {(registry,): int(bool(row["trouble"])) for registry, row in by_registry.items()}
    return [
        build_info("coordinator"),
        single("crawl_start_timestamp_seconds", GAUGE, "When the crawl began.", started_at),
        single("crawl_complete", GAUGE, "Whether every address of the space is settled.", int(status["complete"])),
        single("space_addresses", GAUGE, "Addresses of the crawl's space.", status["space"]),
        Family("whoismesh_settled_addresses", GAUGE, "Addresses that are settled.", ("kind",), settled),
        each("pending_addresses", GAUGE, "Addresses that are neither settled nor lent.", "pending"),
        each("networks", GAUGE, "Networks found.", "networks"),
        each("errands", GAUGE, "Addresses that are to be asked about at another registry, or again.", "errands"),
        each("answer_rate", GAUGE, "Answers a second of late.", "rate"),
        each("budget_rate", GAUGE, "Lookups a second that may be made; no sample where there is no limit.", "budget"),
        each("registry_limits_total", COUNTER, "Times that a registry said to slow down.", "limited"),
        Family("whoismesh_registry_trouble", GAUGE, "Whether it is out of reach.", ("registry",), troubled),
        single("workers", GAUGE, "Workers that are members.", status["members"]),
        single("accepted_blocks", GAUGE, "Length of the accepted log.", status["accepted"]),
        single("results_total", COUNTER, "Results stored by this crawl.", status["results"]),
        single("duplicates_total", COUNTER, "Results about networks that were known.", status["duplicates"]),
        single("frames_dropped_total", COUNTER, "Frames that were no messages, or were not taken.", frames_dropped),
    ]


def of_worker(counters: Mapping[str, float], frames_dropped: int) -> list[Family]:
    """Return a worker's metrics from its counters (Metrics of docs/protocol.md)."""

    def single(name: str, kind: str, told: str, key: str) -> Family:
        return Family(f"whoismesh_worker_{name}", kind, told, samples={(): counters.get(key, 0.0)})

    def each(name: str, kind: str, told: str, prefix: str) -> Family:
        samples: Samples = {(registry,): counters.get(f"{prefix}_{registry}", 0.0) for registry in REGISTRIES}
        return Family(f"whoismesh_worker_{name}", kind, told, ("registry",), samples)

    answers: Samples = {(str(status),): counters.get(f"answers_{status}", 0.0) for status in Status}
    return [
        build_info("worker"),
        each("lookups_total", COUNTER, "Lookups begun.", "lookups"),
        Family("whoismesh_worker_answers_total", COUNTER, "Answers by what they meant.", ("status",), answers),
        single("hits_total", COUNTER, "Known blocks that closed part of a lease.", "hits"),
        each("gaps", GAUGE, "Gaps that wait to be asked about.", "gaps"),
        each("lookups_in_progress", GAUGE, "Lookups under way.", "asking"),
        single("leases", GAUGE, "Leases held.", "leases_held"),
        single("unacknowledged_results", GAUGE, "Results in the spool.", "unacknowledged"),
        single("known_blocks", GAUGE, "Blocks that a hit check knows.", "known_blocks"),
        Family(
            "whoismesh_worker_frames_dropped_total",
            COUNTER,
            "Frames that were no messages, or were not taken.",
            samples={(): frames_dropped},
        ),
    ]
