"""A record in one line for people. Pure.

What registries say may hold anything: line breaks and other control characters become spaces, so that a line stays one
and a terminal is told nothing.
"""

from __future__ import annotations

from whoismesh.networks import Network, Record

_SPACES = dict.fromkeys((*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")


def one_line(record: Record) -> str:
    """Return what a lookup prints after the address."""
    if isinstance(record, Network):
        also = f"; {record.also.source} says {_short(record.also)}" if record.also is not None else ""
        line = f"{_short(record)}{also}"
    else:
        line = f"{record.kind}, {record.range} ({record.reason})"
    # Most have no such character: this tells it in a tenth of the time.
    return line if line.isprintable() else line.translate(_SPACES)


def _short(record: Network) -> str:
    holder = record.holder.name or record.holder.handle or "holder not named"
    origin = f"AS{record.asn} {record.asn_cidr or ''}".strip() if record.asn is not None else None
    details = [str(record.range), record.name, holder, record.country, record.registry, origin]
    return ", ".join(each for each in details if each)
