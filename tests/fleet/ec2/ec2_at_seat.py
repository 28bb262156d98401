"""EC2 as a process, for a place whose loopback is not the test's: `ec2_at_seat.py ADDRESS KEY...` prints its URL.

The arguments are the hosts that stand for its instances, in the order of their launch: an address, then a public key.
"""

from __future__ import annotations

import logging
import sys
import threading

from between_aws import BetweenAws
from moto.server import ThreadedMotoServer


def main(arguments: list[str]) -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    between = BetweenAws(server.get_host_and_port()[1])
    between.machines = list(zip(arguments[::2], arguments[1::2], strict=True))
    between.consoles = between.machine_console
    print(between.url, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
