"""What a registry knows of an address: the one decision that both protocols' answers are made of."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.practice.names import WORDS
from whoismesh.practice.row import Row
from whoismesh.practice.table import AllocationTable


class Kind(StrEnum):
    """What an answer says; these words stand in the request log."""

    NETWORK = "network"  #: the registration
    ELSEWHERE = "elsewhere"  #: another registry's
    UNALLOCATED = "unallocated"  #: nobody's
    POOL = "pool"  #: a question wider than any registration: the block as IANA gave it
    LIST = "list"  #: the registrations below or around a range
    BAD = "bad"  #: no question
    LIMITED = "limited"  #: too many questions
    BANNED = "banned"  #: too many questions after that


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the asked registry says of `asked`.

    `row` is the row that holds it (None if the table says nothing), `owner` the registry that knows more (for
    ELSEWHERE), `wider` the rows that `row` lies in, the narrowest first (for NETWORK), `home` and `delegated` the
    registry and the block of IANA's delegation. `run` is for ELSEWHERE: the run of the owner's blocks around a
    transferred row; `foreign` is the run around it that is not the asked registry's.
    """

    kind: Kind
    asked: Range
    row: Row | None = None
    owner: str | None = None
    home: str | None = None
    delegated: Range | None = None
    run: Range | None = None
    foreign: Range | None = None
    wider: tuple[Row, ...] = ()

    @property
    def parent(self) -> Range:
        """What the network lies in: another one, or the block that IANA gave the registry."""
        if self.wider:
            return self.wider[0].range
        return self.delegated or (self.row.range if self.row is not None else self.asked)


def judge(table: AllocationTable, registry: str, asked: Range) -> Verdict:
    """Decide what `registry` says of an address, or of the smallest network that holds a whole prefix.

    A row says whose it is; where none does, IANA's delegations do. Space that is nobody's is "not found" at the
    registry it would be allocated from, and elsewhere at the others.
    """
    around = [row for row in table.around(asked) if row.registry != "iana"]
    row = around[0] if around else None
    delegation = delegation_of(asked.family, asked.first)
    delegated, home = delegation if delegation is not None else (None, None)
    if asked.size > 1 and row is None:
        # No single row holds the prefix. What does is the registry's own block, if anything inside is registered.
        inside = any(each.held for each in table.rows(asked))
        if inside and home == registry and delegated is not None and delegated.contains(asked):
            return Verdict(Kind.POOL, asked, pool_row(registry, delegated), home=home, delegated=delegated)
    owner = row.registry if row is not None else home
    if owner is None or owner == registry:
        kind = Kind.NETWORK if row is not None and row.held else Kind.UNALLOCATED
        return Verdict(kind, asked, row, home=home, delegated=delegated, wider=tuple(around[1:]))
    row = around[-1] if around else None  # whose it is they know, and not what its holder made of it
    run = None
    if registry == "arin" and row is not None and row.held and owner != home and delegated is not None:
        run = table.run_of(row, delegated) if delegated.contains(row.range) else row.range
    foreign = table.foreign_run(registry, asked.family, asked.first) if registry == "ripencc" else None
    return Verdict(Kind.ELSEWHERE, asked, row, owner, home, delegated, run, foreign)


def delegation_of(family: int, address: int) -> tuple[Range, str] | None:
    """Return the block that IANA delegated and that holds an address, with the registry that got it, or None."""
    firsts, blocks = _delegations(family)
    index = bisect_right(firsts, address) - 1
    if index >= 0 and blocks[index][0].last >= address:
        return blocks[index]
    return None


@cache
def _delegations(family: int) -> tuple[list[int], list[tuple[Range, str]]]:
    blocks = [(block, registry) for block, registry in iana.delegations() if block.family == family]
    return [block.first for block, _ in blocks], blocks


def pool_row(registry: str, block: Range) -> Row:
    """Return the registry's own block, as IANA gave it, as a row."""
    words = WORDS[registry]
    return Row(block, registry, words.country, "allocated", "", words.arin_id, words.full_name)
