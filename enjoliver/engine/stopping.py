"""What `POST /shutdown` is about to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from enjoliver.engine.processes.runfile import running_supervisor


def processes_of_run(state_dir: Path) -> list[dict[str, Any]]:
    """Number and name of this state directory's supervisor and all below it; [] without a run.

    Command lines and environments may hold secrets, so neither is in it.
    """
    supervisor = running_supervisor(state_dir)
    if supervisor is None:
        return []
    found = []
    for process in [supervisor, *supervisor.children(recursive=True)]:
        try:
            found.append({"pid": process.pid, "name": process.name()})
        except psutil.Error:
            continue  # it ended while we looked
    return found
