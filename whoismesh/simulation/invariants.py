"""What must always hold, checked while a world runs. Each raises InvariantError under its name.

At every step, at the moment it could break:

    acknowledged-is-on-disk   an Acknowledge that leaves names only results that are committed
    forgotten-is-on-disk      a result leaves a spool only when it is committed
    kept-until-acknowledged   what a worker knows to be unacknowledged lies in its spool (counted; by key at an audit)
    stored-once               no (origin, sequence) is committed twice
    counted-once              the ledger counts no more results than are committed
    settled-once              the sizes of the settled kinds add up
    settled-by-the-disk       the settled space changes by stored results only
    budget-kept               no registry sees more lookups in any second than its rate, rounded up, fleet and host
    told-wait                 nobody asks who knows of a wait: by the answer, or by the coordinator's revocation. What a
                              coordinator forgot in a restart is not counted
    banned-stays-closed       no process asks a registry that banned it
    queues-bounded            unacknowledged results, lookups at once

At audits (every `audit_s` seconds of virtual time, at every coordinator's start, at the end; with `audit_every` also
after so many steps): the audits of `audits`, and

    settled-by-the-disk       the ledger's coverage is what the committed results give, replayed by themselves and added
                              up by hand
    kept-until-acknowledged   key by key
    dead-leases-lapse         no lease is held for a process that died long ago
    replicas-hold-the-log     what a replica says it has of the accepted log it has
    replicas-converge         once all has healed, every member has the accepted log as it was a while ago

At the end: finishes, orphans-found, exact, stops-well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whoismesh import iana
from whoismesh.addresses import Range
from whoismesh.answers import Reply, Status
from whoismesh.compounds import ABANDONED, Result
from whoismesh.lanes import events as lane_events
from whoismesh.lanes.engine import MOST_UNACKNOWLEDGED
from whoismesh.ledger import Ledger
from whoismesh.ledger import events as ledger_events
from whoismesh.ledger.account import Account
from whoismesh.messages import Acknowledge
from whoismesh.rangesets import RangeSet
from whoismesh.simulation.audits import SETTLED_ONCE, audit_lanes, audit_ledger, unsettled_space
from whoismesh.simulation.broken import InvariantError
from whoismesh.simulation.hosts import Node

if TYPE_CHECKING:
    from whoismesh.simulation.world import World

#: How long the lease of a dead process may last: its time to live, and what a cut may have held up of its messages.
DEAD_LEASE_S = 60.0
#: How long a replica may be behind the accepted log after everything has healed, seconds.
BEHIND_S = 15.0
KINDS = ("held", "unallocated", "failed", "reserved", "settled")


class Checks:
    """The invariants of one world."""

    def __init__(self, world: World) -> None:
        plan = world.plan
        self.audits = 0
        self._world = world
        self._keys: set[tuple[int, int]] = set()
        self._shadow = Account(plan.space, plan.attempts)
        self._named = RangeSet()
        self._steps = 0
        self._told: dict[tuple[int, str], float] = {}
        self._revoked: dict[tuple[int, str], float] = {}
        self._banned: set[tuple[int, str]] = set()
        self._log_lengths: list[tuple[float, int]] = []

    # -- the coordinator ----------------------------------------------------------------------------------------

    def commit(self, results: tuple[Result, ...]) -> None:
        """Check what is committed now."""
        for result in results:
            key = (result.origin, result.sequence)
            if key in self._keys:
                raise InvariantError("stored-once", "each (origin, sequence) on disk once", f"{key} committed again")
            self._keys.add(key)
            self._shadow.settle(result, 0.0)
            if (
                result.status == Status.NETWORK
                and iana.is_plausible(result.range)
                and result.range.contains(result.asked)
            ):
                self._named.add(result.range)

    def acknowledged(self, message: Acknowledge) -> None:
        """Check an Acknowledge that leaves."""
        for first, last in message.runs:
            for sequence in range(first, last + 1):
                if (message.origin, sequence) not in self._keys:
                    raise InvariantError(
                        "acknowledged-is-on-disk",
                        "every acknowledged result on the coordinator's disk",
                        f"({message.origin}, {sequence}) is not",
                    )

    def started(self, ledger: Ledger) -> None:
        """Check a ledger that was replayed from disk."""
        self._log_lengths.clear()
        self._same_as_the_disk(ledger)
        audit_ledger(ledger)

    def ledger_step(self, ledger: Ledger, event: ledger_events.Event, before: int) -> None:
        """Check the coordinator after an event; `before` is how much was settled."""
        coverage = ledger.coverage
        settled = coverage.settled.size
        kinds = coverage.held.size + coverage.unallocated.size + coverage.failed.size + coverage.reserved.size
        if kinds != settled:
            raise InvariantError(SETTLED_ONCE, f"{settled} addresses settled", f"{kinds} in its kinds")
        if settled != before and not isinstance(event, ledger_events.Stored):
            name = type(event).__name__
            raise InvariantError("settled-by-the-disk", f"{before} addresses settled after {name}", settled)
        if ledger.counters["results"] > len(self._keys):
            raise InvariantError("counted-once", f"at most {len(self._keys)} results", ledger.counters["results"])
        self._step()

    # -- workers ------------------------------------------------------------------------------------------------

    def lanes_step(self, node: Node) -> None:
        """Check a worker after an event."""
        unacknowledged = len(node.lanes.findings.unacknowledged)
        if unacknowledged != len(node.spool) + len(node.kept):
            raise InvariantError(
                "kept-until-acknowledged",
                f"{unacknowledged} unacknowledged results kept by worker {node.number}",
                f"{len(node.spool)} in its spool and {len(node.kept)} on their way there",
            )
        connections = 0
        for lane in node.lanes.lanes.values():
            connections += lane.connections
            if len(lane.lookups) > lane.connections:
                raise InvariantError("queues-bounded", f"{lane.connections} lookups at once", len(lane.lookups))
        if unacknowledged > MOST_UNACKNOWLEDGED + connections and not node.lanes.findings.recovered:
            raise InvariantError("queues-bounded", f"{MOST_UNACKNOWLEDGED} unacknowledged", unacknowledged)
        self._step()

    def forgot(self, node: Node, origin: int, sequence: int) -> None:
        """Check what left a spool."""
        if (origin, sequence) not in self._keys:
            raise InvariantError(
                "forgotten-is-on-disk",
                f"what worker {node.number} forgets to be on the coordinator's disk",
                f"({origin}, {sequence}) is not",
            )

    def ask(self, node: Node, ask: lane_events.Ask) -> None:
        """Check a lookup before it leaves."""
        key, now = (node.number, ask.registry), self._world.clock.now
        if key in self._banned:
            raise InvariantError(
                "banned-stays-closed",
                f"nothing asked by worker {node.number} at {ask.registry}",
                f"lookup {ask.lookup}",
            )
        for waits, whence in ((self._told, "by the registry"), (self._revoked, "by the coordinator")):
            until = waits.get(key, 0.0)
            if now < until - 1e-6:
                raise InvariantError(
                    "told-wait",
                    f"worker {node.number}, told {whence}, to leave {ask.registry} alone for {until - now:.3f} s more",
                    f"lookup {ask.lookup}",
                )

    def replied(self, node: Node, reply: Reply) -> None:
        """Note what a worker was told by an answer that it took in."""
        key = (node.number, reply.registry)
        if reply.http_status == 429 and "retry-after" in reply.headers:
            until = self._world.clock.now + float(reply.headers["retry-after"])
            self._told[key] = max(self._told.get(key, 0.0), until)
        elif reply.http_status == 403:
            self._banned.add(key)

    def welcomed(self, node: Node) -> None:
        """Note that a worker knows only what its coordinator knows."""
        for key in [key for key in self._revoked if key[0] == node.number]:
            del self._revoked[key]

    def revoked(self, node: Node, told: dict[str, float]) -> None:
        """Note the waits that a worker has learned of."""
        for registry, until in told.items():
            key = (node.number, registry)
            self._revoked[key] = max(self._revoked.get(key, 0.0), until)

    def stopped(self, node: Node) -> None:
        """Check a worker that ended by itself."""
        if node.stopped:
            raise InvariantError("stops-well", f"worker {node.number} to stop without an error", node.stopped)
        self._replica_of(node)

    # -- audits -------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        self._steps += 1
        if self._world.plan.audit_every and self._steps % self._world.plan.audit_every == 0:
            self.audit()

    def audit(self) -> None:
        """Check everything."""
        self.audits += 1
        world = self._world
        ledger = world.coordinator.ledger
        if ledger is not None:
            audit_ledger(ledger)
            self._dead_leases(ledger)
            if ledger.counters["results"] == len(world.coordinator.disk):
                self._same_as_the_disk(ledger)
        for node in world.living:
            audit_lanes(node.lanes)
            kept = {(each.result.origin, each.result.sequence) for each in node.kept}
            if node.lanes.findings.unacknowledged.keys() != node.spool.keys() | kept:
                raise InvariantError(
                    "kept-until-acknowledged", f"worker {node.number}'s spool to hold what is unacknowledged", "others"
                )

    def converge(self) -> None:
        """Check, now and then after all has healed, that replicas follow the accepted log."""
        world = self._world
        ledger, now = world.coordinator.ledger, world.clock.now
        if ledger is None:
            return
        self._log_lengths.append((now, len(ledger.log)))
        before = max((length for at, length in self._log_lengths if at <= now - BEHIND_S), default=0)
        for node in world.living:
            accepted = node.lanes.replica.accepted
            if node.joined and node.born_at < now - 2 * BEHIND_S and accepted < before:
                raise InvariantError(
                    "replicas-converge", f"worker {node.number} to have the accepted log up to {before}", accepted
                )

    def _same_as_the_disk(self, ledger: Ledger) -> None:
        for kind in KINDS:
            if getattr(ledger.coverage, kind) != getattr(self._shadow.coverage, kind):
                raise InvariantError("settled-by-the-disk", f"the {kind} space that the disk gives", "another one")
        space = ledger.coverage.space
        named = RangeSet(part for each in self._named for part in space.present(each))
        if ledger.coverage.held != named:
            raise InvariantError("settled-by-the-disk", "the networks on disk, added up, to be held", "something else")

    def _dead_leases(self, ledger: Ledger) -> None:
        world = self._world
        dead = {
            node.lanes.origin: node.died_at for node in world.nodes if node.died_at is not None and node.lanes.origin
        }
        now = world.clock.now
        for lease in ledger.desk.leases.values():
            died_at = dead.get(lease.origin)
            if died_at is None:
                continue
            since = max(died_at, world.coordinator.started_at, world.coordinator.resumed_at)
            if not world.coordinator.paused and now - since > DEAD_LEASE_S:
                raise InvariantError(
                    "dead-leases-lapse",
                    f"lease {lease.number} of origin {lease.origin} to be over {DEAD_LEASE_S:g} s after its death",
                    f"it is held {now - since:.1f} s after",
                )

    def _replica_of(self, node: Node) -> None:
        ledger = self._world.coordinator.ledger
        if ledger is None:
            return
        replica = node.lanes.replica
        number = 0
        while number < replica.accepted:
            for block in ledger.log.after(number):
                number += 1
                assert block is not None
                if number <= replica.accepted and block.range not in replica.table:
                    raise InvariantError(
                        "replicas-hold-the-log",
                        f"worker {node.number} to hold the accepted log up to {replica.accepted}",
                        f"number {number}, {block.range}, is missing",
                    )

    # -- the end ------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Check a world that is over."""
        world = self._world
        ledger = world.coordinator.ledger
        if ledger is None or not ledger.coverage.complete:
            self.did_not_finish()
            return
        self.audit()
        for node in world.living:
            self._replica_of(node)
        self._exact(ledger)

    def did_not_finish(self) -> None:
        """Say what was left. Raises InvariantError."""
        world = self._world
        ledger = world.coordinator.ledger
        if ledger is None:
            raise InvariantError("finishes", "a coordinator that runs", "none")
        left = unsettled_space(ledger)
        waited = f"{world.clock.now - world.healed_at:.0f} s after all had healed"
        orphans = [
            block
            for node in world.living
            for block, _ in node.lanes.replica.table
            if left.meets(block) and not self._named.covers(block)
        ]
        some = ", ".join(str(each) for _, each in zip(range(5), left, strict=False))
        found = f"{left.size} addresses left {waited} ({some})"
        if orphans:
            raise InvariantError(
                "orphans-found",
                "blocks that gossip knows and no result is on disk of to be looked up again",
                f"{found}; {len(set(orphans))} orphans, one is {orphans[0]}",
            )
        raise InvariantError("finishes", "every address settled", found)

    def _exact(self, ledger: Ledger) -> None:
        """Compare with the table: its networks and nothing else, each counted once."""
        world = self._world
        abandoned = {each.asked for each in world.coordinator.disk if each.status == ABANDONED}
        world.counts["blocks_abandoned"] += len(abandoned)
        for asked, reason in ledger.failures:
            if asked in abandoned:
                continue  # so many workers were lost with it that it looked like work that kills
            failed = world.registries.failed[asked.family, asked.first]
            if ledger.coverage.failed.holds(asked.family, asked.first) and failed < world.plan.attempts:
                raise InvariantError("exact", f"{asked} to be looked up", f"settled as failed ({reason})")
        failed_space = ledger.coverage.failed
        world.counts["addresses_failed"] += failed_space.size
        table = {
            each.range: each.registry
            for each in world.plan.table.rows()
            if each.held and not failed_space.meets(each.range)
        }
        found: dict[Range, str] = {}
        for result in world.coordinator.disk:
            if result.status == Status.NETWORK and not failed_space.meets(result.range):
                found[result.range] = result.registry
        if found != table:
            wrong = found.items() ^ table.items()
            raise InvariantError(
                "exact", f"the table's {len(table)} networks", f"{len(found)}, wrong: {list(wrong)[:3]}"
            )
        if not failed_space and sum(ledger.networks.values()) != len(table):
            raise InvariantError("exact", f"{len(table)} networks counted", sum(ledger.networks.values()))
        if not failed_space and ledger.coverage.held != RangeSet(table):
            raise InvariantError("exact", "the table's held space", "another one")
