"""Health gates: when a run of results makes a gate healthy, and what a gate says at a moment. Pure.

A health gate asks something outside the engine (etcd, Kubernetes, a URL…) whether machines may
change. It has nothing to do with the install gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

UNKNOWN, HEALTHY, UNHEALTHY = "unknown", "healthy", "unhealthy"
STATES = (UNKNOWN, HEALTHY, UNHEALTHY)
STALE_INTERVALS = 3
"""A result that is older than so many intervals says nothing any more."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one health gate says now: whether machines may change, and why not."""

    name: str
    is_healthy: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a health gate is checked, and how many equal results in a row change its state."""

    interval: timedelta
    healthy_after: int = 1
    unhealthy_after: int = 1


@dataclass(frozen=True, slots=True)
class Health:
    """Where a health gate stands: the last `streak` results were `was_good` (None: no result)."""

    state: str = UNKNOWN
    was_good: bool | None = None
    streak: int = 0
    message: str = ""
    checked_at: datetime | None = None


def is_stale(health: Health, pace: Pace, now: datetime) -> bool:
    """True without a result, with an old one, and with one of a time that is still to come (the
    clock stepped back; other workers' clocks may be one interval ahead)."""
    if health.checked_at is None:
        return True
    age = now - health.checked_at
    return age > STALE_INTERVALS * pace.interval or age < -pace.interval


def is_due(health: Health, pace: Pace, now: datetime, done_at: datetime | None = None) -> bool:
    """Whether to check now: an interval is over, or a machine was done (`done_at`) since."""
    if health.checked_at is None or is_stale(health, pace, now):
        return True
    is_overtaken = done_at is not None and done_at > health.checked_at
    return is_overtaken or now - health.checked_at >= pace.interval


def after_result(
    before: Health, pace: Pace, *, is_good: bool, message: str, checked_at: datetime
) -> Health:
    """The state after one more result. One that comes long after the last begins from unknown:
    nobody knows what happened in between."""
    if is_stale(before, pace, checked_at):
        before = Health()
    streak = before.streak + 1 if before.was_good is is_good else 1
    state = before.state
    if is_good and streak >= pace.healthy_after:
        state = HEALTHY
    elif not is_good and streak >= pace.unhealthy_after:
        state = UNHEALTHY
    return Health(state, is_good, streak, message, checked_at)


def verdict_of(
    name: str, health: Health, pace: Pace, now: datetime, done_at: datetime | None = None
) -> GateVerdict:
    """What the gate says at `now`: only a fresh healthy state is healthy.

    `done_at`: when the last machine of the policy was done; a check that began before does not
    know how things are without, and again with, that machine.
    """
    why = _why_not(health, pace, now, done_at)
    return GateVerdict(name, not why, why or health.message)


def _why_not(health: Health, pace: Pace, now: datetime, done_at: datetime | None) -> str:
    if health.checked_at is None:
        return "it has not been checked yet"
    if is_stale(health, pace, now):
        return f"its last result is of {health.checked_at:%Y-%m-%d %H:%M:%S} UTC: too old to count"
    if health.state == UNKNOWN and health.was_good:
        return f"{health.streak} of {pace.healthy_after} good results: {health.message}"
    if health.state != HEALTHY:
        if health.was_good:
            return f"failed before, {health.streak} of {pace.healthy_after} good results since"
        return health.message or "it failed"
    if done_at is not None and done_at > health.checked_at:
        return "it has not been checked since the last machine was done"
    return ""
