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
    seconds only. Main thread only; the former handlers come back at the end."""
    last_request = -_SAME_REQUEST_SECONDS

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last_request
        if time.monotonic() - last_request < _SAME_REQUEST_SECONDS:
            return
        last_request = time.monotonic()
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
