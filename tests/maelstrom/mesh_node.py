#!/usr/bin/env python3
"""One node of the mesh as a Maelstrom node: the gossip engine behind JSON lines on standard input and output.

    maelstrom test -w g-set --bin tests/maelstrom/mesh_node.py --node-count 25 --time-limit 60 --nemesis partition

Workload g-set: elements of the set are whole numbers, and each is a block of its own that the guard lets pass. Between
nodes go the frames that go over ZeroMQ, in base64: PUB to everybody, and exchanges between two. Members come from
Maelstrom's list; there is no coordinator, so nothing is ever accepted, and as a partner of exchanges it fails.

An element is in a file before its add is answered, as a worker's results are in its spool, if WHOISMESH_JUDGE_SPOOL
names a folder; a process that starts again there tells what is in it as a new origin. Without it a killed node forgets.
"""

from __future__ import annotations

import base64
import json
import os
import random
import selectors
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

from whoismesh.addresses import Range
from whoismesh.blocks import Block, Blocks
from whoismesh.checks import CRAWL_ID_BYTES
from whoismesh.compounds import Peer
from whoismesh.errors import MessageError
from whoismesh.gossip import Gossip
from whoismesh.gossip.events import (
    Answered,
    Asked,
    Close,
    Event,
    Found,
    Heard,
    Instruction,
    Listen,
    Open,
    Publish,
    Reply,
    Say,
    Tick,
)
from whoismesh.gossip.peers import FULL_MESH, LINKS, Peers
from whoismesh.messages import Discovered, Members, Message, decode, encode

#: Elements are single addresses of blocks that IANA gave to RIPE NCC, in turn of both families.
HOME = {4: Range.parse("193.0.0.0/8"), 6: Range.parse("2a00::/12")}
#: A process start's origin is that of the node, plus this for each start before it.
STARTS = 1_000
#: Codes of Maelstrom's errors: what was asked is not known, or makes no sense.
NOT_SUPPORTED, MALFORMED = 10, 12


