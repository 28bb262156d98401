"""Where two protocols' records of one address differ: what counts as different, and what does not.

RDAP and port 43 read the same database by different ways, and do not always say the same ("WHOIS Right?", PAM 2024,
has 7.6 % of domains). Compared are the fields that say what is registered, where, and to whom:

| field | different are | and not |
|---|---|---|
| `range` | first or last address | a record without a range of its own: LACNIC's echo of the address, a mere referral |
| `registry` | the registry that knows | |
| `handle` | the network's handle | a handle that only spells a range or an address: that is the field `range` |
| `holder` | its name or its handle | |
| `country` | the code | |

A value that is not known differs from nothing; neither do capitals, spaces and ways to compose a letter (NFKC), nor a
question mark from any other letter: RIPE NCC's port 43 writes one where Latin-1 has no letter. Of an answer that was
cut, a network around the other's is none to compare: the narrower one may have stood behind it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from whoismesh.addresses import Range, format_address
from whoismesh.answers.outcome import Answer, Reply, Status
from whoismesh.answers.ranges import read_range
from whoismesh.networks import COMPARED_FIELDS, Network


@dataclass(frozen=True, slots=True)
class Claim:
    """What one protocol says of an address. Unless `ranged` the network's range is only the address that was asked.

    Of a `part` of an answer the end is missing, where the narrowest network stands.
    """

    network: Network
    ranged: bool = True
    part: bool = False

    def is_around(self, other: Claim) -> bool:
        """Tell whether this is a part that stops before the other's network: a part about a network around it."""
        where = self.network.range
        return self.part and other.ranged and where != other.network.range and where.contains(other.network.range)


def claim_of(reply: Reply, answer: Answer) -> Claim | None:
    """Return what an answer claims of the address asked, None where it claims nothing.

    An answer that cannot tell the range may tell all the rest, and one that names another registry tells that.
    """
    if answer.network is not None:
        return Claim(answer.network, answer.status is not Status.FAILED, answer.status is Status.TRUNCATED)
    if answer.status is Status.ELSEWHERE and answer.elsewhere not in (None, reply.registry):
        return Claim(
            Network(
                registry=str(answer.elsewhere),
                range=Range(reply.family, reply.address, reply.address),
                source=reply.protocol,
                server=reply.server,
                asked=format_address(reply.family, reply.address),
                fetched_at=reply.fetched_at,
            ),
            ranged=False,
        )
    return None


def differing(one: Claim, other: Claim) -> tuple[str, ...]:
    """Return the fields in which two claims about one address differ, the same whichever comes first."""
    if one.is_around(other) or other.is_around(one):
        return ()
    mine, theirs = one.network, other.network
    pairs = {
        "registry": ((mine.registry, theirs.registry),),
        "handle": ((_handle(mine.handle), _handle(theirs.handle)),),
        "holder": ((mine.holder.handle, theirs.holder.handle), (mine.holder.name, theirs.holder.name)),
        "country": ((mine.country, theirs.country),),
    }
    found = {field for field, values in pairs.items() if any(_differ(*each) for each in values)}
    if one.ranged and other.ranged and mine.range != theirs.range:
        found.add("range")
    return tuple(field for field in COMPARED_FIELDS if field in found)


def _handle(text: str | None) -> str | None:
    return None if read_range(text) is not None else text


def _differ(one: str | None, other: str | None) -> bool:
    mine, theirs = _plain(one), _plain(other)
    if not mine or not theirs or mine == theirs:
        return False
    return len(mine) != len(theirs) or any(a != b and "?" not in (a, b) for a, b in zip(mine, theirs, strict=True))


def _plain(text: str | None) -> str:
    return " ".join(unicodedata.normalize("NFKC", text or "").casefold().split())
