"""What IANA gave to whom, and what is never asked.

The blocks come from the address space registries that netaddr carries (`IANA_INFO`); only this module knows its
shape. Special-purpose space (RFC 6890 and its updates) is written out here, because netaddr carries no table of it
and the standard library's differs between the Pythons we run on.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

from netaddr import IPNetwork
from netaddr.ip.iana import IANA_INFO

from whoismesh.addresses import Range
from whoismesh.rangesets import RangeSet
from whoismesh.registries import WHOIS_HOSTS

#: IANA IPv4 and IPv6 Special-Purpose Address Registries, with multicast and class E. Left out are 192.175.48.0/24
#: and 2620:4f:8000::/48 (RFC 7534): they are special and yet ordinary registrations of ARIN's, with a holder.
SPECIAL_PURPOSE = (
    "0.0.0.0/8",  # RFC 791, this network
    "10.0.0.0/8",  # RFC 1918
    "100.64.0.0/10",  # RFC 6598, shared address space
    "127.0.0.0/8",  # RFC 1122, loopback
    "169.254.0.0/16",  # RFC 3927, link local
    "172.16.0.0/12",  # RFC 1918
    "192.0.0.0/24",  # RFC 6890, IETF protocol assignments
    "192.0.2.0/24",  # RFC 5737, documentation
    "192.31.196.0/24",  # RFC 7535, AS112
    "192.52.193.0/24",  # RFC 7450, AMT
    "192.88.99.0/24",  # RFC 7526, 6to4 relays
    "192.168.0.0/16",  # RFC 1918
    "198.18.0.0/15",  # RFC 2544, benchmarking
    "198.51.100.0/24",  # RFC 5737, documentation
    "203.0.113.0/24",  # RFC 5737, documentation
    "224.0.0.0/4",  # RFC 5771, multicast
    "240.0.0.0/4",  # RFC 1112, future use
    "2001::/23",  # RFC 2928, IETF protocol assignments
    "2001:db8::/32",  # RFC 3849, documentation
    "2002::/16",  # RFC 3056, 6to4
    "3fff::/20",  # RFC 9637, documentation
)


@cache
def delegations() -> tuple[tuple[Range, str], ...]:
    """Return (block, registry) for all that IANA gave to a registry, sorted, each block as IANA lists it."""
    found = []
    for table in ("IPv4", "IPv6_unicast"):
        for block, entry in IANA_INFO[table].items():
            assert isinstance(block, IPNetwork)  # single addresses and ranges are only in the multicast table
            registry = WHOIS_HOSTS.get(entry.get("whois", ""))
            if registry:
                found.append((Range(block.version, block.first, block.last), registry))
    return tuple(sorted(found))


@cache
def _delegated_starts(family: int) -> tuple[list[int], list[Range]]:
    blocks = [block for block, _ in delegations() if block.family == family]
    return [block.first for block in blocks], blocks


def delegated(family: int, address: int) -> Range | None:
    """Return the block, as IANA lists it, that was given to a registry and holds the address, or None."""
    starts, blocks = _delegated_starts(family)
    index = bisect_right(starts, address) - 1
    return blocks[index] if index >= 0 and blocks[index].last >= address else None


@cache
def runs() -> tuple[tuple[Range, str], ...]:
    """Return (range, registry) with adjacent blocks of one registry joined: no network is wider than its run."""
    joined: list[tuple[Range, str]] = []
    for block, registry in delegations():
        if joined:
            before, holder = joined[-1]
            if holder == registry and before.family == block.family and before.last + 1 == block.first:
                joined[-1] = (Range(block.family, before.first, block.last), registry)
                continue
        joined.append((block, registry))
    return tuple(joined)


@cache
def special_purpose() -> RangeSet:
    """Return the space that no registry is ever asked about. Treat it as read-only."""
    return RangeSet(Range.parse(text) for text in SPECIAL_PURPOSE)


@cache
def _run_starts(family: int) -> tuple[list[int], list[tuple[Range, str]]]:
    of_family = [(block, registry) for block, registry in runs() if block.family == family]
    return [block.first for block, _ in of_family], of_family


def run_of(family: int, address: int) -> tuple[Range, str] | None:
    """Return the joined range that IANA gave to one registry and that holds the address, or None."""
    starts, of_family = _run_starts(family)
    index = bisect_right(starts, address) - 1
    if index >= 0 and of_family[index][0].last >= address:
        return of_family[index]
    return None


@cache
def _block_starts(family: int) -> tuple[list[int], list[Range]]:
    of_family = [block for block, _ in delegations() if block.family == family]
    return [block.first for block in of_family], of_family


def block_of(family: int, address: int) -> Range | None:
    """Return the block, as IANA lists it, that it gave to a registry and that holds the address, or None."""
    starts, of_family = _block_starts(family)
    index = bisect_right(starts, address) - 1
    return of_family[index] if index >= 0 and of_family[index].last >= address else None


def home_of(asked: Range) -> str | None:
    """Return the registry that IANA gave an address to, or None."""
    run = run_of(asked.family, asked.first)
    return run[1] if run is not None else None


@cache
def _open_space(family: int) -> tuple[list[int], list[int]]:
    """Return first and last addresses of what networks can lie in: the runs without special space, in order."""
    _, of_family = _run_starts(family)
    parts = [part for run, _ in of_family for part in special_purpose().missing(run)]
    return [part.first for part in parts], [part.last for part in parts]


def is_plausible(network: Range) -> bool:
    """Tell whether one network can be this wide: it lies in one registry's joined space and no special space.

    A network that moved to another registry still lies in the space of the first, so whose space is not asked here.
    """
    firsts, lasts = _open_space(network.family)
    index = bisect_right(firsts, network.first) - 1
    return index >= 0 and network.last <= lasts[index]


def by_registry(space: Range) -> list[tuple[Range, str | None]]:
    """Split a range into parts by the registry IANA gave them to; None for what it gave to nobody or keeps special.

    The parts are in order and make up the whole range.
    """
    special = special_purpose()
    parts: list[tuple[Range, str | None]] = [(part, None) for part in special.present(space)]
    starts, of_family = _run_starts(space.family)
    for part in special.missing(space):
        at = part.first
        for block, registry in of_family[max(0, bisect_right(starts, at) - 1) :]:
            common = block.overlap(Range(part.family, at, part.last))
            if common is not None:
                if common.first > at:
                    parts.append((Range(part.family, at, common.first - 1), None))
                parts.append((common, registry))
                at = common.last + 1
            if block.last >= part.last:
                break
        if at <= part.last:
            parts.append((Range(part.family, at, part.last), None))
    return sorted(parts, key=lambda part: part[0])
