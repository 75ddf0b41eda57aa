"""The agent's memory: one directory, one file per subject, and a lock between its processes."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agent.files import read_bytes, read_object, remove_durably, write_atomically

_STALE_SECONDS = 3600.0
"""No write takes so long."""


class StateStore:
    """Files of the state directory. Every write is atomic; a torn or missing file reads empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any]:
        """The object kept under `name`; empty when there is none."""
        return read_object(self.folder / f"{name}.json")

    def write(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep an object; it is on the disk when this returns."""
        text = json.dumps(dict(document), sort_keys=True, indent=1) + "\n"
        self.write_bytes(f"{name}.json", text.encode())

    def forget(self, name: str) -> None:
        """Remove the object of this name."""
        self.forget_bytes(f"{name}.json")

    def read_bytes(self, name: str) -> bytes | None:
        """A kept document as it is; None when there is none."""
        return read_bytes(self.folder / name)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Keep a document as it is."""
        write_atomically(self.folder / name, data)

    def forget_bytes(self, name: str) -> None:
        """Remove a kept document."""
        remove_durably(self.folder / name)

    def tidy(self, now: float) -> None:
        """Remove what killed writers left behind: each leaves a file, and may be killed often."""
        for path in self.folder.glob(".*.tmp"):
            with suppress(OSError):  # gone already, or a disk that takes nothing
                if path.stat().st_mtime < now - _STALE_SECONDS:
                    path.unlink()

    @contextmanager
    def locked(self, name: str = "lock", *, is_patient: bool = True) -> Iterator[None]:
        """For the time of the block no other process of the agent changes what is kept.

        Raises OSError; when not `is_patient` also BlockingIOError, while another process is inside.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
            yield
        finally:
            os.close(handle)  # the kernel drops the lock, also when the process is killed
