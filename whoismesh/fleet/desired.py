"""What a host of a fleet has to have: its files with content, mode and owner, and what follows from what differs.

Nothing is done here: it reads the files that it describes, and no others.

/opt/whoismesh/      wheels/, venvs/ (the last two versions), current (a link to the one in use): root's
/etc/whoismesh/      coord/ and worker/, each with crawl.toml and keys/: root's, the daemons' group may read them;
                     the secrets among them (own.key_secret, crawl.toml) the daemons' user's, mode 600
/etc/systemd/system  the units
/var/lib/whoismesh/  coord/ and worker/, ledger and spool: the daemons' user's; no deploy touches them
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whoismesh import keys
from whoismesh.fleet import units
from whoismesh.fleet.on_host import COORDINATOR_UNIT, SETTINGS, SYSUSERS, UNIT_FOLDER, WHEELS, WORKER_UNIT
from whoismesh.fleet.wheels import Wheelhouse

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file on a host. `owner` is "root", "user" (the daemons') or "group" (root's, which their group may read)."""

    path: str
    content: bytes | Path = field(repr=False)
    mode: int
    owner: str
    #: The unit that takes note of another content only when it starts.
    restarts: str = ""

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """Yield its content."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        with open(self.content, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def described(self) -> dict[str, Any]:
        """Return what the host compares."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return {"path": self.path, "mode": self.mode, "owner": self.owner, "sha256": digest.hexdigest()}


@dataclass(frozen=True, slots=True)
class WantedFolder:
    """A folder on a host; nothing else than what is wanted may lie in an `exact` one."""

    path: str
    mode: int
    owner: str
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Desired:
    """All that a host has to have, in the order in which it is put there."""

    folders: tuple[WantedFolder, ...]
    files: tuple[WantedFile, ...]
    digest: str
    units: tuple[str, ...]

    def question(self) -> dict[str, Any]:
        """Return the request that has a host compare."""
        return {
            "do": "inspect",
            "folders": [{"path": each.path, "mode": each.mode, "owner": each.owner} for each in self.folders],
            "exact": [each.path for each in self.folders if each.exact],
            "files": [each.described() for each in self.files],
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done to a host, and in what words that is told."""

    request: Mapping[str, Any]
    files: tuple[WantedFile, ...]
    told: str


def change(desired: Desired, question: Mapping[str, Any], found: Mapping[str, Any]) -> Change | None:
    """Return what follows from a host's answer to the question; None where all is as it should be."""
    differ = set(found["differ"])
    files = tuple(each for each in desired.files if each.path in differ)
    folders = [each for each in question["folders"] if each["path"] in differ]
    new_version = found["installed"]["digest"] != desired.digest
    remove = list(found["extra"]) + [
        f"{UNIT_FOLDER}/{unit}" for unit in sorted(found["units"]) if unit not in desired.units
    ]
    restarts = {each.restarts for each in files if each.restarts} | set(found["pending"]) & set(desired.units)
    if new_version:
        restarts |= set(desired.units)
    if not (files or folders or remove or new_version or restarts):
        return None
    described = {each["path"]: each for each in question["files"]}
    request = {
        "do": "apply",
        "folders": folders,
        "files": [{**described[each.path], "size": each.size} for each in files],
        "remove": remove,
        "restarts": sorted(restarts),
        "digest": desired.digest,
        "wheels": [Path(each.path).name for each in desired.files if each.path.startswith(f"{WHEELS}/")],
    }
    settings = [each for each in files if not each.path.startswith(f"{WHEELS}/")]
    told = [
        f"version {desired.digest}" if new_version else "",
        _counted(len(settings), "file") if settings else "",
        f"{len(remove)} removed" if remove else "",
        _counted(len(folders), "folder") if folders and not (settings or new_version) else "",
    ]
    return Change(request, files, ", ".join(filter(None, told)) or "restarted")


def desired_state(
    wheelhouse: Wheelhouse,
    config: bytes,
    *,
    address: str,
    coordinator: str,
    instance: bool = False,
    coordinator_keys: Path | None,
    worker_keys: Path | None,
    prior: Sequence[Path] = (),
    bulk: Sequence[Path] = (),
) -> Desired:
    """Return what a host has to have. It coordinates, works or both, as it gets keys for it.

    `address` is where the mesh reaches it, `coordinator` where it reaches the coordinator; `instance` tells that it is
    one of EC2.
    """
    folders = [WantedFolder(str(WHEELS), 0o755, "root"), WantedFolder(str(SETTINGS), 0o755, "root")]
    files = [WantedFile(str(SYSUSERS), units.sysusers().encode(), 0o644, "root")]
    files += [WantedFile(f"{WHEELS}/{path.name}", path, 0o644, "root") for path in wheelhouse.files]
    named = []
    if coordinator_keys is not None:
        folder, unit = f"{SETTINGS}/coord", COORDINATOR_UNIT
        text = units.coordinator_unit(
            address,
            [f"{folder}/files/{path.name}" for path in prior],
            [f"{folder}/files/{path.name}" for path in bulk],
        )
        folders += [WantedFolder(f"{folder}{each}", 0o750, "group") for each in ("", "/keys", "/files")]
        files += _secrets(folder, coordinator_keys, config, unit)
        files += [WantedFile(f"{folder}/files/{path.name}", path, 0o640, "group", unit) for path in (*prior, *bulk)]
        for name in (keys.ALLOWED, keys.REVOKED):
            folders.append(WantedFolder(f"{folder}/keys/{name}", 0o750, "group"))
            # The coordinator takes note of them while it runs.
            files += [
                WantedFile(f"{folder}/keys/{name}/{path.name}", path.read_bytes(), 0o640, "group")
                for path in sorted((coordinator_keys / name).glob("*.key"))
            ]
        files.append(WantedFile(f"{UNIT_FOLDER}/{unit}", text.encode(), 0o644, "root", unit))
        named.append(unit)
    if worker_keys is not None:
        folder, unit = f"{SETTINGS}/worker", WORKER_UNIT
        folders += [WantedFolder(f"{folder}{each}", 0o750, "group") for each in ("", "/keys")]
        files += _secrets(folder, worker_keys, config, unit)
        text = units.worker_unit(coordinator, address, instance_metadata=instance)
        files.append(WantedFile(f"{UNIT_FOLDER}/{unit}", text.encode(), 0o644, "root", unit))
        named.append(unit)
    return Desired(tuple(folders), tuple(files), wheelhouse.digest, tuple(named))


def _secrets(folder: str, own_keys: Path, config: bytes, unit: str) -> list[WantedFile]:
    return [
        # Settings may hold a proxy's password and a registry's key.
        WantedFile(f"{folder}/crawl.toml", config, 0o600, "user", unit),
        WantedFile(f"{folder}/keys/{keys.OWN}", (own_keys / keys.OWN).read_bytes(), 0o600, "user", unit),
        WantedFile(
            f"{folder}/keys/{keys.COORDINATOR}", (own_keys / keys.COORDINATOR).read_bytes(), 0o640, "group", unit
        ),
    ]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
