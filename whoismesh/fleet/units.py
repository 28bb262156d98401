"""The systemd units of the daemons, as text. Pure.

`systemd-analyze verify` has nothing to say about them, and `systemd-analyze security` gives the exposure that
docs/fleet.md names. No secret is in them: a daemon gets the folder that holds its key.
"""

from __future__ import annotations

from collections.abc import Sequence

from whoismesh.fleet.on_host import CURRENT, SETTINGS, STATE, USER

#: The coordinator's four ports and a worker's two, from these on.
COORDINATOR_PORT, WORKER_PORT = 7700, 7710
#: Where an instance of EC2 learns about itself.
INSTANCE_METADATA = "http://169.254.169.254"
#: A daemon that shows no progress for so long is killed and started again, seconds; where it hung is in the journal.
WATCHDOG_S = 60
#: Rest before a start after a failure, seconds; a fleet whose coordinator is away tries for ever.
RESTART_S = 5
#: A start that shows no life for so long has failed, seconds. A coordinator that reads a large ledger shows it.
START_S = 90
#: Leases are given back and results delivered within 20 s, and daemons end themselves after 60; what takes longer than
#: this is killed, seconds. Spot hosts have 120 s from the notice to the end.
STOP_S = 90
#: Time for the words of one that hung, seconds.
ABORT_S = 10
#: Open files: four a member for the coordinator, 1,000 members; far less for a worker.
COORDINATOR_FILES, WORKER_FILES = 16_384, 8_192

#: Exit codes that nothing is mended by starting again: 1 a crawl ended with failures, 2 usage, 78 bad configuration.
FOR_GOOD = "1 2 78"
#: 75 says "try again": the disk is full, or it was stopped before the crawl was done. The first has to be started
#: again, and the second is no failure of the unit.
TRY_AGAIN = "75"

#: @resources stays allowed: libzmq sets its threads' scheduling, and aborts where it may not. PrivateUsers= is left
#: out: it fails where there are no user namespaces, as in many containers, and adds little without capabilities.
_SANDBOX = """\
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
KeyringMode=private
DevicePolicy=closed
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
"""


def coordinator_unit(address: str, prior: Sequence[str] = (), bulk: Sequence[str] = ()) -> str:
    """Return the coordinator's unit. It listens on an address of the host; files are named as they lie there."""
    arguments = ["whoismesh-coord", *_common("coord"), "--listen", endpoint(address, COORDINATOR_PORT)]
    for option, files in (("--prior", prior), ("--bulk", bulk)):
        arguments += [option, *files] if files else []
    return _unit("whoismesh coordinator", "coord", [*arguments, "--exit-when-done"], COORDINATOR_FILES)


def worker_unit(coordinator: str, address: str, *, instance_metadata: bool = False) -> str:
    """Return a worker's unit, with the addresses of the coordinator's host and its own.

    With `instance_metadata` it asks EC2 whether the instance is about to be taken away.
    """
    arguments = ["whoismesh-worker", *_common("worker"), "--coord", endpoint(coordinator, COORDINATOR_PORT)]
    arguments += ["--listen", endpoint(address, WORKER_PORT)]
    arguments += ["--instance-metadata", INSTANCE_METADATA] if instance_metadata else []
    return _unit("whoismesh worker", "worker", arguments, WORKER_FILES)


def sysusers() -> str:
    """Return the file for systemd-sysusers that names the daemons' user."""
    return f'# The user of whoismesh\'s daemons.\nu {USER} - "whoismesh daemons" {STATE} -\n'


def endpoint(address: str, port: int) -> str:
    """Return tcp://ADDRESS:PORT, with brackets around an IPv6 address."""
    return f"tcp://[{address}]:{port}" if ":" in address else f"tcp://{address}:{port}"


def _common(role: str) -> list[str]:
    folder = SETTINGS / role
    return ["--config", f"{folder}/crawl.toml", "--keys", f"{folder}/keys", "--state", f"{STATE}/{role}"]


def _unit(description: str, role: str, arguments: Sequence[str], files: int) -> str:
    program, *options = arguments
    command = " \\\n  ".join([f"{CURRENT}/bin/{program}", *map(_quoted, options)])
    return f"""\
# Written by `fab deploy`, and written anew. What you want otherwise: systemctl edit whoismesh-{role}
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
User={USER}
Group={USER}
StateDirectory=whoismesh/{role}
StateDirectoryMode=0700
WorkingDirectory={STATE}/{role}
Environment=PYTHONFAULTHANDLER=1
WatchdogSec={WATCHDOG_S}
Restart=on-failure
RestartSec={RESTART_S}
RestartPreventExitStatus={FOR_GOOD}
SuccessExitStatus={TRY_AGAIN}
RestartForceExitStatus={TRY_AGAIN}
TimeoutStartSec={START_S}
TimeoutStopSec={STOP_S}
TimeoutAbortSec={ABORT_S}
LimitNOFILE={files}
LimitCORE=0
StandardOutput=journal
StandardError=journal
SyslogIdentifier=whoismesh-{role}
{_SANDBOX}
[Install]
WantedBy=multi-user.target
"""


def _quoted(text: str) -> str:
    """Return an argument as systemd reads it back (systemd.service(5), command lines)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != text or any(each.isspace() or each in "';" for each in text) else text
