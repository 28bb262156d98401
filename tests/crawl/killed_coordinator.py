"""The coordinator, killed (SIGKILL) by itself at the n-th time it does something: killed_coordinator.py WHERE N ARGS...

WHERE is "store" (before a batch of results is stored), "stored" (a batch is on disk, nobody knows), "acknowledge"
(before an acknowledgement goes out), "acknowledged" (it has gone out, the accepted log has not) or "publish" (before
the accepted log goes out).
"""

import os
import signal
import sys

from whoismesh import coordinator
from whoismesh.broadcast import Broadcast
from whoismesh.messages import Acknowledge, Discovered, topic
from whoismesh.sockets import Inbox
from whoismesh.store import LedgerStore

where, left = sys.argv[1], int(sys.argv[2])


def die_at(place):
    global left
    if place == where:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner, name, before=None, after=None, only=lambda *arguments: True):
    real = getattr(owner, name)

    def wrapped(*arguments):
        chosen = only(*arguments)
        if chosen and before:
            die_at(before)
        result = real(*arguments)
        if chosen and after:
            if after == "acknowledged":
                # It goes out when ZeroMQ's own thread has had it; dying now is another case, which "acknowledge" has.
                arguments[0].socket.poll(20, 1)
            die_at(after)
        return result

    setattr(owner, name, wrapped)


wrap(LedgerStore, "append", "store", "stored", lambda store, results, counters: bool(results))
wrap(Inbox, "send", "acknowledge", "acknowledged", lambda inbox, *frames: frames[-1][:2] == topic(Acknowledge))
wrap(Broadcast, "publish", "publish", None, lambda broadcast, message: isinstance(message, Discovered))

sys.exit(coordinator.main(sys.argv[3:]))
