"""Waiting for a condition: one helper with a deadline, instead of sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], *, seconds: float, what: str, interval: float = 0.05
) -> T:
    """Ask `condition` every `interval` seconds until it is true; returns its answer.

    Raises TimeoutError that names `what` after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain until {what}")
        time.sleep(interval)
