"""A value that costs something to make: made by one thread at a time, kept for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """Calls `make` at most once at a time and keeps its value for `seconds`.

    A value that took `d` seconds to make is kept at least `rest * d`, so that making it never
    takes more than a small part of the time. While one thread makes a new value, others get the
    old one, or wait when there is none yet.
    """

    def __init__(
        self,
        make: Callable[[], T],
        *,
        seconds: float,
        rest: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._seconds, self._rest, self._clock = make, seconds, rest, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def get(self) -> T:
        """The value, at most as old as the class says; raises what `make` raises."""
        kept = self._kept
        if kept and self._clock() < kept[0]:
            return kept[1]
        if not self._lock.acquire(blocking=kept is None):
            assert kept is not None  # noqa: S101 - acquiring without blocking fails only then
            return kept[1]
        try:
            kept = self._kept
            if kept and self._clock() < kept[0]:
                return kept[1]
            return self._renew()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Make the value again at the next `get`."""
        self._kept = None

    def _renew(self) -> T:
        started = self._clock()
        value = self._make()
        ended = self._clock()
        self._kept = (ended + max(self._seconds, self._rest * (ended - started)), value)
        return value
