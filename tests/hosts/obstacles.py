"""Why this machine cannot make test hosts, if it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from leftovers import cgroup_here
from programs import ENVIRONMENT

#: What is run, and what has it (bin/setup-hosts installs the same).
PROGRAMS = {
    "ip": "iproute2",
    "/lib/systemd/systemd": "systemd",
    "systemctl": "systemd",
    "systemd-run": "systemd",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
#: Everything a kernel (or a container around us) may refuse, tried in namespaces of its own. $1 is an empty folder.
TRIAL = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t cgroup2 cgroup2 "$1/work"
ip link add bridge type bridge
ip link add one type veth peer name two
ip link set one master bridge
"""


def obstacle(folder: Path) -> str | None:
    """Return the reason why no test hosts can be made here, or None. Tries it, in an empty folder."""
    if sys.platform != "linux":
        return "test hosts need Linux"
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
            return f"test hosts need {program} ({package}): run bin/setup-hosts as root"
    if os.geteuid() != 0:
        return "test hosts need root"
    new = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
    tried = subprocess.run(
        [*new, "sh", "-c", TRIAL, "sh", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    if tried.returncode:
        return f"no test hosts can be made here: {(tried.stderr.strip() or 'the trial failed').splitlines()[0]}"
    try:
        group = cgroup_here() / f"whoismesh-trial-{os.getpid()}"
        group.mkdir()
        group.rmdir()
    except (OSError, RuntimeError) as error:
        return f"no test hosts can be made here: {error}"
    return None
