"""A service manager's socket in a test: what daemons tell it, as it comes."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path

DEADLINE_S = 60


class NotifySocket:
    """Listens at a path, or at an abstract name that begins with @, inside its `with`.

    `heard` are (time, lines) of all datagrams.
    """

    def __init__(self, address):
        self.address = address
        self.heard = []
        self._news = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append((time.monotonic(), self._socket.recv(4096).decode().split("\n")))
                self._news.set()

    def environment(self, watchdog_s=None):
        """Return what a daemon of this manager is started with."""
        watched = {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))} if watchdog_s else {}
        return {"NOTIFY_SOCKET": self.address} | watched

    def said(self, line):
        """Return the times at which that line came; one that ends in * stands for all that begin so."""
        return [at for at, lines in self.heard for each in lines if _is(each, line)]

    def lines(self, beginning):
        """Return all lines that begin so, without the beginning, in order."""
        return [each[len(beginning) :] for _, lines in self.heard for each in lines if each.startswith(beginning)]

    async def hears(self, line, times=1):
        """Wait until a line has come so often."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.said(line)) < times:
                self._news.clear()
                await self._news.wait()

    def close(self):
        """Be gone."""
        if self._socket.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        if not self.address.startswith("@"):
            Path(self.address).unlink()


def _is(said, line):
    return said.startswith(line[:-1]) if line.endswith("*") else said == line
