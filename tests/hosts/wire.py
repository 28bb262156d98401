"""A bad cable: carries frames between two network interfaces, drops a part of them and delays the rest.

    python wire.py LEFT RIGHT LOSS DELAY_S SEED        runs until it is killed; prints "ready" once it carries

It is a process because netem, which could do the same inside the kernel, is missing in many kernels. Frames travel with
what the kernel knows of them (PACKET_VNET_HDR): a checksum that nobody has computed yet is still computed at the end.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import sys
import time
from collections import deque

# From linux/if_packet.h and linux/if_ether.h; the socket module knows none of them in Python 3.11.
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 1, 15, 23
PACKET_MR_PROMISC, ETH_P_ALL = 1, 3
#: The longest frame and the kernel's notes before it.
MAX_FRAME_BYTES = 65_536 + 64
#: Frames that wait in the kernel while this process does not run.
BUFFER_BYTES = 8_000_000


def open_end(interface: str) -> socket.socket:
    """Return a socket that gets every frame that comes in at an interface, and sends frames out of it."""
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    end.bind((interface, ETH_P_ALL))
    membership = struct.pack("iHH8s", socket.if_nametoindex(interface), PACKET_MR_PROMISC, 0, b"")
    end.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    end.setblocking(False)
    return end


class Direction:
    """One way through the cable."""

    def __init__(self, source: socket.socket, target: socket.socket, loss: float, delay_s: float, seed: str) -> None:
        self.source = source
        self._target = target
        self._loss = loss
        self._delay_s = delay_s
        self._random = random.Random(seed)
        self._under_way: deque[tuple[float, bytes]] = deque()

    def take_in(self, now: float) -> None:
        """Take what has come; each frame is lost or put under way."""
        while True:
            try:
                frame = self.source.recv(MAX_FRAME_BYTES)
            except OSError:  # nothing left, or the host has just gone
                return
            if self._random.random() >= self._loss:
                self._under_way.append((now + self._delay_s, frame))

    def deliver(self, now: float) -> float | None:
        """Send what has arrived; return when the next frame arrives, if any is under way."""
        while self._under_way:
            at, frame = self._under_way[0]
            if at > now:
                return at
            self._under_way.popleft()
            try:
                self._target.send(frame)
            except OSError:  # a full queue, or a host that is gone: cables do not complain
                continue
        return None


def main() -> None:
    left, right = (open_end(name) for name in sys.argv[1:3])
    loss, delay_s, seed = float(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    directions = (
        Direction(left, right, loss, delay_s, f"{seed} there"),
        Direction(right, left, loss, delay_s, f"{seed} back"),
    )
    print("ready", flush=True)
    while True:
        next_at = [at for each in directions if (at := each.deliver(time.monotonic())) is not None]
        timeout_s = max(0.0, min(next_at) - time.monotonic()) if next_at else None
        readable, _, _ = select.select([left, right], [], [], timeout_s)
        for each in directions:
            if each.source in readable:
                each.take_in(time.monotonic())


if __name__ == "__main__":
    main()
