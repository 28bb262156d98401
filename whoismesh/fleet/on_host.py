"""What a fleet's task does on a host: a program of its own, sent over ssh and run there by the host's Python as root.

It needs nothing but Python 3.8 and systemd, and is no part of what is installed. `there` sends it and speaks with it.
On standard input comes a line of JSON, the request, and for some the bytes of files; on standard output goes a line
of JSON, the answer, and for `dump` the bytes of the dump. A failure is one line on standard error and status 1.

Files are put in place by renaming, and are their owner's alone from the first byte on. Folders that root writes into
are root's: what the daemons' user may write, root does not write to.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, NoReturn, Optional  # noqa: UP035 - as old as the hosts' Pythons may be

#: What is where on a host.
USER = "whoismesh"
PREFIX, SETTINGS, STATE = Path("/opt/whoismesh"), Path("/etc/whoismesh"), Path("/var/lib/whoismesh")
COORDINATOR_UNIT, WORKER_UNIT = "whoismesh-coord.service", "whoismesh-worker.service"
UNIT_FOLDER, SYSUSERS = Path("/etc/systemd/system"), Path("/etc/sysusers.d/whoismesh.conf")
WHEELS, VENVS, CURRENT, PENDING = PREFIX / "wheels", PREFIX / "venvs", PREFIX / "current", PREFIX / "pending"
COORDINATOR_STATE, PULLED = STATE / "coord", STATE / "coord" / "pulled.json"
UNITS = (COORDINATOR_UNIT, WORKER_UNIT)
LOCK = Path("/run/whoismesh-deploy.lock")
#: What `systemctl show` is asked about a unit.
PROPERTIES = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState", "StatusText", "NRestarts", "Result", "ExecMainStatus"),
    *("StateChangeTimestamp", "ActiveEnterTimestamp", "MainPID"),
)
#: Modules that some distributions ship apart from Python, and that the daemons or the virtual environment need.
MODULES = ("venv", "ssl", "sqlite3", "zlib", "ctypes")
#: What a message says of a command's output, characters.
SHOWN = 400
CHUNK_BYTES = 1 << 16
#: A start waits until a large ledger is read, a stop until what is left is delivered.
SYSTEMCTL_S, PIP_S, DUMP_S = 900, 600, 3600

Request = Dict[str, Any]  # noqa: UP006


def fail(message: str) -> NoReturn:
    """End with a line on standard error."""
    sys.stderr.write(" ".join(message.split())[:1000] + "\n")
    raise SystemExit(1)


def run(*command: object, check: bool = True, timeout_s: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    words = [str(each) for each in command]
    more.setdefault("stdin", subprocess.DEVNULL)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False, **more)
    except subprocess.TimeoutExpired:
        fail(f"{' '.join(words[:3])}: did not end within {timeout_s:.0f} s")
    except OSError as error:
        fail(f"{words[0]}: {error.strerror}")
    if check and done.returncode:
        fail(f"{' '.join(words[:3])}: {(done.stderr.strip() or done.stdout.strip())[-SHOWN:]}")
    return done


# -- what is there ----------------------------------------------------------------------------------------------------


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
            digest.update(chunk)
    return digest.hexdigest()


def user_id() -> Optional[int]:  # noqa: UP045
    """Return the daemons' user, if there is one."""
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        return None


def owners(owner: str) -> tuple[int, int]:
    """Return the numbers of a file's user and group, for "root", "user" (the daemons') and "group" (root, theirs)."""
    if owner == "root":
        return 0, 0
    entry = pwd.getpwnam(USER)
    return (entry.pw_uid if owner == "user" else 0), entry.pw_gid


def is_as_wanted(wanted: Request) -> bool:
    """Tell whether a file or a folder is there with this content, mode and owner."""
    path = Path(wanted["path"])
    try:
        found = path.lstat()
        same = (found.st_uid, found.st_gid) == owners(wanted["owner"]) and found.st_mode & 0o7777 == wanted["mode"]
        if "sha256" not in wanted:
            return same and path.is_dir() and not path.is_symlink()
        return same and path.is_file() and not path.is_symlink() and digest_of(path) == wanted["sha256"]
    except (OSError, KeyError):
        return False


