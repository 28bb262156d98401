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

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from whoismesh.addresses import Range
from whoismesh.errors import AddressError, MessageError
from whoismesh.packing import MAX_ITEMS, NotPackedError, pack, unpack
from whoismesh.registries import REGISTRIES

VERSION = 1

#: Longest frame accepted (ZMQ_MAXMSGSIZE of every socket) and the most that a sender puts into one: a quarter,
#: because a SUB that meets an over-long frame is deaf from then on.
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_SENT_BYTES = MAX_FRAME_BYTES // 4

CRAWL_ID_BYTES = 16
MAX_TEXT = 1_000
#: One result: a network record is under 1 kB; the rest is room for odd names.
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_COUNT = 2**53

Check = Callable[[Any], Any]


def _fail(expected: str, value: object) -> MessageError:
    if isinstance(value, (list, dict)):
        # Not shown: what a peer nests a thousand deep exhausts the stack, and a long one takes its time.
        return MessageError(f"expected {expected}, got a {type(value).__name__} of {len(value)}")
    return MessageError(f"expected {expected}, got {repr(value)[:60]}")


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise _fail("a count", value)
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= MAX_COUNT:  # NaN is not, either
        raise _fail(f"a number of 0 to {MAX_COUNT}", value)
    return float(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _fail("true or false", value)
    return value


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_TEXT:
        raise _fail(f"a text of at most {MAX_TEXT} characters", value)
    return value


def _crawl(value: Any) -> bytes:
    if type(value) is not bytes or len(value) not in (0, CRAWL_ID_BYTES):
        raise _fail(f"a crawl id of {CRAWL_ID_BYTES} bytes", value)
    return value


def _payload(value: Any) -> bytes:
    if type(value) is not bytes or len(value) > MAX_PAYLOAD_BYTES:
        raise _fail(f"at most {MAX_PAYLOAD_BYTES} bytes", value)
    return value


def _registry(value: Any) -> str:
    if value not in REGISTRIES:
        raise _fail("a registry", value)
    return str(value)


def _range(value: Any) -> Range:
    if type(value) is not list or len(value) != 2 or type(value[0]) is not bytes or type(value[1]) is not bytes:
        raise _fail("a range as two byte strings", value)
    try:
        return Range.from_bytes(value[0], value[1])
    except AddressError as error:
        raise MessageError(str(error)) from None


def _maybe(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _list(check: Check, most: int = MAX_ITEMS) -> Check:
    def checked(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise _fail(f"a list of at most {most}", value)
        return tuple(check(item) for item in value)

    return checked


def _map(check_key: Check, check: Check, most: int = 1_000) -> Check:
    def checked(value: Any) -> dict[Any, Any]:
        if type(value) is not dict or len(value) > most:
            raise _fail(f"a map of at most {most}", value)
        return {check_key(key): check(item) for key, item in value.items()}

    return checked


Built = TypeVar("Built")


def _record(cls: Callable[..., Built], *checks: Check) -> Callable[[Any], Built]:
    def checked(value: Any) -> Built:
        if type(value) is not list or len(value) != len(checks):
            raise _fail(f"{len(checks)} fields", value)
        return cls(*(check(item) for check, item in zip(checks, value, strict=True)))

    return checked


def _pack_range(value: Range) -> list[bytes]:
    return [value.first_bytes, value.last_bytes]


@dataclass(frozen=True, slots=True)
class Result:
    """What one lookup settled, as it lies in spool and ledger.

    `origin` and `sequence` name it for ever. `status` is a `Status` that settles or moves an address. `asked` is one
    address, `range` the network's (for others: the address asked), `elsewhere` the registry named, `payload` an opaque
    msgpack record of the network.
    """

    origin: int
    sequence: int
    registry: str
    status: str
    asked: Range
    range: Range
    elsewhere: str | None
    reason: str
    payload: bytes

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [
            self.origin,
            self.sequence,
            self.registry,
            self.status,
            _pack_range(self.asked),
            _pack_range(self.range),
            self.elsewhere,
            self.reason,
            self.payload,
        ]


@dataclass(frozen=True, slots=True)
class Block:
    """A discovered block as gossip tells it: who answers for it and where it is."""

    registry: str
    range: Range

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [REGISTRIES.index(self.registry), *_pack_range(self.range)]


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """Ranges of one registry, lent until they are renewed no more.

    `first_in_line` are single addresses that another registry pointed to here, to be asked before the rest. With
    `verify` a known block is no reason to skip: its result never reached the ledger.
    """

    lease: int
    registry: str
    ranges: tuple[Range, ...]
    first_in_line: bool
    verify: bool

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [self.lease, self.registry, [_pack_range(each) for each in self.ranges], self.first_in_line, self.verify]


@dataclass(frozen=True, slots=True)
class Peer:
    """A member of the mesh: its origin and the address of its gossip PUB socket."""

    origin: int
    gossip: str

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [self.origin, self.gossip]


def _block(value: Any) -> Block:
    if type(value) is not list or len(value) != 3 or type(value[0]) is not int or not 0 <= value[0] < len(REGISTRIES):
        raise _fail("a block", value)
    return Block(REGISTRIES[value[0]], _range(value[1:]))


_result_fields = _record(Result, _count, _count, _registry, _text, _range, _range, _maybe(_registry), _text, _payload)


def _result(value: Any) -> Result:
    found = _result_fields(value)
    if found.asked.size != 1 or found.range.family != found.asked.family:
        raise MessageError(f"expected one address asked and a range of its family, got {found.asked} and {found.range}")
    return found


_grant = _record(LeaseGrant, _count, _registry, _list(_range), _flag, _flag)
_peer = _record(Peer, _count, _text)


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
    CHECKS: ClassVar = {"host": _text, "gossip": _text, "origin": _count, "leases": _list(_grant, 1_000)}
    host: str
    gossip: str
    origin: int
    leases: tuple[LeaseGrant, ...]


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Coordinator to worker: your origin, who else is here, how often to renew (seconds).

    `results`, `feed` and `repair` are ports of the coordinator's host: PULL, PUB and gossip ROUTER. A registry that
    is `unlimited` needs no permits until the first Permits message for it comes.
    """

    TYPE = 2
    CHECKS: ClassVar = {
        "origin": _count, "results": _count, "feed": _count, "repair": _count, "renew_s": _number,
        "peers": _list(_peer), "unlimited": _list(_registry, 5),
    }  # fmt: skip
    origin: int
    results: int
    feed: int
    repair: int
    renew_s: float
    peers: tuple[Peer, ...]
    unlimited: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refused(Message):
    """Coordinator to worker: not understood or not wanted; join again, or give up if `final`."""

    TYPE = 3
    CHECKS: ClassVar = {"reason": _text, "final": _flag}
    reason: str
    final: bool


@dataclass(frozen=True, slots=True)
class LeaseRequest(Message):
    """Worker to coordinator: work, please, at these registries. A standing wish: granted when there is something.

    `wants` maps a registry to the worker's lookups a second there of late, 0 if not known.
    """

    TYPE = 4
    CHECKS: ClassVar = {"origin": _count, "wants": _map(_registry, _number, 5)}
    origin: int
    wants: dict[str, float]


@dataclass(frozen=True, slots=True)
class Leases(Message):
    """Coordinator to worker: what it may look up."""

    TYPE = 5
    CHECKS: ClassVar = {"grants": _list(_grant, 100)}
    grants: tuple[LeaseGrant, ...]


@dataclass(frozen=True, slots=True)
class Renew(Message):
    """Worker to coordinator, the heartbeat: I hold these leases, and have applied the accepted log up to `accepted`."""

    TYPE = 6
    CHECKS: ClassVar = {"origin": _count, "leases": _list(_count), "accepted": _count}
    origin: int
    leases: tuple[int, ...]
    accepted: int


@dataclass(frozen=True, slots=True)
class Renewed(Message):
    """Coordinator to worker: `gone` leases are no longer yours; the accepted log ends at `accepted`; `done` ends it."""

    TYPE = 7
    CHECKS: ClassVar = {"gone": _list(_count), "accepted": _count, "done": _flag}
    gone: tuple[int, ...]
    accepted: int
    done: bool


@dataclass(frozen=True, slots=True)
class Return(Message):
    """Worker to coordinator: I am through with this lease; `unasked` of it goes to somebody else at once."""

    TYPE = 8
    CHECKS: ClassVar = {"origin": _count, "lease": _count, "unasked": _list(_range)}
    origin: int
    lease: int
    unasked: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class PermitRequest(Message):
    """Worker to coordinator: it could use `count` lookups of that registry's budget; replaces its earlier wish."""

    TYPE = 9
    CHECKS: ClassVar = {"origin": _count, "registry": _registry, "count": _count}
    origin: int
    registry: str
    count: int


@dataclass(frozen=True, slots=True)
class Permits(Message):
    """Coordinator to worker: one lookup each, at these delays (seconds from receipt); unused ones lapse.

    An empty list takes back all that are not used yet: the registry said "slow down" to somebody.
    """

    TYPE = 10
    CHECKS: ClassVar = {"registry": _registry, "delays_s": _list(_number, 1_000)}
    registry: str
    delays_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Signal(Message):
    """Worker to coordinator: the registry said "slow down", or cannot be reached.

    `kind` is "limited", "banned", "unreachable" or "answered" (reached again); `wait_s` what it asked for, if anything.
    """

    TYPE = 11
    CHECKS: ClassVar = {
        "origin": _count, "registry": _registry, "kind": _text, "wait_s": _maybe(_number), "reason": _text
    }  # fmt: skip
    origin: int
    registry: str
    kind: str
    wait_s: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledge(Message):
    """Coordinator to worker: these sequence numbers of that origin are on disk, as runs of (first, last)."""

    TYPE = 12
    CHECKS: ClassVar = {"origin": _count, "runs": _list(_record(lambda a, b: (a, b), _count, _count))}
    origin: int
    runs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Leave(Message):
    """Worker to coordinator: I stop; all my leases are yours again, and these are my last counters (see Metrics)."""

    TYPE = 13
    CHECKS: ClassVar = {"origin": _count, "host": _text, "counters": _map(_text, _number)}
    origin: int
    host: str
    counters: dict[str, float]


@dataclass(frozen=True, slots=True)
class Members(Message):
    """Coordinator to worker: who is in the mesh now."""

    TYPE = 14
    CHECKS: ClassVar = {"peers": _list(_peer)}
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class Results(Message):
    """Worker to coordinator over PUSH/PULL: results that lie in its spool."""

    TYPE = 20
    CHECKS: ClassVar = {"results": _list(_result)}
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Metrics(Message):
    """Worker to coordinator over PUSH/PULL: counters since its start, so that a lost message costs nothing."""

    TYPE = 21
    CHECKS: ClassVar = {"origin": _count, "host": _text, "counters": _map(_text, _number)}
    origin: int
    host: str
    counters: dict[str, float]


@dataclass(frozen=True, slots=True)
class Discovered(Message):
    """Any node over PUB/SUB: blocks of one origin, numbered from `first_sequence` without gaps.

    Origin 0 is the coordinator's accepted log: these are on disk. Other origins are news that may still be lost.
    """

    TYPE = 30
    CHECKS: ClassVar = {"origin": _count, "first_sequence": _count, "blocks": _list(_block)}
    origin: int
    first_sequence: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class RepairRequest(Message):
    """Node to the coordinator's gossip ROUTER: send the accepted log after this number."""

    TYPE = 31
    CHECKS: ClassVar = {"after": _count}
    after: int


@dataclass(frozen=True, slots=True)
class Feed(Message):
    """Coordinator over PUB: the state of the crawl for those who watch; `topic` is "status" or "event"."""

    TYPE = 40
    CHECKS: ClassVar = {"topic": _text, "payload": _payload}
    topic: str
    payload: bytes


TYPES: dict[int, type[Message]] = {
    cls.TYPE: cls
    for cls in (
        Join, Welcome, Refused, LeaseRequest, Leases, Renew, Renewed, Return, PermitRequest, Permits, Signal,
        Acknowledge, Leave, Members, Results, Metrics, Discovered, RepairRequest, Feed,
    )
}  # fmt: skip


def _pack(value: Any) -> Any:
    if isinstance(value, Range):
        return _pack_range(value)
    if hasattr(value, "pack"):
        return value.pack()
    raise TypeError(f"cannot send {type(value).__name__}")


def _plain(value: Any) -> Any:
    """Turn what msgpack would take for a plain tuple (a Range is one) into its wire form, lists included."""
    if isinstance(value, Range):
        return _pack_range(value)
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
    values = [_crawl(body[0])]
    for (name, check), item in zip(cls.CHECKS.items(), body[1:], strict=True):
        try:
            values.append(check(item))
        except (MessageError, TypeError, ValueError) as error:
            raise MessageError(f"{cls.__name__}.{name}: {error}") from None
    return cls(*values)
