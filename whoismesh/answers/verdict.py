"""From a registration as it was read to what it means: the same judgement for both protocols.

Not every registration that holds an address is a holder's: registries answer with their own pools, with placeholders,
with objects that stand for "not mine", and now and then with nonsense. One bad 0.0.0.0/0 taken as a network would end
a crawl. Nothing here raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from whoismesh import iana
from whoismesh.addresses import MAX_ADDRESS, Range, format_address
from whoismesh.answers.outcome import Answer, Reply, Status
from whoismesh.networks import Holder, Network

#: What a reason begins with where this protocol cannot answer for this address, however often it is asked, and the
#: other one (usually port 43) may: status FAILED, not transient.
CANNOT_TELL = "this protocol cannot tell"


@dataclass(frozen=True, slots=True)
class Registration:
    """One registration as an answer has it, before it is judged. The fields that `Network` has mean the same.

    `holder_stated` tells that the holder is one by name (a registrant, an organisation object), not taken from a
    description; `description` and `maintainers` are the RPSL `descr:` and `mnt-by:` values or what RDAP makes of them;
    `keeper` is the registry that the answer names as the one that knows.
    """

    range: Range
    handle: str | None = None
    name: str | None = None
    type: str | None = None
    status: tuple[str, ...] = ()
    country: str | None = None
    parent: str | None = None
    holder: Holder = field(default_factory=Holder)
    holder_stated: bool = False
    registered: str | None = None
    changed: str | None = None
    description: tuple[str, ...] = ()
    maintainers: tuple[str, ...] = ()
    keeper: str | None = None


def judge(reply: Reply, found: Registration) -> Answer:
    """Return what a registration means for the address that was asked."""
    if not found.range.holds(reply.family, reply.address):
        return Answer(
            Status.MALFORMED,
            transient=True,
            reason=f"expected a range that holds the address asked, came {found.range}",
        )
    if reason := _placeholder(reply.registry, found):
        return Answer(Status.PLACEHOLDER, reason=reason)
    if named := _elsewhere(reply.registry, found):
        keeper, reason = named
        return Answer(Status.ELSEWHERE, elsewhere=keeper, reason=reason)
    if _is_pool(reply, found):
        return Answer(Status.POOL, reason=f"the registry's own block {found.range}")
    if not iana.is_plausible(found.range):
        return Answer(
            Status.MALFORMED,
            transient=True,
            reason=f"expected a network within what IANA gave to one registry, came {found.range}",
        )
    return Answer(Status.NETWORK, network=record(reply, found))


def record(reply: Reply, found: Registration) -> Network:
    """Return the record of a registration, and of the answer it came in."""
    return Network(
        registry=reply.registry,
        range=found.range,
        handle=found.handle,
        name=found.name,
        type=found.type,
        status=found.status,
        country=found.country,
        parent=found.parent,
        holder=found.holder,
        registered=found.registered,
        changed=found.changed,
        source=reply.protocol,
        server=reply.server,
        asked=format_address(reply.family, reply.address),
        fetched_at=reply.fetched_at,
    )


#: One of these is in every object that is judged to be a placeholder, another registry's, or a pool by its name.
_TELLING = (
    *(b"iana-", b"in-addr.arpa", b"worldwide", b"non-ripe-ncc", b"-transferred", b"stub", b"placeholder reference"),
    *(b"eu-zz-", b"allocated to apnic", b"allocated by apnic", b"administered by apnic"),
)


def seems_ordinary(found: Range, data: bytes) -> bool:
    """Tell, of an RPSL object as bytes, whether it will be judged a network: a look that costs a tenth of `judge`.

    It is a guess for choosing among millions; what is chosen is judged.
    """
    if not iana.is_plausible(found):
        return False
    block = iana.delegated(found.family, found.first)
    if block is None or found.contains(block):
        return False
    text = data.lower()
    return not any(word in text for word in _TELLING)


# --- placeholders ---------------------------------------------------------------------------------------------------

#: The object for 0.0.0.0/0 (RIPE NCC and the others of its family), and AFRINIC's for that and for reverse DNS only
#: (the texts from Net::Whois::IANA).
_PLACEHOLDER_NAME = re.compile(r"IANA-BLK\b", re.IGNORECASE)
_PLACEHOLDER_TEXTS = ("here for in-addr.arpa authentication", "the country is really worldwide")


def _placeholder(registry: str, found: Registration) -> str | None:
    if found.range.first == 0 and found.range.last == MAX_ADDRESS[found.range.family]:
        return "the whole address space is nobody's network"
    if found.name and _PLACEHOLDER_NAME.match(found.name):
        return f"placeholder {found.name}"
    described = registry == "afrinic" and not _afrinic_moved(found)
    if described and any(line.lower().startswith(_PLACEHOLDER_TEXTS) for line in found.description):
        return "placeholder by its description"
    if registry == "arin" and (found.type or "").lower().startswith(("iana reserved", "iana special use")):
        return f"placeholder of type {found.type}"
    return None


# --- elsewhere ------------------------------------------------------------------------------------------------------

_REGISTRY_NAMES = {
    "arin": "arin",
    "ripe": "ripencc",
    "ripe ncc": "ripencc",
    "apnic": "apnic",
    "lacnic": "lacnic",
    "afrinic": "afrinic",
}
# ARIN's NetType: "Allocated to APNIC", "Early Registrations, Transferred to RIPE NCC", "..., Maintained by LACNIC".
_ARIN_TYPE = re.compile(
    r"(?:allocated to|transferred to|maintained by) (arin|ripe|apnic|lacnic|afrinic)\b", re.IGNORECASE
)
_ARIN_NAME = re.compile(r"(ripe|apnic|lacnic|afrinic)(?:-ERX-.*)?", re.IGNORECASE)
# APNIC's stub for space that moved: `Transferred to the RIPE region on 2020-12-08T07:54:04Z.`
_APNIC_MOVED = re.compile(
    r"Transferred to the (arin|ripe(?: ncc)?|apnic|lacnic|afrinic) region on \d{4}-", re.IGNORECASE
)
_APNIC_FOREIGN = re.compile(
    r"(?:(?:this |the )?(?:network|address|ip address|ip)(?: range| block)? i[sn] )?"
    r"(?:not (?:fully )?allocated (?:to|by) APNIC\b|not administered by APNIC\b)|placeholder reference\b",
    re.IGNORECASE,
)
_APNIC_FOREIGN_NAME = re.compile(r"IANA-NETBLOCK-\d", re.IGNORECASE)


def _elsewhere(registry: str, found: Registration) -> tuple[str | None, str] | None:
    """Return (registry that knows or None, reason) where an answer says "not mine", None where it does not."""
    name = found.name or ""
    if found.keeper is not None and found.keeper != registry:
        return found.keeper, f"the answer refers to {found.keeper}"
    if registry == "ripencc" and name.upper().startswith("NON-RIPE-NCC-MANAGED-ADDRESS-BLOCK"):
        return None, f"not managed by RIPE NCC: {name}"
    if registry == "afrinic" and _afrinic_moved(found):
        return None, f"transferred away from AFRINIC: {name}"
    if registry == "apnic":
        return _apnic_elsewhere(name, found)
    if registry == "arin":
        if found.type and (match := _ARIN_TYPE.search(found.type)):
            keeper = _REGISTRY_NAMES[match[1].lower()]
            return None if keeper == registry else (keeper, f"ARIN: {found.type}")
        # The organisation's identifier, not its name: a name is free text.
        keeper = _REGISTRY_NAMES.get((found.holder.handle or "").lower(), registry)
        if keeper != registry:
            return keeper, f"ARIN: held by the organisation {found.holder.handle}"
        if match := _ARIN_NAME.fullmatch(name):
            return _REGISTRY_NAMES[match[1].lower()], f"ARIN: {name}"
        if any("not registered in the arin database" in line.lower() for line in found.description):
            return None, "not registered in the ARIN database"
    return None


def _afrinic_moved(found: Registration) -> bool:
    return (found.name or "").upper().startswith("AFRINIC-NET-TRANSFERRED")


def _apnic_elsewhere(name: str, found: Registration) -> tuple[str | None, str] | None:
    # Descriptions are the holder's words: a stub counts only with APNIC's own maintainer or, in RDAP, which has
    # none, with the name and the country that APNIC gives to stubs.
    if any(each.upper() == "APNIC-STUB" for each in found.maintainers) or (
        name.upper().startswith("STUB-") and found.country == "ZZ"
    ):
        for line in found.description:
            if match := _APNIC_MOVED.match(line):
                keeper = _REGISTRY_NAMES[match[1].lower()]
                return (keeper if keeper != "apnic" else None), line
    if _APNIC_FOREIGN_NAME.match(name) or any(_APNIC_FOREIGN.match(line) for line in found.description):
        return None, f"not administered by APNIC: {name}"
    return None


# --- pools ----------------------------------------------------------------------------------------------------------

#: The registries as holders of their own blocks: organisation identifiers and names. Whole values only.
_REGISTRY_HOLDERS = frozenset(
    {
        "arin",
        "american registry for internet numbers",
        "ripe",
        "ripe ncc",
        "org-ncc1-ripe",
        "ripe network coordination centre",
        "reseaux ip europeens network coordination centre (ripe ncc)",
        "réseaux ip européens network coordination centre (ripe ncc)",
        "apnic",
        "org-apnic1-ap",
        "asia pacific network information centre",
        "asia pacific network information centre, pty. ltd.",
        "asia pacific network information center",
        "asia pacific network information center, pty. ltd.",
        "lacnic",
        "latin american and caribbean ip address regional registry",
        "afrinic",
        "org-afnc1-afrinic",
        "african network information center",
        "african network information centre",
        "african network information center - ( afrinic ltd. )",
        "iana",
        "org-iana1-ripe",
        "org-iana1-afrinic",
        "internet assigned numbers authority",
    }
)
# Names the registries give to blocks as IANA gave them: EU-ZZ-193, APNIC-AP-210, LACNIC-200, NET206, NET6-2600.
_POOL_NAME = re.compile(r"EU-ZZ-|(?:APNIC|LACNIC|AFRINIC|RIPE|ARIN)(?:-|$)|NET6?-?\d|\d{1,3}-RIPE$", re.IGNORECASE)


def _is_pool(reply: Reply, found: Registration) -> bool:
    """Tell whether this is a registry's own block, out of which it allocates, rather than anybody's network."""
    name = found.name or ""
    unspecified = (found.type or "").upper() == "ALLOCATED UNSPECIFIED"
    if unspecified and name.upper().startswith("EU-ZZ-"):
        return True  # RIPE NCC's country code for blocks of its own, of whatever size
    block = iana.delegated(reply.family, reply.address)
    if block is None or not found.range.contains(block):
        return False
    if unspecified:
        return True
    if not found.holder_stated and (found.type or "").upper() == "LEGACY":
        return False  # RIPE NCC's word for what others held before it was there: never its own
    holders = {each.lower() for each in (found.holder.handle, found.holder.name) if each}
    if not holders or holders & _REGISTRY_HOLDERS:
        return True
    # Ford (19.0.0.0/8) and Apple (17.0.0.0/8) hold what IANA delegated, whatever the network is called.
    return not found.holder_stated and _POOL_NAME.match(name) is not None
