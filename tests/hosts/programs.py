"""How the lab runs programs."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

COMMAND_S = 60.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: For what runs on the machine itself; not everybody has the system's programs in the path.
ENVIRONMENT = os.environ | {"PATH": f"{os.environ.get('PATH', os.defpath)}:{PATH}"}
#: Before a command: the kernel kills it when we are gone, however hard we went.
BOUND_TO_US = ("setpriv", "--pdeathsig", "KILL", "--")


def output(command: Sequence[str], timeout_s: float) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, env=ENVIRONMENT
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def make_key(path: Path) -> str:
    """Make an ssh key; return its public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()
