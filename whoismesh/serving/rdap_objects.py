"""Answers by RDAP (RFC 9083): an ip network, help, and errors. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whoismesh.addresses import format_address
from whoismesh.networks import Network, Record
from whoismesh.serving.instants import instant

Json = dict[str, Any]

#: RFC 9083 section 4.1, and extensions of IANA's registry: cidr0 (CIDRs of a range), arin_originas0 (who announces it).
CONFORMANCE = ("rdap_level_0", "cidr0")
_ORIGINS = "arin_originas0"

TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    414: "URI Too Long",
    500: "Internal Server Error",
    501: "Not Implemented",
}


class Responder:
    """Makes answers about one snapshot. `base` is the URL under which clients reach it, with its slash at the end."""

    def __init__(self, name: str, written_at: str, base: str) -> None:
        self._base = base
        when = [f"The snapshot is of {written_at}."] if written_at else []
        self._notices = [
            {
                "title": "Source",
                "description": [
                    f"A whoismesh snapshot ({name}), not a registry's own service.",
                    "What a registry says now may differ, and has the last word.",
                    *when,
                ],
            }
        ]

    def answer(self, records: Sequence[Record], asked: str) -> tuple[int, Json]:
        """Return status and body. `records` hold the range asked about, the most specific first."""
        if not records:
            return self.error(404, f"This snapshot has no record that holds all of {asked}.")
        record = records[0]
        if not isinstance(record, Network):
            return self.error(404, f"{record.range} is {record.kind}: {record.reason}")
        return 200, self._network(record, records[1:], asked)

    def help(self) -> tuple[int, Json]:
        """Return what /help says (RFC 9083 section 7)."""
        told = {
            "title": "Help",
            "description": [
                "ip/ADDRESS and ip/CIDR return the most specific network that holds all of it.",
                'A link "up" leads to the network around it.',
                "Other queries of RFC 9082 are not served (501).",
            ],
        }
        return 200, {"rdapConformance": [*CONFORMANCE, _ORIGINS], "notices": [told, *self._notices]}

    def error(self, status: int, text: str) -> tuple[int, Json]:
        """Return an error object (RFC 9083 section 6)."""
        return status, {
            "rdapConformance": list(CONFORMANCE),
            "errorCode": status,
            "title": TITLES.get(status, "Error"),
            "description": [text],
            "notices": self._notices,
        }

    def _network(self, record: Network, parents: Sequence[Record], asked: str) -> Json:
        family, first, last = record.range
        version = f"v{family}"
        value = f"{self._base}ip/{asked}"
        links = [self._link(value, "self", record)]
        up = next((each for each in parents if isinstance(each, Network) and each.range.is_cidr()), None)
        if up is not None:
            links.append(self._link(value, "up", up))
        found: Json = {
            "rdapConformance": [*CONFORMANCE, _ORIGINS] if record.asn is not None else list(CONFORMANCE),
            "objectClassName": "ip network",
            "handle": record.handle or f"{format_address(family, first)} - {format_address(family, last)}",
            "startAddress": format_address(family, first),
            "endAddress": format_address(family, last),
            "ipVersion": version,
            "cidr0_cidrs": [
                {f"{version}prefix": format_address(family, address), "length": length}
                for address, length in record.range.prefixes()
            ],
            "name": record.name,
            "type": record.type,
            "country": record.country,
            "parentHandle": record.parent,
            "status": list(record.status),
            "events": self._events(record),
            "entities": self._entities(record),
            "links": links,
            "port43": None,
            "notices": [
                *self._notices,
                {
                    "title": "Registry",
                    "description": [
                        f"Registered at {record.registry}, learnt by {record.source}"
                        + (f" from {record.server}." if record.server else ".")
                    ],
                },
            ],
        }
        if record.asn is not None:
            found["arin_originas0_originautnums"] = [record.asn]
        return {name: each for name, each in found.items() if each not in (None, [], "")}

    def _link(self, value: str, relation: str, record: Network) -> Json:
        """Return a link to a network: by its CIDR, or where it is none, by what was asked."""
        target = f"{self._base}ip/{record.range}" if record.range.is_cidr() else value
        return {"value": value, "rel": relation, "href": target, "type": "application/rdap+json"}

    @staticmethod
    def _events(record: Network) -> list[Json]:
        told = (
            ("registration", record.registered),
            ("last changed", record.changed),
            ("last update of RDAP database", instant(record.fetched_at)),
        )
        return [{"eventAction": action, "eventDate": date} for action, date in told if date]

    @staticmethod
    def _entities(record: Network) -> list[Json]:
        holder = record.holder
        if holder.handle is None and holder.name is None:
            return []
        found: Json = {"objectClassName": "entity", "roles": ["registrant"]}
        if holder.handle is not None:
            found["handle"] = holder.handle
        name = holder.name or holder.handle
        found["vcardArray"] = [
            "vcard",
            [["version", {}, "text", "4.0"], ["fn", {}, "text", name], ["kind", {}, "text", "org"]],
        ]
        return [found]
