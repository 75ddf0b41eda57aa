"""Beat that keeps its rhythm when the clock of the machine steps."""

from __future__ import annotations

import time
from typing import Any

from celery.beat import Scheduler

_STEP_SECONDS = 2.0


class SteadyScheduler(Scheduler):
    """Celery's in-memory scheduler, but a clock set back does not silence it.

    Celery compares wall-clock times: set back by an hour, nothing would be due for an hour. No
    file either: every period here is short, so the last runs need not survive a restart.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._offset = _clock_offset()

    def tick(self, *args: Any, **options: Any) -> Any:
        offset = _clock_offset()
        if offset < self._offset - _STEP_SECONDS:
            self._start_over()
        self._offset = offset
        return super().tick(*args, **options)

    def _start_over(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now()
        self._heap = None  # ordered by the old times; the next tick orders it again


def _clock_offset() -> float:
    return time.time() - time.monotonic()
