"""Files that survive a loss of power: written whole or not at all, read with tolerance."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

MAX_BYTES = 16 << 20
"""No file that the agent reads is larger; a larger one counts as missing."""
_PIECE = 1 << 16
"""Asked for more than 4 MiB at once, files below /proc/sys fail in Linux 6.1 (ENOMEM)."""


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put `data` at `path`: readers see the old or the new file, also after a loss of power.

    Raises OSError; then the old file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if there is one, so that it stays removed."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes | None:
    """The content of a file; None when it is missing, unreadable or larger than `limit`."""
    data = bytearray()
    try:
        with path.open("rb", buffering=0) as file:
            while len(data) <= limit and (piece := file.read(_PIECE)):
                data += piece
    except OSError:
        return None
    return bytes(data) if len(data) <= limit else None


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """The text of a file, without white space around it; "" when there is none to read."""
    data = read_bytes(path, limit)
    return (data or b"").decode("utf-8", "replace").strip("\0 \t\r\n")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one when it is missing, torn or something else."""
    try:
        document = json.loads(read_bytes(path) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
