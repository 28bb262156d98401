"""What a registry's answer means: a pure engine from a `Reply` to exactly one `Answer`.

- `outcome` has the words, `understand` and, for answers with many networks, `understand_list` are the ways in;
- `rdap` and `whois` read the two protocols, `rpsl` and `arin` the two kinds of port-43 text;
- `signals` knows the texts that are no registration: limits, bans, "not found", "not mine";
- `verdict` tells holders' networks from pools, placeholders and nonsense, alike for both protocols;
- `ipwhois_parser` is the only module that touches ipwhois; `ranges`, `servers`, `countries` and `text` read
  single values.

No socket, clock, disk or randomness: the same reply always means the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from whoismesh.answers.outcome import Answer, Listing, Reply, Status
from whoismesh.answers.rdap import list_rdap, understand_rdap
from whoismesh.answers.verdict import CANNOT_TELL
from whoismesh.answers.whois import list_whois, understand_whois

__all__ = ["CANNOT_TELL", "Answer", "Listing", "Reply", "Status", "understand", "understand_list"]


def understand(reply: Reply, bases: Mapping[str, str]) -> Answer:
    """Return what a reply means. Never raises, whatever came, and takes time bounded by the body's size.

    `bases` maps the configured servers to their registries: RDAP base URLs (`https://rdap.arin.net/registry/`) and
    WHOIS servers (`host:port`). A redirect or referral is looked up there first, then among the well-known hosts.

    A FAILED answer that is not transient and whose reason begins with CANNOT_TELL means that this protocol will not
    answer for the address, and the other one may.
    """
    try:
        return _read(reply, bases)
    except Exception as error:
        # Bodies are anybody's bytes and one parser is not ours: a bug that one of them finds must cost one lookup,
        # never a worker. The tests call `_read` itself, so that they see what is raised.
        return Answer(Status.MALFORMED, reason=f"expected an answer, came what cannot be read ({type(error).__name__})")


def understand_list(reply: Reply, bases: Mapping[str, str]) -> Listing:
    """Return what the answer to a search for networks below or around a range means. Never raises either.

    RDAP: a relation search (RFC 9910) or a lookup; port 43: `-m`, `-M` and `-L`. Whether what came lies where it was
    asked for is for the asker to see.
    """
    try:
        return list_rdap(reply, bases) if reply.protocol == "rdap" else list_whois(reply, bases)
    except Exception as error:
        reason = f"expected a list of networks, came what cannot be read ({type(error).__name__})"
        return Listing(failure=Answer(Status.MALFORMED, reason=reason))


def _read(reply: Reply, bases: Mapping[str, str]) -> Answer:
    if reply.protocol == "rdap":
        return understand_rdap(reply, bases)
    if reply.protocol == "whois":
        return understand_whois(reply, bases)
    return Answer(Status.FAILED, reason=f"expected the protocol rdap or whois, came {reply.protocol!r}")
