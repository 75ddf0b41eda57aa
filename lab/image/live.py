"""The initrd of discovery: the disk's own initrd, and behind it the whole system to run in RAM."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.image.cpio import Entry, pad, write

ROOT_INSIDE = "lab/root.squashfs"
"""Where the initramfs finds the system; there, it mounts it and looks for no disk."""


def write_live(initrd: Path, root: Path, target: Path) -> None:
    """Append `root` (a squashfs) to `initrd` as a second, uncompressed segment.

    The segment starts at a multiple of 4 bytes, else the kernel passes over it without a word.
    """
    new = target.with_suffix(".new")
    with new.open("wb") as output:
        with initrd.open("rb") as source:
            shutil.copyfileobj(source, output, 1 << 20)
        pad(output)
        write(output, [Entry(ROOT_INSIDE, root)])
    new.replace(target)
