"""What a virtual machine's console says of its way. Pure, but for reading the file's end."""

from __future__ import annotations

import os
from pathlib import Path

_END = 1 << 20
_MARKS = (
    (b"SeaBIOS (version", "firmware"),
    (b"lab: the system runs in RAM", "discovery"),
    (b"lab: the system runs from the disk", "installed"),
)
"""What firmware and the lab's initramfs write, each once a start."""


def phase_of(text: bytes) -> str:
    """The phase of the last mark in a console's text; "" without one (Flatcar has none)."""
    at, phase = max((text.rfind(mark), phase) for mark, phase in _MARKS)
    return phase if at >= 0 else ""


def read_phase(console: Path) -> str:
    """The phase by the last MiB of the console's file."""
    try:
        with console.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
            return phase_of(file.read())
    except OSError:
        return ""
