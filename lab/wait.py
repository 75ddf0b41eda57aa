"""The one way in which the lab waits: ask, pause, ask again, until a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lab.errors import LabFailed

T = TypeVar("T")


class TimeIsUp(LabFailed):
    """What was waited for did not come; the text says what, and what was seen last."""


def until(
    ask: Callable[[], T | None],
    *,
    seconds: float,
    what: str,
    every: float = 0.2,
    last: Callable[[], str] | None = None,
) -> T:
    """Ask until the answer is true, and give it. TimeIsUp names `what` and what `last` says.

    `ask` is asked at least once, however short the time. What it raises goes through.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        left = deadline - time.monotonic()
        if left <= 0:
            seen = f": {last()}" if last else ""
            raise TimeIsUp(f"{what} did not happen within {seconds:.0f} s{seen}")
        time.sleep(min(every, left))
