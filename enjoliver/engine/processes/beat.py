"""Beat that begins at once, and keeps its rhythm when the clock of the machine steps."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from celery.beat import Scheduler

_STEP_SECONDS = 2.0
_LONG_AGO = timedelta(days=2)


class SteadyScheduler(Scheduler):
    """Celery's in-memory scheduler; everything is due at its start and after a step of the clock.

    At its start: whatever a killed worker left undone is taken up at once. After a step: Celery
    compares wall-clock times, so set back by an hour nothing would be due for an hour. No file,
    since the last runs need not survive a restart.
    """

    def setup_schedule(self) -> None:
        super().setup_schedule()
        self._offset = _clock_offset()
        self._make_all_due()

    def tick(self, *args: Any, **options: Any) -> Any:
        offset = _clock_offset()
        if offset < self._offset - _STEP_SECONDS:
            self._make_all_due()
        self._offset = offset
        return super().tick(*args, **options)

    def _make_all_due(self) -> None:
        for entry in self.schedule.values():
            entry.last_run_at = entry.default_now() - _LONG_AGO
        self._heap = None  # ordered by the old times; the next tick orders it again


def _clock_offset() -> float:
    """Wall clock against a clock that only runs forward: changes when the former is set."""
    return time.time() - time.monotonic()
