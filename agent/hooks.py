"""A site's own programs at the turning points of an update: `drain.d`, `teardown.d`, and so on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.commands import run


class HookFailed(Exception):
    """A hook said no, or was late; the text names it."""


def run_hooks(folder: Path, *, seconds: float, environment: Mapping[str, str]) -> None:
    """Run the executables of a folder by name, each within `seconds`; raises HookFailed.

    They may be run again after a loss of power, so each must be safe to repeat.
    """
    for hook in find_hooks(folder):
        result = run([str(hook)], seconds=seconds, environment=environment)
        if not result.is_good:
            raise HookFailed(f"{folder.name}/{hook.name}: {result.sentence()}")


def find_hooks(folder: Path) -> list[Path]:
    """Its visible executable files, sorted; none when there is no such folder."""
    if not folder.is_dir():
        return []
    listed = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [path for path in listed if path.is_file() and os.access(path, os.X_OK)]
