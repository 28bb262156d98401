"""The descent into one network: what lies around it, and everything that lies in it.

Rules of this file:
- First up, to the widest network around what was found, then down: a network whose space is all handed on answers for
no address, so only its children lead to it.
- Nothing is believed that does not lie where it was asked for. That also ends a descent: each answer can only tell of
something narrower than the range asked about, and what is known is not asked about again.
- A list that is cut, or refused for its length, is asked for by halves. What lies across the seam holds the addresses
beside it, so they are asked about too.
- Where a registry has no such questions, the caller goes on by gaps (`Way.GAPS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from whoismesh import iana
from whoismesh.addresses import BITS, Range
from whoismesh.answers import Listing
from whoismesh.answers.ranges import read_range
from whoismesh.networks import Network

#: What one descent may take: an IPv4 /8 in /24s. A registry that goes on beyond it makes no sense.
MOST_NETWORKS = 1 << 16
#: Lists of 100 (RIPE NCC's) of so many, each with the halves above it and what is asked at their seams, are 4,000.
MOST_QUESTIONS = 1 << 13
#: Networks around one another; real ones have up to five.
MOST_LEVELS = 16

#: Types of networks in which no other can be registered, in the registries' words: what a holder assigned to an end
#: user out of its allocation (RIPE NCC and AFRINIC; APNIC; ARIN at port 43 and in RDAP, and LACNIC).
FINAL_TYPES = frozenset(("assigned pa", "assigned non-portable", "reassigned", "reassignment"))
#: ARIN's handles of the blocks that IANA gave it, `NET-74-0-0-0-0`.
_ARIN_BLOCK = re.compile(r"NET6?-[0-9A-F-]{1,60}-0", re.IGNORECASE)


class Way(StrEnum):
    """How a registry tells of what lies in a network."""

    SEARCH = "rdap"  #: relation searches of RDAP (RFC 9910)
    FLAGS = "whois"  #: -M and -L of RIPE NCC's family at port 43
    GAPS = "gaps"  #: not at all: each block of the smallest assignment is asked about


class Relation(StrEnum):
    """What a question asks for, seen from its range."""

    UP = "up"  #: the next wider network
    DOWN = "down"  #: those inside: one level (RDAP) or all (port 43)
    AROUND = "around"  #: all that hold it (port 43)
    AROUND_KEYS = "around-keys"  #: the same, their ranges alone
    POINT = "point"  #: the narrowest that holds it: a lookup like any other


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a descent; `url` is where to ask it, for RDAP and where it is not the address alone."""

    relation: Relation
    range: Range
    url: str = ""


