"""What the holder of a slot does, as far as its reports and its boots tell. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lifecycle.rules.states import POWEROFF

DRAINING, DOWN, POWERED_OFF, CHECKING, LOST = (
    "draining",
    "down",
    "powered-off",
    "checking",
    "lost",
)
QUIET = timedelta(seconds=150)
"""A machine that reports each minute and missed two reports is down."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A holder of a slot: when it took it, last reported, whether that report was of its desired
    config, whether it booted since, by which strategy it goes, and until when it must be back."""

    acquired_at: datetime
    reported_at: datetime | None
    is_up_to_date: bool
    has_booted: bool
    strategy: str
    deadline_at: datetime | None = None


def phase_of(holder: Holder, now: datetime) -> str:
    """The phase of its lease. One that was told to power off and is gone is not lost, however long
    it stays away: somebody must press its button."""
    heard = holder.reported_at if (holder.reported_at or now) >= holder.acquired_at else None
    if heard and holder.is_up_to_date and now - heard < QUIET:
        return CHECKING
    since = heard or holder.acquired_at
    is_away = holder.has_booted or now - since >= QUIET
    if is_away and holder.strategy == POWEROFF:
        return POWERED_OFF
    if holder.deadline_at and now >= holder.deadline_at:
        return LOST
    return DOWN if is_away else DRAINING