def facts() -> Request:
    """Return what this host is."""
    return {
        "python": [*sys.version_info[:3]],
        "executable": os.path.realpath(sys.executable),
        "machine": platform.machine(),
        "libc": list(platform.libc_ver()),
        "missing": [each for each in MODULES if importlib.util.find_spec(each) is None],
        "systemd": Path("/run/systemd/system").is_dir(),
        "apt": shutil.which("apt-get") is not None,
        # The address at which ssh reached this host: what is its own, whatever the way here was.
        "address": (os.environ.get("SSH_CONNECTION", "").split() + [""] * 3)[2],
    }


def unit_states() -> Dict[str, Dict[str, str]]:  # noqa: UP006
    """Return what systemd says of each of our units that it knows."""
    states = {}
    for unit in UNITS:
        if not (UNIT_FOLDER / unit).exists():
            continue
        shown = run("systemctl", "show", unit, "--property=" + ",".join(PROPERTIES)).stdout
        states[unit] = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return states


def installed() -> Request:
    """Return which wheels' digest is in use, and its version."""
    if not CURRENT.is_symlink():
        return {"digest": "", "version": ""}
    named = sorted(CURRENT.glob("lib/python3*/site-packages/whoismesh-*.dist-info"))
    return {
        "digest": CURRENT.resolve().name,
        "version": named[0].name.split("-")[1][: -len(".dist")] if named else "",
    }


def inspect(request: Request) -> Request:
    """Compare what is there with what is wanted."""
    wanted = request["folders"] + request["files"]
    names = {each["path"] for each in wanted}
    extra = [
        str(path)
        for folder in request["exact"]
        if Path(folder).is_dir()
        for path in sorted(Path(folder).iterdir())
        if str(path) not in names
    ]
    return {
        "facts": facts(),
        "differ": [each["path"] for each in wanted if not is_as_wanted(each)],
        "extra": extra,
        "installed": installed(),
        "units": unit_states(),
        "pending": sorted(path.name for path in PENDING.iterdir()) if PENDING.is_dir() else [],
        "user": user_id() is not None,
    }


def status(request: Request) -> Request:
    """Return what systemd says of the daemons."""
    return {
        "units": unit_states(),
        "installed": installed(),
        "state": COORDINATOR_STATE.is_dir(),
        "pulled": PULLED.exists(),
        "address": facts()["address"],
    }


# -- making it so -----------------------------------------------------------------------------------------------------