class Descent:
    """One network, what it lies in, and what has been found of what lies in it.

    `base` is the URL of the registry's RDAP (empty where it is asked at port 43), `relations` are the links of the
    answer that named the network. Questions to be asked gather in `waiting`; each answer goes into `listed`, and there
    is an end when none is left (`over`).
    """

    def __init__(self, found: Network, way: Way, base: str, relations: Mapping[str, str] | None = None) -> None:
        self.found = self.top = found
        self.way = way
        self.known: set[Range] = {found.range}
        self.waiting: list[Question] = []
        self.refused = 0
        self.cut = False
        self._base = base
        self._asking = 0
        self._questions = 0
        self._levels = 0
        self._down: set[Range] = set()
        self._descending = False
        self._climb(found, relations or {})

    @property
    def over(self) -> bool:
        """Tell whether nothing is left to be asked."""
        return not self._asking

    def dropped(self) -> None:
        """Take in that a question will not be answered."""
        self._asking -= 1

    def change_way(self, way: Way) -> None:
        """Begin anew another way; what was found stays."""
        self.way = way
        self.waiting.clear()
        self._asking, self._levels, self._descending = 0, 0, False
        self._down.clear()
        self._climb(self.top, {})

    def listed(self, question: Question, listing: Listing) -> list[Network]:
        """Take in the answer to a question; return the networks that it tells of for the first time."""
        self._asking -= 1
        self.refused += listing.dropped
        if question.relation is Relation.DOWN:
            return self._below(question.range, listing)
        if self._descending:
            return self._at_a_seam(listing)
        return self._above(question, listing)

    # -- up -----------------------------------------------------------------------------------------------------

    def _climb(self, network: Network, relations: Mapping[str, str]) -> None:
        """Ask what a network lies in, or go down where it lies in nothing."""
        if self._levels >= MOST_LEVELS or not may_have_parent(network):
            self._go_down(relations)
        elif self.way is Way.SEARCH:
            if not self._search(Relation.UP, network.range, relations):
                self._go_down(relations)
        elif self.way is Way.FLAGS:
            self._ask(Question(Relation.AROUND_KEYS, network.range))
        else:
            # RFC 9082 section 3.1.1: a prefix is answered with the narrowest network that holds all of it. Port 43 has
            # no such lookup, but at LACNIC an answer names the network around it.
            stated = read_range(network.parent)
            wider = stated if stated is not None and stated.is_cidr() else None
            if self._base and wider is None:
                wider = _wider(network.range)
            if wider is None or not (stated or wider).contains(wider) or not wider.contains(network.range):
                self._go_down({})
            else:
                self._ask(Question(Relation.UP, wider, f"{self._base}ip/{wider}" if self._base else ""))

    def _above(self, question: Question, listing: Listing) -> list[Network]:
        self._want_whole(listing)
        inside = self.top.range
        wider = [each for each in listing.networks if each.range.contains(inside) and each.range != inside]
        wider.sort(key=lambda each: each.range.size)
        if question.relation is Relation.AROUND_KEYS and wider:
            self._ask(Question(Relation.AROUND, inside))
            return []
        if not wider:
            self._go_down({})
            return []
        if question.relation is Relation.UP:
            del wider[1:]
        before, self.top = self.top, wider[-1]
        news = [each for each in wider if each.range not in self.known]
        self.known.update(each.range for each in wider)
        self._levels += 1
        if question.relation is Relation.UP:
            self._climb(self.top, listing.relations.get(self.top.range, {}))
        else:
            self._go_down({})
        # The last one is told of when all is done; what was thought to be the last so far is told of now.
        return [before, *news[:-1]]

    def _go_down(self, relations: Mapping[str, str]) -> None:
        self._descending = True
        if self.way is not Way.GAPS:
            self._ask_below(self.top.range, relations)

    # -- down ---------------------------------------------------------------------------------------------------

    def _below(self, asked: Range, listing: Listing) -> list[Network]:
        news = []
        for each in listing.networks:
            if each.range == asked and asked in self.known:
                continue
            if not asked.contains(each.range):
                self.refused += 1
                continue
            if self._is_news(each):
                news.append(each)
            if self.way is Way.SEARCH and not is_final(each):
                self._ask_below(each.range, listing.relations.get(each.range, {}))
        if listing.too_wide or not listing.whole:
            self._split(asked)
        return news

    def _at_a_seam(self, listing: Listing) -> list[Network]:
        """Take in what holds an address beside a seam, as far as it lies in the network."""
        self._want_whole(listing)
        news = [each for each in listing.networks if self.top.range.contains(each.range) and self._is_news(each)]
        if self.way is Way.SEARCH:
            for each in news:
                self._search(Relation.UP, each.range, listing.relations.get(each.range, {}))
        return news

    def _want_whole(self, listing: Listing) -> None:
        """Give up where an answer is cut that no halves can make up for."""
        self.cut = self.cut or listing.too_wide or not listing.whole

    def _is_news(self, network: Network) -> bool:
        if network.range in self.known:
            return False
        if len(self.known) >= MOST_NETWORKS:
            self.cut = True
            return False
        self.known.add(network.range)
        return True

    def _ask_below(self, where: Range, relations: Mapping[str, str]) -> None:
        if where.size == 1 or where in self._down:
            return
        self._down.add(where)
        if self.way is Way.FLAGS:
            self._ask(Question(Relation.DOWN, where))
        elif not self._search(Relation.DOWN, where, relations):
            self._split(where)

    def _split(self, where: Range) -> None:
        if where.size == 1:
            return
        middle = _seam(where)
        for address in (middle - 1, middle):
            beside = Range(where.family, address, address)
            relation = Relation.POINT if self.way is Way.SEARCH else Relation.AROUND
            self._ask(Question(relation, beside))
        self._ask_below(Range(where.family, where.first, middle - 1), {})
        self._ask_below(Range(where.family, middle, where.last), {})

    def _search(self, relation: Relation, where: Range, relations: Mapping[str, str]) -> bool:
        """Ask by a relation search; return whether there is a URL for it."""
        word = f"rdap-{relation}"
        url = relations.get(word, "")
        if not url:
            if not where.is_cidr():
                return False
            url = f"{self._base}ips/rirSearch1/{word}/{where}"
        self._ask(Question(relation, where, url))
        return True

    def _ask(self, question: Question) -> None:
        if self._questions >= MOST_QUESTIONS:
            self.cut = True
            return
        self._questions += 1
        self._asking += 1
        self.waiting.append(question)


def is_final(network: Network) -> bool:
    """Tell whether no other network can be registered inside of this one."""
    return network.range.size == 1 or (network.type or "").lower() in FINAL_TYPES


def may_have_parent(network: Network) -> bool:
    """Tell whether a network may lie in another holder's, by what its answer says of its parent.

    A parent that is as wide as what IANA gave the registry is nobody's.
    """
    block = iana.delegated(network.range.family, network.range.first)
    if block is None or network.range.contains(block):
        return False
    if network.parent is None:
        return True
    parent = read_range(network.parent)
    if parent is None:
        return not _ARIN_BLOCK.fullmatch(network.parent)
    return not parent.contains(block)


def _wider(inner: Range) -> Range | None:
    """Return the narrowest CIDR that is wider than a range, None for the whole space."""
    length = BITS[inner.family] - (inner.first ^ inner.last).bit_length()
    around = Range.of_prefix(inner.family, inner.first, length)
    if around != inner:
        return around
    return Range.of_prefix(inner.family, inner.first, length - 1) if length else None


def _seam(where: Range) -> int:
    """Return where to halve a range of two addresses or more: at the middle of a CIDR, else at the widest boundary."""
    differing = (where.first ^ where.last).bit_length() - 1
    return where.last >> differing << differing
