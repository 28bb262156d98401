"""How a crawl is going, on a terminal: an `Overview` as lines of text that fit. Pure but for rich, which measures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from whoismesh.overview import LEFT, LOST, SILENT, Overview, event_text
from whoismesh.progress import duration

#: Below this width columns are left out that say least, characters.
NARROW = 70
_STYLES = {SILENT: "bold yellow", LOST: "bold red", LEFT: "dim"}
_LEVELS = {"warning": "yellow", "error": "bold red"}


def render(overview: Overview, latest: Sequence[str], console: Console, silent_s: float) -> RenderableType:
    """Return the whole picture for a console of that size; on a terminal no more lines than it has."""
    narrow, height = console.width < NARROW, console.height if console.is_terminal else 10_000
    status = overview.status
    if status is None:
        return Text("waiting for the coordinator's status")
    share = status["settled"] / status["space"] if status["space"] else 1.0
    left_s = overview.left_s
    left = "done" if status["complete"] else "time left not known yet" if left_s is None else f"{duration(left_s)} left"
    lines: list[RenderableType] = []
    if silent_s > 5:
        lines.append(Text(f"the coordinator is silent since {duration(silent_s)}", style="bold red"))
    lines += [
        Text(f"{status['networks']:,} networks, {share:.1%} of the space settled, {left}", style="bold"),
        ProgressBar(total=1.0, completed=share, width=min(60, console.width)),
        Text(f"{status['lookups']:,} lookups, {status['hits']:,} hits, {status['duplicates']:,} duplicates"),
        _registries(status["by_registry"], narrow=narrow),
    ]
    room = max(3, height - len(lines) - len(status["by_registry"]) - 3)
    rows = overview.workers()
    # What is unusual first: on a full screen it must not be what is cut off.
    rows.sort(key=lambda row: (row["state"] in (LEFT,), row["state"] not in (SILENT, LOST), row["origin"]))
    shown = max(1, min(len(rows), room // 2)) if rows else 0
    gone = sum(row["state"] in (LEFT, LOST) for row in rows)
    lines += [Text(f"{len(rows) - gone} workers, {gone} gone", style="bold"), _workers(rows[:shown], narrow=narrow)]
    if shown < len(rows):
        lines.append(Text(f"... and {len(rows) - shown} more", style="dim"))
    rest = max(0, room - shown - 4)
    lines += _last("events", [_event(each) for each in overview.events], rest // 2)
    lines += _last("found last", [Text(each, no_wrap=True, overflow="ellipsis") for each in latest], rest - rest // 2)
    return Group(*lines)


def _registries(by_registry: dict[str, Any], *, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = ["registry", "networks", "lookups/s", "budget/s", *([] if narrow else ["used", "limited"]), "trouble"]
    for name in names:
        table.add_column(name, justify="left" if name in ("registry", "trouble") else "right", no_wrap=True)
    for registry, row in by_registry.items():
        budget = row["budget"]
        cells = [registry, f"{row['networks']:,}", f"{row['rate']:,.1f}", "none" if budget is None else f"{budget:g}"]
        if not narrow:
            cells += [f"{row['rate'] / budget:.0%}" if budget else "", str(row["limited"])]
        table.add_row(*cells, Text(row["trouble"], style="yellow"))
    return table


def _workers(rows: Iterable[dict[str, Any]], *, narrow: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    names = ["worker", "state", "leases", "lookups/s", *([] if narrow else ["lookups", "hits", "failed", "asking"])]
    for name in names:
        left = name in ("worker", "state", "asking")
        table.add_column(name, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    for row in rows:
        state = f"{SILENT} {row['silent_s']} s" if row["state"] == SILENT else row["state"]
        cells: list[RenderableType] = [
            Text(f"{row['origin']} {row['host']}"),
            Text(state, style=_STYLES.get(row["state"], "")),
            str(row["leases"]),
            f"{row['rate']:,.1f}",
        ]
        if not narrow:
            cells += [f"{row[name]:,}" for name in ("lookups", "hits", "failed")]
            cells.append(Text(", ".join(f"{registry} {count}" for registry, count in row["asking"].items())))
        table.add_row(*cells)
    return table


def _event(event: dict[str, Any]) -> Text:
    at = event.get("at")
    clock = time.strftime("%H:%M:%S ", time.localtime(at)) if isinstance(at, float) and 0 <= at < 2**32 else ""
    style = _LEVELS.get(str(event.get("level")), "")
    return Text(clock + event_text(event), style=style, no_wrap=True, overflow="ellipsis")


def _last(title: str, lines: Sequence[Text], most: int) -> list[RenderableType]:
    if most < 2 or not lines:
        return []
    return [Text(title, style="dim"), *lines[1 - most :]]