def lock() -> int:
    """Keep others out who deploy at the same time."""
    descriptor = os.open(str(LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        fail("somebody else deploys to this host at this moment; try again when that is over")
    return descriptor


def make_user() -> None:
    """Make the daemons' user, who has no password, no shell and no home."""
    if user_id() is None:
        run("systemd-sysusers", SYSUSERS)
    if user_id() is None:
        fail(f"systemd-sysusers {SYSUSERS} made no user {USER}")


def make_folder(wanted: Request) -> None:
    """Make a folder, or correct its mode and owner."""
    path = Path(wanted["path"])
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        fail(f"{path} is no folder; move it out of the way")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chown(str(path), *owners(wanted["owner"]))
    path.chmod(wanted["mode"])


def put(wanted: Request) -> None:
    """Write a file from standard input, whole or not at all."""
    path = Path(wanted["path"])
    part = path.with_name(f".{path.name}.part")
    remove(part)  # of an earlier attempt that was cut
    descriptor = os.open(str(part), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    digest, left = hashlib.sha256(), wanted["size"]
    try:
        with os.fdopen(descriptor, "wb") as file:
            while left:
                chunk = sys.stdin.buffer.read(min(left, CHUNK_BYTES))
                if not chunk:
                    fail(f"{path}: the connection ended before the file")
                digest.update(chunk)
                file.write(chunk)
                left -= len(chunk)
            if digest.hexdigest() != wanted["sha256"]:
                fail(f"{path}: came with another content than announced; was it changed meanwhile?")
            os.fchown(file.fileno(), *owners(wanted["owner"]))
            os.fchmod(file.fileno(), wanted["mode"])
            file.flush()
            os.fsync(file.fileno())
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(str(path))
        part.replace(path)
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}")


def remove(path: Path) -> bool:
    """Remove whatever is there; tell whether something was."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif path.exists() or path.is_symlink():
        path.unlink()
    else:
        return False
    return True


def install(digest: str, wheels: List[str]) -> None:  # noqa: UP006
    """Make the virtual environment of these wheels, unless it is there, and have it used from now on."""
    venv, marker = VENVS / digest, VENVS / digest / "complete"
    before = installed()["digest"]
    mask = os.umask(0o022)  # the daemons' user runs it
    VENVS.mkdir(mode=0o755, exist_ok=True)
    if not marker.exists():
        remove(venv)  # of an attempt that was cut
        # pip comes as a wheel, too: where Debian has no python3-venv, Python has no pip to put there.
        run(sys.executable, "-m", "venv", "--without-pip", venv)
        pip = next(name for name in wheels if name.startswith("pip-"))
        requirement = next(name for name in wheels if name.startswith("whoismesh-"))
        options = ("--no-index", "--find-links", WHEELS, "--disable-pip-version-check", "--no-cache-dir", "--quiet")
        run(
            *(venv / "bin" / "python", "-I", WHEELS / pip / "pip", "install", *options, WHEELS / requirement),
            timeout_s=PIP_S,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PIP_CONFIG_FILE": os.devnull},
        )
        marker.touch()
    if before != digest:
        link = CURRENT.with_name("current.part")
        remove(link)
        link.symlink_to(venv)
        link.replace(CURRENT)
    # The one before stays: daemons that are not restarted yet run from it.
    for path in VENVS.iterdir():
        if path.name not in (digest, before):
            remove(path)
    os.umask(mask)


def why(unit: str) -> str:
    """Return the last words of a unit that failed."""
    told = run("journalctl", "--unit", unit, "--lines=4", "--output=cat", "--no-pager", check=False).stdout
    return " | ".join(told.split("\n")).strip(" |")[-SHOWN:]


def systemctl(verb: str, unit: str) -> None:
    """Start, stop or restart a unit, and wait until it is done: for a start that is its READY."""
    done = run("systemctl", verb, unit, check=False, timeout_s=SYSTEMCTL_S)
    if done.returncode:
        fail(f"systemctl {verb} {unit}: {why(unit) or done.stderr.strip()[-SHOWN:]}")


def apply(request: Request) -> Request:
    """Put in place what differs, install, and restart what runs and whose inputs changed."""
    held = lock()
    os.umask(0o077)
    PREFIX.mkdir(mode=0o755, exist_ok=True)
    PREFIX.chmod(0o755)
    PENDING.mkdir(mode=0o700, exist_ok=True)
    # Written down first: should this be cut after a file was changed, the next deploy still knows what to restart.
    for unit in request["restarts"]:
        (PENDING / unit).touch()
    SYSUSERS.parent.mkdir(mode=0o755, exist_ok=True)
    for each in request["files"]:
        if each["path"] == str(SYSUSERS):
            put(each)  # the first one: the others may be its user's
    make_user()
    for each in request["folders"]:
        make_folder(each)
    for each in request["files"]:
        if each["path"] != str(SYSUSERS):
            put(each)
    if installed()["digest"] != request["digest"]:
        install(request["digest"], request["wheels"])
    for path in request["remove"]:
        if path.startswith(str(UNIT_FOLDER)):
            run("systemctl", "disable", "--now", Path(path).name, check=False, timeout_s=SYSTEMCTL_S)
        remove(Path(path))
    run("systemctl", "daemon-reload")
    restarted = []
    for unit, state in unit_states().items():
        if not (PENDING / unit).exists():
            continue
        # One that is to be started again after a failure has new inputs at its next start anyway; why wait for it?
        if state["ActiveState"] in ("active", "activating", "reloading"):
            systemctl("restart", unit)
            restarted.append(unit)
        (PENDING / unit).unlink()
    os.close(held)
    return {"restarted": restarted}


def start(request: Request) -> Request:
    """Enable and start a unit; return whether it ran already."""
    unit = request["unit"]
    state = unit_states().get(unit)
    if state is None:
        fail(f"there is no {unit}: deploy first")
    run("systemctl", "enable", "--quiet", unit)
    if state["ActiveState"] == "active":
        return {"ran": True, **unit_states()[unit]}
    run("systemctl", "reset-failed", unit, check=False)
    systemctl("start", unit)
    return {"ran": False, **unit_states()[unit]}


def stop(request: Request) -> Request:
    """Stop and disable units; return those that ran."""
    ran = []
    for unit, state in unit_states().items():
        if unit not in request["units"]:
            continue
        if state["ActiveState"] not in ("inactive", "failed"):
            ran.append(unit)
        run("systemctl", "disable", "--quiet", unit, check=False)
        systemctl("stop", unit)
    return {"ran": ran}


# -- what was found ---------------------------------------------------------------------------------------------------


def as_user(*command: object, **more: Any) -> None:
    """Run a program as the daemons' user: root neither reads nor writes where that one may."""
    entry = pwd.getpwnam(USER)

    def become() -> None:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    run(*command, preexec_fn=become, cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, **more)


def dump(request: Request) -> None:
    """Write the dump, as the daemons' user, and send its size and its bytes."""
    if user_id() is None or not COORDINATOR_STATE.is_dir():
        fail(f"there is no crawl at {COORDINATOR_STATE}: start it first")
    folder = Path(tempfile.mkdtemp(prefix="whoismesh-", dir="/var/tmp"))
    try:
        os.chown(str(folder), *owners("user"))
        path = folder / "results.msgpack"
        as_user(CURRENT / "bin" / "whoismesh", "dump", "--state", COORDINATOR_STATE, path, timeout_s=DUMP_S)
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            answer({"size": os.fstat(file.fileno()).st_size})
            shutil.copyfileobj(file, sys.stdout.buffer, CHUNK_BYTES)
            sys.stdout.buffer.flush()
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def pulled(request: Request) -> Request:
    """Note in the crawl's state that the operator has its complete dump: `remove` may then remove it."""
    as_user("/bin/sh", "-c", 'printf "%s\\n" "$1" > "$2"', "sh", json.dumps(request["note"]), PULLED)
    return {}


# -- the end ----------------------------------------------------------------------------------------------------------


def ours() -> List[Path]:  # noqa: UP006
    """Return all of ours that is there, but the state; the lock comes last."""
    named = [SYSUSERS, PREFIX, SETTINGS]
    for unit in UNITS:
        named += [UNIT_FOLDER / unit, UNIT_FOLDER / f"{unit}.d"]
    return [path for path in (*named, LOCK) if path.exists() or path.is_symlink()]


def processes() -> List[int]:  # noqa: UP006
    """Return the processes of the daemons' user."""
    found, user = [], user_id()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.stat().st_uid == user:
                found.append(int(path.name))
        except OSError:
            continue  # it ended
    return found


def leave(request: Request) -> Request:
    """Stop, disable and remove all of ours; the state only where that is wanted. Return what is left."""
    held = lock()
    was = ours() != [LOCK] or user_id() is not None or (STATE.exists() and request["discard"])
    for unit in UNITS:
        if (UNIT_FOLDER / unit).exists():
            run("systemctl", "disable", "--quiet", "--now", unit, check=False, timeout_s=SYSTEMCTL_S)
            if unit_states()[unit]["ActiveState"] not in ("inactive", "failed"):
                fail(f"{unit} does not stop")
    kept = STATE.exists() and any(STATE.rglob("*")) and not request["discard"]
    for path in ours()[:-1]:
        remove(path)
    if was:
        run("systemctl", "daemon-reload")
        run("systemctl", "reset-failed", *UNITS, check=False)
    if not kept:
        remove(STATE)
        if user_id() is not None:
            run("userdel", USER)
    LOCK.unlink()
    os.close(held)
    left = [str(path) for path in ours()]
    left += [f"process {number}" for number in (processes() if user_id() is not None else [])]
    if not kept:
        left += [str(STATE)] * STATE.exists() + [f"user {USER}"] * (user_id() is not None)
    return {"was": was, "kept": kept, "left": left}


def answer(message: Request) -> None:
    """Send a line of JSON."""
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Do what the request says."""
    request = json.loads(sys.stdin.buffer.readline())
    duties: Dict[str, Callable[[Request], Optional[Request]]] = {  # noqa: UP006, UP045
        each.__name__: each for each in (inspect, status, apply, start, stop, dump, pulled, leave)
    }
    try:
        told = duties[request["do"]](request)
    except OSError as error:
        fail(f"{error.filename or request['do']}: {error.strerror or error}")
    if told is not None:
        answer(told)


if __name__ == "__main__":
    main()
