"""What a lab made: written down before it is made, so that a killed run leaves nothing unknown."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.errors import LabFailed
from lab.paths import LabPaths
from lab.programs import Background

_VERSION = 1


class Ledger:
    """The file `lab.json`. Each change is read, made and written at once, by a rename.

    `things` maps a kind (`namespace`, `link`, …) to names. Whoever makes a thing notes it before,
    and forgets it after it was removed; what stands in here belongs to this lab.
    """

    def __init__(self, paths: LabPaths) -> None:
        self._path = paths.ledger

    @property
    def exists(self) -> bool:
        """Whether this lab was ever begun and not yet removed."""
        return self._path.exists()

    def read(self) -> dict[str, Any]:
        """The whole document; LabFailed when it is not ours."""
        if not self._path.exists():
            return {"version": _VERSION}
        try:
            document = json.loads(self._path.read_text())
        except ValueError as error:
            raise LabFailed(f"{self._path} cannot be read: {error}") from error
        if not isinstance(document, dict) or document.get("version") != _VERSION:
            raise LabFailed(
                f"{self._path} was written by another version of the lab: "
                "take that lab down with the version that made it."
            )
        return document

    def put(self, key: str, value: Any) -> None:
        """Set one part of the document; None takes it out."""
        document = self.read()
        document[key] = value
        if value is None:
            del document[key]
        self._write(document)

    def note(self, kind: str, name: str) -> None:
        """This lab is about to make the thing."""
        if self.has(kind, name):
            return
        document = self.read()
        document.setdefault("things", {}).setdefault(kind, []).append(name)
        self._write(document)

    def forget(self, kind: str, name: str) -> None:
        """The thing is gone."""
        document = self.read()
        names = document.get("things", {}).get(kind, [])
        if name in names:
            names.remove(name)
            self._write(document)

    def has(self, kind: str, name: str) -> bool:
        """Whether the thing is this lab's."""
        return name in self.names(kind)

    def names(self, kind: str) -> list[str]:
        """All things of a kind, in the order of their making."""
        return list(self.read().get("things", {}).get(kind, []))

    def put_process(self, name: str, process: Background | None) -> None:
        """A background process was started, or is gone."""
        document = self.read()
        processes = document.setdefault("processes", {})
        processes.pop(name, None)
        if process is not None:
            processes[name] = process.as_json()
        self._write(document)

    def process(self, name: str) -> Background | None:
        """The process of that name while it is alive."""
        entry = self.read().get("processes", {}).get(name)
        process = Background(**entry) if entry else None
        return process if process and process.is_alive else None

    def process_names(self) -> list[str]:
        """All processes that were started, alive or not."""
        return list(self.read().get("processes", {}))

    def _write(self, document: dict[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            file.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


@contextmanager
def locked(paths: LabPaths, *, is_last: bool = False) -> Iterator[None]:
    """Only one command changes a lab at a time; LabFailed when another one does.

    The kernel frees the lock however its holder ends. `is_last` removes its file at the end.
    """
    paths.lock.parent.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(paths) from None
        # Somebody may have removed the file between opening and locking it.
        if not paths.lock.exists() or os.fstat(file.fileno()).st_ino != paths.lock.stat().st_ino:
            raise _busy(paths)
        try:
            yield
        finally:
            if is_last and not paths.root.exists():
                paths.lock.unlink(missing_ok=True)


def _busy(paths: LabPaths) -> LabFailed:
    return LabFailed(f"Another command is changing the lab {paths.name} now; wait for its end.")
