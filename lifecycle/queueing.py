"""The rules of the install gate: who may enter, when to ask again, which time counts. Pure.

There is one queue, and a limit for each site, rack and asset server. First asked, first served:
whoever is ahead and could enter has its places kept, and nobody waits for those who could not
enter anyway because another of their limits is reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

COUNTED_PLACES = 1000
"""The queue is counted this far, so that an ask costs the same in any fleet."""
WALKED_PLACES = 5000
"""When there is a free place, so many of those ahead are looked at."""

_ABSENCE = timedelta(seconds=60)
_CLOCK_TOLERANCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class GateLimits:
    """The gate's settings: places at each site that has no limit of its own, silence allowed to a
    holder and to a waiter."""

    concurrency: int
    deadline: timedelta
    patience: timedelta


class Keys(NamedTuple):
    """Where an install loads the network: one name for each scope, "" when nobody knows it.

    Machines of unknown place share the limit of the unnamed one.
    """

    site: str = ""
    rack: str = ""
    asset_server: str = ""


SCOPES = Keys._fields


class Door(NamedTuple):
    """One limited thing: a scope and a name in it."""

    scope: str
    name: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How many may install at once: by name, and for every other name of a scope.

    A scope without either has no limit.
    """

    named: Mapping[Door, int] = field(default_factory=dict)
    each: Mapping[str, int] = field(default_factory=dict)

    def of(self, door: Door) -> int | None:
        """The limit at `door`; None for none."""
        return self.named.get(door, self.each.get(door.scope))

    def doors(self, keys: Keys) -> list[Door]:
        """The limited doors that an install at `keys` needs a place at, the largest first."""
        doors = (Door(scope, name) for scope, name in zip(SCOPES, keys, strict=True))
        return [door for door in doors if self.of(door) is not None]


class Places:
    """The free places at all doors."""

    def __init__(self, limits: Limits, holders: Iterable[Keys]) -> None:
        self._limits = limits
        self._taken: Counter[Door] = Counter()
        for keys in holders:
            self._taken.update(limits.doors(keys))

    def find_shut(self, keys: Keys) -> Door | None:
        """The smallest door without a free place that `keys` needs, or None."""
        for door in reversed(self._limits.doors(keys)):
            if self._taken[door] >= (self._limits.of(door) or 0):
                return door
        return None

    def keep(self, ahead: Iterable[Keys]) -> None:
        """Keep places for those ahead, in their order, who could enter now."""
        for keys in ahead:
            if self.find_shut(keys) is None:
                self._taken.update(self._limits.doors(keys))


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