def block_of(element: int) -> Block:
    """Return the block that stands for an element. Raises ValueError for what is none."""
    family, offset = (6, element // 2) if element % 2 else (4, element // 2)
    home = HOME[family]
    if type(element) is not int or not 0 <= offset < HOME[4].size:
        raise ValueError(f"expected an element of 0 to {2 * HOME[4].size - 1}, got {element!r}")
    return Block("ripencc", Range(family, home.first + offset, home.first + offset))


def element_of(block: Range) -> int:
    """Return the element that a block stands for."""
    return 2 * (block.first - HOME[block.family].first) + (block.family == 6)


class Spool:
    """Elements on disk, one a line; each start adds a line of its own."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().split() if path.exists() else []
        self.starts = lines.count("start")
        self.elements = [int(line) for line in lines if line != "start"]
        self._file = path.open("a", buffering=1)
        self._file.write("start\n")

    def keep(self, element: int) -> None:
        """Keep an element. A killed process loses nothing that was written."""
        self._file.write(f"{element}\n")


class MeshNode:
    """The adapter. `send` takes (destination, body)."""

    def __init__(self, send: Any, spool: Path | None) -> None:
        self._send = send
        self._spool_folder = spool
        self._spool: Spool | None = None
        self._id = ""
        self._peers: list[str] = []
        self._listens_to: set[str] = set()
        self._exchange, self._partner = 0, ""
        self._sequence = 0
        self._message_id = 0
        links = int(os.environ.get("WHOISMESH_JUDGE_LINKS", LINKS))
        self._gossip = Gossip(random.random, Peers(int(os.environ.get("WHOISMESH_JUDGE_FULL_MESH", FULL_MESH)), links))

    @property
    def wake_at(self) -> float:
        """When `tick` is due."""
        return self._gossip.wake_at

    def tick(self) -> None:
        """Let time pass."""
        self._handle(Tick())

    def take(self, message: dict[str, Any]) -> None:
        """Take in one message of Maelstrom's, or of another node's."""
        source, body = message["src"], message["body"]
        match body["type"]:
            case "frame":
                self._on_frame(source, body)
            case "init":
                self._init(body["node_id"], body["node_ids"])
                self._reply(source, body, type="init_ok")
            case "add":
                try:
                    block = block_of(body["element"])
                except (TypeError, ValueError) as error:
                    self._reply(source, body, type="error", code=MALFORMED, text=str(error))
                    return
                self._add(body["element"], block)
                self._reply(source, body, type="add_ok")
            case "read":
                found = [element_of(block) for block, _ in self._gossip.replica.table]
                self._reply(source, body, type="read_ok", value=found)
            case kind:
                self._reply(source, body, type="error", code=NOT_SUPPORTED, text=f"{kind} is not known here")

    def _reply(self, to: str, request: dict[str, Any], **body: Any) -> None:
        self._message_id += 1
        self._send(to, {**body, "msg_id": self._message_id, "in_reply_to": request["msg_id"]})

    # -- the set ------------------------------------------------------------------------------------------------

    def _init(self, node_id: str, node_ids: list[str]) -> None:
        self._id, self._peers = node_id, [each for each in node_ids if each != node_id]
        if self._spool_folder is not None:
            self._spool = Spool(self._spool_folder / node_id)
        starts = self._spool.starts if self._spool is not None else 0
        crawl = blake2b(" ".join(node_ids).encode(), digest_size=CRAWL_ID_BYTES).digest()
        self._gossip.join(crawl, node_ids.index(node_id) + 1 + starts * STARTS, time.monotonic())
        peers = tuple(Peer(number, each) for number, each in enumerate(node_ids, 1) if each != node_id)
        self._handle(Heard(Members(crawl, 1, 1, 0, STARTS * STARTS, peers, ()), on_feed=True))
        if self._spool is not None and self._spool.elements:
            self._tell([block_of(element) for element in self._spool.elements])

    def _add(self, element: int, block: Block) -> None:
        if self._spool is not None:
            self._spool.keep(element)
        self._tell([block])

    def _tell(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._gossip.learn(block)
        self._handle(Found(self._sequence + 1, Blocks.of(blocks)))
        self._sequence += len(blocks)

    # -- the mesh -----------------------------------------------------------------------------------------------

    def _on_frame(self, source: str, body: dict[str, Any]) -> None:
        try:
            message = decode(base64.b64decode(body["frame"]))
        except MessageError as error:
            print(f"dropped a frame of {source}: {error}", file=sys.stderr)
            return
        match body["way"]:
            case "publish" if source in self._listens_to and isinstance(message, Discovered):
                self._handle(Heard(message, on_feed=False))
            case "ask":
                self._handle(Asked(f"{source} {body['exchange']}".encode(), message))  # type: ignore[arg-type]
            case "answer" if source == self._partner:
                self._handle(Answered(body["exchange"], message))  # type: ignore[arg-type]

    def _handle(self, event: Event) -> None:
        for instruction in self._gossip.handle(event, time.monotonic()):
            self._carry_out(instruction)

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Publish(message):
                for peer in self._peers:
                    self._send_frame(peer, "publish", 0, message)
            case Listen(gossip):
                self._listens_to = set(gossip)
            case Open(number, gossip):
                self._exchange, self._partner = number, gossip  # empty for the coordinator, who is not there
            case Say(message) if self._partner:
                self._send_frame(self._partner, "ask", self._exchange, message)
            case Close():
                self._partner = ""
            case Reply(to, message):
                peer, exchange = to.decode().split()
                self._send_frame(peer, "answer", int(exchange), message)

    def _send_frame(self, to: str, way: str, exchange: int, message: Message) -> None:
        frame = base64.b64encode(encode(message)).decode()
        self._send(to, {"type": "frame", "way": way, "exchange": exchange, "frame": frame})


def main() -> None:
    """Serve until standard input ends."""
    out: list[str] = []

    def send(to: str, body: dict[str, Any]) -> None:
        out.append(json.dumps({"src": node_id, "dest": to, "body": body}))

    folder = os.environ.get("WHOISMESH_JUDGE_SPOOL")
    node = MeshNode(send, Path(folder) if folder else None)
    node_id, rest = "", b""
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    while True:
        left_s = node.wake_at - time.monotonic()
        if waiting.select(None if left_s == float("inf") else max(0.0, left_s)):
            read = os.read(0, 1 << 20)
            if not read:
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                message = json.loads(line)
                node_id = message["dest"]
                node.take(message)
        if time.monotonic() >= node.wake_at:
            node.tick()
        if out:
            sys.stdout.write("\n".join(out) + "\n")
            sys.stdout.flush()
            out.clear()


if __name__ == "__main__":
    main()
