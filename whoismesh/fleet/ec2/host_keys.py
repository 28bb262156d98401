"""The hosts' ssh keys as their consoles told them to EC2: none is trusted blindly at a first connection. Pure.

cloud-init (cc_keys_to_console, and our user data once more) writes the public keys between two lines on the serial
console, which only root can write to and only AWS's API reads. `known_hosts` is a file of sshd(8)'s format; the comment
at the end of a line is the instance's id, so that no key stays behind at an address that passes on to another instance.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping

from whoismesh.fleet.hosts import FleetHost

BEGIN, END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"
#: Key type (RFC 4253, 5656, 8709) and length of the decoded key: an RSA key of 16,384 bits has 2,100 bytes.
_KEY = re.compile(r"\b(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]{60,4096}={0,2})(?=\s|$)")


def keys_of(console: str) -> tuple[str, ...]:
    """Return the keys ("type base64") of the last whole block of a console's output; none where there is none.

    A host that was started twice wrote two blocks. Kernel messages may come between lines, and before them.
    """
    _, begun, rest = console.rpartition(END)[0].rpartition(BEGIN)
    if not begun:
        return ()
    return tuple(dict.fromkeys(f"{kind} {text}" for kind, text in _KEY.findall(rest) if _is_key(kind, text)))


def _is_key(kind: str, text: str) -> bool:
    """Tell whether a key is what its first word says (RFC 4253, section 6.6: it begins with its type)."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return raw.startswith(len(kind).to_bytes(4, "big") + kind.encode())


def known_hosts(hosts: Iterable[FleetHost], keys: Mapping[str, Iterable[str]]) -> str:
    """Return the content of known_hosts: a line for each key of each host, by all its addresses."""
    return "".join(
        f"{','.join(dict.fromkeys(each for each in (host.address, host.mesh_address) if each))} {key} {host.instance}\n"
        for host in hosts
        for key in keys.get(host.instance, ())
    )


def pinned(content: str) -> dict[str, tuple[str, ...]]:
    """Return the keys of a known_hosts file by instance. Lines of anything else are passed over."""
    found: dict[str, tuple[str, ...]] = {}
    for line in content.splitlines():
        match line.split():
            case [_, kind, text, instance] if _KEY.fullmatch(f"{kind} {text}") and _is_key(kind, text):
                found[instance] = (*found.get(instance, ()), f"{kind} {text}")
    return found
