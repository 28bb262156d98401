"""What can happen to a node of the mesh, and what its engine tells it to do."""

from __future__ import annotations

from dataclasses import dataclass

from whoismesh.blocks import Block, Blocks
from whoismesh.messages import Compare, Digest, Discovered, Members, Sent

#: What an exchange consists of.
Exchanged = Compare | Digest | Sent | Discovered | Members


@dataclass(frozen=True, slots=True)
class Heard:
    """A message came over PUB/SUB: on the coordinator's feed, or from a peer."""

    message: Discovered | Members
    on_feed: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A peer with that routing id says something in an exchange that it began."""

    sender: bytes
    message: Exchanged


@dataclass(frozen=True, slots=True)
class Answered:
    """The partner of the exchange that this node began says something; `exchange` is the one of the Open."""

    exchange: int
    message: Exchanged


@dataclass(frozen=True, slots=True)
class Found:
    """Results of this node's own are in its spool: the entries of its log from number `first` on."""

    first: int
    blocks: Blocks


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


#: What comes from outside.
Incoming = Heard | Asked | Answered | Found
Event = Incoming | Tick


@dataclass(frozen=True, slots=True)
class Listen:
    """Listen to these gossip addresses and no others; `keys` are the public keys of who is there, where it has any."""

    gossip: tuple[str, ...]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Publish:
    """Tell all who listen to this node."""

    message: Discovered


@dataclass(frozen=True, slots=True)
class Open:
    """Begin exchange number `exchange`: connect to the member's ROUTER; the coordinator's if `gossip` is empty."""

    exchange: int
    gossip: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """Send to the partner of the exchange that is open."""

    message: Exchanged


@dataclass(frozen=True, slots=True)
class Close:
    """The exchange is over: what was said is still delivered, what comes is not wanted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer a peer that asked."""

    to: bytes
    message: Exchanged


@dataclass(frozen=True, slots=True)
class Learned:
    """These blocks are news here."""

    blocks: tuple[Block, ...]


Instruction = Listen | Publish | Open | Say | Close | Reply | Learned
