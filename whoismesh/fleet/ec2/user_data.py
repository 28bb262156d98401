"""What an instance does at its first start: set the cost guard, and tell its host keys to the console. Pure.

Everybody who may describe the instance can read this, and so can every process on it: there is no secret in it, and
nothing that a deploy brings.
"""

from __future__ import annotations

from whoismesh.fleet.ec2.host_keys import BEGIN, END

GUARD = "whoismesh-guard"


def guard_script(hours: float, *, lasting: bool = True) -> str:
    """Return the shell script. The instance shuts itself down after `hours`, and so ends (terminate on shutdown).

    The timer names a moment, so that it outlasts a restart; one that is not `lasting` goes with the running system, and
    so not into an image that is made of it.
    """
    minutes = max(1, round(hours * 60))
    return _SCRIPT.format(
        guard=_LASTING.format(minutes=minutes, guard=GUARD) if lasting else f"shutdown -P +{minutes}",
        begin=BEGIN,
        end=END,
    )


_SCRIPT = """\
#!/bin/sh
# Written by whoismesh. After the time below this host shuts down, which terminates the instance.
{guard}
{{ echo '{begin}'; cat /etc/ssh/ssh_host_*_key.pub; echo '{end}'; }} > /dev/console || true
"""

_LASTING = """\
when=$(date -u -d '+{minutes} minutes' '+%Y-%m-%d %H:%M:%S UTC') || shutdown -P +{minutes}
cat > /etc/systemd/system/{guard}.service <<'UNIT'
[Unit]
Description=whoismesh: the time of this host is over

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl poweroff
UNIT
cat > /etc/systemd/system/{guard}.timer <<UNIT
[Unit]
Description=whoismesh: end this host in time

[Timer]
OnCalendar=$when
Persistent=true
AccuracySec=1min

[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl enable --now {guard}.timer || shutdown -P +{minutes}"""
