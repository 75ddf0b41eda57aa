"""Who runs on a state directory: one lock, and `run.pid` that names the supervisor."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from enjoliver.engine.processes.errors import CannotStart
from enjoliver.engine.processes.marks import is_marked


@dataclass(frozen=True, slots=True)
class RunFile:
    """The supervisor of a run. `started_ticks`: its start in clock ticks since boot, see proc(5),
    so that a number that another process got later is not taken for it."""

    pid: int
    started_ticks: int
    run_id: str


def _path(state_dir: Path) -> Path:
    return state_dir / "run.pid"


def _started_ticks(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[19])  # the name before may hold anything


def write_run_file(state_dir: Path, pid: int, run_id: str) -> None:
    """Name the supervisor of this run; replaced in one step."""
    draft = _path(state_dir).with_suffix(".new")
    draft.write_text(json.dumps(asdict(RunFile(pid, _started_ticks(pid), run_id))) + "\n")
    draft.replace(_path(state_dir))


def remove_run_file(state_dir: Path) -> None:
    """Say that nothing runs here any more."""
    _path(state_dir).unlink(missing_ok=True)


def running_supervisor(state_dir: Path) -> psutil.Process | None:
    """The living supervisor of this state directory, or None (no run, or a stale file)."""
    try:
        run = RunFile(**json.loads(_path(state_dir).read_text()))
        process = psutil.Process(run.pid)
        if _started_ticks(run.pid) == run.started_ticks and is_marked(process, state_dir):
            return process
    except (OSError, ValueError, TypeError, psutil.Error):
        pass
    return None


def request_stop(state_dir: Path) -> bool:
    """Ask the run on this state directory to stop everything; False when none runs.

    Returns at once: the web process that asks has time to answer, since its own stop is graceful.
    """
    supervisor = running_supervisor(state_dir)
    if supervisor is None:
        return False
    with suppress(psutil.NoSuchProcess):
        supervisor.send_signal(signal.SIGTERM)
    return True


@contextmanager
def run_lock(state_dir: Path) -> Iterator[None]:
    """Hold the state directory for one run; raises CannotStart when another one has it.

    The kernel frees the lock however the holder ends, so it can never be stale.
    """
    descriptor = os.open(state_dir / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CannotStart([_in_use(state_dir, os.pread(descriptor, 20, 0).decode())]) from error
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _in_use(state_dir: Path, holder: str) -> str:
    return (
        f"An engine already runs on the state directory {state_dir} (process {holder.strip()}). "
        "Stop it first, or set ENJOLIVER_STATE_DIR to another directory."
    )
