"""What goes wrong on purpose, planned by the world's one random source: kills, cuts, pauses, registries in trouble."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from whoismesh.registries import REGISTRIES
from whoismesh.simulation.coordinator import MOMENTS
from whoismesh.simulation.network import COORDINATOR

if TYPE_CHECKING:
    from whoismesh.simulation.hosts import Node
    from whoismesh.simulation.world import World

#: How often the coordinator is killed for each kill of a given worker.
COORDINATOR_KILLS = 8.0
#: Of killed workers: so many come back on their host with their spool; of the rest so many are replaced by new hosts.
COME_BACK, REPLACED = 0.65, 0.85
#: In worlds in which no host comes back (Faults.returns), this share of the workers is kept.
KEPT = 0.55
#: Of kills, so many wait until the host has told the mesh of something that nobody else has on disk.
AT_THE_WORST_MOMENT = 0.25
#: Chance of a mass spot loss in a world with crashes, and the share of the hosts it takes.
MASS_LOSS, MASS_SHARE = 0.15, (0.5, 0.9)
#: How long things last, seconds.
WORKER_DOWN_S, COORDINATOR_DOWN_S = (0.2, 30.0), (0.1, 20.0)
REPLACED_AFTER_S, CUT_S, PAUSE_S, SPELL_S = (1.0, 20.0), (0.5, 25.0), (5.0, 60.0), (3.0, 20.0)
#: Of pauses, so many are the coordinator's.
COORDINATOR_PAUSES = 0.15
#: Limits halve a registry's rate for long: more than so many a world, and it is the wait that is simulated.
MOST_LIMITS, MOST_BANS = 3, 3


class Nemesis:
    """Plans faults from the start until `heal`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._clock = world.clock
        self._over = False
        # In some worlds nothing comes back: whoever starts knows nothing and finds orphans by chance.
        self._returns = self._random.random() < world.plan.faults.returns
        self._keep = 0 if self._returns else math.ceil(world.plan.workers * KEPT)
        self._limits = 0
        self._bans = 0

    def start(self) -> None:
        """Plan the first of each kind."""
        faults, workers = self._world.plan.faults, self._world.plan.workers
        self._often(faults.crash * workers, self._kill_worker)
        self._often(faults.crash * COORDINATOR_KILLS, self._kill_coordinator)
        self._often(faults.partition, self._cut)
        self._often(faults.pause, self._pause)
        self._often(faults.trouble, self._trouble)
        if faults.crash and self._returns and self._random.random() < MASS_LOSS:
            self._clock.after(self._random.uniform(0.1, 0.9) * faults.lasting_s, self._lose_many)

    def heal(self) -> None:
        """Plan nothing more; what was planned does not happen."""
        self._over = True

    def _often(self, a_minute: float, act: Callable[[], None]) -> None:
        if a_minute > 0:
            self._clock.after(self._random.expovariate(a_minute / 60.0), self._once, a_minute, act)

    def _once(self, a_minute: float, act: Callable[[], None]) -> None:
        if not self._over:
            act()
            self._often(a_minute, act)

    def _between(self, span: tuple[float, float]) -> float:
        """Return a time within a span, short ones as likely as long ones."""
        low, high = span
        return float(low * (high / low) ** self._random.random())

    # -- kills --------------------------------------------------------------------------------------------------

    def _kill_worker(self) -> None:
        world = self._world
        if len(world.living) <= self._keep:
            return
        node = self._random.choice(world.living)
        world.counts["workers_killed"] += 1
        if self._random.random() < AT_THE_WORST_MOMENT:
            node.doomed = True
        elif self._returns and self._random.random() < COME_BACK:
            if self._random.random() < 0.5:
                node.break_connections()  # the host went down with it, and with what was under way
            node.die()
            self._clock.after(self._between(WORKER_DOWN_S), self._come_back, node.host)
        else:
            self.lose(node)

    def _come_back(self, host: int) -> None:
        """Start a process on a host again: also after everything has healed."""
        world = self._world
        if host in world.spools and not any(node.host == host for node in world.living):
            world.counts["workers_come_back"] += 1
            world.start_worker(host=host)

    def lose(self, node: Node) -> None:
        """Destroy a host, with what was under way to and from it."""
        world = self._world
        node.break_connections()
        node.die()
        world.counts["hosts_lost"] += 1
        world.lose_disk(node.host)
        if self._returns and self._random.random() < REPLACED:
            self._clock.after(self._between(REPLACED_AFTER_S), self._replace)

    def _replace(self) -> None:
        if not self._over:
            self._world.counts["hosts_replaced"] += 1
            self._world.start_worker()

    def _lose_many(self) -> None:
        if self._over:
            return
        world = self._world
        world.counts["mass_losses"] += 1
        count = int(len(world.living) * self._random.uniform(*MASS_SHARE))
        for node in self._random.sample(world.living, count):
            self.lose(node)

    def _kill_coordinator(self) -> None:
        coordinator = self._world.coordinator
        if coordinator.ledger is None or coordinator.doom:
            return
        moment = self._random.choice(MOMENTS)
        if moment == MOMENTS[0]:
            self._world.kill_coordinator(moment)
        else:
            coordinator.doom = moment

    def coordinator_down_s(self) -> float:
        """Return how long a coordinator that was killed stays away."""
        return self._between(COORDINATOR_DOWN_S)

    # -- cuts ---------------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        world, random = self._world, self._random
        hosts = [COORDINATOR, *(node.host for node in world.living)]
        lasts_s = self._between(CUT_S)
        kind = random.randrange(4)
        if kind == 0:
            world.network.cut(random.sample(hosts, random.randint(1, len(hosts))), both_ways=True, lasts_s=lasts_s)
        elif kind == 1:
            world.network.cut(random.sample(hosts, random.randint(1, len(hosts))), both_ways=False, lasts_s=lasts_s)
        elif kind == 2:
            world.network.cut([random.choice(hosts)], both_ways=True, lasts_s=lasts_s)
        else:
            # Swizzle-clogging: stop a random subset one by one, let them go on in random order.
            world.counts["swizzles"] += 1
            for host in random.sample(hosts, random.randint(1, max(1, len(hosts) // 2))):
                self._clock.after(random.uniform(0, lasts_s / 2), self._clog, host, random.uniform(0, lasts_s / 2))
        if random.random() < 0.5:
            # The longer a cut, the likelier that heartbeats give connections up.
            for node in world.living:
                if lasts_s > 10.0 and (
                    world.network.is_cut(node.host, COORDINATOR) or world.network.is_cut(COORDINATOR, node.host)
                ):
                    world.counts["connections_broken"] += 1
                    self._clock.after(10.0, node.break_connections)

    def _clog(self, host: int, lasts_s: float) -> None:
        if not self._over:
            self._world.network.cut([host], both_ways=True, lasts_s=lasts_s)

    # -- pauses and registries ----------------------------------------------------------------------------------

    def _pause(self) -> None:
        world, random = self._world, self._random
        lasts_s = self._between(PAUSE_S)
        who = world.coordinator if random.random() < COORDINATOR_PAUSES else random.choice(world.living or [None])
        if who is not None and not who.paused:
            world.counts["pauses"] += 1
            who.pause()
            self._clock.after(lasts_s, self._resume, who)

    def _resume(self, who: object) -> None:
        if getattr(who, "paused", False):
            who.resume()  # type: ignore[attr-defined]

    def _trouble(self) -> None:
        world, random = self._world, self._random
        registry = random.choice(REGISTRIES)
        kind = random.choice(("limiting", "failing", "silent", "unreachable", "ban"))
        if kind == "ban":
            if self._bans < MOST_BANS and world.living:
                self._bans += 1
                world.registries.ban(registry, random.choice(world.living).host)
            return
        if kind == "limiting":
            self._limits += 1
            if self._limits > MOST_LIMITS:
                return
        world.registries.trouble(registry, kind, self._between(SPELL_S))
