"""Control groups of a container machine: limits, and no way to a block device.

Version 1 (controllers mounted one by one): a group of its own in each controller, made here. The
limits stand one group above the machine's own root, where the machine cannot lift them. Version 2:
see `container.command`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lab.drivers.base import DriverFailed

MOUNTS = Path("/sys/fs/cgroup")
_INNER = "machine"
_GONE_SECONDS = 60.0
# null, zero, full, random, urandom, tty, console, ptmx, terminals, tun: what nspawn itself gives.
# https://www.kernel.org/doc/Documentation/admin-guide/devices.txt
DEVICES = (
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:200 rwm",
)


def is_version_2() -> bool:
    """Whether this computer has one tree for all controllers."""
    return (MOUNTS / "cgroup.controllers").exists()


class Groups:
    """The control groups of one machine, by a name of its own."""

    def __init__(self, name: str, mounts: Path = MOUNTS) -> None:
        self._name, self._mounts = name, mounts

    def make(self, *, memory_mib: int) -> None:
        """Make them with their limits; raises DriverFailed where there is no devices controller."""
        if not (self._mounts / "devices").is_dir():
            raise DriverFailed(
                f"{self._mounts} has no devices controller: the disks of this computer would be "
                "within reach of the lab's machines."
            )
        for tree in self._trees():
            group = tree / self._name
            group.mkdir(exist_ok=True)
            if tree.name == "cpuset" or (group / "cpuset.cpus").exists():
                _copy_cpus(tree, group)
            if tree.name == "devices" and not (group / _INNER).exists():
                _write(group / "devices.deny", "a")  # refused once there are groups below
                for rule in DEVICES:
                    _write(group / "devices.allow", rule)
            inner = group / _INNER
            inner.mkdir(exist_ok=True)
            if (inner / "cpuset.cpus").exists():
                _copy_cpus(tree, inner)
        limit = self._mounts / "memory" / self._name / "memory.limit_in_bytes"
        if limit.exists():
            _write(limit, str(memory_mib << 20))

    def enter(self) -> None:
        """Put the calling process into them; what it starts is born there."""
        for tree in self._trees():
            _write(tree / self._name / _INNER / "cgroup.procs", "0")

    def processes(self) -> set[int]:
        """Everything that runs in them."""
        found: set[int] = set()
        for group in self._groups():
            with suppress(OSError):
                found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
        return found - {0}

    def remove(self) -> None:
        """Kill what still runs in them, and remove them; raises DriverFailed when that fails."""
        deadline = time.monotonic() + _GONE_SECONDS
        while True:
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            left = [group for group in self._groups() if not _is_removed(group)]
            if not left:
                return
            if time.monotonic() > deadline:
                raise DriverFailed(f"the control group {left[0]} cannot be removed")
            time.sleep(0.05)

    def _trees(self) -> list[Path]:
        """Every mounted controller, `systemd` and the empty unified tree among them."""
        return sorted(
            path
            for path in self._mounts.iterdir()
            if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()
        )

    def _groups(self) -> Iterator[Path]:
        """The groups, children before their parents."""
        for tree in self._trees():
            top = tree / self._name
            if top.is_dir():
                for folder, _, _ in os.walk(top, topdown=False):
                    yield Path(folder)


def _copy_cpus(above: Path, group: Path) -> None:
    """A new cpuset is empty, and takes no process before it has CPUs and memory nodes."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        _write(group / name, (above / name).read_text().strip())


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise DriverFailed(f"{path} does not take {text!r}: {error.strerror}") from error


def _is_removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
