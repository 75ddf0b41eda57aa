"""Unpacked images, each once on this computer: the read-only lower half of every machine's root."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from lab.drivers.base import DriverFailed
from lab.errors import LabFailed
from lab.image.root import one_at_a_time, unpack

_DIGITS = 40


def base_of(cache: Path, sha512: str) -> Path:
    """Where the image with this digest lies unpacked."""
    return cache / "bases" / sha512[:_DIGITS]


def keep_base(cache: Path, archive: Path, sha512: str) -> Path:
    """Unpack an image unless it is unpacked already; raises DriverFailed for one that is torn."""
    base = base_of(cache, sha512)
    with one_at_a_time(cache / "bases.lock"):
        if not base.exists():
            _check(archive, sha512)
            base.parent.mkdir(parents=True, exist_ok=True)
            for left in base.parent.glob(".new-*"):
                shutil.rmtree(left)
            draft = Path(tempfile.mkdtemp(prefix=".new-", dir=base.parent))
            try:
                unpack(archive, draft / "root")
                (draft / "root").rename(base)
            except LabFailed as error:
                raise DriverFailed(f"{archive.name} cannot be unpacked: {error}") from error
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return base


def adopt_base(cache: Path, folder: Path, sha512: str) -> None:
    """Let a folder that is unpacked already be the base of the image with this digest."""
    base = base_of(cache, sha512)
    base.parent.mkdir(parents=True, exist_ok=True)
    if not base.exists():
        new = base.with_name(f".link-{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(folder)
        new.replace(base)


def _check(archive: Path, sha512: str) -> None:
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    if found != sha512:
        raise DriverFailed(f"{archive.name} has the SHA-512 {found[:16]}…, not {sha512[:16]}…")
