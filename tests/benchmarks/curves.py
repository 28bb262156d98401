"""How much of the allocated space is known after how many lookups, with a prior and without one.

The real engines (a ledger, workers' lanes, gossip) on a virtual clock, with registries that answer from an allocation
table and set no limits. The prior is made from the same table: its rows as the registries would publish them. Prints a
table and a plot, and writes the plot as SVG.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from whoismesh.addresses import WHOLE
from whoismesh.practice.table import AllocationTable
from whoismesh.prior import Prior
from whoismesh.prior_files import load_prior
from whoismesh.registries import REGISTRIES
from whoismesh.simulation.plan import Plan
from whoismesh.simulation.world import World

SHARES = (10, 20, 37, 50, 70)
#: Audits look through the whole state; here only the account of what is found matters.
NEVER_S = 1e9
WIDTH, HEIGHT = 64, 16


@dataclass
class Curve:
    """(lookups made, share of the allocated space known, percent) each time the share grew by a tenth of a percent."""

    name: str
    points: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0

    def lookups(self, share: float) -> int | None:
        """After how many lookups a share was known, None if it was not."""
        return next((lookups for lookups, known in self.points if known >= share), None)


def crawl(name: str, table: AllocationTable, family: str, prior: Prior | None, workers: int, until: float) -> Curve:
    """Crawl until a share of the allocated space is known."""
    allocated = sum(row.range.size for row in table.rows() if row.held)
    started = time.monotonic()
    plan = Plan([WHOLE[family]], table, workers=workers, unlimited=frozenset(REGISTRIES), audit_s=NEVER_S, prior=prior)
    world = World(plan)
    curve = Curve(name)
    known = 0.0
    while known < until and world.clock.next_at is not None and world.finished is None:
        world.clock.step()
        if world.ledger is not None:
            share = 100 * world.ledger.coverage.held.size / allocated
            if share >= known + 0.1 or share >= until > known:
                known = share
                curve.points.append((len(world.asked), share))
    curve.seconds = time.monotonic() - started
    return curve


def text_plot(curves: list[Curve]) -> str:
    """Draw the curves with letters: lookups to the right, share upwards."""
    most = max(curve.points[-1][0] for curve in curves)
    top = max(curve.points[-1][1] for curve in curves)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for letter, curve in zip("ab", curves, strict=False):
        for lookups, share in curve.points:
            grid[HEIGHT - 1 - int((HEIGHT - 1) * share / top)][int((WIDTH - 1) * lookups / most)] = letter
    lines = [f"{top * (HEIGHT - 1 - row) / (HEIGHT - 1):5.0f} % |{''.join(line)}" for row, line in enumerate(grid)]
    axis = f"{'':8}+{'-' * WIDTH}\n{'':9}0{most:>{WIDTH - 1},} lookups"
    legend = "   ".join(f"{letter}: {curve.name}" for letter, curve in zip("ab", curves, strict=False))
    return "\n".join([*lines, axis, f"{'':9}{legend}"])


def svg_plot(curves: list[Curve]) -> str:
    """Draw the curves as SVG."""
    most = max(curve.points[-1][0] for curve in curves)
    left, top, width, height = 60, 20, 640, 360

    def point(lookups: float, share: float) -> str:
        return f"{left + width * lookups / most:.1f},{top + height * (1 - share / 100):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 40} {top + height + 60}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for share in range(0, 101, 20):
        begin, end = point(0, share).split(","), point(most, share).split(",")
        parts.append(f'<line x1="{begin[0]}" y1="{begin[1]}" x2="{end[0]}" y2="{end[1]}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{float(begin[1]) + 4}" text-anchor="end">{share} %</text>')
    for fraction in range(5):
        x = left + width * fraction / 4
        parts.append(f'<text x="{x}" y="{top + height + 18}" text-anchor="middle">{most * fraction // 4:,}</text>')
    words = "lookups (share of the allocated IPv4 space known)"
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 40}" text-anchor="middle">{words}</text>')
    for number, (curve, colour) in enumerate(zip(curves, ("#d6604d", "#2166ac"), strict=False)):
        line = " ".join(point(*each) for each in [(0, 0.0), *curve.points])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = top + height - 40 + 18 * number
        parts.append(f'<text x="{left + width - 150}" y="{y}" fill="{colour}">{curve.name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, metavar="FILE", help="allocation table (CSV, gzipped)")
    parser.add_argument("--family", choices=("ipv4", "ipv6"), default="ipv4", help="what of it (default: ipv4)")
    parser.add_argument("--until", type=float, default=70.0, metavar="PERCENT", help="stop there (default: 70)")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--prior-out", type=Path, metavar="FILE", help="keep the table as a published statistics file")
    parser.add_argument("--svg", type=Path, default=Path("curves.svg"), metavar="FILE", help="the plot")
    parser.add_argument("--json", action="store_true", help="print the points")
    args = parser.parse_args()
    table = AllocationTable.load(args.table)
    with tempfile.TemporaryDirectory() as folder:
        path = args.prior_out or Path(folder) / "delegated"
        path.write_text(table.published(), "utf-8")
        prior = load_prior([str(path)], [WHOLE[args.family]])
    curves = [
        crawl(name, table, args.family, each, args.workers, args.until)
        for name, each in (("without a prior", None), ("with a prior", prior))
    ]
    args.svg.write_text(svg_plot(curves), "utf-8")
    if args.json:
        print(json.dumps({curve.name: {"points": curve.points, "seconds": curve.seconds} for curve in curves}))
        return
    print(f"{'share of the allocated space':<30}" + "".join(f"{share:>10} %" for share in SHARES))
    for curve in curves:
        counts = [curve.lookups(share) for share in SHARES]
        row = "".join(f"{'-' if count is None else f'{count:,}':>12}" for count in counts)
        print(f"{f'lookups, {curve.name}':<30}{row}   ({curve.seconds:.0f} s)")
    print(text_plot(curves))
    print(f"the plot is {args.svg}")


if __name__ == "__main__":
    main()
