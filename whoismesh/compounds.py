"""What messages are made of: results, leases, runs of a log, members; each as it travels, and checked.

A result lies in spool and ledger as it travels. What is wrong raises MessageError and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from whoismesh import checks
from whoismesh.addresses import Range
from whoismesh.blocks import PIECE_ENTRIES, Blocks
from whoismesh.checks import MAX_COUNT, MAX_PAYLOAD_BYTES, MAX_TEXT
from whoismesh.errors import MessageError
from whoismesh.prior import Aim

#: Statuses of results that the coordinator itself puts into its store: a block that workers died over again and again
#: is given up; everything that failed is to be tried once more; a block that the mesh knows from a process that is gone
#: with its result gets a number in the accepted log; a network of a bulk file; a bulk file that was read to its end;
#: what the prior calls free is settled without a question (the payload is a packed list of [first bytes, last bytes]).
ABANDONED, RETRY, ADOPTED, BULK, IMPORTED = "abandoned", "retry", "adopted", "bulk", "imported"
DELEGATED = "delegated"
OWN_STATUSES = (ABANDONED, RETRY, ADOPTED, BULK, IMPORTED, DELEGATED)
#: Status of a result that settles nothing: what the other protocol says of a network's address, where it says something
#: else. `range` is the network's, `payload` the other record, `reason` the fields that differ
#: (networks.COMPARED_FIELDS), with commas between them.
DISAGREEMENT = "disagreement"
#: The same of what Team Cymru told: `payload` is a list of [first bytes, last bytes, asn or nil, asn_cidr or nil].
ORIGINS = "origins"
#: What comes out of descents (lanes.descents): a network known from what lies around it or in it; and a part of a
#: network, which is held like all of it, where what else lies in that is not known.
ASSIGNMENT, PART = "assignment", "part"
#: Records only: they settle nothing, name no block and are no lookup's.
RECORDS_ONLY = (DISAGREEMENT, ORIGINS, ASSIGNMENT)

#: Makes a tuple with names in half the time of calling its class.
_new = tuple.__new__


def pack_range(value: Range) -> list[bytes]:
    """Return a range as it travels: the bytes of its first and last address."""
    return [value.first_bytes, value.last_bytes]


class Result(NamedTuple):
    """What one lookup settled, as it lies in spool and ledger.

    `origin` and `sequence` name it for ever. `status` is a `Status` that settles or moves an address. `asked` is one
    address, `range` the network's or the part's (for others: the address asked), `elsewhere` the registry named,
    `payload` an opaque msgpack record of the network.
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
            pack_range(self.asked),
            pack_range(self.range),
            self.elsewhere,
            self.reason,
            self.payload,
        ]


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """Ranges of one registry, lent until they are renewed no more.

    `first_in_line` are single addresses that another registry pointed to here, to be asked before the rest. With
    `verify` a known block is no reason to skip: its result never reached the ledger. `aims` are the parts of the ranges
    that the prior takes for one network each, to be asked about first and in this order. After so many `questions`
    (0: any number) the rest is to be given back: there may be larger gaps elsewhere by then.
    """

    lease: int
    registry: str
    ranges: tuple[Range, ...]
    first_in_line: bool
    verify: bool
    aims: tuple[Aim, ...] = ()
    questions: int = 0

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [
            self.lease,
            self.registry,
            [pack_range(each) for each in self.ranges],
            self.first_in_line,
            self.verify,
            [[*pack_range(each), rows] for each, rows in self.aims],
            self.questions,
        ]


@dataclass(frozen=True, slots=True)
class Run:
    """Entries of one origin's log, PIECE_ENTRIES at most, packed (see `blocks`), numbered from `first` without gaps.

    Origin 0 is the coordinator's accepted log: these are on disk. Other origins are processes of workers; what they
    tell may still be lost. With `sealed`, whoever has the accepted log up to that number lacks no block of this origin
    before `first`.
    """

    origin: int
    first: int
    sealed: int | None
    blocks: Blocks

    @property
    def last(self) -> int:
        """The number of the last entry."""
        return self.first + len(self.blocks) - 1

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [self.origin, self.first, self.sealed, len(self.blocks), self.blocks.packed]


@dataclass(frozen=True, slots=True)
class Peer:
    """A member of the mesh: its origin and the address of its gossip PUB socket. Its ROUTER is one port above.

    `key` is its public key (Z85), empty where there are no keys.
    """

    origin: int
    gossip: str
    key: str = ""

    def pack(self) -> list[Any]:
        """Return the fields as msgpack takes them."""
        return [self.origin, self.gossip, self.key]


def checked_run(value: Any) -> Run:
    """Check a run of packed blocks."""
    if type(value) is not list or len(value) != 5 or type(value[4]) is not bytes:
        raise checks.wrong("a run of packed blocks", value)
    sealed = None if value[2] is None else checks.count(value[2])
    if checks.count(value[3]) > PIECE_ENTRIES:
        # Nodes pass runs on together with others: one of a whole frame would make a frame that deafens who hears it.
        raise MessageError(f"expected at most {PIECE_ENTRIES} entries in a run, got {value[3]}")
    found = Run(checks.count(value[0]), checks.count(value[1]), sealed, Blocks.read(value[4], value[3]))
    if not found.first or found.last > checks.MAX_COUNT:
        # A number that no count can be would be told on in digests, which nobody then reads.
        raise MessageError(f"expected entries numbered from 1 to {checks.MAX_COUNT}")
    return found


def checked_result(value: Any) -> Result:
    """Check a result that comes from a worker.

    Written out, and not made of the checks of single fields: a coordinator takes in tens of thousands a second.
    """
    if type(value) is not list or len(value) != 9:
        raise checks.wrong("9 fields", value)
    origin, sequence, registry, status, asked, where, elsewhere, reason, payload = value
    if type(origin) is not int or type(sequence) is not int or not (0 <= origin <= MAX_COUNT >= sequence >= 0):
        raise checks.wrong("origin and sequence as counts", f"{origin!r:.30} and {sequence!r:.30}")
    checks.registry(registry)
    if elsewhere is not None:
        checks.registry(elsewhere)
    if type(status) is not str or type(reason) is not str or len(status) > MAX_TEXT or len(reason) > MAX_TEXT:
        raise checks.wrong(f"status and reason as texts of at most {MAX_TEXT} characters", f"{status!r:.30}")
    if status in OWN_STATUSES:
        raise MessageError(f"only the coordinator says {status!r}")
    if type(payload) is not bytes or len(payload) > MAX_PAYLOAD_BYTES:
        raise checks.wrong(f"at most {MAX_PAYLOAD_BYTES} bytes", payload)
    one, found = checks.address_range(asked), checks.address_range(where)
    if one.first != one.last or found.family != one.family:
        raise MessageError(f"expected one address asked and a range of its family, got {one} and {found}")
    return _new(Result, (origin, sequence, registry, status, one, found, elsewhere, reason, payload))


def _aim(value: Any) -> Aim:
    if type(value) is not list or len(value) != 3:
        raise checks.wrong("a range and a count of rows", value)
    return Aim(checks.address_range(value[:2]), checks.count(value[2]))


checked_grant = checks.record(
    LeaseGrant,
    checks.count,
    checks.registry,
    checks.list_of(checks.address_range),
    checks.flag,
    checks.flag,
    checks.list_of(_aim),
    checks.count,
)
checked_peer = checks.record(Peer, checks.count, checks.text, checks.public_key)
