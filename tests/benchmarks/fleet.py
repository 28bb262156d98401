"""How long `fab` takes on hosts of the test lab: deploy to one and to all, again, and from `start` to the first lookup.

All hosts share this machine's cores, which real ones do not: what a deploy costs a host (mostly pip) is paid here by
all of them together. `--bare` beside it is one such installation with nothing else on the machine.
"""

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))

from fleet_at_seat import Fleet, wheelhouse
from lab import HostLab


def timed(what: str, fleet: Fleet, *words: str | Path, hosts: tuple[str, ...]) -> None:
    """Run a task and print how long it took."""
    began = time.monotonic()
    done = fleet.fab(*words, hosts=hosts)
    assert done.code == 0, done.output + done.errors
    slowest = max((each["seconds"] for each in done.json), default=0.0)
    print(f"=== {what}: {time.monotonic() - began:.1f} s, the slowest host {slowest:.1f} s")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=5)
    args = parser.parse_args()
    names = tuple(f"host{number}" for number in range(1, args.hosts + 1))
    with tempfile.TemporaryDirectory(prefix="whoismesh-bench-") as folder:
        began = time.monotonic()
        wheels = wheelhouse(Path(folder))
        print(f"=== wheelhouse: {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        with HostLab(*names) as lab:
            print(f"=== boot of {len(names)} hosts: {time.monotonic() - began:.1f} s")
            home = Path(folder) / "home"
            home.mkdir()
            fleet = Fleet(lab, home, wheels, first_bytes=(61, 193), latency_s=0.2)
            deploy = ("deploy", *fleet.python, "--config", fleet.config, "--json")
            timed("deploy to 1 host", fleet, *deploy, hosts=names[:1])
            timed("down", fleet, "down", "--discard-results", "--json", hosts=names[:1])
            timed(f"deploy to {len(names)} hosts", fleet, *deploy, hosts=names)
            timed("the same again", fleet, *deploy, hosts=names)
            at = time.monotonic()
            timed("start", fleet, "start", "--json", hosts=names)
            while not fleet.asked():
                time.sleep(0.05)
            with open(home / "requests.csv") as requests:
                first = float(next(csv.reader(requests))[0])
            print(f"=== from start to the first lookup: {first - at:.1f} s")


if __name__ == "__main__":
    main()
