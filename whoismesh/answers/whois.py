"""Port-43 answers (RFC 3912): signals first, then the registration, in the dialect of the registry that answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from whoismesh.addresses import Range
from whoismesh.answers import signals
from whoismesh.answers.arin import read_arin, read_arin_around
from whoismesh.answers.outcome import Answer, Listing, Reply, Status
from whoismesh.answers.rpsl import read_all_rpsl, read_rpsl
from whoismesh.answers.servers import registry_of_whois
from whoismesh.answers.text import MAX_BODY_BYTES, MAX_LISTED, decode
from whoismesh.answers.verdict import judge
from whoismesh.networks import Network


def understand_whois(reply: Reply, bases: Mapping[str, str]) -> Answer:
    """Return what a port-43 answer means; see `answers.understand`."""
    if not reply.body.strip():
        return Answer(Status.FAILED, transient=True, reason="the connection was closed without an answer")
    if len(reply.body) > MAX_BODY_BYTES:
        return Answer(
            Status.MALFORMED, reason=f"expected at most {MAX_BODY_BYTES} bytes of WHOIS, came {len(reply.body)}"
        )
    text = decode(reply.body)
    signal = signals.find_signal(reply.registry, text, reply.fetched_at)
    if signal is not None and signal.status in (Status.BANNED, Status.LIMITED, Status.ELSEWHERE):
        return _said(signal)
    if reply.registry == "lacnic" and (host := signals.foreign_resource(text)):
        keeper = registry_of_whois(host, bases)
        if keeper != "lacnic":
            return Answer(Status.ELSEWHERE, elsewhere=keeper, reason=f"not LACNIC's resource but that of {host}")
    cut = _is_cut(reply.registry, text)
    if cut:
        text = text[: text.rfind("\n") + 1]  # half a line reads as another address, or as none
    found = read_arin(reply, text, bases) if reply.registry == "arin" else read_rpsl(reply, text)
    answer = judge(reply, found) if found is not None else None
    if signal is not None and signal.status is Status.TRUNCATED:
        return _part(answer, signal.reason)
    if answer is not None:
        if reply.registry == "arin" and answer.network is not None:
            answer = replace(answer, around=_around(reply, text, answer.network.range, bases))
        return _part(answer, "the end of the answer is missing") if cut else answer
    if signal is not None:
        return _said(signal)
    return Answer(Status.MALFORMED, transient=True, reason="expected a network or a known message, came neither")


def list_whois(reply: Reply, bases: Mapping[str, str]) -> Listing:
    """Return what the answer to a search for more or less specific networks means (`-m`, `-M`, `-L`).

    Only RIPE NCC, APNIC and AFRINIC have such; of keys alone (`-K`) the networks know their ranges and no more.
    """
    if len(reply.body) > MAX_BODY_BYTES:
        return Listing(too_wide=True)
    text = decode(reply.body)
    signal = signals.find_signal(reply.registry, text, reply.fetched_at)
    if signal is not None and signal.reason.startswith(signals.UNSUPPORTED):
        return Listing(too_wide=True)
    if signal is not None and signal.status is Status.UNALLOCATED:
        return Listing()
    whole = signal is None and not _is_cut(reply.registry, text, keys="source:" not in text)
    if signal is not None and signal.status is not Status.TRUNCATED:
        return Listing(failure=_said(signal))
    networks: dict[Range, Network] = {}
    dropped = 0
    for number, each in enumerate(read_all_rpsl(reply.registry, text if whole else text[: text.rfind("\n\n") + 1])):
        if number == MAX_LISTED:
            whole = False
            break
        # Each is judged as the answer about its own first address.
        answer = judge(replace(reply, family=each.range.family, address=each.range.first), each)
        if answer.network is not None:
            networks.setdefault(each.range, answer.network)
        dropped += answer.status is Status.MALFORMED
    if not networks and not dropped and _nothing_said(text):
        return Listing(failure=understand_whois(reply, bases))
    return Listing(tuple(networks.values()), whole, dropped)


def _nothing_said(text: str) -> bool:
    """Tell whether an answer has neither a network nor an object of any other kind."""
    return not any(line[:1] not in "%#\r" for line in text.split("\n") if line)


def _around(reply: Reply, text: str, inner: Range, bases: Mapping[str, str]) -> tuple[Network, ...]:
    answers = (judge(reply, each) for each in read_arin_around(text, inner, bases))
    return tuple(answer.network for answer in answers if answer.network is not None)


def _part(answer: Answer | None, reason: str) -> Answer:
    return Answer(
        Status.TRUNCATED, network=answer.network if answer is not None else None, transient=True, reason=reason
    )


def _said(signal: signals.Signal) -> Answer:
    return Answer(
        signal.status,
        retry_after_s=signal.retry_after_s,
        host_only=signal.host_only,
        transient=signal.transient,
        reason=signal.reason,
    )


#: The attributes that an object may end with: RFC 2622 has `source:` as the last one, AFRINIC puts `parent:` behind it,
#: APNIC's older objects end as they like.
_LAST_ATTRIBUTES = frozenset(("source", "parent", "changed", "last-modified"))

#: How whole answers begin, the line at which their last registration begins, and what comes behind that: an attribute
#: that no object lacks (RFC 2622 section 3.1), or comments.
_WHOLE = {
    "arin": ("# ARIN WHOIS data and services", ("\nNetRange:",), "\n#"),
    "ripencc": ("% This is the RIPE Database query service", ("\ninetnum:", "\ninet6num:"), "\nsource:"),
    "apnic": ("% [whois.apnic.net", ("\ninetnum:", "\ninet6num:"), "\nsource:"),
    "afrinic": ("% This is the AfriNIC Whois server", ("\ninetnum:", "\ninet6num:"), "\nsource:"),
}


def _is_cut(registry: str, text: str, *, keys: bool = False) -> bool:
    """Tell whether the end of an answer is missing: at port 43 the end of the connection is all there is.

    What is missing may be the narrower network, or the line that says whose it is. Of `keys` alone the last line tells.
    """
    if keys:
        return not text.endswith("\n")
    if not text.endswith("\n") and _ends_in_a_line(registry, text):
        return True
    if registry not in _WHOLE:
        return False
    beginning, registrations, behind = _WHOLE[registry]
    last = max(map(text.rfind, registrations))
    return last >= 0 and beginning in text[:1000] and behind not in text[last:]


def _ends_in_a_line(registry: str, text: str) -> bool:
    """Tell whether an answer without a line end stops in the middle of a line; some were recorded without the end.

    A whole answer ends behind comments, or behind an object, whose last attribute is known.
    """
    last = text.rpartition("\n")[2]
    if last.startswith(("%", "#", "\r%", "\r#")):
        return False
    key, colon, value = last.partition(":")
    if registry in ("arin", "lacnic"):
        return bool(colon)
    return not (key.strip().lower() in _LAST_ATTRIBUTES and value.strip())
