"""Shows a machine's console file, and what comes to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TextIO

_EVERY_SECONDS = 0.3


def show_console(path: Path, out: TextIO, *, is_following: bool) -> None:
    """Write the whole file to `out`; following it, go on until KeyboardInterrupt.

    A file that is not there yet is an empty one; one that begins anew is shown anew.
    """
    shown = 0
    while True:
        shown = _show_from(path, shown, out)
        if not is_following:
            return
        time.sleep(_EVERY_SECONDS)


def _show_from(path: Path, shown: int, out: TextIO) -> int:
    """Write what lies beyond `shown` bytes; how many bytes were shown now."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(shown if shown <= size else 0)
            content = file.read()
            end = file.tell()
    except FileNotFoundError:
        return 0
    if content:
        out.write(content.decode(errors="replace"))
        out.flush()
    return end
