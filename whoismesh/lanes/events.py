"""What can happen to a worker, and what its engine tells it to do."""

from __future__ import annotations

from dataclasses import dataclass

from whoismesh.answers.outcome import Reply
from whoismesh.blocks import Block
from whoismesh.compounds import Result
from whoismesh.gossip import events as gossip
from whoismesh.lanes.descent import Question
from whoismesh.messages import Message


@dataclass(frozen=True, slots=True)
class Received:
    """A message came from the coordinator."""

    message: Message


@dataclass(frozen=True, slots=True)
class Replied:
    """A registry answered lookup number `lookup`."""

    lookup: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Broken:
    """Lookup number `lookup` got no answer: `unreachable` if no connection came about, else cut off or timed out."""

    lookup: int
    reason: str
    unreachable: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """Several lookups ended at one moment."""

    lookups: tuple[Replied | Broken, ...]


@dataclass(frozen=True, slots=True)
class OriginsReplied:
    """Team Cymru answered batch number `batch`, in whatever way."""

    batch: int
    body: bytes


@dataclass(frozen=True, slots=True)
class OriginsBroken:
    """Batch number `batch` got no answer."""

    batch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recovered:
    """The spool holds results of an earlier process that were never acknowledged, as (origin, sequence)."""

    keys: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Take no new lease, and go on with those that are held: this host may end soon. There is no way back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Drain:
    """Stop: give the leases back, deliver what is found, leave."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Event = (
    Received
    | gossip.Incoming
    | Replied
    | Broken
    | Ended
    | OriginsReplied
    | OriginsBroken
    | Recovered
    | Rest
    | Drain
    | Tick
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Look an address up: by `protocol` at the registry's server, or at `url` where a redirect led there.

    With a `question` it is that which is asked, at its URL or in the words of port 43.
    """

    lookup: int
    registry: str
    protocol: str
    family: int
    address: int
    url: str | None = None
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class AskOrigins:
    """Ask Team Cymru who announces these addresses, as (family, integer), in one bulk query."""

    batch: int
    addresses: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the coordinator over the lease channel."""

    message: Message


@dataclass(frozen=True, slots=True)
class Keep:
    """Put a result into the spool, push it to the coordinator, and say Found: `block` is what it found, if anything."""

    result: Result
    block: Block | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Take acknowledged results of an origin out of the spool: runs of (first, last) sequence numbers."""

    origin: int
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Resend:
    """Push again all that lies in the spool."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The coordinator took us in: its ports of PULL, PUB and gossip ROUTER, and the crawl's id."""

    crawl: bytes
    origin: int
    results: int
    feed: int
    exchange: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The worker's work is over. `error` is empty where all went well."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line in the log."""

    event: str
    fields: dict[str, object]
    level: str = "info"


Instruction = Ask | AskOrigins | Send | Keep | Forget | Resend | Joined | Stop | Note | gossip.Instruction
