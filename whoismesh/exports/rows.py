"""A record as a row of a table: the same columns in every format. Pure.

docs/export.md has the columns, and a test holds it to `COLUMNS`. A column is never renamed or given another meaning;
new ones come at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from whoismesh.addresses import format_address
from whoismesh.networks import Network, Record, plain

#: What is put before the four bytes of an IPv4 address to make sixteen (RFC 4291 section 2.5.5.2), so that one column
#: holds and sorts both families.
MAPPED = bytes(10) + b"\xff\xff"


class Column(NamedTuple):
    """Name, type ("text", "texts", "int", "float" or "blob"), and how to read it from a record and its network.

    A network's columns are null in the row of a range that nobody holds, and the other way round.
    """

    name: str
    type: str
    value: Callable[[Any], Any]


def _blob(family: int, address: int) -> bytes:
    return MAPPED + address.to_bytes(4) if family == 4 else address.to_bytes(16)


def _also(record: Network) -> str | None:
    return None if record.also is None else json.dumps(plain(record.also), ensure_ascii=False)


#: Of every record.
_COMMON = (
    Column("kind", "text", lambda record: "network" if isinstance(record, Network) else record.kind),
    Column("network", "text", lambda record: str(record.range)),
    Column("family", "int", lambda record: record.range.family),
    Column("first", "text", lambda record: format_address(record.range.family, record.range.first)),
    Column("last", "text", lambda record: format_address(record.range.family, record.range.last)),
)
#: Of every record, in formats that computers alone read.
_BINARY = (
    Column("first_bin", "blob", lambda record: _blob(record.range.family, record.range.first)),
    Column("last_bin", "blob", lambda record: _blob(record.range.family, record.range.last)),
    Column("first_int", "int", lambda record: record.range.first if record.range.family == 4 else None),
    Column("last_int", "int", lambda record: record.range.last if record.range.family == 4 else None),
)
#: Of networks.
_NETWORK = (
    Column("registry", "text", lambda record: record.registry),
    Column("handle", "text", lambda record: record.handle),
    Column("name", "text", lambda record: record.name),
    Column("type", "text", lambda record: record.type),
    Column("status", "texts", lambda record: list(record.status)),
    Column("country", "text", lambda record: record.country),
    Column("parent", "text", lambda record: record.parent),
    Column("holder_handle", "text", lambda record: record.holder.handle),
    Column("holder_name", "text", lambda record: record.holder.name),
    Column("registered", "text", lambda record: record.registered),
    Column("changed", "text", lambda record: record.changed),
    Column("asn", "int", lambda record: record.asn),
    Column("asn_cidr", "text", lambda record: record.asn_cidr),
    Column("server", "text", lambda record: record.server),
    Column("asked", "text", lambda record: record.asked),
    Column("fetched_at", "float", lambda record: record.fetched_at),
    Column("also", "text", _also),
    Column("differs", "texts", lambda record: list(record.differs)),
)
#: Of both, each with its own meaning.
_SOURCE = Column("source", "text", lambda record: record.source or None)
#: Of ranges that nobody holds.
_UNHELD = (Column("reason", "text", lambda record: record.reason),)

#: All columns in order, and those that text formats have.
COLUMNS = (*_COMMON, *_BINARY, *_NETWORK, _SOURCE, *_UNHELD)
TEXT_COLUMNS = (*_COMMON, *_NETWORK, _SOURCE, *_UNHELD)

_NOT_OF = {True: frozenset(each.name for each in _UNHELD), False: frozenset(each.name for each in _NETWORK)}


def row(record: Record, columns: tuple[Column, ...] = COLUMNS) -> list[Any]:
    """Return the values of a record's row: str, list of str, int, float, bytes or None."""
    missing = _NOT_OF[isinstance(record, Network)]
    return [None if name in missing else value(record) for name, _, value in columns]
