"""The coordinator with a slow disk and room for few results: slow_coordinator.py REPORT ARGS...

At its end it writes into REPORT the most bytes that waited for the disk, and how often it took no more in.
"""

import sys
import time
from pathlib import Path

from whoismesh import coordinator
from whoismesh.sockets import Inbox
from whoismesh.store import LedgerStore

#: Of this disk and this room, results come faster than they go.
COMMIT_S, ROOM_BYTES = 0.3, 10_000

report = Path(sys.argv[1])
most_bytes = pauses = 0
coordinator.MOST_WAITING_BYTES = ROOM_BYTES
append, pause, carry_out = LedgerStore.append, Inbox.pause, coordinator.Coordinator._carry_out


def slow_append(*arguments):
    time.sleep(COMMIT_S)
    append(*arguments)


def counting_pause(inbox):
    global pauses
    pauses += not inbox._paused
    pause(inbox)


def watched(self, instruction):
    global most_bytes
    carry_out(self, instruction)
    most_bytes = max(most_bytes, self._waiting_bytes)


LedgerStore.append = slow_append
Inbox.pause = counting_pause
coordinator.Coordinator._carry_out = watched
code = coordinator.main(sys.argv[2:])
report.write_text(f"{most_bytes} {pauses}")
sys.exit(code)
