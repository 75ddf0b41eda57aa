"""Flatcar's own files instead of the lab's image, where the user has them.

`LAB_FLATCAR` names a folder with what Flatcar publishes for one release: `version.txt`, the two
files of the network boot, and the image of the disk with the signature that its installer checks.
https://www.flatcar.org/docs/latest/installing/bare-metal/booting-with-ipxe/
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.drivers.base import Asset, DriverFailed

SETTING = "LAB_FLATCAR"
KERNEL = "flatcar_production_pxe.vmlinuz"
INITRD = "flatcar_production_pxe_image.cpio.gz"
IMAGE = "flatcar_production_image.bin.bz2"
FILES = (KERNEL, INITRD, IMAGE, f"{IMAGE}.sig", "version.txt")
MEMORY_MIB = 3072
"""With less, Flatcar in RAM has no room to work."""


@dataclass(frozen=True, slots=True)
class Flatcar:
    """One release: its files and its version, under which the installer looks for them."""

    folder: Path
    version: str

    def assets(self) -> list[Asset]:
        """What the engine serves."""
        return [Asset(self.folder / name, f"{self.version}/{name}") for name in FILES]

    def values(self) -> dict[str, object]:
        """The cluster values that name them."""
        return {
            "boot_kernel": f"{self.version}/{KERNEL}",
            "boot_initrd": f"{self.version}/{INITRD}",
            "install_version": self.version,
        }


def find_flatcar() -> Flatcar | None:
    """The release in the folder that `LAB_FLATCAR` names; None without one. DriverFailed when the
    folder is not complete."""
    name = os.environ.get(SETTING, "")
    if not name:
        return None
    folder = Path(name)
    missing = [one for one in FILES if not (folder / one).is_file()]
    if missing:
        raise DriverFailed(f"{SETTING}: {folder} has no {', '.join(missing)}.")
    found = re.search(r"^FLATCAR_VERSION=([\w.+-]+)$", (folder / "version.txt").read_text(), re.M)
    if not found:
        raise DriverFailed(f"{SETTING}: {folder / 'version.txt'} names no FLATCAR_VERSION.")
    return Flatcar(folder, found[1])
