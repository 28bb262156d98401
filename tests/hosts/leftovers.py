"""What is left of labs whose maker was killed: a folder each, and control groups."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from pathlib import Path

from waiting import wait_until

#: Where labs have their folders, one for each, `whoismesh-lab-` and some letters.
FOLDERS, PREFIX = Path("/run"), "whoismesh-lab-"
#: Killed processes are gone after this, seconds.
END_S = 60.0


def sweep() -> None:
    """Remove what labs have left whose maker is gone."""
    for folder in FOLDERS.glob(f"{PREFIX}*"):
        try:
            with open(folder / "lock", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
        except FileNotFoundError:
            continue  # just being made, or just removed
        except BlockingIOError:
            continue  # its maker lives


def remove(folder: Path) -> None:
    """Remove a lab's control groups, with what runs in them, and its folder."""
    with contextlib.suppress(FileNotFoundError):
        cgroup = Path((folder / "cgroup").read_text())
        groups = sorted((each for each in cgroup.rglob("*") if each.is_dir()), reverse=True) if cgroup.exists() else []

        def empty() -> bool:
            left = [int(pid) for each in (*groups, cgroup) for pid in (each / "cgroup.procs").read_text().split()]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        if cgroup.exists():
            wait_until(empty, f"end of all processes of {cgroup}", END_S)
            for each in (*groups, cgroup):
                each.rmdir()
    shutil.rmtree(folder)


def cgroup_here() -> Path:
    """Return the control group of this process (version 2)."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            mounted = Path(fields[4])
            own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::")
            here = mounted / own.lstrip("/")
            return here if here.exists() else mounted
    raise RuntimeError("no control groups of version 2 are mounted")
