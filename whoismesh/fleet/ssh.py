"""fabric, invoke and paramiko, and all that is to be known about them: nothing else of the fleet imports them.

- fabric trusts any host key (AutoAddPolicy), also those of the hosts it jumps over. Here a key that is not known is
  refused, and where known keys are is one file.
- `fab -H one,two TASK` runs TASK for one host after the other, each as if it were alone. `FleetExecutor` (named in
  fabric.json) runs it once; `fleet_task` tells the task which hosts were named.
- paramiko has no deadline for a command, notices a host that was switched off after minutes, takes IdentitiesOnly for
  nothing, logs tracebacks to standard error, and raises whatever it meets.
- fabric's own `run` reads its standard input a byte at a time. Commands here are channels, with bytes in and bytes out.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabric
import paramiko
from invoke.exceptions import Exit

from whoismesh.errors import ConfigError, UnavailableError, WhoismeshError
from whoismesh.fleet.hosts import FleetHost

#: Seconds for a connection, the server's first words and the proof of our key, where ssh's configuration does not say.
CONNECT_S = 10
#: A peer that acknowledges nothing for so long is gone; it is knocked at that often, seconds.
SILENT_S, KNOCK_S = 15, 5
#: Nothing that we ask is answered at such length; the dump goes to a file.
MOST_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 1 << 16

#: How paramiko says that a host's key is not known.
_UNKNOWN = re.compile(r"Server '(?P<host>[^']+)' not found in known_hosts")

# What goes wrong is told by what we raise.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


# -- connections ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Access:
    """How hosts are reached: fabric's configuration of this run (ssh's own files and `-i` in it), and who is known."""

    config: Any
    known_hosts: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `code` is None where the connection ended before it."""

    code: int | None
    output: bytes
    errors: str


