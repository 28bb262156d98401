"""What a simulated world is made of, and how unkind it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from whoismesh.addresses import Range
from whoismesh.practice.table import AllocationTable
from whoismesh.prior import Prior

#: Results gather at a worker so long before they are spooled and sent together, seconds (worker.FLUSH_S).
FLUSH_S = 0.02
#: Results of one message (outbox.RESULTS_A_MESSAGE).
RESULTS_A_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Faults:
    """How much goes wrong until everything heals; 0 everywhere is a kind world.

    `loss`, `repeat` and `reorder` are shares of the messages on PUB/SUB and PUSH; `tail` is the share of all messages
    that is late (exponentially, `tail_s` on the mean). `crash` are kills a minute of each worker (the coordinator is
    killed eight times as often), `partition` cuts of the network a minute, `pause` processes a minute that
    stand still, `trouble` spells a minute of registries that limit, fail or are out of reach. `lasting_s` is
    when everything heals, virtual seconds from the start. `returns` is the chance that killed hosts come back or are
    replaced in this world; whoever starts anew knows nothing, and finds orphans by chance.
    """

    loss: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    tail: float = 0.0
    tail_s: float = 0.3
    crash: float = 0.0
    partition: float = 0.0
    pause: float = 0.0
    trouble: float = 0.0
    lasting_s: float = 60.0
    returns: float = 0.7

    @property
    def any(self) -> bool:
        """Tell whether anything goes wrong that has to be planned, beside what the network does to messages."""
        return bool(self.crash or self.partition or self.pause or self.trouble)


@dataclass(frozen=True, slots=True)
class Plan:
    """A world. Times are spans in seconds, drawn evenly; `rate` and `host_rate` are lookups a second (budgets.Budget).

    `unlimited` registries have neither. `audit_every` is after how many steps everything is checked (0: by time only,
    every `audit_s`). `attempts` and `prior` as in the ledger.
    """

    space: Sequence[Range]
    table: AllocationTable
    workers: int = 2
    seed: int = 1
    rate: float = float("inf")
    host_rate: float = float("inf")
    unlimited: frozenset[str] = frozenset()
    connections: int = 2
    delay: tuple[float, float] = (0.001, 0.02)
    answer: tuple[float, float] = (0.05, 0.2)
    commit: tuple[float, float] = (0.002, 0.02)
    attempts: int = 3
    prior: Prior | None = None
    audit_every: int = 0
    audit_s: float = 20.0
    faults: Faults = field(default_factory=Faults)
