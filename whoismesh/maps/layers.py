"""What a map shows of each record, and the legend that tells it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from whoismesh.differences import CLASSES
from whoismesh.maps import looks
from whoismesh.maps.looks import Look
from whoismesh.networks import Network, Record
from whoismesh.registries import REGISTRIES

#: The kind of what a layer has colours of its own for; else it is a kind of Unheld, or "not_asked".
TOLD = "told"


class Value(NamedTuple):
    """What addresses show: `kind` is TOLD and `text` what the layer tells, or the kind is all there is."""

    kind: str
    text: str = ""


NOT_ASKED = Value("not_asked")

#: What is no network: kind, its look and what the legend calls it.
_UNHELD = {
    "failed": (looks.FAILED, "failed"),
    "reserved": (looks.RESERVED, "reserved"),
    "unallocated": (looks.UNALLOCATED, "unallocated"),
    "not_asked": (looks.NOT_ASKED, "not asked"),
}


class Entry(NamedTuple):
    """A line of the legend: its look, what it is called, of how many addresses it is, and which values it stands for.

    Without values it stands for all that no other one stands for.
    """

    look: Look
    label: str
    addresses: int
    values: tuple[Value, ...]


class Layer(NamedTuple):
    """What one map shows: its title, the value of a record, and the legend's part on networks."""

    title: str
    value: Callable[[Record], Value]
    networks: Callable[[Mapping[Value, int]], list[Entry]]


def legend(layer: Layer, addresses: Mapping[Value, int]) -> list[Entry]:
    """Return the lines of a legend, of what there is on the map: networks first, then what is none."""
    rest = [
        Entry(look, label, addresses[Value(kind)], (Value(kind),))
        for kind, (look, label) in _UNHELD.items()
        if addresses.get(Value(kind))
    ]
    return [each for each in layer.networks(addresses) if each.addresses] + rest


# -- values -------------------------------------------------------------------------------------------------------


def _shown(told: Callable[[Network], str]) -> Callable[[Record], Value]:
    """Make what shows a network by a text; one value for each text, so that equal ones are quickly found equal."""
    known: dict[str, Value] = {}

    def value(record: Record) -> Value:
        if not isinstance(record, Network):
            return Value(record.kind)
        text = told(record)
        return known.get(text) or known.setdefault(text, Value(TOLD, text))

    return value


def _holder(record: Network) -> str:
    return record.holder.name or record.holder.handle or ""


def _year(record: Network) -> str:
    """Return the index of the age, or "" where no year is told."""
    text = (record.registered or "")[:4]
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        return ""
    return str(sum(int(text) >= year for year, _ in _AGES[1:]))


def _status(record: Record) -> Value:
    if isinstance(record, Network):
        return Value(TOLD, record.source)
    return Value(TOLD, record.source) if record.source else Value(record.kind)


# -- legends ------------------------------------------------------------------------------------------------------


def _fixed(lines: Sequence[tuple[str, str, Look]], others: str) -> Callable[[Mapping[Value, int]], list[Entry]]:
    """Make a legend of texts that are known beforehand, with a line for all others: text, label and look of each."""

    def networks(addresses: Mapping[Value, int]) -> list[Entry]:
        known = {Value(TOLD, text) for text, _, _ in lines}
        found = [
            Entry(look, label, addresses.get(Value(TOLD, text), 0), (Value(TOLD, text),)) for text, label, look in lines
        ]
        beside = sum(count for value, count in addresses.items() if value.kind == TOLD and value not in known)
        return [*found, Entry(looks.OTHERS, others, beside, ())]

    return networks


#: Colours of the most frequent values of a layer without known ones.
_RANKED = (looks.BLUE, looks.ORANGE, looks.GREEN, looks.PURPLE, looks.YELLOW, looks.SKY, looks.VERMILLION)


