"""The frames of the mesh: types, fields, limits. Pure: bytes to messages and back.

Every message is one ZeroMQ frame: a version byte, then two msgpack values: the type's number (a positive fixint, so one
byte) and an array of the fields in the order of the class. The first two bytes are therefore constant for a type and
serve as a PUB/SUB subscription (`topic`). The second field of every message is the crawl's id; another crawl's are
refused.

What arrives is hostile until checked: length, version, type, count, kind and range of each field. Anything wrong
raises MessageError and nothing else. Ranges travel as two byte strings of 4 or 16; durations in seconds, never
points in time, because peers' clocks are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from whoismesh import checks
from whoismesh.addresses import Range
from whoismesh.blocks import LOG_HASH_BYTES
from whoismesh.checks import Check
from whoismesh.compounds import (
    LeaseGrant,
    Peer,
    Result,
    Run,
    checked_grant,
    checked_peer,
    checked_result,
    checked_run,
    pack_range,
)
from whoismesh.errors import MessageError
from whoismesh.packing import NotPackedError, pack, unpack

VERSION = 1

#: Longest frame accepted (ZMQ_MAXMSGSIZE of every socket) and the most that a sender puts into one: a quarter,
#: because a SUB that meets an over-long frame is deaf from then on.
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_SENT_BYTES = MAX_FRAME_BYTES // 4


#: What tells digests apart before they are sent, bytes: two that differ look alike once in 1.8e19.
DIGEST_HASH_BYTES = 8
#: Origins of one digest: of each live process at most one, and of those that died lately.
MAX_TAILS = 20_000


def _members_version(value: Any) -> tuple[int, int]:
    if type(value) is not list or len(value) != 2:
        raise checks.wrong("epoch and version", value)
    return checks.count(value[0]), checks.count(value[1])


def _hash(length: int) -> Check:
    def checked(value: Any) -> bytes:
        if type(value) is not bytes or len(value) != length:
            raise checks.wrong(f"a hash of {length} bytes", value)
        return value

    return checked


@dataclass(frozen=True, slots=True)
class Message:
    """Base of the messages. `crawl` is empty only in Join and Refused, sent before the id is known."""

    TYPE: ClassVar[int]
    CHECKS: ClassVar[dict[str, Check]]
    crawl: bytes


@dataclass(frozen=True, slots=True)
class Join(Message):
    """Worker to coordinator, first of all: take me in. `gossip` is the address of its PUB socket, empty for none.

    `host` is HOST:PROCESS; workers of one HOST share what a registry grants one host.

    `origin` is 0 at a process's start. A worker that had one (the coordinator restarted, or forgot it) gives it again
    with the leases it holds, which are then its own again as far as they are free.
    """

    TYPE = 1
    CHECKS: ClassVar = {
        "host": checks.text,
        "gossip": checks.text,
        "origin": checks.count,
        "leases": checks.list_of(checked_grant, 1_000),
    }
    host: str
    gossip: str
    origin: int
    leases: tuple[LeaseGrant, ...]


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Coordinator to worker: your origin, and how often to renew (seconds). Members follows.

    `results`, `feed` and `exchange` are ports of the coordinator's host: PULL, PUB and gossip ROUTER. A registry that
    is `unlimited` needs no permits until the first Permits message for it comes. `clock_s` is the coordinator's clock.
    """

    TYPE = 2
    CHECKS: ClassVar = {
        "origin": checks.count,
        "results": checks.count,
        "feed": checks.count,
        "exchange": checks.count,
        "renew_s": checks.number,
        "unlimited": checks.list_of(checks.asked, 6),
        "clock_s": checks.number,
    }
    origin: int
    results: int
    feed: int
    exchange: int
    renew_s: float
    unlimited: tuple[str, ...]
    clock_s: float


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """Coordinator to worker: not understood or not wanted; join again, or give up if `final`."""

    TYPE = 3
    CHECKS: ClassVar = {"reason": checks.text, "final": checks.flag}
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class LeaseRequest(Message):
    """Worker to coordinator: work, please, at these registries. A standing wish: granted when there is something.

    `wants` maps a registry to the worker's lookups a second there of late, 0 if not known.
    """

    TYPE = 4
    CHECKS: ClassVar = {"origin": checks.count, "wants": checks.map_of(checks.registry, checks.number, 5)}
    origin: int
    wants: dict[str, float]


@dataclass(frozen=True, slots=True)
class Leases(Message):
    """Coordinator to worker: what it may look up."""

    TYPE = 5
    CHECKS: ClassVar = {"grants": checks.list_of(checked_grant, 100)}
    grants: tuple[LeaseGrant, ...]


