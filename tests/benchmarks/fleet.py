"""How long `fab` takes on hosts of the test lab: deploy to one and to all, again, and from `start` to the first lookup.

All hosts share this machine's cores, which real ones do not: what a deploy costs a host (mostly pip) is paid here by
all of them together. How much that is stands beside it: the processor time of one such installation, alone.
"""

import argparse
import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hosts"))

from fleet_at_seat import SYSTEM_PYTHON, Fleet, wheelhouse
from lab import HostLab


def timed(what: str, fleet: Fleet, *words: str | Path, hosts: tuple[str, ...]) -> None:
    """Run a task and print how long it took."""
    began = time.monotonic()
    done = fleet.fab(*words, hosts=hosts)
    assert done.code == 0, done.output + done.errors
    slowest = max((each["seconds"] for each in done.json), default=0.0)
    print(f"=== {what}: {time.monotonic() - began:.1f} s, the slowest host {slowest:.1f} s")


def installation_cpu_s(wheels: Path) -> float:
    """Install the wheels as a host does; return the processor time of it."""
    (house,) = wheels.iterdir()
    pip, project = next(house.glob("pip-*")), next(house.glob("whoismesh-*"))
    python = str(SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else sys.executable)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        options = ["--no-index", "--find-links", house, "--no-cache-dir", "--quiet", "--disable-pip-version-check"]
        subprocess.run([f"{folder}/bin/python", "-I", pip / "pip", "install", *options, project], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
            print(f"=== processor time of one installation: {installation_cpu_s(wheels):.1f} s")
            deploy = ("deploy", *fleet.python, "--config", fleet.config, "--json")
            timed("deploy to 1 host", fleet, *deploy, hosts=names[:1])
            timed("down", fleet, "down", "--discard-results", "--json", hosts=names[:1])
            timed(f"deploy to {len(names)} hosts", fleet, *deploy, hosts=names)
            timed("the same again", fleet, *deploy, hosts=names)
            timed("and to 1 host again", fleet, *deploy, hosts=names[:1])
            at = time.monotonic()
            timed("start", fleet, "start", "--json", hosts=names)
            while not fleet.asked():
                time.sleep(0.05)
            with open(home / "requests.csv") as requests:
                first = float(next(csv.reader(requests))[0])
            print(f"=== from start to the first lookup: {first - at:.1f} s")


if __name__ == "__main__":
    main()
