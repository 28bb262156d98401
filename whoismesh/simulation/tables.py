"""Random allocation tables: who holds what in a simulated world."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from whoismesh.addresses import Range, parse_address
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable
from whoismesh.registries import REGISTRIES

#: Blocks of each registry's own space, in the order of REGISTRIES: nothing special-purpose lies in them.
HOMES = {
    "arin": "8.0.0.0/9",
    "ripencc": "193.0.0.0/9",
    "apnic": "202.0.0.0/9",
    "lacnic": "200.0.0.0/9",
    "afrinic": "41.0.0.0/9",
}

#: Sizes of registrations in /24s. Most of the first are no CIDRs where they come to lie; the second are aligned as
#: registries' own mostly are.
ODD_SIZES = (1, 1, 1, 2, 3, 4, 8, 16, 29)
USUAL_SIZES = (1, 1, 1, 1, 2, 2, 4, 4, 8, 16, 64, 3, 29)


def row(where: str | Range, registry: str, *, held: bool = True) -> Row:
    """Return a row of the table: a registration, or with `held=False` space that a registry has not given out."""
    found = Range.parse(where) if isinstance(where, str) else where
    return Row(
        found, registry, "NL", "allocated" if held else "available", "20200101", f"o{found.first:x}", f"N{found}"
    )


def random_table(
    seed: int, registries: Iterable[str] = REGISTRIES, *, length: int = 16, transferred: float = 0.1, free: float = 0.15
) -> tuple[list[Range], AllocationTable]:
    """Return (space, table): for each registry a block of that length, cut into networks of whole /24s.

    Many are not CIDRs; some have moved to another registry, some space is free.
    """
    random = Random(seed)
    space, rows = [], []
    for home in registries:
        block = Range.of_prefix(4, _home(home), length)
        space.append(block)
        at = block.first >> 8
        end = (block.last + 1) >> 8
        while at < end:
            count = min(end - at, random.choice(ODD_SIZES))
            owner = random.choice(REGISTRIES) if random.random() < transferred else home
            where = Range(4, at << 8, ((at + count) << 8) - 1)
            rows.append(row(where, owner, held=random.random() >= free))
            at += count
    return space, AllocationTable(rows)


def table_of(seed: int, networks: int) -> tuple[list[Range], AllocationTable]:
    """Return (space, table) with that many networks, spread over the five registries; most are CIDRs.

    Every 20th has moved to another registry; between them lies free space, a tenth of the rows. A network beside
    others may lie across a boundary, as real ones do.
    """
    random = Random(f"table {seed}")
    space, rows = [], []
    for index, home in enumerate(REGISTRIES):
        left = networks // len(REGISTRIES) + (index < networks % len(REGISTRIES))
        start = at = _home(home) >> 8
        while left:
            count = random.choice(USUAL_SIZES)
            if count & (count - 1) == 0:
                # Aligned: what lies before the next boundary is free or a smaller network's.
                count = min(count, at & -at if at else count)
            held = random.random() >= 0.1
            count = count if held else min(count, 4)
            owner = random.choice(REGISTRIES) if random.random() < 0.05 else home
            rows.append(row(Range(4, at << 8, ((at + count) << 8) - 1), owner, held=held))
            at += count
            left -= held
        if at > start:
            space.append(Range(4, start << 8, (at << 8) - 1))
    return space, AllocationTable(rows)


def ideal_lookups(table: AllocationTable) -> int:
    """Return what a crawl cannot do without: one lookup a network and one a free /24."""
    return sum(1 if each.held else each.range.size >> 8 for each in table.rows())


def _home(registry: str) -> int:
    return parse_address(HOMES[registry].partition("/")[0])[1]
