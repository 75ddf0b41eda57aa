"""Mounts of one machine. They are made in the supervisor's mount namespace and end with it."""

from __future__ import annotations

from pathlib import Path

from lab.drivers.base import DriverFailed
from lab.errors import LabFailed
from lab.programs import run


def mount_memory(where: Path, *, mebibytes: int) -> None:
    """An empty file system in memory."""
    where.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0755", "memory", str(where))


def mount_layers(where: Path, lower: Path, upper: Path, work: Path) -> None:
    """A root whose changes go to `upper`, over the unpacked image `lower`."""
    for folder in (where, upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={lower.resolve()},upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "-o", layers, "root", str(where))


def mount_folder(folder: Path, where: Path) -> None:
    """Show a folder at another place, so that Ignition finds it below its root."""
    where.mkdir(parents=True, exist_ok=True)
    _mount("--bind", str(folder), str(where))


def unmount_all(below: Path) -> None:
    """Unmount everything at or below a folder, the last one first."""
    places = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = Path(line.split()[1].replace("\\040", " "))
        if place == below or below in place.parents:
            places.append(place)
    for place in reversed(places):
        run(["umount", "--lazy", str(place)])


def _mount(*words: str) -> None:
    try:
        run(["mount", *words])
    except LabFailed as error:
        raise DriverFailed(str(error)) from error