@dataclass(frozen=True, slots=True)
class Renew(Message):
    """Worker to coordinator, the heartbeat: I hold these leases.

    `leases` maps each lease to the gaps that are left in it; `asked_s` is the worker's clock, which comes back.
    """

    TYPE = 6
    CHECKS: ClassVar = {
        "origin": checks.count,
        "leases": checks.map_of(checks.count, checks.count),
        "asked_s": checks.number,
    }
    origin: int
    leases: dict[int, int]
    asked_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Renewed(Message):
    """Coordinator to worker: `gone` leases are no longer yours; `done` ends it; `clock_s` is its clock.

    `asked_s` is that of the Renew it answers, nil if it answers none.
    """

    TYPE = 7
    CHECKS: ClassVar = {
        "gone": checks.list_of(checks.count),
        "done": checks.flag,
        "clock_s": checks.number,
        "asked_s": checks.maybe(checks.number),
    }
    gone: tuple[int, ...]
    done: bool
    clock_s: float
    asked_s: float | None = None


@dataclass(frozen=True, slots=True)
class Return(Message):
    """Worker to coordinator: I am through with this lease; `unasked` of it goes to somebody else at once."""

    TYPE = 8
    CHECKS: ClassVar = {"origin": checks.count, "lease": checks.count, "unasked": checks.list_of(checks.address_range)}
    origin: int
    lease: int
    unasked: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class PermitRequest(Message):
    """Worker to coordinator: it could use `count` lookups of that registry's budget; replaces its earlier wish."""

    TYPE = 9
    CHECKS: ClassVar = {"origin": checks.count, "registry": checks.asked, "count": checks.count}
    origin: int
    registry: str
    count: int


@dataclass(frozen=True, slots=True)
class Permits(Message):
    """Coordinator to worker: one lookup each, so long (seconds) after its clock said `clock_s`; unused ones lapse.

    An empty list takes back all that are not used yet: the registry said "slow down" to somebody, and wants to be left
    alone for `wait_s`.
    """

    TYPE = 10
    CHECKS: ClassVar = {
        "registry": checks.asked,
        "clock_s": checks.number,
        "delays_s": checks.list_of(checks.number, 1_000),
        "wait_s": checks.number,
    }
    registry: str
    clock_s: float
    delays_s: tuple[float, ...]
    wait_s: float


@dataclass(frozen=True, slots=True)
class Signal(Message):
    """Worker to coordinator: the registry said "slow down", or cannot be reached.

    `kind` is "limited", "banned", "unreachable" or "answered" (reached again); `wait_s` what it asked for, if anything.
    """

    TYPE = 11
    CHECKS: ClassVar = {
        "origin": checks.count,
        "registry": checks.registry,
        "kind": checks.text,
        "wait_s": checks.maybe(checks.number),
        "reason": checks.text,
    }
    origin: int
    registry: str
    kind: str
    wait_s: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledge(Message):
    """Coordinator to worker: these sequence numbers of that origin are on disk, as runs of (first, last)."""

    TYPE = 12
    CHECKS: ClassVar = {
        "origin": checks.count,
        "runs": checks.list_of(checks.record(lambda a, b: (a, b), checks.count, checks.count)),
    }
    origin: int
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Leave(Message):
    """Worker to coordinator: I stop; all my leases are yours again, and these are my last counters (see Metrics)."""

    TYPE = 13
    CHECKS: ClassVar = {
        "origin": checks.count,
        "host": checks.text,
        "counters": checks.map_of(checks.text, checks.number),
    }
    origin: int
    host: str
    counters: dict[str, float]


@dataclass(frozen=True, slots=True)
class Members(Message):
    """Who is in the mesh: from the coordinator, and passed on by any node.

    The list of a start of the coordinator (`epoch`) counts its changes (`version`). `peers` and `gone` are what changed
    since version `since`; since 0 it is the whole list. Origins up to `given` have been given out.
    """

    TYPE = 14
    CHECKS: ClassVar = {
        "epoch": checks.count,
        "version": checks.count,
        "since": checks.count,
        "given": checks.count,
        "peers": checks.list_of(checked_peer),
        "gone": checks.list_of(checks.count),
    }
    epoch: int
    version: int
    since: int
    given: int
    peers: tuple[Peer, ...]
    gone: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split(Message):
    """Coordinator to worker: nothing is pending and others are idle; give back half of what is untouched in a lease."""

    TYPE = 15
    CHECKS: ClassVar = {"lease": checks.count}
    lease: int


@dataclass(frozen=True, slots=True)
class Yield(Message):
    """Worker to coordinator, the answer to Split: `ranges` of the lease are somebody else's from now on, if any."""

    TYPE = 16
    CHECKS: ClassVar = {"origin": checks.count, "lease": checks.count, "ranges": checks.list_of(checks.address_range)}
    origin: int
    lease: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Resting(Message):
    """Worker to coordinator: from now on it takes no new lease, and goes on with those it has. It wishes for nothing.

    `reason` is for people. Said again after each Welcome; nothing takes it back.
    """

    TYPE = 17
    CHECKS: ClassVar = {"origin": checks.count, "reason": checks.text}
    origin: int
    reason: str


@dataclass(frozen=True, slots=True)
class Results(Message):
    """Worker to coordinator over PUSH/PULL: results that lie in its spool."""

    TYPE = 20
    CHECKS: ClassVar = {"results": checks.list_of(checked_result)}
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Metrics(Message):
    """Worker to coordinator over PUSH/PULL: counters since its start, so that a lost message costs nothing."""

    TYPE = 21
    CHECKS: ClassVar = {
        "origin": checks.count,
        "host": checks.text,
        "counters": checks.map_of(checks.text, checks.number),
    }
    origin: int
    host: str
    counters: dict[str, float]


