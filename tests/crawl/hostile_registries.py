"""Practice registries that do one hostile thing whenever they are asked about one network, and are well otherwise."""

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from whoismesh.addresses import Range, parse_address
from whoismesh.errors import AddressError
from whoismesh.practice.faults import Decision, Fault
from whoismesh.practice.server import PracticeRegistries

#: With this as `slow_s` a trickle is one byte a second (wire: an answer trickles in 30 steps).
BYTE_A_SECOND = 30.0
#: What ipwhois's pattern for mail addresses takes minutes over: it begins `.+?:.*?[^\S\n]+`.
BACKTRACKING = "a: " * 680


class Hostility(StrEnum):
    """What they do."""

    FLOOD = "100 MB"
    TRICKLE = "a byte a second"
    REDIRECTS = "10,000 redirects"
    CIRCLE = "a circle"  #: each registry points to the next, the last to the first
    BACKTRACK = "2 kB to backtrack"


FAULTS = {
    Hostility.FLOOD: Fault.FLOOD,
    Hostility.TRICKLE: Fault.TRICKLE,
    Hostility.REDIRECTS: Fault.CHAIN,
    Hostility.CIRCLE: Fault.ASTRAY,
}


@dataclass
class Hostile:
    """Which places are hostile, and how; stands for a Weather. `latency_s` is what a healthy answer takes."""

    latency_s: float = 0.0
    places: dict[Range, Hostility] = field(default_factory=dict)
    calm = False

    def at(self, question: str) -> Hostility | None:
        """Return what happens to a question about an address."""
        try:
            family, address = parse_address(question)
        except AddressError:
            return None
        return next((kind for place, kind in self.places.items() if place.holds(family, address)), None)

    def decide(self, registry: str, protocol: str, question: str, nth: int) -> Decision:
        """Return what happens to an answer (see practice.faults.Weather)."""
        kind = self.at(question)
        if kind is None:
            return Decision(self.latency_s)
        # Another place at each hop: the noise names it.
        return Decision(0.0, FAULTS.get(kind), nth.to_bytes(32, "little"))


class HostileRegistries(PracticeRegistries):
    """The servers."""

    def __init__(self, table, hostile: Hostile, **more):
        super().__init__(table, weather=hostile, slow_s=BYTE_A_SECOND, **more)
        self.hostile = hostile

    def _rdap(self, registry, client, path):
        reply = super()._rdap(registry, client, path)
        if self.hostile.at(path.rpartition("/")[2]) is Hostility.BACKTRACK:
            body = json.loads(reply.body)
            body["remarks"] = [{"title": "description", "description": [BACKTRACKING]}]
            return replace(reply, body=json.dumps(body).encode())
        return reply

    def _whois(self, registry, client, line):
        delivery = super()._whois(registry, client, line)
        if self.hostile.at(line.decode("latin-1").split()[-1]) is Hostility.BACKTRACK:
            crafted = f"\ndescr:          {BACKTRACKING}\nnetname:".encode()
            return replace(delivery, payload=delivery.payload.replace(b"\nnetname:", crafted, 1))
        return delivery


def peak_kib(pid: int) -> int:
    """Return the most memory that a process has had, KiB (proc_pid_status(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise ValueError(f"no VmHWM of process {pid}")
