"""The rules of the install gate: who may enter, when to ask again, which time counts. Pure.

First asked, first served: with `free` places only the first `free` of the live queue may enter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

COUNTED_PLACES = 1000
"""The queue is counted this far, so that an ask costs the same in any fleet."""

_ABSENCE = timedelta(seconds=60)
_CLOCK_TOLERANCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class GateLimits:
    """The gate's settings: places, silence allowed to a holder and to a waiter."""

    concurrency: int
    deadline: timedelta
    patience: timedelta


def may_enter(*, ahead: int, holders: int, concurrency: int) -> bool:
    """True when a waiter with `ahead` live waiters before it may take a place."""
    return ahead < concurrency - holders


def retry_after_seconds(*, place: int, patience: timedelta) -> int:
    """How long a waiter at `place` (1 is next) should wait before it asks again.

    Grows with the place, so that a long queue asks no more often than a short one, and stays at
    half of the waiter's patience, so that one lost answer does not cost the place.
    """
    longest = max(1, int(patience.total_seconds() // 2))
    return min(longest, 5 + place // 10)


@dataclass(frozen=True, slots=True)
class Correction:
    """How stored times must move: `shift` them forward, or `clamp` those that lie too far ahead."""

    shift: timedelta = timedelta()
    clamp: bool = False


def judge_gap(checked_at: datetime | None, now: datetime) -> Correction | None:
    """What the time since the last look at the gate means; None: nothing worth writing.

    Longer than a minute: the engine was away or its clock stepped ahead. Either way it could
    hear nobody, so this time counts against no machine. Backwards: the clock stepped back, and
    stored times would lie impossibly far ahead.
    """
    if checked_at is None:
        return Correction()
    gap = now - checked_at
    if gap > _ABSENCE:
        return Correction(shift=gap)
    if gap < -_CLOCK_TOLERANCE:
        return Correction(clamp=True)
    return Correction() if gap > _CLOCK_TOLERANCE else None


def correct_time(
    moment: datetime, correction: Correction, *, now: datetime, longest: timedelta
) -> datetime:
    """`moment` (a deadline or a last sign of life) after a correction.

    Never later than `now + longest`, the latest that it could have been set to just now.
    """
    return min(moment + correction.shift, now + longest)