@dataclass(frozen=True, slots=True)
class Discovered(Message):
    """Any node, over PUB/SUB and in an exchange: runs of logs."""

    TYPE = 30
    CHECKS: ClassVar = {"runs": checks.list_of(checked_run)}
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Compare(Message):
    """Node to a peer's ROUTER, first of an exchange: does your digest have this hash? Answered by Sent or Digest."""

    TYPE = 31
    CHECKS: ClassVar = {"hash": _hash(DIGEST_HASH_BYTES)}
    hash: bytes


@dataclass(frozen=True, slots=True)
class Digest(Message):
    """What a node has: the accepted log up to `accepted`, and of each origin in `tails` all up to that number.

    As an answer to Compare it also says how much it takes (`credit_bytes`). As a question it asks for what is lacking,
    up to that many bytes; answered by Members and Discovered as needed, and Sent. `members` is (epoch, version) of its
    list of members, nil where it wants none. `log_hash` is that of the accepted log up to `accepted`
    (BlockLog.hash_at), all zero where it does not say. A question whose hash is not ours is answered with a Digest that
    says what ours is at that number, and with nothing of the accepted log.
    """

    TYPE = 32
    CHECKS: ClassVar = {
        "accepted": checks.count,
        "tails": checks.map_of(checks.count, checks.count, MAX_TAILS),
        "members": checks.maybe(_members_version),
        "credit_bytes": checks.count,
        "log_hash": _hash(LOG_HASH_BYTES),
    }
    accepted: int
    tails: dict[int, int]
    members: tuple[int, int] | None
    credit_bytes: int
    log_hash: bytes = bytes(LOG_HASH_BYTES)


@dataclass(frozen=True, slots=True)
class Sent(Message):
    """Answer's end: `more` is left, ask again; `busy` serving others, ask somebody else."""

    TYPE = 33
    CHECKS: ClassVar = {"more": checks.flag, "busy": checks.flag}
    more: bool
    busy: bool


@dataclass(frozen=True, slots=True)
class Feed(Message):
    """Coordinator over PUB: the state of the crawl for those who watch; `topic` is "status" or "event"."""

    TYPE = 40
    CHECKS: ClassVar = {"topic": checks.text, "payload": checks.payload}
    topic: str
    payload: bytes


TYPES: dict[int, type[Message]] = {
    cls.TYPE: cls
    for cls in (
        Join, Welcome, Refused, LeaseRequest, Leases, Renew, Renewed, Return, PermitRequest, Permits, Signal,
        Acknowledge, Leave, Members, Split, Yield, Resting, Results, Metrics, Discovered, Compare, Digest, Sent, Feed,
    )
}  # fmt: skip


def _pack(value: Any) -> Any:
    if isinstance(value, Range):
        return pack_range(value)
    if hasattr(value, "pack"):
        return value.pack()
    raise TypeError(f"cannot send {type(value).__name__}")


def _plain(value: Any) -> Any:
    """Turn what msgpack would take for a plain tuple (a Range is one) into its wire form, lists included."""
    if isinstance(value, Range):
        return pack_range(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def encode(message: Message) -> bytes:
    """Return the frame of a message."""
    body = [_plain(getattr(message, field.name)) for field in fields(message)]
    return bytes((VERSION, message.TYPE)) + pack(body, _pack)


def topic(cls: type[Message]) -> bytes:
    """Return the bytes with which every frame of that type starts: what a SUB socket subscribes to."""
    return bytes((VERSION, cls.TYPE))


def decode(frame: bytes) -> Message:
    """Read a frame. Raises MessageError for anything that is not exactly a message of this version."""
    if len(frame) > MAX_FRAME_BYTES:
        raise MessageError(f"frame of {len(frame)} bytes, at most {MAX_FRAME_BYTES} are accepted")
    if len(frame) < 3:
        raise MessageError(f"frame of {len(frame)} bytes is too short")
    if frame[0] != VERSION:
        raise MessageError(f"version {frame[0]}: this program speaks {VERSION}")
    cls = TYPES.get(frame[1])
    if cls is None:
        raise MessageError(f"no message type {frame[1]}")
    try:
        body = unpack(memoryview(frame)[2:])
    except NotPackedError as error:
        raise MessageError(f"not msgpack: {error}") from None
    if type(body) is not list or len(body) != 1 + len(cls.CHECKS):
        raise MessageError(f"{cls.__name__} has {1 + len(cls.CHECKS)} fields")
    values = [checks.crawl_id(body[0])]
    for (name, check), item in zip(cls.CHECKS.items(), body[1:], strict=True):
        try:
            values.append(check(item))
        except (MessageError, TypeError, ValueError) as error:
            raise MessageError(f"{cls.__name__}.{name}: {error}") from None
    return cls(*values)
