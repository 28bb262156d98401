"""A coordinator that comes back with other ports: the worker is real, the coordinator a script that keeps nothing."""

import asyncio
import time

import zmq
from daemons import DEADLINE_S, worker

from whoismesh.addresses import parse_space
from whoismesh.compounds import LeaseGrant
from whoismesh.ledger.intake import runs
from whoismesh.messages import (
    Acknowledge,
    Compare,
    Join,
    LeaseRequest,
    Leases,
    Refused,
    Renew,
    Renewed,
    Results,
    Welcome,
    decode,
    encode,
)
from whoismesh.registries import REGISTRIES
from whoismesh.sockets import Inbox, bind_ports, open_socket

CRAWL = b"c" * 16


class Script:
    """A coordinator that leases one block, acknowledges when told to, and whose four ports lie anywhere."""

    def __init__(self, port=0, lease=None):
        self.context = zmq.Context()
        self.keys = set()
        self.asked_to_compare = asyncio.Event()
        self.arrived = asyncio.Event()
        self.enough = 1
        self.acknowledging = False
        self.lease = lease
        kinds = {"leases": zmq.ROUTER, "results": zmq.PULL, "feed": zmq.PUB, "exchanges": zmq.ROUTER}
        self.sockets = {name: open_socket(self.context, kind) for name, kind in kinds.items()}
        self.ports = {
            name: bind_ports([socket], "127.0.0.1", port if name == "leases" else 0)
            for name, socket in self.sockets.items()
        }
        self.members = set()
        self.inboxes = [
            Inbox(self.sockets["leases"], self._on_lease),
            Inbox(self.sockets["results"], self._on_results),
            Inbox(self.sockets["exchanges"], self._on_exchange),
        ]

    def _on_lease(self, frames):
        sender, message = frames[0], decode(frames[1])
        if isinstance(message, Join):
            ports = (self.ports["results"], self.ports["feed"], self.ports["exchanges"])
            self._send(sender, Welcome(CRAWL, message.origin or 1, *ports, 0.2, REGISTRIES, time.monotonic()))
            self.members.add(sender)
        elif sender not in self.members:
            self._send(sender, Refused(CRAWL, "not known here, join again", False))
        elif isinstance(message, LeaseRequest) and self.lease:
            grant = LeaseGrant(1, "ripencc", tuple(parse_space((self.lease,))), False, False)
            self.lease = None
            self._send(sender, Leases(CRAWL, (grant,)))
        elif isinstance(message, Renew):
            gone = () if self.lease is None else message.leases
            if self.acknowledging:
                self._send(sender, Acknowledge(CRAWL, 1, runs(sequence for _, sequence in self.keys)))
            self._send(sender, Renewed(CRAWL, gone, self.acknowledging, time.monotonic()))

    def _send(self, sender, message):
        self.inboxes[0].send(sender, encode(message))

    def _on_results(self, frames):
        message = decode(frames[0])
        if isinstance(message, Results):
            self.keys |= {(each.origin, each.sequence) for each in message.results}
            if len(self.keys) >= self.enough:
                self.arrived.set()

    def _on_exchange(self, frames):
        assert isinstance(decode(frames[1]), Compare)
        self.asked_to_compare.set()

    async def gets(self, count):
        self.enough = count
        if len(self.keys) < count:
            self.arrived.clear()
            async with asyncio.timeout(DEADLINE_S):
                await self.arrived.wait()

    def close(self):
        """Close all, and wait until the ports are free."""
        for inbox in self.inboxes:
            inbox.close()
        self.context.destroy(linger=0)


def test_all_links_follow_a_coordinator_to_its_new_ports(in_lab):
    async def crawl(lab):
        first = second = Script(lease="193.104.0.0/17")
        try:
            one = await worker(lab, lab.config(), "one", f"tcp://127.0.0.1:{first.ports['leases']}")
            await first.gets(60)
            async with asyncio.timeout(DEADLINE_S):
                await first.asked_to_compare.wait()
            first.close()
            second = Script(first.ports["leases"])
            assert all(second.ports[name] != first.ports[name] for name in ("results", "feed", "exchanges"))
            # Nothing was acknowledged, so all of it comes once more, at the new place.
            await second.gets(len(first.keys))
            assert first.keys <= second.keys
            async with asyncio.timeout(DEADLINE_S):
                await second.asked_to_compare.wait()
            second.acknowledging = True
            assert await one.ends() == 0
        finally:
            second.close()

    in_lab(crawl)
