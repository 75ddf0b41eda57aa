"""matchbox's data directory: files replaced atomically, and a manifest of what we put there.

matchbox re-reads every file at every request and skips what it cannot parse, so a half-written
group silently gives its machine the discovery config: each file is written beside the directory
that matchbox reads and renamed into place. The directory is a cache; what was damaged is found by
comparing size, time and inode with the manifest, and written again.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDERS = ("ignition", "profiles", "groups")
Signature = tuple[int, int, int]


class MatchboxStore:
    """The published files of one cluster. A path is `groups/NAME.json` and the like."""

    def __init__(self, root: Path, cluster: str) -> None:
        self.root = root
        self.writes = 0
        self.deletions = 0
        self._own = root / ".enjoliver"
        self._manifest_path = self._own / f"{cluster}.json"
        for folder in (*FOLDERS, "assets", ".enjoliver/tmp"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self._on_disk = dict(self._scan())
        self._manifest = self._load()
        self._is_dirty = False

    def _scan(self) -> Iterator[tuple[str, Signature]]:
        for folder in FOLDERS:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    stat = entry.stat(follow_symlinks=False)
                    yield f"{folder}/{entry.name}", (stat.st_size, stat.st_mtime_ns, stat.st_ino)

    def _load(self) -> dict[str, tuple[str, Signature]]:
        try:
            raw = json.loads(self._manifest_path.read_text())
            return {
                path: (key, (size, time, inode)) for path, (key, size, time, inode) in raw.items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, AttributeError) as error:
            logger.warning(
                "the manifest of %s is damaged, all files are compared: %s", self.root, error
            )
            return {}

    def is_current(self, path: str, key: str) -> bool:
        """True when `path` is on the disk as it was last written, from the same `key`."""
        known = self._manifest.get(path)
        return known is not None and known[0] == key and self._on_disk.get(path) == known[1]

    def put(self, path: str, key: str, content: bytes) -> bool:
        """Make `path` hold `content`; True when a file was written. Raises OSError (disk full)."""
        target = self.root / path
        # Nothing is known of the file (a lost manifest, a killed run): its content decides.
        if path in self._on_disk and self._holds(target, content):
            self._remember(path, key)
            return False
        draft = self._own / "tmp" / f"{path.replace('/', '_')}.{os.getpid()}"
        try:
            draft.write_bytes(content)
            draft.chmod(0o644)
            draft.replace(target)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self.writes += 1
        self._remember(path, key)
        return True

    @staticmethod
    def _holds(target: Path, content: bytes) -> bool:
        try:
            return target.read_bytes() == content
        except OSError:
            return False

    def _remember(self, path: str, key: str) -> None:
        stat = (self.root / path).stat()
        self._on_disk[path] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        self._manifest[path] = (key, self._on_disk[path])
        self._is_dirty = True

    def delete_others(self, folder: str, wanted: set[str]) -> None:
        """Delete the files of `folder` that we once wrote and that are not in `wanted`.

        Files that somebody else put there are left alone.
        """
        for path in [known for known in self._manifest if known.startswith(f"{folder}/")]:
            if path not in wanted:
                (self.root / path).unlink(missing_ok=True)
                del self._manifest[path]
                self._on_disk.pop(path, None)
                self._is_dirty = True
                self.deletions += 1

    def foreign(self, folder: str) -> list[str]:
        """Files of `folder` that we did not write."""
        return sorted(
            path
            for path in self._on_disk
            if path.startswith(f"{folder}/") and path not in self._manifest
        )

    def save(self) -> None:
        """Keep the manifest for the next run (only when something changed)."""
        if not self._is_dirty:
            return
        raw = {path: (key, *signature) for path, (key, signature) in self._manifest.items()}
        draft = self._own / "tmp" / f"manifest.{os.getpid()}"
        draft.write_text(json.dumps(raw, separators=(",", ":")))
        draft.replace(self._manifest_path)
        self._is_dirty = False
