"""Programs that the lab runs: to their end, or in the background by pid and start time."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from lab.errors import LabFailed

_SECONDS = 300.0
_ROUNDS = 10
"""More is not started by what is being ended."""
MARK = "ENJOLIVER_LAB_FOLDER"
"""In the environment of all that runs in the background: the folder of the lab it belongs to."""
PART_MARK = "ENJOLIVER_LAB_PART"
"""Beside it: which part of the lab it is."""


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    base: Mapping[str, str] | None = None,
    text: str | None = None,
    seconds: float = _SECONDS,
    folder: Path | None = None,
) -> str:
    """Run a program to its end; what it wrote on its output. LabFailed with what it complained.

    Its environment is `environment` over `base`, which is this process's own if it is not given;
    `text` is its input, `folder` where it runs.
    """
    try:
        done = subprocess.run(
            list(command),
            env={**(os.environ if base is None else base), **(environment or {})},
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            cwd=folder,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabFailed(f"{command[0]} is not installed on this computer.") from error
    except subprocess.TimeoutExpired as error:
        raise LabFailed(f"`{' '.join(command)}` did not end within {seconds:.0f} s.") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabFailed(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
    return done.stdout


def run_json(command: Sequence[str]) -> Any:
    """Run a program that answers in JSON; an empty answer is an empty list."""
    return json.loads(run(command).strip() or "[]")


@dataclass(frozen=True, slots=True)
class Background:
    """A process of the lab. The pid alone is not enough: pids are used again."""

    pid: int
    started: float
    """Seconds since the computer started: a clock that is put forth or back does not change it."""

    @classmethod
    def of(cls, pid: int) -> Background:
        """The process that has this pid now; LabFailed when there is none."""
        try:
            return cls(pid, _started(psutil.Process(pid)))
        except psutil.Error as error:
            raise LabFailed(f"process {pid} ended at once") from error

    def as_json(self) -> dict[str, Any]:
        """For the ledger."""
        return asdict(self)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return self._process() is not None

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            is_it = abs(_started(process) - self.started) < 0.5
            return process if is_it and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def stop(self, seconds: float = 10.0, *, is_hard: bool = False) -> None:
        """End it: asked, and after `seconds` killed. Nothing when it has ended."""
        if (process := self._process()) is not None:
            end([process], 0.0 if is_hard else seconds)


def _started(process: psutil.Process) -> float:
    """psutil tells it as a time of day, which moves with the clock, also by a second when the
    clock is only slewed. The boot is looked at on both sides, so that both parts are of one view.
    """
    while True:
        booted_at = psutil.boot_time()
        started_at = process.create_time()
        if psutil.boot_time() == booted_at:
            return float(started_at - booted_at)


def start(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    part: str = "",
    environment: Mapping[str, str] | None = None,
    base: Mapping[str, str] | None = None,
) -> Background:
    """Start a program that outlives this one.

    `folder` is the lab's and `part` says what of it this is; `log` takes all output.
    Its environment is `environment` over `base`, which is this process's own if not given.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(command),
            env={
                **(os.environ if base is None else base),
                **(environment or {}),
                MARK: str(folder),
                PART_MARK: part,
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _children.append(process)
    return Background.of(process.pid)


# Kept, so that Python collects the exit status of those that end before this process does.
_children: list[subprocess.Popen[bytes]] = []


def marked(folder: Path, part: str = "") -> list[psutil.Process]:
    """All processes that carry the mark of this lab, or of one part of it.

    Also those that no ledger names: what they start inherits the mark.
    """
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        is_part = not part or environment.get(PART_MARK) == part
        if environment.get(MARK) == str(folder) and is_part:
            found.append(process)
    return found


def end(processes: Sequence[psutil.Process], seconds: float = 10.0) -> None:
    """Ask them to end, and kill those that still run after `seconds`."""
    for process in processes if seconds > 0 else ():
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(list(processes), timeout=seconds)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=10.0)
    for child in _children:
        child.poll()


def end_marked(folder: Path, part: str = "", seconds: float = 10.0) -> None:
    """End all that carries the mark, and what it started while it was looked for."""
    for _ in range(_ROUNDS):
        found = marked(folder, part)
        if not found:
            return
        end(found, seconds)


def _quietly(act: Any) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
