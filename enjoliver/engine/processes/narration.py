"""Says in plain words what the supervisor notes in its log."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_EXITED = re.compile(r"exited: (?P<name>\S+) \((?P<how>.*?)(?:; (?:not )?expected)?\)")
_AGAIN = re.compile(r"spawned: '(?P<name>[^']+)' with pid (?P<pid>\d+)")
_KILLED = re.compile(r"killing '(?P<name>[^']+)' \(\d+\) with SIGKILL")
_NOT_FOUND = re.compile(r"spawnerr: (?P<why>.*)")
_TAIL_BYTES = 4096
_STOPPED = re.compile(r"stopped: (?P<name>\S+) ")


class Narrator:
    """Turns log lines into sentences. `called`: program name → its plain name."""

    def __init__(self, called: Mapping[str, str], logs_dir: Path) -> None:
        self._called = called
        self._logs_dir = logs_dir
        self._fell: set[str] = set()

    def sentences(self, line: str) -> Iterator[str]:
        """What one line of the supervisor's log means for the operator; often nothing."""
        if found := _EXITED.search(line):
            self._fell.add(found["name"])
            hint = _log_hint(found["how"], self._logs_dir / f"{found['name']}.log")
            yield f"{self._name(found)} ended by itself ({found['how']}){hint}"
        elif (found := _AGAIN.search(line)) and found["name"] in self._fell:
            self._fell.discard(found["name"])
            yield f"{self._name(found)} was started again (process {found['pid']})."
        elif found := _KILLED.search(line):
            yield f"{self._name(found)} did not stop in time and was killed."
        elif found := _NOT_FOUND.search(line):
            yield f"A program cannot be started: {found['why']}"
        elif found := _STOPPED.search(line):
            yield f"{self._name(found)} has stopped."

    def _name(self, found: re.Match[str]) -> str:
        called = self._called.get(found["name"], found["name"])
        return called[0].upper() + called[1:] if called.startswith("the ") else called


def _log_hint(how: str, log: Path) -> str:
    """Where to read more, with the last line of who ended by itself (one that was killed had no
    last words)."""
    if not how.startswith("exit status"):
        return f"; its log is {log}"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {said} (more in {log})" if said else f"; its log is {log}"


class LogFollower:
    """Reads what was added to a log since the last look; a rotated file is read to its end first.

    A file and not a pipe: the supervisor must be able to write on when its reader is gone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open(encoding="utf-8", errors="replace")
        self._file.seek(0, 2)
        self._rest = ""

    def read(self, tell: Callable[[str], None]) -> None:
        """Hand every complete new line to `tell`."""
        self._read_open_file(tell)
        if self._was_rotated():
            self._file.close()
            self._file = self._path.open(encoding="utf-8", errors="replace")
            self._read_open_file(tell)

    def close(self) -> None:
        self._file.close()

    def _read_open_file(self, tell: Callable[[str], None]) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            tell(line)

    def _was_rotated(self) -> bool:
        try:
            return self._path.stat().st_ino != self._inode()
        except FileNotFoundError:
            return False  # between the two renames

    def _inode(self) -> int:
        return os.fstat(self._file.fileno()).st_ino
