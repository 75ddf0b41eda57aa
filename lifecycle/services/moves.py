"""Moves of a rollout's state, and the way back for machines that have not begun."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from enjoliver.common.errors import Conflict
from lifecycle.models import RollingPolicy, Rollout, RolloutMachine, RolloutState, Slot
from lifecycle.rules.states import (
    ACTIVE_STATES,
    FAILED,
    OPEN,
    PAUSED,
    RUNNING,
    SKIPPED,
    SUPERSEDED,
    WAITING,
)
from lifecycle.services.clocks import taking_slots
from lifecycle.services.currency import runs_desired
from machines.services import record_event
from matchbox_sync.models import Revision
from matchbox_sync.services import assign_revisions

ENGINE = "rollouts"
"""The author of what the engine does by itself."""


def active_rollout(policy: RollingPolicy) -> Rollout | None:
    """The policy's rollout that has not ended."""
    return Rollout.objects.filter(policy=policy, state__in=ACTIVE_STATES).first()


def named(rollout: Rollout) -> str:
    """A rollout at the beginning of a sentence."""
    return str(rollout).capitalize()


def move_rollout(
    rollout: Rollout,
    start: Sequence[str],
    end: str,
    actor: str,
    reason: str,
    now: datetime,
    *,
    level: str = "info",
    **changes: Any,
) -> Rollout:
    """Compare-and-swap of the state; raises Conflict when it was in none of `start`."""
    with transaction.atomic():
        mine = Rollout.objects.filter(pk=rollout.pk, state__in=start)
        if not mine.update(
            version=F("version") + 1, state=end, reason=reason[:500], changed_at=now, **changes
        ):
            rollout.refresh_from_db()
            raise Conflict(f"{rollout} is {rollout.state}", kind="wrong_state")
        fresh = Rollout.objects.select_related("policy", "cluster", "revision").get(pk=rollout.pk)
        if end not in start:
            word = RolloutState(end).label
            text = f": {reason}" if reason else ""
            record_event(
                kind=f"rollout_{end}",
                level=level,
                message=f"{named(fresh)} is {word}{text}",
                actor=actor,
            )
    return fresh


def pause_by_engine(*, policy_id: int | None, reason: str, now: datetime) -> None:
    """Pause the running rollout of a policy, if there is one, and raise an alert."""
    rollout = Rollout.objects.filter(policy_id=policy_id, state=RUNNING).first()
    if rollout is not None:
        with suppress(Conflict):  # it stopped at this moment
            move_rollout(rollout, (RUNNING,), PAUSED, "", reason, now, level="error")


def supersede(rollout: Rollout, revision: Revision, now: datetime) -> None:
    """A newer revision takes an active rollout's place."""
    with taking_slots(rollout.cluster_id):
        text = f"by revision {revision.number}"
        try:
            moved = move_rollout(
                rollout, ACTIVE_STATES, SUPERSEDED, ENGINE, text, now, ended_at=now
            )
        except Conflict:
            return  # it ended at this moment
        leave_out(moved, f"superseded {text}", ENGINE, now)


def leave_out(rollout: Rollout, reason: str, actor: str, now: datetime) -> None:
    """Of a rollout that ends: who has not begun keeps what it had, who is at it finishes."""
    back = list(rollout.machines.filter(state__in=(OPEN, FAILED)))
    rollout.machines.filter(state__in=(WAITING, OPEN)).update(
        state=SKIPPED, reason=reason, finished_at=now, deadline_at=None
    )
    send_back(rollout, back, actor)


def send_back(rollout: Rollout, places: Sequence[RolloutMachine], actor: str) -> None:
    """Their desired config is again the one from before, unless they run the new one already or
    hold a slot: then they are at it. A few queries for each revision that they came from."""
    ids = [place.machine_id for place in places]
    busy = set(Slot.objects.filter(machine_id__in=ids).values_list("machine_id", flat=True))
    current = set(
        rollout.machines.filter(runs_desired(), machine_id__in=ids).values_list(
            "machine_id", flat=True
        )
    )
    numbers: dict[int, list[int]] = defaultdict(list)
    for place in places:
        if place.machine_id not in busy | current:
            numbers[place.from_number].append(place.machine_id)
    revisions = Revision.objects.filter(cluster=rollout.cluster_id, number__in=list(numbers))
    for revision in revisions:
        assign_revisions(machine_ids=numbers[revision.number], actor=actor, revision=revision)
