"""A fresh root for Ignition, with data kept, as `flatcar-reset` makes it; killed, it goes on.

The root's upper layer is made anew beside the old one; what is kept moves over by renames. Then
the two change places. Until the flag is removed each start does it again, from wherever it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

KEPT = ("/etc/ssh/ssh_host_*", "/var/log/journal", "/var/lib/enjoliver")
"""Kept whatever the stage command asks for besides."""


def read_keep_paths(text: str) -> tuple[str, ...]:
    """Absolute shell patterns, one a line; others are left out."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line.startswith("/") and ".." not in line.split("/"))


def make_fresh(disk: Path, keep: Sequence[str]) -> None:
    """Leave `disk/upper` fresh, with what the patterns in `keep` name out of the old one."""
    old, new, gone = disk / "upper", disk / "upper.new", disk / "upper.gone"
    shutil.rmtree(gone, ignore_errors=True)
    new.mkdir(parents=True, exist_ok=True)
    new.chmod(0o755)
    if old.is_dir():
        for path in sorted(_found(old, keep)):
            _move(old, new, path)
        old.rename(gone)
    new.rename(old)
    shutil.rmtree(gone, ignore_errors=True)
    _sync(disk)


def _found(upper: Path, keep: Sequence[str]) -> Iterator[PurePosixPath]:
    """Paths below the layer that a pattern names; nothing is looked for behind a symbolic link."""
    for pattern in keep:
        places = [PurePosixPath()]
        for part in PurePosixPath(pattern).parts[1:]:
            places = [
                place / name
                for place in places
                for name in _names(upper / place)
                if fnmatch(name, part)
            ]
        yield from (place for place in places if place != PurePosixPath())


def _names(folder: Path) -> list[str]:
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [entry.name for entry in os.scandir(folder)]


def _move(old: Path, new: Path, path: PurePosixPath) -> None:
    """By a rename; folders on the way have the old ones' owner and mode."""
    if not os.path.lexists(old / path):
        return  # moved with a folder above it
    for above in reversed(path.parents[:-1]):
        target, source = new / above, old / above
        if not target.is_dir():
            target.mkdir()
            known = source.stat()
            os.chown(target, known.st_uid, known.st_gid)
            target.chmod(known.st_mode & 0o7777)
    if not os.path.lexists(new / path):
        (old / path).rename(new / path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
