"""Signals that mean "stop", all as KeyboardInterrupt, so that `with` blocks unwind."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# `make` hands a signal on that the whole process group already got: that is still one request.
_SAME_REQUEST_SECONDS = 2.0


@contextmanager
def stop_signals_interrupt() -> Iterator[None]:
    """Inside, SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt; a second one counts after two
    seconds only. Main thread only; the former handlers come back at the end.

    Python drops an exception that is raised while an object is being finalised, and a handler
    runs wherever the program happens to be. So the request is repeated until it is `heard`.
    """
    last_request = -_SAME_REQUEST_SECONDS

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last_request
        if time.monotonic() - last_request < _SAME_REQUEST_SECONDS:
            return
        last_request = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, _SAME_REQUEST_SECONDS, _SAME_REQUEST_SECONDS)
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _STOP_SIGNALS}
    former[signal.SIGALRM] = signal.signal(signal.SIGALRM, _repeat)
    try:
        yield
    finally:
        heard()
        for number, handler in former.items():
            signal.signal(number, handler)


def heard() -> None:
    """Called where stopping has begun: the request is not repeated any more."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _repeat(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
