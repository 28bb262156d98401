"""How much of the allocated space is known after how many lookups, beside other orders of asking and the run of 2016.

Ours are the real engines (a ledger, lanes of two workers, gossip) on a virtual clock, with registries that answer from
the real table and set no limits; so it is counts that are measured, and no machine changes them. The others are played
by the table alone, with one asker who knows all answers at once:

* random: addresses drawn from what the registries were given, hits left out;
* middle: of the largest gap that is left;
* largest: what is held, the largest first, which nobody can know;
* in turn: the same, but the five registries are asked one after the other, as each has a budget of its own.

Twice: answers of the registrations (level 1 of the table), and answers as fine as what is routed in them (level 2),
which is about what the registries answered in 2016. The prior is what registries publish, registrations, both times.
"""

from __future__ import annotations

import argparse
import heapq
import math
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from random import Random

from figures import LESS, Figure
from real_table import ipv4_table

from whoismesh import iana
from whoismesh.addresses import WHOLE, Range
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable
from whoismesh.prior import Prior
from whoismesh.prior_files import load_prior
from whoismesh.rangesets import RangeSet
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.plan import Plan
from whoismesh.simulation.world import World

SPACE = WHOLE["ipv4"]
#: What 35 hosts of the run of 2016 asked until 37 % of the space was known to them.
SHARE_2016, LOOKUPS_2016 = 37, 11_154
SHARES = (10, 20, SHARE_2016, 50, 70)
#: The suite stops there, percent: what is beyond only takes longer.
UNTIL = 50
#: What answers are as fine as.
REGISTERED, ROUTED = "registrations", "routed"
#: Audits look through the whole state; here only the account of what is found matters.
NEVER_S = 1e9
#: Counts differ by what is changed in the order of asking, and by nothing else.
MARGIN = 0.05


