"""A crawl of the whole IPv4 table: networks a second, lookups a network, cost by process, and growth.

Everything runs on this machine: practice registries without limits, the coordinator, the workers, each its own process.
The growth is that of the processor time of coordinator and workers, without what each takes to start, from one part of
the table to ten times as much; a part is made of pieces from all over it, each of as many networks. Lookups a network
are those of 16 workers, which on a machine of few cores are slow: each takes in what all others find.
"""

import argparse
from itertools import pairwise

from figures import LESS, Figure, table
from processes import Crawled, Practice, crawled, practicing
from real_table import whole_table

from whoismesh.addresses import MAX_ADDRESS, Range
from whoismesh.ledger.account import Account
from whoismesh.practice.table import AllocationTable
from whoismesh.store import LedgerStore

FEW_WORKERS, WORKERS = 4, 16
GOAL = 1.005
#: Pieces of as many networks each that the table is cut into, and each how many-th of them makes a part of it.
PIECES = 1_000
PARTS = {"1 %": 100, "10 %": 10, "100 %": 1}
PART_OF_MANY = "10 %"


def pieces(table: AllocationTable) -> list[Range]:
    """Cut IPv4 where networks begin into pieces of as many networks each."""
    firsts = [row.range.first for row in table.rows() if row.held and row.range.family == 4]
    edges = [0, *(firsts[len(firsts) * number // PIECES] for number in range(1, PIECES)), MAX_ADDRESS[4] + 1]
    return [Range(4, first, after - 1) for first, after in pairwise(edges)]


def crawl(practice: Practice, space: list[Range], workers: int, *, prior: bool) -> tuple[Crawled, float]:
    """Crawl a space; return what it took, and without a prior how many lookups settled nothing."""
    with crawled(practice, practice.config_of(space), workers, prior=prior) as found:
        return found, 0 if prior else wasted(found, space)


def wasted(found: Crawled, space: list[Range]) -> int:
    """Count the lookups that told nothing new: of what was settled when their results came, and second tries."""
    store = LedgerStore.read(found.state)
    account = Account(space, attempts=3)
    useful = 0
    for result in store.results():
        useful += not account.coverage.settled.holds(result.asked.family, result.asked.first)
        account.settle(result, 0.0)
    store.close()
    return found.counters["lookups"] - useful


def measure() -> list[Figure]:
    """Crawl the parts of the table with few workers, and one of them with many, with a prior and without."""
    path = whole_table()
    cut = pieces(AllocationTable.load(path))
    figures, before = [], None
    with practicing(path) as practice:
        for name, step in PARTS.items():
            found, _ = crawl(practice, cut[step // 2 :: step], FEW_WORKERS, prior=True)
            figures += told(name, found)
            if before is not None:
                cpu, wall = found.cpu_s / before.cpu_s, found.wall_s / before.wall_s
                figures += [
                    Figure(f"{name}: CPU over that of a tenth", cpu, "times", goal=11, better=LESS),
                    Figure(f"{name}: wall time over that of a tenth", wall, "times", better=LESS),
                ]
            before = found
        step = PARTS[PART_OF_MANY]
        for prior, words in ((True, "with a prior"), (False, "without")):
            found, in_vain = crawl(practice, cut[step // 2 :: step], WORKERS, prior=prior)
            name, lookups = f"{PART_OF_MANY}, {WORKERS} workers, {words}", found.counters["lookups"]
            figures += told(name, found, GOAL if prior else None)
            if not prior:
                told_something = lookups / (lookups - in_vain)
                figures.append(Figure(f"{name}: lookups for one that told something", told_something, "", better=LESS))
    return figures


def told(name: str, found: Crawled, goal: float | None = None) -> list[Figure]:
    """Return the figures of one crawl; `goal` bounds its lookups a network."""
    networks, lookups = found.counters["networks"], found.counters["lookups"]
    spent = {
        "the practice registries": found.practice_cpu_s,
        "the coordinator": found.coordinator_cpu_s,
        "all workers": found.workers_cpu_s,
    }
    return [
        Figure(f"{name}: networks", networks, ""),
        Figure(f"{name}: networks a second", networks / found.wall_s, "/s"),
        Figure(f"{name}: lookups a network", lookups / networks, "", goal=goal, better=LESS, margin=0.01),
        *(Figure(f"{name}: CPU of {process}", cpu_s, "s", better=LESS) for process, cpu_s in spent.items()),
    ]


def main() -> None:
    """Crawl one part of the table with a prior."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=list(PARTS), default="1 %", help="of the table (default: 1 %%)")
    parser.add_argument("--workers", type=int, default=WORKERS, metavar="N", help=f"(default: {WORKERS})")
    parser.add_argument("--no-prior", action="store_true")
    args = parser.parse_args()
    path, step = whole_table(), PARTS[args.part]
    with practicing(path) as practice:
        space = pieces(AllocationTable.load(path))[step // 2 :: step]
        found, in_vain = crawl(practice, space, args.workers, prior=not args.no_prior)
    print(table(told(args.part, found)))
    print(f"lookups in vain: {in_vain}")


if __name__ == "__main__":
    main()
