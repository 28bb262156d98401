"""Do something to every host of a fleet at once, so many at a time; a host that fails never stops the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from whoismesh.errors import WhoismeshError
from whoismesh.fleet.hosts import FleetHost
from whoismesh.fleet.outcomes import FAILED, Outcome

#: Hosts that are worked on at once: a thread and a connection each. Work on a host is waiting for it.
AT_ONCE = 32


def on_each(
    hosts: Sequence[FleetHost],
    work: Callable[[FleetHost], tuple[str, str]],
    told: Callable[[Outcome], None] = lambda outcome: None,
    at_once: int = AT_ONCE,
) -> list[Outcome]:
    """Call `work` for each host; return the outcomes in the order of the hosts, and tell each when it is there.

    `work` returns (state, detail) or raises WhoismeshError, and has time-outs of its own. Anything else it raises is a
    bug, and is raised here when all are done.
    """
    lock = threading.Lock()

    def timed(host: FleetHost) -> Outcome:
        began = time.monotonic()
        try:
            state, detail = work(host)
        except WhoismeshError as error:
            state, detail = FAILED, str(error)
        outcome = Outcome(host.name, state, detail, time.monotonic() - began)
        with lock:
            told(outcome)
        return outcome

    with ThreadPoolExecutor(max(1, min(at_once, len(hosts)))) as pool:
        futures = [pool.submit(timed, host) for host in hosts]
        return [each.result() for each in futures]
