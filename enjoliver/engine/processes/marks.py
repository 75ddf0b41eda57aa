"""Finds our own processes again by the marks in their environment, and ends them.

A supervisor that is killed leaves its children behind. They inherited two variables: the state
directory and the run they belong to. Nothing else on the machine carries them.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

STATE_MARK = "ENJOLIVER_RUN_STATE_DIR"
RUN_MARK = "ENJOLIVER_RUN_ID"
_POLL_SECONDS = 0.1


def marks(state_dir: Path, run_id: str) -> dict[str, str]:
    """The variables that every process of a run inherits."""
    return {STATE_MARK: str(state_dir), RUN_MARK: run_id}


def is_marked(process: psutil.Process, state_dir: Path) -> bool:
    """Whether a living process belongs to this state directory (one that is dying does not)."""
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False  # gone, a zombie, or another user's: none of ours to end
    return environment.get(STATE_MARK) == str(state_dir) and RUN_MARK in environment


def marked_processes(state_dir: Path) -> list[psutil.Process]:
    """All living processes of this state directory but this one and the ones it descends from."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in spared and is_marked(process, state_dir)
    ]


def strays(state_dir: Path, supervisor_pid: int) -> list[psutil.Process]:
    """Marked processes that no longer descend from the supervisor: their parent was killed."""
    return [
        process
        for process in marked_processes(state_dir)
        if process.pid != supervisor_pid and not _descends_from(process, supervisor_pid)
    ]


def _descends_from(process: psutil.Process, ancestor_pid: int) -> bool:
    try:
        return any(parent.pid == ancestor_pid for parent in process.parents())
    except psutil.Error:
        return True  # it ended while we looked


def end_processes(
    processes: Sequence[psutil.Process], state_dir: Path, *, grace_seconds: float
) -> None:
    """SIGTERM, wait up to `grace_seconds`, then SIGKILL whatever is left; returns when all end.

    SIGTERM goes to those without a parent among them: they end their children in their own way
    (a Celery worker whose children are ended under it waits for them in vain).
    """
    _send(_topmost(processes), signal.SIGTERM)
    left = _wait(processes, state_dir, grace_seconds)
    _send(left, signal.SIGKILL)
    _wait(left, state_dir, 5)


def clear_state_dir(state_dir: Path, *, grace_seconds: float) -> int:
    """End every process marked with this state directory; returns how many there were, each
    counted once however long it takes to end.

    Repeats, since a supervisor may restart a child while it is being asked to end; not for ever,
    since a process that the kernel holds (a dead disk) cannot be ended.
    """
    ended: set[psutil.Process] = set()
    for _ in range(5):
        found = marked_processes(state_dir)
        if not found:
            break
        end_processes(found, state_dir, grace_seconds=grace_seconds)
        ended.update(found)
    return len(ended)


def _topmost(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    numbers = {process.pid for process in processes}
    return [process for process in processes if _parent_number(process) not in numbers]


def _parent_number(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0  # it ended while we looked


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _wait(
    processes: Iterable[psutil.Process], state_dir: Path, seconds: float
) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    # By the mark and not by the number: a zombie that nobody collects has ended for us.
    while left := [process for process in processes if is_marked(process, state_dir)]:
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    return left
