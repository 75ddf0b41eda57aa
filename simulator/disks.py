"""The machines' disks: one SQLite file for the whole fleet, so that nothing large stays in memory.

A disk holds the running config (the bytes that were applied), the staged one (applied by the
next boot) and where a held slot must be given back: what a real machine keeps over a reboot.
"""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Installed:
    """What is on one disk; `lock` is JSON of the lock that is held, or ""."""

    running: bytes
    staged: bytes | None = None
    lock: str = ""


class Disks:
    """All disks of one fleet; without a path they vanish with the process."""

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        # "" is a private file that SQLite deletes at the end, unlike ":memory:".
        self._db = sqlite3.connect(str(path or ""), isolation_level=None)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS disk"
            " (mac TEXT PRIMARY KEY, running BLOB NOT NULL, staged BLOB, lock TEXT NOT NULL)"
        )

    def read(self, mac: str) -> Installed | None:
        """The disk of one machine; None when nothing is installed on it."""
        row = self._db.execute(
            "SELECT running, staged, lock FROM disk WHERE mac = ?", [mac]
        ).fetchone()
        if row is None:
            return None
        staged = zlib.decompress(row[1]) if row[1] is not None else None
        return Installed(zlib.decompress(row[0]), staged, row[2])

    def write(self, mac: str, content: Installed) -> None:
        """Replace what is on the disk."""
        staged = zlib.compress(content.staged, 1) if content.staged is not None else None
        self._db.execute(
            "INSERT OR REPLACE INTO disk (mac, running, staged, lock) VALUES (?, ?, ?, ?)",
            [mac, zlib.compress(content.running, 1), staged, content.lock],
        )

    def wipe(self, mac: str) -> None:
        """Empty the disk."""
        self._db.execute("DELETE FROM disk WHERE mac = ?", [mac])

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
