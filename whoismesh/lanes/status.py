"""The state of a worker in one line, for a service manager."""

from __future__ import annotations

from whoismesh.lanes.engine import Lanes


def status_line(lanes: Lanes, coordinator: str, silent_s: float | None) -> str:
    """Return the line. `silent_s` is how long the coordinator has not been heard, None while it is there."""
    if silent_s is not None:
        what = f"waiting for the coordinator at {coordinator} for {silent_s:.0f} s"
    elif lanes.resting:
        what = f"resting, takes no new lease: {lanes.resting}"
    else:
        what = "working"
    counters, leases = lanes.counters, sum(len(lane.leases) for lane in lanes.lanes.values())
    return (
        f"{what}; {leases:,} leases, {counters['lookups']:,} lookups, {counters['hits']:,} hits, "
        f"{len(lanes.findings.unacknowledged):,} undelivered"
    )
