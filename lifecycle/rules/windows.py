"""Maintenance windows: weekly, by the wall clock of a time zone, right on days when it steps. Pure.

A window begins at a local time of named days and lasts a number of minutes that really pass. A
start that the clock skips (the hour that is lost in spring) is the first moment after the gap; one
that comes twice (in autumn) counts once, the first time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LONGEST_MINUTES = 7 * 24 * 60
_LOOK_AHEAD_DAYS = 8
"""A weekly window begins again within this many days, whatever the clock does."""


@dataclass(frozen=True, slots=True)
class Window:
    """`days` as numbers (Monday is 0), the local `start`, how long, and whose clock."""

    days: frozenset[int]
    start: time
    minutes: int
    zone: ZoneInfo

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Window:
        """A window as it is stored, whose parts `lifecycle.rules.validate` has checked."""
        hour, minute = document["start"].split(":")
        return cls(
            days=frozenset(DAYS.index(day) for day in document["days"]),
            start=time(int(hour), int(minute)),
            minutes=document["minutes"],
            zone=ZoneInfo(document.get("time_zone", "UTC")),
        )

    def spans(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """(begin, end) in UTC of each time that it is open and begins between the two moments,
        give or take a day."""
        day = (since.astimezone(self.zone) - timedelta(days=1)).date()
        last = (until.astimezone(self.zone) + timedelta(days=1)).date()
        while day <= last:
            if day.weekday() in self.days:
                begin = _instant(datetime.combine(day, self.start), self.zone)
                yield begin, begin + timedelta(minutes=self.minutes)
            day += timedelta(days=1)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the wall clock of `zone` shows `local`, in UTC."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    # Skipped by the clock (PEP 495): the later reading is the old offset's, the earlier one the
    # new offset's; the gap itself lies between them, and it ends where the offset changes.
    low, high = sorted((moment, local.replace(tzinfo=zone, fold=1).astimezone(UTC)))
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    """True inside of one of the windows; always true when there is none."""
    return not windows or closes_at(windows, now) is not None


def closes_at(windows: Sequence[Window], now: datetime) -> datetime | None:
    """When the last of the windows that are open now closes; None when none is open."""
    since = now - timedelta(minutes=LONGEST_MINUTES)
    spans = (span for window in windows for span in window.spans(since, now))
    return max((end for begin, end in spans if begin <= now < end), default=None)


def next_opening(windows: Sequence[Window], now: datetime) -> datetime | None:
    """When a window opens next after `now`; None when there is none."""
    until = now + timedelta(days=_LOOK_AHEAD_DAYS)
    begins = (begin for window in windows for begin, _ in window.spans(now, until))
    return min((begin for begin in begins if begin > now), default=None)
