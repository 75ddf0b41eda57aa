"""What is on a container machine's disk, as its installer wrote it: see `install` in the image."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

MARK = b"ENJOLIVER-LAB-DISK "
_RECORD = re.compile(rb"ENJOLIVER-LAB-BOOT ([0-9a-f]{128}) ([0-9]{1,15})\n\0*")
BLOCK = 4096
IMAGE_AT = 1 << 20


@dataclass(frozen=True, slots=True)
class BootRecord:
    """A whole install: the image on the disk by its digest, and its size in bytes."""

    sha512: str
    size: int


def parse_record(head: bytes) -> BootRecord | None:
    """The record in a disk's first two blocks; None for anything but a whole install."""
    found = _RECORD.fullmatch(head[BLOCK : 2 * BLOCK])
    if not head.startswith(MARK) or found is None:
        return None
    return BootRecord(found[1].decode(), int(found[2]))


def read_record(disk: Path) -> BootRecord | None:
    """The record of a disk; None where it does not boot."""
    try:
        with disk.open("rb") as file:
            return parse_record(file.read(2 * BLOCK))
    except OSError:
        return None


def copy_image(disk: Path, record: BootRecord, target: Path) -> None:
    """Read the image off the disk; raises OSError."""
    with disk.open("rb") as source, target.open("wb") as file:
        source.seek(IMAGE_AT)
        left = record.size
        while left > 0 and (piece := source.read(min(left, 1 << 20))):
            file.write(piece)
            left -= len(piece)


def find_boot_disk(hardware: Path) -> tuple[str, BootRecord] | None:
    """The first disk, by name, that carries a whole install."""
    for disk in sorted((hardware / "dev").iterdir()):
        record = read_record(disk)
        if record is not None:
            return disk.name, record
    return None


def wipe(folder: Path) -> None:
    """Remove what was on a disk as file systems."""
    shutil.rmtree(folder, ignore_errors=True)
