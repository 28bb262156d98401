"""What a block costs in a PrefixTable: memory and hit checks, beside bare tries with the same prefixes.

Each side is filled in fresh processes of its own, one after the other, from one seed. Memory is the growth of resident
memory while filling. The bare side is `PyTricia(32)` and `PyTricia(128)`, filled by `insert(first, length, value)`
with the CIDRs that the blocks are made of and one shared value. Hit checks ask the same addresses of both: half lie in
blocks, half anywhere.
"""

import argparse
import collections
import gc
import itertools
import json
import multiprocessing
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pytricia import PyTricia

from whoismesh.addresses import BITS, MAX_ADDRESS, Range
from whoismesh.prefixes import PrefixTable

#: Of all blocks, those of IPv6 and those that are no CIDR.
SHARE_6, SHARE_ODD = 0.12, 0.04
#: Of all blocks, those that lie inside one of those drawn before, and those kept to have others inside.
NESTED, KEPT = 0.3, 0.06
#: How often each prefix length comes, out of all of a family. Most registrations are small, and what is wide is rare
#: enough that most blocks lie in gaps: coverage then has millions of ranges, which is the worst case.
LENGTHS_4 = {
    32: 0.1, 31: 0.02, 30: 0.12, 29: 0.25, 28: 0.12, 27: 0.08, 26: 0.06, 25: 0.05, 24: 0.15, 23: 0.02, 22: 0.018,
    21: 0.006, 20: 0.004, 19: 0.002, 18: 0.001, 17: 0.0003, 16: 0.0003, 14: 0.00002, 12: 0.000002,
}  # fmt: skip
LENGTHS_6 = {128: 0.02, 64: 0.2, 56: 0.15, 48: 0.4, 44: 0.05, 40: 0.05, 36: 0.03, 32: 0.1, 29: 0.01}
#: Blocks that are kept at once, and hit checks timed.
PARENTS, HITS, REPEATS = 4096, 100_000, 5


def blocks(seed: int) -> Iterator[Range]:
    """Yield blocks without end: of both families, disjoint and nested, in no order; a few come twice."""
    rng = random.Random(seed)
    widths = {4: (list(LENGTHS_4), list(LENGTHS_4.values())), 6: (list(LENGTHS_6), list(LENGTHS_6.values()))}
    lengths = {family: rng.choices(*widths[family], k=1 << 16) for family in widths}
    parents = {4: [Range(4, 0, MAX_ADDRESS[4])], 6: [Range(6, 0x2 << 124, (0x4 << 124) - 1)]}
    while True:
        chance = rng.random()
        family = 6 if chance < SHARE_6 else 4
        known = parents[family]
        around = known[int(rng.random() * len(known)) if rng.random() < NESTED else 0]
        length = lengths[family][rng.getrandbits(16)]
        least = BITS[family] + 1 - around.size.bit_length()
        if length <= least:
            length = min(least + 1 + rng.getrandbits(3), BITS[family])
        block = Range.of_prefix(family, around.first + rng.getrandbits(128) % around.size, length)
        if chance > 1 - SHARE_ODD:
            # As registries have them: a few blocks of one size in a row. Some are a CIDR all the same.
            last = min(block.last + block.size * (1 + rng.getrandbits(2)), MAX_ADDRESS[family])
            block = Range(family, block.first, last)
        elif length < BITS[family] - 3 and rng.random() < KEPT:
            if len(known) < PARENTS:
                known.append(block)
            else:
                known[1 + int(rng.random() * (PARENTS - 1))] = block
        yield block


