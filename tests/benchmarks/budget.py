"""A crawl with rates set: how long it takes beside the ideal, which is the slowest registry's lookups over its rate.

All five practice registries have the same rate, which holds for the whole fleet, and answer at once. A prior aims the
lookups, one a network, so that what is measured is the use of the budgets; the last crawl has none, and its ideal is of
the lookups that it made. Time runs from the first request to the last; the tail is what the slowest registry's last
hundredth of lookups took over what they should take.
"""

from __future__ import annotations

import argparse
import tomllib
from collections import Counter

from figures import LESS, Figure
from processes import Crawled, Practice, crawled, practicing

from whoismesh.addresses import Range
from whoismesh.registries import REGISTRIES

#: Lookups a second at each registry for the whole fleet, more than any gives: at twice as many, 16 workers fill two
#: cores with each other's news, and it is the machine that is measured.
RATE = 25
WORKERS = (1, 4, 16)
GOAL = 1.05


def crawl(practice: Practice, workers: int, *, prior: bool, rate: float = RATE) -> Crawled:
    """Crawl every second part of the table's space at that rate: all five have much to be asked there."""
    space = tomllib.loads(practice.config.read_text())["crawl"]["space"][1::2]
    config = practice.config_of(map(Range.parse, space)).replace(
        "\nrate = inf\nhost_rate", f"\nrate = {rate}\nhost_rate"
    )
    with crawled(practice, config, workers, prior=prior) as found:
        return found


def told(name: str, found: Crawled, goal: float | None = None, rate: float = RATE) -> list[Figure]:
    """Return the figures of one crawl."""
    moments = {each: [when for when, registry, _ in found.requests if registry == each] for each in REGISTRIES}
    slowest = max(moments.values(), key=len)
    ideal_s = len(slowest) / rate
    first = found.requests[0][0]
    last = found.requests[-1][0]
    before_tail = len(slowest) * 99 // 100
    tail_s = last - slowest[before_tail]
    most = max(max(_within_a_second(each)) for each in moments.values() if each)
    return [
        Figure(f"{name}: seconds", last - first, "s", "the ideal", ideal_s, goal, LESS),
        Figure(f"{name}: last 1 % of the slowest registry", tail_s, "s", "its ideal",
               (len(slowest) - before_tail) / rate, better=LESS),
        Figure(f"{name}: until the slowest's first request", slowest[0] - first, "s", better=LESS),
        Figure(f"{name}: most lookups in any second", most, "", "the rate", rate, better=LESS),
    ]  # fmt: skip


def _within_a_second(moments: list[float]) -> list[int]:
    """Return how many requests came in the second after each."""
    counts, end = [], 0
    for number, moment in enumerate(moments):
        while end < len(moments) and moments[end] < moment + 1:
            end += 1
        counts.append(end - number)
    return counts


def measure() -> list[Figure]:
    """Crawl with 1, 4 and 16 workers, and with the last once more without a prior."""
    figures = []
    with practicing(None) as practice:
        for workers in WORKERS:
            found = crawl(practice, workers, prior=True)
            goal = GOAL if workers == max(WORKERS) else None
            figures += told(f"{workers} worker{'s'[: workers > 1]}", found, goal)
        figures += told(f"{max(WORKERS)} workers, no prior", crawl(practice, max(WORKERS), prior=False))
    return figures


def main() -> None:
    """Crawl once and show when each registry was asked how often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=max(WORKERS))
    parser.add_argument("--rate", type=float, default=RATE, help=f"lookups a second (default: {RATE})")
    parser.add_argument("--no-prior", action="store_true")
    args = parser.parse_args()
    with practicing(None) as practice:
        found = crawl(practice, args.workers, prior=not args.no_prior, rate=args.rate)
    first = found.requests[0][0]
    counts = {
        each: Counter(int(when - first) for when, registry, _ in found.requests if registry == each)
        for each in REGISTRIES
    }
    for each, by_second in counts.items():
        print(
            f"{each:<8} {sum(by_second.values()):>6,}  "
            + " ".join(str(by_second[second]) for second in range(max(by_second) + 1))
        )
    for figure in told("this", found, rate=args.rate):
        print(figure)


if __name__ == "__main__":
    main()