@dataclass
class Curve:
    """(lookups made, share of the allocated space known, percent) each time the share grew by a tenth of a percent."""

    name: str
    allocated: int
    points: list[tuple[int, float]] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share known, percent."""
        return self.points[-1][1] if self.points else 0.0

    def note(self, lookups: int, known: int) -> None:
        """Take a point if it is far enough from the one before, or at one of SHARES."""
        share, before = 100 * known / self.allocated, self.share
        if share >= before + 0.1 or any(before < each <= share for each in SHARES):
            self.points.append((lookups, share))

    def lookups(self, share: float) -> int | None:
        """After how many lookups a share was known, None if it was not."""
        return next((lookups for lookups, known in self.points if known >= share), None)


class Answers:
    """What is known of a table after lookups. A "not found" closes a /24."""

    def __init__(self, table: AllocationTable) -> None:
        self.rows = [row for row in table.rows(SPACE) if row.held]
        self._firsts = [row.range.first for row in self.rows]

    def closed_by(self, address: int) -> tuple[Range, bool]:
        """Return what an answer to an address closes, and whether somebody holds it."""
        row = self.rows[bisect_right(self._firsts, address) - 1]
        if row.range.first <= address <= row.range.last:
            return row.range, True
        return Range(4, address & ~255, address | 255), False


def at_random(answers: Answers) -> Iterator[int]:
    """Yield how many addresses each lookup made known."""
    given = [block for block, _ in iana.delegations() if block.family == 4]
    random, sizes, closed = Random(1), [block.size for block in given], set[int]()
    while True:
        block = random.choices(given, sizes)[0]
        found, held = answers.closed_by(block.first + random.randrange(block.size))
        if found.first not in closed:
            closed.add(found.first)
            yield found.size * held


def middle_of_the_largest_gap(answers: Answers) -> Iterator[int]:
    """Yield how many addresses each lookup made known."""
    given = RangeSet(block for block, _ in iana.delegations() if block.family == 4)
    gaps = [(-gap.size, gap.first, gap.last) for gap in given]
    heapq.heapify(gaps)
    while gaps:
        _, first, last = heapq.heappop(gaps)
        found, held = answers.closed_by((first + last) // 2)
        begin, end = max(first, found.first), min(last, found.last)
        for low, high in ((first, begin - 1), (end + 1, last)):
            if low <= high:
                heapq.heappush(gaps, (low - high - 1, low, high))
        yield (end + 1 - begin) * held


def largest_first(answers: Answers) -> Iterator[int]:
    """Yield how many addresses each lookup made known."""
    yield from sorted((row.range.size for row in answers.rows), reverse=True)


def largest_in_turn(answers: Answers) -> Iterator[int]:
    """Yield how many addresses each lookup made known."""
    sizes: dict[str, list[int]] = {registry: [] for registry in REGISTRIES}
    for row in answers.rows:
        sizes[row.registry].append(row.range.size)
    for turn in zip_longest(*(sorted(each, reverse=True) for each in sizes.values())):
        yield from filter(None, turn)


OTHERS: dict[str, Callable[[Answers], Iterator[int]]] = {
    "random": at_random,
    "middle": middle_of_the_largest_gap,
    "in turn": largest_in_turn,
    "largest": largest_first,
}


def allocated(table: AllocationTable) -> int:
    """Return how many IPv4 addresses somebody holds."""
    return sum(row.range.size for row in table.rows(SPACE) if row.held)


def play(name: str, table: AllocationTable, until: float) -> Curve:
    """Ask in another order until a share is known."""
    curve, known = Curve(name, allocated(table)), 0
    for lookups, found in enumerate(OTHERS[name](Answers(table)), 1):
        known += found
        curve.note(lookups, known)
        if curve.share >= until:
            break
    return curve


def crawl(name: str, table: AllocationTable, prior: Prior | None, until: float, workers: int = 2) -> Curve:
    """Let the engines crawl until a share is known."""
    plan = Plan([SPACE], table, workers=workers, unlimited=frozenset(REGISTRIES), audit_s=NEVER_S, prior=prior)
    world, curve = World(plan), Curve(name, allocated(table))
    while curve.share < until and world.clock.next_at is not None and world.finished is None:
        world.clock.step()
        if world.ledger is not None:
            curve.note(len(world.asked), world.ledger.coverage.held.size)
    return curve


def as_routed(table: AllocationTable) -> AllocationTable:
    """Return a table whose rows are what is routed, and what is left of registrations between."""
    routed = sorted(each.range for each in table.routed if each.range.family == 4)
    rows: list[Row] = []
    at = 0
    for row in table.rows(SPACE):
        first = row.range.first
        while at < len(routed) and routed[at].first <= row.range.last:
            if first < routed[at].first:
                rows.append(row._replace(range=Range(4, first, routed[at].first - 1)))
            rows.append(row._replace(range=routed[at]))
            first, at = routed[at].last + 1, at + 1
        if first <= row.range.last:
            rows.append(row._replace(range=Range(4, first, row.range.last)))
    return AllocationTable(rows)


def curves(until: float, workers: int = 2) -> dict[str, list[Curve]]:
    """Return all curves: of registrations, and of what is routed."""
    table = ipv4_table()
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder) / "delegated"
        published.write_text(table.published(), "utf-8")
        prior = load_prior([published], [SPACE])
    return {
        grain: [
            crawl("no prior", each, None, until, workers),
            crawl("prior", each, prior, until, workers),
            *(play(name, each, until) for name in OTHERS),
        ]
        for grain, each in ((REGISTERED, table), (ROUTED, as_routed(table)))
    }


def measure() -> list[Figure]:
    """Return the lookups that shares of the space took, beside the other orders."""
    found = []
    for grain, drawn in curves(UNTIL).items():
        counts = {curve.name: curve.lookups for curve in drawn}
        for share in (SHARE_2016, UNTIL):
            for ours, than in (
                ("no prior", "random"),
                ("no prior", "middle"),
                ("prior", "in turn"),
                ("prior", "largest"),
            ):
                found.append(_figure(grain, share, ours, counts[ours](share), than, counts[than](share)))
        if grain == ROUTED:
            for ours in ("no prior", "prior"):
                lookups = counts[ours](SHARE_2016)
                found.append(_figure(grain, SHARE_2016, ours, lookups, "2016", LOOKUPS_2016, goal=1))
    return found


def _figure(
    grain: str, share: float, ours: str, lookups: int | None, than: str, beside: int | None, goal: float | None = None
) -> Figure:
    assert lookups is not None, "a crawl ends with all of the space known"
    assert beside is not None
    name = f"{grain}, {ours}, {share} %, beside {than}"
    return Figure(name, lookups, "lookups", than, beside, goal, LESS, MARGIN)


# -- the plot -------------------------------------------------------------------------------------------------------

COLOURS = {
    "prior": "#b2182b", "no prior": "#ef8a62", "random": "#999999", "middle": "#666666", "in turn": "#67a9cf",
    "largest": "#2166ac",
}  # fmt: skip
LEFT, TOP, WIDTH, HEIGHT = 56, 16, 640, 360
FEWEST = 10


def svg_plot(drawn: Sequence[Curve]) -> str:
    """Draw curves as SVG: lookups to the right, each mark ten times the one before, share upwards."""
    most = max(curve.points[-1][0] for curve in drawn)
    top = 10 * math.ceil(max(curve.share for curve in drawn) / 10)

    def x(lookups: float) -> float:
        return LEFT + WIDTH * math.log(max(lookups, FEWEST) / FEWEST) / math.log(most / FEWEST)

    def y(share: float) -> float:
        return TOP + HEIGHT * (1 - share / top)

    words = "lookups, and the share of the allocated IPv4 space known after them"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 24} {TOP + HEIGHT + 52}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 40}" text-anchor="middle">{words}</text>',
    ]
    for share in range(0, top + 1, 10):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}h{WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share} %</text>')
    for power in range(int(math.log10(FEWEST)), int(math.log10(most)) + 1):
        parts.append(f'<path d="M{x(10**power):.1f} {TOP}v{HEIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{x(10**power):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{10**power:,}</text>')
    for number, curve in enumerate(drawn):
        line = " ".join(f"{x(lookups):.1f},{y(share):.1f}" for lookups, share in curve.points if lookups >= FEWEST)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[curve.name]}" stroke-width="2"/>')
        parts.append(
            f'<text x="{LEFT + 16}" y="{TOP + 24 + 18 * number}" fill="{COLOURS[curve.name]}">{curve.name}</text>'
        )
    at = x(LOOKUPS_2016), y(SHARE_2016)
    parts.append(
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4"/><text x="{at[0] + 8:.1f}" y="{at[1] + 4:.1f}">2016</text>'
    )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Print a table and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--until", type=float, default=70.0, metavar="PERCENT", help="stop there (default: 70)")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the plot of what is routed there")
    args = parser.parse_args()
    for grain, drawn in curves(args.until, args.workers).items():
        print(f"{f'lookups: {grain}':<28}" + "".join(f"{share:>10} %" for share in SHARES))
        for curve in drawn:
            counts = [curve.lookups(share) for share in SHARES]
            print(f"  {curve.name:<26}" + "".join(f"{'-' if each is None else f'{each:,}':>12}" for each in counts))
        if args.svg and grain == ROUTED:
            args.svg.write_text(svg_plot(drawn), "utf-8")


if __name__ == "__main__":
    main()
