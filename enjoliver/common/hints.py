"""Hints to the queue: ask for work soon, once for many callers, and never fail because of it.

The queue loses nothing that matters: beat re-derives all work from the database.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)
_next_run: dict[str, float] = {}
_lock = threading.Lock()


def hint(task: Any, *, delay_seconds: float = 0.5) -> bool:
    """Ask for one run of the Celery `task` in `delay_seconds`; False when one is on its way.

    A run that was asked for and has not started yet sees everything committed until it starts,
    so a thousand discoveries in the same half second make one message. A broker that is away
    is logged and forgotten.
    """
    now = time.monotonic()
    with _lock:
        if _next_run.get(task.name, 0.0) > now:
            return False
        _next_run[task.name] = now + delay_seconds
    try:
        task.apply_async(countdown=delay_seconds, expires=60, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("the queue did not take %s (beat will run it): %s", task.name, error)
        return False
    return True
