"""How a crawl is going, for people: a live table on a terminal, a plain line every few seconds otherwise."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: A plain line this often, seconds.
LINE_S = 5.0


class Progress:
    """Shows the coordinator's status messages on standard error. Use as `with`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._live: Live | None = None
        self._started = time.monotonic()
        self._first_share: float | None = None
        self._line_at = 0.0

    def __enter__(self) -> Progress:
        if not self._quiet and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def status(self, status: dict[str, Any]) -> None:
        """Show a status message."""
        if self._quiet:
            return
        if self._live is not None:
            self._live.update(self._table(status))
        elif time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_S
            print(", ".join(self._lines(status)), file=sys.stderr, flush=True)

    def event(self, event: dict[str, Any]) -> None:
        """Show an event that a person should know of."""
        if self._quiet or event.get("level") == "info":
            return
        fields = ", ".join(f"{key}={value}" for key, value in event.items() if key not in ("event", "level", "at"))
        self._console.print(Text(f"{event.get('level')}: {event.get('event')} {fields}"))

    def _lines(self, status: dict[str, Any]) -> tuple[str, str]:
        if (importing := status.get("importing")) is not None:
            what = "reading" if importing["reading"] else "importing"
            return (
                f"{what} {importing['file']}: {importing['share']:.0%}, {importing['objects']:,} objects",
                f"{status['networks']:,} networks, {_share(status):.1%} of the space",
            )
        rate = sum(row["rate"] for row in status["by_registry"].values())
        return (
            f"{status['networks']:,} networks, {_share(status):.1%} of the space, {self._left(status)}",
            f"{status['lookups']:,} lookups ({rate:,.0f}/s), {status['hits']:,} hits, {len(status['workers'])} workers",
        )

    def _left(self, status: dict[str, Any]) -> str:
        share = _share(status)
        if self._first_share is None:
            self._first_share = share
        done = share - self._first_share
        elapsed_s = time.monotonic() - self._started
        if done < 0.01:
            return "time left not known yet"
        left_s = elapsed_s * (1 - share) / done
        return f"about {duration(left_s)} left" if share < 1 else "done"

    def _table(self, status: dict[str, Any]) -> Group:
        table = Table(box=None, pad_edge=False)
        for name in ("registry", "networks", "lookups/s", "budget/s", "addresses left", ""):
            table.add_column(name, justify="left" if name in ("registry", "") else "right")
        for registry, row in status["by_registry"].items():
            budget = "none" if row["budget"] is None else f"{row['budget']:g}"
            table.add_row(
                registry,
                f"{row['networks']:,}",
                f"{row['rate']:,.1f}",
                budget,
                _short(row["pending"]),
                Text(row["trouble"]),
            )
        bar = Table.grid()
        bar.add_row(ProgressBar(total=1.0, completed=_share(status), width=40))
        return Group(table, bar, *map(Text, self._lines(status)))


def _share(status: dict[str, Any]) -> float:
    return status["settled"] / status["space"] if status["space"] else 1.0


def _short(count: int) -> str:
    """Return a count of addresses in a few characters; IPv6 ones have up to 39 digits."""
    return f"{count:,}" if count < 10**11 else f"{count:.1e}"


def duration(seconds: float) -> str:
    """Return a time span as a person would say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