class Connection:
    """A connection to a host, open inside of `with`. Every method raises UnavailableError where it fails."""

    _making = threading.Lock()

    def __init__(self, host: FleetHost, access: Access) -> None:
        self._host = host
        self._access = access
        self._file = access.known_hosts[0]

    def __enter__(self) -> Connection:
        """Connect. Raises UnavailableError with what to do about it."""
        with self._making:  # it writes to the configuration that all share
            self._fabric = self._make()
        try:
            self._fabric.open()
        except Exception as error:  # bare ones of paramiko's, and those of the libraries below it
            with contextlib.suppress(Exception):
                self._fabric.client.close()
            raise UnavailableError(self._explained(error)) from None
        transport = self._fabric.transport
        transport.set_keepalive(KNOCK_S)
        # What is sent and never acknowledged, also a knock, ends the connection. (A jump over another has no socket.)
        with contextlib.suppress(AttributeError, OSError):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            self._fabric.close()

    def _make(self) -> Any:
        # A copy for each: connections write to it.
        config = self._access.config.clone()
        host = self._host
        connection = made = fabric.Connection(host.address, user=host.user, port=host.port, config=config)
        while isinstance(connection, fabric.Connection):
            options = dict(connection.connect_kwargs)
            # fabric refuses to be told twice how long to wait: by -t, which comes first, and by ssh's configuration.
            seconds = int(options.pop("timeout", None) or connection.connect_timeout or CONNECT_S)
            options |= {"banner_timeout": seconds, "auth_timeout": seconds, "channel_timeout": seconds}
            if connection.ssh_config.get("identitiesonly") == "yes":
                options |= {"allow_agent": False, "look_for_keys": False}
            connection.connect_kwargs, connection.connect_timeout = options, seconds
            self._pin(connection)
            connection = connection.gateway  # a host that is jumped over
        return made

    def _pin(self, connection: Any) -> None:
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for path in self._access.known_hosts:
            try:
                connection.client.load_system_host_keys(str(path))
            except FileNotFoundError:
                continue
            except (OSError, paramiko.SSHException, ValueError) as error:
                raise ConfigError(f"{path}: cannot be read as known hosts: {error}") from None

    def _explained(self, error: Exception) -> str:
        connection = self._fabric
        where = connection.host if connection.port == 22 else f"[{connection.host}]:{connection.port}"
        # It may be one that is jumped over.
        if unknown := _UNKNOWN.match(str(error)):
            where = unknown["host"]
        elif isinstance(error, paramiko.BadHostKeyException) and error.hostname != connection.host:
            where = error.hostname
        match error:
            case paramiko.BadHostKeyException():
                return (
                    f"{where}: its host key is not the one in {self._file}: somebody poses as it, or it was set up "
                    f"anew; if you know that it was, ssh-keygen -f {self._file} -R '{where}' and add the new key"
                )
            case paramiko.PasswordRequiredException():
                return f"{where}: the ssh key has a passphrase; use an agent, or fab --prompt-for-passphrase"
            case paramiko.AuthenticationException():
                return (
                    f"{where}: refuses {connection.user}'s key; give another (fab -i FILE), or another user (USER@HOST)"
                )
            case socket.gaierror():
                return f"{where}: no such host: {error.strerror}"
            case TimeoutError():
                return f"{where}: does not answer within {connection.connect_timeout} s"
            case paramiko.ssh_exception.NoValidConnectionsError():
                return f"{where}: refuses connections: is sshd running there, at this port?"
            case paramiko.SSHException() if unknown:
                return (
                    f"{where}: its host key is not in {self._file}; compare what `ssh-keyscan HOST | ssh-keygen -lf -` "
                    "says with what the host itself or its provider says, then add the line, or give "
                    "--known-hosts FILE"
                )
            case paramiko.SSHException() if "No authentication methods" in str(error):
                return f"{where}: there is no ssh key to try; give one (fab -i FILE), or start an agent"
            case OSError():
                return f"{where}: cannot be reached: {error.strerror or error}"
            case _:
                return f"{where}: ssh failed: {error or type(error).__name__}"

    # -- commands ---------------------------------------------------------------------------------------------

    def run(
        self,
        command: str,
        sent: Iterable[bytes] = (),
        *,
        timeout_s: float,
        received: Callable[[bytes], object] | None = None,
    ) -> Ran:
        """Run a command, with bytes on its standard input; its output comes back, or goes to `received` as it comes.

        A command that is cut off at its time, or says more than MOST_BYTES, raises.
        """
        until = time.monotonic() + timeout_s
        output = bytearray()
        with self._channel(command, timeout_s) as channel:
            # One that ends before it has read all has its reason, and tells it.
            with contextlib.suppress(OSError):
                for chunk in sent:
                    channel.settimeout(max(0.1, until - time.monotonic()))
                    channel.sendall(chunk)
                channel.shutdown_write()
            while chunk := self._receive(channel, until, timeout_s):
                if received is not None:
                    received(chunk)
                elif len(output) + len(chunk) > MOST_BYTES:
                    raise UnavailableError(f"said more than {MOST_BYTES >> 20} MiB where a few lines were expected")
                else:
                    output += chunk
            errors = bytearray()
            with contextlib.suppress(TimeoutError):
                while (chunk := channel.recv_stderr(CHUNK_BYTES)) and len(errors) < CHUNK_BYTES:
                    errors += chunk
            channel.status_event.wait(max(0.1, until - time.monotonic()))
            code = channel.exit_status if channel.exit_status_ready() and channel.exit_status >= 0 else None
        return Ran(code, bytes(output), errors.decode("utf-8", "replace").strip())

    def lines(self, command: str, most_bytes: int = CHUNK_BYTES) -> Iterator[str]:
        """Yield the lines that a command says, for as long as it runs and the connection holds; long ones are cut."""
        with self._channel(command, None) as channel:
            rest = b""
            while chunk := self._receive(channel, None, 0):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line[:most_bytes].decode("utf-8", "replace")
                rest = rest[:most_bytes]

    @contextlib.contextmanager
    def _channel(self, command: str, timeout_s: float | None) -> Iterator[Any]:
        try:
            # Not fabric's way, which would connect anew, without our deadlines.
            channel = self._fabric.transport.open_session()
            try:
                channel.settimeout(timeout_s)
                channel.exec_command(command)
                yield channel
            finally:
                channel.close()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise UnavailableError(f"the connection was lost: {error or type(error).__name__}") from None

    @staticmethod
    def _receive(channel: Any, until: float | None, timeout_s: float) -> bytes:
        try:
            channel.settimeout(None if until is None else max(0.1, until - time.monotonic()))
            return bytes(channel.recv(CHUNK_BYTES))
        except TimeoutError:
            raise UnavailableError(f"did not end within {timeout_s:.0f} s") from None


