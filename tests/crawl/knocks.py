"""Connections that a scan of ports makes, and those of clients that are not let in. Each is one whole connection.

The bytes are those of ZMTP 3.1 (RFC 37 of ZeroMQ) and CurveZMQ (RFC 26): a greeting of 64 bytes, then commands.
"""

import contextlib
import itertools
import os
import socket
import struct

#: A connection that a daemon neither answers nor closes is left after this.
PATIENCE_S = 0.02


def greeting(mechanism, version=(3, 1)):
    return b"\xff" + bytes(8) + b"\x7f" + bytes(version) + mechanism.ljust(20, b"\0") + bytes(32)


def command(body):
    return b"\x04" + bytes([len(body)]) + body


HELLO = command(b"\x05HELLO\x01\x00" + bytes(72) + os.urandom(32) + bytes(8) + os.urandom(80))
CLIENT_HELLO = bytes.fromhex("16030100310100002d0303") + os.urandom(32) + bytes.fromhex("000002130101000000")
#: What is sent, piece by piece; between the pieces the other side may speak.
TALKS = {
    "nothing": (),
    "an HTTP request": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",),
    "a TLS greeting": (CLIENT_HELLO,),
    "noise": (os.urandom(500),),
    "zeros": (bytes(1000),),
    "half a greeting": (greeting(b"CURVE")[:20],),
    "an old ZMTP": (b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0",),
    "CURVE off": (greeting(b"NULL"), command(b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER")),
    "a password": (greeting(b"PLAIN"), command(b"\x05HELLO\x04root\x04toor")),
    "a false HELLO": (greeting(b"CURVE"), HELLO),
    "a HELLO without end": (greeting(b"CURVE"), b"\x06" + struct.pack(">Q", 2**63 - 1) + bytes(2000)),
    "a message at once": (greeting(b"CURVE"), b"\x00\x05hello"),
}


def knock(address, pieces):
    """Connect, say the pieces, listen a moment after each, and go: in good order, or with a reset if it said none."""
    with socket.create_connection(address, timeout=10) as there:
        if not pieces:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        there.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            for piece in pieces:
                there.sendall(piece)
                if piece is not pieces[-1]:
                    there.recv(1000)


def knock_often(addresses, count):
    """Make so many connections one after another, of all kinds in turn, to each address in turn."""
    talks = itertools.cycle(TALKS.values())
    for address, pieces in itertools.islice(zip(itertools.cycle(addresses), talks, strict=False), count):
        knock(address, pieces)
