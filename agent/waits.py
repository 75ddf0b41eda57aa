"""Waiting: pauses that grow, jitter so that a fleet does not march in step, deadlines."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_GROWTH = 1.6
_MAX_STEPS = 40
LONGEST_ASKED = 3600.0
"""A longer pause, in seconds, is not believed."""


@dataclass(slots=True)
class Backoff:
    """Pauses from `first` to `longest` seconds, each with jitter of a quarter."""

    first: float
    longest: float
    dice: random.Random = field(default_factory=random.Random)
    _steps: int = 0

    def next_pause(self, at_least: float = 0.0) -> float:
        """The next pause in seconds; `at_least`: what the engine asked for, kept up to an hour."""
        grown = self.first * _GROWTH ** min(self._steps, _MAX_STEPS)
        self._steps += 1
        return max(
            spread(at_least, self.dice), min(self.longest, grown) * self.dice.uniform(0.75, 1.25)
        )

    def restart(self) -> None:
        """Something went well: start from the first pause again."""
        self._steps = 0


class Stopped(Exception):
    """The agent was told to end while it waited."""


@dataclass(slots=True)
class Clock:
    """Time as the agent sees it; `stop` ends every pause."""

    stop: threading.Event = field(default_factory=threading.Event)
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def check(self) -> None:
        """Between two steps; raises Stopped when the agent is told to end."""
        if self.stop.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait; raises Stopped when the agent is told to end."""
        if self.stop.wait(seconds):
            raise Stopped


def jittered(seconds: float, dice: random.Random) -> float:
    """`seconds`, give or take a tenth."""
    return seconds * dice.uniform(0.9, 1.1)


def spread(seconds: float, dice: random.Random) -> float:
    """What the engine asked for, within bounds, or up to a quarter more.

    All who met it at its busiest were asked for the same; they shall not all come back at once.
    """
    return min(seconds, LONGEST_ASKED) * dice.uniform(1, 1.25)