def _ranked(others: str, not_told: str) -> Callable[[Mapping[Value, int]], list[Entry]]:
    """Make a legend of the texts that most addresses have. `others` has a place for how many others there are."""

    def networks(addresses: Mapping[Value, int]) -> list[Entry]:
        unknown = Value(TOLD)
        found = [(value, count) for value, count in addresses.items() if value.kind == TOLD and value != unknown]
        found.sort(key=lambda each: (-each[1], each[0]))
        top, rest = found[: len(_RANKED)], found[len(_RANKED) :]
        return [
            *(Entry(Look(_RANKED[rank]), value.text, count, (value,)) for rank, (value, count) in enumerate(top)),
            Entry(looks.OTHERS, others.format(len(rest)), sum(count for _, count in rest), ()),
            Entry(looks.NOT_TOLD, not_told, addresses.get(unknown, 0), (unknown,)),
        ]

    return networks


_REGISTRY_COLOURS = (looks.BLUE, looks.ORANGE, looks.GREEN, looks.PURPLE, looks.YELLOW)

#: Since which year, and what the legend calls them.
_AGES = (
    (0, "before 1990"),
    (1990, "1990 to 1999"),
    (2000, "2000 to 2009"),
    (2010, "2010 to 2014"),
    (2015, "2015 to 2019"),
    (2020, "2020 and later"),
)


def _ages(addresses: Mapping[Value, int]) -> list[Entry]:
    lines = [(str(index), label, Look(looks.SEQUENCE[index])) for index, (_, label) in enumerate(_AGES)]
    return _fixed(lines, "not told")(addresses)


_STATUS_LINES = (
    ("rdap", "network, by RDAP", Look(looks.BLUE)),
    ("whois", "network, by WHOIS", Look(looks.SKY)),
    ("bulk", "network, from a file", Look(looks.GREEN)),
    ("delegated", "free, by statistics", Look(looks.PURPLE)),
)

LAYERS = {
    "registry": Layer(
        "who registered it",
        _shown(lambda record: record.registry),
        _fixed([(n, n, Look(c)) for n, c in zip(REGISTRIES, _REGISTRY_COLOURS, strict=True)], "another registry"),
    ),
    "country": Layer(
        "the country it is registered for",
        _shown(lambda record: (record.country or "").upper()),
        _ranked("{:,} other countries", "no country told"),
    ),
    "holder": Layer("who holds most of it", _shown(_holder), _ranked("{:,} other holders", "no holder told")),
    "age": Layer("when it was registered", _shown(_year), _ages),
    "status": Layer("how it is settled", _status, _fixed(_STATUS_LINES, "network, otherwise")),
}

#: The classes of `differences` that a map shows in colour, in its order.
_CHANGE_LOOKS = {
    "unchanged": Look("#BBBBBB"),
    "details": Look(looks.SKY),
    "changed_hands": Look(looks.VERMILLION),
    "moved_registry": Look(looks.PURPLE),
    "split": Look(looks.YELLOW),
    "merged": Look(looks.ORANGE),
    "resized": Look(looks.INDIGO),
    "added": Look(looks.GREEN),
    "removed": Look(looks.BLUE),
    "not_compared": Look("#777777", "hatch", "#FFFFFF"),
}
assert tuple(_CHANGE_LOOKS) == CLASSES


def change_value(kind: str) -> Value:
    """Return what addresses show of which the class is `kind` (differences.CLASSES)."""
    return Value(TOLD, kind)


def _changes(addresses: Mapping[Value, int]) -> list[Entry]:
    return [
        Entry(look, kind.replace("_", " "), addresses.get(change_value(kind), 0), (change_value(kind),))
        for kind, look in _CHANGE_LOOKS.items()
    ]


def _unheld(record: Record) -> Value:
    assert not isinstance(record, Network)
    return Value(record.kind)


#: What a map of two dumps shows; its `value` is for what nobody holds in either.
CHANGES = Layer("what changed", _unheld, _changes)


def entry_of(entries: Sequence[Entry], addresses: Counter[Value]) -> dict[Value, int]:
    """Return which line of the legend stands for each value."""
    found = {value: number for number, entry in enumerate(entries) for value in entry.values}
    others = next((number for number, entry in enumerate(entries) if not entry.values), None)
    return {value: found.get(value, others) for value in addresses}  # type: ignore[misc]
