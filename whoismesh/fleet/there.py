"""The program `on_host` on a host: sent with each request, run as root by a Python of that host."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from whoismesh.errors import UnavailableError
from whoismesh.fleet import on_host
from whoismesh.fleet.ssh import Connection

#: A question about what is there, seconds; what takes longer says so.
ASK_S = 60
#: Where a user may not become root without a password.
_SUDO = "sudo"

#: Reads the program's length and the program, and leaves the rest of standard input to it.
_LOADER = "import sys; i = sys.stdin.buffer; exec(compile(i.read(int(i.readline())), 'on_host', 'exec'))"
_SCRIPT = """\
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH LC_ALL=C; export PATH LC_ALL; umask 077
for each in {candidates}; do
  "$each" -I -c 'import sys; sys.exit(sys.version_info[:2] != {version})' 2> /dev/null && exec "$each" -I -c {loader}
done
command -v python3 > /dev/null && exec python3 -I -c {loader}
echo "has no Python: {install}" >&2
exit 69
"""
_AS_ROOT = (
    'if [ "$(id -u)" = 0 ]; then exec sh -c {script}; fi; '
    'exec sudo -n -- env SSH_CONNECTION="$SSH_CONNECTION" sh -c {script}'
)


def ask(
    connection: Connection,
    request: Mapping[str, Any],
    files: Iterable[bytes] = (),
    *,
    python: str = "",
    timeout_s: float = ASK_S,
) -> dict[str, Any]:
    """Have the program do what a request says, with the bytes of files; return its answer. Raises UnavailableError."""
    said = connection.run(command(python), _sent(request, files), timeout_s=timeout_s)
    if said.code != 0:
        raise UnavailableError(_told(said.code, said.errors))
    return dict(_parsed(said.output))


def ask_for_bytes(
    connection: Connection, request: Mapping[str, Any], received: Callable[[bytes], object], *, timeout_s: float
) -> dict[str, Any]:
    """Likewise, where bytes follow the answer: they go to `received` as they come."""
    head = bytearray()
    answer: dict[str, Any] = {}

    def take(chunk: bytes) -> None:
        if answer:
            received(chunk)
            return
        head.extend(chunk)
        line, end, rest = bytes(head).partition(b"\n")
        if end:
            answer.update(_parsed(line))
            if rest:
                received(rest)

    said = connection.run(command(""), _sent(request, ()), timeout_s=timeout_s, received=take)
    if said.code != 0 or not answer:
        raise UnavailableError(_told(said.code, said.errors))
    return answer


def as_root(script: str) -> str:
    """Return a command that runs a shell's script as root, by sudo where the user of ssh is not."""
    return _AS_ROOT.format(script=shlex.quote(script))


def command(python: str) -> str:
    """Return the command that runs the program; `python` is a path on the host to try first."""
    version = sys.version_info[:2]
    named = f"python{version[0]}.{version[1]}"
    candidates = [shlex.quote(each) for each in (python, named, "python3") if each]
    script = _SCRIPT.format(
        candidates=" ".join(candidates),
        version=version,
        loader=shlex.quote(_LOADER),
        install=f"install {named} (Debian: apt-get install {named}), run deploy with --install, or give --python PATH",
    )
    return as_root(script)


@cache
def _program() -> bytes:
    source = Path(on_host.__file__).read_bytes()
    return b"%d\n%s" % (len(source), source)


def _sent(request: Mapping[str, Any], files: Iterable[bytes]) -> Iterable[bytes]:
    yield _program() + json.dumps(request).encode() + b"\n"
    yield from files


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    except ValueError:
        pass
    raise UnavailableError(
        f"answered what was not asked: {line[:100]!r}; does its shell print something when it starts?"
    )


def _told(code: int | None, errors: str) -> str:
    last = errors.splitlines()[-1][:1000] if errors else ""
    if last.startswith(f"{_SUDO}:") or f"{_SUDO}: not found" in last:
        return f"{last}: log in as root (root@HOST), or let the user run sudo without a password"
    if code is None:
        return "the connection was lost"
    return last or f"ended with {code}"