def known_hosts_files(given: Path | None, folder: Path, config: Any) -> tuple[Path, ...]:
    """Return the files of host keys that count: the one given, else the run's own, else the operator's.

    Raises ConfigError if the given one is none.
    """
    if given is not None:
        if not given.is_file():
            raise ConfigError(f"--known-hosts {given}: no such file")
        return (given,)
    if (folder / "known_hosts").is_file():
        return (folder / "known_hosts",)
    named = config.base_ssh_config.lookup("*").get("userknownhostsfile", "~/.ssh/known_hosts").split()
    return (*(Path(each).expanduser() for each in named), Path("/etc/ssh/ssh_known_hosts"))


# -- tasks ------------------------------------------------------------------------------------------------------------

#: Where the executor leaves what -H said, in the configuration that a task gets.
_HOSTS_GIVEN = "whoismesh_hosts"


class FleetExecutor(fabric.Executor):  # type: ignore[misc]
    """Runs a task once, however many hosts `-H` names. `fab -H one,two -- COMMAND` goes on as fabric has it."""

    def expand_calls(self, calls: Any, apply_hosts: bool = True) -> Any:
        """Return the calls to be made."""
        self.config[_HOSTS_GIVEN] = self.core[0].args.hosts.value or ""
        return super().expand_calls(calls, apply_hosts=apply_hosts and bool(self.core.remainder))


def hosts_given(context: Any) -> list[str]:
    """Return the hosts that `-H` named, as they were written. Raises ConfigError where the executor is not ours."""
    try:
        text = str(context.config[_HOSTS_GIVEN])
    except KeyError:
        raise ConfigError(
            "fabric.json beside fabfile.py names no executor of ours: expected "
            '{"tasks": {"executor_class": "whoismesh.fleet.ssh.FleetExecutor"}}'
        ) from None
    return text.split(",") if text else []


def fleet_task(help: Mapping[str, str]) -> Callable[[Callable[..., int]], Any]:  # noqa: A002 - as fabric names it
    """Make a task of a function that returns an exit code. What it raises on purpose becomes a line and a code."""

    def decorate(body: Callable[..., int]) -> Any:
        @functools.wraps(body)
        def run(*args: Any, **more: Any) -> None:
            try:
                code = body(*args, **more)
            except ConfigError as error:
                told = "\n".join(f"fab {body.__name__}: {problem}" for problem in error.problems)
                raise Exit(told, error.exit_code) from None
            except WhoismeshError as error:
                raise Exit(f"fab {body.__name__}: {error}", error.exit_code) from None
            except BrokenPipeError:
                sys.stderr.close()  # whoever reads has had enough
                raise Exit(code=0) from None
            except KeyboardInterrupt:
                raise Exit(code=130) from None
            if code:
                raise Exit(code=code)

        # invoke reads the options off the signature, and knows no annotations that are texts.
        run.__signature__ = inspect.signature(body)  # type: ignore[attr-defined]
        return fabric.task(help=dict(help), auto_shortflags=False)(run)

    return decorate
