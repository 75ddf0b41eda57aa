"""The counter and the clock of a cluster's changes: who may write, which time counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet

from lifecycle.models import ChangeClock, Rollout, RolloutMachine, Slot
from lifecycle.queueing import judge_gap
from lifecycle.rules.states import ACTIVE_STATES
from scheduling.models import Cluster


class LostRace(Exception):
    """Somebody else changed the rollouts of the cluster after they were read."""


def clock_of(cluster_id: int) -> ChangeClock:
    """The cluster's row; made when it is missing."""
    clock = ChangeClock.objects.filter(pk=cluster_id).first()
    return clock or ChangeClock.objects.get_or_create(cluster_id=cluster_id)[0]


@contextmanager
def changing(clock: ChangeClock, rollout: Rollout | None = None) -> Iterator[None]:
    """A transaction of whoever read the cluster's rollouts under `clock`; raises LostRace.

    Compare-and-swap on the cluster's counter, and on the rollout's where one is changed. The rows
    stay locked until the end, so that what was read is still true.
    """
    with transaction.atomic():
        seen = ChangeClock.objects.filter(pk=clock.pk, version=clock.version)
        if not seen.update(version=F("version") + 1):
            raise LostRace
        if rollout is not None:
            mine = Rollout.objects.filter(pk=rollout.pk, version=rollout.version)
            if not mine.update(version=F("version") + 1):
                raise LostRace
        yield


@contextmanager
def taking_slots(cluster_id: int) -> Iterator[None]:
    """A transaction in which no other slot of the cluster's policies is taken, and no step of a
    rollout commits: what is read inside is true until its end."""
    clock_of(cluster_id)
    with transaction.atomic():
        ChangeClock.objects.filter(pk=cluster_id).update(slots_version=F("slots_version") + 1)
        yield


def look_at_clock(cluster: Cluster, now: datetime) -> ChangeClock:
    """The clock as it stands now, with times corrected that nobody could keep.

    When nobody looked for over a minute (the engine was away, or its clock stepped ahead), machines
    get that much longer; when the clock stepped back, times that lie too far ahead come back.
    """
    clock = clock_of(cluster.pk)
    correction = judge_gap(clock.checked_at, now)
    if correction is None:
        return clock
    with transaction.atomic():
        seen = ChangeClock.objects.filter(pk=clock.pk, checked_at=clock.checked_at)
        if seen.update(checked_at=now):
            if correction.shift:
                _shift(cluster, correction.shift)
            if correction.clamp:
                _clamp(cluster, now)
    clock.checked_at = now
    return clock


def _shift(cluster: Cluster, gap: timedelta) -> None:
    """Slots before places, as everybody locks them."""
    _slots(cluster).update(deadline_at=F("deadline_at") + gap)
    places = _places(cluster).filter(deadline_at__isnull=False)
    places.update(deadline_at=F("deadline_at") + gap)
    failing = Rollout.objects.filter(cluster=cluster, gates_failing_since__isnull=False)
    failing.update(gates_failing_since=F("gates_failing_since") + gap)


def _clamp(cluster: Cluster, now: datetime) -> None:
    """Moments that must have passed have; a deadline is at most as far away as the longest one.

    Slots before places, as everybody locks them.
    """
    rollouts = Rollout.objects.filter(cluster=cluster, state__in=ACTIVE_STATES)
    seconds_of = rollouts.values_list("policy_id", "policy__return_seconds")
    latest = {pk: now + timedelta(seconds=seconds or 0) for pk, seconds in seconds_of}
    for policy_id, moment in latest.items():
        slots = _slots(cluster).filter(group__policy_id=policy_id, deadline_at__gt=moment)
        slots.update(deadline_at=moment)
    for name in ("opened_at", "updating_at", "returned_at", "ready_at", "finished_at"):
        _places(cluster).filter(**{f"{name}__gt": now}).update(**{name: now})
    for policy_id, moment in latest.items():
        late = _places(cluster).filter(rollout__policy_id=policy_id, deadline_at__gt=moment)
        late.update(deadline_at=moment)
    rollouts.filter(gates_failing_since__gt=now).update(gates_failing_since=now)


def _places(cluster: Cluster) -> QuerySet[RolloutMachine]:
    active = Rollout.objects.filter(cluster=cluster, state__in=ACTIVE_STATES)
    return RolloutMachine.objects.filter(rollout__in=active)


def _slots(cluster: Cluster) -> QuerySet[Slot]:
    return Slot.objects.filter(group__policy__cluster=cluster, deadline_at__isnull=False)
