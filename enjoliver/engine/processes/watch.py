"""Watches a running supervisor: says what happened, and ends what lost its parent."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

from enjoliver.engine.processes.config import RunConfig
from enjoliver.engine.processes.marks import clear_state_dir, end_processes, strays
from enjoliver.engine.processes.narration import LogFollower, Narrator
from enjoliver.engine.processes.programs import STOP_SECONDS

_LOOK_SECONDS = 0.25
_SWEEP_SECONDS = 5.0


class Watcher(threading.Thread):
    """One thread beside the caller. A killed worker leaves its children and their matchbox
    behind, which no supervisor sees: every few seconds whatever lost its parent is ended."""

    def __init__(
        self,
        *,
        config: RunConfig,
        supervisor: subprocess.Popen[bytes],
        narrator: Narrator,
        log: LogFollower,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(name="engine-watcher", daemon=True)
        self._config = config
        self._supervisor = supervisor
        self._narrator = narrator
        self._log = log
        self._say = say
        self._ended = threading.Event()

    def run(self) -> None:
        next_sweep = time.monotonic() + _SWEEP_SECONDS
        while not self._ended.wait(_LOOK_SECONDS):
            self._log.read(self._tell)
            if self._supervisor.poll() is not None:
                break
            if time.monotonic() > next_sweep:
                self._sweep()
                next_sweep = time.monotonic() + _SWEEP_SECONDS
        self._log.read(self._tell)
        self._log.close()
        self._clear_after_crash()

    def close(self) -> None:
        """End the thread; called once the supervisor has ended."""
        self._ended.set()
        self.join()

    def _tell(self, line: str) -> None:
        for sentence in self._narrator.sentences(line):
            self._say(sentence)

    def _sweep(self) -> None:
        if lost := strays(self._config.state_dir, self._supervisor.pid):
            end_processes(lost, self._config.state_dir, grace_seconds=STOP_SECONDS)
            self._say(f"Ended {_count(len(lost))} that had lost their parent.")

    def _clear_after_crash(self) -> None:
        status = self._supervisor.poll()
        if status is None or status == 0:
            return
        self._say(f"The supervisor ended by itself ({ending(status)}); stopping the rest.")
        clear_state_dir(self._config.state_dir, grace_seconds=STOP_SECONDS)


def ending(status: int) -> str:
    """How a process ended, from subprocess's return code."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _count(number: int) -> str:
    return "one process" if number == 1 else f"{number} processes"
