"""The coordinator of a simulated fleet, as far as gossip goes: the real roster and hearsay, and a log that is on disk.

A result counts when a commit has taken it in. While it is away nothing reaches it; when it is back it is a new process
with the log and the results of the one before, and an empty list of members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whoismesh.blocks import Block, BlockLog
from whoismesh.compounds import Run
from whoismesh.gossip.events import Exchanged
from whoismesh.ledger.engine import HOUSEKEEPING_S
from whoismesh.ledger.hearsay import Hearsay
from whoismesh.ledger.intake import Sequences
from whoismesh.ledger.leases import LEASE_TTL_S
from whoismesh.ledger.lending import Worker
from whoismesh.ledger.roster import Roster
from whoismesh.messages import Discovered, Members
from whoismesh.simulation.gossip.links import COORDINATOR

if TYPE_CHECKING:
    from whoismesh.simulation.gossip.mesh import Mesh
    from whoismesh.simulation.gossip.process import Process

#: A commit takes this long, seconds; what comes meanwhile is in the next.
COMMIT_S = 0.03
Results = dict[tuple[int, int], int | None]


class Coordinator:
    """The coordinator's host. `stored` are the results on its disk, `log` the accepted log there."""

    def __init__(self, mesh: Mesh) -> None:
        self.log = BlockLog()
        self.stored: dict[int, Sequences] = {}
        self.adopted = 0
        self.starts = 0
        self.is_away = True
        self._mesh = mesh
        self._epoch = 0
        self._gathered: list[tuple[Process, Results]] = []
        self._committing = False

    # -- life ---------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start, or start again."""
        self.is_away = False
        self._epoch += 1
        self._gathered, self._committing = [], False
        self.workers: dict[int, Worker] = {}
        self._roster = Roster(self._mesh.crawl, self._epoch)
        self._hearsay = Hearsay(self.log, lambda origin, number: number in self.stored.get(origin, ()))
        self._whole: Members | None = None
        self._mesh.clock.after(HOUSEKEEPING_S, self._housekeeping, self._epoch)

    def leave(self) -> None:
        """Be away from now on."""
        self.is_away = True

    def _housekeeping(self, epoch: int) -> None:
        if self.is_away or epoch != self._epoch:
            return
        now = self._mesh.clock.now
        for worker in [each for each in self.workers.values() if now - each.seen_at > LEASE_TTL_S]:
            del self.workers[worker.origin]
            self._tell_members(self._roster.left(worker.origin))
        before = len(self.log)
        for _, _, registry, block in self._hearsay.orphans(self.workers, now):
            self.log.append(Block(registry, block))
            self.adopted += 1
        self._tell_log(before)
        self._mesh.clock.after(HOUSEKEEPING_S, self._housekeeping, epoch)

    # -- members ------------------------------------------------------------------------------------------------

    @property
    def members(self) -> Members:
        """The whole list."""
        if self._whole is None:
            self._whole = self._roster.whole()
        return self._whole

    def enrol(self, process: Process, origin: int) -> Members:
        """Take a process into the list; return the change."""
        address = self._mesh.address_of(process.host)
        self.workers[origin] = Worker(origin, b"", f"host{process.host}", address, self._mesh.clock.now)
        self._whole = None
        return self._roster.joined(self.workers[origin])

    def join(self, process: Process) -> None:
        """Take in a process, with a new origin if it has none yet."""
        if not process.alive:
            return
        origin = process.gossip.origin
        if not origin:
            self.starts += 1
            origin = self.starts
        self._tell_members(self.enrol(process, origin))
        self._mesh.links.traffic.sent("welcome", self.members, self._mesh.size_of(self.members))
        self._mesh.from_coordinator(process, process.welcome, origin, self.members)

    def renew(self, process: Process) -> None:
        """Take in a heartbeat; who is not known joins again."""
        worker = self.workers.get(process.gossip.origin)
        if worker is None:
            self.join(process)
        else:
            worker.seen_at = self._mesh.clock.now

    def _tell_members(self, change: Members) -> None:
        self._whole = None
        self._mesh.links.publish(COORDINATOR, None, change, "feed_members")

    # -- results and gossip -------------------------------------------------------------------------------------

    def collected(self, process: Process, results: Results) -> None:
        """Take in results; they are stored after a commit."""
        self._gathered.append((process, results))
        if not self._committing:
            self._committing = True
            self._mesh.clock.after(COMMIT_S, self._commit, self._epoch)

    def _commit(self, epoch: int) -> None:
        if self.is_away or epoch != self._epoch:
            return
        gathered, self._gathered, self._committing = self._gathered, [], False
        before = len(self.log)
        for process, results in gathered:
            for (origin, number), found in results.items():
                stored = self.stored.setdefault(origin, Sequences())
                if number not in stored:
                    stored.add(number)
                    if found is not None:
                        self.log.append(self._mesh.catalogue.blocks[found])
            self._mesh.from_coordinator(process, process.acknowledged, list(results))
        self._tell_log(before)

    def _tell_log(self, after: int) -> None:
        while blocks := self.log.after(after):
            told = Discovered(self._mesh.crawl, (Run(0, after + 1, None, blocks),))
            self._mesh.links.publish(COORDINATOR, None, told, "feed")
            after += len(blocks)

    def asked(self, sender: bytes, message: Exchanged) -> None:
        """Take in what a node says in an exchange."""
        if not self.is_away:
            for each in self._hearsay.answer(message, self.members, self._mesh.clock.now):
                self._mesh.reply(sender, each, 0.0)
