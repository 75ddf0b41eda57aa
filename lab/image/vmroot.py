"""The files of a virtual machine: the lab's system, a kernel, and what writes real disks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.drivers.base import Say
from lab.image.root import FILES, HERE, RootSpec, build_root, host_suite
from lab.programs import run

OVERLAY = HERE / "vmfiles"
"""Laid over the lab's system: the installer of real disks, and what stages and restarts."""
PACKAGES = (
    "busybox",
    "cpio",
    "dosfstools",
    "dracut",
    "e2fsprogs",
    "extlinux",
    "fdisk",
    "kexec-tools",
    "syslinux-common",
    "udhcpc",
    "zstd",
)
_UBUNTU = {"jammy", "noble", "plucky", "questing"}
_SECONDS = 1800.0


def spec() -> RootSpec:
    """The lab's system with the packages of a machine that boots by itself."""
    kernel = "linux-image-virtual" if host_suite() in _UBUNTU else "linux-image-cloud-amd64"
    return RootSpec(packages=(*PACKAGES, kernel), overlays=(FILES,))


def lay_out(cache: Path, root: Path, say: Say) -> None:
    """A tree of its own at `root`, which must not be there; raises LabFailed."""
    built = build_root(cache, say, spec())
    run(["cp", "-a", str(built.folder), str(root)], seconds=_SECONDS)
    shutil.copytree(OVERLAY, root, dirs_exist_ok=True)
    # kexec-tools' own services would load another kernel at each shutdown.
    for pattern in ("etc/init.d/kexec*", "etc/rc?.d/*kexec*"):
        for script in root.glob(pattern):
            script.unlink()
    (root / "boot").mkdir(exist_ok=True)
    # Without these, each machine makes systemd's catalogues anew at its first start.
    for name in ("etc/.updated", "var/.updated"):
        (root / name).touch()


def overlay_words() -> list[str]:
    """Paths, modes and contents of our overlay, for a digest."""
    files = sorted(path for path in OVERLAY.rglob("*") if path.is_file())
    return [
        f"{path.relative_to(OVERLAY)} {os.access(path, os.X_OK)} {path.read_text()}"
        for path in files
    ]