def addresses(seed: int, count: int) -> list[int]:
    """Return IPv4 addresses to ask for: half of them in as many of the blocks, half anywhere, in no order."""
    rng, asked = random.Random(seed + 1), list[int]()
    for block in itertools.islice(blocks(seed), min(count, 4 * HITS)):
        if block.family == 4:
            asked.append(rng.randrange(block.first, block.last + 1))
    asked = [*rng.choices(asked, k=HITS // 2), *(rng.getrandbits(32) for _ in range(HITS // 2))]
    rng.shuffle(asked)
    return asked


def resident_bytes() -> int:
    """Return this process's resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def drain(answers: Iterable[object]) -> None:
    """Take answers without keeping them: thousands of new objects would wake the garbage collector."""
    collections.deque(answers, maxlen=0)


def rate(ask: Callable[[], object]) -> float:
    """Return the questions a second of the fastest of some rounds."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return HITS / min(times)


def bare(seed: int, drawn: int) -> dict[str, float]:
    """Fill bare tries with so many drawn blocks and ask them."""
    trees, shared = {4: PyTricia(32), 6: PyTricia(128)}, "ripencc"
    before, start = resident_bytes(), time.perf_counter()
    for block in itertools.islice(blocks(seed), drawn):
        tree = trees[block.family]
        for first, length in block.prefixes():
            tree.insert(first if block.family == 4 else first.to_bytes(16), length, shared)
    found = {"seconds": time.perf_counter() - start}
    gc.collect()
    found |= {"bytes": resident_bytes() - before, "prefixes": sum(map(len, trees.values()))}
    tree, asked = trees[4], addresses(seed, drawn)
    found["known"] = rate(lambda: drain(each in tree for each in asked))
    found["holder"] = rate(lambda: drain(tree.get(each) for each in asked))
    return found


def mine(seed: int, count: int) -> dict[str, float]:
    """Fill a PrefixTable until it has so many blocks, and ask it."""
    table: PrefixTable[str] = PrefixTable()
    before, start, drawn = resident_bytes(), time.perf_counter(), 0
    for block in blocks(seed):
        table.add(block, "ripencc")
        drawn += 1
        if len(table) == count:
            break
    found: dict[str, float] = {"drawn": drawn, "seconds": time.perf_counter() - start}
    gc.collect()
    found |= {"bytes": resident_bytes() - before, "blocks": len(table), "runs": len(table.coverage)}
    exact = [table.entry(number)[0] for number in random.Random(seed).choices(range(count), k=HITS)]
    asked = addresses(seed, drawn)
    found["known"] = rate(lambda: drain(table.coverage.holds(4, each) for each in asked))
    found["holder"] = rate(lambda: drain(table.holder(4, each) for each in asked))
    found["next_gap"] = rate(lambda: drain(table.next_gap(4, each) for each in asked))
    found["number_of"] = rate(lambda: drain(table.number_of(each) for each in exact))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=1, help="fresh processes a side; medians are printed")
    parser.add_argument("--seed", type=int, default=20_161_123)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    spawn, sides = multiprocessing.get_context("spawn"), dict[str, list[dict[str, float]]](bare=[], mine=[])
    for _ in range(args.rounds):
        with spawn.Pool(1) as process:
            sides["mine"].append(process.apply(mine, (args.seed, args.blocks)))
        with spawn.Pool(1) as process:
            sides["bare"].append(process.apply(bare, (args.seed, int(sides["mine"][-1]["drawn"]))))
    trie, table = (
        {key: statistics.median(each[key] for each in found) for key in found[0]} for found in sides.values()
    )
    if args.json:
        print(json.dumps({"bare": trie, "table": table, "memory_ratio": table["bytes"] / trie["bytes"]}))
        return
    count = table["blocks"]
    print(f"{count:,.0f} blocks of {trie['prefixes']:,.0f} CIDRs, coverage in {table['runs']:,.0f} ranges")
    print(
        f"memory: {table['bytes'] / count:.0f} bytes a block, {trie['bytes'] / count:.0f} of bare tries: "
        f"{table['bytes'] / trie['bytes']:.2f} times"
    )
    print(f"filling: {count / table['seconds']:,.0f} blocks/s, {count / trie['seconds']:,.0f} (both with drawing them)")
    for key, words in (("known", "is it known (holds / in)"), ("holder", "who holds it (holder / get)")):
        print(f"{words}: {table[key]:,.0f}/s, {trie[key]:,.0f}/s: {table[key] / trie[key]:.2f} times")
    print(f"next gap: {table['next_gap']:,.0f}/s; number of a block: {table['number_of']:,.0f}/s")
    print(f"load when done: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
