"""The network record: one registration, a range of addresses and who holds it; and the record of a range nobody holds.

It is what RDAP calls an "ip network" (RFC 9083 section 5.4), RPSL an inetnum or inet6num and ARIN a NetRange.
`to_map` and `from_map` are the record of the dump, key for key (docs/architecture.md, "The dump").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from whoismesh.addresses import Range, format_address
from whoismesh.errors import DumpError

#: Texts of a record that goes into a message are cut to this, and so many statuses kept: together they stay far below
#: checks.MAX_PAYLOAD_BYTES, whatever a registry says.
MOST_CHARACTERS, MOST_STATUSES = 1_000, 20

#: In which fields two protocols' records of one address may differ (answers.disagreement tells what counts), in order.
COMPARED_FIELDS = ("range", "registry", "handle", "holder", "country")

#: What may be said of a range that no network holds.
UNHELD_KINDS = ("unallocated", "reserved", "failed")

#: Fields of a record that are a text or nil, as `from_map` takes them apart.
_TEXT_FIELDS = (
    "handle",
    "name",
    "type",
    "country",
    "parent",
    "registered",
    "changed",
    "asn_cidr",
    "server",
    "asked",
)
_TEXT_OR_NONE = frozenset({str, type(None)})


@dataclass(frozen=True, slots=True)
class Holder:
    """The organisation that holds a network: its handle in the registry and its name, each None if not known."""

    handle: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """One registration. A value that is not known is None; times are as the registry gives them, RFC 3339.

    `range` is what the registry registered, which can reach beyond the space that was crawled. `asked` is the
    address whose lookup found it, `fetched_at` when (seconds since 1970, UTC), `server` who answered,
    `source` how: "rdap", "whois" or "bulk".

    `also` is the other protocol's record of the same address where it says something else, in the fields that `differs`
    names (COMPARED_FIELDS). Its range is `asked` alone where it tells of none, as does LACNIC's echo.
    """

    registry: str
    range: Range
    handle: str | None = None
    name: str | None = None
    type: str | None = None
    status: tuple[str, ...] = ()
    country: str | None = None
    parent: str | None = None
    holder: Holder = field(default_factory=Holder)
    registered: str | None = None
    changed: str | None = None
    asn: int | None = None
    asn_cidr: str | None = None
    source: str = "rdap"
    server: str | None = None
    asked: str | None = None
    fetched_at: float = 0.0
    also: Network | None = None
    differs: tuple[str, ...] = ()

    def shortened(self) -> Network:
        """Return the record with every text of a sensible length: a registry may answer with anything.

        The range and the registry stay as they are; the longest names known are under 200 characters.
        """

        def cut(text: str | None) -> str | None:
            return text if text is None else text[:MOST_CHARACTERS]

        return replace(
            self,
            handle=cut(self.handle),
            name=cut(self.name),
            type=cut(self.type),
            status=tuple(text[:MOST_CHARACTERS] for text in self.status[:MOST_STATUSES]),
            country=cut(self.country),
            parent=cut(self.parent),
            holder=Holder(cut(self.holder.handle), cut(self.holder.name)),
            registered=cut(self.registered),
            changed=cut(self.changed),
        )

    def to_map(self) -> dict[str, Any]:
        """Return the record as the dump has it; `also` and `differs` only where there is something."""
        beside = {"also": self.also.to_map(), "differs": list(self.differs)} if self.also is not None else {}
        return {
            "kind": "network",
            "registry": self.registry,
            "first": self.range.first_bytes,
            "last": self.range.last_bytes,
            "cidrs": self.range.cidrs(),
            "handle": self.handle,
            "name": self.name,
            "type": self.type,
            "status": list(self.status),
            "country": self.country,
            "parent": self.parent,
            "holder": {"handle": self.holder.handle, "name": self.holder.name},
            "registered": self.registered,
            "changed": self.changed,
            "asn": self.asn,
            "asn_cidr": self.asn_cidr,
            "source": self.source,
            "server": self.server,
            "asked": self.asked,
            "fetched_at": self.fetched_at,
            **beside,
        }

    @classmethod
    def from_map(cls, record: Mapping[str, Any]) -> Network:
        """Read a record of the dump. Raises DumpError if a needed field is missing or any is of the wrong kind."""
        try:
            get = record.get
            holder = get("holder") or {}
            also = get("also")
            # All texts at once: a dump has millions of records, and this is most of reading one.
            texts = [get(name) for name in _TEXT_FIELDS] + [holder.get("handle"), holder.get("name")]
            if not _TEXT_OR_NONE.issuperset(map(type, texts)):
                raise TypeError(f"one of {', '.join(_TEXT_FIELDS)} and the holder is no text")
            handle, name, kind, country, parent, registered, changed, asn_cidr, server, asked, *held = texts
            return cls(
                registry=_checked(record, "registry", str),
                range=Range.from_bytes(_checked(record, "first", bytes), _checked(record, "last", bytes)),
                handle=handle,
                name=name,
                type=kind,
                status=_texts(get("status") or []),
                country=country,
                parent=parent,
                holder=Holder(*held),
                registered=registered,
                changed=changed,
                asn=_checked(record, "asn", int, None),
                asn_cidr=asn_cidr,
                source=_checked(record, "source", str, "rdap"),
                server=server,
                asked=asked,
                fetched_at=float(_checked(record, "fetched_at", (float, int), 0.0)),
                also=None if also is None else cls.from_map({**also, "also": None}),  # one beside the other, no chain
                differs=_texts(get("differs") or []),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DumpError(f"a network record is not one: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Unheld:
    """A range that no network holds: `kind` is "unallocated", "reserved" or "failed", `reason` one line for people.

    `source` is "delegated" where published statistics said so and nobody was asked, else "".
    """

    kind: str
    range: Range
    reason: str
    source: str = ""

    def to_map(self) -> dict[str, Any]:
        """Return the record as the dump has it."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "first": self.range.first_bytes,
            "last": self.range.last_bytes,
            "reason": self.reason,
        }
        return found | {"source": self.source} if self.source else found


#: What a dump is made of, between its header and its footer.
Record = Network | Unheld


def plain(record: Record) -> dict[str, Any]:
    """Return a record as plain values for JSON: addresses are texts."""
    return plain_values(record.to_map())


def plain_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the map that a record is in a dump as plain values for JSON, in the same order."""
    family = 4 if len(values["first"]) == 4 else 6
    found = dict(values)
    for name in ("first", "last"):
        found[name] = format_address(family, int.from_bytes(values[name]))
    if found.get("also") is not None:
        found["also"] = plain_values(found["also"])
    return found


def _checked(record: Mapping[str, Any], key: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
    """Return a value of that kind, or the default where there is none; without a default it must be there."""
    value = record[key] if default is ... else record.get(key)
    if value is None and default is not ...:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key} is a {type(value).__name__}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if value == []:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError("status is no list of texts")
    return tuple(value)
