"""The running config: the document that Ignition really applied, as a copy made at boot.

The file that Ignition reads is overwritten when an update is staged, before the machine restarts,
so the file alone proves nothing. Ignition's own result says in which boot, and when, it ran.
https://coreos.github.io/ignition/operator-notes/ (`/etc/.ignition-result.json`)
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.files import read_bytes, read_object
from agent.ignition import digest
from agent.platforms.base import Platform
from agent.run import Run

RESULT_FILE = "etc/.ignition-result.json"
_COPY = "running.ign"
_GRAIN = 1.0
"""Ignition writes its date in whole seconds."""
STAGED_STEPS = ("staging", "restarting")


@dataclass(frozen=True, slots=True)
class Provisioned:
    """In which boot, and when, Ignition applied a config; empty and 0 when it does not say."""

    boot_id: str
    at: float


def parse_result(document: dict[str, Any]) -> Provisioned:
    """Read Ignition's result."""
    boot_id, date = document.get("provisioningBootID"), document.get("provisioningDate")
    try:
        at = datetime.fromisoformat(str(date)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        at = 0.0
    return Provisioned(boot_id if isinstance(boot_id, str) else "", at)


def is_proven(
    provisioned: Provisioned, *, boot_id: str, staged_in: str, modified_at: float
) -> bool:
    """Did Ignition provision from the file as it stands now?

    In the boot in which Ignition ran: as long as this boot staged nothing. Later on: when the file
    was not changed since.
    """
    if not provisioned.boot_id or staged_in == boot_id:
        return False
    return provisioned.boot_id == boot_id or modified_at < provisioned.at + _GRAIN


def running_config(run: Run, platform: Platform, boot_id: str) -> bytes | None:
    """The running config as served; None when nothing proves which one it is."""
    provisioned = parse_result(read_object(run.config.root / RESULT_FILE))
    known = run.store.read("running")
    copy = run.store.read_bytes(_COPY)
    if copy is not None and digest(copy) != known.get("sha512"):
        copy = None  # torn by a loss of power between the two files
    if copy is not None and known.get("provisioned") == provisioned.boot_id:
        return copy
    if not _is_applied(run, platform, provisioned, boot_id):
        return None
    return _keep(run, platform.applied_config, provisioned)


def _is_applied(run: Run, platform: Platform, provisioned: Provisioned, boot_id: str) -> bool:
    update = run.store.read("update")
    staged_in = str(update.get("boot_id")) if update.get("step") in STAGED_STEPS else ""
    try:
        modified_at = platform.applied_config.stat().st_mtime
    except OSError:
        return False
    return is_proven(provisioned, boot_id=boot_id, staged_in=staged_in, modified_at=modified_at)


def _keep(run: Run, path: Path, provisioned: Provisioned) -> bytes | None:
    document = read_bytes(path)
    if not document:
        return None
    known = {"sha512": digest(document), "provisioned": provisioned.boot_id}
    with suppress(OSError):  # a disk that takes nothing keeps nobody from the truth
        run.store.write_bytes(_COPY, document)
        run.store.write("running", known)
    return document
