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


class DisksInUse(Exception):
    """Another run has these disks; the text says what to do."""


class Disks:
    """All disks of one fleet; without a path they vanish with the process.

    Raises DisksInUse: one machine cannot run twice at once.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        # "" is a private file that SQLite deletes at the end, unlike ":memory:".
        self._db = sqlite3.connect(str(path or ""), isolation_level=None, timeout=1)
        try:
            self._open()
        except sqlite3.OperationalError as error:
            self._db.close()
            raise DisksInUse(
                f"{path}: {error}; these machines run already, choose another seed or file"
            ) from error

    def _open(self) -> None:
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")  # held until the file is closed
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS disk"
            " (mac TEXT PRIMARY KEY, running BLOB NOT NULL, staged BLOB, lock TEXT NOT NULL)"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS download (mac TEXT PRIMARY KEY, document BLOB NOT NULL)"
        )
        self._db.execute("DELETE FROM download")  # memory of machines that were switched off

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

    def keep_download(self, mac: str, document: bytes) -> None:
        """Keep a config that is to be installed later: a fleet at the gate has many of them."""
        self._db.execute(
            "INSERT OR REPLACE INTO download (mac, document) VALUES (?, ?)",
            [mac, zlib.compress(document, 1)],
        )

    def take_download(self, mac: str) -> bytes:
        """The kept config, which is gone afterwards; KeyError without one."""
        query = "DELETE FROM download WHERE mac = ? RETURNING document"
        rows = self._db.execute(query, [mac]).fetchall()
        if not rows:
            raise KeyError(mac)
        return zlib.decompress(rows[0][0])

    def wipe(self, mac: str) -> None:
        """Empty the disk."""
        self._db.execute("DELETE FROM disk WHERE mac = ?", [mac])

    def close(self) -> None:
        """Give the file back."""
        self._db.close()
