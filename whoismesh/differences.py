"""What became of the address space between two dumps: by range, not by id. Pure: two sorted streams in, changes out.

Each address that is held in one of the two is in exactly one class, by the most specific network that holds it in each.
Swap the dumps, and `added` and `removed`, `split` and `merged` change places; the other classes stay.

| class | the address |
|---|---|
| unchanged | lies in the same range, and all that is told of it is the same |
| details | lies in the same range of the same registry and holder; something else changed |
| changed_hands | lies in the same range of the same registry, which another holds |
| moved_registry | lies in the same range, which another registry has |
| split | lay in a range of which a part has become a range of its own |
| merged | lies in a wider range than before, all around the old one |
| resized | lies in another range than before, and neither lies in the other |
| added | was held by nobody |
| removed | is held by nobody any more |
| not_compared | is held in one dump, of which the other tells nothing: beyond its space, not asked, or failed |
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from whoismesh.addresses import Range
from whoismesh.networks import Network, Record
from whoismesh.segments import overlaid, range_of, segments

#: The classes, in the order in which they are told.
CLASSES = (
    "unchanged",
    "details",
    "changed_hands",
    "moved_registry",
    "split",
    "merged",
    "resized",
    "added",
    "removed",
    "not_compared",
)

#: What makes a difference. How a record was learnt (source, server, asked, fetched_at, also, differs) makes none.
FIELDS = (
    "registry",
    "holder",
    "handle",
    "name",
    "type",
    "status",
    "country",
    "parent",
    "registered",
    "changed",
    "asn",
    "asn_cidr",
)


class Change(NamedTuple):
    """A stretch of addresses of one class, the record of it in each dump, and the fields that differ.

    A record is None where the dump tells nothing; `fields` is empty where one of the two is no network.
    """

    kind: str
    range: Range
    old: Record | None
    new: Record | None
    fields: tuple[str, ...]


class Pair(NamedTuple):
    """A stretch of addresses and what answers for it in each dump."""

    first: int
    last: int
    old: Record | None
    new: Record | None


def changes(old: Iterable[Record], new: Iterable[Record], ignored: Iterable[str] = ()) -> Iterator[Change]:
    """Yield what became of all that is held in one of two dumps, in order, also what did not change.

    Records come as dumps have them, sorted; fields that are `ignored` make no difference. Raises ValueError if records
    are not in order.
    """
    counted = tuple(name for name in FIELDS if name not in frozenset(ignored))
    for first, last, before, after in pairs(old, new):
        if isinstance(before, Network) or isinstance(after, Network):
            fields = differing(before, after, counted)
            yield Change(class_of(before, after, fields), range_of(first, last), before, after, fields)


def pairs(old: Iterable[Record], new: Iterable[Record]) -> Iterator[Pair]:
    """Yield the stretches over which in both dumps one record answers, where one of them has any."""
    open_pair: Pair | None = None
    for first, last, left, right in overlaid(segments(old), segments(new)):
        before, after = left[0] if left else None, right[0] if right else None
        if (
            open_pair is not None
            and open_pair.last + 1 == first
            and open_pair.old is before
            and open_pair.new is after
            and range_of(first, first).family == range_of(open_pair.last, open_pair.last).family
        ):
            open_pair = open_pair._replace(last=last)
            continue
        if open_pair is not None:
            yield open_pair
        open_pair = Pair(first, last, before, after)
    if open_pair is not None:
        yield open_pair


def differing(old: Record | None, new: Record | None, counted: Iterable[str] = FIELDS) -> tuple[str, ...]:
    """Return the names of the fields in which two networks differ, in the order of FIELDS."""
    if old is new or not isinstance(old, Network) or not isinstance(new, Network):
        return ()
    return tuple(name for name in counted if getattr(old, name) != getattr(new, name))


def class_of(old: Record | None, new: Record | None, fields: tuple[str, ...]) -> str:
    """Return the class of what one of the two records holds; `fields` are those in which they differ."""
    if not isinstance(old, Network):
        return "added" if old is not None and old.kind != "failed" else "not_compared"
    if not isinstance(new, Network):
        return "removed" if new is not None and new.kind != "failed" else "not_compared"
    if old.range != new.range:
        if old.range.contains(new.range):
            return "split"
        return "merged" if new.range.contains(old.range) else "resized"
    if not fields:
        return "unchanged"
    if "registry" in fields:
        return "moved_registry"
    return "changed_hands" if "holder" in fields and not same_holder(old, new) else "details"


def same_holder(old: Network, new: Network) -> bool:
    """Tell whether one holder has both: handle or name is the same, or nothing is known on both sides to compare.

    So neither another name of one handle is another holder, nor another handle of one name.
    """
    told = False
    for before, after in ((old.holder.handle, new.holder.handle), (old.holder.name, new.holder.name)):
        if before and after:
            if before.casefold() == after.casefold():
                return True
            told = True
    return not told


@dataclass(slots=True)
class Tally:
    """How many changes there are of each class, of how many addresses, and how often they differ in just these fields.

    The fields of `differing` are joined by "+".
    """

    changes: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    differing: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, change: Change) -> None:
        """Count one."""
        self.changes[change.kind] += 1
        self.addresses[change.kind] += change.range.size
        if change.fields:
            self.differing.setdefault(change.kind, Counter())["+".join(change.fields)] += 1

    def to_map(self) -> dict[str, dict[str, object]]:
        """Return plain values for JSON, by class."""
        return {
            kind: {
                "changes": self.changes[kind],
                "addresses": self.addresses[kind],
                "differing": dict(self.differing.get(kind, Counter()).most_common()),
            }
            for kind in CLASSES
        }


class RangeTally:
    """How many networks' ranges both dumps have, counted while the records pass by, also of networks under others.

    A range that is there twice counts twice. Each side is to be read to its end, both at about the same pace: what is
    held is how far one is ahead.
    """

    def __init__(self) -> None:
        self.kept = self.gone = self.new = 0
        self._old: deque[Range] = deque()
        self._new: deque[Range] = deque()

    def old(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass the old dump's records on."""
        return self._passed(records, self._old)

    def latest(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass the new dump's records on."""
        return self._passed(records, self._new)

    def _passed(self, records: Iterable[Record], waiting: deque[Range]) -> Iterator[Record]:
        for record in records:
            if isinstance(record, Network):
                waiting.append(record.range)
                self._match()
            yield record

    def _match(self) -> None:
        while self._old and self._new:
            if self._old[0] == self._new[0]:
                self._old.popleft()
                self._new.popleft()
                self.kept += 1
            elif self._old[0] < self._new[0]:
                self._old.popleft()
                self.gone += 1
            else:
                self._new.popleft()
                self.new += 1

    def to_map(self) -> dict[str, int]:
        """Return the counts, when both sides are at their end."""
        return {"kept": self.kept, "gone": self.gone + len(self._old), "new": self.new + len(self._new)}
