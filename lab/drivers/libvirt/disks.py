"""A virtual machine's disks: sparse files, as large as the topology says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.programs import run
from lab.topology import DiskContent, DiskSpec, LabMachine

FOREIGN_LABEL = "somebodys-data"


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A disk as the domain's description names it."""

    path: Path
    serial: str
    is_rotational: bool


def files_of(machine: LabMachine, folder: Path) -> list[DiskFile]:
    """The disks of a machine in their order; nothing is made."""
    return [
        DiskFile(
            folder / f"{disk.name}.img", f"{machine.serial}-{disk.name}".upper(), disk.is_rotational
        )
        for disk in machine.spec.disks
    ]


def make(path: Path, disk: DiskSpec, content: DiskContent) -> None:
    """A new disk in the place of whatever is there, whole or not at all."""
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.truncate(disk.size_gib << 30)
    if content == "data":
        run(["mkfs.ext4", "-q", "-F", "-L", FOREIGN_LABEL, str(draft)])
    draft.replace(path)
