"""What lies below a range and what lies around it, as a registry knows it: relation searches and -m, -M, -L (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from whoismesh.addresses import Range
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable
from whoismesh.practice.verdicts import Kind, Verdict, delegation_of, pool_row


def below(table: AllocationTable, registry: str, asked: Range, *, all_levels: bool) -> list[Verdict]:
    """Return the registrations inside a range, one level of them or all, without one of just this range."""
    found = table.below(asked) if all_levels else table.children(asked)
    return [_verdict(table, row) for row in _own(registry, found)]


def around(table: AllocationTable, registry: str, asked: Range) -> list[Verdict]:
    """Return the registrations that hold a range, one of just this range among them, the widest first.

    What a registry has for the block that IANA gave it is one of them.
    """
    found = [_verdict(table, row) for row in reversed(_own(registry, table.around(asked)))]
    delegation = delegation_of(asked.family, asked.first)
    if delegation is not None and delegation[1] == registry and delegation[0].contains(asked):
        block = delegation[0]
        if all(each.asked != block for each in found):
            found.insert(0, Verdict(Kind.POOL, block, pool_row(registry, block), home=registry, delegated=block))
    return found


def _own(registry: str, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.held and row.registry == registry]


def _verdict(table: AllocationTable, row: Row) -> Verdict:
    delegation = delegation_of(row.range.family, row.range.first)
    block, home = delegation if delegation is not None else (None, None)
    wider = tuple(each for each in table.around(row.range) if each.range != row.range)
    return Verdict(Kind.NETWORK, row.range, row, home=home, delegated=block, wider=wider)
